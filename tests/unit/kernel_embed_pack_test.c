/* Tests of kernel/embed_pack.c: rows come back within half a step of their type, and touch nothing beside them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/rows.h"

enum { MOST = 200, STRIDE = 256, N_ROWS = 3 };

static uint32_t seed = 11;

static float random_word(float size)
{
    seed = seed * 1664525u + 1013904223u;
    return size * ((float)(seed >> 8) / (float)(1 << 23) - 1.0f);
}

/* What the table's row 1 gives back, and the largest error there may be. */
static float word(k_type type, const void *words, const float *scale, int i)
{
    const size_t at = STRIDE + (size_t)i;
    return type == K_F32    ? ((const float *)words)[at]
           : type == K_BF16 ? k_f32_from_bf16(((const uint16_t *)words)[at])
                            : scale[1] * (float)((const int8_t *)words)[at];
}

static void check_row(k_type type, int n, float size)
{
    static const uint32_t untouched = 0x5a5a5a5a;
    float row[MOST], scale[N_ROWS] = {-1.0f, -1.0f, -1.0f};
    uint32_t words[N_ROWS * STRIDE];
    memset(words, 0x5a, sizeof words);
    for (int i = 0; i < n; i++)
        row[i] = random_word(size);
    k_embed_pack(type, row, n, STRIDE, 1, words, scale);
    for (int i = 0; i < n; i++) {
        const float error = fabsf(word(type, words, scale, i) - row[i]);
        const float bound = type == K_F32 ? 0.0f : type == K_BF16 ? fabsf(row[i]) / 256.0f + FLT_MIN : 0.5001f * scale[1];
        if (!(error <= bound))
            fail_msg("type %d, %d values up to %g: number %d is off by %g of %g", (int)type, n, (double)size, i,
                     (double)error, (double)bound);
    }
    const size_t bytes = k_type_bytes(type), first = STRIDE * bytes, end = first + (size_t)n * bytes;
    for (size_t i = 0; i < sizeof words; i++)
        if (i < first || i >= end)
            assert_int_equal(((const uint8_t *)words)[i], untouched & 0xff);
    assert_true(scale[0] == -1.0f && scale[2] == -1.0f && (type == K_I8) == (scale[1] != -1.0f));
}

static void rows_test(void **state)
{
    (void)state;
    static const float sizes[] = {1.0f, 3e38f, 1e-30f, FLT_MIN, 0.0f};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int n = 1; n <= MOST; n++) {
            check_row(K_F32, n, sizes[i]);
            check_row(K_BF16, n, sizes[i]);
            check_row(K_I8, n, sizes[i]);
        }
    }
}

static void not_finite_test(void **state)
{
    (void)state;
    static const float spoilt[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3 * MOST; i++) {
        float row[MOST], scale[N_ROWS];
        int8_t words[N_ROWS * STRIDE] = {0};
        for (int j = 0; j < MOST; j++)
            row[j] = random_word(1.0f);
        row[i / 3] = spoilt[i % 3];
        k_embed_pack(K_I8, row, MOST, STRIDE, 1, words, scale);
        assert_true(isnan(word(K_I8, words, scale, MOST - 1)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_test), cmocka_unit_test(not_finite_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
