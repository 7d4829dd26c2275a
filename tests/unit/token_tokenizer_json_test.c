/* tokenizer.json as a whole: what opens, added tokens' ids, and each refusal by file and field. */
#include "unit/token_fixture.h"

#include "base/limits.h"
#include "base/log.h"

static void test_opens(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{\"version\":\"1.0\",\"truncation\":{\"max_length\":1},\"padding\":{\"strategy\":{\"Fixed\":128}},"
        "\"added_tokens\":[" TOKEN_ADDED("[SEP]", ",\"special\":true") "]," TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL("") "}");
    TOKEN_GIVES(t, "ab Caf\xC3\xA9![SEP]x", 2, 6, 10, 11, 3, 1, 3);
    TOKEN_GIVES(t, "", 2, 3);
    assert_int_equal(hd__tokenizer_vocab_size(t), 14);
    assert_string_equal(hd__tokenizer_token(t, 3), "[SEP]");
    assert_string_equal(hd__tokenizer_token(t, 8), "##b");
    assert_string_equal(hd__tokenizer_token(t, 14), "");
    assert_string_equal(hd__tokenizer_token(t, -1), "");
    hd__tokenizer_close(t);
    hd__tokenizer_close(NULL);
}

/* "model" may come before the rest, and "vocab" before the model's type. */
static void test_any_order(void **state)
{
    (void)state;
    hd_tokenizer *t =
        token_open("{\"model\":{\"vocab\":{\"?\":0,\"a\":1},\"unk_token\":\"?\",\"continuing_subword_prefix\":\"\","
                   "\"max_input_chars_per_word\":5},\"pre_tokenizer\":{\"type\":\"Whitespace\"}}");
    TOKEN_GIVES(t, "a aa ba", 1, 1, 1, 0);
    hd__tokenizer_close(t);
}

static void test_added_ids(void **state)
{
    (void)state;
    hd__log_set_level(HD_LOG_ERROR);
    hd_tokenizer *t =
        token_open("{\"added_tokens\":[" TOKEN_ADDED("new", ",\"id\":99") "," TOKEN_ADDED("", "") "," TOKEN_ADDED(
            "b",
            "") "," TOKEN_ADDED("newer",
                                ",\"lstrip\":true") "," TOKEN_ADDED("new",
                                                                    ",\"rstrip\":true") "]," TOKEN_BERT TOKEN_MODEL("") "}");
    TOKEN_GIVES(t, "anewb newera", 4, 14, 5, 15, 4);
    assert_int_equal(hd__tokenizer_vocab_size(t), 16);
    assert_string_equal(hd__tokenizer_token(t, 15), "newer");
    assert_int_equal(t->n_added, 3);
    hd__tokenizer_close(t);
}

static void test_normalized_added(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{\"added_tokens\":[{\"content\":\"CAF\\u00c9 A\"},{\"content\":\"\\u6f22\",\"normalized\":false}]," TOKEN_BERT
            TOKEN_MODEL("") "}");
    TOKEN_GIVES(t, "b caf\xC3\xA9 ab", 5, 14, 5);
    TOKEN_GIVES(t,
                "a\xE6\xBC\xA2"
                "b",
                4, 13, 5);
    hd__tokenizer_close(t);
    token_refused("{\"added_tokens\":[{\"content\":\"A\"},{\"content\":\"a\"}]," TOKEN_BERT TOKEN_MODEL("") "}",
                  HD_ERR_FORMAT, "same text");
    token_refused("{\"added_tokens\":[{\"content\":\"\\u0301\"}]," TOKEN_BERT TOKEN_MODEL("") "}", HD_ERR_FORMAT, "empty");
}

#define WITHOUT(unk, prefix, max) "{\"model\":{\"type\":\"WordPiece\"," unk prefix max "\"vocab\":{\"u\":0}}}"
#define UNK "\"unk_token\":\"u\","
#define PREFIX "\"continuing_subword_prefix\":\"##\","
#define MAX "\"max_input_chars_per_word\":100,"

