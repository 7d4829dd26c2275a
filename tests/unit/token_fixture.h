/* token_fixture.h - small tokenizers for tests, from settings in the test's own text. */
#ifndef HD_TESTS_TOKEN_FIXTURE_H
#define HD_TESTS_TOKEN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "token/tokenizer_parts.h"

/* "model": words of up to 10 characters; `more` is further vocabulary. */
#define TOKEN_MODEL(more)                                                                                                   \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","                       \
    "\"max_input_chars_per_word\":10,\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"a\":4,\"b\":5,\"ab\":6,"  \
    "\"##a\":7,\"##b\":8,\"##ab\":9,\"cafe\":10,\"!\":11,\"caf\\u00e9\":12,\"\\u6f22\":13" more "}}"
#define TOKEN_BERT "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
#define TOKEN_ADDED(content, flags) "{\"content\":\"" content "\",\"normalized\":false" flags "}"
#define TOKEN_TEMPLATE "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]},"

static inline hd_tokenizer *token_open(const char *json)
{
    hd_tokenizer *tokenizer;
    hd_error err;
    if (hd__tokenizer_open_json(hd__span_of(json), "test.json", &tokenizer, &err) != HD_OK)
        fail_msg("%s", err.text);
    return tokenizer;
}

static inline void token_refused(const char *json, hd_status status, const char *part_of_message)
{
    hd_tokenizer *tokenizer = NULL;
    hd_error err;
    hd_status got = hd__tokenizer_open_json(hd__span_of(json), "test.json", &tokenizer, &err);
    if (got != status || strstr(err.text, part_of_message) == NULL || strstr(err.text, "test.json") == NULL)
        fail_msg("%s: %s; not %s: %s", hd_status_name(got), got == HD_OK ? "" : err.text, hd_status_name(status),
                 part_of_message);
    assert_null(tokenizer);
}

/* Both ways of encoding give these ids (ended by -1). */
static inline void token_gives_with(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options,
                                    const int32_t *wanted)
{
    hd_ids ids = {0};
    hd_tokens tokens = {0};
    hd_error err;
    size_t n = 0;
    while (wanted[n] >= 0)
        n++;
    if (hd__tokenizer_encode(tokenizer, text, options, &ids, NULL, &err) != HD_OK ||
        hd__tokenizer_encode_offsets(tokenizer, text, options, &tokens, &err) != HD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ids.n, n);
    assert_int_equal(tokens.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids.ids[i], wanted[i]);
        assert_int_equal(tokens.tokens[i].id, wanted[i]);
    }
    hd__ids_clear(&ids);
    hd_tokens_free(&tokens);
}

#define TOKEN_GIVES(tokenizer, text, ...)                                                                                   \
    token_gives_with(tokenizer, hd__span_of(text), &(hd_tokenize_options){0}, (const int32_t[]){__VA_ARGS__, -1})
#define TOKEN_GIVES_NONE(tokenizer, text)                                                                                   \
    token_gives_with(tokenizer, hd__span_of(text), &(hd_tokenize_options){0}, (const int32_t[]){-1})

#endif
