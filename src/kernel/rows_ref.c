/* rows_ref.c - the formulas of rows.h as they stand there, with sums in double. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel/attention.h"
#include "kernel/rows.h"

k_norm_fn k_norm_ref;
k_convert_fn k_convert_ref;
k_embed_fn k_embed_ref;
k_rotary_fn k_rotary_ref;
k_pool_sum_fn k_pool_sum_ref;
k_pool_max_fn k_pool_max_ref;
k_dot_fn k_dot_ref;

/* Values of a row: x as it stands, or what normalisation makes of it. */
typedef struct row_values {
    k_type type; /* of x: K_F32 or K_BF16 */
    const void *x;
    const k_norm *norm; /* NULL: as it stands */
    double mean, root;
} row_values;

static float value_at(const row_values *values, int j)
{
    const k_norm *norm = values->norm;
    const float x =
        values->type == K_F32 ? ((const float *)values->x)[j] : k_f32_from_bf16(((const uint16_t *)values->x)[j]);
    if (norm == NULL)
        return x;
    double beta = norm->beta != NULL ? (double)norm->beta[j] : 0.0;
    return (float)(((double)x - values->mean) / values->root * (double)norm->gamma[j] + beta);
}

static void convert_bf16(const row_values *values, int n, uint16_t *out)
{
    for (int j = 0; j < n; j++)
        out[j] = k_bf16_from_f32(value_at(values, j));
    memset(out + n, 0, (size_t)(k_padded(n) - n) * sizeof *out);
}

static void convert_u8(const row_values *values, int n, const k_act *act, uint8_t *out, float *scale, float *offset)
{
    assert(n > 0 && (act->hadamard <= 1 || (values->norm != NULL && act->hadamard == k_hadamard_order(n))));
    const int act_max = act->act_max;
    float multiplied[K_HADAMARD_MAX];
    const row_values by_h = {.type = K_F32, .x = multiplied};
    if (act->hadamard > 1) {
        for (int j = 0; j < n; j++)
            multiplied[j] = value_at(values, j);
        k_hadamard(multiplied, n, act->hadamard);
        values = &by_h;
    }
    float min = value_at(values, 0), max = min;
    bool ordered = true;
    for (int j = 0; j < n; j++) {
        float y = value_at(values, j);
        min = y < min ? y : min;
        max = y > max ? y : max;
        ordered = ordered && !isnan(y);
    }
    float range = max - min;
    bool constant = range < K_ACT_RANGE_MIN;
    *scale = constant ? 1.0f : range / (float)act_max;
    *offset = min;
    memset(out, 0, (size_t)k_padded(n));
    if (!ordered || !isfinite(range))
        *scale = *offset = NAN;
    else if (!constant)
        for (int j = 0; j < n; j++)
            out[j] = (uint8_t)nearbyint(((double)value_at(values, j) - (double)min) / ((double)max - (double)min) * act_max);
}

static void convert_row(const row_values *values, int n, const k_act *act, int row)
{
    size_t at = (size_t)row * act->stride;
    if (act->type == K_BF16)
        convert_bf16(values, n, (uint16_t *)act->data + at);
    else if (act->type == K_I8)
        convert_u8(values, n, act, (uint8_t *)act->data + at, act->scale + row, act->offset + row);
}

void k_convert_ref(const k_act *x, int n_rows, int n, const k_act *act)
{
    for (int row = 0; row < n_rows; row++) {
        const char *from = (const char *)x->data + (size_t)row * x->stride * k_type_bytes(x->type);
        convert_row(&(row_values){.type = x->type, .x = from}, n, act, row);
    }
}

void k_norm_ref(const k_norm *norm)
{
    int n = norm->n;
    for (int row = 0; row < norm->n_rows; row++) {
        float *x = norm->x + (size_t)row * norm->stride;
        double mean = 0.0, variance = 0.0;
        for (int j = 0; j < n && !norm->rms; j++)
            mean += (double)x[j] / n;
        for (int j = 0; j < n; j++)
            variance += ((double)x[j] - mean) * ((double)x[j] - mean);
        variance /= n;
        double root = sqrt(variance + (double)norm->eps) + (variance - variance); /* infinity: NaN */
        row_values values = {K_F32, x, norm, mean, root};
        if (norm->keep && norm->act.type == K_F32) {
            float *out = (float *)norm->act.data + (size_t)row * norm->act.stride;
            for (int j = 0; j < k_padded(n); j++)
                out[j] = j < n ? value_at(&values, j) : 0.0f;
        }
        convert_row(&values, n, &norm->act, row);
        for (int j = 0; j < n && !norm->keep; j++)
            x[j] = value_at(&values, j);
    }
}

