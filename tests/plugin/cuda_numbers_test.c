/* cuda_numbers_test.c - the arithmetic of single values that the CUDA plugin's kernels are made of (plugins/cuda/numbers.h),
 * compiled for this machine, beside the plain loops in double of host_operations.h.
 */
#include "cuda/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host_operations.h"

enum { N = 64, N_ROWS = 6, N_CHANNELS = 3 };

static float random_float(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return (float)(*state >> 8) / (float)(1 << 23) - 1.0f;
}

static void check_near(float got, float wanted, float allowed)
{
    if (isnan(wanted) ? !isnan(got) : !(fabsf(got - wanted) <= allowed * fmaxf(1.0f, fabsf(wanted))))
        fail_msg("%.9g, wanted %.9g", (double)got, (double)wanted);
}

/* Values in the order of their bits, halves between two bf16 among them: the host's rounding says what is right. */
static void test_bf16(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 0x1001) {
        const uint32_t bits = i % 2 == 0 ? (uint32_t)i : (uint32_t)(i & 0xffff0000) | 0x8000;
        float value;
        uint16_t wanted;
        memcpy(&value, &bits, sizeof value);
        host_convert(&(hd_plugin_convert){
            .x = &value, .stride = 1, .n_rows = 1, .n = 1, .act = {.type = HD_PLUGIN_BF16, .data = &wanted, .stride = 1}});
        assert_int_equal(bf16_of_f32(value), wanted);
        if (!isnan(value))
            assert_int_equal(bf16_of_f32(f32_of_bf16(wanted)), wanted);
    }
}

/* The same of f16, around its subnormal numbers and the end of its range too; every half there and back. */
static void test_f16(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 0x801) {
        const uint32_t bits = i % 2 == 0 ? (uint32_t)i : (uint32_t)(i & 0xffffe000) | 0x1000;
        float value;
        uint16_t wanted;
        memcpy(&value, &bits, sizeof value);
        host_convert(&(hd_plugin_convert){
            .x = &value, .stride = 1, .n_rows = 1, .n = 1, .act = {.type = HD_PLUGIN_F16, .data = &wanted, .stride = 1}});
        assert_int_equal(f16_of_f32(value), wanted);
        assert_int_equal(isnan(f32_of_f16(wanted)) != 0, !(fabsf(value) < 65520.0f));
    }
    for (uint32_t i = 0; i < 0x10000; i++) {
        const bool is_finite = (i & 0x7c00) != 0x7c00;
        assert_int_equal(f16_of_f32(f32_of_f16((uint16_t)i)), is_finite ? i : 0x7fff);
    }
    for (uint32_t i = 0; i < 0x10000; i++) {
        const uint32_t pair = without_infinities(i << 16 | (0xffff - i)), halves[] = {pair & 0xffff, pair >> 16};
        const uint32_t were[] = {0xffff - i, i};
        for (size_t k = 0; k < 2; k++)
            assert_true((were[k] & 0x7c00) == 0x7c00 ? (halves[k] & 0x7fff) > 0x7c00 : halves[k] == were[k]);
    }
    assert_true(f32_of_f16(1) == 0x1p-24f && f32_of_f16(0xbc00) == -1.0f && f32_of_f16(0x7bff) == 65504.0f);
}

/* All codes there and back; values around each of them, halves between two and the end of the range, by the host's
 * rounding; rows with values that are not finite, and one too small to have a scale. */
