/* attention_pairs_avx512.h - what attention on bfloat16 pairs shares, by VDPBF16PS, by VPDPWSSD or by tiles. AVX-512.
 *
 * A pair is one 32-bit lane with two bf16: the earlier index in the low half. Blocks are PAIRS_WIDTH queries,
 * two vectors, one lane each. The head dimension is a multiple of 32.
 */
#ifndef HD_KERNEL_ATTENTION_PAIRS_AVX512_H
#define HD_KERNEL_ATTENTION_PAIRS_AVX512_H

#include "kernel/attention.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"
#include "kernel/attention_span_tmpl.h"
#include "kernel/store_tmpl.h"

#define PAIRS_WIDTH 32
#define PAIRS_KEYS 256 /* keys in a block: 32 KB of scores */

/* qt[head_dim / 2][32 queries] pairs from q rows; lanes beyond n_queries are zero, a second 16 without
 * queries untouched. */
static inline void pairs_pack_q(const uint16_t *q, size_t stride, int n_queries, int head_dim, uint32_t *qt)
{
    for (int i = 0; i < n_queries; i += 16) {
        for (int d = 0; d < head_dim; d += 32) {
            vf block[16];
            for (int r = 0; r < 16; r++)
                block[r] = i + r < n_queries ? _mm512_loadu_ps((const void *)(q + (size_t)(i + r) * stride + d)) : vf_zero();
            vf_transpose(block);
            for (int c = 0; c < 16; c++)
                _mm512_store_ps((void *)(qt + (d / 2 + c) * PAIRS_WIDTH + i), block[c]);
        }
    }
}

/* p = 2^(s * factor - most), added to total and rounded to bf16 in the upper half, the lower half being noise. */
static inline __m512i pairs_weight(const float *s, vf factor, vf most, vf *total)
{
    vf p = vf_exp2_fast(_mm512_fmsub_ps(vf_load(s), factor, most));
    *total = vf_add(*total, p);
    return _mm512_add_epi32(_mm512_castps_si512(p), _mm512_set1_epi32(0x8000));
}

/* One pair of bf16 from the upper halves of two lanes. */
static inline __m512i pairs_join(__m512i even, __m512i odd)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_ternarylogic_epi32(_mm512_srli_epi32(even, 16), odd, high, 0xF8); /* a | (b & c) */
}

/* Bias and reach on products of q and k, where there are any. Returns what is left to multiply for base-2 scores. */
static inline float pairs_scores(const k_attention *t, const k_span *span, float *s)
{
    const float factor = t->scale * 1.44269504f, *bias = k_span_bias(t, span);
    if (bias == NULL && !k_span_cuts(span))
        return factor;
    k_span_scores(span, bias, factor, s, PAIRS_WIDTH);
    return 1.0f;
}

/* Scores s[n_keys][32] (f32) to weights p[n_pairs][32] (pairs of keys); factor is in base-2 units. Pairs from
 * n_keys on are zero. Keeps the running maximum and sum of n_vecs vectors of queries, and scales
 * o[head_dim][32] when the maximum moved. Two chains for each maximum and sum: they are what the loops wait for. */
static inline __attribute__((always_inline)) void pairs_softmax(const float *s, int n_keys, int n_pairs, float scale,
                                                                bool first, vf *max, vf *sum, uint32_t *p, float *o,
                                                                int head_dim, const int n_vecs)
{
    vf factor = vf_set1(scale), most[2], even_total[2], odd_total[2];
#pragma GCC unroll 2
    for (int v = 0; v < n_vecs; v++)
        even_total[v] = odd_total[v] = vf_load(s + v * 16); /* until the maximum is known */
    for (int j = 1; j + 1 < n_keys; j += 2) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++) {
            even_total[v] = vf_max(even_total[v], vf_load(s + j * PAIRS_WIDTH + v * 16));
            odd_total[v] = vf_max(odd_total[v], vf_load(s + (j + 1) * PAIRS_WIDTH + v * 16));
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < n_vecs; v++) {
        vf last = vf_load(s + (n_keys - 1) * PAIRS_WIDTH + v * 16);
        most[v] = vf_mul(vf_max(vf_max(even_total[v], odd_total[v]), last), factor);
        even_total[v] = odd_total[v] = vf_zero();
        if (!first) {
            most[v] = vf_max(most[v], max[v]);
            vf shrink = vf_exp2(vf_sub(max[v], most[v]));
            even_total[v] = vf_mul(sum[v], shrink);
            for (int d = 0; d < head_dim; d++)
                vf_store(o + d * PAIRS_WIDTH + v * 16, vf_mul(shrink, vf_load(o + d * PAIRS_WIDTH + v * 16)));
        }
        max[v] = most[v];
    }
    int j = 0;
    for (; j + 2 <= n_keys; j += 2) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++) {
            __m512i even = pairs_weight(s + j * PAIRS_WIDTH + v * 16, factor, most[v], &even_total[v]);
            __m512i odd = pairs_weight(s + (j + 1) * PAIRS_WIDTH + v * 16, factor, most[v], &odd_total[v]);
            _mm512_store_si512(p + j / 2 * PAIRS_WIDTH + v * 16, pairs_join(even, odd));
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < n_vecs; v++) {
        int pair = j / 2;
        if (j < n_keys) {
            __m512i even = pairs_weight(s + j * PAIRS_WIDTH + v * 16, factor, most[v], &even_total[v]);
            _mm512_store_si512(p + pair++ * PAIRS_WIDTH + v * 16, pairs_join(even, _mm512_setzero_si512()));
        }
        for (; pair < n_pairs; pair++)
            _mm512_store_si512(p + pair * PAIRS_WIDTH + v * 16, _mm512_setzero_si512());
        sum[v] = vf_add(even_total[v], odd_total[v]);
    }
}

