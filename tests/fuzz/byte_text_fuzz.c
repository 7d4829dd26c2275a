/* byte_text_fuzz.c - any bytes as text, for byte-level BPE tokenizers of several settings (the first byte chooses). The
 * one-pass way and the step-by-step way must give the same ids, a length limit the front of them, places must be in the
 * text; and what nothing normalises decodes to itself. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "token/byte_level.h"
#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPLIT(numbers)                                                                                                      \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\""             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" numbers "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r"    \
    "\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"add_"       \
    "prefix_space\":false,\"use_regex\":false}]},"
#define NFC "\"normalizer\":{\"type\":\"NFC\"},"
#define ADDED(content, flags) "{\"content\":\"" content "\"" flags "}"

/* What comes before "model"; the fourth can only be done step by step. */
static const char *const settings[] = {
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},",
    NFC SPLIT("\\\\p{N}") "\"added_tokens\":[" ADDED("<|e|>", ",\"normalized\":false") "],",
    SPLIT("\\\\p{N}{1,3}"),
    SPLIT("(?:\\\\p{N}{1,3})"),
    NFC "\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"added_tokens\":[" ADDED("   ", "") "," ADDED("  ", "") "," ADDED(
        "<m>", ",\"normalized\":false,\"lstrip\":true,\"rstrip\":true") "," ADDED("ab", ",\"single_word\":true") "],",
    NFC "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"added_tokens\":[" ADDED(
        "a b", ",\"rstrip\":true") "," ADDED("e\\u0301", "") "],",
};

enum { N_SETTINGS = sizeof settings / sizeof *settings };

static hd_tokenizer *tokenizers[N_SETTINGS];

/* The bytes' characters and a few merges of them. */
static void put_model(hd_buffer *json)
{
    static const char merges[] =
        "\"a b\",\"\\u0120 a\",\"e \\u00cc\",\"\\u00c3 \\u00a9\",\"ab ab\",\"\\u0120 \\u0120\",\"\\u010a \\u010a\",\"1 2\","
        "\"\\u0120a b\",\"abab abab\"";
    static const char made[] = ",\"ab\":256,\"\\u0120a\":257,\"e\\u00cc\":258,\"\\u00c3\\u00a9\":259,\"abab\":260,\"\\u0120"
                               "\\u0120\":261,\"\\u010a\\u010a\":262,\"12\":263,\"\\u0120ab\":264,\"abababab\":265";
    hd__buffer_append_text(json, "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned byte = 0; byte < 256; byte++)
        hd__buffer_printf(json, "%s\"\\u%04x\":%u", byte > 0 ? "," : "", hd__byte_level_char((uint8_t)byte), byte);
    hd__buffer_printf(json, "%s},\"merges\":[%s]}}", made, merges);
}

static const hd_tokenizer *tokenizer_of(size_t i)
{
    hd_buffer json;
    hd_error err;
    if (tokenizers[i] != NULL)
        return tokenizers[i];
    hd__buffer_init(&json);
    hd__buffer_printf(&json, "{%s", settings[i]);
    put_model(&json);
    if (hd__tokenizer_open_json(hd__buffer_span(&json), "settings", &tokenizers[i], &err) != HD_OK ||
        tokenizers[i]->bpe_scan.usable != (i != 3))
        abort();
    hd__buffer_clear(&json);
    return tokenizers[i];
}

static void check_places(const hd_tokens *tokens, hd_span text)
{
    for (size_t i = 0; i < tokens->n; i++) {
        const hd_token *t = &tokens->tokens[i];
        if (t->byte_begin > t->byte_end || t->byte_end > text.len || t->char_begin > t->char_end ||
            t->char_end - t->char_begin > t->byte_end - t->byte_begin)
            abort();
    }
}

/* Without a normaliser and added tokens, ids decode to the text, its invalid bytes replaced. */
static void check_decoded(const hd_tokenizer *tokenizer, const hd_ids *ids, hd_span text)
{
    hd_buffer out;
    hd__buffer_init(&out);
    if (hd__tokenizer_decode(tokenizer, ids->ids, ids->n, false, &out, NULL) != HD_OK)
        abort();
    if (hd__utf8_valid_len(text) == text.len && !hd__span_equal(hd__buffer_span(&out), text))
        abort();
    hd__buffer_clear(&out);
}

static void check(const hd_tokenizer *tokenizer, size_t chosen, hd_span text, uint32_t max_length)
{
    hd_ids all = {0}, cut = {0};
    hd_tokens tokens = {0};
    hd_tokenize_options options = {0};
    bool truncated;
    if (hd__tokenizer_encode(tokenizer, text, &options, &all, &truncated, NULL) != HD_OK || truncated ||
        hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, NULL) != HD_OK || all.n != tokens.n)
        abort();
    for (size_t i = 0; i < all.n; i++)
        if (all.ids[i] != tokens.tokens[i].id)
            abort();
    check_places(&tokens, text);
    if (chosen == 0 || chosen == 2)
        check_decoded(tokenizer, &all, text);
    options.max_length = max_length;
    if (hd__tokenizer_encode(tokenizer, text, &options, &cut, &truncated, NULL) != HD_OK ||
        cut.n != (all.n < max_length ? all.n : max_length) || truncated != (all.n > max_length) ||
        (cut.n > 0 && memcmp(cut.ids, all.ids, cut.n * sizeof *cut.ids) != 0))
        abort();
    hd__ids_clear(&all);
    hd__ids_clear(&cut);
    hd_tokens_free(&tokens);
}

/* The second byte is a length limit; with its highest bit, the text comes many times, so that it is cut into parts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const size_t chosen = data[0] % N_SETTINGS, times = data[1] & 0x80 && size < 512 ? 40 : 1;
    hd_buffer text;
    hd__buffer_init(&text);
    for (size_t i = 0; i < times; i++)
        hd__buffer_append(&text, data + 2, size - 2);
    check(tokenizer_of(chosen), chosen, hd__buffer_span(&text), 1 + (data[1] & 0x7F));
    hd__buffer_clear(&text);
    return 0;
}
