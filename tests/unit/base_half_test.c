/* Tests of base/half.h: every half both ways, and the rounding between each pair of neighbours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "base/half.h"

enum { INFINITE = 0x7C00, SIGN = 0x8000 };

/* By the definition: sign, 2^(exponent - 15), 1.fraction or 0.fraction. */
static double value_of(unsigned half)
{
    const unsigned exponent = half >> 10 & 31, fraction = half & 1023;
    const double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, (int)exponent - 25);
    return half & SIGN ? -magnitude : magnitude;
}

static float widened(unsigned half)
{
    return hd__float_of_bits(hd__half_widen((uint16_t)half));
}

static void test_every_half(void **state)
{
    (void)state;
    for (unsigned half = 0; half < INFINITE; half++) {
        for (unsigned sign = 0; sign <= SIGN; sign += SIGN) {
            assert_true((double)widened(half | sign) == value_of(half | sign));
            assert_int_equal(hd__half_of(widened(half | sign)), half | sign); /* zeros keep their sign */
        }
    }
    assert_true(widened(INFINITE) == INFINITY && widened(INFINITE | SIGN) == -INFINITY);
    for (unsigned nan = INFINITE + 1; nan < SIGN; nan++)
        assert_true(isnan(widened(nan)));
}

static void test_rounding(void **state)
{
    (void)state;
    for (unsigned half = 0; half + 1 < INFINITE; half++) {
        const float middle = (float)((value_of(half) + value_of(half + 1)) / 2); /* 12 bits: exact */
        assert_int_equal(hd__half_of(middle), half + (half & 1));
        assert_int_equal(hd__half_of(nextafterf(middle, 0)), half);
        assert_int_equal(hd__half_of(nextafterf(middle, INFINITY)), half + 1);
        assert_int_equal(hd__half_of(-middle), (half + (half & 1)) | SIGN);
    }
}

static void test_past_the_range(void **state)
{
    (void)state;
    assert_int_equal(hd__half_of(65519.996F), 0x7BFF); /* the largest half is 65504, the next would be 65536 */
    assert_int_equal(hd__half_of(65520.0F), INFINITE);
    assert_int_equal(hd__half_of(-1e30F), INFINITE | SIGN);
    assert_int_equal(hd__half_of(INFINITY), INFINITE);
    assert_int_equal(hd__half_of(-INFINITY), INFINITE | SIGN);
    assert_true(isnan(widened(hd__half_of(NAN))));
    assert_int_equal(hd__half_of(1e-30F), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_past_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
