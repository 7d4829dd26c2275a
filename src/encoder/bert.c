/* bert.c - BERT (Devlin et al. 2018) and all that shares its graph: MiniLM, bge, e5, gte, all-*.
 *
 *   x = norm(word[id] + position[i] + type[0])
 *   for each layer:
 *     q, k, v = split(Wqkv x + b)                 one product, three sections
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + Wdown gelu(Wup x + b) + b)
 *   vector = head(x)
 *
 * Two copies of the hidden states are kept: x in f32, the residual stream, and act, x as the next matrix product
 * reads it (kernel/rows.h); each norm writes both. When the head needs one row of each sequence (CLS, last
 * token), the last layer computes keys and values for all tokens and everything else for those rows only.
 *
 * Scratch, planned for max_tokens (T), one block, each part at a multiple of 64 bytes; H and I are strides for hidden
 * and intermediate (k_row_stride), R the rows of the wide middle worked on at a time (half of L2):
 *
 *   x        f32   [T, H]         act      type  [T, H] (+ scale, offset [T] for int8)
 *   qkv      qkv_type [T, 3 H]    context  f32   [T, H]
 *   middle   f32   [R, I], int8 only   middle_act type [R, I] (+ scale, offset [R])
 *   picked   the one-row parts of the last layer: x f32 [S, H], act [S, H], rows int32 [S + 1], S = T
 *   head, and for each member the attention kernel's own
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "encoder/encoder.h"
#include "encoder/head.h"

typedef struct bert_scratch {
    float *x, *context, *picked_x;
    hd_act act, middle_act, picked_act;
    void *qkv;
    float *middle;
    size_t x_stride, qkv_stride, middle_stride;
    int32_t *picked_begin; /* [T + 1]: 0, 1, 2, … */
    char *head, *attention;
    size_t attention_bytes; /* for each member */
} bert_scratch;

static void carve_act(char *base, size_t *at, const hd_encoder *e, int rows, int n, hd_act *act)
{
    *act = (hd_act){.type = e->type, .act_max = e->kernels.i8_act_max, .stride = k_row_stride(n, e->type)};
    act->data = hd__carve(base, at, (size_t)rows * act->stride * k_type_bytes(e->type));
    if (e->type == K_I8) {
        act->scale = hd__carve(base, at, (size_t)rows * sizeof(float));
        act->offset = hd__carve(base, at, (size_t)rows * sizeof(float));
    }
}

static size_t plan(const hd_encoder *e, int max_tokens, int n_members, char *base, bert_scratch *s)
{
    const int hidden = (int)e->settings->hidden, middle = (int)e->settings->intermediate;
    const int block_rows = max_tokens < e->block_rows ? max_tokens : e->block_rows;
    const size_t tokens = (size_t)max_tokens;
    size_t at = 0;
    s->x_stride = k_row_stride(hidden, K_F32);
    s->qkv_stride = k_row_stride(3 * k_padded(hidden), e->qkv_type);
    s->middle_stride = k_row_stride(middle, K_F32);
    const size_t row = s->x_stride * sizeof(float);
    s->x = hd__carve(base, &at, tokens * row);
    s->qkv = hd__carve(base, &at, tokens * s->qkv_stride * k_type_bytes(e->qkv_type));
    s->context = hd__carve(base, &at, tokens * row);
    s->picked_x = hd__carve(base, &at, tokens * row);
    if (e->type == K_F32) { /* products read f32 states where they are: input_of */
        s->act = s->picked_act = (hd_act){.type = K_F32, .stride = s->x_stride};
    } else {
        carve_act(base, &at, e, max_tokens, hidden, &s->act);
        carve_act(base, &at, e, max_tokens, hidden, &s->picked_act);
    }
    s->middle = e->type == K_I8 ? hd__carve(base, &at, (size_t)block_rows * s->middle_stride * sizeof(float)) : NULL;
    carve_act(base, &at, e, block_rows, middle, &s->middle_act);
    s->picked_begin = hd__carve(base, &at, (tokens + 1) * sizeof(int32_t));
    s->head = hd__carve(base, &at, hd__head_scratch_bytes(e, max_tokens));
    s->attention_bytes = hd__round_up(k_attention_scratch_bytes(max_tokens, hidden / (int)e->settings->n_heads), 64);
    s->attention = hd__carve(base, &at, hd__mul(s->attention_bytes, (size_t)n_members));
    return at;
}

static size_t bert_scratch_bytes(const hd_encoder *e, int max_tokens, int n_members)
{
    bert_scratch s;
    return plan(e, max_tokens, n_members, NULL, &s);
}

/* ---- weights ---- */

