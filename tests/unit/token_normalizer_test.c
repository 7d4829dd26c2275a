/* Reading "normalizer" of tokenizer.json. */
#include "token/normalizer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;

static hd_status parse(const char *text, hd_arena *arena, hd_normalizer *n)
{
    json_t *json;
    assert_int_equal(hd__json_parse(hd__span_of(text), "t", &json, &err), HD_OK);
    hd_status status = hd__normalizer_parse(json, "t.json", arena, n, &err);
    json_decref(json);
    return status;
}

static void test_bert(void **state)
{
    (void)state;
    hd_arena arena;
    hd_normalizer n;
    hd__arena_init(&arena);
    assert_int_equal(parse("{\"type\":\"BertNormalizer\",\"strip_accents\":null}", &arena, &n), HD_OK);
    assert_int_equal(n.n_steps, 1);
    assert_true(n.local && n.steps[0].clean_text && n.steps[0].chinese_chars && n.steps[0].strip_accents &&
                n.steps[0].lowercase);
    assert_int_equal(parse("{\"type\":\"BertNormalizer\",\"lowercase\":false}", &arena, &n), HD_OK);
    assert_false(n.steps[0].strip_accents || n.steps[0].lowercase);
    assert_int_equal(
        parse("{\"type\":\"BertNormalizer\",\"lowercase\":false,\"strip_accents\":true,\"clean_text\":false}", &arena, &n),
        HD_OK);
    assert_true(n.steps[0].strip_accents);
    assert_false(n.steps[0].clean_text);
    hd__arena_clear(&arena);
}

static void test_sequence(void **state)
{
    (void)state;
    hd_arena arena;
    hd_normalizer n;
    hd__arena_init(&arena);
    assert_int_equal(hd__normalizer_parse(NULL, "t.json", &arena, &n, &err), HD_OK);
    assert_int_equal(n.n_steps, 0);
    assert_true(n.local);
    assert_int_equal(
        parse("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
              "\"Lowercase\"},{\"type\":\"StripAccents\"}]},{\"type\":\"NFC\"},{\"type\":\"NFKC\"},{\"type\":\"NFKD\"}]}",
              &arena, &n),
        HD_OK);
    static const hd_norm_kind kinds[] = {HD_NORM_NFD, HD_NORM_LOWERCASE, HD_NORM_STRIP_ACCENTS,
                                         HD_NORM_NFC, HD_NORM_NFKC,      HD_NORM_NFKD};
    assert_int_equal(n.n_steps, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(n.steps[i].kind, kinds[i]);
    assert_true(n.local);
    assert_int_equal(
        parse("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u00e9\\ud83d\\ude00\"},\"content\":\"\"}", &arena, &n),
        HD_OK);
    assert_int_equal(n.steps[0].n_pattern, 2);
    assert_int_equal(n.steps[0].pattern[1], 0x1F600);
    assert_int_equal(n.steps[0].n_content, 0);
    assert_false(n.local);
    assert_int_equal(parse("{\"type\":\"Prepend\",\"prepend\":\"ab\"}", &arena, &n), HD_OK);
    assert_int_equal(n.steps[0].n_content, 2);
    assert_int_equal(parse("{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", &arena, &n), HD_OK);
    assert_false(n.steps[0].left);
    assert_true(n.steps[0].right);
    hd__arena_clear(&arena);
}

static void refused(const char *text, hd_status status, const char *message)
{
    hd_arena arena;
    hd_normalizer n;
    hd__arena_init(&arena);
    hd_status got = parse(text, &arena, &n);
    if (got != status || strstr(err.text, message) == NULL || strstr(err.text, "t.json") == NULL)
        fail_msg("%d: %s", (int)got, err.text);
    hd__arena_clear(&arena);
}

static void test_refused(void **state)
{
    (void)state;
    refused("{}", HD_ERR_FORMAT, "no \"type\"");
    refused("[3]", HD_ERR_FORMAT, "no \"type\"");
    refused("{\"type\":\"Precompiled\"}", HD_ERR_FORMAT, "Precompiled needs a \"precompiled_charsmap\"");
    refused("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"?\"}", HD_ERR_FORMAT, "base64");
    refused("{\"type\":\"BertNormalizer\",\"lowercase\":1}", HD_ERR_FORMAT, "lowercase");
    refused("{\"type\":\"Strip\",\"strip_left\":1}", HD_ERR_FORMAT, "strip_left");
    refused("{\"type\":\"Sequence\"}", HD_ERR_FORMAT, "normalizers");
    refused("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\" \"}", HD_ERR_FORMAT, "regular expression");
    refused("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\" \"}", HD_ERR_FORMAT, "non-empty");
    refused("{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", HD_ERR_FORMAT, "content");
    refused("{\"type\":\"Prepend\"}", HD_ERR_FORMAT, "prepend");
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    json_t *json;
    assert_int_equal(hd__json_parse(hd__span_of("{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"b\"}"),
                                    "t", &json, &err),
                     HD_OK);
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < 20);
        hd_arena arena;
        hd_normalizer normalizer;
        hd__arena_init(&arena);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__normalizer_parse(json, "t.json", &arena, &normalizer, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__arena_clear(&arena);
    }
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bert),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
