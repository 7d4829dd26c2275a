/* Pooling of every kind, alone and concatenated, with and without a prompt left out, beside plain sums in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/pooling.h"

enum { N_SEQUENCES = 4, N_TOKENS = 1 + 2 + 9 + 40, ALL_KINDS = 6 };

static const int32_t begin[N_SEQUENCES + 1] = {0, 1, 3, 12, N_TOKENS};
static const float guard = -7.25f;

/* What one kind makes of column j of a sequence. */
static double pooled(hd_pooling kind, const float *x, size_t stride, int n_rows, int skip, int j)
{
    double sum = 0.0, weights = 0.0, most = -INFINITY;
    for (int i = skip; i < n_rows; i++) {
        double value = (double)x[(size_t)i * stride + (size_t)j], weight = kind == HD_POOLING_WEIGHTED_MEAN ? i + 1 : 1;
        sum += weight * value;
        weights += weight;
        most = fmax(most, value);
    }
    switch (kind) {
    case HD_POOLING_CLS: return (double)x[(size_t)skip * stride + (size_t)j];
    case HD_POOLING_MAX: return most;
    case HD_POOLING_MEAN_SQRT: return sum / sqrt(weights);
    case HD_POOLING_LAST: return (double)x[(size_t)(n_rows - 1) * stride + (size_t)j];
    default: return sum / weights;
    }
}

static void check_pooling(uint32_t kinds, int hidden, const int32_t *skips)
{
    const size_t stride = k_row_stride(hidden, K_F32);
    const int n_out = hidden * __builtin_popcount(kinds);
    hd_settings settings = {.hidden = (uint32_t)hidden};
    hd_encoder e = {.settings = &settings, .device = hd__device_cpu()};
    hd_row_head head = {.pooling = kinds, .n_pooled = n_out, .n_out = n_out};
    hd__kernels_fill(&e.kernels);
    float *x = aligned_alloc(64, N_TOKENS * stride * sizeof *x),
          *out = calloc((size_t)(N_SEQUENCES * n_out + 1), sizeof *out);
    for (size_t i = 0; i < N_TOKENS * stride; i++) /* padding is not to be read */
        x[i] = (int)(i % stride) < hidden ? (float)((i * 2654435761u >> 7) % 2001) / 1000.0f - 1.0f : NAN;
    out[N_SEQUENCES * n_out] = guard;
    hd_batch batch = {.n_sequences = N_SEQUENCES, .n_tokens = N_TOKENS, .begin = begin, .pool_begin = skips};
    hd_run run = {0};
    hd__row_head_forward(&e, &head, &run, &batch, x, stride, false, NULL, out);
    for (int s = 0; s < N_SEQUENCES; s++) {
        const float *got = out + s * n_out;
        for (uint32_t kind = 1; kind <= HD_POOLING_LAST; kind *= 2) {
            for (int j = 0; (kinds & kind) && j < hidden; j++) {
                double wanted =
                    pooled((hd_pooling)kind, x + (size_t)begin[s] * stride, stride, begin[s + 1] - begin[s], skips[s], j);
                if (!(fabs((double)*got - wanted) <= 2e-6))
                    fail_msg("kind %u of %u, sequence %d, value %d of %d: %g, not %g", kind, kinds, s, j, hidden,
                             (double)*got, wanted);
                got++;
            }
        }
    }
    assert_true(memcmp(&out[N_SEQUENCES * n_out], &guard, sizeof guard) == 0);
    free(x);
    free(out);
}

static void test_kinds(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 15, 16, 17, 40, 384, 1024, 1025, 2500}; /* weighted means go by parts of 1024 */
    static const int32_t nothing[N_SEQUENCES] = {0}, prompts[N_SEQUENCES] = {0, 1, 5, 39};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t kinds = 1; kinds < 1 << ALL_KINDS; kinds = kinds < 32 ? kinds + 1 : kinds * 2 - 1) {
            check_pooling(kinds, sizes[i], nothing);
            check_pooling(kinds, sizes[i], prompts);
        }
    }
}

static void test_one_row(void **state)
{
    (void)state;
    assert_true(hd__pools_one_row(HD_POOLING_CLS) && hd__pools_one_row(HD_POOLING_LAST));
    assert_false(hd__pools_one_row(HD_POOLING_CLS | HD_POOLING_LAST));
    assert_false(hd__pools_one_row(HD_POOLING_MEAN));
}

int main(void)
{
    hd_error err;
    if (hd__isa_init(&err) != HD_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