static hd_status bind_layer(hd_encoder *e, hd_weights *w, const char *prefix, uint32_t i, hd_error *err)
{
    const hd_settings *set = e->settings;
    const int hidden = (int)set->hidden, middle = (int)set->intermediate;
    hd_layer *layer = &e->layers[i];
    char q[128], k[128], v[128], name[64], path[128];
    snprintf(q, sizeof q, "%sencoder.layer.%u.attention.self.query", prefix, i);
    snprintf(k, sizeof k, "%sencoder.layer.%u.attention.self.key", prefix, i);
    snprintf(v, sizeof v, "%sencoder.layer.%u.attention.self.value", prefix, i);
    snprintf(name, sizeof name, "layer.%u.qkv", i);
    HD_TRY(hd__weights_linear(w, name, e->type, (hd_linear_part[]){{q, false}, {k, false}, {v, false}}, 3, hidden, hidden,
                              &layer->qkv, err));
    snprintf(name, sizeof name, "layer.%u.attention_out", i);
    snprintf(path, sizeof path, "%sencoder.layer.%u.attention.output.dense", prefix, i);
    HD_TRY(
        hd__weights_linear(w, name, e->type, &(hd_linear_part){path, false}, 1, hidden, hidden, &layer->attention_out, err));
    snprintf(name, sizeof name, "layer.%u.attention_norm", i);
    snprintf(path, sizeof path, "%sencoder.layer.%u.attention.output.LayerNorm", prefix, i);
    HD_TRY(hd__weights_norm(w, name, path, hidden, set->norm_eps, &layer->attention_norm, err));
    snprintf(name, sizeof name, "layer.%u.up", i);
    snprintf(path, sizeof path, "%sencoder.layer.%u.intermediate.dense", prefix, i);
    HD_TRY(hd__weights_linear(w, name, e->type, &(hd_linear_part){path, false}, 1, middle, hidden, &layer->up, err));
    snprintf(name, sizeof name, "layer.%u.down", i);
    snprintf(path, sizeof path, "%sencoder.layer.%u.output.dense", prefix, i);
    HD_TRY(hd__weights_linear(w, name, e->type, &(hd_linear_part){path, false}, 1, hidden, middle, &layer->down, err));
    snprintf(name, sizeof name, "layer.%u.output_norm", i);
    snprintf(path, sizeof path, "%sencoder.layer.%u.output.LayerNorm", prefix, i);
    return hd__weights_norm(w, name, path, hidden, set->norm_eps, &layer->output_norm, err);
}

static hd_status bert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "bert.", "model.", "0.auto_model.", NULL};
    const hd_settings *set = e->settings;
    if (!set->absolute_positions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: position_embedding_type must be \"absolute\"", set->dir);
    const char *prefix;
    char path[128];
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    snprintf(path, sizeof path, "%sembeddings.", prefix);
    HD_TRY(hd__weights_embedding(w, path, (int)set->vocab_size, (int)set->n_positions, (int)set->hidden,
                                 set->n_token_types > 0, &e->embedding, err));
    snprintf(path, sizeof path, "%sembeddings.LayerNorm", prefix);
    HD_TRY(hd__weights_norm(w, "embedding_norm", path, (int)set->hidden, set->norm_eps, &e->embedding_norm, err));
    e->layers = hd__arena_calloc(&e->arena, set->n_layers, sizeof *e->layers);
    if (e->layers == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %u layers", set->dir, set->n_layers);
    for (uint32_t i = 0; i < set->n_layers; i++)
        HD_TRY(bind_layer(e, w, prefix, i, err));
    return HD_OK;
}

/* ---- forward ---- */

/* f32 states as a product's input: the states themselves, or their converted copy. */
static hd_act input_of(const hd_act *act, float *x)
{
    hd_act in = *act;
    if (act->type == K_F32)
        in.data = x;
    return in;
}

/* Rows after attention: x += Wo context, norms, feed-forward. n_rows of x, act and context. */
static void finish_layer(const hd_encoder *e, hd_run *run, const hd_layer *layer, bert_scratch *s, float *x, hd_act *act,
                         int n_rows)
{
    const hd_device_ops *dev = e->device;
    const size_t stride = s->x_stride;
    hd_act context = input_of(act, s->context);
    dev->convert(&e->kernels, run, s->context, stride, n_rows, (int)e->settings->hidden, &context);
    dev->linear(&e->kernels, run, &layer->attention_out, &context, n_rows, 0, layer->attention_out.n_pad / K_PANEL, K_ADD,
                K_F32, x, stride);
    hd_act in = input_of(act, x);
    dev->norm(&e->kernels, run, &layer->attention_norm, x, stride, n_rows, &in);
    dev->ffn(&e->kernels, run,
             &(hd_ffn){
                 .up = &layer->up,
                 .down = &layer->down,
                 .activation = hd__epilogue_of(e->settings->activation),
                 .act = in,
                 .x = x,
                 .x_stride = stride,
                 .n_rows = n_rows,
                 .middle = s->middle,
                 .middle_stride = s->middle_stride,
                 .middle_act = s->middle_act,
                 .block_rows = e->block_rows,
             });
    dev->norm(&e->kernels, run, &layer->output_norm, x, stride, n_rows, &in);
}

