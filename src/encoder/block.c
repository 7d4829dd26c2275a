/* block.c - see block.h. */
#include "encoder/block.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
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

static hd_status bind_linear(const layer_binder *b, const char *blob, const char *tensor, hd_linear_input input, int n,
                             int first, int n_all, int k, bool no_bias, k_weights *linear)
{
    char name[NAME_BYTES], path[NAME_BYTES];
    name_of(b, blob, tensor, name, path);
    const hd_linear_part part = {.prefix = path, .n = n, .first = first, .n_all = n_all, .no_bias = no_bias};
    return hd__weights_linear(b->w, name, b->e->type, input, &part, 1, k, linear, b->err);
}

static hd_status bind_qkv(const layer_binder *b, k_weights *linear)
{
    const hd_layer_names *names = b->names;
    const char *const tensors[] = {names->query, names->key, names->value};
    const int widths[] = {hd__q_width(b->e->settings), hd__kv_width(b->e->settings), hd__kv_width(b->e->settings)};
    char name[NAME_BYTES], paths[3][NAME_BYTES];
    hd_linear_part parts[3];
    for (int i = 0, first = 0; i < 3; first += widths[i++]) {
        name_of(b, "qkv", names->qkv != NULL ? names->qkv : tensors[i], name, paths[i]);
        parts[i] = (hd_linear_part){.prefix = paths[i], .n = widths[i], .no_bias = names->no_qkv_bias};
        if (names->qkv != NULL) {
            parts[i].first = first;
            parts[i].n_all = widths[0] + widths[1] + widths[2];
        }
    }
    return hd__weights_linear(b->w, name, b->e->type, HD_OF_NORM, parts, 3, (int)b->e->settings->hidden, linear, b->err);
}

/* A norm of the kind that the layers have. */
static hd_status bind_norm_at(hd_encoder *e, hd_weights *w, const hd_layer_names *names, const char *name, const char *path,
                              int n, hd_norm *norm, hd_error *err)
{
    if (names->norms_from_one)
        HD_TRY(hd__weights_norm_from_one(w, name, path, n, e->settings->norm_eps, norm, err));
    else
        HD_TRY(hd__weights_norm(w, name, path, n, !names->no_norm_bias, e->settings->norm_eps, norm, err));
    norm->rms = names->rms;
    return HD_OK;
}

/* Nothing for an architecture that does not name it. */
static hd_status bind_norm(const layer_binder *b, const char *blob, const char *tensor, int n, hd_norm *norm)
{
    char name[NAME_BYTES], path[NAME_BYTES];
    if (tensor == NULL)
        return HD_OK;
    name_of(b, blob, tensor, name, path);
    return bind_norm_at(b->e, b->w, b->names, name, path, n, norm, b->err);
}

/* The RMS norm of the heads of queries or keys. */
static hd_status bind_head_norm(const layer_binder *b, const char *blob, const char *tensor, const float **gamma)
{
    hd_norm norm = {0};
    HD_TRY(bind_norm(b, blob, tensor, (int)b->e->settings->head_dim, &norm));
    *gamma = norm.gamma;
    return HD_OK;
}

/* The adapters of a product of as many sections as there are widths, each of a module of its own, or all of one. */
static hd_status bind_adapter(const layer_binder *b, const char *blob, const char *const *tensors, int n_tensors,
                              hd_linear_input input, const int *widths, int n_widths, int k, hd_adapter *adapter)
{
    char name[NAME_BYTES], paths[3][NAME_BYTES];
    const char *modules[3];
    for (int i = 0; i < n_tensors; i++) {
        name_of(b, blob, tensors[i], name, paths[i]);
        modules[i] = paths[i];
    }
    return hd__weights_adapter(b->w, name, modules, n_tensors, b->e->settings, b->e->type, input, widths, n_widths, k,
                               adapter, b->err);
}

