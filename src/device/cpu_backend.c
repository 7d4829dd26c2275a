/* cpu_backend.c - device operations on the CPU: each cut into chunks and handed to kernels. See device.h. */
#include "device/device.h"

#include <assert.h>
#include <string.h>

#include "cpu/machine.h"
#include "device/cpu_rows.h"

/* Three eighths of L2, in steps of the tallest register tile: the weights pass through the rest, of which a thread beside
 * ours may take its share. Wide rows are allowed more: the weights of a large model come from L3 or memory once for each
 * block, and fewer rows than LEAST would wait for them. */
static int cpu_block_rows(size_t row_bytes)
{
    enum { STEP = 32, LEAST = 96, MOST = 256 };
    hd_machine machine;
    hd__machine_get(&machine);
    size_t rows = machine.l2_bytes / 8 * 3 / row_bytes / STEP * STEP;
    return rows < LEAST ? LEAST : rows > MOST ? MOST : (int)rows;
}

/* Words that are the channels of a product's weights: each is unpacked where its sum will be. */
static void embed_tied(const hd_kernels *kernels, const hd_embedding *embedding, const int32_t *id, const int32_t *position,
                       const int32_t *type, float *out)
{
    static const int32_t itself = 0;
    k_unpack_row(embedding->tied, *id, out);
    kernels->embed(&(k_embed){
        .type = K_F32,
        .words = out,
        .positions = embedding->positions,
        .types = embedding->types,
        .ids = &itself,
        .pos = position,
        .type_ids = type,
        .n_rows = 1,
        .n = embedding->n,
        .out = out,
    });
}

static void cpu_embed(const hd_kernels *kernels, hd_run *run, const hd_embedding *embedding, const int32_t *ids,
                      const int32_t *positions, const int32_t *types, int n_rows, float *x, size_t stride)
{
    for (hd_phase p = hd__phase_begin(run, (uint32_t)n_rows); hd__phase_take(run, &p);) {
        if (embedding->words == NULL) {
            for (size_t i = p.begin; i < p.end; i++)
                embed_tied(kernels, embedding, ids + i, positions != NULL ? positions + i : NULL,
                           types != NULL ? types + i : NULL, x + i * stride);
            continue;
        }
        kernels->embed(&(k_embed){
            .type = embedding->type,
            .words = embedding->words,
            .word_stride = embedding->word_stride,
            .word_scale = embedding->word_scale,
            .positions = embedding->positions,
            .types = embedding->types,
            .ids = ids + p.begin,
            .pos = positions != NULL ? positions + p.begin : NULL,
            .type_ids = types != NULL ? types + p.begin : NULL,
            .n_rows = (int)(p.end - p.begin),
            .n = embedding->n,
            .out = x + p.begin * stride,
            .stride = stride,
        });
    }
}

hd_act hd__act_from(const hd_act *act, size_t first)
{
    hd_act part = *act;
    size_t bytes = first * act->stride * k_type_bytes(act->type);
    part.data = act->data != NULL ? (char *)act->data + bytes : NULL;
    part.scale = act->scale != NULL ? act->scale + first : NULL;
    part.offset = act->offset != NULL ? act->offset + first : NULL;
    return part;
}

static void cpu_norm(const hd_kernels *kernels, hd_run *run, const hd_norm *norm, float *x, size_t stride, int n_rows,
                     bool keep, const hd_act *act)
{
    for (hd_phase p = hd__phase_begin(run, (uint32_t)n_rows); hd__phase_take(run, &p);) {
        kernels->norm(&(k_norm){
            .x = x + p.begin * stride,
            .stride = stride,
            .n_rows = (int)(p.end - p.begin),
            .n = norm->n,
            .gamma = norm->gamma,
            .beta = norm->beta,
            .eps = norm->eps,
            .rms = norm->rms,
            .keep = keep,
            .act = hd__act_from(act, p.begin),
        });
    }
}

static void cpu_convert(const hd_kernels *kernels, hd_run *run, const hd_act *x, int n_rows, int n, const hd_act *act)
{
    if (act->type == K_F32)
        return; /* the product reads x itself */
    for (hd_phase p = hd__phase_begin(run, (uint32_t)n_rows); hd__phase_take(run, &p);) {
        const hd_act rows = hd__act_from(x, p.begin), part = hd__act_from(act, p.begin);
        kernels->convert(&rows, (int)(p.end - p.begin), n, &part);
    }
}

