/* norm.c: rows of known length; the values that llama.cpp's --embd-normalize gives. */
#include "wire/norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_row(const float *row, int p, const float expected[3])
{
    float out[3];
    hd__scale_row(row, 3, p, out);
    for (int i = 0; i < 3; i++)
        assert_float_equal(out[i], expected[i], 1e-7f);
}

static void test_norms(void **state)
{
    (void)state;
    const float row[] = {3.0f, -4.0f, 0.0f};
    assert_row(row, HD_NORM_NONE, row);
    assert_row(row, HD_NORM_EUCLIDEAN, (const float[]){0.6f, -0.8f, 0.0f});
    assert_row(row, 1, (const float[]){3.0f / 7.0f, -4.0f / 7.0f, 0.0f});
    assert_row(row, 3, (const float[]){0.66697178f, -0.88929571f, 0.0f}); /* 91 to the power of 1/3 is 4.497941… */
    float out[3];
    hd__scale_row(row, 3, HD_NORM_MAX, out);
    assert_true(out[0] == 24570.0f && out[1] == -32760.0f && out[2] == 0.0f);
}

/* In place, and where nothing can be divided by. */
static void test_edges(void **state)
{
    (void)state;
    const float zero[] = {0.0f, 0.0f, 0.0f}, tiny[] = {1e-30f, 0.0f, 0.0f}, large[] = {3e38f, 0.0f, 0.0f};
    for (int p = HD_NORM_NONE; p < 5; p++)
        assert_row(zero, p, zero);
    assert_row(tiny, HD_NORM_EUCLIDEAN, (const float[]){1.0f, 0.0f, 0.0f}); /* its square is no float */
    assert_row(large, HD_NORM_EUCLIDEAN, (const float[]){1.0f, 0.0f, 0.0f});
    float row[] = {0.0f, 0.0f, -5.0f};
    hd__scale_row(row, 3, HD_NORM_EUCLIDEAN, row);
    assert_true(row[2] == -1.0f);
    hd__scale_row(row, 0, HD_NORM_EUCLIDEAN, row);
    assert_true(row[2] == -1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_norms), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
