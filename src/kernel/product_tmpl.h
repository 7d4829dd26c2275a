/* product_tmpl.h - products of rows with transposed rows, in f32 lanes: the arithmetic of attention and maxsim; include a
 * vec_*.h first.
 *
 * One side is transposed, a row a lane; the other is broadcast value by value as it lies. The register tile is AT_ROWS
 * rows by the vectors of the transposed side, two or one.
 */
#include <string.h>

#define AT_WIDTH (2 * VF_LANES) /* rows of the transposed side in a block; also the stride of all that has them in lanes */
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
