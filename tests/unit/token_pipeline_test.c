/* The step-by-step way: places of tokens, overlapping added tokens, parts, and memory running out. Expected values are
 * those of the `tokenizers` library. */
#include "unit/token_fixture.h"

#include <stdio.h>

/* "id:begin-end ..." in bytes. */
static const char *run(const hd_tokenizer *t, const char *text, size_t limit)
{
    static char out[4096];
    hd_token_list list = {0};
    hd_error err;
    int at = 0;
    out[0] = '\0';
    if (hd__pipeline_run(t, hd__span_of(text), limit, false, &list, &err) != HD_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < list.n; i++)
        at += snprintf(out + at, sizeof out - (size_t)at, "%s%d:%u-%u", i > 0 ? " " : "", list.tokens[i].id,
                       list.tokens[i].byte_begin, list.tokens[i].byte_end);
    hd__free(list.tokens);
    return out;
}

static void test_places(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{" TOKEN_BERT TOKEN_MODEL("") "}");
    assert_string_equal(run(t, "ABa caf\xC3\x89!", SIZE_MAX), "6:0-2 7:2-3 10:4-9 11:9-10");
    assert_string_equal(run(t,
                            "\x01"
                            "a\x02\xCC\x81"
                            "b\xE6\xBC\xA2",
                            SIZE_MAX),
                        "6:1-6 13:6-9");
    assert_string_equal(run(t, "", SIZE_MAX), "");
    assert_string_equal(run(t, " \x01", SIZE_MAX), "");
    assert_string_equal(run(t, "a b a b", 2), "4:0-1 5:2-3 4:4-5");
    hd__tokenizer_close(t);
}

static void test_added(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{\"added_tokens\":[" TOKEN_ADDED(
        "<m>", ",\"lstrip\":true,\"rstrip\":true") ",{\"content\":\"CAF\\u00c9\"}]," TOKEN_BERT TOKEN_MODEL("") "}");
    assert_string_equal(run(t, "a <m> b", SIZE_MAX), "4:0-1 14:1-6 5:6-7");
    assert_string_equal(run(t, "aCafe\xCC\x81 b<m>", SIZE_MAX), "4:0-1 15:1-5 5:8-9 14:9-12");
    assert_string_equal(run(t, "a <m> b", 1), "4:0-1 14:1-6");
    hd__tokenizer_close(t);
}

/* " X " normalised begins in the space that <m> has taken: places go back, and so does the library. */
static void test_overlap(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{\"added_tokens\":[{\"content\":\"<m>\",\"rstrip\":true},{\"content\":\"\\u6f22\"}]," TOKEN_BERT TOKEN_MODEL(
            "") "}");
    assert_string_equal(run(t,
                            "a<m>\xE6\xBC\xA2"
                            "b",
                            SIZE_MAX),
                        "4:0-1 14:1-7 13:4-7 5:7-8");
    hd__tokenizer_close(t);
}

/* More than one part, cut after white space or, where there is none, not cut. */
static void test_parts(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}," TOKEN_MODEL("") "}");
    enum { N = 30000 };
    static char text[N + 1];
    for (size_t i = 0; i < N; i++)
        text[i] = "ab "[i % 3];
    hd_token_list list = {0};
    hd_error err;
    assert_true(t->cuttable);
    assert_int_equal(hd__pipeline_run(t, hd__span_of(text), SIZE_MAX, false, &list, &err), HD_OK);
    assert_int_equal(list.n, N / 3);
    for (size_t i = 0; i < list.n; i++) {
        assert_int_equal(list.tokens[i].id, 6);
        assert_int_equal(list.tokens[i].byte_begin, i * 3);
        assert_int_equal(list.tokens[i].byte_end, i * 3 + 2);
    }
    list.n = 0;
    memset(text, 'a', N);
    assert_int_equal(hd__pipeline_run(t, hd__span_of(text), SIZE_MAX, false, &list, &err), HD_OK);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.tokens[0].byte_end, N);
    hd__free(list.tokens);
    hd__tokenizer_close(t);
}

static void test_cuttable(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool cuttable;
    } cases[] = {
        {"{" TOKEN_BERT TOKEN_MODEL("") "}", true},
        {"{" TOKEN_MODEL("") "}", false},
        {"{\"pre_tokenizer\":{\"type\":\"Punctuation\"}," TOKEN_MODEL("") "}", false},
        {"{\"normalizer\":{\"type\":\"Strip\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"}," TOKEN_MODEL("") "}", false},
        {"{\"added_tokens\":[" TOKEN_ADDED("a b", "") "]," TOKEN_BERT TOKEN_MODEL("") "}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_tokenizer *t = token_open(cases[i].json);
        assert_int_equal(t->cuttable, cases[i].cuttable);
        hd__tokenizer_close(t);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{\"added_tokens\":[{\"content\":\"<m>\"}]," TOKEN_BERT TOKEN_MODEL("") "}");
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_token_list list = {0};
        hd_error err;
        assert_true(n < 100);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__pipeline_run(t, hd__span_of("a caf\xC3\xA9 <m> abab"), SIZE_MAX, false, &list, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__free(list.tokens);
    }
    hd__tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places), cmocka_unit_test(test_added),    cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_parts),  cmocka_unit_test(test_cuttable), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
