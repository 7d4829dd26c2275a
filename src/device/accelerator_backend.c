/* accelerator_backend.c - device operations as calls of a plugin's. See device.h and heddle/plugin.h, whose structs differ
 * in what is the CPU's alone: panels, teams, scratch, zeros behind rows. Weights lie in rows here (encoder/upload.h).
 */
#include "device/accelerator.h"

#include <assert.h>
#include <limits.h>

_Static_assert((int)K_F32 == HD_PLUGIN_F32 && (int)K_BF16 == HD_PLUGIN_BF16 && (int)K_I8 == HD_PLUGIN_I8 &&
                   (int)K_F16 == HD_PLUGIN_F16 && (int)K_F8 == HD_PLUGIN_F8,
               "types");
_Static_assert((int)K_STORE == HD_PLUGIN_STORE && (int)K_ADD == HD_PLUGIN_ADD && (int)K_MUL == HD_PLUGIN_MUL &&
                   (int)K_GELU == HD_PLUGIN_GELU && (int)K_GELU_TANH == HD_PLUGIN_GELU_TANH &&
                   (int)K_RELU == HD_PLUGIN_RELU && (int)K_SILU == HD_PLUGIN_SILU && (int)K_TANH == HD_PLUGIN_TANH,
               "epilogues");
_Static_assert((int)HD_POOL_FIRST == HD_PLUGIN_POOL_FIRST && (int)HD_POOL_MAX == HD_PLUGIN_POOL_MAX &&
                   (int)HD_POOL_MEAN == HD_PLUGIN_POOL_MEAN && (int)HD_POOL_MEAN_SQRT == HD_PLUGIN_POOL_MEAN_SQRT &&
                   (int)HD_POOL_WEIGHTED_MEAN == HD_PLUGIN_POOL_WEIGHTED_MEAN && (int)HD_POOL_LAST == HD_PLUGIN_POOL_LAST,
               "kinds of pooling");

/* Calls one of the plugin's operations. */
#define CALL(run, operation, ...) ((run)->stream->accelerator->plugin->operation((run)->stream->stream, __VA_ARGS__))

static hd_plugin_act act_of(const hd_act *act)
{
    return (hd_plugin_act){.type = (hd_plugin_type)act->type,
                           .act_max = act->act_max,
                           .data = act->data,
                           .stride = act->stride,
                           .scale = act->scale,
                           .offset = act->offset,
                           .hadamard = act->hadamard};
}

/* The wide middle of a feed-forward is as large as scratch has room for: the device hides its memory behind many rows, not
 * behind a cache. */
static int block_rows(size_t row_bytes)
{
    (void)row_bytes;
    return INT_MAX;
}

static void embed(const hd_kernels *kernels, hd_run *run, const hd_embedding *e, const int32_t *ids,
                  const int32_t *positions, const int32_t *types, int n_rows, float *x, size_t stride)
{
    (void)kernels;
    hd_plugin_embed t = {.type = (hd_plugin_type)e->type,
                         .words = e->words,
                         .word_stride = e->word_stride,
                         .word_scale = e->word_scale,
                         .position_rows = e->positions,
                         .type_rows = e->types,
                         .ids = ids,
                         .positions = positions,
                         .types = types,
                         .n_rows = n_rows,
                         .n = e->n,
                         .x = x,
                         .stride = stride};
    if (e->is_gathered) {
        t.type = HD_PLUGIN_F32;
        t.words = x;
        t.word_stride = stride;
    } else if (e->words == NULL) { /* channels of a product's weights lie in rows, as words do */
        t.type = (hd_plugin_type)e->tied->type;
        t.words = e->tied->panels;
        t.word_stride = (size_t)e->tied->k_pad;
        t.word_scale = e->tied->scale;
    }
    CALL(run, embed, &t);
}

static void norm(const hd_kernels *kernels, hd_run *run, const hd_norm *t, float *x, size_t stride, int n_rows, bool keep,
                 const hd_act *act)
{
    (void)kernels;
    CALL(run, norm,
         &(hd_plugin_norm){.gamma = t->gamma,
                           .beta = t->beta,
                           .eps = t->eps,
                           .rms = t->rms,
                           .keep = keep,
                           .x = x,
                           .stride = stride,
                           .n_rows = n_rows,
                           .n = t->n,
                           .act = act_of(act)});
}

