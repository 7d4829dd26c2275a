/* Conversions to f32: every f16 and bf16 value against arithmetic, lengths around the block, alignment, and the
 * check for values that are not finite. */
#include "model/convert.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float f16_value(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31);
    float fraction = (float)(bits & 1023);
    float magnitude = exponent == 0 ? ldexpf(fraction, -24) : ldexpf(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void converts_every_f16(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        uint16_t in = (uint16_t)bits;
        float out;
        bool finite = hd__convert_f16((const char *)&in, 1, &out);
        assert_int_equal(finite, (bits & 0x7c00) != 0x7c00);
        if (finite)
            assert_int_equal(bits_of(out), bits_of(f16_value(bits)));
    }
}

static void converts_every_bf16(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        uint16_t in = (uint16_t)bits;
        float out;
        bool finite = hd__convert_bf16((const char *)&in, 1, &out);
        assert_int_equal(bits_of(out), bits << 16);
        assert_int_equal(finite, isfinite(out) != 0);
    }
}

static void rounds_f64(void **state)
{
    (void)state;
    const struct {
        double in;
        float out;
        bool finite;
    } cases[] = {
        {1.0, 1.0f, true},       {-0.0, -0.0f, true},           {0.1, 0.1f, true},
        {1e-46, 0.0f, true},     {1e-40, 1e-40f, true},         {3.4028234e38, 3.4028234e38f, true},
        {1e39, INFINITY, false}, {-INFINITY, -INFINITY, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float out;
        assert_int_equal(hd__convert_f64((const char *)&cases[i].in, 1, &out), cases[i].finite);
        assert_int_equal(bits_of(out), bits_of(cases[i].out));
    }
    double nan = NAN;
    float out;
    assert_false(hd__convert_f64((const char *)&nan, 1, &out));
}

typedef bool convert_fn(const char *in, size_t n, float *out);

/* Finite everywhere at any length and offset; then one infinity or NaN, at each place, is seen. */
static void check_lengths(convert_fn *convert, const void *plain, const void *special, size_t size)
{
    enum { MOST = 300 };
    char *in = calloc(1, MOST * size + 1);
    float *out = malloc(MOST * sizeof *out + sizeof *out);
    for (size_t n = 0; n <= MOST; n += n < 140 ? 1 : 37) {
        char *at = in + n % 2;
        for (size_t i = 0; i < n; i++)
            memcpy(at + i * size, plain, size);
        out[n] = 7;
        assert_true(convert(at, n, out));
        assert_true(out[n] == 7);
        for (size_t i = 0; i < n; i++) {
            assert_true(out[i] == 1.5f);
            memcpy(at + i * size, special, size);
            assert_false(convert(at, n, out));
            assert_true(isfinite(out[i]) == 0);
            memcpy(at + i * size, plain, size);
        }
    }
    free(in);
    free(out);
}

static void handles_every_length(void **state)
{
    (void)state;
    const uint16_t f16[] = {0x3e00, 0x7c00, 0xfe00}, bf16[] = {0x3fc0, 0xff80, 0x7fc0};
    const float f32[] = {1.5f, INFINITY, NAN};
    const double f64[] = {1.5, -INFINITY, NAN};
    for (int special = 1; special <= 2; special++) {
        check_lengths(hd__convert_f16, &f16[0], &f16[special], sizeof *f16);
        check_lengths(hd__convert_bf16, &bf16[0], &bf16[special], sizeof *bf16);
        check_lengths(hd__convert_f32, &f32[0], &f32[special], sizeof *f32);
        check_lengths(hd__convert_f64, &f64[0], &f64[special], sizeof *f64);
    }
}

static void keeps_f32_bits(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    uint32_t *in = malloc(N * sizeof *in), *out = malloc(N * sizeof *out), x = 1;
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        in[i] = (x & 0x7f800000u) != 0x7f800000u ? x : x & ~0x00800000u;
    }
    assert_true(hd__convert_f32((const char *)in, N, (float *)out));
    assert_memory_equal(in, out, N * sizeof *in);
    free(in);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_every_f16),   cmocka_unit_test(converts_every_bf16), cmocka_unit_test(rounds_f64),
        cmocka_unit_test(handles_every_length), cmocka_unit_test(keeps_f32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
