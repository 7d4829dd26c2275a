/* cpu_rows.c - see cpu_rows.h. Pooling is that of sentence-transformers' Pooling module. */
#include "device/cpu_rows.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

void hd__cpu_change_rows(const hd_kernels *kernels, hd_run *run, const hd_table_adapter *adapter, int task,
                         const int32_t *ids, int n_rows, int n, float *x, size_t stride)
{
    (void)kernels;
    const size_t rank = (size_t)adapter->rank, width = (size_t)n, first = (size_t)task * (size_t)adapter->n_rows;
    const float *lift = adapter->lift + (size_t)task * rank * width;
    for (hd_phase p = hd__phase_begin(run, (uint32_t)n_rows); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const size_t id = ids != NULL ? (size_t)ids[i] : 0;
            const float *low = adapter->low + (first + id) * rank;
            float *row = x + i * stride;
            for (size_t r = 0; r < rank; r++) {
                for (size_t j = 0; j < width; j++)
                    row[j] += low[r] * lift[r * width + j];
            }
        }
    }
}

static void pick_act(const hd_act *from, size_t row, const hd_act *to, size_t i)
{
    const size_t bytes = from->stride * k_type_bytes(from->type);
    memcpy((char *)to->data + i * bytes, (const char *)from->data + row * bytes, bytes);
    if (from->type == K_I8) {
        to->scale[i] = from->scale[row];
        to->offset[i] = from->offset[row];
    }
}

void hd__cpu_pick(const hd_kernels *kernels, hd_run *run, const hd_pick *pick)
{
    (void)kernels;
    for (hd_phase p = hd__phase_begin(run, (uint32_t)pick->n_sequences); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const size_t row = (size_t)(pick->skip != NULL ? pick->begin[i] + pick->skip[i] : pick->begin[i + 1] - 1);
            memcpy(pick->picked_x + i * pick->stride, pick->x + row * pick->stride, pick->stride * sizeof(float));
            pick->picked_positions[i] = pick->positions[row];
            pick->picked_begin[i + 1] = (int32_t)i + 1; /* each element has one writer */
            if (pick->in != NULL)
                pick_act(pick->in, row, pick->picked_in, i);
        }
    }
}

static void add_row(float *to, const float *from, size_t n)
{
    for (size_t j = 0; j < n; j++)
        to[j] += from[j];
}

void hd__cpu_copy(const hd_kernels *kernels, hd_run *run, const hd_copy *copy)
{
    (void)kernels;
    const size_t n = (size_t)copy->n;
    for (hd_phase p = hd__phase_begin(run, (uint32_t)copy->n_rows); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const float *from = copy->from + i * copy->from_stride;
            float *to = copy->to + i * copy->to_stride;
            if (copy->add)
                add_row(to, from, n);
            else
                memcpy(to, from, n * sizeof *to);
            memset(to + n, 0, (size_t)copy->n_zeros * sizeof *to);
        }
    }
}

/* ---- pooling ---- */

static void scale_row(float *row, int n, float factor)
{
    for (int j = 0; j < n; j++)
        row[j] *= factor;
}

/* Weights count from the start of the sequence: token skip + i weighs skip + i + 1. */
static void pool_weighted(const hd_kernels *kernels, const float *from, size_t stride, int count, int skip, int n,
                          float *out)
{
    float plain[HD_LIMIT_HIDDEN / 64];
    kernels->pool_sum(from, stride, count, n, true, out);
    for (int j = 0; j < n && skip > 0; j += (int)(sizeof plain / sizeof plain[0])) {
        const int part = n - j < (int)(sizeof plain / sizeof plain[0]) ? n - j : (int)(sizeof plain / sizeof plain[0]);
        kernels->pool_sum(from + j, stride, count, part, false, plain);
        for (int i = 0; i < part; i++)
            out[j + i] += (float)skip * plain[i];
    }
    const float weights = 0.5f * (float)count * (float)(count + 1) + (float)skip * (float)count;
    scale_row(out, n, 1.0f / weights);
}

