/* rows_tmpl.h - the rows family on vectors; include a vec_*.h and define ROWS(name), the symbol, first. With
 * ROWS_CONVERSIONS_ONLY defined there are only norm and convert, for levels that better nothing else.
 *
 * Rows are taken in blocks of four vectors: four chains of sums hide the latency of an addition, and four
 * vectors of 32-bit lanes are one store of bytes. What is left over is taken a vector at a time with the
 * lanes past n masked; a whole number of blocks fits in k_padded(n), so the padding is written with the last.
 */
#include <float.h>
#include <math.h>

k_norm_fn ROWS(norm);
k_convert_fn ROWS(convert);
#ifndef ROWS_CONVERSIONS_ONLY
k_embed_fn ROWS(embed);
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

/* u = x / scale - min / scale. min > max says that the row holds nothing but NaN, a NaN max that it holds one. */
static inline void store_u8(const float *x, int n, float min, float max, const k_act *act, int row)
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
        vf_store_u8x4(out + j, vf_fma(vf_load(x + j), a, b), vf_fma(vf_load(x + j + VF_LANES), a, b),
                      vf_fma(vf_load(x + j + 2 * VF_LANES), a, b), vf_fma(vf_load(x + j + 3 * VF_LANES), a, b), most);
    }
    for (; j < k_padded(n); j += BLOCK) {
        vf u[4];
        for (int v = 0; v < 4; v++) {
            int left = lanes_left(n, j + v * VF_LANES);
            u[v] = vf_select_n(vf_fma(vf_load_n(x + j + v * VF_LANES, left), a, b), vf_zero(), left);
        }
        vf_store_u8x4(out + j, u[0], u[1], u[2], u[3], most);
    }
}

/* The extent of a row; max is NaN when the row holds one. */
static inline void extent_of(const float *x, int n, float *min, float *max)
{
    extent e = extent_none();
    vf_ordered even = vf_ordered_all(), odd = even;
    int j = 0;
    for (; j + BLOCK <= n; j += BLOCK) {
        vf v0 = vf_load(x + j), v1 = vf_load(x + j + VF_LANES);
        vf v2 = vf_load(x + j + 2 * VF_LANES), v3 = vf_load(x + j + 3 * VF_LANES);
        extent_add(&e, 0, v0);
        extent_add(&e, 1, v1);
        extent_add(&e, 2, v2);
        extent_add(&e, 3, v3);
        even = vf_ordered_and(even, v0, v2);
        odd = vf_ordered_and(odd, v1, v3);
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf v = vf_load_n(x + j, left);
        extent_add_n(&e, v, left);
        even = vf_ordered_and(even, v, v);
    }
    *min = extent_min(&e);
    *max = vf_ordered_is_all(even) && vf_ordered_is_all(odd) ? extent_max(&e) : NAN;
}

static void convert_bf16(const float *x, int n, const k_act *act, int row)
{
    uint16_t *out = (uint16_t *)act->data + (size_t)row * act->stride;
    int j = 0;
    for (; j + VF_LANES <= n; j += VF_LANES)
        vf_store_bf16(out + j, vf_load(x + j));
    for (; j < k_padded(n); j += VF_LANES)
        vf_store_bf16(out + j, vf_load_n(x + j, lanes_left(n, j)));
}

