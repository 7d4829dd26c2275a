/* text_fuzz.c - any bytes as text, for tokenizers of several settings (the first byte chooses). The one-pass way and the
 * step-by-step way must give the same ids; a length limit must give the front of them; places must be in the
 * text and in order. */
#include <stdlib.h>
#include <string.h>

#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODEL                                                                                                               \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_"     \
    "word\":12,"                                                                                                            \
    "\"vocab\":{\"?\":0,\"[\":1,\"]\":2,\"a\":3,\"b\":4,\"e\":5,\"##a\":6,\"##b\":7,\"##e\":8,\"ab\":9,\"##ab\":10,\"i\":"  \
    "11,\"##i\":12,"                                                                                                        \
    "\".\":13,\"\\u6f22\":14,\"\\u03c3\":15,\"##\\u03c3\":16,\"##\\u302e\":17,\"##\\u302f\":18,\"=\":19,\"##\\u0323\":20,"  \
    "\"\\u1100\":21,\"##\\u1161\":22,\"#\":23,\"##\\u0307\":24,\"\\uac00\":25,\"\\u00e9\":26,\"##\\u00e9\":27,\"[SEP]\":"   \
    "28}}"
#define BERT_WORDS "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
#define RAW(content, flags) "{\"content\":\"" content "\",\"normalized\":false" flags "}"
#define ADDED                                                                                                               \
    "\"added_tokens\":[" RAW("[SEP]", "") "," RAW("<m>", ",\"lstrip\":true,\"rstrip\":true") "," RAW(                       \
        "ea", ",\"single_word\":true") "],"

static const char *const settings[] = {
    "{\"normalizer\":{\"type\":\"BertNormalizer\"}," BERT_WORDS ADDED MODEL "}",
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":false}," BERT_WORDS ADDED MODEL "}",
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"strip_accents\":false}," BERT_WORDS ADDED MODEL "}",
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":false,\"handle_chinese_chars\":false}," BERT_WORDS MODEL
    "}",
    "{" BERT_WORDS ADDED MODEL "}",
    "{\"normalizer\":{\"type\":\"NFC\"}," BERT_WORDS MODEL "}",
    "{\"normalizer\":{\"type\":\"NFKC\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}",
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{"
    "\"type\":"
    "\"Replace\",\"pattern\":{\"String\":\"ab\"},\"content\":\"b\\u00e9\"},{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},{"
    "\"type\":"
    "\"Prepend\",\"prepend\":\"ab\"}]},\"added_tokens\":[{\"content\":\"be\",\"rstrip\":true},{\"content\":\" b\"}]," MODEL
    "}",
};

enum { N_SETTINGS = sizeof settings / sizeof *settings };

static hd_tokenizer *tokenizers[N_SETTINGS];

static const hd_tokenizer *tokenizer_of(size_t i)
{
    hd_error err;
    if (tokenizers[i] == NULL &&
        hd__tokenizer_open_json(hd__span_of(settings[i]), "settings", &tokenizers[i], &err) != HD_OK)
        abort();
    return tokenizers[i];
}

static void check_places(const hd_tokens *tokens, hd_span text, bool overlaps)
{
    uint32_t begin = 0;
    for (size_t i = 0; i < tokens->n; i++) {
        const hd_token *t = &tokens->tokens[i];
        if (t->byte_begin > t->byte_end || t->byte_end > text.len || t->char_begin > t->char_end ||
            t->char_end - t->char_begin > t->byte_end - t->byte_begin || (!overlaps && t->byte_begin < begin))
            abort();
        begin = t->byte_begin;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t chosen = data[0] % N_SETTINGS;
    const hd_tokenizer *tokenizer = tokenizer_of(chosen);
    hd_tokenize_options options = {.lower_case = (data[1] & 0x80) != 0, .strict = (data[1] & 0x40) != 0};
    uint32_t max_length = 1 + (data[1] & 0x3F);
    hd_span text = hd__span(data + 2, size - 2);

    hd_ids all = {0}, cut = {0};
    hd_tokens tokens = {0};
    bool truncated;
    hd_status status = hd__tokenizer_encode(tokenizer, text, &options, &all, &truncated, NULL);
    if (hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, NULL) != status)
        abort();
    if (status == HD_OK) {
        if (truncated || tokens.truncated || all.n != tokens.n)
            abort();
        for (size_t i = 0; i < all.n; i++)
            if (all.ids[i] != tokens.tokens[i].id)
                abort();
        check_places(&tokens, text, chosen == N_SETTINGS - 1);
        options.max_length = max_length;
        if (hd__tokenizer_encode(tokenizer, text, &options, &cut, &truncated, NULL) != HD_OK ||
            cut.n != (all.n < max_length ? all.n : max_length) || truncated != (all.n > max_length) ||
            (cut.n > 0 && memcmp(cut.ids, all.ids, cut.n * sizeof *cut.ids) != 0))
            abort();
    }
    hd__ids_clear(&all);
    hd__ids_clear(&cut);
    hd_tokens_free(&tokens);
    return 0;
}
