/* rows_tmpl.h - the rows family on vectors; include a vec_*.h and define ROWS(name), the symbol, first. With
 * ROWS_CONVERSIONS_ONLY defined there are only norm and convert, for levels that better nothing else.
 *
 * Rows are taken in blocks of four vectors: four chains of sums hide the latency of an addition, and four
 * vectors of 32-bit lanes are one store of bytes. What is left over is taken a vector at a time with the
 * lanes past n masked; a whole number of blocks fits in k_padded(n), so the padding is written with the last.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/store_tmpl.h"

k_norm_fn ROWS(norm);
k_convert_fn ROWS(convert);
#ifndef ROWS_CONVERSIONS_ONLY
k_embed_fn ROWS(embed);
k_rotary_fn ROWS(rotary);
k_pool_sum_fn ROWS(pool_sum);
k_pool_max_fn ROWS(pool_max);
k_dot_fn ROWS(dot);
#endif

#define BLOCK (4 * VF_LANES)
#define NORM_ROWS 4
#define CONVERT_ROWS 4

/* How many of the lanes from element j on are before n. */
static inline int lanes_left(int n, int j)
{
    int left = n - j;
    return left < 0 ? 0 : left < VF_LANES ? left : VF_LANES;
}

static inline float sum4(const vf sum[4])
{
    return vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

/* The least and largest element so far, in four chains. The running value is the second operand: the one that
 * min and max give when either is NaN. So NaN is passed over, and a row of nothing else keeps min > max. */
typedef struct extent {
    vf min[4], max[4];
} extent;

static inline extent extent_none(void)
{
    vf top = vf_set1(INFINITY), bottom = vf_set1(-INFINITY);
    return (extent){{top, top, top, top}, {bottom, bottom, bottom, bottom}};
}

static inline void extent_add(extent *e, int chain, vf x)
{
    e->min[chain] = vf_min(x, e->min[chain]);
    e->max[chain] = vf_max(x, e->max[chain]);
}

static inline void extent_add_n(extent *e, vf x, int n)
{
    e->min[0] = vf_select_n(vf_min(x, e->min[0]), e->min[0], n);
    e->max[0] = vf_select_n(vf_max(x, e->max[0]), e->max[0], n);
}

static inline float extent_min(const extent *e)
{
    return vf_hmin(vf_min(vf_min(e->min[0], e->min[1]), vf_min(e->min[2], e->min[3])));
}

static inline float extent_max(const extent *e)
{
    return vf_hmax(vf_max(vf_max(e->max[0], e->max[1]), vf_max(e->max[2], e->max[3])));
}

/* ---- conversion ---- */

/* The first n of a vector of bf16, widened; the rest are zero and not read. */
static inline vf load_bf16_n(const uint16_t *x, int n)
{
    uint16_t half[VF_LANES] = {0};
    if (n == VF_LANES)
        return vf_load_bf16(x);
    memcpy(half, x, (size_t)n * sizeof *half);
    return vf_load_bf16(half);
}

/* What becomes of x before it is stored: nothing, or x * scale + shift, times gamma, plus beta. */
typedef enum row_kind { ROW_PLAIN, ROW_HALF, ROW_SCALED, ROW_SHIFTED } row_kind; /* HALF: x is bf16; SHIFTED: with beta */
typedef struct row_values {
    const void *x; /* f32, or bf16 */
    const float *gamma, *beta;
    vf scale, shift;
} row_values;

/* A vector of values from the j-th on; kind is a constant after inlining. */
static inline vf value_of(const row_values y, const row_kind kind, int j)
{
    if (kind == ROW_HALF)
        return vf_load_bf16((const uint16_t *)y.x + j);
    vf x = vf_load((const float *)y.x + j);
    if (kind == ROW_PLAIN)
        return x;
    x = vf_fma(x, y.scale, y.shift);
    return kind == ROW_SCALED ? vf_mul(x, vf_load(y.gamma + j)) : vf_fma(x, vf_load(y.gamma + j), vf_load(y.beta + j));
}

/* The first n of them. */
static inline vf value_n(const row_values y, const row_kind kind, int j, int n)
{
    if (kind == ROW_HALF)
        return load_bf16_n((const uint16_t *)y.x + j, n);
    vf x = vf_load_n((const float *)y.x + j, n);
    if (kind == ROW_PLAIN)
        return x;
    x = vf_fma(x, y.scale, y.shift);
    return kind == ROW_SCALED ? vf_mul(x, vf_load_n(y.gamma + j, n))
                              : vf_fma(x, vf_load_n(y.gamma + j, n), vf_load_n(y.beta + j, n));
}

/* Row `row` of x as it is: ROW_HALF or ROW_PLAIN. */
static inline row_values values_as_is(const k_act *x, int row)
{
    const size_t at = (size_t)row * x->stride * k_type_bytes(x->type);
    return (row_values){(const char *)x->data + at, NULL, NULL, vf_zero(), vf_zero()};
}

/* u = x / scale - min / scale. min > max says that the row holds nothing but NaN, a NaN max that it holds one. */
static inline __attribute__((always_inline)) void store_u8(const row_values x, const row_kind kind, int n, float min,
                                                           float max, const k_act *act, int row)
{
    uint8_t *out = (uint8_t *)act->data + (size_t)row * act->stride;
    float range = max - min;
    bool finite = range >= 0.0f && range <= FLT_MAX, constant = range < K_ACT_RANGE_MIN;
    act->scale[row] = !finite ? NAN : constant ? 1.0f : range / (float)act->act_max;
    act->offset[row] = finite ? min : NAN;

    float inverse = constant || !finite ? 0.0f : (float)act->act_max / range;
    vf a = vf_set1(inverse), b = vf_set1(finite ? -min * inverse : 0.0f);
    const int most = act->act_max;
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
        vf_store_u8x4(out + j, vf_fma(value_of(x, kind, j), a, b), vf_fma(value_of(x, kind, j + VF_LANES), a, b),
                      vf_fma(value_of(x, kind, j + 2 * VF_LANES), a, b), vf_fma(value_of(x, kind, j + 3 * VF_LANES), a, b),
                      most);
    }
    for (; j < k_padded(n); j += BLOCK) {
        vf u[4];
        for (int v = 0; v < 4; v++) {
            int left = lanes_left(n, j + v * VF_LANES);
            u[v] = vf_select_n(vf_fma(value_n(x, kind, j + v * VF_LANES, left), a, b), vf_zero(), left);
        }
        vf_store_u8x4(out + j, u[0], u[1], u[2], u[3], most);
    }
}

