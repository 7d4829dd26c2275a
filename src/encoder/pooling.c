/* pooling.c - see pooling.h. Pooling as sentence-transformers' Pooling module; several kinds are concatenated in its order:
 * CLS, max, mean, mean over the square root of the length, weighted mean, last. */
#include "encoder/pooling.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

bool hd__pools_one_row(uint32_t pooling)
{
    return pooling == HD_POOLING_CLS || pooling == HD_POOLING_LAST;
}

int hd__pooled_row(uint32_t pooling, const hd_batch *batch, int i)
{
    return pooling == HD_POOLING_LAST ? batch->begin[i + 1] - 1 : batch->begin[i] + batch->pool_begin[i];
}

static void scale_row(float *row, int n, float factor)
{
    for (int j = 0; j < n; j++)
        row[j] *= factor;
}

/* One sequence of n_rows, of which pooling skips the first `skip`: what is left out is not the first row either. */
static void pool(const hd_encoder *e, uint32_t kinds, const float *x, size_t stride, int n_rows, int skip, float *out)
{
    const int n = (int)e->settings->hidden;
    const float *from = x + (size_t)skip * stride;
    const int count = n_rows - skip;
    if (kinds & HD_POOLING_CLS) {
        memcpy(out, from, (size_t)n * sizeof *out);
        out += n;
    }
    if (kinds & HD_POOLING_MAX) {
        e->kernels.pool_max(from, stride, count, n, out);
        out += n;
    }
    if (kinds & HD_POOLING_MEAN) {
        e->kernels.pool_sum(from, stride, count, n, false, out);
        scale_row(out, n, 1.0f / (float)count);
        out += n;
    }
    if (kinds & HD_POOLING_MEAN_SQRT) {
        e->kernels.pool_sum(from, stride, count, n, false, out);
        scale_row(out, n, 1.0f / sqrtf((float)count));
        out += n;
    }
    if (kinds & HD_POOLING_WEIGHTED_MEAN) {
        /* Weights count from the start of the sequence: token skip + i weighs skip + i + 1. */
        float plain[HD_LIMIT_HIDDEN / 64];
        e->kernels.pool_sum(from, stride, count, n, true, out);
        for (int j = 0; j < n && skip > 0; j += (int)(sizeof plain / sizeof plain[0])) {
            int part = n - j < (int)(sizeof plain / sizeof plain[0]) ? n - j : (int)(sizeof plain / sizeof plain[0]);
            e->kernels.pool_sum(from + j, stride, count, part, false, plain);
            for (int i = 0; i < part; i++)
                out[j + i] += (float)skip * plain[i];
        }
        float weights = 0.5f * (float)count * (float)(count + 1) + (float)skip * (float)count;
        scale_row(out, n, 1.0f / weights);
        out += n;
    }
    if (kinds & HD_POOLING_LAST)
        memcpy(out, x + (size_t)(n_rows - 1) * stride, (size_t)n * sizeof *out);
}

/* Widest row on the way, padded. */
static size_t widest(const hd_row_head *head)
{
    size_t width = (size_t)k_padded(head->n_pooled);
    for (uint32_t i = 0; i < head->n_steps; i++) {
        size_t n = (size_t)head->steps[i].linear.n_pad;
        width = n > width ? n : width;
    }
    return width;
}

size_t hd__row_head_scratch_bytes(const hd_row_head *head, int n_sequences)
{
    return head->n_steps > 0 ? 2 * (size_t)n_sequences * widest(head) * sizeof(float) : 0;
}

/* The i-th row's pooling. */
static void pool_batch(const hd_encoder *e, uint32_t kinds, const hd_batch *batch, const float *x, size_t stride, int i,
                       float *row)
{
    const int begin = batch->n_spans > 0 ? batch->span_begin[i] : batch->begin[i];
    const int end = batch->n_spans > 0 ? batch->span_end[i] : batch->begin[i + 1];
    pool(e, kinds, x + (size_t)begin * stride, stride, end - begin, batch->n_spans > 0 ? 0 : batch->pool_begin[i], row);
}

void hd__row_head_forward(const hd_encoder *e, const hd_row_head *head, hd_run *run, const hd_batch *batch, const float *x,
                          size_t stride, bool gathered, char *scratch, float *out)
{
    const size_t width = widest(head), n_pooled = (size_t)head->n_pooled, n_out = (size_t)head->n_out;
    const uint32_t n_steps = head->n_steps, n = (uint32_t)(batch->n_spans > 0 ? batch->n_spans : batch->n_sequences);
    float *rows = (float *)(void *)scratch, *next = n_steps > 0 ? rows + (size_t)n * width : NULL;
    for (hd_phase p = hd__phase_begin(run, n); hd__phase_take(run, &p);) {
        for (int i = (int)p.begin; i < (int)p.end; i++) {
            float *row = n_steps > 0 ? rows + (size_t)i * width : out + (size_t)i * n_out;
            if (n_steps > 0)
                memset(row + n_pooled, 0, (width - n_pooled) * sizeof *row);
            if (gathered)
                memcpy(row, x + (size_t)i * stride, n_pooled * sizeof *row);
            else
                pool_batch(e, head->pooling, batch, x, stride, i, row);
        }
    }
    for (uint32_t k = 0; k < n_steps; k++) {
        const hd_head_step *step = &head->steps[k];
        hd_act act = {.type = K_F32, .data = rows, .stride = width};
        e->device->linear(&e->kernels, run, &step->linear, NULL, &act, (int)n, 0, step->linear.n_pad / K_PANEL,
                          step->activation, K_F32, next, width);
        if (step->norm.n > 0)
            e->device->norm(&e->kernels, run, &step->norm, next, width, (int)n, false, &act);
        float *swap = rows;
        rows = next;
        next = swap;
    }
    for (hd_phase p = hd__phase_begin(run, n_steps > 0 ? n : 0); hd__phase_take(run, &p);) {
        for (uint32_t i = p.begin; i < p.end; i++)
            memcpy(out + (size_t)i * n_out, rows + (size_t)i * width, n_out * sizeof(float));
    }
}
