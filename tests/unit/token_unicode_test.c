/* The tables of code points: facts that must hold, and the places where the library's Unicode is an old one. */
#include "token/unicode.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void is(uint32_t c, uint32_t flags, uint32_t not_flags)
{
    if ((hd__unicode_flags(c) & flags) != flags || (hd__unicode_flags(c) & not_flags) != 0)
        fail_msg("U+%04X has flags %#x", c, hd__unicode_flags(c));
}

static void test_flags(void **state)
{
    (void)state;
    is('a', HD_UNICODE_WORD, HD_UNICODE_HAS_LOWER | HD_UNICODE_SPACE | HD_UNICODE_PUNCTUATION);
    is('A', HD_UNICODE_WORD | HD_UNICODE_HAS_LOWER, 0);
    is('_', HD_UNICODE_WORD | HD_UNICODE_PUNCTUATION, 0);
    is('$', HD_UNICODE_PUNCTUATION, HD_UNICODE_WORD);
    is('\'', HD_UNICODE_PUNCTUATION, HD_UNICODE_WORD);
    is('\t', HD_UNICODE_SPACE, HD_UNICODE_CONTROL);
    is('\v', HD_UNICODE_SPACE | HD_UNICODE_CONTROL, 0);
    is(0, HD_UNICODE_CONTROL, HD_UNICODE_SPACE);
    is(0xFFFD, HD_UNICODE_CONTROL, 0);
    is(0x85, HD_UNICODE_SPACE | HD_UNICODE_CONTROL, 0);
    is(0x200B, HD_UNICODE_CONTROL, HD_UNICODE_SPACE);
    is(0x3000, HD_UNICODE_SPACE, HD_UNICODE_CONTROL);
    is(0x0301, HD_UNICODE_NONSPACING | HD_UNICODE_MARK | HD_UNICODE_HAS_CLASS | HD_UNICODE_COMPOSES, 0);
    is(0x0903, HD_UNICODE_MARK, HD_UNICODE_NONSPACING);
    is(0x4E00, HD_UNICODE_CHINESE, 0);
    is(0x2B81F, HD_UNICODE_CHINESE, 0);
    is(0x2B820, 0, HD_UNICODE_CHINESE); /* a gap in the library's list */
    is(0x3042, 0, HD_UNICODE_CHINESE);
    is(0xAC00, HD_UNICODE_HAS_NFD, 0);
    is(0x10FFFF, 0, HD_UNICODE_WORD | HD_UNICODE_SPACE);
}

static void test_old_categories(void **state)
{
    (void)state;
    is(0x08D3, 0, HD_UNICODE_NONSPACING);  /* Mn since Unicode 11, not in the library's categories */
    is(0x2E4F, 0, HD_UNICODE_PUNCTUATION); /* Po since Unicode 12 */
    is(0x1E900, HD_UNICODE_HAS_LOWER, 0);  /* lower case is newer than that: Adlam is of Unicode 9 */
}

static void test_lower(void **state)
{
    (void)state;
    uint32_t out[HD_UNICODE_MAX_LOWER];
    assert_int_equal(hd__unicode_lower('Z', out), 1);
    assert_int_equal(out[0], 'z');
    assert_int_equal(hd__unicode_lower(0x130, out), 2);
    assert_int_equal(out[0], 'i');
    assert_int_equal(out[1], 0x307);
    assert_int_equal(hd__unicode_lower(0x10FFFF, out), 1);
    assert_int_equal(out[0], 0x10FFFF);
}

static void test_decompose(void **state)
{
    (void)state;
    uint32_t out[HD_UNICODE_MAX_DECOMPOSED];
    assert_int_equal(hd__unicode_nfd(0x1E69, out), 3);
    assert_int_equal(out[0], 's');
    assert_int_equal(out[1], 0x323);
    assert_int_equal(out[2], 0x307);
    assert_int_equal(hd__unicode_nfd(0xAC01, out), 3);
    assert_int_equal(out[0], 0x1100);
    assert_int_equal(out[1], 0x1161);
    assert_int_equal(out[2], 0x11A8);
    assert_int_equal(hd__unicode_nfd(0xAC00, out), 2);
    assert_int_equal(hd__unicode_nfd(0xFB01, out), 1);
    assert_int_equal(hd__unicode_nfkd(0xFB01, out), 2);
    assert_int_equal(hd__unicode_nfkd(0xE9, out), 2);
    assert_int_equal(hd__unicode_nfkd(0xAC01, out), 3);
    assert_int_equal(hd__unicode_nfkd(0xFDFA, out), 18);
}

static void test_compose(void **state)
{
    (void)state;
    assert_int_equal(hd__unicode_compose('e', 0x301), 0xE9);
    assert_int_equal(hd__unicode_compose('e', 'e'), 0);
    assert_int_equal(hd__unicode_compose(0x1100, 0x1161), 0xAC00);
    assert_int_equal(hd__unicode_compose(0xAC00, 0x11A8), 0xAC01);
    assert_int_equal(hd__unicode_compose(0xAC01, 0x11A8), 0);
    assert_int_equal(hd__unicode_compose(0xAC00, 0x11A7), 0);
    assert_int_equal(hd__unicode_compose(0x915, 0x93C), 0); /* composition excluded */
}

/* Every code point: sizes within their bounds, decompositions final, flags agreeing with what is mapped. */
static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        uint32_t flags = hd__unicode_flags(c), out[HD_UNICODE_MAX_DECOMPOSED];
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t n = hd__unicode_lower(c, out);
        assert_true(n >= 1 && n <= HD_UNICODE_MAX_LOWER);
        assert_int_equal(n != 1 || out[0] != c, (flags & HD_UNICODE_HAS_LOWER) != 0);
        n = hd__unicode_nfkd(c, out);
        assert_true(n >= 1 && n <= HD_UNICODE_MAX_DECOMPOSED);
        n = hd__unicode_nfd(c, out);
        assert_int_equal(n != 1 || out[0] != c, (flags & HD_UNICODE_HAS_NFD) != 0);
        for (size_t i = 0; i < n; i++)
            assert_false(hd__unicode_flags(out[i]) & HD_UNICODE_HAS_NFD);
        assert_int_equal(hd__unicode_class(c) != 0, (flags & HD_UNICODE_HAS_CLASS) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),     cmocka_unit_test(test_old_categories), cmocka_unit_test(test_lower),
        cmocka_unit_test(test_decompose), cmocka_unit_test(test_compose),        cmocka_unit_test(test_every_code_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