/* The extent of a row; max is NaN when the row holds one. */
static inline __attribute__((always_inline)) void extent_of(const row_values x, const row_kind kind, int n, float *min,
                                                            float *max)
{
    extent e = extent_none();
    vf_ordered even = vf_ordered_all(), odd = even;
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
        vf v0 = value_of(x, kind, j), v1 = value_of(x, kind, j + VF_LANES);
        vf v2 = value_of(x, kind, j + 2 * VF_LANES), v3 = value_of(x, kind, j + 3 * VF_LANES);
        extent_add(&e, 0, v0);
        extent_add(&e, 1, v1);
        extent_add(&e, 2, v2);
        extent_add(&e, 3, v3);
        even = vf_ordered_and(even, v0, v2);
        odd = vf_ordered_and(odd, v1, v3);
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf v = value_n(x, kind, j, left);
        extent_add_n(&e, v, left);
        even = vf_ordered_and(even, v, v);
    }
    *min = extent_min(&e);
    *max = vf_ordered_is_all(even) && vf_ordered_is_all(odd) ? extent_max(&e) : NAN;
}

/* Stages of the transform (hadamard.h) in which vectors `stride` apart take part, `radix` of them, a constant after
 * inlining. to may be x. */
static inline __attribute__((always_inline)) void butterflies(const float *x, int n, int stride, const int radix, float *to,
                                                              extent *e, vf_ordered *ordered)
{
    for (int first = 0; first < n; first += radix * stride) {
        for (int j = first; j < first + stride; j += VF_LANES) {
            vf v[8];
#pragma GCC unroll 8
            for (int i = 0; i < radix; i++)
                v[i] = vf_load(x + j + i * stride);
#pragma GCC unroll 3
            for (int half = radix / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
                for (int i = 0; i < radix; i++) {
                    if ((i & half) != 0)
                        continue;
                    const vf a = v[i], b = v[i + half];
                    v[i] = vf_add(a, b);
                    v[i + half] = vf_sub(a, b);
                }
            }
#pragma GCC unroll 8
            for (int i = 0; i < radix; i++) {
                vf_store(to + j + i * stride, v[i]);
                extent_add(e, i % 2, v[i]);
                if (i % 2 != 0)
                    *ordered = vf_ordered_and(*ordered, v[i - 1], v[i]);
            }
        }
    }
}