static hd_attention attention_of(const hd_encoder *e, const bert_scratch *s, const hd_batch *batch)
{
    const size_t width = (size_t)k_padded((int)e->settings->hidden), bytes = k_type_bytes(e->qkv_type);
    const int head_dim = (int)(e->settings->hidden / e->settings->n_heads);
    return (hd_attention){
        .type = e->qkv_type,
        .q = s->qkv,
        .k = (char *)s->qkv + width * bytes,
        .v = (char *)s->qkv + 2 * width * bytes,
        .q_stride = s->qkv_stride,
        .kv_stride = s->qkv_stride,
        .q_begin = batch->begin,
        .kv_begin = batch->begin,
        .n_sequences = batch->n_sequences,
        .n_heads = (int)e->settings->n_heads,
        .head_dim = head_dim,
        .scale = 1.0f / sqrtf((float)head_dim),
        .out = s->context,
        .out_stride = s->x_stride,
        .scratch = s->attention,
        .scratch_bytes = s->attention_bytes,
    };
}

static void whole_layer(const hd_encoder *e, hd_run *run, const hd_layer *layer, bert_scratch *s, const hd_batch *batch)
{
    hd_act in = input_of(&s->act, s->x);
    e->device->linear(&e->kernels, run, &layer->qkv, &in, batch->n_tokens, 0, layer->qkv.n_pad / K_PANEL, K_STORE,
                      e->qkv_type, s->qkv, s->qkv_stride);
    hd_attention attention = attention_of(e, s, batch);
    e->device->attention(&e->kernels, run, &attention);
    finish_layer(e, run, layer, s, s->x, &s->act, batch->n_tokens);
}

/* Copies the pooled row of each sequence out of x and act. */
static void pick_rows(const hd_encoder *e, hd_run *run, bert_scratch *s, const hd_batch *batch)
{
    const size_t stride = s->x_stride, row_bytes = s->act.stride * k_type_bytes(e->type);
    for (hd_phase p = hd__phase_begin(run, (uint32_t)batch->n_sequences); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            size_t row = (size_t)hd__pooled_row(e->settings, batch, (int)i);
            memcpy(s->picked_x + i * stride, s->x + row * stride, stride * sizeof(float));
            s->picked_begin[i + 1] = (int32_t)i + 1; /* [0] is zero from the start: each element has one writer */
            if (e->type == K_F32)
                continue;
            memcpy((char *)s->picked_act.data + i * row_bytes, (char *)s->act.data + row * row_bytes, row_bytes);
            if (e->type == K_I8) {
                s->picked_act.scale[i] = s->act.scale[row];
                s->picked_act.offset[i] = s->act.offset[row];
            }
        }
    }
}

/* The last layer when one row of each sequence is pooled: queries and all that follows for those rows only. The
 * picked queries take the place of x, which nobody reads any more. */
static void picked_layer(const hd_encoder *e, hd_run *run, const hd_layer *layer, bert_scratch *s, const hd_batch *batch)
{
    const int panels = k_padded((int)e->settings->hidden) / K_PANEL;
    const int n = batch->n_sequences;
    hd_act in = input_of(&s->act, s->x);
    e->device->linear(&e->kernels, run, &layer->qkv, &in, batch->n_tokens, panels, 3 * panels, K_STORE, e->qkv_type, s->qkv,
                      s->qkv_stride);
    pick_rows(e, run, s, batch);
    hd_act picked = input_of(&s->picked_act, s->picked_x);
    e->device->linear(&e->kernels, run, &layer->qkv, &picked, n, 0, panels, K_STORE, e->qkv_type, s->x, s->x_stride);
    hd_attention attention = attention_of(e, s, batch);
    attention.q = s->x;
    attention.q_stride = s->x_stride;
    attention.q_begin = s->picked_begin;
    e->device->attention(&e->kernels, run, &attention);
    finish_layer(e, run, layer, s, s->picked_x, &s->picked_act, n);
}

static void bert_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, int max_tokens, int n_members,
                         char *scratch)
{
    bert_scratch s;
    plan(e, max_tokens, n_members, scratch, &s);
    const bool one_row = hd__pools_one_row(e->settings);
    const uint32_t n_layers = e->settings->n_layers;
    hd_act in = input_of(&s.act, s.x);
    e->device->embed(&e->kernels, run, &e->embedding, batch->ids, batch->positions, batch->n_tokens, s.x, s.x_stride);
    e->device->norm(&e->kernels, run, &e->embedding_norm, s.x, s.x_stride, batch->n_tokens, &in);
    for (uint32_t i = 0; i < n_layers; i++) {
        if (one_row && i + 1 == n_layers)
            picked_layer(e, run, &e->layers[i], &s, batch);
        else
            whole_layer(e, run, &e->layers[i], &s, batch);
    }
    hd__head_forward(e, run, batch, one_row ? s.picked_x : s.x, s.x_stride, one_row, s.head);
}

const hd_architecture hd__bert = {
    .model_type = "bert",
    .bind = bert_bind,
    .scratch_bytes = bert_scratch_bytes,
    .forward = bert_forward,
};