static k_gemm_fn *gemm_of(const hd_kernels *kernels, k_type type)
{
    return type == K_I8 ? kernels->gemm_i8 : type == K_BF16 ? kernels->gemm_bf16 : kernels->gemm_f32;
}

/* The low-rank rows of a change, cut by rows: they are few columns. */
static k_low_rank cpu_lower(const hd_kernels *kernels, hd_run *run, const hd_change *change, const hd_act *act, int n_rows,
                            int n_pad)
{
    enum { ROWS = 32, COLUMNS = K_PANEL * K_PANEL_STEP };
    if (change == NULL || change->adapter == NULL)
        return (k_low_rank){0};
    const hd_adapter *adapter = change->adapter;
    assert(adapter->down.hadamard == act->hadamard);
    const int first = change->task * adapter->rank, end = first + adapter->rank;
    for (hd_phase p = hd__phase_begin(run, (uint32_t)(n_rows + ROWS - 1) / ROWS); hd__phase_take(run, &p);) {
        const int row = (int)p.begin * ROWS, stop = (int)p.end * ROWS < n_rows ? (int)p.end * ROWS : n_rows;
        const hd_act part = hd__act_from(act, (size_t)row);
        gemm_of(kernels, adapter->down.type)(&(k_gemm){
            .w = &adapter->down,
            .a = part.data,
            .a_stride = part.stride,
            .a_scale = part.scale,
            .a_offset = part.offset,
            .rows = stop - row,
            .panel_begin = first / COLUMNS * K_PANEL_STEP,
            .panel_end = (end + COLUMNS - 1) / COLUMNS * K_PANEL_STEP,
            .epilogue = K_STORE,
            .out_type = K_F32,
            .out = change->low + (size_t)row * change->stride,
            .out_stride = change->stride,
        });
    }
    return (k_low_rank){.rank = adapter->rank,
                        .low = change->low + first,
                        .stride = change->stride,
                        .lift = adapter->lift + (size_t)first * (size_t)n_pad};
}

static void cpu_linear(const hd_kernels *kernels, hd_run *run, const k_weights *w, const hd_change *change,
                       const hd_act *act, int n_rows, int panel_begin, int panel_end, k_epilogue epilogue, k_type out_type,
                       void *out, size_t out_stride)
{
    k_gemm_fn *gemm = gemm_of(kernels, w->type);
    assert(act->type == hd__gemm_row_type(kernels, w->type) && act->hadamard == w->hadamard);
    const k_low_rank low_rank = cpu_lower(kernels, run, change, act, n_rows, w->n_pad);
    const uint32_t n_units = (uint32_t)(panel_end - panel_begin) / K_PANEL_STEP;
    const size_t unit_bytes = (size_t)w->k_pad * k_type_bytes(w->type) * K_PANEL * K_PANEL_STEP;
    const char *units = (const char *)w->panels + (size_t)(panel_begin / K_PANEL_STEP) * unit_bytes;
    for (hd_phase p = hd__phase_begin(run, n_units); hd__phase_take(run, &p);) {
        gemm(&(k_gemm){
            .w = w,
            .a = act->data,
            .a_stride = act->stride,
            .a_scale = act->scale,
            .a_offset = act->offset,
            .rows = n_rows,
            .panel_begin = panel_begin + (int)p.begin * K_PANEL_STEP,
            .panel_end = panel_begin + (int)p.end * K_PANEL_STEP,
            .next = p.next < n_units ? units + p.next * unit_bytes : NULL,
            .change = low_rank,
            .epilogue = epilogue,
            .out_type = out_type,
            .out = out,
            .out_stride = out_stride,
        });
    }
}

static void cpu_rotate(const hd_kernels *kernels, hd_run *run, const k_rotary *rotary)
{
    for (hd_phase p = hd__phase_begin(run, (uint32_t)rotary->n_rows); hd__phase_take(run, &p);) {
        k_rotary part = *rotary;
        part.x = (char *)rotary->x + p.begin * rotary->stride * k_type_bytes(rotary->type);
        part.pos += p.begin;
        part.n_rows = (int)(p.end - p.begin);
        kernels->rotary(&part);
    }
}