/* H of `order` rows times x, and the extent of that; max is NaN when it holds one. */
static inline __attribute__((always_inline)) void multiply_by_h(const float *x, int n, int order, float *to, float *min,
                                                                float *max)
{
    extent e;
    vf_ordered ordered = vf_ordered_all();
    int stride = n;
    for (int left = order; left > 1; x = to) {
        const int radix = left >= 8 ? 8 : left;
        stride /= radix;
        left /= radix;
        e = extent_none();
        switch (radix) {
        case 8: butterflies(x, n, stride, 8, to, &e, &ordered); break;
        case 4: butterflies(x, n, stride, 4, to, &e, &ordered); break;
        default: butterflies(x, n, stride, 2, to, &e, &ordered); break;
        }
    }
    *min = extent_min(&e);
    *max = vf_ordered_is_all(ordered) ? extent_max(&e) : NAN;
}

static inline __attribute__((always_inline)) void store_bf16(const row_values x, const row_kind kind, int n,
                                                             const k_act *act, int row)
{
    uint16_t *out = (uint16_t *)act->data + (size_t)row * act->stride;
    int j = 0;
    for (; j + VF_LANES <= n; j += VF_LANES)
        vf_store_bf16(out + j, value_of(x, kind, j));
    for (; j < k_padded(n); j += VF_LANES) {
        int left = lanes_left(n, j);
        vf_store_bf16(out + j, vf_select_n(value_n(x, kind, j, left), vf_zero(), left));
    }
}

static inline __attribute__((always_inline)) void store_f32(const row_values x, const row_kind kind, int n, const k_act *act,
                                                            int row)
{
    float *out = (float *)act->data + (size_t)row * act->stride;
    int j = 0;
    for (; j + VF_LANES <= n; j += VF_LANES)
        vf_store(out + j, value_of(x, kind, j));
    for (; j < k_padded(n); j += VF_LANES) {
        int left = lanes_left(n, j);
        vf_store(out + j, vf_select_n(value_n(x, kind, j, left), vf_zero(), left));
    }
}

static inline __attribute__((always_inline)) void convert_u8(const k_act *x, const row_kind kind, int n_rows, int n,
                                                             const k_act *act)
{
    for (int row = 0; row < n_rows; row += CONVERT_ROWS) {
        float min[CONVERT_ROWS], max[CONVERT_ROWS];
        int end = n_rows - row < CONVERT_ROWS ? n_rows - row : CONVERT_ROWS;
        for (int r = 0; r < end; r++)
            extent_of(values_as_is(x, row + r), kind, n, &min[r], &max[r]);
        for (int r = 0; r < end; r++)
            store_u8(values_as_is(x, row + r), kind, n, min[r], max[r], act, row + r);
    }
}

void ROWS(convert)(const k_act *x, int n_rows, int n, const k_act *act)
{
    for (int row = 0; row < n_rows && act->type == K_BF16; row++)
        store_bf16(values_as_is(x, row), ROW_PLAIN, n, act, row);
    if (act->type == K_I8 && x->type == K_BF16)
        convert_u8(x, ROW_HALF, n_rows, n, act);
    else if (act->type == K_I8)
        convert_u8(x, ROW_PLAIN, n_rows, n, act);
}

/* ---- layer normalisation ---- */

static inline float mean_of(const float *x, int n)
{
    vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            sum[v] = vf_add(sum[v], vf_load(x + j + v * VF_LANES));
    }
    for (; j < n; j += VF_LANES)
        sum[0] = vf_add(sum[0], vf_load_n(x + j, lanes_left(n, j)));
    return sum4(sum) / (float)n;
}

static inline float variance_of(const float *x, int n, float mean)
{
    vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()}, m = vf_set1(mean);
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            vf d = vf_sub(vf_load(x + j + v * VF_LANES), m);
            sum[v] = vf_fma(d, d, sum[v]);
        }
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf d = vf_select_n(vf_sub(vf_load_n(x + j, left), m), vf_zero(), left);
        sum[0] = vf_fma(d, d, sum[0]);
    }
    return sum4(sum) / (float)n;
}

/* The extent of y, which goes to x as well unless that is kept. A NaN or infinity in the row has made the mean or the
 * inverse NaN, with it all of the row, and so the extent none. */
