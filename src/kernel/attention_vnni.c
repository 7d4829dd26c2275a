/* attention_vnni.c - attention on bfloat16 by VPDPWSSD: 16-bit fixed point, where bfloat16 has no fast units.
 *
 * VPDPWSSD adds two products of int16 into each int32 lane, exactly, at twice the rate of f32 multiply-adds. So
 * q, k, v and the weights p are scaled to whole numbers, as wide as the sums allow:
 *
 *   q, k   |q| |k| head_dim < 2^31: 13 bits and a sign for a head dimension of 32; q by its own maximum, k by that of
 *          the head over all keys
 *   p      2^13 p relative to the largest of the block, v 11 bits and a sign by the maximum of the head: 128 keys of a
 *          block stay below 2^31
 *
 * bfloat16 itself has 8 bits. The sum of p is that of the rounded p, so what rounding takes from all is given back.
 * Otherwise as attention_bf16.c: pairs of dimensions, then of keys, in a lane; queries across lanes, two vectors of
 * them or one; a running maximum over blocks of keys. Head dimensions that are not a multiple of 32 go through f32.
 */
#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "kernel/attention_pairs_avx512.h"

k_attention_fn k_attention_bf16_vnni, k_attention_bf16_avx512;

#define KEYS 128     /* keys in a block */
#define P_BITS 13    /* of the largest weight */
#define V_MOST 2047  /* KEYS * 2^P_BITS * V_MOST < 2^31 */
#define K_STEP 4     /* keys in scratch are padded to multiples of this */
#define TILE_ROWS 12 /* or 8 or 4: rows come up to a multiple of 4 */
#define LOG2_E 1.44269504f

_Static_assert((1 << P_BITS) * (int64_t)KEYS * V_MOST <= INT32_MAX, "sums of p v must fit");

/* ---- whole numbers ---- */

/* The larger magnitudes of 32 bf16, as their bits: infinities and NaN are the largest. */
static inline __m512i magnitude_max(__m512i most, __m512i x)
{
    return _mm512_max_epu16(most, _mm512_and_si512(x, _mm512_set1_epi16(0x7fff)));
}

/* Both halves of each lane widened to f32, the larger: magnitudes, as above. */
static inline vf lane_max(__m512i most)
{
    __m512i high = _mm512_and_si512(most, _mm512_set1_epi32((int)0xffff0000u));
    return _mm512_castsi512_ps(_mm512_max_epu32(_mm512_slli_epi32(most, 16), high));
}

/* What makes the largest magnitude `most`, and its inverse. Not finite: NaN for the inverse, so that results show it. */
static inline vf unit_of(vf largest, float most, vf *inverse)
{
    vf safe = vf_max(largest, vf_set1(1e-30f)); /* NaN comes out as 1e-30: then the inverse below is NaN */
    *inverse = vf_add(vf_mul(safe, vf_set1(1.0f / most)), vf_mul(vf_sub(largest, largest), vf_zero()));
    return vf_div(vf_set1(most), safe);
}

/* 32 bf16 to int16 in place. */
static inline __m512i to_whole(__m512i x, vf unit)
{
    vf even = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
    vf odd = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000u)));
    __m512i low = _mm512_cvtps_epi32(vf_mul(even, unit)), high = _mm512_cvtps_epi32(vf_mul(odd, unit));
    return _mm512_mask_mov_epi16(low, 0xaaaaaaaau, _mm512_slli_epi32(high, 16));
}

/* The unit of all n_rows x dim values, in every lane. */
static vf unit_of_rows(const uint16_t *rows, size_t stride, int n_rows, int dim, float most, vf *inverse)
{
    __m512i largest = _mm512_setzero_si512();
    for (int i = 0; i < n_rows; i++) {
        for (int d = 0; d < dim; d += 32)
            largest = magnitude_max(largest, _mm512_loadu_si512(rows + (size_t)i * stride + d));
    }
    uint32_t bits = _mm512_reduce_max_epu32(_mm512_castps_si512(lane_max(largest)));
    return unit_of(_mm512_castsi512_ps(_mm512_set1_epi32((int)bits)), most, inverse);
}

/* to[n_rows up to K_STEP][dim]; the last row is repeated, so that scores of the padding never are the largest. */
static void pack_k(const uint16_t *k, size_t stride, int n_rows, int dim, vf unit, int16_t *to)
{
    for (int i = 0; i < n_rows || i % K_STEP != 0; i++) {
        const uint16_t *row = k + (size_t)(i < n_rows ? i : n_rows - 1) * stride;
        for (int d = 0; d < dim; d += 32, to += 32)
            _mm512_store_si512(to, to_whole(_mm512_loadu_si512(row + d), unit));
    }
}

