/* attention_bf16.c - attention by VDPBF16PS: both products take two bf16 at a time into each f32 lane.
 *
 * As attention_tmpl.h, but q and p are kept in pairs (attention_pairs_avx512.h), k is broadcast a pair of dimensions
 * at a time as it lies, and v is rearranged once into pairs of keys. Head dimensions that are not a multiple
 * of 32 go through f32.
 */
#if defined(__x86_64__)

#include <string.h>

#include "kernel/attention_pairs_avx512.h"

k_attention_fn k_attention_bf16_bf16, k_attention_bf16_avx512;

#define TILE_ROWS 12

/* c[r, :] (+)= sum_i (a[r * row_step + i * step], the one after it) . b[i, :]; a is aligned to one bf16 only. n_rows and
 * n_vecs, the vectors of queries, are constants after inlining. */
static inline __attribute__((always_inline)) void tile(const uint16_t *a, size_t row_step, size_t step, const uint32_t *b,
                                                       int n_steps, bool first, float *c, const int n_rows, const int n_vecs)
{
    vf acc[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++)
            acc[r][v] = first ? vf_zero() : vf_load(c + r * PAIRS_WIDTH + v * 16);
    }
    for (int i = 0; i < n_steps; i++, a += step, b += PAIRS_WIDTH) {
        __m512i b0 = _mm512_load_si512(b), b1 = n_vecs > 1 ? _mm512_load_si512(b + 16) : b0;
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            int32_t pair;
            memcpy(&pair, a + (size_t)r * row_step, sizeof pair);
            __m512i av = _mm512_set1_epi32(pair);
            /* As assembly: see gemm_bf16_bf16.c. */
            __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[r][0]) : "v"(av), "v"(b0));
            if (n_vecs > 1)
                __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[r][1]) : "v"(av), "v"(b1));
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++)
            vf_store(c + r * PAIRS_WIDTH + v * 16, acc[r][v]);
    }
}

static inline __attribute__((always_inline)) void product(const uint16_t *a, size_t row_step, size_t step, const uint32_t *b,
                                                          int n_steps, bool first, float *c, int n_rows, const int n_vecs)
{
    int r = 0;
    for (; r + TILE_ROWS <= n_rows; r += TILE_ROWS)
        tile(a + (size_t)r * row_step, row_step, step, b, n_steps, first, c + r * PAIRS_WIDTH, TILE_ROWS, n_vecs);
    for (; r + 4 <= n_rows; r += 4)
        tile(a + (size_t)r * row_step, row_step, step, b, n_steps, first, c + r * PAIRS_WIDTH, 4, n_vecs);
    for (; r < n_rows; r++)
        tile(a + (size_t)r * row_step, row_step, step, b, n_steps, first, c + r * PAIRS_WIDTH, 1, n_vecs);
}

static void begin(void *state, const k_span *span)
{
    const k_attention *t = ((const pairs_head *)state)->t;
    pairs_pack_q(pairs_q_rows(t, span), t->q_stride, span->n, t->head_dim, pairs_q(t, span));
}

static inline __attribute__((always_inline)) void keys_of(pairs_head *h, const k_span *span, const int n_vecs)
{
    uint32_t p[PAIRS_KEYS / 2 * PAIRS_WIDTH] __attribute__((aligned(64)));
    float s[PAIRS_KEYS * PAIRS_WIDTH] __attribute__((aligned(64)));
    const k_attention *t = h->t;
    const int dim = t->head_dim, n_pairs = (span->n_keys + 1) / 2;
    const uint16_t *k = (const uint16_t *)h->k + (size_t)span->key * t->kv_stride;
    const uint32_t *v = (const uint32_t *)h->v + (size_t)(span->key / 2) * (size_t)dim;
    const bool first = k_span_is_first(span);
    float *o = pairs_o(t, span);
    product(k, t->kv_stride, 2, pairs_q(t, span), dim / 2, true, s, span->n_keys, n_vecs);
    float factor = pairs_scores(t, span, s);
    pairs_softmax(s, span->n_keys, n_pairs, factor, first, h->max[span->block], h->sum[span->block], p, o, dim, n_vecs);
    product((const uint16_t *)(const void *)v, 2, 2 * (size_t)dim, p, n_pairs, first, o, dim, n_vecs);
}

static void keys(void *state, const k_span *span)
{
    if (span->n > 16)
        keys_of(state, span, 2);
    else
        keys_of(state, span, 1);
}

static void end(void *state, const k_span *span)
{
    pairs_unpack_o(state, span);
}

void k_attention_bf16_bf16(const k_attention *t)
{
    if (t->head_dim % 32 != 0) {
        k_attention_bf16_avx512(t);
        return;
    }
    const uint16_t *v = t->v;
    const int dim = t->head_dim, n_pairs = (t->n_k + 1) / 2;
    uint32_t *vp = (uint32_t *)t->scratch + k_span_floats(dim); /* [n_pairs][dim] */
    for (int j = 0; j < n_pairs; j++) {
        const uint16_t *even = v + (size_t)(2 * j) * t->kv_stride, *odd = even + t->kv_stride;
        for (int d = 0; d < dim; d += 16)
            _mm512_storeu_si512(vp + (size_t)j * (size_t)dim + d,
                                pairs_of_rows(even + d, 2 * j + 1 < t->n_k ? odd + d : NULL));
    }
    pairs_head h;
    pairs_head_of(&h, t, t->k, vp);
    k_span_visit(t, PAIRS_WIDTH, PAIRS_KEYS, &h, begin, keys, end);
}

#else
typedef int hd_not_this_machine;
#endif
