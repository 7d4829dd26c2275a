/* pipeline.c - text to tokens step by step, for any settings, each token with the bytes it came from.
 *
 * Text between added tokens is normalised in parts of a few kilobytes where the settings let it be cut, so
 * that memory does not grow with it.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

enum { PART_BYTES = 4096 };

typedef struct pipeline {
    const hd_tokenizer *tokenizer;
    hd_token_list *out;
    size_t most;     /* tokens in `out` after which to stop */
    bool lower_case; /* before the tokenizer's own normaliser */
    hd_error *err;
    hd_norm_text text, spare; /* the part at hand, normalised */
    hd_buffer utf8;           /* the same part, and a NUL */
    hd_word_text words;       /* of it, between two added tokens */
    hd_buffer words_utf8;     /* theirs, and HD_VOCAB_PADDING */
    hd_pieces pieces;
} pipeline;

static hd_status add_token(pipeline *p, int32_t id, uint32_t begin, uint32_t end)
{
    hd_token_list *out = p->out;
    if (out->n == out->capacity) {
        size_t capacity = hd__add(out->capacity * 2, 64);
        hd_token *tokens = hd__realloc(out->tokens, hd__mul(capacity, sizeof *tokens));
        if (tokens == NULL)
            return hd__fail(p->err, HD_ERR_MEMORY, "no memory for %zu tokens", capacity);
        out->tokens = tokens;
        out->capacity = capacity;
    }
    out->tokens[out->n++] = (hd_token){.id = id, .byte_begin = begin, .byte_end = end};
    return HD_OK;
}

/* chars is [n], the word's. */
static hd_status encode_word(pipeline *p, const hd_norm_char *chars, size_t n, hd_span utf8)
{
    hd_pieces *pieces = &p->pieces;
    HD_TRY(hd__token_model_encode(&p->tokenizer->model, utf8, n, pieces, p->err));
    size_t c = 0, c_begin = 0; /* a character and its first byte */
    for (size_t i = 0; i < pieces->n; i++) {
        for (size_t len; c_begin + (len = hd__utf8_len(chars[c].code_point)) <= pieces->begins[i]; c_begin += len)
            c++;
        size_t last = c;
        for (size_t end = c_begin + hd__utf8_len(chars[c].code_point); end < pieces->ends[i];)
            end += hd__utf8_len(chars[++last].code_point);
        HD_TRY(add_token(p, pieces->ids[i], chars[c].begin, chars[last].end));
    }
    return HD_OK;
}

/* Characters [begin, end) of the part: no added token is in them. */
static hd_status encode_words(pipeline *p, size_t begin, size_t end)
{
    static const char padding[HD_VOCAB_PADDING];
    hd_norm_text *text = &p->words.text;
    if (begin == end)
        return HD_OK; /* of an empty text there are not even characters to point at */
    HD_TRY(hd__norm_text_reserve(text, end - begin, p->err));
    memcpy(text->chars, p->text.chars + begin, (end - begin) * sizeof *text->chars);
    text->n = end - begin;
    HD_TRY(hd__pretokenizer_run(&p->tokenizer->pretokenizer, &p->words, p->err));
    hd__buffer_reset(&p->words_utf8);
    HD_TRY(hd__norm_text_encode(text, &p->words_utf8, p->err));
    hd__buffer_append(&p->words_utf8, padding, sizeof padding);
    if (p->words_utf8.failed)
        return hd__fail(p->err, HD_ERR_MEMORY, "no memory to tokenise %zu characters", text->n);
    size_t done = 0, at = 0; /* characters, and their bytes */
    for (size_t i = 0; i < p->words.words.n && p->out->n <= p->most; i++) {
        hd_word word = p->words.words.words[i];
        for (; done < word.begin; done++)
            at += hd__utf8_len(text->chars[done].code_point);
        size_t n_bytes = 0;
        for (; done < word.end; done++)
            n_bytes += hd__utf8_len(text->chars[done].code_point);
        hd_span utf8 = hd__span(p->words_utf8.ptr + at, n_bytes);
        HD_TRY(encode_word(p, text->chars + word.begin, word.end - word.begin, utf8));
        at += n_bytes;
    }
    return HD_OK;
}

/* Which character of the part byte `at` of its UTF-8 belongs to, going from a known place. It may be behind: an
 * added token may begin in the white space that the one before it took. */
typedef struct place {
    size_t byte, character;
} place;

