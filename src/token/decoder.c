/* decoder.c - see decoder.h. */
#include "token/decoder.h"

#include "base/utf8.h"

const hd_decoder hd__decoder_bert = {
    .kind = HD_DECODER_WORDPIECE, .type = "WordPiece", .prefix = {"##", 2}, .cleanup = true};

hd_status hd__decoder_parse(const json_t *json, const char *file, hd_arena *arena, hd_decoder *decoder, hd_error *err)
{
    const char *type = NULL, *prefix = "##";
    bool cleanup = true;
    *decoder = (hd_decoder){.kind = HD_DECODER_JOIN};
    if (json == NULL || json_is_null(json))
        return HD_OK;
    HD_TRY(hd__json_get_text(json, "type", file, &type, err));
    if (type == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"decoder\" has no \"type\"", file);
    const bool is_wordpiece = strcmp(type, "WordPiece") == 0;
    if (is_wordpiece) {
        HD_TRY(hd__json_get_text(json, "prefix", file, &prefix, err));
        HD_TRY(hd__json_get_bool(json, "cleanup", file, &cleanup, err));
    }
    const bool is_metaspace = strcmp(type, "Metaspace") == 0;
    if (is_metaspace)
        HD_TRY(hd__metaspace_parse(json, file, "decoder", &decoder->metaspace, err));
    decoder->kind = is_wordpiece ? HD_DECODER_WORDPIECE : is_metaspace ? HD_DECODER_METASPACE : HD_DECODER_OTHER;
    decoder->type = hd__arena_strndup(arena, type, strlen(type));
    decoder->prefix = hd__span(hd__arena_strndup(arena, prefix, strlen(prefix)), strlen(prefix));
    decoder->cleanup = cleanup;
    if (decoder->type == NULL || decoder->prefix.ptr == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for \"decoder\"", file);
    return HD_OK;
}

/* The new text is shorter than the old one, so that it is put in place. Returns the new length. */
static size_t replace(char *text, size_t len, const char *from, const char *to)
{
    const size_t n_from = strlen(from), n_to = strlen(to);
    size_t end = 0;
    for (size_t at = 0; at < len;) {
        if (len - at >= n_from && memcmp(text + at, from, n_from) == 0) {
            memcpy(text + end, to, n_to);
            end += n_to;
            at += n_from;
        } else {
            text[end++] = text[at++];
        }
    }
    return end;
}

static void put_metaspace(const hd_split_step *step, hd_span token, bool is_first, hd_buffer *out)
{
    for (size_t at = 0, len; at < token.len; at += len) {
        bool valid;
        bool is_mark = hd__utf8_decode(token, at, &len, &valid) == step->mark;
        if (!is_mark)
            hd__buffer_append(out, token.ptr + at, len);
        else if (!is_first || step->prepend == HD_PREPEND_NEVER)
            hd__buffer_append_char(out, ' ');
    }
}

void hd__decoder_put(const hd_decoder *d, hd_span token, bool is_first, hd_buffer *out)
{
    /* One after the other over each token, in this order. */
    static const struct {
        const char *from, *to;
    } cleanups[] = {{" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
                    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    if (d->kind == HD_DECODER_METASPACE) {
        put_metaspace(&d->metaspace, token, is_first, out);
        return;
    }
    const size_t begin = out->len;
    const bool continues = d->kind == HD_DECODER_WORDPIECE && token.len >= d->prefix.len &&
                           memcmp(token.ptr, d->prefix.ptr, d->prefix.len) == 0;
    if (!is_first && continues)
        token = hd__span(token.ptr + d->prefix.len, token.len - d->prefix.len);
    else if (!is_first)
        hd__buffer_append_char(out, ' ');
    hd__buffer_append(out, token.ptr, token.len);
    if (d->kind != HD_DECODER_WORDPIECE || !d->cleanup || out->failed)
        return;
    size_t len = out->len - begin;
    for (size_t i = 0; i < sizeof cleanups / sizeof cleanups[0]; i++)
        len = replace(out->ptr + begin, len, cleanups[i].from, cleanups[i].to);
    out->len = begin + len;
}