static float rotary_get(const k_rotary *rotary, size_t at)
{
    return rotary->type == K_F32 ? ((const float *)rotary->x)[at] : k_f32_from_bf16(((const uint16_t *)rotary->x)[at]);
}

static void rotary_put(const k_rotary *rotary, size_t at, double value)
{
    if (rotary->type == K_F32)
        ((float *)rotary->x)[at] = (float)value;
    else
        ((uint16_t *)rotary->x)[at] = k_bf16_from_f32((float)value);
}

/* The head of elements [at, at + head_dim), at position pos. */
static void rotate_head(const k_rotary *r, size_t at, int32_t pos)
{
    double y[K_HEAD_DIM_MAX], square = 0.0;
    for (int j = 0; j < r->head_dim; j++) {
        y[j] = (double)rotary_get(r, at + (size_t)j);
        square += y[j] * y[j];
    }
    double root = sqrt(square / r->head_dim + (double)r->eps) + (square - square); /* infinity: NaN */
    for (int j = 0; j < r->head_dim && r->gamma != NULL; j++)
        y[j] *= (double)r->gamma[j] / root;
    const int half = r->rotary_dim / 2;
    for (int j = 0; j < half; j++) {
        double c = (double)r->cos[(size_t)pos * (size_t)half + (size_t)j];
        double s = (double)r->sin[(size_t)pos * (size_t)half + (size_t)j];
        rotary_put(r, at + (size_t)j, y[j] * c - y[j + half] * s);
        rotary_put(r, at + (size_t)(j + half), y[j + half] * c + y[j] * s);
    }
    for (int j = r->rotary_dim; j < r->head_dim && r->gamma != NULL; j++)
        rotary_put(r, at + (size_t)j, y[j]);
}

void k_rotary_ref(const k_rotary *r)
{
    for (int row = 0; row < r->n_rows; row++) {
        for (int head = 0; head < r->n_heads; head++)
            rotate_head(r, (size_t)row * r->stride + (size_t)(head * r->head_dim), r->pos[row]);
    }
}

static float word(const k_embed *embed, int32_t id, int j)
{
    size_t at = (size_t)id * embed->word_stride + (size_t)j;
    switch (embed->type) {
    case K_F32: return ((const float *)embed->words)[at];
    case K_BF16: return k_f32_from_bf16(((const uint16_t *)embed->words)[at]);
    case K_I8: return embed->word_scale[id] * (float)((const int8_t *)embed->words)[at];
    case K_F16:
    case K_F8: break;
    }
    return 0.0f;
}

void k_embed_ref(const k_embed *embed)
{
    for (int row = 0; row < embed->n_rows; row++) {
        const size_t n = (size_t)embed->n, type = embed->type_ids != NULL ? (size_t)embed->type_ids[row] : 0;
        float *out = embed->out + (size_t)row * embed->stride;
        for (size_t j = 0; j < n; j++) {
            out[j] = word(embed, embed->ids[row], (int)j);
            if (embed->positions != NULL)
                out[j] += embed->positions[(size_t)embed->pos[row] * n + j];
            if (embed->types != NULL)
                out[j] += embed->types[type * n + j];
        }
    }
}

void k_pool_sum_ref(const float *x, size_t stride, int n_rows, int n, bool linear, float *out)
{
    for (int j = 0; j < n; j++) {
        double sum = 0.0;
        for (int row = 0; row < n_rows; row++)
            sum += (linear ? row + 1.0 : 1.0) * (double)x[(size_t)row * stride + (size_t)j];
        out[j] = (float)sum;
    }
}

void k_pool_max_ref(const float *x, size_t stride, int n_rows, int n, float *out)
{
    for (int j = 0; j < n; j++) {
        float max = x[j];
        for (int row = 1; row < n_rows; row++) {
            float value = x[(size_t)row * stride + (size_t)j];
            max = value > max || isnan(value) ? value : max; /* once NaN, nothing is greater */
        }
        out[j] = max;
    }
}

float k_dot_ref(const float *a, const float *b, size_t n)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++)
        sum += (double)a[j] * (double)b[j];
    return (float)sum;
}
