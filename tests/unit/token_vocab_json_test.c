/* The vocabulary inside tokenizer.json: found past anything, read with every escape, refused when malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "token/tokenizer_parts.h"

static hd_error err;

static void found_at(const char *json, long wanted)
{
    size_t begin = 0;
    bool found = hd__vocab_json_find(hd__span_of(json), &begin);
    assert_int_equal(found ? (long)begin : -1, wanted);
}

static void test_find(void **state)
{
    (void)state;
    found_at("{\"model\":{\"vocab\":{}}}", 18);
    found_at(" { \"x\" : [1,{\"model\":{}},\"]\\\"\"], \"y\":-1.5e3,\"z\":null, \"model\" : { \"t\":{\"vocab\":[]} "
             ",\"vocab\" : {",
             94);
    found_at("{\"a\":{},\"b\":[],\"c\":\"\",\"model\":{\"vocab\":{}}}", 39);
    found_at("{\"model\":{\"vocab\":[]}}", 18); /* of a Unigram model */
    found_at("{\"model\":{\"vocab\":1}}", -1);
    found_at("{\"model\":{}}", -1);
    found_at("{\"model\":[]}", -1);
    found_at("{}", -1);
    found_at("", -1);
    found_at("[", -1);
    found_at("{\"a", -1);
    found_at("{\"a\\", -1);
    found_at("{\"a\":[[[", -1);
    found_at("{\"a\":]", -1);
    found_at("{\"a\" \"model\":{\"vocab\":{}}}", -1);
}

static hd_status read_all(const char *json, hd_vocab *vocab, size_t *len)
{
    hd__vocab_init(vocab);
    return hd__vocab_json_read(hd__span_of(json), "t.json", vocab, len, &err);
}

static void test_read(void **state)
{
    (void)state;
    hd_vocab v;
    size_t len;
    assert_int_equal(
        read_all("{ \"a\" : 0 , \"\\u00e9\\ud83d\\ude00\":1,\"\\\"\\\\\\/\\b\\f\\n\\r\\t\":2,\"\xC3\xA9\":\n3,\"\":4}x", &v,
                 &len),
        HD_OK);
    assert_int_equal(len, 69);
    assert_int_equal(v.n_records, 5);
    assert_int_equal(hd__vocab_build(&v, hd__span_of("##"), &err), HD_OK);
    assert_string_equal(hd__vocab_text(&v, 1).ptr, "\xC3\xA9\xF0\x9F\x98\x80");
    assert_string_equal(hd__vocab_text(&v, 2).ptr, "\"\\/\b\f\n\r\t");
    assert_string_equal(hd__vocab_text(&v, 3).ptr, "\xC3\xA9");
    hd__vocab_clear(&v);
    assert_int_equal(read_all("{ }", &v, &len), HD_OK);
    assert_int_equal(len, 3);
    assert_int_equal(v.n_records, 0);
}

static void refused(const char *json, hd_status status)
{
    hd_vocab v;
    size_t len;
    hd_status got = read_all(json, &v, &len);
    if (got != status || strstr(err.text, "t.json") == NULL)
        fail_msg("%s: %d", json, (int)got);
    hd__vocab_clear(&v);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "{a:1}",
        "{\"a\":-1}",
        "{\"a\":01}",
        "{\"a\":1.5}",
        "{\"a\":\"1\"}",
        "{\"a\":null}",
        "{\"\\x\":1}",
        "{\"\\u12\":1}",
        "{\"\\u12g4\":1}",
        "{\"\\ud800\":1}",
        "{\"\\ud800\\u0041\":1}",
        "{\"\\udc00\":1}",
        "{\"\xC3\":1}",
        "{\"\xFF\":1}",
        "{\"a\nb\":1}",
        "{\"a\\",
        "{\"a\\\"",
        "{\"\\ud800\\udc0\":1}",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        refused(malformed[i], HD_ERR_FORMAT);
    refused("{\"a\":2000000}", HD_ERR_LIMIT);
    refused("{\"a\":999999999999}", HD_ERR_LIMIT);
    refused("{\"a\":99999999999999999999}", HD_ERR_LIMIT);
}

static void test_long_tokens(void **state)
{
    (void)state;
    static char json[HD_LIMIT_TOKEN_BYTES * 6 + 32];
    for (size_t n = HD_LIMIT_TOKEN_BYTES; n <= HD_LIMIT_TOKEN_BYTES + 1; n++) {
        hd_status wanted = n == HD_LIMIT_TOKEN_BYTES ? HD_OK : HD_ERR_LIMIT;
        hd_vocab v;
        size_t len;
        memcpy(json, "{\"", 2);
        memset(json + 2, 'x', n);
        strcpy(json + 2 + n, "\":0}");
        assert_int_equal(read_all(json, &v, &len), wanted);
        hd__vocab_clear(&v);
        for (size_t i = 0; i < n; i++)
            memcpy(json + 2 + 6 * i, "\\u0041", 6);
        strcpy(json + 2 + 6 * n, "\":0}");
        assert_int_equal(read_all(json, &v, &len), wanted);
        hd__vocab_clear(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