static inline __attribute__((always_inline)) void normalise(const row_values y, const row_kind kind, int n, const bool keep,
                                                            float *x, float *min, float *max)
{
    int j = 0;
    extent e = extent_none();
    for (; j + BLOCK <= n; j += BLOCK) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            vf value = value_of(y, kind, j + v * VF_LANES);
            if (!keep)
                vf_store(x + j + v * VF_LANES, value);
            extent_add(&e, v, value);
        }
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf value = value_n(y, kind, j, left);
        if (!keep)
            vf_store_n(x + j, value, left);
        extent_add_n(&e, value, left);
    }
    *min = extent_min(&e);
    *max = extent_max(&e);
}

/* What is to be done to each of some rows of x. */
static inline __attribute__((always_inline)) void measure_rows(const k_norm *norm, int first, int n_rows, row_values *y)
{
    float mean[NORM_ROWS];
    const float *x = norm->x + (size_t)first * norm->stride;
    for (int r = 0; r < n_rows; r++)
        mean[r] = norm->rms ? 0.0f : mean_of(x + (size_t)r * norm->stride, norm->n);
    for (int r = 0; r < n_rows; r++) {
        const float *row = x + (size_t)r * norm->stride;
        const float variance = variance_of(row, norm->n, mean[r]);
        const float inverse = 1.0f / sqrtf(variance + norm->eps) + (variance - variance); /* infinity: NaN */
        y[r] = (row_values){row, norm->gamma, norm->beta, vf_set1(inverse), vf_set1(-mean[r] * inverse)};
    }
}

/* Each step ends in a chain of dependent scalar work, so a few rows take it together. */
static inline __attribute__((always_inline)) void norm_rows(const k_norm *norm, int first, int n_rows, const row_kind kind,
                                                            const bool keep)
{
    float min[NORM_ROWS], max[NORM_ROWS];
    row_values y[NORM_ROWS];
    const int n = norm->n;
    float *x = norm->x + (size_t)first * norm->stride;
    const row_kind stored = keep ? kind : ROW_PLAIN; /* what is left to be done to x */
    measure_rows(norm, first, n_rows, y);
    for (int r = 0; r < n_rows; r++)
        normalise(y[r], kind, n, keep, x + (size_t)r * norm->stride, &min[r], &max[r]);
    for (int r = 0; r < n_rows; r++) {
        if (norm->act.type == K_I8)
            store_u8(y[r], stored, n, min[r], max[r], &norm->act, first + r);
        else if (norm->act.type == K_BF16)
            store_bf16(y[r], stored, n, &norm->act, first + r);
        else if (keep)
            store_f32(y[r], stored, n, &norm->act, first + r);
    }
}

/* The same, multiplied by H, on 64 KiB of stack. n is a multiple of 32. */
static inline __attribute__((always_inline)) void norm_rows_by_h(const k_norm *norm, int first, int n_rows,
                                                                 const row_kind kind)
{
    _Alignas(64) float by_h[NORM_ROWS][K_HADAMARD_MAX + 16]; /* a power of two apart they would compete for a few sets */
    float min[NORM_ROWS], max[NORM_ROWS];
    row_values y[NORM_ROWS];
    const int n = norm->n;
    measure_rows(norm, first, n_rows, y);
    for (int r = 0; r < n_rows; r++) {
        float *to = norm->keep ? by_h[r] : norm->x + (size_t)(first + r) * norm->stride;
        for (int j = 0; j < n; j += VF_LANES)
            vf_store(to + j, value_of(y[r], kind, j));
        multiply_by_h(to, n, norm->act.hadamard, by_h[r], &min[r], &max[r]);
        y[r].x = by_h[r];
    }
    for (int r = 0; r < n_rows; r++)
        store_u8(y[r], ROW_PLAIN, n, min[r], max[r], &norm->act, first + r);
}

void ROWS(norm)(const k_norm *norm)
{
    for (int row = 0; row < norm->n_rows; row += NORM_ROWS) {
        int n_rows = norm->n_rows - row < NORM_ROWS ? norm->n_rows - row : NORM_ROWS;
        const bool by_h = norm->act.type == K_I8 && norm->act.hadamard > 1;
        if (by_h && norm->beta != NULL)
            norm_rows_by_h(norm, row, n_rows, ROW_SHIFTED);
        else if (by_h)
            norm_rows_by_h(norm, row, n_rows, ROW_SCALED);
        else if (norm->keep && norm->beta != NULL)
            norm_rows(norm, row, n_rows, ROW_SHIFTED, true);
        else if (norm->keep)
            norm_rows(norm, row, n_rows, ROW_SCALED, true);
        else if (norm->beta != NULL)
            norm_rows(norm, row, n_rows, ROW_SHIFTED, false);
        else
            norm_rows(norm, row, n_rows, ROW_SCALED, false);
    }
}

