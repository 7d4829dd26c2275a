/* block.c - see block.h. */
#include "encoder/block.h"

#include <math.h>
#include <stdio.h>

#include "encoder/head.h"

/* ---- weights ---- */

enum { NAME_BYTES = 160 };

typedef struct layer_binder {
    hd_encoder *e;
    hd_weights *w;
    const hd_layer_names *names;
    const char *prefix;
    uint32_t i;
    hd_error *err;
} layer_binder;

/* The name of our blob, and the tensor's. */
static void name_of(const layer_binder *b, const char *blob, const char *tensor, char name[NAME_BYTES],
                    char path[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "layer.%u.%s", b->i, blob);
    snprintf(path, NAME_BYTES, "%s%s%u.%s", b->prefix, b->names->layers, b->i, tensor);
}

static hd_status bind_linear(const layer_binder *b, const char *blob, const char *tensor, uint32_t n, uint32_t k,
                             k_weights *linear)
{
    char name[NAME_BYTES], path[NAME_BYTES];
    name_of(b, blob, tensor, name, path);
    return hd__weights_linear(b->w, name, b->e->type, &(hd_linear_part){.prefix = path, .n = (int)n}, 1, (int)k, linear,
                              b->err);
}

static hd_status bind_qkv(const layer_binder *b, k_weights *linear)
{
    const char *const tensors[] = {b->names->query, b->names->key, b->names->value};
    const int hidden = (int)b->e->settings->hidden;
    char name[NAME_BYTES], paths[3][NAME_BYTES];
    hd_linear_part parts[3];
    for (int i = 0; i < 3; i++) {
        name_of(b, "qkv", tensors[i], name, paths[i]);
        parts[i] = (hd_linear_part){.prefix = paths[i], .n = hidden};
    }
    return hd__weights_linear(b->w, name, b->e->type, parts, 3, hidden, linear, b->err);
}

static hd_status bind_norm(const layer_binder *b, const char *blob, const char *tensor, hd_norm *norm)
{
    char name[NAME_BYTES], path[NAME_BYTES];
    name_of(b, blob, tensor, name, path);
    return hd__weights_norm(b->w, name, path, (int)b->e->settings->hidden, true, b->e->settings->norm_eps, norm, b->err);
}

/* Rows of a table in the embedding sum. */
static hd_status bind_table(hd_weights *w, const char *name, const char *prefix, const char *tensor, uint32_t first,
                            uint32_t rows, uint32_t columns, const float **values, hd_error *err)
{
    char path[NAME_BYTES];
    snprintf(path, sizeof path, "%s%s.weight", prefix, tensor);
    const hd_table table = {path, (int)first, (int)rows, (int)columns};
    return hd__weights_table(w, name, &table, values, err);
}

hd_status hd__bind_embedding(hd_encoder *e, hd_weights *w, const char *prefix, const hd_embedding_names *names,
                             hd_error *err)
{
    const hd_settings *set = e->settings;
    char path[NAME_BYTES];
    snprintf(path, sizeof path, "%s%s.weight", prefix, names->words);
    HD_TRY(hd__weights_words(w, path, (int)set->vocab_size, (int)set->hidden, &e->embedding, err));
    if (names->positions != NULL)
        HD_TRY(bind_table(w, "positions", prefix, names->positions, set->position_offset, set->n_positions, set->hidden,
                          &e->embedding.positions, err));
    if (names->types != NULL)
        HD_TRY(
            bind_table(w, "token_type", prefix, names->types, 0, set->n_token_types, set->hidden, &e->embedding.types, err));
    snprintf(path, sizeof path, "%s%s", prefix, names->norm);
    return hd__weights_norm(w, "embedding_norm", path, (int)set->hidden, true, set->norm_eps, &e->embedding_norm, err);
}