static void test_refused(void **state)
{
    (void)state;
    token_refused("", HD_ERR_FORMAT, "line 1");
    token_refused("{", HD_ERR_FORMAT, "line 1");
    token_refused("[]", HD_ERR_FORMAT, "unk_token");
    token_refused("{}", HD_ERR_FORMAT, "unk_token");
    token_refused("{\"version\":\"2.0\"," TOKEN_MODEL("") "}", HD_ERR_UNSUPPORTED, "2.0");
    token_refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", HD_ERR_UNSUPPORTED, "\"WordLevel\"");
    token_refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", HD_ERR_UNSUPPORTED, "\"WordLevel\"");
    token_refused(WITHOUT("", PREFIX, MAX), HD_ERR_FORMAT, "\"unk_token\"");
    token_refused(WITHOUT(UNK, "", MAX), HD_ERR_FORMAT, "\"continuing_subword_prefix\"");
    token_refused(WITHOUT(UNK, PREFIX, ""), HD_ERR_FORMAT, "\"max_input_chars_per_word\"");
    token_refused(WITHOUT(UNK, PREFIX, "\"max_input_chars_per_word\":-1,"), HD_ERR_FORMAT, "max_input_chars_per_word");
    token_refused(WITHOUT("\"unk_token\":\"x\",", PREFIX, MAX), HD_ERR_FORMAT, "\"x\"");
    token_refused("{\"model\":{\"type\":\"WordPiece\"," UNK PREFIX MAX "\"vocab\":[]}}", HD_ERR_FORMAT, "\"u\"");
    token_refused("{\"model\":{\"vocab\":{\"a\":x}}}", HD_ERR_FORMAT, "whole number");
    token_refused("{" TOKEN_MODEL("") "} x", HD_ERR_FORMAT, "end of file");
    token_refused("{" TOKEN_MODEL("") "," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "model");
    token_refused("{\"normalizer\":{\"type\":\"ByteLevel\"}," TOKEN_MODEL("") "}", HD_ERR_UNSUPPORTED, "ByteLevel");
    token_refused("{\"pre_tokenizer\":{\"type\":\"Other\"}," TOKEN_MODEL("") "}", HD_ERR_UNSUPPORTED, "Other");
    token_refused("{\"post_processor\":{\"type\":\"Other\"}," TOKEN_MODEL("") "}", HD_ERR_UNSUPPORTED, "Other");
    token_refused("{\"added_tokens\":{}," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "added_tokens");
    token_refused("{\"added_tokens\":[3]," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "token 0");
    token_refused("{\"added_tokens\":[{\"content\":\"x\",\"lstrip\":1}]," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "lstrip");
}

/* A file that ends anywhere is refused, never half a tokenizer. */
static void test_truncated(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[" TOKEN_ADDED("[SEP]", "") "]," TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL(",\"\\u00df\":14") "}";
    for (size_t n = 0; n < sizeof json - 1; n++) {
        hd_tokenizer *t;
        hd_error err;
        assert_int_equal(hd__tokenizer_open_json(hd__span(json, n), "t", &t, &err), HD_ERR_FORMAT);
    }
}

static void test_too_many_added(void **state)
{
    (void)state;
    for (unsigned n = HD_LIMIT_ADDED_TOKENS; n <= HD_LIMIT_ADDED_TOKENS + 1; n++) {
        hd_buffer json;
        hd__buffer_init(&json);
        hd__buffer_append_text(&json, "{\"added_tokens\":[{\"content\":\"a\"}");
        for (unsigned i = 1; i < n; i++) /* empty ones are not kept, but count */
            hd__buffer_append_text(&json, ",{\"content\":\"\"}");
        hd__buffer_append_text(&json, "]," TOKEN_MODEL("") "}");
        hd_tokenizer *t;
        hd_error err;
        hd_status status = hd__tokenizer_open_json(hd__buffer_span(&json), "t", &t, &err);
        assert_int_equal(status, n <= HD_LIMIT_ADDED_TOKENS ? HD_OK : HD_ERR_LIMIT);
        if (status == HD_OK)
            hd__tokenizer_close(t);
        hd__buffer_clear(&json);
    }
}

/* hd__alloc_fail_after reaches jansson's memory as well as ours only where it comes through base/alloc. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char json[] = "{\"added_tokens\":[" TOKEN_ADDED(
        "[SEP]", "") ",{\"content\":\"X\"}]," TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL("") "}";
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        hd_error err;
        assert_true(n < 1000);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open_json(hd__span_of(json), "t", &t, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK ? t != NULL : status == HD_ERR_MEMORY && t == NULL);
        hd__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),          cmocka_unit_test(test_any_order), cmocka_unit_test(test_added_ids),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_truncated), cmocka_unit_test(test_normalized_added),
        cmocka_unit_test(test_too_many_added), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
