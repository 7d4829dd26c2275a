/* Tests of kernel/gemm_pack.c: int8 weights within the bounds of gemm.h, rows of every kind, and as near as those allow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/gemm.h"

enum { K = 203, N_ROWS = 2000 };

static uint32_t seed = 7;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Small and large, of both signs and of one, ties of the rounding, and zeros. */
static float random_weight(int kind)
{
    const float uniform = (float)random_below(20001) / 10000.0f - 1.0f;
    switch (kind) {
    case 0: return uniform;
    case 1: return fabsf(uniform);
    case 2: return -1.0f;
    case 3: return uniform * uniform * uniform * (random_below(50) == 0 ? 30.0f : 1.0f);
    case 4: return (float)random_below(301) * 0.5f; /* halves of a step, when a lane says the scale */
    case 5: return random_below(20) == 0 ? uniform : 0.0f;
    default: return uniform * FLT_MIN * 1000.0f;
    }
}

static float most_of(float a, float b)
{
    return a > b ? a : b;
}

/* The sums of one sign of what a lane adds, q[8 i + 2 j + {0, 1, 4, 5}], by the contract; the largest of them. */
static float largest_sum(const float *values, int k)
{
    float most = 0.0f;
    for (int i = 0; i < k; i += 8) {
        for (int j = 0; j < 2; j++) {
            float plus = 0.0f, minus = 0.0f;
            for (int m = 0; m < 4; m++) {
                const int at = i + 2 * j + m / 2 * 4 + m % 2;
                const float value = at < k ? values[at] : 0.0f;
                *(value > 0.0f ? &plus : &minus) += fabsf(value);
            }
            most = most_of(most, most_of(plus, minus));
        }
    }
    return most;
}

static void check_row(bool narrow, const float *row, int k)
{
    static _Alignas(64) int8_t panels[K_PANEL * 4 * K_PAD];
    float scale = NAN, sum = NAN, back[K], codes[K], most = 0.0f, total = 0.0f;
    memset(panels, 0, sizeof panels);
    k_pack_rows(K_I8, narrow, k, 0, 1, row, panels, &scale, &sum);
    k_unpack_row(&(k_weights){.type = K_I8, .n = 1, .k = k, .k_pad = k_padded(k), .panels = panels, .scale = &scale}, 0,
                 back);
    for (int i = 0; i < k; i++) {
        most = most_of(most, fabsf(row[i]));
        codes[i] = roundf(back[i] / scale);
        total += codes[i];
        assert_true(fabsf(codes[i]) <= K_I8_MAX);
        assert_true(fabsf(back[i] - row[i]) <= 0.5001f * scale);
    }
    assert_true(fabsf(sum - scale * total) <= 1e-6f * fabsf(sum));
    if (narrow)
        assert_true(largest_sum(codes, k) <= K_I8_NARROW_SUM);
    const float bound = most_of(most / K_I8_MAX, narrow ? largest_sum(row, k) / (K_I8_NARROW_SUM - 2) : 0.0f);
    assert_true(fabsf(scale - bound) <= 1e-5f * bound || bound < 3.0f * FLT_MIN);
}

static void bounds_test(void **state)
{
    (void)state;
    float row[K];
    for (int i = 0; i < N_ROWS; i++) {
        const int k = 1 + (int)random_below(K), kind = (int)random_below(7);
        for (int j = 0; j < k; j++)
            row[j] = random_weight(kind);
        check_row(false, row, k);
        check_row(true, row, k);
    }
}

static void not_finite_test(void **state)
{
    (void)state;
    static const float spoilt[] = {NAN, INFINITY, -INFINITY};
    for (int kind = 0; kind < 6; kind++) {
        _Alignas(64) int8_t panels[K_PANEL * 4 * K_PAD] = {0};
        float row[K], scale = 0.0f, sum = 0.0f;
        for (int j = 0; j < K; j++)
            row[j] = random_weight(0);
        row[random_below(K)] = row[random_below(K)] = spoilt[kind % 3];
        k_pack_rows(K_I8, kind > 2, K, 0, 1, row, panels, &scale, &sum);
        assert_true(isnan(scale) && isnan(sum));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds_test), cmocka_unit_test(not_finite_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
