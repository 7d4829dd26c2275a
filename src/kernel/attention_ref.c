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

/* One query head, and its place in q and out. */
typedef struct at_query {
    double q[K_HEAD_DIM_MAX];
    const float *bias; /* of the head, at distance 0 */
    int position;
} at_query;

static inline double score(k_type type, const k_attention *at, const at_query *query, int j)
{
    double dot = 0.0;
    for (int d = 0; d < at->head_dim; d++)
        dot += query->q[d] * element(type, at->k, (size_t)j * at->kv_stride + (size_t)d);
    return dot * (double)at->scale + (query->bias != NULL ? (double)query->bias[query->position - j] : 0.0);
}

/* Into the output's elements from `to` on. */
static inline void attend(k_type type, const k_attention *at, const at_query *query, size_t to)
{
    const int p = query->position;
    const int begin = p > at->reach_back ? p - at->reach_back : 0;
    const int end = at->reach_ahead < at->n_k - 1 - p ? p + at->reach_ahead + 1 : at->n_k;
    double max = -INFINITY; /* NaN scores are skipped here and spoil the sum below */
    for (int j = begin; j < end; j++) {
        double s = score(type, at, query, j);
        max = s > max ? s : max;
    }
    double sum = 0.0, out[K_HEAD_DIM_MAX] = {0};
    for (int j = begin; j < end; j++) {
        double weight = exp(score(type, at, query, j) - max);
        sum += weight;
        for (int d = 0; d < at->head_dim; d++)
            out[d] += weight * element(type, at->v, (size_t)j * at->kv_stride + (size_t)d);
    }
    for (size_t d = 0; d < (size_t)at->head_dim; d++) {
        const float value = (float)(out[d] / sum);
        if (at->out_type == K_BF16)
            ((uint16_t *)at->out)[to + d] = k_bf16_from_f32(value);
        else
            ((float *)at->out)[to + d] = value;
    }
}

static inline void attention(k_type type, const k_attention *at)
{
    const size_t dim = (size_t)at->head_dim;
    for (int i = 0; i < at->n_q; i++) {
        for (size_t head = 0; head < (size_t)at->n_heads; head++) {
            at_query query = {.position = at->q_first + i};
            query.bias = at->bias != NULL ? at->bias + head * at->bias_stride : NULL;
            for (size_t d = 0; d < dim; d++)
                query.q[d] = element(type, at->q, (size_t)i * at->q_stride + head * dim + d);
            attend(type, at, &query, (size_t)i * at->out_stride + head * dim);
        }
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
