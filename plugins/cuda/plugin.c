/* plugin.c - the CUDA plugin's entry, and how many blocks each operation is. What operations compute is said in
 * heddle/plugin.h; memory and streams are stream.h's, products products.h's.
 */
#include <pthread.h>
#include <stdio.h>

#include "stream.h"

/* A block for each row. */
static grid rows_of(int32_t n_rows, size_t y)
{
    return (grid){.x = n_rows > 0 ? (size_t)n_rows : 0, .y = y, .threads_x = ROW_THREADS, .threads_y = 1};
}

static size_t blocks_of(int32_t n, size_t each)
{
    return n > 0 ? ((size_t)n + each - 1) / each : 0;
}

/* ---- operations ---- */

static void embed(hd_plugin_stream *s, const hd_plugin_embed *t)
{
    stream_launch(s, ID_k_embed, rows_of(t->n_rows, 1), t);
}

static void change_rows(hd_plugin_stream *s, const hd_plugin_change_rows *t)
{
    stream_launch(s, ID_k_change_rows, rows_of(t->n_rows, 1), t);
}

static bool are_words(const void *rows, size_t stride)
{
    return (uintptr_t)rows % NORM_ALIGNMENT == 0 && stride % (NORM_ALIGNMENT / sizeof(float)) == 0;
}

static void norm(hd_plugin_stream *s, const hd_plugin_norm *t)
{
    const bool is_whole = t->n <= MOST_NORM_OF_WARP && are_words(t->x, t->stride) && are_words(t->gamma, (size_t)t->n) &&
                          are_words(t->beta, 0) && are_words(t->act.data, t->act.stride) && t->act.hadamard <= 1;
    const grid of_warps = {.x = blocks_of(t->n_rows, NORM_WARPS), .y = 1, .threads_x = NORM_WARPS * 32, .threads_y = 1};
    if (is_whole)
        stream_launch(s, ID_k_norm_of_warp, of_warps, t);
    else
        stream_launch(s, ID_k_norm, rows_of(t->n_rows, 1), t);
}

static void convert(hd_plugin_stream *s, const hd_plugin_convert *t)
{
    stream_launch(s, ID_k_convert, rows_of(t->n_rows, 1), t);
}

static void rotate(hd_plugin_stream *s, const hd_plugin_rotate *t)
{
    const size_t heads = t->n_rows > 0 && t->n_heads > 0 ? (size_t)t->n_rows * (size_t)t->n_heads : 0;
    const grid g = {.x = (heads + ROTATE_WARPS - 1) / ROTATE_WARPS, .y = 1, .threads_x = ROTATE_WARPS * 32, .threads_y = 1};
    stream_launch(s, ID_k_rotate, g, t);
}

static bool is_aligned(const void *rows, size_t stride)
{
    return (uintptr_t)rows % TENSOR_ALIGNMENT == 0 && stride * sizeof(uint16_t) % TENSOR_ALIGNMENT == 0;
}

/* The kernel on tensor cores for a head's size, or the one for all. */
static kernel_id attention_kernel(const hd_plugin_stream *s, const hd_plugin_attention *t)
{
    const bool is_f16 = t->type == HD_PLUGIN_F16;
    const kernel_id for_all = is_f16 ? ID_k_attention_f16 : ID_k_attention_bf16;
    if (t->type == HD_PLUGIN_F32)
        return ID_k_attention_f32;
    if (!s->device->has_tensor_cores || !is_aligned(t->q, t->q_stride) || !is_aligned(t->k, t->kv_stride) ||
        !is_aligned(t->v, t->kv_stride))
        return for_all;
    switch (t->head_dim) {
    case 32: return is_f16 ? ID_k_tensor_attention_f16_32 : ID_k_tensor_attention_bf16_32;
    case 64: return is_f16 ? ID_k_tensor_attention_f16_64 : ID_k_tensor_attention_bf16_64;
    case 128: return is_f16 ? ID_k_tensor_attention_f16_128 : ID_k_tensor_attention_bf16_128;
    default: return for_all;
    }
}