/* Those of a layer whose feed-forward is not gated. */
static hd_status bind_adapters(const layer_binder *b, hd_layer *layer)
{
    const hd_settings *set = b->e->settings;
    const int hidden = (int)set->hidden, middle = (int)set->intermediate;
    const int qkv[] = {hd__q_width(set), hd__kv_width(set), hd__kv_width(set)};
    if (set->n_tasks == 0)
        return HD_OK;
    layer_binder by_task = *b;
    if (set->task_dirs != NULL)
        by_task.names = b->names->peft;
    const hd_layer_names *names = by_task.names;
    const char *const split[] = {names->query, names->key, names->value};
    if (names->qkv != NULL)
        HD_TRY(bind_adapter(&by_task, "qkv", &names->qkv, 1, HD_OF_NORM, qkv, 3, hidden, &layer->qkv_adapter));
    else
        HD_TRY(bind_adapter(&by_task, "qkv", split, 3, HD_OF_NORM, qkv, 3, hidden, &layer->qkv_adapter));
    HD_TRY(bind_adapter(&by_task, "attention_out", &names->attention_out, 1, HD_OF_OTHERS, &hidden, 1, hd__q_width(set),
                        &layer->out_adapter));
    HD_TRY(bind_adapter(&by_task, "up", &names->up, 1, HD_OF_NORM, &middle, 1, hidden, &layer->up_adapter));
    return bind_adapter(&by_task, "down", &names->down, 1, HD_OF_OTHERS, &hidden, 1, middle, &layer->down_adapter);
}

static hd_status bind_ffn(const layer_binder *b, hd_layer *layer)
{
    const hd_layer_names *names = b->names;
    const int hidden = (int)b->e->settings->hidden, middle = (int)b->e->settings->intermediate;
    const bool both = names->gate_up != NULL, no_bias = names->no_up_bias;
    const char *gate = both ? names->gate_up : names->gate, *up = both ? names->gate_up : names->up;
    const int n_all = both ? 2 * middle : 0, gate_at = both && names->gate_below ? middle : 0;
    if (gate != NULL)
        HD_TRY(bind_linear(b, "gate", gate, HD_OF_NORM, middle, gate_at, n_all, hidden, no_bias, &layer->gate));
    HD_TRY(bind_linear(b, "up", up, HD_OF_NORM, middle, both ? middle - gate_at : 0, n_all, hidden, no_bias, &layer->up));
    return bind_linear(b, "down", names->down, HD_OF_OTHERS, hidden, 0, 0, middle, names->no_down_bias, &layer->down);
}

