/* rows_ref.c - the formulas of rows.h as they stand there, with sums in double. */
#include <math.h>
#include <string.h>

#include "kernel/rows.h"

k_norm_fn k_norm_ref;
k_convert_fn k_convert_ref;
k_embed_fn k_embed_ref;
k_pool_sum_fn k_pool_sum_ref;
k_pool_max_fn k_pool_max_ref;
k_dot_fn k_dot_ref;

static void convert_bf16(const float *x, int n, uint16_t *out)
{
    for (int j = 0; j < n; j++)
        out[j] = k_bf16_from_f32(x[j]);
    memset(out + n, 0, (size_t)(k_padded(n) - n) * sizeof *out);
}

static void convert_u8(const float *x, int n, int act_max, uint8_t *out, float *scale, float *offset)
{
    float min = x[0], max = x[0];
    bool ordered = true;
    for (int j = 0; j < n; j++) {
        min = x[j] < min ? x[j] : min;
        max = x[j] > max ? x[j] : max;
        ordered = ordered && !isnan(x[j]);
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
            out[j] = (uint8_t)nearbyint(((double)x[j] - (double)min) / ((double)max - (double)min) * act_max);
}

static void convert_row(const float *x, int n, const k_act *act, int row)
{
    size_t at = (size_t)row * act->stride;
    if (act->type == K_BF16)
        convert_bf16(x, n, (uint16_t *)act->data + at);
    else if (act->type == K_I8)
        convert_u8(x, n, act->act_max, (uint8_t *)act->data + at, act->scale + row, act->offset + row);
}

void k_convert_ref(const float *x, size_t stride, int n_rows, int n, const k_act *act)
{
    for (int row = 0; row < n_rows; row++)
        convert_row(x + (size_t)row * stride, n, act, row);
}

void k_norm_ref(const k_norm *norm)
{
    int n = norm->n;
    for (int row = 0; row < norm->n_rows; row++) {
        float *x = norm->x + (size_t)row * norm->stride;
        double mean = 0.0, variance = 0.0;
        for (int j = 0; j < n; j++)
            mean += (double)x[j];
        mean /= n;
        for (int j = 0; j < n; j++)
            variance += ((double)x[j] - mean) * ((double)x[j] - mean);
        variance /= n;

        double root = sqrt(variance + (double)norm->eps);
        for (int j = 0; j < n; j++)
            x[j] = (float)(((double)x[j] - mean) / root * (double)norm->gamma[j] + (double)norm->beta[j]);
        convert_row(x, n, &norm->act, row);
    }
}

static float word(const k_embed *embed, int32_t id, int j)
{
    size_t at = (size_t)id * embed->word_stride + (size_t)j;
    switch (embed->type) {
    case K_F32: return ((const float *)embed->words)[at];
    case K_BF16: return k_f32_from_bf16(((const uint16_t *)embed->words)[at]);
    case K_I8: return embed->word_scale[id] * (float)((const int8_t *)embed->words)[at];
    }
    return 0.0f;
}

void k_embed_ref(const k_embed *embed)
{
    for (int row = 0; row < embed->n_rows; row++) {
        const float *position = embed->positions + (size_t)embed->pos[row] * (size_t)embed->n;
        float *out = embed->out + (size_t)row * embed->stride;
        for (int j = 0; j < embed->n; j++) {
            float sum = word(embed, embed->ids[row], j) + position[j];
            out[j] = embed->token_type != NULL ? sum + embed->token_type[j] : sum;
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