void ROWS(convert)(const float *x, size_t stride, int n_rows, int n, const k_act *act)
{
    for (int row = 0; row < n_rows && act->type == K_BF16; row++)
        convert_bf16(x + (size_t)row * stride, n, act, row);
    for (int row = 0; row < n_rows && act->type == K_I8; row += CONVERT_ROWS) {
        float min[CONVERT_ROWS], max[CONVERT_ROWS];
        int end = n_rows - row < CONVERT_ROWS ? n_rows - row : CONVERT_ROWS;
        for (int r = 0; r < end; r++)
            extent_of(x + (size_t)(row + r) * stride, n, &min[r], &max[r]);
        for (int r = 0; r < end; r++)
            store_u8(x + (size_t)(row + r) * stride, n, min[r], max[r], act, row + r);
    }
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

/* x = (x * inverse - mean * inverse) * gamma + beta, and the extent of that. A NaN or infinity in the row has made the mean
 * or the inverse NaN, with it all of the row, and so the extent none. */
static inline void normalise(float *x, const k_norm *norm, float mean, float inverse, float *min, float *max)
{
    const float *gamma = norm->gamma, *beta = norm->beta;
    int n = norm->n, j = 0;
    vf a = vf_set1(inverse), b = vf_set1(-mean * inverse);
    extent e = extent_none();
    for (; j + BLOCK <= n; j += BLOCK) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            int i = j + v * VF_LANES;
            vf y = vf_fma(vf_fma(vf_load(x + i), a, b), vf_load(gamma + i), vf_load(beta + i));
            vf_store(x + i, y);
            extent_add(&e, v, y);
        }
    }
    for (; j < n; j += VF_LANES) {
        int left = lanes_left(n, j);
        vf y = vf_fma(vf_load_n(x + j, left), a, b);
        y = vf_fma(y, vf_load_n(gamma + j, left), vf_load_n(beta + j, left));
        vf_store_n(x + j, y, left);
        extent_add_n(&e, y, left);
    }
    *min = extent_min(&e);
    *max = extent_max(&e);
}

/* Each step ends in a chain of dependent scalar work, so a few rows take it together. */
static inline void norm_rows(const k_norm *norm, int first, int n_rows)
{
    float mean[NORM_ROWS], inverse[NORM_ROWS], min[NORM_ROWS], max[NORM_ROWS];
    float *x = norm->x + (size_t)first * norm->stride;
    for (int r = 0; r < n_rows; r++)
        mean[r] = mean_of(x + (size_t)r * norm->stride, norm->n);
    for (int r = 0; r < n_rows; r++)
        inverse[r] = 1.0f / sqrtf(variance_of(x + (size_t)r * norm->stride, norm->n, mean[r]) + norm->eps);
    for (int r = 0; r < n_rows; r++)
        normalise(x + (size_t)r * norm->stride, norm, mean[r], inverse[r], &min[r], &max[r]);
    for (int r = 0; r < n_rows && norm->act.type == K_I8; r++)
        store_u8(x + (size_t)r * norm->stride, norm->n, min[r], max[r], &norm->act, first + r);
    for (int r = 0; r < n_rows && norm->act.type == K_BF16; r++)
        convert_bf16(x + (size_t)r * norm->stride, norm->n, &norm->act, first + r);
}

void ROWS(norm)(const k_norm *norm)
{
    for (int row = 0; row < norm->n_rows; row += NORM_ROWS)
        norm_rows(norm, row, norm->n_rows - row < NORM_ROWS ? norm->n_rows - row : NORM_ROWS);
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

static inline __attribute__((always_inline)) void embed_rows(k_type type, const k_embed *embed)
{
    for (int row = 0; row < embed->n_rows; row++) {
        size_t word = (size_t)embed->ids[row] * embed->word_stride;
        vf scale = type == K_I8 ? vf_set1(embed->word_scale[embed->ids[row]]) : vf_zero();
        const float *position = embed->positions + (size_t)embed->pos[row] * (size_t)embed->n;
        const float *token_type = embed->token_type;
        float *out = embed->out + (size_t)row * embed->stride;
        int n = embed->n, j = 0;
        for (; j + VF_LANES <= n; j += VF_LANES) {
            vf sum = vf_add(word_load(type, embed, word + (size_t)j, scale), vf_load(position + j));
            vf_store(out + j, token_type != NULL ? vf_add(sum, vf_load(token_type + j)) : sum);
        }
        if (j < n) {
            int left = n - j;
            vf sum = vf_add(word_load_n(type, embed, word + (size_t)j, scale, left), vf_load_n(position + j, left));
            vf_store_n(out + j, token_type != NULL ? vf_add(sum, vf_load_n(token_type + j, left)) : sum, left);
        }
    }
}

void ROWS(embed)(const k_embed *embed)
{
    switch (embed->type) {
    case K_F32: embed_rows(K_F32, embed); break;
    case K_BF16: embed_rows(K_BF16, embed); break;
    case K_I8: embed_rows(K_I8, embed); break;
    }
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