#ifndef ROWS_CONVERSIONS_ONLY
/* ---- embedding ---- */

/* A vector of words from element `at` of the table. */
static inline vf word_load(k_type type, const k_embed *embed, size_t at, vf scale)
{
    if (type == K_F32)
        return vf_load((const float *)embed->words + at);
    if (type == K_BF16)
        return vf_load_bf16((const uint16_t *)embed->words + at);
    return vf_mul(vf_load_i8((const int8_t *)embed->words + at), scale);
}

/* The same of the first n lanes, not reading past them. */
static inline vf word_load_n(k_type type, const k_embed *embed, size_t at, vf scale, int n)
{
    float wide[VF_LANES] = {0};
    for (int i = 0; i < n; i++) {
        wide[i] = type == K_F32    ? ((const float *)embed->words)[at + (size_t)i]
                  : type == K_BF16 ? k_f32_from_bf16(((const uint16_t *)embed->words)[at + (size_t)i])
                                   : (float)((const int8_t *)embed->words)[at + (size_t)i];
    }
    return type == K_I8 ? vf_mul(vf_load(wide), scale) : vf_load(wide);
}

/* Row `row` of the output: the word and n_added other rows. */
static inline __attribute__((always_inline)) void embed_row(k_type type, const k_embed *embed, int row,
                                                            const float *const *added, const int n_added)
{
    const size_t word = (size_t)embed->ids[row] * embed->word_stride;
    const vf scale = type == K_I8 ? vf_set1(embed->word_scale[embed->ids[row]]) : vf_zero();
    const float *first = added[0], *second = added[1];
    float *out = embed->out + (size_t)row * embed->stride;
    const int n = embed->n;
    int j = 0;
    for (; j + VF_LANES <= n; j += VF_LANES) {
        vf sum = word_load(type, embed, word + (size_t)j, scale);
        sum = n_added > 0 ? vf_add(sum, vf_load(first + j)) : sum;
        vf_store(out + j, n_added > 1 ? vf_add(sum, vf_load(second + j)) : sum);
    }
    if (j < n) {
        int left = n - j;
        vf sum = word_load_n(type, embed, word + (size_t)j, scale, left);
        sum = n_added > 0 ? vf_add(sum, vf_load_n(first + j, left)) : sum;
        vf_store_n(out + j, n_added > 1 ? vf_add(sum, vf_load_n(second + j, left)) : sum, left);
    }
}

static inline __attribute__((always_inline)) void embed_rows(k_type type, const k_embed *embed)
{
    const size_t n = (size_t)embed->n;
    for (int row = 0; row < embed->n_rows; row++) {
        const float *added[2] = {NULL, NULL};
        int n_added = 0;
        if (embed->positions != NULL)
            added[n_added++] = embed->positions + (size_t)embed->pos[row] * n;
        if (embed->types != NULL)
            added[n_added++] = embed->types + (embed->type_ids != NULL ? (size_t)embed->type_ids[row] : 0) * n;
        switch (n_added) {
        case 0: embed_row(type, embed, row, added, 0); break;
        case 1: embed_row(type, embed, row, added, 1); break;
        default: embed_row(type, embed, row, added, 2); break;
        }
    }
}

void ROWS(embed)(const k_embed *embed)
{
    switch (embed->type) {
    case K_F32: embed_rows(K_F32, embed); break;
    case K_BF16: embed_rows(K_BF16, embed); break;
    case K_I8: embed_rows(K_I8, embed); break;
    case K_F16:
    case K_F8: break;
    }
}

/* ---- rotary positions ---- */

/* The first n lanes of a vector of the type at element i. */
static inline vf rotary_load(k_type type, const void *x, int i, int n)
{
    return type == K_F32 ? vf_load_n((const float *)x + i, n) : load_bf16_n((const uint16_t *)x + i, n);
}

