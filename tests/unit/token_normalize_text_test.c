/* The steps of a normaliser: what they make of text, and which bytes each character then stands for. Expected values
 * are those of the `tokenizers` library. */
#include "token/normalizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;

/* Runs the steps on text: "normalised|begin-end begin-end ...". */
static const char *run(const char *text, const hd_norm_step *steps, size_t n_steps)
{
    static char out[4096];
    hd_normalizer normalizer = {.steps = (hd_norm_step *)(uintptr_t)steps, .n_steps = n_steps};
    hd_norm_text chars = {0}, spare = {0};
    hd_buffer utf8;
    hd__buffer_init(&utf8);
    if (hd__norm_text_decode(&chars, hd__span_of(text), 0, &err) != HD_OK ||
        hd__normalizer_run(&normalizer, &chars, &spare, &err) != HD_OK || hd__norm_text_encode(&chars, &utf8, &err) != HD_OK)
        fail_msg("%s", err.text);
    int at = snprintf(out, sizeof out, "%.*s|", (int)utf8.len, utf8.ptr);
    for (size_t i = 0; i < chars.n; i++)
        at += snprintf(out + at, sizeof out - (size_t)at, "%s%u-%u", i > 0 ? " " : "", chars.chars[i].begin,
                       chars.chars[i].end);
    hd__buffer_clear(&utf8);
    hd__norm_text_clear(&chars);
    hd__norm_text_clear(&spare);
    return out;
}

#define RUN(text, ...)                                                                                                      \
    run(text, (const hd_norm_step[]){__VA_ARGS__}, sizeof((hd_norm_step[]){__VA_ARGS__}) / sizeof(hd_norm_step))
#define STEP(k)                                                                                                             \
    {                                                                                                                       \
        .kind = HD_NORM_##k                                                                                                 \
    }

static void test_bert(void **state)
{
    (void)state;
    hd_norm_step all = {
        .kind = HD_NORM_BERT, .clean_text = true, .chinese_chars = true, .strip_accents = true, .lowercase = true};
    assert_string_equal(run("\xC3\x89\t\x01"
                            "B\xEF\xBF\xBD",
                            &all, 1),
                        "e b|0-2 2-3 4-5");
    assert_string_equal(run("a\xE6\xBC\xA2", &all, 1), "a \xE6\xBC\xA2 |0-1 1-4 1-4 1-4");
    assert_string_equal(run("\xC4\xB0", &all, 1), "i|0-2");
    assert_string_equal(run("", &all, 1), "|");
    assert_string_equal(run("\x01\x02", &all, 1), "|");
    hd_norm_step cased = {.kind = HD_NORM_BERT, .clean_text = true};
    assert_string_equal(run("\xC3\x89\x7F\xE2\x80\xA8", &cased, 1), "\xC3\x89 |0-2 3-6");
    hd_norm_step kept = {.kind = HD_NORM_BERT, .lowercase = true};
    assert_string_equal(run("\xC4\xB0", &kept, 1), "i\xCC\x87|0-2 0-2");
}

static void test_forms(void **state)
{
    (void)state;
    assert_string_equal(RUN("\xC3\xA9x", STEP(NFD)), "e\xCC\x81x|0-2 0-2 2-3");
    assert_string_equal(RUN("e\xCC\x81x", STEP(NFC)), "\xC3\xA9x|0-1 3-4");
    assert_string_equal(RUN("\xEF\xAC\x81", STEP(NFKD)), "fi|0-3 0-3");
    assert_string_equal(RUN("\xE1\xBA\x9B\xCC\xA3", STEP(NFKC)), "\xE1\xB9\xA9|0-3");
    assert_string_equal(RUN("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", STEP(NFC)), "\xEA\xB0\x81|0-3");
    assert_string_equal(RUN("\xEA\xB0\x81", STEP(NFD)), "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8|0-3 0-3 0-3");
}

/* Reordered marks stand for the place they moved to. */
static void test_order(void **state)
{
    (void)state;
    assert_string_equal(RUN("a\xCC\x81\xCC\xA3", STEP(NFD)), "a\xCC\xA3\xCC\x81|0-1 1-3 3-5");
    assert_string_equal(RUN("\xC3\xA1\xCC\xA3", STEP(NFD)), "a\xCC\xA3\xCC\x81|0-2 2-4 2-4");
    assert_string_equal(RUN("\xC3\xA1\xCC\xA3", STEP(NFC)), "\xE1\xBA\xA1\xCC\x81|0-2 2-4");
}

