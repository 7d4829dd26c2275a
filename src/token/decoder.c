/* decoder.c - see decoder.h. Reading the settings; the steps themselves are in decode_text.c. */
#include "token/decoder.h"

#include "base/utf8.h"

const hd_decoder hd__decoder_bert = {
    .steps = {{.kind = HD_DECODER_WORDPIECE, .text = {"##", 2}, .cleanup = true}},
    .n_steps = 1,
};

typedef struct parser {
    const char *file;
    hd_arena *arena;
    hd_decoder *decoder;
    hd_error *err;
} parser;

static hd_status add_step(parser *p, hd_decoder_step step)
{
    if (p->decoder->n_steps == HD_DECODER_MAX_STEPS)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"decoder\" has more than %d steps", p->file, HD_DECODER_MAX_STEPS);
    p->decoder->steps[p->decoder->n_steps++] = step;
    return HD_OK;
}

/* A text that lives as long as the decoder. */
static hd_status keep_text(parser *p, const char *text, hd_span *out)
{
    *out = hd__span(hd__arena_strndup(p->arena, text, strlen(text)), strlen(text));
    return out->ptr != NULL ? HD_OK : hd__fail(p->err, HD_ERR_MEMORY, "%s: no memory for \"decoder\"", p->file);
}

static hd_status parse_wordpiece(parser *p, const json_t *json)
{
    hd_decoder_step step = {.kind = HD_DECODER_WORDPIECE, .cleanup = true};
    const char *prefix = "##";
    HD_TRY(hd__json_get_text(json, "prefix", p->file, &prefix, p->err));
    HD_TRY(hd__json_get_bool(json, "cleanup", p->file, &step.cleanup, p->err));
    HD_TRY(keep_text(p, prefix, &step.text));
    return add_step(p, step);
}

static hd_status parse_metaspace(parser *p, const json_t *json)
{
    hd_decoder_step step = {.kind = HD_DECODER_METASPACE};
    HD_TRY(hd__metaspace_parse(json, p->file, "decoder", &step.metaspace, p->err));
    return add_step(p, step);
}

static hd_status parse_bpe(parser *p, const json_t *json)
{
    hd_decoder_step step = {.kind = HD_DECODER_BPE};
    const char *suffix = "</w>";
    HD_TRY(hd__json_get_text(json, "suffix", p->file, &suffix, p->err));
    HD_TRY(keep_text(p, suffix, &step.text));
    return add_step(p, step);
}

static hd_status parse_strip(parser *p, const json_t *json)
{
    hd_decoder_step step = {.kind = HD_DECODER_STRIP};
    const char *content = NULL;
    size_t len = 0;
    bool valid = false;
    HD_TRY(hd__json_get_text(json, "content", p->file, &content, p->err));
    if (content != NULL && content[0] != '\0')
        step.stripped = hd__utf8_decode(hd__span_of(content), 0, &len, &valid);
    if (!valid || content[len] != '\0')
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"decoder\": Strip needs a \"content\" of one character", p->file);
    HD_TRY(hd__json_get_uint(json, "start", 0, INT64_MAX, p->file, &step.n_begin, p->err));
    HD_TRY(hd__json_get_uint(json, "stop", 0, INT64_MAX, p->file, &step.n_end, p->err));
    return add_step(p, step);
}

static hd_status parse_replace(parser *p, const json_t *json)
{
    hd_decoder_step step = {.kind = HD_DECODER_REPLACE};
    const char *content = NULL;
    HD_TRY(hd__json_get_text(json, "content", p->file, &content, p->err));
    if (content == NULL)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"decoder\": Replace needs a \"content\"", p->file);
    HD_TRY(hd__pattern_parse(json_object_get(json, "pattern"), p->file, "decoder", p->arena, &step.pattern, p->err));
    HD_TRY(keep_text(p, content, &step.text));
    return add_step(p, step);
}

static hd_status parse_byte_level(parser *p, const json_t *json)
{
    (void)json;
    return add_step(p, (hd_decoder_step){.kind = HD_DECODER_BYTE_LEVEL});
}

static hd_status parse_byte_fallback(parser *p, const json_t *json)
{
    (void)json;
    return add_step(p, (hd_decoder_step){.kind = HD_DECODER_BYTE_FALLBACK});
}

static hd_status parse_fuse(parser *p, const json_t *json)
{
    (void)json;
    return add_step(p, (hd_decoder_step){.kind = HD_DECODER_FUSE});
}

static hd_status parse_sequence(parser *p, const json_t *json);

static const struct {
    const char *type;
    hd_status (*parse)(parser *p, const json_t *json);
} types[] = {
    {"WordPiece", parse_wordpiece},  {"Metaspace", parse_metaspace},
    {"ByteLevel", parse_byte_level}, {"ByteFallback", parse_byte_fallback},
    {"BPEDecoder", parse_bpe},       {"Fuse", parse_fuse},
    {"Strip", parse_strip},          {"Replace", parse_replace},
    {"Sequence", parse_sequence},
};

/* A model whose decoder is not known is of use all the same. */
static hd_status parse(parser *p, const json_t *json)
{
    const char *type = NULL;
    hd_span name;
    HD_TRY(hd__json_get_text(json, "type", p->file, &type, p->err));
    if (type == NULL)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"decoder\" has no \"type\"", p->file);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].type, type) == 0)
            return types[i].parse(p, json);
    HD_TRY(keep_text(p, type, &name));
    p->decoder->unknown = name.ptr;
    return HD_OK;
}

/* Sequences nest no deeper than the JSON reader lets them. */
static hd_status parse_sequence(parser *p, const json_t *json)
{
    const json_t *parts = json_object_get(json, "decoders");
    if (!json_is_array(parts))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"decoder\": Sequence needs an array \"decoders\"", p->file);
    for (size_t i = 0; i < json_array_size(parts); i++)
        HD_TRY(parse(p, json_array_get(parts, i)));
    return HD_OK;
}

hd_status hd__decoder_parse(const json_t *json, const char *file, hd_arena *arena, hd_decoder *decoder, hd_error *err)
{
    parser p = {file, arena, decoder, err};
    *decoder = (hd_decoder){0};
    if (json == NULL || json_is_null(json))
        return add_step(&p, (hd_decoder_step){.kind = HD_DECODER_BLANKS});
    return parse(&p, json);
}