/* One head: its keys and values as the level packed them, and what each block of queries has so far. */
typedef struct pairs_head {
    const k_attention *t;
    const void *k, *v;
    int n_lying; /* keys from the first on that are read where they lie, not from k (tiles) */
    vf max[K_SPAN_QUERIES / PAIRS_WIDTH][2], sum[K_SPAN_QUERIES / PAIRS_WIDTH][2];
} pairs_head;

/* max and sum are left as they are: to clear them, 2 KB, is felt with 16 tokens. */
static inline void pairs_head_of(pairs_head *h, const k_attention *t, const void *k, const void *v)
{
    h->t = t;
    h->k = k;
    h->v = v;
    h->n_lying = 0;
}

/* q goes to the first half of the block's memory; the second is o. */
static inline uint32_t *pairs_q(const k_attention *t, const k_span *span)
{
    return (uint32_t *)(void *)k_span_memory(t, span, PAIRS_WIDTH);
}

static inline float *pairs_o(const k_attention *t, const k_span *span)
{
    return k_span_memory(t, span, PAIRS_WIDTH) + PAIRS_WIDTH * t->head_dim;
}

/* Where the block's head begins in its first row of q, and the element of the output where it does. */
static inline const uint16_t *pairs_q_rows(const k_attention *t, const k_span *span)
{
    return (const uint16_t *)t->q + (size_t)span->row * t->q_stride + (size_t)(span->head * t->head_dim);
}

static inline size_t pairs_out(const k_attention *t, const k_span *span)
{
    return (size_t)span->row * t->out_stride + (size_t)(span->head * t->head_dim);
}

/* out[i][d] = o[d][i] / sum[i]; type, the output's, is a constant after inlining. */
static inline __attribute__((always_inline)) void pairs_unpack_to(const k_type type, const k_attention *t,
                                                                  const k_span *span, const vf *sum)
{
    const float *o = pairs_o(t, span);
    const size_t to = pairs_out(t, span);
    for (int i = 0; i < span->n; i += 16) {
        vf inverse = vf_div(vf_set1(1.0f), sum[i / 16]);
        for (int d = 0; d < t->head_dim; d += 16) {
            vf block[16];
            for (int c = 0; c < 16; c++)
                block[c] = vf_mul(inverse, vf_load(o + (d + c) * PAIRS_WIDTH + i));
            vf_transpose(block);
            for (int r = 0; r < 16 && i + r < span->n; r++)
                vf_store_as(type, t->out, to + (size_t)(i + r) * t->out_stride + (size_t)d, block[r], VF_LANES);
        }
    }
}

static inline void pairs_unpack_o(const pairs_head *h, const k_span *span)
{
    if (h->t->out_type == K_F32)
        pairs_unpack_to(K_F32, h->t, span, h->sum[span->block]);
    else
        pairs_unpack_to(K_BF16, h->t, span, h->sum[span->block]);
}

/* Two rows of 16 bf16 interleaved: lane d = (even[d], odd[d]). */
static inline __m512i pairs_of_rows(const uint16_t *even, const uint16_t *odd)
{
    __m512i e = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)even));
    __m512i d = odd != NULL ? _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)odd)) : _mm512_setzero_si512();
    return _mm512_or_si512(e, _mm512_slli_epi32(d, 16));
}

#endif
