/* states.c - see states.h. */
#include "encoder/states.h"

#include "base/alloc.h"
#include "encoder/head.h"

#define LEAST_BLOCK_ROWS 1024 /* of the middle, where it has the place of what attention had */

static void carve_act(char *base, size_t *at, const hd_encoder *e, int rows, int n, hd_act *act)
{
    *act = (hd_act){.type = e->act_type, .act_max = e->kernels.i8_act_max, .stride = k_row_stride(n, e->act_type)};
    act->data = hd__carve(base, at, (size_t)rows * act->stride * k_type_bytes(e->act_type));
    if (e->act_type == K_I8) {
        act->scale = hd__carve(base, at, (size_t)rows * sizeof(float));
        act->offset = hd__carve(base, at, (size_t)rows * sizeof(float));
    }
}

/* Of rows, and of what norms write in their place. */
static void carve_acts(char *base, size_t *at, const hd_encoder *e, int rows, hd_act *act, hd_act *normed)
{
    const int n = hd__context_width(e);
    carve_act(base, at, e, rows, n, act);
    *normed = *act;
    normed->hadamard = e->settings->n_layers > 0 ? e->layers[0].qkv.hadamard : 0; /* as all that reads it */
    if (e->normed_type == e->act_type)
        return;
    *normed = (hd_act){.type = e->normed_type, .data = act->data, .stride = k_row_stride(n, e->normed_type)};
    normed->scale = hd__carve(base, at, (size_t)rows * sizeof(float));
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool has_normed_projections(const hd_encoder *e)
{
    return e->settings->n_layers > 0 && (e->layers[0].query_norm.n > 0 || e->layers[0].key_norm.n > 0);
}

static void plan_middle(const hd_encoder *e, int block_rows, char *base, size_t *at, hd_states *s)
{
    const int middle = (int)e->settings->intermediate;
    s->block_rows = block_rows;
    s->middle = (hd_act){.type = e->middle_type, .stride = k_row_stride(middle, e->middle_type)};
    if (e->act_type == K_I8)
        s->middle.data = hd__carve(base, at, (size_t)block_rows * s->middle.stride * k_type_bytes(s->middle.type));
    carve_act(base, at, e, block_rows, middle, &s->middle_act);
}

size_t hd__middle_row_bytes(const hd_encoder *e)
{
    hd_states one;
    size_t bytes = 0;
    plan_middle(e, 1, NULL, &bytes, &one);
    return bytes;
}

/* How many rows of the middle have room in so many bytes. */
static int rows_in(const hd_encoder *e, size_t bytes, int n_tokens)
{
    const size_t fit = bytes / hd__middle_row_bytes(e), rows = most(fit, LEAST_BLOCK_ROWS);
    return rows < (size_t)n_tokens ? (int)rows : n_tokens;
}

/* What heads have, what attention has, and what the feed-forward has, from *at on. */
static void plan_parts(const hd_encoder *e, const hd_room *room, char *base, size_t *at, hd_states *s)
{
    const size_t tokens = (size_t)room->n_tokens, begin = *at;
    const bool overlays = e->device->overlays;
    s->context_stride = k_row_stride(hd__context_width(e), K_F32);
    s->qkv_stride = k_row_stride(k_padded(hd__q_width(e->settings)) + 2 * k_padded(hd__kv_width(e->settings)), e->qkv_type);
    s->context = hd__carve(base, at, tokens * s->context_stride * sizeof(float));
    size_t attention_at = hd__attends_into_act(e) && !has_normed_projections(e) ? begin : *at;
    s->head = hd__carve(base, at, hd__head_scratch_bytes(e, room->n_tokens, room->n_rows));
    attention_at = overlays ? attention_at : *at;
    s->qkv = hd__carve(base, &attention_at, tokens * s->qkv_stride * k_type_bytes(e->qkv_type));
    *at = most(*at, attention_at);
    size_t middle_at = overlays ? begin : *at;
    const int most_rows = room->n_tokens < e->block_rows ? room->n_tokens : e->block_rows;
    plan_middle(e, overlays ? rows_in(e, *at - begin, room->n_tokens) : most_rows, base, &middle_at, s);
    *at = most(*at, middle_at);
}

static size_t plan(const hd_encoder *e, const hd_room *room, char *base, hd_states *s)
{
    const size_t tokens = (size_t)room->n_tokens, rows = (size_t)room->n_rows;
    size_t at = 0;
    s->x_stride = k_row_stride((int)e->settings->hidden, K_F32);
    s->x = hd__carve(base, &at, tokens * s->x_stride * sizeof(float));
    s->picked_x = hd__carve(base, &at, rows * s->x_stride * sizeof(float));
    if (e->act_type == K_F32 && !e->architecture->pre_norm) {
        s->act = s->normed = s->picked_act = s->picked_normed = (hd_act){.type = K_F32};
    } else {
        carve_acts(base, &at, e, room->n_tokens, &s->act, &s->normed);
        carve_acts(base, &at, e, room->n_rows, &s->picked_act, &s->picked_normed);
    }
    plan_parts(e, room, base, &at, s);
    const int low = e->settings->n_layers > 0 ? e->layers[0].qkv_adapter.down.n : 0; /* the widest of a layer's */
    s->low_stride = k_row_stride(low, K_F32);
    s->low = low > 0 ? hd__carve(base, &at, tokens * s->low_stride * sizeof(float)) : NULL;
    const bool has_update = e->settings->n_layers > 0 && e->layers[0].attention_post_norm.n > 0;
    s->update = has_update ? hd__carve(base, &at, tokens * s->x_stride * sizeof(float)) : NULL;
    s->picked_begin = hd__carve(base, &at, (rows + 1) * sizeof(int32_t));
    s->picked_positions = hd__carve(base, &at, rows * sizeof(int32_t));
    s->attention_bytes = hd__round_up(k_attention_scratch_bytes(room->n_tokens, (int)e->settings->head_dim), 64);
    s->attention = hd__carve(base, &at, hd__mul(s->attention_bytes, (size_t)room->n_members));
    return at;
}

size_t hd__states_bytes(const hd_encoder *e, const hd_room *room)
{
    hd_states s;
    return plan(e, room, NULL, &s);
}

void hd__states_begin(const hd_encoder *e, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch,
                      hd_states *s)
{
    *s = (hd_states){.encoder = e, .run = run, .batch = batch, .n_rows = batch->n_tokens, .positions = batch->positions};
    s->pick_pooling = hd__picked_pooling(e, batch);
    plan(e, room, scratch, s);
}

hd_act hd__states_attended(const hd_states *s)
{
    const k_type type = s->encoder->context_type;
    const size_t stride = k_row_stride(hd__context_width(s->encoder), type);
    return hd__attends_into_act(s->encoder) ? s->act : (hd_act){.type = type, .data = s->context, .stride = stride};
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
                        .picked_in = copies_in ? &s->picked_normed : NULL,
                        .picked_begin = s->picked_begin,
                        .picked_positions = s->picked_positions,
                    });
    s->x = s->picked_x;
    s->act = s->picked_act;
    s->normed = s->picked_normed;
    s->in = copies_in ? s->normed : hd__states_input(&s->normed, s->x, s->x_stride);
    s->positions = s->picked_positions;
    s->n_rows = s->batch->n_sequences;
    s->picked = true;
}