static void convert(const hd_kernels *kernels, hd_run *run, const hd_act *x, int n_rows, int n, const hd_act *act)
{
    (void)kernels;
    if (act->type == K_F32)
        return; /* the product reads x itself */
    assert(x->type == K_F32);
    CALL(run, convert,
         &(hd_plugin_convert){.x = x->data, .stride = x->stride, .n_rows = n_rows, .n = n, .act = act_of(act)});
}

/* A product without a change. */
static hd_plugin_linear product_of(const k_weights *w, const hd_act *act, int n_rows, int first, int end)
{
    return (hd_plugin_linear){.weights = {.type = (hd_plugin_type)w->type,
                                          .k = w->k,
                                          .rows = w->panels,
                                          .stride = (size_t)w->k_pad,
                                          .bias = w->bias,
                                          .rounded_bias = w->rounded_bias,
                                          .scale = w->scale,
                                          .channel_sum = w->channel_sum},
                              .in = act_of(act),
                              .n_rows = n_rows,
                              .first = first,
                              .end = end};
}

/* What a change adds: its low-rank rows are a product of their own beforehand. */
static void lower(hd_run *run, const hd_change *change, const hd_act *act, int n_rows, int n_pad, hd_plugin_linear *linear)
{
    const hd_adapter *adapter = change != NULL ? change->adapter : NULL;
    if (adapter == NULL)
        return;
    const int first = change->task * adapter->rank;
    hd_plugin_linear low = product_of(&adapter->down, act, n_rows, first, first + adapter->rank);
    low.out = change->low;
    low.out_stride = change->stride;
    CALL(run, linear, &low);
    linear->rank = adapter->rank;
    linear->low = change->low + first;
    linear->low_stride = change->stride;
    linear->lift = adapter->lift + (size_t)first * (size_t)n_pad;
    linear->lift_stride = (size_t)n_pad;
}

static void linear(const hd_kernels *kernels, hd_run *run, const k_weights *w, const hd_change *change, const hd_act *act,
                   int n_rows, int panel_begin, int panel_end, k_epilogue epilogue, k_type out_type, void *out,
                   size_t out_stride)
{
    (void)kernels;
    assert(act->type == w->type);
    hd_plugin_linear t = product_of(w, act, n_rows, panel_begin * K_PANEL, panel_end * K_PANEL);
    lower(run, change, act, n_rows, w->n_pad, &t);
    t.epilogue = (hd_plugin_epilogue)epilogue;
    t.out_type = (hd_plugin_type)out_type;
    t.out = out;
    t.out_stride = out_stride;
    CALL(run, linear, &t);
}

static void rotate(const hd_kernels *kernels, hd_run *run, const k_rotary *t)
{
    (void)kernels;
    assert(t->rotary_dim == t->head_dim);
    CALL(run, rotate,
         &(hd_plugin_rotate){.type = (hd_plugin_type)t->type,
                             .x = t->x,
                             .stride = t->stride,
                             .n_rows = t->n_rows,
                             .n_heads = t->n_heads,
                             .head_dim = t->head_dim,
                             .cos = t->cos,
                             .sin = t->sin,
                             .positions = t->pos,
                             .gamma = t->gamma,
                             .eps = t->eps});
}

static void attention(const hd_kernels *kernels, hd_run *run, const hd_attention *t)
{
    (void)kernels;
    CALL(run, attention,
         &(hd_plugin_attention){.type = (hd_plugin_type)t->type,
                                .q = t->q,
                                .k = t->k,
                                .v = t->v,
                                .q_stride = t->q_stride,
                                .kv_stride = t->kv_stride,
                                .q_begin = t->q_begin,
                                .kv_begin = t->kv_begin,
                                .q_first = t->q_first,
                                .n_seen = t->n_seen,
                                .n_sequences = t->n_sequences,
                                .n_q = t->n_q,
                                .n_heads = t->n_heads,
                                .n_kv_heads = t->n_kv_heads,
                                .head_dim = t->head_dim,
                                .reach_back = t->reach_back,
                                .reach_ahead = t->reach_ahead,
                                .scale = t->scale,
                                .bias = t->bias,
                                .bias_stride = t->bias_stride,
                                .out_type = (hd_plugin_type)t->out_type,
                                .out = t->out,
                                .out_stride = t->out_stride});
}