static void test_f8(void **state)
{
    (void)state;
    for (int code = 0; code < 256; code++) {
        const float value = f32_of_f8((uint8_t)code);
        assert_int_equal(isnan(value) != 0, (code & 127) == 127);
        assert_int_equal(f8_of_f32(value), isnan(value) ? 127 : code);
    }
    assert_true(f32_of_f8(1) == 0x1p-9f && f32_of_f8(0x38) == 1.0f && f32_of_f8(0xfe) == -448.0f);
    assert_true(f8_of_f32(-1e30f) == 0xfe && f8_of_f32(INFINITY) == 0x7e && f8_of_f32(464.0f) == 0x7e &&
                f8_of_f32(-0.0f) == 0x80);
    for (int code = 0; code < 126; code++) {
        const float low = f32_of_f8((uint8_t)code), half = 0.5f * (low + f32_of_f8((uint8_t)(code + 1)));
        assert_int_equal(f8_of_f32(half), code + code % 2);
        assert_int_equal(f8_of_f32(nextafterf(half, 0.0f)), code);
        assert_int_equal(f8_of_f32(-nextafterf(half, INFINITY)), 128 + code + 1);
    }
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 0x10001) {
        const uint32_t bits = i % 2 == 0 ? (uint32_t)i : (uint32_t)(i & 0xfff00000) | 0x80000;
        float row[2] = {448.0f}, scale;
        uint8_t wanted[2];
        memcpy(&row[1], &bits, sizeof bits);
        host_convert(&(hd_plugin_convert){.x = row,
                                          .stride = 2,
                                          .n_rows = 1,
                                          .n = 2,
                                          .act = {.type = HD_PLUGIN_F8, .data = wanted, .stride = 2, .scale = &scale}});
        const float own = f8_scale(fmaxf(448.0f, fabsf(row[1])), isfinite(row[1]));
        assert_true(own == scale || (isnan(own) && isnan(scale) && !isfinite(row[1])));
        assert_int_equal(f8_of_f32(row[0] / own), wanted[0]);
        assert_int_equal(f8_of_f32(row[1] / own), wanted[1]);
    }
    assert_true(f8_scale(0.0f, true) == 1.0f && f8_scale(1e-31f, true) == 1.0f && f8_scale(1e-29f, true) == 1e-29f / 448.0f);
}

/* Rows: small and large values, constant ones, one with a NaN, one with an infinity. Whole products are what the bytes and
 * the sums of the host's give, from other bytes. */
static void test_bytes(void **state)
{
    (void)state;
    static const int32_t act_maxima[] = {127, 255};
    float rows[N_ROWS][N], bias[N_CHANNELS] = {0}, scale[N_CHANNELS] = {0.01f, 3.7e-4f, 0.0f}, channel_sum[N_CHANNELS];
    uint8_t theirs[N_ROWS][N];
    int8_t weights[N_CHANNELS][N];
    uint32_t seed = 7;
    for (size_t j = 0; j < N; j++) {
        rows[0][j] = random_float(&seed);
        rows[1][j] = 1e6f * random_float(&seed) + 3e5f;
        rows[2][j] = -0.25f;
        rows[3][j] = j == 5 ? NAN : 1.0f;
        rows[4][j] = j == 5 ? INFINITY : 1.0f;
        rows[5][j] = j == 63 ? 1.0f : 0.0f;
    }
    for (size_t c = 0; c < N_CHANNELS; c++) {
        int sum = 0;
        for (size_t j = 0; j < N; j++)
            sum += weights[c][j] = (int8_t)(scale[c] > 0.0f ? 127.0f * random_float(&seed) : 0.0f);
        channel_sum[c] = scale[c] * (float)sum;
    }
    for (size_t m = 0; m < sizeof act_maxima / sizeof act_maxima[0]; m++) {
        float scales[N_ROWS], offsets[N_ROWS], wanted[N_ROWS][N_CHANNELS];
        const hd_plugin_act act = {
            .type = HD_PLUGIN_I8, .act_max = act_maxima[m], .data = theirs, .stride = N, .scale = scales, .offset = offsets};
        host_convert(&(hd_plugin_convert){.x = rows[0], .stride = N, .n_rows = N_ROWS, .n = N, .act = act});
        host_linear(&(hd_plugin_linear){.weights = {.type = HD_PLUGIN_I8,
                                                    .k = N,
                                                    .rows = weights,
                                                    .stride = N,
                                                    .bias = bias,
                                                    .scale = scale,
                                                    .channel_sum = channel_sum},
                                        .in = act,
                                        .n_rows = N_ROWS,
                                        .end = N_CHANNELS,
                                        .out = wanted,
                                        .out_stride = N_CHANNELS});
        for (size_t i = 0; i < N_ROWS; i++) {
            float least = INFINITY, most = -INFINITY, own_scale, own_offset;
            bool finite = true;
            for (size_t j = 0; j < N; j++) {
                finite = finite && isfinite(rows[i][j]);
                least = fminf(least, rows[i][j]);
                most = fmaxf(most, rows[i][j]);
            }
            byte_range(least, most, finite, act.act_max, &own_scale, &own_offset);
            check_near(own_scale, scales[i], 0.0f);
            check_near(own_offset, offsets[i], 0.0f);
            int8_t own[N];
            for (size_t j = 0; j < N; j++) {
                own[j] = byte_of_f32(rows[i][j], own_scale, own_offset, act.act_max);
                assert_in_range(own[j] + BYTE_SHIFT - theirs[i][j] + 1, 0, 2); /* a half may go the other way in 32 bits */
                own[j] = (int8_t)(theirs[i][j] - BYTE_SHIFT);
            }
            for (size_t c = 0; c < N_CHANNELS; c++) {
                int32_t sum = 0;
                for (size_t j = 0; j < N; j++)
                    sum += own[j] * weights[c][j];
                check_near(product_of_bytes(sum, own_scale, own_offset, scale[c], channel_sum[c]), wanted[i][c], 1e-5f);
            }
        }
    }
}