static void attention(hd_plugin_stream *s, const hd_plugin_attention *t)
{
    const bool is_any = t->n_q > 0 && t->n_heads > 0;
    const kernel_id kernel = attention_kernel(s, t);
    const bool on_tensor_cores = kernel >= ID_k_tensor_attention_bf16_32 && kernel <= ID_k_tensor_attention_f16_128;
    const int32_t queries = on_tensor_cores ? TENSOR_QUERIES : ATTENTION_QUERIES;
    const grid g = {.x = is_any ? (size_t)(t->n_q / queries) + (size_t)t->n_sequences : 0,
                    .y = (size_t)t->n_heads,
                    .threads_x = (on_tensor_cores ? TENSOR_WARPS : ATTENTION_WARPS) * 32,
                    .threads_y = 1,
                    .shared_bytes = on_tensor_cores ? 0 : ATTENTION_SHARED_BYTES(t->head_dim)};
    stream_launch(s, kernel, g, t);
}

/* One block even without sequences: picked_begin[0] is 0. */
static void pick(hd_plugin_stream *s, const hd_plugin_pick *t)
{
    stream_launch(s, ID_k_pick, rows_of(t->n_sequences > 0 ? t->n_sequences : 1, 1), t);
}

static void copy(hd_plugin_stream *s, const hd_plugin_copy *t)
{
    stream_launch(s, ID_k_copy, rows_of(t->n_rows, 1), t);
}

static void pool(hd_plugin_stream *s, const hd_plugin_pool *t)
{
    grid g = rows_of(t->n_rows, blocks_of(t->n, POOL_COLUMNS));
    g.threads_x = POOL_COLUMNS;
    g.threads_y = POOL_LANES;
    stream_launch(s, ID_k_pool, g, t);
}

static void unit(hd_plugin_stream *s, const hd_plugin_unit *t)
{
    stream_launch(s, ID_k_unit, rows_of(t->n_rows, 1), t);
}

static void collect(hd_plugin_stream *s, const hd_plugin_vocab_pool *t)
{
    stream_launch(s, ID_k_collect, rows_of(t->n_sequences, blocks_of(t->vocab, ROW_THREADS)), t);
}

static void weigh(hd_plugin_stream *s, const hd_plugin_vocab_pool *t)
{
    if (!t->sums)
        stream_launch(s, ID_k_weigh, rows_of(t->n_sequences, blocks_of(t->vocab, ROW_THREADS)), t);
}

/* ---- the entry ---- */

static hd_plugin table = {
    .version = HD_PLUGIN_VERSION,
    .size = sizeof table,
    .open = device_open,
    .close = device_close,
    .look = device_look,
    .alloc = device_alloc,
    .free = device_free,
    .pin = device_pin,
    .unpin = device_unpin,
    .stream_open = stream_open,
    .stream_close = stream_close,
    .wait = stream_wait,
    .upload = stream_upload,
    .download = stream_download,
    .clear = stream_clear,
    .replay = graphs_replay,
    .recorded = graphs_recorded,
    .embed = embed,
    .change_rows = change_rows,
    .norm = norm,
    .convert = convert,
    .linear = products_linear,
    .rotate = rotate,
    .attention = attention,
    .pick = pick,
    .copy = copy,
    .pool = pool,
    .unit = unit,
    .collect = collect,
    .weigh = weigh,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards libraries_open and n_devices */

const hd_plugin *hd_plugin_begin(const hd_plugin_host *host, char *why)
{
    const hd_plugin *answer = NULL;
    int n = 0;
    if (host->version != HD_PLUGIN_VERSION) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "this Heddle has version %u of the plugin interface, version %d is needed",
                 host->version, HD_PLUGIN_VERSION);
        return NULL;
    }
    pthread_mutex_lock(&lock);
    if (libraries_open(host, why)) {
        const CUresult result = cuda.cuDeviceGetCount(&n);
        table.n_devices = result == CUDA_SUCCESS ? (uint32_t)n : 0;
        if (result == CUDA_SUCCESS)
            answer = &table;
        else
            driver_failure(result, "counting devices", why);
    }
    pthread_mutex_unlock(&lock);
    return answer;
}