/* to[n_rows / 2][dim] pairs of rows; a last odd row is paired with zeros. */
static void pack_v(const uint16_t *v, size_t stride, int n_rows, int dim, vf unit, uint32_t *to)
{
    for (int i = 0; i < n_rows; i += 2) {
        const uint16_t *even = v + (size_t)i * stride, *odd = even + stride;
        for (int d = 0; d < dim; d += 16, to += 16) {
            __m512i pair = pairs_of_rows(even + d, i + 1 < n_rows ? odd + d : NULL);
            _mm512_store_si512(to, to_whole(pair, unit));
        }
    }
}

/* to[dim / 2][PAIRS_WIDTH] pairs of dimensions; each query by its own unit. */
static void pack_q(const uint16_t *q, size_t stride, int n_queries, int dim, float most, uint32_t *to, vf *inverse)
{
    pairs_pack_q(q, stride, n_queries, dim, to);
    for (int i = 0; i < n_queries; i += 16) {
        __m512i largest = _mm512_setzero_si512();
        for (int c = 0; c < dim / 2; c++)
            largest = magnitude_max(largest, _mm512_load_si512(to + c * PAIRS_WIDTH + i));
        vf unit = unit_of(lane_max(largest), most, &inverse[i / 16]);
        for (int c = 0; c < dim / 2; c++) {
            __m512i *pair = (__m512i *)(void *)(to + c * PAIRS_WIDTH + i);
            *pair = to_whole(*pair, unit);
        }
    }
}

/* ---- products ---- */

/* The second product: rows are queries, lanes head dimensions. */
typedef struct mix {
    const uint32_t *p; /* [n_pairs][PAIRS_WIDTH] */
    const uint32_t *v; /* [n_pairs][dim] */
    int n_pairs, dim, n_rows;
    bool first, last; /* block of keys */
    float shrink[PAIRS_WIDTH], factor[PAIRS_WIDTH];
    float *o; /* [PAIRS_WIDTH][dim] */
    k_type out_type;
    void *out; /* its elements from `to` on: [n_rows][out_stride] */
    size_t to, out_stride;
} mix;

/* acc[r, :] = sum_i (a[r * row_step + i * step], the one after it) . b[i * b_step, :] */
static inline __attribute__((always_inline)) void sums(const int16_t *a, size_t row_step, size_t step, const uint32_t *b,
                                                       size_t b_step, int n_steps, __m512i acc[TILE_ROWS][2],
                                                       const int n_rows, const int n_vecs)
{
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
        acc[r][0] = acc[r][1] = _mm512_setzero_si512();
    for (int i = 0; i < n_steps; i++, a += step, b += b_step) {
        __m512i b0 = _mm512_load_si512(b), b1 = n_vecs > 1 ? _mm512_load_si512(b + 16) : b0;
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            int32_t pair;
            memcpy(&pair, a + (size_t)r * row_step, sizeof pair);
            __m512i av = _mm512_set1_epi32(pair);
            /* As assembly: see gemm_dpbusd_tmpl.h. */
            __asm__("vpdpwssd %2, %1, %0" : "+v"(acc[r][0]) : "v"(av), "v"(b0));
            if (n_vecs > 1)
                __asm__("vpdpwssd %2, %1, %0" : "+v"(acc[r][1]) : "v"(av), "v"(b1));
        }
    }
}

/* s[r, :] = factor * k[r] . q for n_rows keys; most = the larger of it and s. */
static inline __attribute__((always_inline)) void score_tile(const int16_t *k, int dim, const uint32_t *qt, const vf *factor,
                                                             float *s, vf *most, const int n_rows, const int n_vecs)
{
    __m512i acc[TILE_ROWS][2];
    sums(k, (size_t)dim, 2, qt, PAIRS_WIDTH, dim / 2, acc, n_rows, n_vecs);
#pragma GCC unroll 2
    for (int v = 0; v < n_vecs; v++) {
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            vf score = vf_mul(_mm512_cvtepi32_ps(acc[r][v]), factor[v]);
            most[v] = vf_max(score, most[v]);
            vf_store(s + r * PAIRS_WIDTH + v * 16, score);
        }
    }
}