/* Through a product of one row, one input and one channel. */
static void test_epilogues(void **state)
{
    (void)state;
    static const float values[] = {0.0f,  -0.0f, 1e-6f, -1e-6f, 0.3f,  -0.3f,     1.0f,     -1.0f,
                                   2.5f,  -2.5f, 6.0f,  -6.0f,  30.0f, -30.0f,    100.0f,   -100.0f,
                                   1e30f, -4.0f, 4.0f,  -12.0f, NAN,   -INFINITY, INFINITY, 88.0f};
    const float one = 1.0f, zero = 0.0f;
    for (int epilogue = HD_PLUGIN_STORE; epilogue <= HD_PLUGIN_TANH; epilogue++) {
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            float value = values[i], out = 0.7f;
            host_linear(&(hd_plugin_linear){.weights = {.k = 1, .rows = &one, .stride = 1, .bias = &zero},
                                            .in = {.data = &value, .stride = 1},
                                            .n_rows = 1,
                                            .end = 1,
                                            .epilogue = (hd_plugin_epilogue)epilogue,
                                            .out = &out,
                                            .out_stride = 1});
            const float got = epilogue_of((hd_plugin_epilogue)epilogue, value, 0.7f);
            if (isinf(out))
                assert_true(got == out);
            else
                check_near(got, out, 4e-7f);
        }
    }
}

/* The quick one, of every bf16 and f16. Past its range it may be a NaN for an infinity, and is one for a NaN. */
static void test_gelu(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x20000; i++) {
        const float y = i < 0x10000 ? f32_of_bf16((uint16_t)i) : f32_of_f16((uint16_t)i), got = gelu_for_16_bits(y);
        const double wanted = 0.5 * (double)y * erfc(-(double)y * M_SQRT1_2), off = fabs((double)got - wanted);
        if (isfinite(y) ? !(off <= 2e-6 + 2e-7 * fabs(wanted) && (y < -6.0f || off <= 2e-5 * fabs(wanted))) : isfinite(got))
            fail_msg("%.9g: %.9g, wanted %.9g", (double)y, (double)got, wanted);
    }
}

static void test_logits(void **state)
{
    (void)state;
    static const float values[] = {-INFINITY, -1.0f, 0.0f, 1e-9f, 0.5f, 7.0f, 1e20f, NAN};
    const int32_t begin[] = {0, 1};
    for (size_t i = 0; i < 2 * sizeof values / sizeof values[0]; i++) {
        float logit = values[i / 2], wanted = -1.0f;
        const bool twice = i % 2 == 1;
        host_collect(&(hd_plugin_vocab_pool){.logits = &logit,
                                             .stride = 1,
                                             .n_rows = 1,
                                             .begin = begin,
                                             .n_sequences = 1,
                                             .vocab = 1,
                                             .log_twice = twice,
                                             .weights = &wanted});
        check_near(weight_of_logit(greater_number(0.0f, logit), twice), wanted, 2e-7f);
    }
    assert_true(isnan(greater_number(NAN, 1.0f)) && isnan(greater_number(1.0f, NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),   cmocka_unit_test(test_f16),       cmocka_unit_test(test_f8),
        cmocka_unit_test(test_bytes),  cmocka_unit_test(test_epilogues), cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