static void change_rows(const hd_kernels *kernels, hd_run *run, const hd_table_adapter *adapter, int task,
                        const int32_t *ids, int n_rows, int n, float *x, size_t stride)
{
    (void)kernels;
    const size_t rank = (size_t)adapter->rank, first = (size_t)task * (size_t)adapter->n_rows;
    CALL(run, change_rows,
         &(hd_plugin_change_rows){.low = adapter->low + first * rank,
                                  .lift = adapter->lift + (size_t)task * rank * (size_t)n,
                                  .rank = adapter->rank,
                                  .ids = ids,
                                  .n_rows = n_rows,
                                  .n = n,
                                  .x = x,
                                  .stride = stride});
}

static void pick(const hd_kernels *kernels, hd_run *run, const hd_pick *t)
{
    (void)kernels;
    CALL(run, pick,
         &(hd_plugin_pick){.n_sequences = t->n_sequences,
                           .begin = t->begin,
                           .skip = t->skip,
                           .positions = t->positions,
                           .x = t->x,
                           .picked_x = t->picked_x,
                           .stride = t->stride,
                           .in = t->in != NULL ? act_of(t->in) : (hd_plugin_act){0},
                           .picked_in = t->in != NULL ? act_of(t->picked_in) : (hd_plugin_act){0},
                           .picked_begin = t->picked_begin,
                           .picked_positions = t->picked_positions});
}

static void copy(const hd_kernels *kernels, hd_run *run, const hd_copy *t)
{
    (void)kernels;
    CALL(run, copy,
         &(hd_plugin_copy){.from = t->from,
                           .from_stride = t->from_stride,
                           .to = t->to,
                           .to_stride = t->to_stride,
                           .n_rows = t->n_rows,
                           .n = t->n,
                           .add = t->add});
}

static void pool(const hd_kernels *kernels, hd_run *run, const hd_pool *t)
{
    (void)kernels;
    CALL(run, pool,
         &(hd_plugin_pool){.kind = (hd_plugin_pool_kind)t->kind,
                           .x = t->x,
                           .stride = t->stride,
                           .n = t->n,
                           .n_rows = t->n_rows,
                           .begin = t->begin,
                           .end = t->end,
                           .skip = t->skip,
                           .out = t->out,
                           .out_stride = t->out_stride});
}

static void unit(const hd_kernels *kernels, hd_run *run, const float *from, size_t from_stride, int n_rows, int n, float *to,
                 size_t to_stride)
{
    (void)kernels;
    CALL(run, unit,
         &(hd_plugin_unit){
             .from = from, .from_stride = from_stride, .to = to, .to_stride = to_stride, .n_rows = n_rows, .n = n});
}

static hd_plugin_vocab_pool vocab_pool_of(const hd_vocab_pool *t)
{
    return (hd_plugin_vocab_pool){.logits = t->logits,
                                  .stride = t->stride,
                                  .first = t->first,
                                  .n_rows = t->n_rows,
                                  .begin = t->begin,
                                  .n_sequences = t->n_sequences,
                                  .vocab = t->vocab,
                                  .sums = t->sums,
                                  .log_twice = t->log_twice,
                                  .weights = t->weights};
}

static void collect(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *t)
{
    (void)kernels;
    const hd_plugin_vocab_pool theirs = vocab_pool_of(t);
    CALL(run, collect, &theirs);
}

static void weigh(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *t)
{
    (void)kernels;
    const hd_plugin_vocab_pool theirs = vocab_pool_of(t);
    CALL(run, weigh, &theirs);
}

const hd_device_ops *hd__device_accelerator(void)
{
    static const hd_device_ops ops = {
        .name = "accelerator",
        .overlays = true,
        .block_rows = block_rows,
        .embed = embed,
        .norm = norm,
        .convert = convert,
        .linear = linear,
        .rotate = rotate,
        .attention = attention,
        .change_rows = change_rows,
        .pick = pick,
        .copy = copy,
        .pool = pool,
        .unit = unit,
        .collect = collect,
        .weigh = weigh,
    };
    return &ops;
}
