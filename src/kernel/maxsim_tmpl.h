/* maxsim_tmpl.h - maxsim in f32 lanes; include a vec_*.h first. MS_SUFFIX names the level.
 *
 * For each block of queries (two vectors of them, or one), over blocks of a document's tokens: products of 128 values at a
 * time (product_tmpl.h), then the running maximum, which is vertical: one lane is one query.
 */
#include <math.h>

#include "kernel/product_tmpl.h"

#define MS_PASTE_(a, b) a##b
#define MS_PASTE(a, b) MS_PASTE_(a, b)
#define MS_ROWS 128  /* tokens of a document in a block: their scores take half of L1 */
#define MS_CHUNK 128 /* values of a vector */

/* n_rows x n values from row `row` and column `column` of an array of the type, as f32: where they lie, or widened into
 * wide[][MS_CHUNK]. */
static inline const float *ms_values(k_type type, const void *array, size_t *stride, int row, int column, int n_rows, int n,
                                     float *wide)
{
    const size_t at = (size_t)row * *stride + (size_t)column;
    if (type == K_F32)
        return (const float *)array + at;
    at_widen((const uint16_t *)array + at, *stride, n_rows, n, wide, MS_CHUNK);
    *stride = MS_CHUNK;
    return wide;
}

/* The largest product of each of n_q queries from row `first` on, in most[AT_WIDTH]. */
static inline __attribute__((always_inline)) void ms_block(k_type type, const k_maxsim *m, int first, int n_q, float *most,
                                                           const int n_vecs)
{
    float qt[MS_CHUNK * AT_WIDTH] __attribute__((aligned(64)));
    float s[MS_ROWS * AT_WIDTH] __attribute__((aligned(64)));
    float wide[MS_ROWS * MS_CHUNK] __attribute__((aligned(64)));
    vf max[2] = {vf_set1(-INFINITY), vf_set1(-INFINITY)};
    for (int j = 0; j < m->n_d; j += MS_ROWS) {
        const int rows = m->n_d - j < MS_ROWS ? m->n_d - j : MS_ROWS;
        for (int i = 0; i < m->n; i += MS_CHUNK) {
            const int n = m->n - i < MS_CHUNK ? m->n - i : MS_CHUNK;
            size_t q_stride = m->q_stride, d_stride = m->d_stride;
            if (j == 0 || m->n > MS_CHUNK) { /* else it is there already */
                const float *q = ms_values(type, m->q, &q_stride, first, i, n_q, n, wide);
                at_pack_q(q, q_stride, n_q, n, 1.0f, qt);
            }
            const float *d = ms_values(type, m->d, &d_stride, j, i, rows, n, wide);
            at_product(d, d_stride, 1, qt, n, i == 0, s, rows, n_vecs);
        }
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
            for (int v = 0; v < n_vecs; v++)
                max[v] = vf_max_nan(max[v], vf_load(s + r * AT_WIDTH + v * VF_LANES));
        }
    }
    vf_store(most, max[0]);
    vf_store(most + VF_LANES, max[1]);
}

static inline __attribute__((always_inline)) float ms_sum(k_type type, const k_maxsim *m)
{
    float sum = 0.0f;
    for (int i = 0; i < m->n_q; i += AT_WIDTH) {
        const int n = m->n_q - i < AT_WIDTH ? m->n_q - i : AT_WIDTH;
        float most[AT_WIDTH];
        if (n > VF_LANES)
            ms_block(type, m, i, n, most, 2);
        else
            ms_block(type, m, i, n, most, 1);
        for (int r = 0; r < n; r++)
            sum += most[r];
    }
    return sum;
}

float MS_PASTE(k_maxsim_f32_, MS_SUFFIX)(const k_maxsim *m)
{
    return ms_sum(K_F32, m);
}

float MS_PASTE(k_maxsim_bf16_, MS_SUFFIX)(const k_maxsim *m)
{
    return ms_sum(K_BF16, m);
}