/* How many queries see a key, of n_q from position q_first on: those behind the last key may be out of its reach. */
static int n_seeing(const hd_attention *t, int q_first, int n_q, int n_k)
{
    const int64_t n = (int64_t)n_k + t->reach_back - q_first;
    return n < n_q ? n > 0 ? (int)n : 0 : n_q;
}

/* One unit is one head of keys and values of one sequence, with the query heads that read it. */
static void cpu_attention(const hd_kernels *kernels, hd_run *run, const hd_attention *t)
{
    const size_t bytes = k_type_bytes(t->type), out_bytes = k_type_bytes(t->out_type);
    k_attention_fn *attend = t->type == K_BF16 ? kernels->attention_bf16 : kernels->attention_f32;
    const int n_shared = t->n_heads / t->n_kv_heads;
    assert(n_shared * t->n_kv_heads == t->n_heads && (t->out_type == K_F32 || t->out_type == t->type));
    for (hd_phase p = hd__phase_begin(run, (uint32_t)(t->n_sequences * t->n_kv_heads)); hd__phase_take(run, &p);) {
        for (uint32_t unit = p.begin; unit < p.end; unit++) {
            const uint32_t i = unit / (uint32_t)t->n_kv_heads;
            const size_t head = unit % (uint32_t)t->n_kv_heads, q_head = head * (size_t)n_shared;
            const size_t kv_column = head * (size_t)t->head_dim, q_column = q_head * (size_t)t->head_dim;
            const size_t q_row = (size_t)t->q_begin[i], kv_row = (size_t)t->kv_begin[i];
            const int q_first = t->q_first != NULL ? t->q_first[i] : 0, n_q = t->q_begin[i + 1] - t->q_begin[i];
            const int n_k = t->n_seen != NULL ? t->n_seen[i] : t->kv_begin[i + 1] - t->kv_begin[i];
            const int n_attending = n_seeing(t, q_first, n_q, n_k);
            char *out = (char *)t->out + (q_row * t->out_stride + q_column) * out_bytes;
            for (int row = n_attending; row < n_q; row++)
                memset(out + (size_t)row * t->out_stride * out_bytes, 0, (size_t)(n_shared * t->head_dim) * out_bytes);
            if (n_attending == 0)
                continue;
            attend(&(k_attention){
                .q = (const char *)t->q + (q_row * t->q_stride + q_column) * bytes,
                .k = (const char *)t->k + (kv_row * t->kv_stride + kv_column) * bytes,
                .v = (const char *)t->v + (kv_row * t->kv_stride + kv_column) * bytes,
                .q_stride = t->q_stride,
                .kv_stride = t->kv_stride,
                .n_q = n_attending,
                .n_k = n_k,
                .n_heads = n_shared,
                .head_dim = t->head_dim,
                .scale = t->scale,
                .q_first = q_first,
                .reach_back = t->reach_back,
                .reach_ahead = t->reach_ahead,
                .bias = t->bias != NULL ? t->bias + q_head * t->bias_stride : NULL,
                .bias_stride = t->bias_stride,
                .out_type = t->out_type,
                .out = out,
                .out_stride = t->out_stride,
                .scratch = t->scratch + run->rank * t->scratch_bytes,
            });
        }
    }
}

const hd_device_ops *hd__device_cpu(void)
{
    static const hd_device_ops ops = {
        .name = "cpu",
        .block_rows = cpu_block_rows,
        .head_columns = 128,
        .embed = cpu_embed,
        .norm = cpu_norm,
        .convert = cpu_convert,
        .linear = cpu_linear,
        .rotate = cpu_rotate,
        .attention = cpu_attention,
        .change_rows = hd__cpu_change_rows,
        .pick = hd__cpu_pick,
        .copy = hd__cpu_copy,
        .pool = hd__cpu_pool,
        .unit = hd__cpu_unit,
        .collect = hd__cpu_collect,
        .weigh = hd__cpu_weigh,
    };
    return &ops;
}