hd_status hd__bind_layers(hd_encoder *e, hd_weights *w, const char *prefix, const hd_layer_names *names, hd_error *err)
{
    const uint32_t n_layers = e->settings->n_layers, hidden = e->settings->hidden, middle = e->settings->intermediate;
    e->layers = hd__arena_calloc(&e->arena, n_layers, sizeof *e->layers);
    if (e->layers == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %u layers", e->settings->dir, n_layers);
    for (uint32_t i = 0; i < n_layers; i++) {
        const layer_binder b = {e, w, names, prefix, i, err};
        hd_layer *layer = &e->layers[i];
        HD_TRY(bind_qkv(&b, &layer->qkv));
        HD_TRY(bind_linear(&b, "attention_out", names->attention_out, hidden, hidden, &layer->attention_out));
        HD_TRY(bind_norm(&b, "attention_norm", names->attention_norm, &layer->attention_norm));
        HD_TRY(bind_linear(&b, "up", names->up, middle, hidden, &layer->up));
        HD_TRY(bind_linear(&b, "down", names->down, hidden, middle, &layer->down));
        HD_TRY(bind_norm(&b, "output_norm", names->output_norm, &layer->output_norm));
    }
    return HD_OK;
}

/* ---- forward ---- */

k_epilogue hd__epilogue_of(hd_activation activation)
{
    switch (activation) {
    case HD_ACTIVATION_GELU: return K_GELU;
    case HD_ACTIVATION_GELU_TANH: return K_GELU_TANH;
    case HD_ACTIVATION_RELU: return K_RELU;
    case HD_ACTIVATION_SILU: return K_SILU;
    case HD_ACTIVATION_TANH: return K_TANH;
    case HD_ACTIVATION_IDENTITY: return K_STORE;
    }
    return K_STORE;
}

void hd__embed(hd_states *s)
{
    const hd_encoder *e = s->encoder;
    e->device->embed(&e->kernels, s->run, &e->embedding, s->batch->ids, s->batch->positions, s->batch->types, s->n_rows,
                     s->x, s->x_stride);
}

void hd__norm(hd_states *s, const hd_norm *norm)
{
    const hd_encoder *e = s->encoder;
    const hd_act act = hd__states_input(&s->act, s->x, s->x_stride);
    e->device->norm(&e->kernels, s->run, norm, s->x, s->x_stride, s->n_rows, false, &act);
}

/* Sections [first, end) of the product for queries (0), keys (1) and values (2). */
static void project(const hd_states *s, const hd_layer *layer, int first, int end, void *out, size_t stride)
{
    const hd_encoder *e = s->encoder;
    const int section = k_padded((int)e->settings->hidden) / K_PANEL;
    const hd_act in = hd__states_input(&s->act, s->x, s->x_stride);
    e->device->linear(&e->kernels, s->run, &layer->qkv, &in, s->n_rows, first * section, end * section, K_STORE, e->qkv_type,
                      out, stride);
}

static void attend(const hd_states *s, const void *queries, size_t q_stride)
{
    const hd_encoder *e = s->encoder;
    const size_t section = (size_t)k_padded((int)e->settings->hidden) * k_type_bytes(e->qkv_type);
    const int head_dim = (int)(e->settings->hidden / e->settings->n_heads);
    e->device->attention(&e->kernels, s->run,
                         &(hd_attention){
                             .type = e->qkv_type,
                             .q = queries,
                             .k = (const char *)s->qkv + section,
                             .v = (const char *)s->qkv + 2 * section,
                             .q_stride = q_stride,
                             .kv_stride = s->qkv_stride,
                             .q_begin = s->picked ? s->picked_begin : s->batch->begin,
                             .kv_begin = s->batch->begin,
                             .n_sequences = s->batch->n_sequences,
                             .n_heads = (int)e->settings->n_heads,
                             .n_kv_heads = (int)e->settings->n_heads,
                             .reach_back = K_REACH_ALL,
                             .reach_ahead = K_REACH_ALL,
                             .head_dim = head_dim,
                             .scale = 1.0f / sqrtf((float)head_dim),
                             .out = s->context,
                             .out_stride = s->context_stride,
                             .scratch = s->attention,
                             .scratch_bytes = s->attention_bytes,
                         });
}

void hd__attention_block(hd_states *s, const hd_layer *layer, bool pick)
{
    const hd_encoder *e = s->encoder;
    if (pick) {
        void *queries = s->x; /* which nobody reads any more once its rows are picked */
        project(s, layer, 1, 3, s->qkv, s->qkv_stride);
        hd__states_pick(s);
        project(s, layer, 0, 1, queries, s->x_stride);
        attend(s, queries, s->x_stride);
    } else {
        project(s, layer, 0, 3, s->qkv, s->qkv_stride);
        attend(s, s->qkv, s->qkv_stride);
    }
    const hd_act context = hd__states_input(&s->act, s->context, s->context_stride);
    e->device->convert(&e->kernels, s->run, s->context, s->context_stride, s->n_rows, (int)e->settings->hidden, &context);
    e->device->linear(&e->kernels, s->run, &layer->attention_out, &context, s->n_rows, 0,
                      layer->attention_out.n_pad / K_PANEL, K_ADD, K_F32, s->x, s->x_stride);
}

void hd__ffn_block(hd_states *s, const hd_layer *layer)
{
    const hd_encoder *e = s->encoder;
    e->device->ffn(&e->kernels, s->run,
                   &(hd_ffn){
                       .up = &layer->up,
                       .down = &layer->down,
                       .activation = hd__epilogue_of(e->settings->activation),
                       .act = hd__states_input(&s->act, s->x, s->x_stride),
                       .x = s->x,
                       .x_stride = s->x_stride,
                       .n_rows = s->n_rows,
                       .middle = s->middle,
                       .middle_stride = s->middle_stride,
                       .middle_act = s->middle_act,
                       .block_rows = e->block_rows,
                   });
}

void hd__post_norm_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, int max_tokens, int n_members,
                           char *scratch)
{
    hd_states s;
    hd__states_begin(e, run, batch, max_tokens, n_members, scratch, &s);
    const uint32_t n_layers = e->settings->n_layers, picked_layer = s.pick_pooling != 0 ? n_layers - 1 : n_layers;
    hd__embed(&s);
    hd__norm(&s, &e->embedding_norm);
    for (uint32_t i = 0; i < n_layers; i++) {
        const hd_layer *layer = &e->layers[i];
        hd__attention_block(&s, layer, i == picked_layer);
        hd__norm(&s, &layer->attention_norm);
        hd__ffn_block(&s, layer);
        hd__norm(&s, &layer->output_norm);
    }
    hd__heads_forward(&s);
}