/* A run of marks longer than what is sorted by insertion: stable, by class. */
static void test_long_run(void **state)
{
    (void)state;
    hd_norm_text chars = {0}, spare = {0};
    hd_norm_step step = STEP(NFD);
    hd_normalizer normalizer = {.steps = &step, .n_steps = 1};
    char text[1 + 400] = "a";
    for (size_t i = 0; i < 200; i++)
        memcpy(text + 1 + 2 * i, i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3", 2); /* classes 230 and 220 */
    assert_int_equal(hd__norm_text_decode(&chars, hd__span(text, sizeof text), 0, &err), HD_OK);
    assert_int_equal(hd__normalizer_run(&normalizer, &chars, &spare, &err), HD_OK);
    assert_int_equal(chars.n, 201);
    for (size_t i = 1; i < chars.n; i++)
        assert_int_equal(chars.chars[i].code_point, i <= 100 ? 0x323 : 0x301);
    hd__norm_text_clear(&chars);
    hd__norm_text_clear(&spare);
}

static void test_others(void **state)
{
    (void)state;
    assert_string_equal(RUN("e\xCC\x81\xE0\xA4\x83z", STEP(STRIP_ACCENTS)), "ez|0-1 6-7");
    assert_string_equal(RUN("A\xC3\x89\xC4\xB0", STEP(LOWERCASE)), "a\xC3\xA9i\xCC\x87|0-1 1-3 3-5 3-5");
    assert_string_equal(RUN(" \xE3\x80\x80 a b \t", {.kind = HD_NORM_STRIP, .left = true, .right = true}),
                        "a b|5-6 6-7 7-8");
    assert_string_equal(RUN("  a ", {.kind = HD_NORM_STRIP, .left = true}), "a |2-3 3-4");
    assert_string_equal(RUN("  ", {.kind = HD_NORM_STRIP, .left = true, .right = true}), "|");
    static const uint32_t ab[] = {'a', 'b'}, x[] = {0xE9, 'y', 'z'};
    hd_norm_step replace = {.kind = HD_NORM_REPLACE, .pattern = ab, .n_pattern = 2, .content = x, .n_content = 3};
    assert_string_equal(run("aababa", &replace, 1), "a\xC3\xA9yz\xC3\xA9yza|0-1 2-3 2-3 2-3 4-5 4-5 4-5 5-6");
    replace.n_content = 0;
    assert_string_equal(run("aababa", &replace, 1), "aa|0-1 5-6");
    hd_norm_step prepend = {.kind = HD_NORM_PREPEND, .content = x, .n_content = 2};
    assert_string_equal(run("ab", &prepend, 1), "\xC3\xA9yab|0-1 0-1 0-1 1-2");
    assert_string_equal(run("", &prepend, 1), "|");
}

static void test_no_memory(void **state)
{
    (void)state;
    static const uint32_t x[] = {0xE9};
    hd_norm_step steps[] = {
        {.kind = HD_NORM_BERT, .clean_text = true, .chinese_chars = true, .strip_accents = true, .lowercase = true},
        {.kind = HD_NORM_REPLACE, .pattern = x, .n_pattern = 1, .content = x, .n_content = 1},
        {.kind = HD_NORM_PREPEND, .content = x, .n_content = 1},
        STEP(NFKC)};
    hd_normalizer normalizer = {.steps = steps, .n_steps = 4};
    char text[300 + 64];
    memset(text, 'a', 300);
    for (size_t i = 0; i < 64; i += 2)
        memcpy(text + 300 + i, i % 4 == 0 ? "\xCC\x81" : "\xCC\xA3", 2);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < 50);
        hd_norm_text chars = {0}, spare = {0};
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__norm_text_decode(&chars, hd__span(text, sizeof text), 0, &err);
        if (status == HD_OK)
            status = hd__normalizer_run(&normalizer, &chars, &spare, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__norm_text_clear(&chars);
        hd__norm_text_clear(&spare);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bert),     cmocka_unit_test(test_forms),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_long_run), cmocka_unit_test(test_others), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
