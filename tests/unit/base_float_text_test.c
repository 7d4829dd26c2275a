/* Tests of base/float_text.c: known texts, round trip, and that no shorter decimal would do.
 *
 * HEDDLE_FLOATS=n sets how many random floats are tried (default 1 million); "all" tries all 2^32. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const char *text_of(float value)
{
    static char text[HD_FLOAT_TEXT_BYTES + 1];
    memset(text, '#', sizeof text);
    size_t n = hd__float_text(value, text);
    assert_true(n <= HD_FLOAT_TEXT_BYTES);
    text[n] = '\0';
    return text;
}

static void test_known(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } known[] = {
        {0.0f, "0.0"},
        {-0.0f, "-0.0"},
        {1.0f, "1.0"},
        {-1.0f, "-1.0"},
        {0.1f, "0.1"},
        {0.3f, "0.3"},
        {1.0f / 3, "0.33333334"},
        {100.0f, "100.0"},
        {123456.0f, "123456.0"},
        {0.5f, "0.5"},
        {1.5f, "1.5"},
        {-0.0625f, "-0.0625"},
        {1e-5f, "0.00001"},
        {1.25e-5f, "0.0000125"},
        {9.9e-6f, "9.9e-6"},
        {1e-10f, "1e-10"},
        {999999.94f, "999999.94"},
        {16777216.0f, "16777216.0"},
        {100000000.0f, "100000000.0"},
        {1e9f, "1e9"},
        {3.4028235e38f, "3.4028235e38"},
        {1.17549435e-38f, "1.1754944e-38"},
        {1e-45f, "1e-45"},
        {2.8e-45f, "3e-45"},
        {9.8607613e-32f, "9.8607613e-32"},
        {8.5e-44f, "8.5e-44"},
        {33554432.0f, "33554432.0"},
        {0.0099999998f, "0.01"},
        {5.0e-20f, "5e-20"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
        {NAN, "null"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_string_equal(text_of(known[i].value), known[i].text);
}

/* Reads back as itself, and no decimal with one digit less does: those are the two neighbours at that length. */
static void check(uint32_t bits)
{
    float value = from_bits(bits);
    if (!isfinite(value))
        return;
    const char *text = text_of(value);
    float back = strtof(text, NULL);
    if (memcmp(&back, &value, sizeof back) != 0)
        fail_msg("%08x is %.9g, written %s, read back %.9g", bits, (double)value, text, (double)back);

    unsigned long long digits = 0;
    int n_digits = 0;
    for (const char *at = text; *at != '\0' && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && (n_digits > 0 || *at != '0')) {
            digits = digits * 10 + (unsigned)(*at - '0');
            n_digits++;
        }
    while (digits != 0 && digits % 10 == 0) {
        digits /= 10;
        n_digits--;
    }
    assert_true(n_digits <= 9);
    if (n_digits < 2)
        return;
    char shorter[40];
    snprintf(shorter, sizeof shorter, "%.*e", n_digits - 2, (double)value); /* the nearest of that length */
    back = strtof(shorter, NULL);
    if (memcmp(&back, &value, sizeof back) == 0)
        fail_msg("%08x written %s although %s is shorter", bits, text, shorter);
    snprintf(shorter, sizeof shorter, "%.*e", n_digits - 1, (double)value); /* nearest of the same length */
    float nearest = strtof(shorter, NULL);
    if (memcmp(&nearest, &value, sizeof nearest) == 0 && strtod(shorter, NULL) != strtod(text, NULL)) /* ties apart */
        assert_true(fabs(strtod(text, NULL) - (double)value) <= fabs(strtod(shorter, NULL) - (double)value));
}

static void test_every_exponent(void **state)
{
    (void)state;
    static const uint32_t fractions[] = {0, 1, 2, 3, 0x3FFFFF, 0x400000, 0x400001, 0x555555, 0x7FFFFE, 0x7FFFFF};
    for (uint32_t exponent = 0; exponent < 256; exponent++)
        for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++)
            for (uint32_t sign = 0; sign < 2; sign++)
                check(sign << 31 | exponent << 23 | fractions[i]);
}

static void test_small_subnormals_and_integers(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 5000; bits++)
        check(bits);
    for (int i = -5000; i < 5000; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%d.0", i);
        assert_string_equal(text_of((float)i), expected);
    }
}

static void test_many(void **state)
{
    (void)state;
    const char *wanted = getenv("HEDDLE_FLOATS");
    if (wanted != NULL && strcmp(wanted, "all") == 0) {
        for (uint64_t bits = 0; bits < 1u << 31; bits++) /* the sign is a character in front */
            check((uint32_t)bits);
        return;
    }
    uint64_t n = wanted != NULL ? strtoull(wanted, NULL, 10) : 1000000, state64 = 88172645463325252u;
    for (uint64_t i = 0; i < n; i++) {
        state64 ^= state64 << 13; /* xorshift64 */
        state64 ^= state64 >> 7;
        state64 ^= state64 << 17;
        check((uint32_t)(state64 >> 16));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_every_exponent),
        cmocka_unit_test(test_small_subnormals_and_integers),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
