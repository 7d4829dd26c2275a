/* states.c - see states.h. */
#include "encoder/states.h"

#include "base/alloc.h"
#include "encoder/head.h"

static void carve_act(char *base, size_t *at, const hd_encoder *e, int rows, int n, hd_act *act)
{
    *act = (hd_act){.type = e->type, .act_max = e->kernels.i8_act_max, .stride = k_row_stride(n, e->type)};
    act->data = hd__carve(base, at, (size_t)rows * act->stride * k_type_bytes(e->type));
    if (e->type == K_I8) {
        act->scale = hd__carve(base, at, (size_t)rows * sizeof(float));
        act->offset = hd__carve(base, at, (size_t)rows * sizeof(float));
    }
}

static size_t plan(const hd_encoder *e, int max_tokens, int n_members, char *base, hd_states *s)
{
    const int hidden = (int)e->settings->hidden, middle = (int)e->settings->intermediate;
    const int q_width = hd__q_width(e->settings), context_width = hd__context_width(e);
    const int block_rows = max_tokens < e->block_rows ? max_tokens : e->block_rows;
    const size_t tokens = (size_t)max_tokens;
    size_t at = 0;
    s->x_stride = k_row_stride(hidden, K_F32);
    s->context_stride = k_row_stride(context_width, K_F32);
    s->qkv_stride = k_row_stride(k_padded(q_width) + 2 * k_padded(hd__kv_width(e->settings)), e->qkv_type);
    s->middle_stride = k_row_stride(middle, K_F32);
    s->x = hd__carve(base, &at, tokens * s->x_stride * sizeof(float));
    s->qkv = hd__carve(base, &at, tokens * s->qkv_stride * k_type_bytes(e->qkv_type));
    s->context = hd__carve(base, &at, tokens * s->context_stride * sizeof(float));
    s->picked_x = hd__carve(base, &at, tokens * s->x_stride * sizeof(float));
    if (e->type == K_F32 && !e->architecture->pre_norm) {
        s->act = s->picked_act = (hd_act){.type = K_F32};
    } else {
        carve_act(base, &at, e, max_tokens, context_width, &s->act);
        carve_act(base, &at, e, max_tokens, context_width, &s->picked_act);
    }
    s->middle = e->type == K_I8 ? hd__carve(base, &at, (size_t)block_rows * s->middle_stride * sizeof(float)) : NULL;
    carve_act(base, &at, e, block_rows, middle, &s->middle_act);
    const int low = e->settings->n_layers > 0 ? e->layers[0].qkv_adapter.down.n : 0; /* the widest of a layer's */
    s->low_stride = k_row_stride(low, K_F32);
    s->low = low > 0 ? hd__carve(base, &at, tokens * s->low_stride * sizeof(float)) : NULL;
    s->picked_begin = hd__carve(base, &at, (tokens + 1) * sizeof(int32_t));
    s->picked_positions = hd__carve(base, &at, tokens * sizeof(int32_t));
    s->head = hd__carve(base, &at, hd__head_scratch_bytes(e, max_tokens));
    s->attention_bytes = hd__round_up(k_attention_scratch_bytes(max_tokens, (int)e->settings->head_dim), 64);
    s->attention = hd__carve(base, &at, hd__mul(s->attention_bytes, (size_t)n_members));
    return at;
}

size_t hd__states_bytes(const hd_encoder *e, int max_tokens, int n_members)
{
    hd_states s;
    return plan(e, max_tokens, n_members, NULL, &s);
}

void hd__states_begin(const hd_encoder *e, hd_run *run, const hd_batch *batch, int max_tokens, int n_members, char *scratch,
                      hd_states *s)
{
    *s = (hd_states){.encoder = e, .run = run, .batch = batch, .n_rows = batch->n_tokens, .positions = batch->positions};
    s->pick_pooling = hd__picked_pooling(e, batch->heads);
    plan(e, max_tokens, n_members, scratch, s);
}

void hd__states_pick(hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const bool copies_in = s->in.data != (void *)s->x;
    e->device->pick(&e->kernels, s->run,
                    &(hd_pick){
                        .n_sequences = s->batch->n_sequences,
                        .begin = s->batch->begin,
                        .skip = s->pick_pooling == HD_POOLING_LAST ? NULL : s->batch->pool_begin,
                        .positions = s->batch->positions,
                        .x = s->x,
                        .picked_x = s->picked_x,
                        .stride = s->x_stride,
                        .in = copies_in ? &s->in : NULL,
                        .picked_in = copies_in ? &s->picked_act : NULL,
                        .picked_begin = s->picked_begin,
                        .picked_positions = s->picked_positions,
                    });
    s->x = s->picked_x;
    s->act = s->picked_act;
    s->in = copies_in ? s->picked_act : hd__states_input(&s->act, s->x, s->x_stride);
    s->positions = s->picked_positions;
    s->n_rows = s->batch->n_sequences;
    s->picked = true;
}
