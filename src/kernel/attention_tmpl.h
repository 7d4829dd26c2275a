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
#include "kernel/store_tmpl.h"

#define AT_PASTE_(a, b) a##b
#define AT_PASTE(a, b) AT_PASTE_(a, b)
#define AT_KEYS 128 /* keys in a block: scores stay in L1 */

/* out[i][d] = o[d][i] / sum[i], rows from element `to` of the output on. */
static void at_unpack_o(const k_attention *t, const float *o, const vf *sum, int n_queries, size_t to)
{
    const int head_dim = t->head_dim;
    for (int i = 0; i < n_queries; i += VF_LANES) {
        vf inverse = vf_div(vf_set1(1.0f), sum[i / VF_LANES]);
        for (int d = 0; d < head_dim; d += VF_LANES) {
            int n = head_dim - d < VF_LANES ? head_dim - d : VF_LANES;
            vf block[VF_LANES];
            for (int c = 0; c < VF_LANES; c++)
                block[c] = c < n ? vf_mul(inverse, vf_load(o + (d + c) * AT_WIDTH + i)) : vf_zero();
            vf_transpose(block);
            for (int r = 0; r < VF_LANES && i + r < n_queries; r++)
                vf_store_as(t->out_type, t->out, to + (size_t)(i + r) * t->out_stride + (size_t)d, block[r], n);
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

/* One head of keys and values in f32, and its queries. */
typedef struct at_head {
    const k_attention *t;
    const float *k, *v;
    size_t kv_stride;
    vf max[K_SPAN_QUERIES / AT_WIDTH][2], sum[K_SPAN_QUERIES / AT_WIDTH][2]; /* of each block of queries */
} at_head;

/* q is transposed into the first half of the block's memory; the second is o. */
static inline __attribute__((always_inline)) void at_begin(void *state, const k_span *span, const float *q, size_t stride)
{
    const k_attention *t = ((const at_head *)state)->t;
    at_pack_q(q, stride, span->n, t->head_dim, t->scale * 1.44269504f, k_span_memory(t, span, AT_WIDTH));
}

static void at_begin_f32(void *state, const k_span *span)
{
    const k_attention *t = ((const at_head *)state)->t;
    const size_t column = (size_t)(span->head * t->head_dim);
    at_begin(state, span, (const float *)t->q + (size_t)span->row * t->q_stride + column, t->q_stride);
}

static void at_begin_bf16(void *state, const k_span *span)
{
    float q[AT_WIDTH * K_HEAD_DIM_MAX] __attribute__((aligned(64)));
    const k_attention *t = ((const at_head *)state)->t;
    const size_t column = (size_t)(span->head * t->head_dim);
    at_widen((const uint16_t *)t->q + (size_t)span->row * t->q_stride + column, t->q_stride, span->n, t->head_dim, q,
             K_HEAD_DIM_MAX);
    at_begin(state, span, q, K_HEAD_DIM_MAX);
}

static inline __attribute__((always_inline)) void at_keys_of(at_head *h, const k_span *span, const int n_vecs)
{
    float s[AT_KEYS * AT_WIDTH] __attribute__((aligned(64)));
    const int dim = h->t->head_dim, n_keys = span->n_keys;
    const size_t stride = h->kv_stride, at = (size_t)span->key * stride;
    const bool first = k_span_is_first(span);
    float *qt = k_span_memory(h->t, span, AT_WIDTH), *o = qt + dim * AT_WIDTH;
    const float *bias = k_span_bias(h->t, span);
    at_product(h->k + at, stride, 1, qt, dim, true, s, n_keys, n_vecs);
    if (bias != NULL || k_span_cuts(span))
        k_span_scores(span, bias, 1.0f, s, AT_WIDTH);
    at_softmax(s, n_keys, first, h->max[span->block], h->sum[span->block], o, dim, n_vecs);
    at_product(h->v + at, 1, stride, s, n_keys, first, o, dim, n_vecs);
}

static void at_keys(void *state, const k_span *span)
{
    if (span->n > VF_LANES)
        at_keys_of(state, span, 2);
    else
        at_keys_of(state, span, 1);
}

static void at_end(void *state, const k_span *span)
{
    const at_head *h = state;
    const k_attention *t = h->t;
    const float *o = k_span_memory(t, span, AT_WIDTH) + t->head_dim * AT_WIDTH;
    at_unpack_o(t, o, h->sum[span->block], span->n, (size_t)span->row * t->out_stride + (size_t)(span->head * t->head_dim));
}

static inline __attribute__((always_inline)) void at_attend(const k_attention *t, const float *k, const float *v,
                                                            size_t kv_stride, k_span_fn *begin)
{
    at_head h; /* no initialiser: it would clear max and sum, 2 KB, which is felt with 16 tokens */
    h.t = t;
    h.k = k;
    h.v = v;
    h.kv_stride = kv_stride;
    k_span_visit(t, AT_WIDTH, AT_KEYS, &h, begin, at_keys, at_end);
}

void AT_PASTE(k_attention_f32_, AT_SUFFIX)(const k_attention *t)
{
    at_attend(t, t->k, t->v, t->kv_stride, at_begin_f32);
}

/* k and v are widened once, queries block by block: arithmetic is all in f32. */
void AT_PASTE(k_attention_bf16_, AT_SUFFIX)(const k_attention *t)
{
    const size_t wide = ((size_t)t->head_dim + 15) / 16 * 16;
    float *k = (float *)t->scratch + k_span_floats(t->head_dim), *v = k + (size_t)t->n_k * wide;
    at_widen(t->k, t->kv_stride, t->n_k, t->head_dim, k, wide);
    at_widen(t->v, t->kv_stride, t->n_k, t->head_dim, v, wide);
    at_attend(t, k, v, wide, at_begin_bf16);
}
