/* decode_text.c - the steps of a decoder; see decoder.h. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/byte_level.h"
#include "token/decoder.h"

void hd__token_texts_clear(hd_token_texts *texts)
{
    hd__buffer_clear(&texts->bytes);
    hd__free(texts->tokens.words);
    *texts = (hd_token_texts){0};
}

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the text of tokens");
}

/* Everything since `begin` is one token more. */
static hd_status end_token(hd_token_texts *texts, size_t begin, hd_error *err)
{
    return texts->bytes.failed ? no_memory(err) : hd__words_add(&texts->tokens, begin, texts->bytes.len, err);
}

hd_status hd__token_texts_add(hd_token_texts *texts, hd_span token, hd_error *err)
{
    const size_t begin = texts->bytes.len;
    hd__buffer_append(&texts->bytes, token.ptr, token.len);
    return end_token(texts, begin, err);
}

static hd_span token_at(const hd_token_texts *texts, size_t i)
{
    const hd_word token = texts->tokens.words[i];
    return hd__span(token.begin == token.end ? "" : texts->bytes.ptr + token.begin, token.end - token.begin);
}

/* ---- WordPiece ---- */

/* The new text is shorter than the old one, so that it is put in place. Returns the new length. */
static size_t shorten(char *text, size_t len, const char *from, const char *to)
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