/* Scores of n_keys keys, and of the padding, into s[n_keys up to K_STEP][PAIRS_WIDTH]. */
static inline __attribute__((always_inline)) void scores(const int16_t *k, int n_keys, int dim, const uint32_t *qt,
                                                         const vf *factor, float *s, vf *most, const int n_vecs)
{
    int r = 0;
    for (; r + TILE_ROWS <= n_keys; r += TILE_ROWS)
        score_tile(k + (size_t)r * (size_t)dim, dim, qt, factor, s + r * PAIRS_WIDTH, most, TILE_ROWS, n_vecs);
    for (; r < n_keys; r += K_STEP)
        score_tile(k + (size_t)r * (size_t)dim, dim, qt, factor, s + r * PAIRS_WIDTH, most, K_STEP, n_vecs);
}

/* The largest of n_keys scores and of what was before. */
static vf most_of(const float *s, int n_keys, vf before)
{
    vf most = before;
    for (int j = 0; j < n_keys; j++, s += PAIRS_WIDTH)
        most = vf_max(vf_load(s), most);
    return most;
}

/* p[j / 2] = pairs of round(2^(s[j] - most + P_BITS)); returns their sum. Odd n_keys: the last is paired with zero. */
static inline __attribute__((always_inline)) __m512i weights(const float *s, int n_keys, vf most, uint32_t *p)
{
    const vf shift = vf_sub(most, vf_set1(P_BITS));
    const __m512i ones = _mm512_set1_epi16(1);
    __m512i total = _mm512_setzero_si512();
    for (int j = 0; j < n_keys; j += 2, s += 2 * PAIRS_WIDTH, p += PAIRS_WIDTH) {
        __m512i pair = _mm512_cvtps_epi32(vf_exp2_fast(vf_sub(vf_load(s), shift)));
        if (j + 1 < n_keys) {
            __m512i odd = _mm512_cvtps_epi32(vf_exp2_fast(vf_sub(vf_load(s + PAIRS_WIDTH), shift)));
            pair = _mm512_or_si512(pair, _mm512_slli_epi32(odd, 16));
        }
        __asm__("vpdpwssd %2, %1, %0" : "+v"(total) : "v"(pair), "v"(ones));
        _mm512_store_si512(p, pair);
    }
    return total;
}

/* Sums over a block of keys for rows of queries [row, row + n_rows) and 32 head dimensions: added to o, which is
 * first shrunk, or, as the last ones, times a factor into those rows of out that exist. */
static inline __attribute__((always_inline)) void mix_tile(const mix *m, int row, int d, const int n_rows)
{
    __m512i acc[TILE_ROWS][2];
    sums((const int16_t *)(const void *)(m->p + row), 2, 2 * PAIRS_WIDTH, m->v + d, (size_t)m->dim, m->n_pairs, acc, n_rows,
         2);
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++) {
        float *o = m->o + (row + r) * m->dim + d;
        const size_t to = m->to + (size_t)(row + r) * m->out_stride + (size_t)d;
        vf shrink = vf_set1(m->shrink[row + r]), factor = vf_set1(m->factor[row + r]);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            vf value = _mm512_cvtepi32_ps(acc[r][i]);
            if (!m->first)
                value = vf_fma(vf_load(o + i * 16), shrink, value);
            if (!m->last)
                vf_store(o + i * 16, value);
            else if (row + r < m->n_rows)
                vf_store_as(m->out_type, m->out, to + (size_t)(i * 16), vf_mul(value, factor), VF_LANES);
        }
    }
}

static void mix_block(const mix *m)
{
    for (int d = 0; d < m->dim; d += 32) {
        for (int row = 0; row < m->n_rows; row += TILE_ROWS) {
            int left = m->n_rows - row;
            if (left > 8)
                mix_tile(m, row, d, TILE_ROWS);
            else if (left > 4)
                mix_tile(m, row, d, 8);
            else
                mix_tile(m, row, d, 4);
        }
    }
}

/* ---- blocks of queries against blocks of keys ---- */

#define BLOCKS (K_SPAN_QUERIES / PAIRS_WIDTH)

typedef struct head {
    const k_attention *t;
    const int16_t *k;  /* [n_k up to K_STEP][dim] */
    const uint32_t *v; /* [n_k / 2][dim] pairs of keys */
    float qk_most;     /* units in the largest q and k */
    vf score_factor;   /* from products of whole numbers to base-2 scores, but for q's unit */
    vf v_inverse;      /* from whole numbers to values */
    vf factor[BLOCKS][2], max[BLOCKS][2],
        sum[BLOCKS][2]; /* of each block of queries; factor is score_factor with q's unit */
} head;

