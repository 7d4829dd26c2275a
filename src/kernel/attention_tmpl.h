/* attention_tmpl.h - attention in f32 lanes; include a vec_*.h and act_tmpl.h first. AT_SUFFIX names the level.
 *
 * For each block of queries (two vectors of them, or one), over blocks of keys:
 *
 *   s[j, :] = sum_d k[j, d] q[:, d]         q transposed once: [head_dim][queries], scaled, in base-2 units
 *   m' = max(m, max_j s[j, :])              vertical: one lane is one query
 *   p[j, :] = 2^(s[j, :] - m')              in place of s
 *   o[d, :] = o[d, :] 2^(m - m') + sum_j v[j, d] p[j, :]
 *
 * Both products broadcast one value of k or v and multiply with a vector of queries; the register tile is
 * AT_ROWS rows (keys, then head dimensions) by the query vectors.
 */
#include "kernel/attention_span_tmpl.h"
#include "kernel/product_tmpl.h"

#define AT_PASTE_(a, b) a##b
#define AT_PASTE(a, b) AT_PASTE_(a, b)
#define AT_KEYS 128 /* keys in a block: scores stay in L1 */

/* out[i][d] = o[d][i] / sum[i] */
static void at_unpack_o(const float *o, const vf *sum, int n_queries, int head_dim, float *out, size_t stride)
{
    for (int i = 0; i < n_queries; i += VF_LANES) {
        vf inverse = vf_div(vf_set1(1.0f), sum[i / VF_LANES]);
        for (int d = 0; d < head_dim; d += VF_LANES) {
            int n = head_dim - d < VF_LANES ? head_dim - d : VF_LANES;
            vf block[VF_LANES];
            for (int c = 0; c < VF_LANES; c++)
                block[c] = c < n ? vf_mul(inverse, vf_load(o + (d + c) * AT_WIDTH + i)) : vf_zero();
            vf_transpose(block);
            for (int r = 0; r < VF_LANES && i + r < n_queries; r++)
                vf_store_n(out + (size_t)(i + r) * stride + d, block[r], n);
        }
    }
}

/* Scores to weights in place; keeps the running maximum and sum; scales o when the maximum moved. Two chains
 * for each maximum and sum: they are what the loops wait for. */
static inline __attribute__((always_inline)) void at_softmax(float *s, int n_keys, bool first, vf *max, vf *sum, float *o,
                                                             int head_dim, const int n_vecs)
{
#pragma GCC unroll 2
    for (int v = 0; v < n_vecs; v++) {
        float *column = s + v * VF_LANES;
        vf most = vf_load(column), other = most;
        for (int j = 1; j + 1 < n_keys; j += 2) {
            most = vf_max(most, vf_load(column + j * AT_WIDTH));
            other = vf_max(other, vf_load(column + (j + 1) * AT_WIDTH));
        }
        most = vf_max(vf_max(most, other), vf_load(column + (n_keys - 1) * AT_WIDTH));
        vf total = vf_zero(), odd_total = vf_zero();
        if (!first) {
            most = vf_max(most, max[v]);
            vf shrink = vf_exp2(vf_sub(max[v], most));
            total = vf_mul(sum[v], shrink);
            for (int d = 0; d < head_dim; d++)
                vf_store(o + d * AT_WIDTH + v * VF_LANES, vf_mul(shrink, vf_load(o + d * AT_WIDTH + v * VF_LANES)));
        }
        max[v] = most;
        for (int j = 0; j < n_keys; j += 2) {
            vf p = vf_exp2(vf_sub(vf_load(column + j * AT_WIDTH), most));
            total = vf_add(total, p);
            vf_store(column + j * AT_WIDTH, p);
            if (j + 1 < n_keys) {
                p = vf_exp2(vf_sub(vf_load(column + (j + 1) * AT_WIDTH), most));
                odd_total = vf_add(odd_total, p);
                vf_store(column + (j + 1) * AT_WIDTH, p);
            }
        }
        sum[v] = vf_add(total, odd_total);
    }
}

/* The operands of one head in f32. */
typedef struct at_head {
    const float *q, *k, *v;
    size_t q_stride, kv_stride;
    const float *bias;
    float *out;
} at_head;

