/* head.c - see head.h. */
#include "encoder/head.h"

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

void hd__heads_forward(hd_states *s)
{
    hd__pooling_forward(s->encoder, s->run, s->batch, s->x, s->x_stride, s->picked, s->head);
}