static void begin(void *state, const k_span *span)
{
    head *h = state;
    const k_attention *t = h->t;
    vf q_inverse[2] = {vf_zero(), vf_zero()};
    pack_q(pairs_q_rows(t, span), t->q_stride, span->n, t->head_dim, h->qk_most, pairs_q(t, span), q_inverse);
    for (int i = 0; i < 2; i++) {
        h->factor[span->block][i] = vf_mul(h->score_factor, q_inverse[i]);
        h->max[span->block][i] = vf_set1(-INFINITY);
        h->sum[span->block][i] = vf_zero();
    }
}

static inline __attribute__((always_inline)) void keys_of(head *h, const k_span *span, const int n_vecs)
{
    float s[(KEYS + K_STEP) * PAIRS_WIDTH] __attribute__((aligned(64)));
    uint32_t p[KEYS / 2 * PAIRS_WIDTH] __attribute__((aligned(64)));
    const k_attention *t = h->t;
    const int dim = t->head_dim, n_keys = span->n_keys;
    const float *bias = k_span_bias(t, span);
    const vf *factor = h->factor[span->block], *before = h->max[span->block];
    vf most[2] = {before[0], before[1]};
    mix m = {.p = p, .dim = dim, .n_rows = span->n, .n_pairs = (n_keys + 1) / 2, .out_stride = t->out_stride};
    m.first = k_span_is_first(span);
    m.last = k_span_is_last(span);
    m.v = h->v + (size_t)(span->key / 2) * (size_t)dim;
    m.o = pairs_o(t, span);
    m.out_type = t->out_type;
    m.out = t->out;
    m.to = pairs_out(t, span);
    scores(h->k + (size_t)span->key * (size_t)dim, n_keys, dim, pairs_q(t, span), factor, s, most, n_vecs);
    if (bias != NULL || k_span_cuts(span)) {
        k_span_scores(span, bias, 1.0f, s, PAIRS_WIDTH);
        for (int i = 0; i < n_vecs; i++)
            most[i] = most_of(s + i * 16, n_keys, before[i]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < n_vecs; i++) {
        vf total = _mm512_cvtepi32_ps(weights(s + i * 16, n_keys, most[i], p + i * 16));
        vf shrink = m.first ? vf_zero() : vf_exp2(vf_sub(before[i], most[i]));
        vf sum = vf_fma(h->sum[span->block][i], shrink, total);
        vf_store(m.shrink + i * 16, shrink);
        /* A factor that is not finite makes the output NaN. */
        vf_store(m.factor + i * 16, vf_div(vf_fma(vf_sub(factor[i], factor[i]), vf_zero(), h->v_inverse), sum));
        h->sum[span->block][i] = sum;
        h->max[span->block][i] = most[i];
    }
    mix_block(&m);
}

static void keys(void *state, const k_span *span)
{
    if (span->n > 16)
        keys_of(state, span, 2);
    else
        keys_of(state, span, 1);
}

/* The last block of keys has written the output. */
static void end(void *state, const k_span *span)
{
    (void)state;
    (void)span;
}

void k_attention_bf16_vnni(const k_attention *t)
{
    const int dim = t->head_dim;
    if (dim % 32 != 0) {
        k_attention_bf16_avx512(t);
        return;
    }
    int16_t *k = (int16_t *)((float *)t->scratch + k_span_floats(dim));
    uint32_t *v = (uint32_t *)(void *)(k + ((size_t)t->n_k + K_STEP) * (size_t)dim);
    head h; /* no initialiser: it would clear 3 KB, which is felt with 16 tokens */
    h.t = t;
    h.k = k;
    h.v = v;
    h.qk_most = floorf(sqrtf((float)(INT32_MAX / dim) - 1024.0f));
    vf k_inverse, unit = unit_of_rows(t->k, t->kv_stride, t->n_k, dim, h.qk_most, &k_inverse);
    pack_k(t->k, t->kv_stride, t->n_k, dim, unit, k);
    unit = unit_of_rows(t->v, t->kv_stride, t->n_k, dim, V_MOST, &h.v_inverse);
    pack_v(t->v, t->kv_stride, t->n_k, dim, unit, v);
    h.score_factor = vf_mul(k_inverse, vf_set1(t->scale * LOG2_E));
    k_span_visit(t, PAIRS_WIDTH, KEYS, &h, begin, keys, end);
}

#else
typedef int hd_not_this_machine;
#endif