/* One block of queries, already transposed in qt, against the keys that it sees. */
static inline __attribute__((always_inline)) void at_keys(const at_head *h, const k_span *span, const float *qt,
                                                          int head_dim, float *o, vf *sum, const int n_vecs)
{
    float s[AT_KEYS * AT_WIDTH] __attribute__((aligned(64)));
    vf max[2] = {vf_zero(), vf_zero()};
    for (int j = span->begin; j < span->end; j += AT_KEYS) {
        int n_keys = span->end - j < AT_KEYS ? span->end - j : AT_KEYS;
        bool first = j == span->begin;
        at_product(h->k + (size_t)j * h->kv_stride, h->kv_stride, 1, qt, head_dim, true, s, n_keys, n_vecs);
        if (h->bias != NULL || k_span_cuts(span, j, n_keys))
            k_span_scores(span, h->bias, j, n_keys, 1.0f, s, AT_WIDTH);
        at_softmax(s, n_keys, first, max, sum, o, head_dim, n_vecs);
        at_product(h->v + (size_t)j * h->kv_stride, 1, h->kv_stride, s, n_keys, first, o, head_dim, n_vecs);
    }
}

/* q and out are those of the first row of the span. */
static void at_queries(const k_attention *t, const at_head *h, const k_span *span)
{
    float qt[K_HEAD_DIM_MAX * AT_WIDTH] __attribute__((aligned(64)));
    float o[K_HEAD_DIM_MAX * AT_WIDTH] __attribute__((aligned(64)));
    vf sum[2] = {vf_zero(), vf_zero()};
    at_pack_q(h->q, h->q_stride, span->n, t->head_dim, t->scale * 1.44269504f, qt);
    if (span->n > VF_LANES)
        at_keys(h, span, qt, t->head_dim, o, sum, 2);
    else
        at_keys(h, span, qt, t->head_dim, o, sum, 1);
    at_unpack_o(o, sum, span->n, t->head_dim, h->out, t->out_stride);
}

void AT_PASTE(k_attention_f32_, AT_SUFFIX)(const k_attention *t)
{
    for (int i = 0; i < t->n_heads; i++) {
        const size_t column = (size_t)i * (size_t)t->head_dim;
        at_head h = {.k = t->k, .v = t->v, .q_stride = t->q_stride, .kv_stride = t->kv_stride};
        h.bias = t->bias != NULL ? t->bias + (size_t)i * t->bias_stride : NULL;
        for (k_span span = k_span_at(t, 0, AT_WIDTH); span.n > 0; span = k_span_at(t, span.row + span.n, AT_WIDTH)) {
            h.q = (const float *)t->q + (size_t)span.row * t->q_stride + column;
            h.out = t->out + (size_t)span.row * t->out_stride + column;
            at_queries(t, &h, &span);
        }
    }
}

/* k and v are widened once, queries block by block: arithmetic is all in f32. */
void AT_PASTE(k_attention_bf16_, AT_SUFFIX)(const k_attention *t)
{
    float q[AT_WIDTH * K_HEAD_DIM_MAX] __attribute__((aligned(64)));
    const size_t wide = ((size_t)t->head_dim + 15) / 16 * 16;
    float *k = t->scratch, *v = k + (size_t)t->n_k * wide;
    at_widen(t->k, t->kv_stride, t->n_k, t->head_dim, k, wide);
    at_widen(t->v, t->kv_stride, t->n_k, t->head_dim, v, wide);
    for (int i = 0; i < t->n_heads; i++) {
        const size_t column = (size_t)i * (size_t)t->head_dim;
        at_head h = {.q = q, .k = k, .v = v, .q_stride = wide, .kv_stride = wide};
        h.bias = t->bias != NULL ? t->bias + (size_t)i * t->bias_stride : NULL;
        for (k_span span = k_span_at(t, 0, AT_WIDTH); span.n > 0; span = k_span_at(t, span.row + span.n, AT_WIDTH)) {
            at_widen((const uint16_t *)t->q + (size_t)span.row * t->q_stride + column, t->q_stride, span.n, t->head_dim, q,
                     wide);
            h.out = t->out + (size_t)span.row * t->out_stride + column;
            at_queries(t, &h, &span);
        }
    }
}
