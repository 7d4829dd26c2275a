/* head.c - see head.h. */
#include "encoder/head.h"

#include <string.h>

#include "encoder/pooling.h"

bool hd__picks_rows(const hd_encoder *e, const hd_batch *batch)
{
    return batch->heads == HD_HEAD_DENSE && hd__pools_one_row(e->settings->pooling);
}

int hd__context_width(const hd_encoder *e)
{
    return (int)e->settings->hidden;
}

size_t hd__head_scratch_bytes(const hd_encoder *e, int n_tokens)
{
    return hd__pooling_scratch_bytes(e, n_tokens);
}

static void copy_states(const hd_states *s)
{
    const size_t n = s->encoder->settings->hidden;
    for (hd_phase p = hd__phase_begin(s->run, (uint32_t)s->batch->n_tokens); hd__phase_take(s->run, &p);) {
        for (size_t i = p.begin; i < p.end; i++)
            memcpy(s->batch->token_states + i * n, s->x + i * s->x_stride, n * sizeof *s->x);
    }
}

void hd__heads_forward(hd_states *s)
{
    if ((s->batch->heads & HD_HEAD_TOKENS) != 0)
        copy_states(s);
    if ((s->batch->heads & HD_HEAD_DENSE) != 0)
        hd__pooling_forward(s->encoder, s->run, s->batch, s->x, s->x_stride, s->picked, s->head);
}