static hd_status bind_layer(const layer_binder *b, hd_layer *layer)
{
    const hd_layer_names *names = b->names;
    const hd_settings *set = b->e->settings;
    layer->rule = &b->e->rules[0];
    HD_TRY(bind_qkv(b, &layer->qkv));
    HD_TRY(bind_head_norm(b, "q_norm", names->q_norm, &layer->q_gamma));
    HD_TRY(bind_head_norm(b, "k_norm", names->k_norm, &layer->k_gamma));
    HD_TRY(bind_norm(b, "query_norm", names->query_norm, hd__q_width(set), &layer->query_norm));
    HD_TRY(bind_norm(b, "key_norm", names->key_norm, hd__kv_width(set), &layer->key_norm));
    HD_TRY(bind_norm(b, "inner_norm", names->inner_norm, (int)set->hidden, &layer->inner_norm));
    HD_TRY(bind_norm(b, "attention_post_norm", names->attention_post_norm, (int)set->hidden, &layer->attention_post_norm));
    HD_TRY(bind_norm(b, "ffn_post_norm", names->ffn_post_norm, (int)set->hidden, &layer->ffn_post_norm));
    HD_TRY(bind_linear(b, "attention_out", names->attention_out, HD_OF_OTHERS, (int)set->hidden, 0, 0, hd__q_width(set),
                       names->no_out_bias, &layer->attention_out));
    if (b->i > 0 || !names->begins_without_norm)
        HD_TRY(bind_norm(b, "attention_norm", names->attention_norm, (int)set->hidden, &layer->attention_norm));
    HD_TRY(bind_ffn(b, layer));
    HD_TRY(bind_adapters(b, layer));
    return bind_norm(b, "output_norm", names->output_norm, (int)set->hidden, &layer->output_norm);
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

/* The adapters of a table. */
static hd_status bind_table_adapter(hd_encoder *e, hd_weights *w, const char *name, const char *prefix, const char *tensor,
                                    uint32_t n_rows, hd_table_adapter *adapter, hd_error *err)
{
    char path[NAME_BYTES];
    if (e->settings->n_tasks == 0)
        return HD_OK;
    snprintf(path, sizeof path, "%s%s", prefix, tensor);
    adapter->n_rows = (int)n_rows;
    adapter->rank = (int)e->settings->adapter_rank;
    return hd__weights_table_adapter(w, name, path, e->settings, (int)n_rows, &adapter->low, &adapter->lift, err);
}

hd_status hd__bind_embedding(hd_encoder *e, hd_weights *w, const char *prefix, const hd_embedding_names *names,
                             hd_error *err)
{
    const hd_settings *set = e->settings;
    char path[NAME_BYTES];
    snprintf(path, sizeof path, "%s%s.weight", prefix, names->words);
    e->embedding.n = (int)set->hidden;
    if (e->embedding.tied == NULL)
        HD_TRY(hd__weights_words(w, path, (int)set->vocab_size, (int)set->hidden,
                                 names->times_root ? sqrtf((float)set->hidden) : 1.0f, &e->embedding, err));
    HD_TRY(bind_table_adapter(e, w, "words", prefix, names->words, set->vocab_size, &e->word_adapter, err));
    if (names->positions != NULL)
        HD_TRY(bind_table(w, "positions", prefix, names->positions, set->position_offset, set->n_positions, set->hidden,
                          &e->embedding.positions, err));
    if (names->types != NULL) {
        HD_TRY(
            bind_table(w, "token_type", prefix, names->types, 0, set->n_token_types, set->hidden, &e->embedding.types, err));
        HD_TRY(bind_table_adapter(e, w, "token_type", prefix, names->types, set->n_token_types, &e->type_adapter, err));
    }
    if (names->norm == NULL)
        return HD_OK;
    snprintf(path, sizeof path, "%s%s", prefix, names->norm);
    return hd__weights_norm(w, "embedding_norm", path, (int)set->hidden, !names->no_norm_bias, set->norm_eps,
                            &e->embedding_norm, err);
}

hd_status hd__bind_layers(hd_encoder *e, hd_weights *w, const char *prefix, const hd_layer_names *names, hd_error *err)
{
    const uint32_t n_layers = e->settings->n_layers;
    e->rules[0] = (hd_attention_rule){.reach_back = K_REACH_ALL, .reach_ahead = K_REACH_ALL};
    e->layers = hd__arena_calloc(&e->arena, n_layers, sizeof *e->layers);
    if (e->layers == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %u layers", e->settings->dir, n_layers);
    for (uint32_t i = 0; i < n_layers; i++) {
        const layer_binder b = {e, w, names, prefix, i, err};
        HD_TRY(bind_layer(&b, &e->layers[i]));
    }
    return HD_OK;
}

hd_status hd__bind_final_norm(hd_encoder *e, hd_weights *w, const char *prefix, const char *tensor,
                              const hd_layer_names *names, hd_error *err)
{
    char path[NAME_BYTES];
    snprintf(path, sizeof path, "%s%s", prefix, tensor);
    return bind_norm_at(e, w, names, "final_norm", path, (int)e->settings->hidden, &e->final_norm, err);
}

hd_status hd__bind_distance_bias(hd_encoder *e, hd_weights *w, hd_attention_rule *rule, float **fill, hd_error *err)
{
    const size_t reach = e->settings->n_positions - 1, stride = 2 * reach + 1;
    const float *bias;
    HD_TRY(hd__weights_values(w, "bias", e->settings->n_heads * stride, &bias, fill, err));
    rule->bias = bias != NULL ? bias + reach : NULL;
    rule->bias_stride = stride;
    return HD_OK;
}

hd_status hd__bind_rotary(hd_encoder *e, hd_weights *w, const char *name, double theta, hd_attention_rule *rule,
                          hd_error *err)
{
    const size_t n_positions = e->settings->n_positions, half = e->settings->head_dim / 2, n = hd__mul(n_positions, half);
    float *cosines, *sines;
    HD_TRY(hd__weights_values(w, name, hd__mul(2, n), &rule->cos, &cosines, err));
    rule->sin = rule->cos != NULL ? rule->cos + n : NULL;
    if (cosines == NULL)
        return HD_OK;
    sines = cosines + n;
    for (size_t j = 0; j < half; j++) {
        const double exponent = (double)(2 * j) / (double)(2 * half), factor = e->settings->rotary_factor;
        const double stretch = factor > 1.0 ? pow(factor, 1.0 / (double)half) : 1.0;
        const float frequency = (float)(1.0 / pow(theta * factor, exponent) / stretch);
        for (size_t i = 0; i < n_positions; i++) { /* the angle in f32, as everybody computes it */
            const float angle = (float)i * frequency;
            cosines[i * half + j] = cosf(angle);
            sines[i * half + j] = sinf(angle);
        }
    }
    return HD_OK;
}

hd_status hd__bind_windows(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const hd_settings *set = e->settings;
    e->rules[1] = (hd_attention_rule){.reach_back = (int)set->local_window, .reach_ahead = (int)set->local_window};
    HD_TRY(hd__bind_rotary(e, w, "rotary", set->rotary_theta, &e->rules[0], err));
    HD_TRY(hd__bind_rotary(e, w, "rotary_local", set->rotary_theta_local, &e->rules[1], err));
    for (uint32_t i = 0; i < set->n_layers; i++)
        e->layers[i].rule = &e->rules[i % set->global_every != set->global_first];
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

/* What the batch's task adds to x for rows `ids` (NULL: all 0) of a table. */
static void embed_change(const hd_states *s, const hd_table_adapter *adapter, const int32_t *ids)
{
    const hd_encoder *e = s->encoder;
    if (s->batch->task > 0 && adapter->low != NULL)
        e->device->change_rows(&e->kernels, s->run, adapter, (int)s->batch->task - 1, ids, s->n_rows,
                               (int)e->settings->hidden, s->x, s->x_stride);
}

void hd__embed(hd_states *s)
{
    const hd_encoder *e = s->encoder;
    e->device->embed(&e->kernels, s->run, &e->embedding, s->batch->ids, s->batch->positions, s->batch->types, s->n_rows,
                     s->x, s->x_stride);
    embed_change(s, &e->word_adapter, s->batch->ids);
    embed_change(s, &e->type_adapter, s->batch->types);
}

/* How the batch's task changes a product. */
static hd_change change_of(const hd_states *s, const hd_adapter *adapter)
{
    const uint32_t task = s->batch->task;
    return (hd_change){.adapter = task > 0 && adapter->rank > 0 ? adapter : NULL,
                       .task = (int)task - 1,
                       .low = s->low,
                       .stride = s->low_stride};
}

void hd__norm(hd_states *s, const hd_norm *norm)
{
    const hd_encoder *e = s->encoder;
    s->in = hd__states_input(&s->normed, s->x, s->x_stride);
    e->device->norm(&e->kernels, s->run, norm, s->x, s->x_stride, s->n_rows, false, &s->in);
}

void hd__pre_norm(hd_states *s, const hd_norm *norm)
{
    const hd_encoder *e = s->encoder;
    if (norm->n == 0)
        return;
    s->in = s->normed;
    e->device->norm(&e->kernels, s->run, norm, s->x, s->x_stride, s->n_rows, true, &s->in);
}

/* Panels [first, end) of a product's weights, as a product of its own. They begin where rows of channels would, too. */
static k_weights part_of(const k_weights *w, int first, int end)
{
    const size_t channel = (size_t)first * K_PANEL;
    k_weights part = *w;
    part.n = part.n_pad = (end - first) * K_PANEL;
    part.panels = (const char *)w->panels + channel * (size_t)w->k_pad * k_type_bytes(w->type);
    part.bias = w->bias + channel;
    part.rounded_bias = w->rounded_bias != NULL ? (const char *)w->rounded_bias + channel * k_type_bytes(w->type) : NULL;
    part.scale = w->scale != NULL ? w->scale + channel : NULL;
    part.channel_sum = w->channel_sum != NULL ? w->channel_sum + channel : NULL;
    return part;
}

/* Panels [first, end) of the product, normalised, into their columns of qkv. They pass through context in f32. */
static void project_normed(const hd_states *s, const hd_layer *layer, int first, int end, const hd_norm *norm)
{
    const hd_encoder *e = s->encoder;
    const k_weights part = part_of(&layer->qkv, first, end);
    const hd_act to = {.type = e->qkv_type,
                       .data = (char *)s->qkv + (size_t)first * K_PANEL * k_type_bytes(e->qkv_type),
                       .stride = s->qkv_stride};
    e->device->linear(&e->kernels, s->run, &part, NULL, &s->in, s->n_rows, 0, end - first, K_STORE, K_F32, s->context,
                      s->context_stride);
    e->device->norm(&e->kernels, s->run, norm, s->context, s->context_stride, s->n_rows, true, &to);
}

/* Heads whose queries, keys and values are computed and used before those of the next take their place in qkv: a row of
 * theirs is [queries | keys | values]. */
typedef struct qkv_heads {
    int first, n;           /* heads of keys and values */
    int n_shared;           /* heads of queries that read each of them */
    bool is_all;            /* of the layer: the columns of qkv are the channels of the product */
    int begin[3], width[3]; /* channels of queries, keys and values, whole panels */
    char *columns[3];
    size_t stride;
} qkv_heads;

static qkv_heads qkv_of(const hd_states *s, int first, int n)
{
    const hd_settings *set = s->encoder->settings;
    const int dim = (int)set->head_dim, all = (int)set->n_kv_heads;
    const int q_width = k_padded(hd__q_width(set)), kv_width = k_padded(hd__kv_width(set));
    const size_t bytes = k_type_bytes(s->encoder->qkv_type);
    qkv_heads h = {.first = first, .n = n, .n_shared = (int)set->n_heads / all, .is_all = n == all};
    char *column = s->qkv;
    for (int i = 0, section = 0; i < 3; section += i++ == 0 ? q_width : kv_width) {
        const int heads = i == 0 ? h.n_shared : 1;
        h.begin[i] = section + first * heads * dim;
        h.width[i] = k_padded(n * heads * dim);
        h.columns[i] = column;
        column += (size_t)h.width[i] * bytes;
    }
    h.stride = k_row_stride(h.width[0] + h.width[1] + h.width[2], s->encoder->qkv_type);
    return h;
}

/* How many heads of keys and values at a time. All of them in a team, which would wait for its slowest member after each
 * step, and where a change or a norm is of the whole product. */
static int heads_at_a_time(const hd_states *s, const hd_layer *layer)
{
    const hd_settings *set = s->encoder->settings;
    const int dim = (int)set->head_dim, all = (int)set->n_kv_heads;
    if (s->run->team != NULL || change_of(s, &layer->qkv_adapter).adapter != NULL || layer->query_norm.n > 0 ||
        layer->key_norm.n > 0)
        return all;
    for (int n = s->encoder->device->head_columns / dim; n > 0; n--) {
        if (all % n == 0 && n * dim % (K_PANEL * K_PANEL_STEP) == 0)
            return n;
    }
    return all;
}

/* Sections [first, end) of the product, queries (0), keys (1) and values (2), into their columns. */
static void project(const hd_states *s, const hd_layer *layer, const qkv_heads *heads, int first, int end)
{
    const hd_encoder *e = s->encoder;
    const hd_norm *norms[] = {&layer->query_norm, &layer->key_norm};
    const hd_change change = change_of(s, &layer->qkv_adapter);
    for (; first < 2 && first < end && norms[first]->n > 0; first++)
        project_normed(s, layer, heads->begin[first] / K_PANEL, (heads->begin[first] + heads->width[first]) / K_PANEL,
                       norms[first]);
    if (heads->is_all && first < end)
        e->device->linear(&e->kernels, s->run, &layer->qkv, &change, &s->in, s->n_rows, heads->begin[first] / K_PANEL,
                          (heads->begin[end - 1] + heads->width[end - 1]) / K_PANEL, K_STORE, e->qkv_type, s->qkv,
                          heads->stride);
    for (; !heads->is_all && first < end; first++) {
        const int panel = heads->begin[first] / K_PANEL, n_panels = heads->width[first] / K_PANEL;
        const k_weights part = part_of(&layer->qkv, panel, panel + n_panels);
        e->device->linear(&e->kernels, s->run, &part, NULL, &s->in, s->n_rows, 0, n_panels, K_STORE, e->qkv_type,
                          heads->columns[first], heads->stride);
    }
}

/* Norm and rotary positions of n_heads heads of queries or keys, whose rows begin at `x`. */
static void rotate(const hd_states *s, const hd_layer *layer, void *x, size_t stride, int n_heads, const float *gamma)
{
    const hd_encoder *e = s->encoder;
    if (layer->rule->cos == NULL)
        return;
    e->device->rotate(&e->kernels, s->run,
                      &(k_rotary){
                          .type = e->qkv_type,
                          .x = x,
                          .stride = stride,
                          .n_rows = s->n_rows,
                          .n_heads = n_heads,
                          .head_dim = (int)e->settings->head_dim,
                          .rotary_dim = (int)e->settings->head_dim,
                          .cos = layer->rule->cos,
                          .sin = layer->rule->sin,
                          .pos = s->positions,
                          .gamma = gamma,
                          .eps = (float)e->settings->norm_eps,
                      });
}

/* Into the heads' columns of rows of `out`. */
static void attend(const hd_states *s, const hd_layer *layer, const qkv_heads *heads, const hd_act *out)
{
    const hd_encoder *e = s->encoder;
    const hd_settings *set = e->settings;
    const size_t first = (size_t)(heads->first * heads->n_shared), bias_stride = layer->rule->bias_stride;
    e->device->attention(&e->kernels, s->run,
                         &(hd_attention){
                             .type = e->qkv_type,
                             .q = heads->columns[0],
                             .k = heads->columns[1],
                             .v = heads->columns[2],
                             .q_stride = heads->stride,
                             .kv_stride = heads->stride,
                             .q_begin = s->picked ? s->picked_begin : s->batch->begin,
                             .kv_begin = s->batch->begin,
                             .q_first = s->picked ? s->picked_positions : NULL,
                             .n_seen = s->batch->n_seen,
                             .n_sequences = s->batch->n_sequences,
                             .n_q = s->n_rows,
                             .n_heads = heads->n * heads->n_shared,
                             .n_kv_heads = heads->n,
                             .head_dim = (int)set->head_dim,
                             .scale = 1.0f / sqrtf((float)set->head_dim),
                             .reach_back = layer->rule->reach_back,
                             .reach_ahead = layer->rule->reach_ahead,
                             .bias = layer->rule->bias != NULL ? layer->rule->bias + first * bias_stride : NULL,
                             .bias_stride = bias_stride,
                             .out_type = out->type,
                             .out = (char *)out->data + first * set->head_dim * k_type_bytes(out->type),
                             .out_stride = out->stride,
                             .scratch = s->attention,
                             .scratch_bytes = s->attention_bytes,
                         });
}

/* to[i] = from[i], or to[i] += from[i], for the rows worked on. */
static void copy_rows(const hd_states *s, const float *from, float *to, bool add)
{
    const hd_encoder *e = s->encoder;
    e->device->copy(&e->kernels, s->run,
                    &(hd_copy){
                        .from = from,
                        .from_stride = s->x_stride,
                        .to = to,
                        .to_stride = s->x_stride,
                        .n_rows = s->n_rows,
                        .n = (int)e->settings->hidden,
                        .add = add,
                    });
}

/* x += norm(update), in update's place. */
static void add_normed(const hd_states *s, const hd_norm *norm)
{
    const hd_encoder *e = s->encoder;
    const hd_act none = {.type = K_F32};
    e->device->norm(&e->kernels, s->run, norm, s->update, s->x_stride, s->n_rows, false, &none);
    copy_rows(s, s->update, s->x, true);
}

/* x += Wo in, by way of the layer's inner norm if it has one: its rows take the place of qkv, which are wider. */
static void project_out(hd_states *s, const hd_layer *layer, const hd_act *in)
{
    const hd_encoder *e = s->encoder;
    const hd_act none = {.type = K_F32};
    const bool inner = layer->inner_norm.n > 0, post = layer->attention_post_norm.n > 0;
    const hd_change change = change_of(s, &layer->out_adapter);
    float *out = inner ? s->qkv : post ? s->update : s->x;
    if (inner)
        copy_rows(s, s->x, out, false);
    e->device->linear(&e->kernels, s->run, &layer->attention_out, &change, in, s->n_rows, 0,
                      layer->attention_out.n_pad / K_PANEL, post ? K_STORE : K_ADD, K_F32, out, s->x_stride);
    if (inner) {
        e->device->norm(&e->kernels, s->run, &layer->inner_norm, out, s->x_stride, s->n_rows, false, &none);
        copy_rows(s, out, s->x, true);
    }
    if (post)
        add_normed(s, &layer->attention_post_norm);
}

/* Queries are of the rows worked on, keys and values of all tokens. */
static void attend_heads(const hd_states *s, const hd_states *all, const hd_layer *layer, const qkv_heads *heads,
                         const hd_act *out)
{
    project(all, layer, heads, s->picked ? 1 : 0, 3);
    if (s->picked)
        project(s, layer, heads, 0, 1);
    rotate(all, layer, heads->columns[1], heads->stride, heads->n, layer->k_gamma);
    rotate(s, layer, heads->columns[0], heads->stride, heads->n * heads->n_shared, layer->q_gamma);
    attend(s, layer, heads, out);
}

void hd__attention_block(hd_states *s, const hd_layer *layer, bool pick)
{
    const hd_encoder *e = s->encoder;
    const hd_states all = *s;
    const int n_heads = (int)e->settings->n_kv_heads, step = heads_at_a_time(s, layer);
    if (pick)
        hd__states_pick(s);
    const hd_act context = hd__states_attended(s), in = context.type == e->act_type ? context : s->act;
    for (int first = 0; first < n_heads; first += step) {
        const qkv_heads heads = qkv_of(s, first, step);
        attend_heads(s, &all, layer, &heads, &context);
    }
    if (context.type != e->act_type)
        e->device->convert(&e->kernels, s->run, &context, s->n_rows, hd__q_width(e->settings), &in);
    project_out(s, layer, &in);
}

void hd__ffn_block(hd_states *s, const hd_layer *layer)
{
    const hd_encoder *e = s->encoder;
    const bool post = layer->ffn_post_norm.n > 0;
    hd__device_ffn(e->device, &e->kernels, s->run,
                   &(hd_ffn){
                       .gate = layer->gate.n > 0 ? &layer->gate : NULL,
                       .up = &layer->up,
                       .down = &layer->down,
                       .up_change = change_of(s, &layer->up_adapter),
                       .down_change = change_of(s, &layer->down_adapter),
                       .activation = hd__epilogue_of(e->settings->activation),
                       .act = s->in,
                       .stores = post,
                       .x = post ? s->update : s->x,
                       .x_stride = s->x_stride,
                       .n_rows = s->n_rows,
                       .middle = s->middle,
                       .middle_act = s->middle_act,
                       .block_rows = s->block_rows,
                   });
    if (post)
        add_normed(s, &layer->ffn_post_norm);
}

void hd__post_norm_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch)
{
    hd_states s;
    hd__states_begin(e, run, batch, room, scratch, &s);
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

void hd__pre_norm_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch)
{
    hd_states s;
    hd__states_begin(e, run, batch, room, scratch, &s);
    const uint32_t n_layers = e->settings->n_layers, picked_layer = s.pick_pooling != 0 ? n_layers - 1 : n_layers;
    hd__embed(&s);
    if (e->embedding_norm.n > 0)
        hd__norm(&s, &e->embedding_norm);
    for (uint32_t i = 0; i < n_layers; i++) {
        const hd_layer *layer = &e->layers[i];
        hd__pre_norm(&s, &layer->attention_norm);
        hd__attention_block(&s, layer, i == picked_layer);
        hd__pre_norm(&s, &layer->output_norm);
        hd__ffn_block(&s, layer);
    }
    hd__norm(&s, &e->final_norm);
    hd__heads_forward(&s);
}