static void put_wordpiece(const hd_decoder_step *step, hd_span token, bool is_first, hd_buffer *out)
{
    /* One after the other over each token, in this order. */
    static const struct {
        const char *from, *to;
    } cleanups[] = {{" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
                    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    const size_t begin = out->len;
    const hd_span prefix = step->text;
    const bool continues = token.len >= prefix.len && memcmp(token.ptr, prefix.ptr, prefix.len) == 0;
    if (!is_first && continues)
        token = hd__span(token.ptr + prefix.len, token.len - prefix.len);
    else if (!is_first)
        hd__buffer_append_char(out, ' ');
    hd__buffer_append(out, token.ptr, token.len);
    if (!step->cleanup || out->failed || out->len == begin)
        return;
    size_t len = out->len - begin;
    for (size_t i = 0; i < sizeof cleanups / sizeof cleanups[0]; i++)
        len = shorten(out->ptr + begin, len, cleanups[i].from, cleanups[i].to);
    out->len = begin + len;
}

/* ---- token by token ---- */

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

static void put_bpe(hd_span suffix, hd_span token, bool is_last, hd_buffer *out)
{
    for (size_t at = 0; at < token.len;) {
        if (suffix.len > 0 && token.len - at >= suffix.len && memcmp(token.ptr + at, suffix.ptr, suffix.len) == 0) {
            hd__buffer_append(out, " ", is_last ? 0 : 1);
            at += suffix.len;
        } else {
            hd__buffer_append_char(out, token.ptr[at++]);
        }
    }
}

static void put_stripped(const hd_decoder_step *step, hd_span token, hd_buffer *out)
{
    char utf8[4];
    const size_t n = hd__utf8_encode(step->stripped, utf8);
    size_t begin = 0, end = token.len;
    for (uint64_t i = 0; i < step->n_begin && end - begin >= n && memcmp(token.ptr + begin, utf8, n) == 0; i++)
        begin += n;
    for (uint64_t i = 0; i < step->n_end && end - begin >= n && memcmp(token.ptr + end - n, utf8, n) == 0; i++)
        end -= n;
    hd__buffer_append(out, token.ptr + begin, end - begin);
}

static hd_status put_replaced(const hd_decoder_step *step, hd_span token, hd_buffer *out, hd_error *err)
{
    hd_words matches = {0};
    hd_status status = hd__pattern_find(step->pattern, token, &matches, err);
    size_t done = 0;
    for (size_t i = 0; status == HD_OK && i < matches.n; i++) {
        hd__buffer_append(out, token.ptr + done, matches.words[i].begin - done);
        hd__buffer_append(out, step->text.ptr, step->text.len);
        done = matches.words[i].end;
    }
    if (status == HD_OK)
        hd__buffer_append(out, token.ptr + done, token.len - done);
    hd__free(matches.words);
    return status;
}

static hd_status each_token(const hd_decoder_step *step, const hd_token_texts *from, hd_token_texts *to, hd_error *err)
{
    for (size_t i = 0; i < from->tokens.n; i++) {
        const hd_span token = token_at(from, i);
        const size_t begin = to->bytes.len;
        if (step->kind == HD_DECODER_BLANKS && i > 0)
            hd__buffer_append_char(&to->bytes, ' ');
        if (step->kind == HD_DECODER_WORDPIECE)
            put_wordpiece(step, token, i == 0, &to->bytes);
        else if (step->kind == HD_DECODER_METASPACE)
            put_metaspace(&step->metaspace, token, i == 0, &to->bytes);
        else if (step->kind == HD_DECODER_BPE)
            put_bpe(step->text, token, i + 1 == from->tokens.n, &to->bytes);
        else if (step->kind == HD_DECODER_STRIP)
            put_stripped(step, token, &to->bytes);
        else if (step->kind == HD_DECODER_REPLACE)
            HD_TRY(put_replaced(step, token, &to->bytes, err));
        else
            hd__buffer_append(&to->bytes, token.ptr, token.len);
        HD_TRY(end_token(to, begin, err));
    }
    return HD_OK;
}

/* ---- many tokens to one ---- */

/* Bytes that are not UTF-8 become U+FFFD. */
static void put_valid(hd_span bytes, hd_buffer *out)
{
    for (size_t at = 0, len; at < bytes.len; at += len) {
        bool valid;
        char utf8[4];
        uint32_t c = hd__utf8_decode(bytes, at, &len, &valid);
        hd__buffer_append(out, utf8, hd__utf8_encode(c, utf8));
    }
}

/* A token with a character that stands for no byte is text as it is. */
static void put_bytes(hd_span token, hd_buffer *out)
{
    const size_t begin = out->len;
    for (size_t at = 0, len; at < token.len; at += len) {
        bool valid;
        int byte = hd__byte_level_byte(hd__utf8_decode(token, at, &len, &valid));
        if (byte < 0) {
            out->len = out->failed ? out->len : begin;
            hd__buffer_append(out, token.ptr, token.len);
            return;
        }
        hd__buffer_append_char(out, (char)byte);
    }
}

static hd_status byte_level(const hd_token_texts *from, hd_token_texts *to, hd_error *err)
{
    hd_buffer bytes;
    hd__buffer_init(&bytes);
    for (size_t i = 0; i < from->tokens.n; i++)
        put_bytes(token_at(from, i), &bytes);
    put_valid(hd__buffer_span(&bytes), &to->bytes);
    hd_status status = bytes.failed ? no_memory(err) : end_token(to, 0, err);
    hd__buffer_clear(&bytes);
    return status;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that a token like <0x41> is, or -1. One plus sign counts as a digit that is not there (Rust's from_str_radix). */
static int fallback_byte(hd_span token)
{
    if (token.len != 6 || !hd__span_begins(token, "<0x") || token.ptr[5] != '>' || hex(token.ptr[4]) < 0)
        return -1;
    if (token.ptr[3] == '+')
        return hex(token.ptr[4]);
    return hex(token.ptr[3]) < 0 ? -1 : hex(token.ptr[3]) * 16 + hex(token.ptr[4]);
}

/* Bytes in a row become one token, or as many U+FFFD as they are. */
static hd_status end_bytes(hd_buffer *bytes, hd_token_texts *to, hd_error *err)
{
    const hd_span span = hd__buffer_span(bytes);
    if (bytes->failed)
        return no_memory(err);
    if (span.len > 0 && hd__utf8_valid_len(span) == span.len)
        HD_TRY(hd__token_texts_add(to, span, err));
    else
        for (size_t i = 0; i < span.len; i++)
            HD_TRY(hd__token_texts_add(to, hd__span_of("\xEF\xBF\xBD"), err));
    hd__buffer_reset(bytes);
    return HD_OK;
}

static hd_status byte_fallback(const hd_token_texts *from, hd_token_texts *to, hd_error *err)
{
    hd_buffer bytes;
    hd_status status = HD_OK;
    hd__buffer_init(&bytes);
    for (size_t i = 0; status == HD_OK && i < from->tokens.n; i++) {
        const hd_span token = token_at(from, i);
        const int byte = fallback_byte(token);
        if (byte >= 0) {
            hd__buffer_append_char(&bytes, (char)byte);
            continue;
        }
        status = end_bytes(&bytes, to, err);
        if (status == HD_OK)
            status = hd__token_texts_add(to, token, err);
    }
    if (status == HD_OK)
        status = end_bytes(&bytes, to, err);
    hd__buffer_clear(&bytes);
    return status;
}

static hd_status run(const hd_decoder_step *step, const hd_token_texts *from, hd_token_texts *to, hd_error *err)
{
    switch (step->kind) {
    case HD_DECODER_BYTE_LEVEL: return byte_level(from, to, err);
    case HD_DECODER_BYTE_FALLBACK: return byte_fallback(from, to, err);
    case HD_DECODER_FUSE: return hd__token_texts_add(to, hd__buffer_span(&from->bytes), err);
    case HD_DECODER_BLANKS:
    case HD_DECODER_WORDPIECE:
    case HD_DECODER_METASPACE:
    case HD_DECODER_BPE:
    case HD_DECODER_STRIP:
    case HD_DECODER_REPLACE: break;
    }
    return each_token(step, from, to, err);
}

hd_status hd__decoder_run(const hd_decoder *decoder, hd_token_texts *texts, hd_buffer *out, hd_error *err)
{
    hd_token_texts spare = {0};
    hd_status status = HD_OK;
    for (size_t i = 0; i < decoder->n_steps && status == HD_OK; i++) {
        hd__buffer_reset(&spare.bytes);
        spare.tokens.n = 0;
        status = run(&decoder->steps[i], texts, &spare, err);
        hd_token_texts t = *texts;
        *texts = spare;
        spare = t;
    }
    hd__token_texts_clear(&spare);
    HD_TRY(status);
    hd__buffer_append(out, texts->bytes.ptr, texts->bytes.len);
    return out->failed ? no_memory(err) : HD_OK;
}