static size_t seek(const pipeline *p, place *known, size_t at)
{
    for (; known->byte < at; known->byte++)
        known->character += ((unsigned char)p->utf8.ptr[known->byte + 1] & 0xC0) != 0x80;
    for (; known->byte > at; known->byte--)
        known->character -= ((unsigned char)p->utf8.ptr[known->byte] & 0xC0) != 0x80;
    return known->character;
}

/* A part of the text without raw added tokens; its first byte is `base` of the whole. sentence-transformers
 * lower-cases by putting one more normaliser in front of the tokenizer's, which therefore does not touch added tokens
 * that are found in the raw text. */
static hd_status encode_part(pipeline *p, hd_span part, uint32_t base)
{
    static hd_norm_step lower_step = {.kind = HD_NORM_LOWERCASE};
    static const hd_normalizer lower = {.steps = &lower_step, .n_steps = 1};
    HD_TRY(hd__norm_text_decode(&p->text, part, base, p->err));
    if (p->lower_case)
        HD_TRY(hd__normalizer_run(&lower, &p->text, &p->spare, p->err));
    HD_TRY(hd__normalizer_run(&p->tokenizer->normalizer, &p->text, &p->spare, p->err));
    hd__buffer_reset(&p->utf8);
    HD_TRY(hd__norm_text_encode(&p->text, &p->utf8, p->err));
    size_t n_bytes = p->utf8.len;
    hd__buffer_append_char(&p->utf8, '\0');
    if (p->utf8.failed)
        return hd__fail(p->err, HD_ERR_MEMORY, "no memory to tokenise %zu bytes", part.len);

    hd_added_walk walk = {.set = &p->tokenizer->added_normalized, .text = hd__span(p->utf8.ptr, n_bytes)};
    place known = {0};
    for (bool more = true; more && p->out->n <= p->most;) {
        size_t gap_begin, gap_end, begin, end;
        const hd_added_token *token = hd__added_walk_next(&walk, &gap_begin, &gap_end, &begin, &end);
        size_t first = seek(p, &known, gap_begin);
        HD_TRY(encode_words(p, first, seek(p, &known, gap_end)));
        more = token != NULL;
        if (!more || p->out->n > p->most)
            continue;
        const hd_norm_char *chars = p->text.chars;
        uint32_t from = chars[seek(p, &known, begin)].begin;
        HD_TRY(add_token(p, token->id, from, chars[seek(p, &known, end - 1)].end));
    }
    return HD_OK;
}

/* Where to cut text so that its parts can be tokenised alone. */
static size_t part_len(const hd_tokenizer *tokenizer, hd_span text)
{
    if (!tokenizer->cuttable)
        return text.len;
    size_t len = text.len < PART_BYTES ? text.len : PART_BYTES;
    while (len < text.len && !hd__is_ascii_space(text.ptr[len - 1]))
        len++;
    return len;
}

static hd_status encode_gap(pipeline *p, hd_span text, size_t begin, size_t end)
{
    while (begin < end && p->out->n <= p->most) {
        hd_span rest = hd__span(text.ptr + begin, end - begin);
        size_t len = part_len(p->tokenizer, rest);
        HD_TRY(encode_part(p, hd__span(rest.ptr, len), (uint32_t)begin));
        begin += len;
    }
    return HD_OK;
}

static hd_status encode(pipeline *p, hd_span text)
{
    hd_added_walk walk = {.set = &p->tokenizer->added_raw, .text = text};
    for (bool more = true; more && p->out->n <= p->most;) {
        size_t gap_begin, gap_end, begin, end;
        const hd_added_token *token = hd__added_walk_next(&walk, &gap_begin, &gap_end, &begin, &end);
        HD_TRY(encode_gap(p, text, gap_begin, gap_end));
        more = token != NULL;
        if (more && p->out->n <= p->most)
            HD_TRY(add_token(p, token->id, (uint32_t)begin, (uint32_t)end));
    }
    return HD_OK;
}

hd_status hd__pipeline_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, bool lower_case, hd_token_list *out,
                           hd_error *err)
{
    pipeline p = {.tokenizer = tokenizer, .out = out, .most = hd__add(out->n, limit), .lower_case = lower_case, .err = err};
    hd__buffer_init(&p.utf8);
    hd__buffer_init(&p.words_utf8);
    hd_status status = encode(&p, text);
    hd__norm_text_clear(&p.text);
    hd__norm_text_clear(&p.spare);
    hd__word_text_clear(&p.words);
    hd__buffer_clear(&p.utf8);
    hd__buffer_clear(&p.words_utf8);
    hd__pieces_clear(&p.pieces);
    return status;
}
