/* attention_amx.c - attention on tiles: the same plan as attention_bf16.c with 32 keys or dimensions at a time.
 *
 *   scores   s[32 keys, 32 queries]  A = k (16 rows of 32 dimensions), B = qt, pairs of dimensions
 *   output   o[32 dims, 32 queries]  A = vt, v transposed (16 dimensions of 32 keys), B = p, pairs of keys
 *
 * Tiles: 0 1 accumulators (16 rows by queries 0..15 and 16..31), 4 = A, 6 7 = B, each zeroed after its last use
 * (gemm_amx.c says why). A second 16 without keys or queries is left out. All tiles are full: k and v are copied once for
 * a head, 32 keys after 32 keys so that they are read in the order in which they lie, with zeros after the last key, whose
 * weights are zero. Of few keys only the last, incomplete 32 of k are copied. Head dimensions that are not a multiple of 32
 * go through f32.
 */
#if defined(__x86_64__)

#include <string.h>

#include "kernel/amx_tiles.h"
#include "kernel/attention_pairs_avx512.h"

k_attention_fn k_attention_bf16_amx, k_attention_bf16_avx512;

/* c (+)= sum over n_steps of a . b, b advancing by 16 rows of pairs and a by a_step elements; c and b have PAIRS_WIDTH
 * columns. c is n_rows x n_cols tiles, 1 or 2 each, constants after inlining: what lies beyond is not touched. */
static inline __attribute__((always_inline)) void product(const uint16_t *a, size_t a_stride, size_t a_step,
                                                          const uint32_t *b, int n_steps, bool first, float *c,
                                                          const int n_rows, const int n_cols)
{
    const size_t c_bytes = PAIRS_WIDTH * 4;
    for (int r = 0; r < n_rows; r++, a += 16 * a_stride, c += 16 * PAIRS_WIDTH) {
        if (first) {
            _tile_zero(0);
            _tile_zero(1);
        } else {
            _tile_loadd(0, c, c_bytes);
            if (n_cols > 1)
                _tile_loadd(1, c + 16, c_bytes);
        }
        const uint16_t *ai = a;
        const uint32_t *bi = b;
        for (int i = 0; i < n_steps; i++, ai += a_step, bi += 16 * PAIRS_WIDTH) {
            _tile_loadd(4, ai, a_stride * 2);
            _tile_loadd(6, bi, PAIRS_WIDTH * 4);
            _tile_dpbf16ps(0, 4, 6);
            _tile_zero(6);
            if (n_cols > 1) {
                _tile_loadd(7, bi + 16, PAIRS_WIDTH * 4);
                _tile_dpbf16ps(1, 4, 7);
                _tile_zero(7);
            }
            _tile_zero(4);
        }
        _tile_stored(0, c, c_bytes);
        if (n_cols > 1)
            _tile_stored(1, c + 16, c_bytes);
        _tile_zero(0);
        _tile_zero(1);
    }
}

/* to[n_padded][dim] from row `first` on; rows from n_k on are zero. */
static void pack_k(const uint16_t *k, size_t stride, int first, int n_k, int dim, int n_padded, uint16_t *to)
{
    to += (size_t)first * (size_t)dim;
    for (int j = first; j < n_padded; j++) {
        for (int d = 0; d < dim; d += 32, to += 32)
            _mm512_store_si512(to, j < n_k ? _mm512_loadu_si512(k + (size_t)j * stride + d) : _mm512_setzero_si512());
    }
}

/* to[n_padded / 32][dim][32 keys]; keys from n_k on are zero. */
static void pack_v(const uint16_t *v, size_t stride, int n_k, int dim, int n_padded, uint16_t *to)
{
    for (int j = 0; j < n_padded; j += 32, to += 32 * dim) {
        for (int d = 0; d < dim; d += 16) {
            vf block[16];
            for (int r = 0; r < 16; r++) {
                int key = j + 2 * r;
                const uint16_t *even = v + (size_t)key * stride + d;
                block[r] =
                    key < n_k ? _mm512_castsi512_ps(pairs_of_rows(even, key + 1 < n_k ? even + stride : NULL)) : vf_zero();
            }
            vf_transpose(block);
            for (int c = 0; c < 16; c++)
                _mm512_store_ps((void *)(to + (d + c) * 32), block[c]);
        }
    }
}

static void begin(void *state, const k_span *span)
{
    const k_attention *t = ((const pairs_head *)state)->t;
    pairs_pack_q(pairs_q_rows(t, span), t->q_stride, span->n, t->head_dim, pairs_q(t, span));
}

/* n_cols: tiles of queries. */
static inline __attribute__((always_inline)) void keys_of(pairs_head *h, const k_span *span, const int n_cols)
{
    uint32_t p[PAIRS_KEYS / 2 * PAIRS_WIDTH] __attribute__((aligned(64)));
    float s[PAIRS_KEYS * PAIRS_WIDTH] __attribute__((aligned(64)));
    const k_attention *t = h->t;
    const int dim = t->head_dim, n_keys = span->n_keys, n_tiles = (n_keys + 31) / 32;
    const uint16_t *v = (const uint16_t *)h->v + (size_t)span->key * (size_t)dim;
    const bool first = k_span_is_first(span);
    const uint32_t *qt = pairs_q(t, span);
    float *o = pairs_o(t, span);
    for (int i = 0; i < n_keys; i += 32) {
        const int key = span->key + i;
        const size_t stride = key < h->n_lying ? t->kv_stride : (size_t)dim;
        const uint16_t *k = (const uint16_t *)(key < h->n_lying ? t->k : h->k) + (size_t)key * stride;
        if (n_keys - i > 16)
            product(k, stride, 32, qt, dim / 32, true, s + i * PAIRS_WIDTH, 2, n_cols);
        else
            product(k, stride, 32, qt, dim / 32, true, s + i * PAIRS_WIDTH, 1, n_cols);
    }
    float factor = pairs_scores(t, span, s);
    pairs_softmax(s, n_keys, 16 * n_tiles, factor, first, h->max[span->block], h->sum[span->block], p, o, dim, n_cols);
    for (int d = 0; d < dim; d += 32)
        product(v + 32 * d, 32, (size_t)(32 * dim), p, n_tiles, first, o + d * PAIRS_WIDTH, 2, n_cols);
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

void k_attention_bf16_amx(const k_attention *t)
{
    if (t->head_dim % 32 != 0) {
        k_attention_bf16_avx512(t);
        return;
    }
    const int dim = t->head_dim, n_padded = (t->n_k + 31) / 32 * 32;
    uint16_t *k = (uint16_t *)((float *)t->scratch + k_span_floats(dim)), *v = k + (size_t)n_padded * (size_t)dim;
    pairs_head h;
    pairs_head_of(&h, t, k, v);
    h.n_lying = t->n_k <= PAIRS_KEYS ? t->n_k / 32 * 32 : 0;
    pack_k(t->k, t->kv_stride, h.n_lying, t->n_k, dim, n_padded, k);
    pack_v(t->v, t->kv_stride, t->n_k, dim, n_padded, v);
    amx_configure((int[8]){16, 16, 16, 16, 16, 16, 16, 16});
    k_span_visit(t, PAIRS_WIDTH, PAIRS_KEYS, &h, begin, keys, end);
    _tile_release();
}

#else
typedef int hd_not_this_machine;
#endif