/* Rows [first, end) of x, which follow `skip` others of their sequence. */
static void pool_rows(const hd_kernels *kernels, const hd_pool *t, int first, int end, int skip, float *out)
{
    const float *from = t->x + (size_t)first * t->stride;
    const int count = end - first;
    switch (t->kind) {
    case HD_POOL_FIRST: memcpy(out, from, (size_t)t->n * sizeof *out); return;
    case HD_POOL_LAST: memcpy(out, t->x + (size_t)(end - 1) * t->stride, (size_t)t->n * sizeof *out); return;
    case HD_POOL_MAX: kernels->pool_max(from, t->stride, count, t->n, out); return;
    case HD_POOL_WEIGHTED_MEAN: pool_weighted(kernels, from, t->stride, count, skip, t->n, out); return;
    case HD_POOL_MEAN:
    case HD_POOL_MEAN_SQRT:
        kernels->pool_sum(from, t->stride, count, t->n, false, out);
        scale_row(out, t->n, 1.0f / (t->kind == HD_POOL_MEAN ? (float)count : sqrtf((float)count)));
    }
}

void hd__cpu_pool(const hd_kernels *kernels, hd_run *run, const hd_pool *t)
{
    for (hd_phase p = hd__phase_begin(run, (uint32_t)t->n_rows); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const int skip = t->skip != NULL ? t->skip[i] : 0;
            float *out = t->out + i * t->out_stride;
            pool_rows(kernels, t, t->begin[i] + skip, t->end[i], skip, out);
            memset(out + t->n, 0, (size_t)t->n_zeros * sizeof *out);
        }
    }
}

void hd__cpu_unit(const hd_kernels *kernels, hd_run *run, const float *from, size_t from_stride, int n_rows, int n,
                  float *to, size_t to_stride)
{
    for (hd_phase p = hd__phase_begin(run, (uint32_t)n_rows); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const float *row = from + i * from_stride;
            const float length = sqrtf(kernels->dot(row, row, (size_t)n)), scale = 1.0f / fmaxf(length, 1e-12f);
            for (size_t j = 0; j < (size_t)n; j++)
                to[i * to_stride + j] = row[j] * scale;
        }
    }
}

/* ---- the vocabulary ---- */

/* What a logit that is not below 0 weighs. */
static float weight_of(bool log_twice, float logit)
{
    const float once = log1pf(logit);
    return log_twice ? log1pf(once) : once;
}

/* weights[id] += what the token's logit weighs, for ids [first, end). A NaN stays. */
static void add_weights(bool log_twice, const float *logit, size_t first, size_t end, float *weights)
{
    for (size_t id = first; id < end; id++)
        if (!(logit[id] <= 0.0f))
            weights[id] += weight_of(log_twice, logit[id]);
}

/* The logits of ids [first, end): the sum of what they weigh, or until all are known the greatest of them. */
static void collect_ids(const hd_vocab_pool *t, size_t first, size_t end)
{
    const size_t vocab = (size_t)t->vocab;
    int sequence = 0;
    for (int row = t->first; row < t->first + t->n_rows; row++) {
        while (t->begin[sequence + 1] <= row)
            sequence++;
        float *weights = t->weights + (size_t)sequence * vocab;
        const float *logit = t->logits + (size_t)(row - t->first) * t->stride;
        if (row == t->begin[sequence])
            memset(weights + first, 0, (end - first) * sizeof *weights);
        if (t->sums)
            add_weights(t->log_twice, logit, first, end, weights);
        for (size_t id = first; id < end && !t->sums; id++)
            weights[id] = logit[id] > weights[id] || logit[id] != logit[id] ? logit[id] : weights[id];
    }
}

void hd__cpu_collect(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *t)
{
    (void)kernels;
    for (hd_phase p = hd__phase_begin(run, (uint32_t)t->vocab); hd__phase_take(run, &p);)
        collect_ids(t, p.begin, p.end);
}

void hd__cpu_weigh(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *t)
{
    (void)kernels;
    const uint32_t n_greatest = t->sums ? 0 : (uint32_t)t->n_sequences;
    for (hd_phase p = hd__phase_begin(run, n_greatest); hd__phase_take(run, &p);) {
        for (size_t i = p.begin * (size_t)t->vocab; i < p.end * (size_t)t->vocab; i++) {
            if (t->weights[i] != 0.0f)
                t->weights[i] = weight_of(t->log_twice, t->weights[i]);
        }
    }
}
