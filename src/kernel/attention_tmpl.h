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
#include <math.h>
#include <string.h>

#define AT_PASTE_(a, b) a##b
#define AT_PASTE(a, b) AT_PASTE_(a, b)
#define AT_KEYS 128             /* keys in a block: scores stay in L1 */
#define AT_WIDTH (2 * VF_LANES) /* queries in a block; also the stride of q, s and o */
#define AT_ROWS (VF_LANES == 16 ? 8 : 4)

/* c[r, :] (+)= sum_i a[r * row_step + i * step] * b[i, :]; n_rows and n_vecs are constants after inlining. */
static inline __attribute__((always_inline)) void at_tile(const float *a, size_t row_step, size_t step, const float *b,
                                                          int n_steps, bool first, float *c, const int n_rows,
                                                          const int n_vecs)
{
    vf acc[8][2];
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++)
            acc[r][v] = first ? vf_zero() : vf_load(c + r * AT_WIDTH + v * VF_LANES);
    }
    for (int i = 0; i < n_steps; i++, a += step, b += AT_WIDTH) {
        vf bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++)
            bv[v] = vf_load(b + v * VF_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < n_rows; r++) {
            vf av = vf_set1(a[(size_t)r * row_step]);
#pragma GCC unroll 2
            for (int v = 0; v < n_vecs; v++)
                acc[r][v] = vf_fma(av, bv[v], acc[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < n_vecs; v++)
            vf_store(c + r * AT_WIDTH + v * VF_LANES, acc[r][v]);
    }
}

/* All rows of c. A row's bits do not depend on which tile it falls into. */
static inline __attribute__((always_inline)) void at_product(const float *a, size_t row_step, size_t step, const float *b,
                                                             int n_steps, bool first, float *c, int n_rows, const int n_vecs)
{
    int r = 0;
    for (; r + AT_ROWS <= n_rows; r += AT_ROWS)
        at_tile(a + (size_t)r * row_step, row_step, step, b, n_steps, first, c + r * AT_WIDTH, AT_ROWS, n_vecs);
    for (; r < n_rows; r++)
        at_tile(a + (size_t)r * row_step, row_step, step, b, n_steps, first, c + r * AT_WIDTH, 1, n_vecs);
}

/* qt[d][AT_WIDTH] = q[i][d] * scale for n_queries rows, zero beyond them. */
static void at_pack_q(const float *q, size_t stride, int n_queries, int head_dim, float scale, float *qt)
{
    vf factor = vf_set1(scale);
    for (int i = 0; i < AT_WIDTH; i += VF_LANES) {
        for (int d = 0; d < head_dim; d += VF_LANES) {
            int n = head_dim - d < VF_LANES ? head_dim - d : VF_LANES;
            vf block[VF_LANES];
            for (int r = 0; r < VF_LANES; r++)
                block[r] = i + r < n_queries ? vf_mul(factor, vf_load_n(q + (size_t)(i + r) * stride + d, n)) : vf_zero();
            vf_transpose(block);
            for (int c = 0; c < n; c++)
                vf_store(qt + (d + c) * AT_WIDTH + i, block[c]);
        }
    }
}

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

/* One block of queries, already transposed in qt, against all keys. */
static inline __attribute__((always_inline)) void at_block(const float *qt, const float *k, const float *v, size_t kv_stride,
                                                           int n_k, int head_dim, float *o, vf *sum, const int n_vecs)
{
    float s[AT_KEYS * AT_WIDTH] __attribute__((aligned(64)));
    vf max[2] = {vf_zero(), vf_zero()};
    for (int j = 0; j < n_k; j += AT_KEYS) {
        int n_keys = n_k - j < AT_KEYS ? n_k - j : AT_KEYS;
        at_product(k + (size_t)j * kv_stride, kv_stride, 1, qt, head_dim, true, s, n_keys, n_vecs);
        at_softmax(s, n_keys, j == 0, max, sum, o, head_dim, n_vecs);
        at_product(v + (size_t)j * kv_stride, 1, kv_stride, s, n_keys, j == 0, o, head_dim, n_vecs);
    }
}

static void at_head(const float *q, size_t q_stride, const float *k, const float *v, size_t kv_stride, const k_attention *t)
{
    float qt[K_HEAD_DIM_MAX * AT_WIDTH] __attribute__((aligned(64)));
    float o[K_HEAD_DIM_MAX * AT_WIDTH] __attribute__((aligned(64)));
    vf sum[2] = {vf_zero(), vf_zero()};
    for (int i = 0; i < t->n_q; i += AT_WIDTH) {
        int n = t->n_q - i < AT_WIDTH ? t->n_q - i : AT_WIDTH;
        at_pack_q(q + (size_t)i * q_stride, q_stride, n, t->head_dim, t->scale * 1.44269504f, qt);
        if (n > VF_LANES)
            at_block(qt, k, v, kv_stride, t->n_k, t->head_dim, o, sum, 2);
        else
            at_block(qt, k, v, kv_stride, t->n_k, t->head_dim, o, sum, 1);
        at_unpack_o(o, sum, n, t->head_dim, t->out + (size_t)i * t->out_stride, t->out_stride);
    }
}

void AT_PASTE(k_attention_f32_, AT_SUFFIX)(const k_attention *t)
{
    at_head(t->q, t->q_stride, t->k, t->v, t->kv_stride, t);
}

/* rows[i][0, n) widened into wide[i][n_padded], up to n_rows. */
static void at_widen(const uint16_t *rows, size_t stride, int n_rows, int n, float *wide, size_t wide_stride)
{
    for (int i = 0; i < n_rows; i++) {
        int d = 0;
        for (; d + VF_LANES <= n; d += VF_LANES)
            vf_store(wide + (size_t)i * wide_stride + d, vf_load_bf16(rows + (size_t)i * stride + d));
        for (; d < n; d++)
            wide[(size_t)i * wide_stride + (size_t)d] = k_f32_from_bf16(rows[(size_t)i * stride + (size_t)d]);
    }
}

/* k and v are widened once, queries block by block: arithmetic is all in f32. */
void AT_PASTE(k_attention_bf16_, AT_SUFFIX)(const k_attention *t)
{
    float q[AT_WIDTH * K_HEAD_DIM_MAX] __attribute__((aligned(64)));
    size_t wide = ((size_t)t->head_dim + 15) / 16 * 16;
    float *k = t->scratch, *v = k + (size_t)t->n_k * wide;
    at_widen(t->k, t->kv_stride, t->n_k, t->head_dim, k, wide);
    at_widen(t->v, t->kv_stride, t->n_k, t->head_dim, v, wide);
    k_attention block = *t;
    for (int i = 0; i < t->n_q; i += AT_WIDTH) {
        block.n_q = t->n_q - i < AT_WIDTH ? t->n_q - i : AT_WIDTH;
        block.out = t->out + (size_t)i * t->out_stride;
        at_widen((const uint16_t *)t->q + (size_t)i * t->q_stride, t->q_stride, block.n_q, t->head_dim, q, wide);
        at_head(q, wide, k, v, wide, &block);
    }
}
