/* pooling.c - see pooling.h. Pooling as sentence-transformers' Pooling module; several kinds are concatenated in its order:
 * CLS, max, mean, mean over the square root of the length, weighted mean, last. */
#include "encoder/pooling.h"

static const struct {
    uint32_t bit;
    hd_pool_kind kind;
} kinds[] = {
    {HD_POOLING_CLS, HD_POOL_FIRST},
    {HD_POOLING_MAX, HD_POOL_MAX},
    {HD_POOLING_MEAN, HD_POOL_MEAN},
    {HD_POOLING_MEAN_SQRT, HD_POOL_MEAN_SQRT},
    {HD_POOLING_WEIGHTED_MEAN, HD_POOL_WEIGHTED_MEAN},
    {HD_POOLING_LAST, HD_POOL_LAST},
};

bool hd__pools_one_row(uint32_t pooling)
{
    return pooling == HD_POOLING_CLS || pooling == HD_POOLING_LAST;
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

/* Pools every kind that the head has into its columns of the rows. */
static void pool(const hd_encoder *e, const hd_row_head *head, hd_run *run, const hd_batch *batch, const float *x,
                 size_t stride, float *rows, size_t width)
{
    const bool spans = batch->n_spans > 0;
    const int hidden = (int)e->settings->hidden;
    int column = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if ((head->pooling & kinds[i].bit) == 0)
            continue;
        const bool is_last = column + hidden == head->n_pooled;
        e->device->pool(&e->kernels, run,
                        &(hd_pool){
                            .kind = kinds[i].kind,
                            .x = x,
                            .stride = stride,
                            .n = hidden,
                            .begin = spans ? batch->span_begin : batch->begin,
                            .end = spans ? batch->span_end : batch->begin + 1,
                            .skip = spans ? NULL : batch->pool_begin,
                            .n_rows = spans ? batch->n_spans : batch->n_sequences,
                            .out = rows + column,
                            .out_stride = width,
                            .n_zeros = is_last ? (int)width - head->n_pooled : 0,
                        });
        column += hidden;
    }
}

static void copy_rows(const hd_encoder *e, hd_run *run, const float *from, size_t from_stride, float *to, size_t to_stride,
                      int n_rows, int n, int n_zeros)
{
    e->device->copy(&e->kernels, run,
                    &(hd_copy){
                        .from = from,
                        .from_stride = from_stride,
                        .to = to,
                        .to_stride = to_stride,
                        .n_rows = n_rows,
                        .n = n,
                        .n_zeros = n_zeros,
                    });
}

void hd__step_forward(const hd_encoder *e, hd_run *run, const hd_head_step *step, const hd_act *in, int n_rows, float *out,
                      size_t stride)
{
    e->device->linear(&e->kernels, run, &step->linear, NULL, in, n_rows, 0, step->linear.n_pad / K_PANEL, step->activation,
                      K_F32, out, stride);
    if (step->residual.n > 0)
        e->device->linear(&e->kernels, run, &step->residual, NULL, in, n_rows, 0, step->residual.n_pad / K_PANEL, K_ADD,
                          K_F32, out, stride);
}

void hd__row_head_forward(const hd_encoder *e, const hd_row_head *head, hd_run *run, const hd_batch *batch, const float *x,
                          size_t stride, bool gathered, char *scratch, float *out)
{
    const uint32_t n_steps = head->n_steps;
    const size_t width = n_steps > 0 ? widest(head) : (size_t)head->n_out;
    const int n = batch->n_spans > 0 ? batch->n_spans : batch->n_sequences;
    float *rows = n_steps > 0 ? (float *)(void *)scratch : out, *next = n_steps > 0 ? rows + (size_t)n * width : NULL;
    if (gathered)
        copy_rows(e, run, x, stride, rows, width, n, head->n_pooled, (int)width - head->n_pooled);
    else
        pool(e, head, run, batch, x, stride, rows, width);
    for (uint32_t k = 0; k < n_steps; k++) {
        const hd_head_step *step = &head->steps[k];
        hd_act act = {.type = K_F32, .data = rows, .stride = width};
        hd__step_forward(e, run, step, &act, n, next, width);
        if (step->norm.n > 0)
            e->device->norm(&e->kernels, run, &step->norm, next, width, n, false, &act);
        float *swap = rows;
        rows = next;
        next = swap;
    }
    if (n_steps > 0)
        copy_rows(e, run, rows, width, out, (size_t)head->n_out, n, head->n_out, 0);
}
