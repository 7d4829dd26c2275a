/* attention_ref.c - the formula of attention.h as it stands there, in double.
 *
 * One query at a time: a pass over the keys for the largest score, a second for the sums. Scores are computed
 * twice, so that no memory is needed for them.
 */
#include <math.h>

#include "kernel/attention.h"

k_attention_fn k_attention_f32_ref, k_attention_bf16_ref;

/* Element i of an array of the type, widened. */
static inline double element(k_type type, const void *array, size_t i)
{
    return (double)(type == K_F32 ? ((const float *)array)[i] : k_f32_from_bf16(((const uint16_t *)array)[i]));
}

static inline double score(k_type type, const k_attention *at, const double *q, int j)
{
    double dot = 0.0;
    for (int d = 0; d < at->head_dim; d++)
        dot += q[d] * element(type, at->k, (size_t)j * at->kv_stride + (size_t)d);
    return dot * (double)at->scale;
}

static inline void attention(k_type type, const k_attention *at)
{
    for (int i = 0; i < at->n_q; i++) {
        double q[K_HEAD_DIM_MAX], out[K_HEAD_DIM_MAX] = {0};
        for (int d = 0; d < at->head_dim; d++)
            q[d] = element(type, at->q, (size_t)i * at->q_stride + (size_t)d);

        double max = -INFINITY; /* NaN scores are skipped here and spoil the sum below */
        for (int j = 0; j < at->n_k; j++) {
            double s = score(type, at, q, j);
            max = s > max ? s : max;
        }
        double sum = 0.0;
        for (int j = 0; j < at->n_k; j++) {
            double p = exp(score(type, at, q, j) - max);
            sum += p;
            for (int d = 0; d < at->head_dim; d++)
                out[d] += p * element(type, at->v, (size_t)j * at->kv_stride + (size_t)d);
        }
        for (int d = 0; d < at->head_dim; d++)
            at->out[(size_t)i * at->out_stride + (size_t)d] = (float)(out[d] / sum);
    }
}

void k_attention_f32_ref(const k_attention *at)
{
    attention(K_F32, at);
}

void k_attention_bf16_ref(const k_attention *at)
{
    attention(K_BF16, at);
}
