/* attention_amx.c - attention on tiles: the same plan as attention_bf16.c with 32 keys or dimensions at a time.
 *
 *   scores   s[32 keys, 32 queries]  A = k as it lies (16 rows of 32 dimensions), B = qt, pairs of dimensions
 *   output   o[32 dims, 32 queries]  A = vt, v transposed once per head (16 dimensions of 32 keys), B = p, pairs of keys
 *
 * Tiles: 0..3 accumulators (rows 0..15 and 16..31 by queries 0..15 and 16..31), 4 5 = A, 6 7 = B. All are full:
 * the last keys of k are copied to scratch with zero rows after them, and their weights are zero. Head
 * dimensions that are not a multiple of 32 go through f32.
 */
#if defined(__x86_64__)

#include <string.h>

#include "kernel/amx_tiles.h"
#include "kernel/attention_pairs_avx512.h"

k_attention_fn k_attention_bf16_amx, k_attention_bf16_avx512;

/* c[32][32] (+)= sum over n_steps of a[32 rows][32] . b[16 pairs][32]; a advances by 32 columns, b by 16 rows. */
static inline void product32(const uint16_t *a, size_t a_stride, const uint32_t *b, int n_steps, bool first, float *c)
{
    const size_t c_bytes = PAIRS_WIDTH * 4;
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, c_bytes);
        _tile_loadd(1, c + 16, c_bytes);
        _tile_loadd(2, c + 16 * PAIRS_WIDTH, c_bytes);
        _tile_loadd(3, c + 16 * PAIRS_WIDTH + 16, c_bytes);
    }
    for (int i = 0; i < n_steps; i++, a += 32, b += 16 * PAIRS_WIDTH) {
        _tile_loadd(4, a, a_stride * 2);
        _tile_loadd(6, b, PAIRS_WIDTH * 4);
        _tile_loadd(7, b + 16, PAIRS_WIDTH * 4);
        _tile_loadd(5, a + 16 * a_stride, a_stride * 2);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + 16, c_bytes);
    _tile_stored(2, c + 16 * PAIRS_WIDTH, c_bytes);
    _tile_stored(3, c + 16 * PAIRS_WIDTH + 16, c_bytes);
}

/* vt[dim][keys_padded] from v[n_k][stride]; keys beyond n_k are zero. */
static void transpose_v(const uint16_t *v, size_t stride, int n_k, int dim, uint16_t *vt, size_t keys_padded)
{
    for (size_t j = 0; j < keys_padded; j += 32) {
        for (int d = 0; d < dim; d += 16) {
            vf block[16];
            for (int r = 0; r < 16; r++) {
                int key = (int)j + 2 * r;
                const uint16_t *even = v + (size_t)key * stride + d;
                block[r] =
                    key < n_k ? _mm512_castsi512_ps(pairs_of_rows(even, key + 1 < n_k ? even + stride : NULL)) : vf_zero();
            }
            vf_transpose(block);
            for (int c = 0; c < 16; c++)
                _mm512_storeu_ps((void *)(vt + (size_t)(d + c) * keys_padded + j), block[c]);
        }
    }
}

void k_attention_bf16_amx(const k_attention *t)
{
    if (t->head_dim % 32 != 0) {
        k_attention_bf16_avx512(t);
        return;
    }
    uint32_t qt[K_HEAD_DIM_MAX / 2 * PAIRS_WIDTH] __attribute__((aligned(64)));
    uint32_t p[PAIRS_KEYS / 2 * PAIRS_WIDTH] __attribute__((aligned(64)));
    float s[PAIRS_KEYS * PAIRS_WIDTH] __attribute__((aligned(64)));
    float o[K_HEAD_DIM_MAX * PAIRS_WIDTH] __attribute__((aligned(64)));
    vf max[2] = {vf_zero(), vf_zero()}, sum[2] = {vf_zero(), vf_zero()};
    int dim = t->head_dim;
    const uint16_t *k = t->k;
    size_t keys_padded = ((size_t)t->n_k + 31) / 32 * 32;
    uint16_t *vt = t->scratch;                         /* [dim][keys_padded] */
    uint16_t *last_k = vt + (size_t)dim * keys_padded; /* [32][dim]: the keys of the last, incomplete 32 */
    transpose_v(t->v, t->kv_stride, t->n_k, dim, vt, keys_padded);
    int n_whole = t->n_k / 32 * 32;
    if (n_whole < t->n_k) {
        memset(last_k, 0, sizeof *last_k * 32 * (size_t)dim);
        for (int j = n_whole; j < t->n_k; j++)
            memcpy(last_k + (size_t)(j - n_whole) * (size_t)dim, k + (size_t)j * t->kv_stride, sizeof *k * (size_t)dim);
    }

    amx_configure((int[8]){16, 16, 16, 16, 16, 16, 16, 16});
    for (int i = 0; i < t->n_heads; i++) {
        const size_t column = (size_t)i * (size_t)dim;
        const float *bias = t->bias != NULL ? t->bias + (size_t)i * t->bias_stride : NULL;
        for (k_span span = k_span_at(t, 0, PAIRS_WIDTH); span.n > 0; span = k_span_at(t, span.row + span.n, PAIRS_WIDTH)) {
            const uint16_t *q = (const uint16_t *)t->q + (size_t)span.row * t->q_stride + column;
            pairs_pack_q(q, t->q_stride, span.n, dim, qt);
            for (int j = span.begin; j < span.end; j += PAIRS_KEYS) {
                int keys = span.end - j < PAIRS_KEYS ? span.end - j : PAIRS_KEYS, pairs = (keys + 31) / 32 * 16;
                bool first = j == span.begin;
                for (int b = 0; b < keys; b += 32) {
                    bool whole = j + b < n_whole;
                    product32(whole ? k + (size_t)(j + b) * t->kv_stride : last_k, whole ? t->kv_stride : (size_t)dim, qt,
                              dim / 32, true, s + b * PAIRS_WIDTH);
                }
                float factor = pairs_scores(t, &span, bias, j, keys, s);
                if (span.n > 16)
                    pairs_softmax(s, keys, pairs, factor, first, max, sum, p, o, dim, 2);
                else
                    pairs_softmax(s, keys, pairs, factor, first, max, sum, p, o, dim, 1);
                for (int d = 0; d < dim; d += 32)
                    product32(vt + (size_t)d * keys_padded + j, keys_padded, p, pairs / 16, first, o + d * PAIRS_WIDTH);
            }
            pairs_unpack_o(o, sum, span.n, dim, t->out + (size_t)span.row * t->out_stride + column, t->out_stride);
        }
    }
    _tile_release();
}

#else
typedef int hd_not_this_machine;
#endif