/* The inverse root of the mean square of a head, NaN for a head with infinity. */
static inline float rotary_inverse(k_type type, const k_rotary *r, const void *x)
{
    vf sum[2] = {vf_zero(), vf_zero()};
    for (int j = 0; j < r->head_dim; j += VF_LANES) {
        int n = lanes_left(r->head_dim, j);
        vf v = vf_select_n(rotary_load(type, x, j, n), vf_zero(), n);
        sum[j / VF_LANES % 2] = vf_fma(v, v, sum[j / VF_LANES % 2]);
    }
    float square = vf_sum(vf_add(sum[0], sum[1])) / (float)r->head_dim;
    return 1.0f / sqrtf(square + r->eps) + (square - square);
}

static inline __attribute__((always_inline)) void rotate_head(k_type type, const k_rotary *r, void *x, int32_t pos)
{
    const int half = r->rotary_dim / 2;
    const float *cosine = r->cos + (size_t)pos * (size_t)half, *sine = r->sin + (size_t)pos * (size_t)half;
    const vf inverse = vf_set1(r->gamma != NULL ? rotary_inverse(type, r, x) : 1.0f);
    for (int j = 0; j < half; j += VF_LANES) {
        int n = lanes_left(half, j);
        vf a = rotary_load(type, x, j, n), b = rotary_load(type, x, half + j, n);
        vf c = vf_load_n(cosine + j, n), s = vf_load_n(sine + j, n);
        if (r->gamma != NULL) {
            a = vf_mul(vf_mul(a, inverse), vf_load_n(r->gamma + j, n));
            b = vf_mul(vf_mul(b, inverse), vf_load_n(r->gamma + half + j, n));
        }
        vf_store_as(type, x, (size_t)j, vf_fnma(b, s, vf_mul(a, c)), n);
        vf_store_as(type, x, (size_t)(half + j), vf_fma(a, s, vf_mul(b, c)), n);
    }
    for (int j = r->rotary_dim; j < r->head_dim && r->gamma != NULL; j += VF_LANES) {
        int n = lanes_left(r->head_dim, j);
        vf y = vf_mul(vf_mul(rotary_load(type, x, j, n), inverse), vf_load_n(r->gamma + j, n));
        vf_store_as(type, x, (size_t)j, y, n);
    }
}

static inline __attribute__((always_inline)) void rotate_rows(k_type type, const k_rotary *r)
{
    for (int row = 0; row < r->n_rows; row++) {
        char *x = (char *)r->x + (size_t)row * r->stride * k_type_bytes(type);
        for (int head = 0; head < r->n_heads; head++, x += (size_t)r->head_dim * k_type_bytes(type))
            rotate_head(type, r, x, r->pos[row]);
    }
}

void ROWS(rotary)(const k_rotary *r)
{
    if (r->type == K_F32)
        rotate_rows(K_F32, r);
    else
        rotate_rows(K_BF16, r);
}

/* ---- pooling ---- */

void ROWS(pool_sum)(const float *x, size_t stride, int n_rows, int n, bool linear, float *out)
{
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
        vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
        for (int row = 0; row < n_rows; row++) {
            vf weight = vf_set1(linear ? (float)(row + 1) : 1.0f);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++)
                sum[v] = vf_fma(weight, vf_load(x + (size_t)row * stride + j + v * VF_LANES), sum[v]);
        }
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            vf_store(out + j + v * VF_LANES, sum[v]);
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf sum = vf_zero();
        for (int row = 0; row < n_rows; row++)
            sum = vf_fma(vf_set1(linear ? (float)(row + 1) : 1.0f), vf_load_n(x + (size_t)row * stride + j, left), sum);
        vf_store_n(out + j, sum, left);
    }
}

void ROWS(pool_max)(const float *x, size_t stride, int n_rows, int n, float *out)
{
    for (int j = 0; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf max = vf_load_n(x + j, left);
        for (int row = 1; row < n_rows; row++)
            max = vf_max_nan(max, vf_load_n(x + (size_t)row * stride + j, left));
        vf_store_n(out + j, max, left);
    }
}

/* ---- dot product ---- */

float ROWS(dot)(const float *a, const float *b, size_t n)
{
    vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    size_t j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            sum[v] = vf_fma(vf_load(a + j + v * VF_LANES), vf_load(b + j + v * VF_LANES), sum[v]);
    }
    for (; j + VF_LANES <= n; j += VF_LANES)
        sum[0] = vf_fma(vf_load(a + j), vf_load(b + j), sum[0]);
    int left = (int)(n - j);
    sum[1] = vf_fma(vf_load_n(a + j, left), vf_load_n(b + j, left), sum[1]);
    return sum4(sum);
}
#endif

#undef BLOCK
#undef NORM_ROWS
