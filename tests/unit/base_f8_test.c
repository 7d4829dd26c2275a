/* Tests of base/f8.h: every code, and the rounding between each pair of neighbours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "base/f8.h"

enum { SIGN = 0x80, MOST = 0x7e, A_NAN = 0x7f };

/* By the definition: sign, 2^(exponent - 7), 1.fraction or 0.fraction. */
static float value_of(unsigned code)
{
    const unsigned exponent = code >> 3 & 15, fraction = code & 7;
    const double magnitude = exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, (int)exponent - 10);
    return (float)(code & SIGN ? -magnitude : magnitude);
}

static void test_every_code(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= MOST; code++) {
        assert_int_equal(hd__f8_of(value_of(code)), code);
        assert_int_equal(hd__f8_of(value_of(code | SIGN)), code | SIGN); /* zeros keep their sign */
    }
    assert_true(value_of(MOST) == HD_F8_MOST && value_of(1) == 0x1p-9f && value_of(0x38) == 1.0f);
}

static void test_rounding(void **state)
{
    (void)state;
    for (unsigned code = 0; code < MOST; code++) {
        const float middle = (value_of(code) + value_of(code + 1)) / 2; /* exact */
        assert_int_equal(hd__f8_of(middle), code + (code & 1));
        assert_int_equal(hd__f8_of(nextafterf(middle, 0)), code);
        assert_int_equal(hd__f8_of(nextafterf(middle, INFINITY)), code + 1);
        assert_int_equal(hd__f8_of(-middle), (code + (code & 1)) | SIGN);
    }
    assert_int_equal(hd__f8_of(1e-40f), 0);
}

static void test_past_the_range(void **state)
{
    (void)state;
    assert_int_equal(hd__f8_of(448.00003f), MOST);
    assert_int_equal(hd__f8_of(480.0f), MOST);
    assert_int_equal(hd__f8_of(-1e30f), MOST | SIGN);
    assert_int_equal(hd__f8_of(INFINITY), MOST);
    assert_int_equal(hd__f8_of(-INFINITY), MOST | SIGN);
    assert_int_equal(hd__f8_of(NAN), A_NAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_past_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
