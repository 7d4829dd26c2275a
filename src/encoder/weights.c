/* weights.c - see weights.h. Cache key: the tensor files' identity, the type, the layout version below, and the settings
 * that say which tensors are read and how large they are. */
#include "encoder/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parallel.h"
#include "encoder/adapters.h"
#include "encoder/merge.h"
#include "encoder/table_row.h"

#define MAX_BLOBS 8192
#define PACK_ROWS 64 /* rows converted to f32 at a time, a multiple of K_PANEL */

struct hd_weights {
    hd_arena arena;
    k_type type;
    bool narrow; /* this machine's int8 products are added in 16 bits */
    const char *model_dir;
    const char *cache_path, *cache_dir; /* NULL: none */
    const char *key;
    hd_tensors *tensors;      /* opened when needed */
    hd_adapters adapters;     /* with them */
    hd_packed *packed;        /* mapped: where blobs come from */
    hd_packed_plan plan;      /* of the measuring pass */
    hd_packed_writer *writer; /* packing into the cache file; NULL: blobs are on the heap */
    void **heap;              /* [n_heap] */
    size_t n_heap;
    uint64_t n_bytes;
    bool measuring, packing;
    uint32_t n_threads;
    float *rows; /* [n_threads, rows_each] while packing: rows on their way from tensor to blob */
    size_t rows_each;
};

static const char *type_name(k_type type)
{
    return type == K_F32 ? "f32" : type == K_BF16 ? "bf16" : "int8";
}

/* Of the modules behind the transformer. *key is NULL when there is no memory. */
static hd_status add_dense_key(hd_weights *w, const hd_settings *s, const char **key, hd_error *err)
{
    for (uint32_t i = 0; i < s->n_dense && *key != NULL; i++) {
        const hd_dense_settings *d = &s->dense[i];
        hd_tensors *dense;
        HD_TRY(hd__tensors_open(d->dir, &dense, err));
        *key = hd__arena_printf(&w->arena, "%s dense=%u>%u bias=%d%s %s", *key, d->n_in, d->n_out, d->has_bias,
                                d->has_residual ? " residual" : "", hd__tensors_identity(dense));
        hd__tensors_close(dense);
    }
    return HD_OK;
}

/* Everything the blobs depend on. Sizes are among it although blobs have theirs: those are rounded up, so that a blob made
 * for other settings may fit. */
static hd_status make_key(hd_weights *w, const hd_settings *s, hd_error *err)
{
    const char *key = hd__arena_printf(
        &w->arena, "layout=%d type=%s%s %s vocab=%u positions=%u types=%u hidden=%u middle=%u layers=%u %s",
        HD_WEIGHTS_LAYOUT, type_name(w->type), w->narrow ? " narrow" : "", s->model_type, s->vocab_size, s->n_positions,
        s->n_token_types, s->hidden, s->intermediate, s->n_layers, hd__tensors_identity(w->tensors));
    if (key != NULL)
        key = hd__arena_printf(&w->arena, "%s heads=%u labels=%u first=%u kv=%u dim=%u rotary=%.17g,%.17g,%.17g", key,
                               s->heads, s->n_labels, s->position_offset, s->n_kv_heads, s->head_dim, s->rotary_theta,
                               s->rotary_theta_local, s->rotary_factor);
    if (key != NULL && s->n_tasks > 0)
        key = hd__arena_printf(&w->arena, "%s tasks=%u rank=%u scale=%.17g", key, s->n_tasks, s->adapter_rank,
                               s->adapter_scale);
    if (key != NULL && s->judges)
        key = hd__arena_printf(&w->arena, "%s answers=%d,%d", key, s->answers[0], s->answers[1]);
    HD_TRY(add_dense_key(w, s, &key, err));
    if (key != NULL && s->queries != NULL) {
        key = hd__arena_printf(&w->arena, "%s queries:", key);
        HD_TRY(add_dense_key(w, s->queries, &key, err));
    }
    for (uint32_t i = 0; i < w->adapters.n_tasks && key != NULL; i++)
        key = hd__arena_printf(&w->arena, "%s adapter=%s", key, hd__peft_identity(w->adapters.tasks[i]));
    if (key != NULL && w->adapters.whole != NULL)
        key = hd__arena_printf(&w->arena, "%s merged=%s by %s, %s", key, hd__peft_identity(w->adapters.whole),
                               s->adapter->text, hd__kernel_chosen("gemm_f32")->symbol);
    const char *const files[] = {s->sparse_linear, s->colbert_linear};
    for (size_t i = 0; i < sizeof files / sizeof *files && key != NULL; i++) {
        hd_tensors *linear;
        if (files[i] == NULL)
            continue;
        HD_TRY(hd__tensors_open_file(files[i], &linear, err));
        key = hd__arena_printf(&w->arena, "%s %s", key, hd__tensors_identity(linear));
        hd__tensors_close(linear);
    }
    w->key = key;
    return key != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
}

static size_t dir_len(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static void close_tensors(hd_weights *w)
{
    hd__adapters_close(&w->adapters);
    hd__tensors_close(w->tensors);
    w->tensors = NULL;
}

hd_status hd__weights_open(const char *model_dir, const hd_settings *settings, k_type type, const char *cache_path,
                           bool repack, uint32_t n_threads, hd_weights **out, hd_error *err)
{
    hd_weights *w = hd__calloc(1, sizeof *w);
    if (w == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", model_dir);
    hd__arena_init(&w->arena);
    w->type = type;
    w->n_threads = n_threads;
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    w->narrow = kernels.i8_narrow;
    hd_status status = HD_OK;
    w->model_dir = hd__arena_strndup(&w->arena, model_dir, strlen(model_dir));
    w->cache_path = cache_path != NULL ? hd__arena_strndup(&w->arena, cache_path, strlen(cache_path)) : NULL;
    w->cache_dir = cache_path != NULL ? hd__arena_strndup(&w->arena, cache_path, dir_len(cache_path)) : NULL;
    w->heap = hd__arena_calloc(&w->arena, MAX_BLOBS, sizeof *w->heap);
    if (w->model_dir == NULL || w->heap == NULL || (cache_path != NULL && (!w->cache_path || !w->cache_dir))) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory", model_dir);
        goto out;
    }
    if (w->cache_dir != NULL)
        hd__file_sweep(w->cache_dir);
    HD_TRY_OUT(hd__tensors_open(model_dir, &w->tensors, err));
    HD_TRY_OUT(hd__adapters_open(w->model_dir, settings, w->tensors, &w->arena, &w->adapters, err));
    HD_TRY_OUT(make_key(w, settings, err));
    if (cache_path != NULL && !repack) {
        hd_error why = {0};
        hd_status found = hd__packed_open(cache_path, w->key, &w->packed, &why);
        if (found != HD_OK && found != HD_ERR_NOT_FOUND)
            hd__log(HD_LOG_WARN, "packed weights not used: %s", why.text);
        if (found == HD_OK) {
            w->n_bytes = hd__packed_bytes(w->packed);
            close_tensors(w);
        }
    }
    *out = w;
    w = NULL;
out:
    hd__weights_close(w);
    return status;
}

void hd__weights_close(hd_weights *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->n_heap; i++)
        hd__free(w->heap[i]);
    hd__packed_writer_abandon(w->writer);
    hd__free(w->rows);
    close_tensors(w);
    hd__packed_close(w->packed);
    hd__arena_clear(&w->arena);
    hd__free(w);
}

void hd__weights_measure_begin(hd_weights *w)
{
    w->measuring = true;
}

uint64_t hd__weights_measure_end(hd_weights *w)
{
    uint64_t bytes = w->n_bytes;
    w->n_bytes = 0;
    w->measuring = false;
    return bytes;
}

const char *hd__weights_key(const hd_weights *w)
{
    return w->key;
}

uint64_t hd__weights_bytes(const hd_weights *w)
{
    return w->n_bytes;
}

bool hd__weights_mapped(const hd_weights *w)
{
    return w->packed != NULL;
}

bool hd__weights_writing(const hd_weights *w)
{
    return w->writer != NULL;
}

static void not_kept(const hd_error *why)
{
    hd__log(HD_LOG_WARN, "packed weights not kept, the next start packs again: %s", why->text);
}

bool hd__weights_save(hd_weights *w)
{
    hd_error why = {0};
    hd_status status = hd__packed_writer_commit(w->writer, &why);
    w->writer = NULL;
    if (status != HD_OK)
        not_kept(&why);
    return status == HD_OK;
}

/* Before the first blob is filled: opens the cache file, if there is to be one. */
static void begin_packing(hd_weights *w)
{
    hd_error why = {0};
    w->packing = true;
    if (w->cache_path == NULL || w->plan.n_blobs == 0)
        return;
    if (hd__dir_make(w->cache_dir, &why) != HD_OK ||
        hd__packed_writer_open(w->cache_path, w->key, &w->plan, &w->writer, &why) != HD_OK)
        not_kept(&why);
}

/* Memory for a blob to fill: in the cache file, else on the heap. */
static void *new_blob(hd_weights *w, const char *name, size_t bytes)
{
    if (!w->packing)
        begin_packing(w);
    if (w->writer != NULL)
        return hd__packed_writer_add(w->writer, name, bytes);
    void *fresh = hd__malloc_aligned(bytes);
    if (fresh == NULL)
        return NULL;
    memset(fresh, 0, bytes);
    w->heap[w->n_heap++] = fresh;
    return fresh;
}

/* The blob "<name><suffix>" of `bytes`; *fill says that it is new, zeroed, and must be filled. */
static hd_status bind_blob(hd_weights *w, const char *name, const char *suffix, size_t bytes, const void **blob, void **fill,
                           hd_error *err)
{
    char *full = w->measuring ? NULL : hd__arena_printf(&w->arena, "%s%s", name, suffix);
    *fill = NULL;
    if (w->measuring) {
        *blob = NULL;
        w->n_bytes = hd__add(w->n_bytes, bytes);
        hd__packed_plan_add(&w->plan, strlen(name) + strlen(suffix), bytes);
        return HD_OK;
    }
    if (full == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
    if (w->packed != NULL) {
        hd_span found;
        if (!hd__packed_find(w->packed, full, &found) || found.len != bytes)
            return hd__fail(err, HD_ERR_FORMAT, "%s: no blob \"%s\" of %zu bytes", w->cache_path, full, bytes);
        *blob = found.ptr;
        return HD_OK;
    }
    if (w->n_heap == MAX_BLOBS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: more than %d weight blobs", w->model_dir, MAX_BLOBS);
    void *fresh = new_blob(w, full, bytes);
    if (fresh == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu bytes of \"%s\"", w->model_dir, bytes, full);
    w->n_bytes += bytes;
    *blob = *fill = fresh;
    return HD_OK;
}

/* A tensor by its name, or by the name that torch gives a weight once it has a parametrization. NULL: there is none. */
static const hd_tensor *find_weight_tensor(const hd_tensors *tensors, const char *name)
{
    static const char weight[] = ".weight";
    char other[512];
    const hd_tensor *t = hd__tensors_find(tensors, name);
    const size_t n = strlen(name), n_weight = sizeof weight - 1;
    if (t != NULL || n < n_weight || strcmp(name + n - n_weight, weight) != 0)
        return t;
    snprintf(other, sizeof other, "%.*s.parametrizations.weight.original", (int)(n - n_weight), name);
    return hd__tensors_find(tensors, other);
}

/* Tensor "<prefix><suffix>" with exactly the given shape (n_dims 1 or 2). */
static hd_status find_tensor(hd_weights *w, const hd_tensors *tensors, const char *prefix, const char *suffix, int n_dims,
                             int rows, int columns, const hd_tensor **tensor, hd_error *err)
{
    char *full = hd__arena_printf(&w->arena, "%s%s", prefix, suffix);
    if (full == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
    const hd_tensor *t = find_weight_tensor(tensors, full);
    if (t == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is missing", w->model_dir, full);
    bool fits = (int)t->n_dims == n_dims && t->dims[0] == (uint64_t)rows && (n_dims == 1 || t->dims[1] == (uint64_t)columns);
    if (!fits && n_dims == 2)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" has %u dimensions [%llu, %llu], config.json says [%d, %d]",
                        t->file, full, t->n_dims, t->n_dims > 0 ? (unsigned long long)t->dims[0] : 0,
                        t->n_dims > 1 ? (unsigned long long)t->dims[1] : 0, rows, columns);
    if (!fits)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" has %u dimensions [%llu], config.json says [%d]", t->file,
                        full, t->n_dims, t->n_dims > 0 ? (unsigned long long)t->dims[0] : 0, rows);
    *tensor = t;
    return HD_OK;
}

/* Reads n values of a vector tensor. */
static hd_status read_vector(hd_weights *w, const hd_tensors *tensors, const char *prefix, const char *suffix, int n,
                             float *out, hd_error *err)
{
    const hd_tensor *t;
    HD_TRY(find_tensor(w, tensors, prefix, suffix, 1, n, 0, &t, err));
    return hd__tensor_read_f32(t, 0, (uint64_t)n, out, err);
}

/* Each thread's buffer for n f32. */
static hd_status rows_buffers(hd_weights *w, size_t n, hd_error *err)
{
    n = hd__round_up(n, 64 / sizeof(float));
    if (n <= w->rows_each)
        return HD_OK;
    hd__free(w->rows);
    w->rows_each = 0;
    w->rows = hd__malloc_aligned(hd__mul(hd__mul(n, w->n_threads), sizeof(float)));
    if (w->rows == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu weights", w->model_dir, n);
    w->rows_each = n;
    return HD_OK;
}

/* A matrix on its way: PACK_ROWS rows are a piece of it (base/parallel.h). */
typedef struct row_pieces {
    const hd_weights *w;
    const hd_tensor *tensor;
    hd_merge merge;  /* what an adapter adds to the tensor; to be ended by run_pieces */
    int first, n, k; /* rows of the tensor, and values of a row */
    k_type type;
    int hadamard; /* of the matrix (k_weights) */
    int at;       /* the first row's output channel */
    void *to;
    float *scale, *sum;
    size_t word_stride; /* words only, */
    float word_factor;  /* and what they are multiplied by */
} row_pieces;

/* Reads a piece's rows into the worker's buffer. What was read of the tensor is let go from time to time: both whole
 * matrices need never be in memory. */
static hd_status read_piece(const row_pieces *p, size_t piece, uint32_t worker, int *row, int *n_rows, float **rows,
                            hd_error *err)
{
    enum { FORGET_EVERY = 64 };
    *row = (int)piece * PACK_ROWS;
    *n_rows = p->n - *row < PACK_ROWS ? p->n - *row : PACK_ROWS;
    *rows = p->w->rows + worker * p->w->rows_each;
    if (piece % FORGET_EVERY == FORGET_EVERY - 1)
        hd__tensor_forget(p->tensor);
    HD_TRY(hd__tensor_read_f32(p->tensor, (uint64_t)(p->first + *row) * (uint64_t)p->k, (uint64_t)*n_rows * (uint64_t)p->k,
                               *rows, err));
    hd__merge_rows(&p->merge, (size_t)(p->first + *row), (size_t)*n_rows, *rows);
    return HD_OK;
}

static hd_status run_pieces(hd_weights *w, hd_piece_fn *run, row_pieces *pieces, hd_error *err)
{
    enum { WORTH_A_THREAD = 4 }; /* pieces for each: less is done before a thread has started */
    const size_t n = ((size_t)pieces->n + PACK_ROWS - 1) / PACK_ROWS;
    const uint32_t n_threads = n / WORTH_A_THREAD < w->n_threads ? (uint32_t)(n / WORTH_A_THREAD) : w->n_threads;
    hd_status status = rows_buffers(w, hd__mul(PACK_ROWS, (size_t)pieces->k), err);
    if (status == HD_OK)
        status = hd__parallel(n_threads, n, run, pieces, err);
    hd__merge_end(&pieces->merge);
    hd__tensor_forget(pieces->tensor);
    return status;
}

/* The same of a matrix that an adapter may change, by the name of its module. */
static hd_status run_merged(hd_weights *w, hd_piece_fn *run, const char *module, bool is_table, row_pieces *pieces,
                            hd_error *err)
{
    const hd_tensor *t = pieces->tensor;
    const hd_status status =
        hd__merge_begin(w->adapters.whole, module, is_table, (size_t)t->dims[0], (size_t)t->dims[1], &pieces->merge, err);
    if (status == HD_OK)
        return run_pieces(w, run, pieces, err);
    hd__merge_end(&pieces->merge);
    return status;
}

/* The module that a tensor "<module>.weight" is of. */
static hd_status module_of(hd_weights *w, const char *tensor, const char **module, hd_error *err)
{
    const size_t n = strlen(tensor), n_end = strlen(".weight");
    *module = hd__arena_strndup(&w->arena, tensor, n > n_end ? n - n_end : 0);
    return *module != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
}

static hd_status is_tied(hd_weights *w, const hd_tensors *tensors, const hd_linear_part *part, bool *tied, hd_error *err)
{
    char *own = hd__arena_printf(&w->arena, "%s.weight", part->prefix);
    if (own == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
    const hd_tensor *weight = hd__tensors_find(tensors, own);
    const hd_tensor *shared = part->tied != NULL ? hd__tensors_find(tensors, part->tied) : NULL;
    *tied = part->tied != NULL && (weight == NULL || (shared != NULL && shared->bytes.ptr == weight->bytes.ptr));
    return HD_OK;
}

hd_status hd__weights_tied(hd_weights *w, const hd_linear_part *part, bool *tied, hd_error *err)
{
    hd_span words;
    if (w->packed != NULL) {
        *tied = !hd__packed_find(w->packed, "words", &words); /* they were packed once */
        return HD_OK;
    }
    HD_TRY(is_tied(w, w->tensors, part, tied, err));
    if (!*tied || w->adapters.whole == NULL)
        return HD_OK;
    const char *table; /* an adapter changes one of the two uses */
    HD_TRY(module_of(w, part->tied, &table, err));
    *tied = hd__peft_find(w->adapters.whole, table) == NULL && hd__peft_find(w->adapters.whole, part->prefix) == NULL;
    return HD_OK;
}

/* The tensor of a part's weights: its own, or the one it shares. */
static hd_status find_weight(hd_weights *w, const hd_tensors *tensors, const hd_linear_part *part, int n_all, int k,
                             const hd_tensor **tensor, hd_error *err)
{
    bool tied;
    HD_TRY(is_tied(w, tensors, part, &tied, err));
    if (tied)
        return find_tensor(w, tensors, part->tied, "", 2, n_all, k, tensor, err);
    return find_tensor(w, tensors, part->prefix, ".weight", 2, n_all, k, tensor, err);
}

static hd_status pack_piece(void *data, size_t piece, uint32_t worker, hd_error *err)
{
    const row_pieces *p = data;
    int row, n_rows;
    float *rows;
    HD_TRY(read_piece(p, piece, worker, &row, &n_rows, &rows, err));
    for (int i = 0; i < n_rows && p->hadamard > 1; i++)
        k_hadamard_weights(rows + (size_t)i * (size_t)p->k, p->k, p->hadamard);
    k_pack_rows(p->type, p->w->narrow, p->k, p->at + row, n_rows, rows, p->to, p->scale, p->sum);
    return HD_OK;
}

/* Where a linear layer's blobs are to be filled; panels NULL: they are not. */
typedef struct linear_fill {
    void *panels, *bias, *scale, *sum;
} linear_fill;

/* Packs one part at output channel `at` of the matrix. */
static hd_status pack_part(hd_weights *w, const hd_tensors *tensors, const hd_linear_part *part, const k_weights *linear,
                           int at, const linear_fill *fill, hd_error *err)
{
    const int n_all = part->n_all > part->n ? part->n_all : part->n;
    row_pieces pieces = {.w = w,
                         .first = part->first,
                         .n = part->n,
                         .k = linear->k,
                         .type = linear->type,
                         .hadamard = linear->hadamard,
                         .at = at,
                         .to = fill->panels,
                         .scale = fill->scale,
                         .sum = fill->sum};
    HD_TRY(find_weight(w, tensors, part, n_all, linear->k, &pieces.tensor, err));
    if (tensors == w->tensors)
        HD_TRY(run_merged(w, pack_piece, part->prefix, false, &pieces, err));
    else
        HD_TRY(run_pieces(w, pack_piece, &pieces, err));
    if (part->no_bias)
        return HD_OK;
    const hd_tensor *t;
    HD_TRY(find_tensor(w, tensors, part->bias != NULL ? part->bias : part->prefix, part->bias != NULL ? "" : ".bias", 1,
                       n_all, 0, &t, err));
    return hd__tensor_read_f32(t, (uint64_t)part->first, (uint64_t)part->n, (float *)fill->bias + at, err);
}

/* What rows of k values are multiplied by before a product of the type reads them. */
static int hadamard_of(k_type type, hd_linear_input input, int k)
{
    return type == K_I8 && input == HD_OF_NORM ? k_hadamard_order(k) : 0;
}

/* The blobs of linear->type, n and k. */
static hd_status bind_linear_blobs(hd_weights *w, const char *name, k_weights *linear, linear_fill *fill, hd_error *err)
{
    const void *blob;
    linear->n_pad = k_padded(linear->n);
    linear->k_pad = k_padded(linear->k);
    const size_t vector_bytes = (size_t)linear->n_pad * sizeof(float);
    *fill = (linear_fill){0};
    HD_TRY(bind_blob(w, name, ".panels", k_pack_bytes(linear->type, linear->n, linear->k), &linear->panels, &fill->panels,
                     err));
    HD_TRY(bind_blob(w, name, ".bias", vector_bytes, &blob, &fill->bias, err));
    linear->bias = blob;
    if (linear->type != K_I8)
        return HD_OK;
    HD_TRY(bind_blob(w, name, ".scale", vector_bytes, &blob, &fill->scale, err));
    linear->scale = blob;
    HD_TRY(bind_blob(w, name, ".sum", vector_bytes, &blob, &fill->sum, err));
    linear->channel_sum = blob;
    return HD_OK;
}

static hd_status bind_linear(hd_weights *w, const hd_tensors *tensors, const char *name, k_type type, hd_linear_input input,
                             const hd_linear_part *parts, int n_parts, int k, k_weights *linear, hd_error *err)
{
    int n = parts[0].n;
    for (int i = 1; i < n_parts; i++)
        n = k_padded(n) + parts[i].n;
    for (int i = 0; i < n_parts && tensors == w->tensors; i++)
        hd__adapters_claim(&w->adapters, parts[i].prefix);
    k_weights result = {.type = type, .n = n_parts == 1 ? n : k_padded(n), .k = k, .hadamard = hadamard_of(type, input, k)};
    linear_fill fill;
    HD_TRY(bind_linear_blobs(w, name, &result, &fill, err));
    for (int i = 0, at = 0; i < n_parts && fill.panels != NULL; at += k_padded(parts[i++].n))
        HD_TRY(pack_part(w, tensors, &parts[i], &result, at, &fill, err));
    *linear = result;
    return HD_OK;
}

hd_status hd__weights_linear(hd_weights *w, const char *name, k_type type, hd_linear_input input,
                             const hd_linear_part *parts, int n_parts, int k, k_weights *linear, hd_error *err)
{
    return bind_linear(w, w->tensors, name, type, input, parts, n_parts, k, linear, err);
}

hd_status hd__weights_difference(hd_weights *w, const char *name, const hd_linear_part *part, int row, int less, int k,
                                 k_weights *linear, hd_error *err)
{
    k_weights result = {.type = K_F32, .n = 1, .k = k};
    const hd_tensor *t;
    linear_fill fill;
    hd__adapters_claim(&w->adapters, part->prefix);
    HD_TRY(bind_linear_blobs(w, name, &result, &fill, err));
    *linear = result;
    if (fill.panels == NULL)
        return HD_OK;
    const size_t n = (size_t)k;
    hd_merge merge = {0};
    hd_status status;
    HD_TRY(find_weight(w, w->tensors, part, part->n, k, &t, err));
    HD_TRY(rows_buffers(w, 2 * n, err));
    HD_TRY(hd__tensor_read_f32(t, (uint64_t)row * n, n, w->rows, err));
    HD_TRY(hd__tensor_read_f32(t, (uint64_t)less * n, n, w->rows + n, err));
    HD_TRY_OUT(hd__merge_begin(w->adapters.whole, part->prefix, false, (size_t)t->dims[0], n, &merge, err));
    hd__merge_rows(&merge, (size_t)row, 1, w->rows);
    hd__merge_rows(&merge, (size_t)less, 1, w->rows + n);
    for (size_t i = 0; i < n; i++)
        w->rows[i] -= w->rows[n + i];
    k_pack_rows(K_F32, w->narrow, k, 0, 1, w->rows, fill.panels, NULL, NULL);
out:
    hd__merge_end(&merge);
    return status;
}

/* ---- adapters ---- */

/* lift[r, column + c] = scale * B[c, r] for c below width. */
static hd_status fill_lift(hd_weights *w, const hd_low_rank *from, const hd_settings *set, uint64_t first, size_t width,
                           size_t stride, float *lift, hd_error *err)
{
    const size_t rank = set->adapter_rank;
    HD_TRY(rows_buffers(w, PACK_ROWS * rank, err));
    for (size_t c = 0, n; c < width; c += n) {
        n = width - c < PACK_ROWS ? width - c : PACK_ROWS;
        HD_TRY(hd__tensor_read_f32(from->b, (from->b_first + first + c) * rank, n * rank, w->rows, err));
        for (size_t j = 0; j < n * rank; j++)
            lift[j % rank * stride + c + j / rank] = (float)(set->adapter_scale * (double)w->rows[j]);
    }
    return HD_OK;
}

/* Where hd__weights_adapter is at: a module of a task, its rows of A and the sections of B that are its. */
typedef struct adapter_part {
    const char *module;
    uint64_t task;
    int row;                 /* of the first of its rank rows */
    const int *widths;       /* [n_widths] */
    int n_widths, first_pad; /* and the first section's first channel */
} adapter_part;

static hd_status fill_adapter(hd_weights *w, const adapter_part *part, const hd_settings *set, const hd_adapter *adapter,
                              const linear_fill *fill, int n_pad, float *lift, hd_error *err)
{
    const int rank = (int)set->adapter_rank, k = adapter->down.k;
    hd_adapted adapted = {.module = part->module, .k = (uint64_t)k};
    hd_low_rank from;
    for (int i = 0; i < part->n_widths; i++)
        adapted.n += (uint64_t)part->widths[i];
    HD_TRY(hd__adapters_find(&w->adapters, &adapted, set, part->task, &from, err));
    if (from.a == NULL)
        return HD_OK;
    row_pieces pieces = {.w = w,
                         .tensor = from.a,
                         .first = (int)from.a_first,
                         .n = rank,
                         .k = k,
                         .type = adapter->down.type,
                         .hadamard = adapter->down.hadamard,
                         .at = part->row,
                         .to = fill->panels,
                         .scale = fill->scale,
                         .sum = fill->sum};
    HD_TRY(run_pieces(w, pack_piece, &pieces, err));
    float *rows = lift + (size_t)part->row * (size_t)n_pad;
    uint64_t first = 0;
    for (int i = 0, column = part->first_pad; i < part->n_widths; column += k_padded(part->widths[i++])) {
        HD_TRY(fill_lift(w, &from, set, first, (size_t)part->widths[i], (size_t)n_pad, rows + column, err));
        first += (uint64_t)part->widths[i];
    }
    return HD_OK;
}

hd_status hd__weights_check_adapters(const hd_weights *w, hd_error *err)
{
    return hd__adapters_check(&w->adapters, err);
}

hd_status hd__weights_adapter(hd_weights *w, const char *name, const char *const *modules, int n_modules,
                              const hd_settings *set, k_type type, hd_linear_input input, const int *widths, int n_widths,
                              int k, hd_adapter *adapter, hd_error *err)
{
    const int rank = n_modules * (int)set->adapter_rank, n_low = (int)set->n_tasks * rank;
    int n_pad = 0;
    for (int i = 0; i < n_widths; i++)
        n_pad += k_padded(widths[i]);
    hd_adapter result = {.rank = rank, .down = {.type = type, .n = n_low, .k = k, .hadamard = hadamard_of(type, input, k)}};
    linear_fill fill;
    const void *blob;
    void *lift;
    for (int i = 0; i < n_modules; i++)
        hd__adapters_claim(&w->adapters, modules[i]);
    char *down = hd__arena_printf(&w->arena, "%s.down", name);
    if (down == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
    HD_TRY(bind_linear_blobs(w, down, &result.down, &fill, err));
    HD_TRY(bind_blob(w, name, ".lift", hd__mul((size_t)n_low * (size_t)n_pad, sizeof(float)), &blob, &lift, err));
    result.lift = blob;
    *adapter = result;
    for (int i = 0, pad = 0; lift != NULL && i < (int)set->n_tasks * n_modules; i++) {
        const int m = i % n_modules;
        pad = m == 0 ? 0 : pad + k_padded(widths[m - 1]);
        const adapter_part part = {
            .module = modules[m],
            .task = (uint64_t)(i / n_modules),
            .row = i * (int)set->adapter_rank,
            .widths = widths + m,
            .n_widths = n_modules == 1 ? n_widths : 1,
            .first_pad = pad,
        };
        HD_TRY(fill_adapter(w, &part, set, &result, &fill, n_pad, lift, err));
    }
    return HD_OK;
}

/* to[j, i] = scale * from[i, j] of a matrix of so many rows and columns. */
static hd_status read_transposed(hd_weights *w, const hd_tensor *from, size_t rows, size_t columns, double scale, float *to,
                                 hd_error *err)
{
    HD_TRY(rows_buffers(w, columns, err));
    for (size_t i = 0; i < rows; i++) {
        HD_TRY(hd__tensor_read_f32(from, i * columns, columns, w->rows, err));
        for (size_t j = 0; j < columns; j++)
            to[j * rows + i] = (float)(scale * (double)w->rows[j]);
    }
    return HD_OK;
}

hd_status hd__weights_table_adapter(hd_weights *w, const char *name, const char *module, const hd_settings *set, int n_rows,
                                    const float **low, const float **lift, hd_error *err)
{
    const size_t n_tasks = set->n_tasks, rank = set->adapter_rank, hidden = set->hidden, rows = (size_t)n_rows;
    const size_t n_low = hd__mul(rank, rows), n_lift = rank * hidden;
    const hd_adapted adapted = {.module = module, .is_table = true, .n = rows, .k = hidden};
    const void *low_blob, *lift_blob;
    void *fill_low, *fill_lift;
    hd__adapters_claim(&w->adapters, module);
    HD_TRY(bind_blob(w, name, ".low", hd__mul(hd__mul(n_tasks, n_low), sizeof(float)), &low_blob, &fill_low, err));
    HD_TRY(bind_blob(w, name, ".lift", hd__mul(n_tasks * n_lift, sizeof(float)), &lift_blob, &fill_lift, err));
    *low = low_blob;
    *lift = lift_blob;
    for (size_t task = 0; fill_low != NULL && task < n_tasks; task++) {
        float *to_low = (float *)fill_low + task * n_low, *to_lift = (float *)fill_lift + task * n_lift;
        hd_low_rank from;
        HD_TRY(hd__adapters_find(&w->adapters, &adapted, set, task, &from, err));
        if (from.a != NULL && w->adapters.tasks != NULL) {
            HD_TRY(read_transposed(w, from.a, rank, rows, 1.0, to_low, err));
            HD_TRY(read_transposed(w, from.b, hidden, rank, set->adapter_scale, to_lift, err));
        } else if (from.a != NULL) {
            HD_TRY(hd__tensor_read_f32(from.a, task * n_low, n_low, to_low, err));
            HD_TRY(hd__tensor_read_f32(from.b, task * n_lift, n_lift, to_lift, err));
            for (size_t i = 0; i < n_lift; i++)
                to_lift[i] = (float)(set->adapter_scale * (double)to_lift[i]);
        }
    }
    return HD_OK;
}

/* A matrix of ones on the diagonal: its product is its input, rounded as that of any other. */
static hd_status bind_identity(hd_weights *w, const char *name, k_type type, hd_linear_input input, int n, k_weights *linear,
                               hd_error *err)
{
    k_weights result = {.type = type, .n = n, .k = n, .hadamard = hadamard_of(type, input, n)};
    linear_fill fill;
    HD_TRY(bind_linear_blobs(w, name, &result, &fill, err));
    *linear = result;
    if (fill.panels == NULL)
        return HD_OK;
    HD_TRY(rows_buffers(w, (size_t)n, err));
    for (int i = 0; i < n; i++) {
        memset(w->rows, 0, (size_t)n * sizeof *w->rows);
        w->rows[i] = 1.0f;
        if (result.hadamard > 1)
            k_hadamard_weights(w->rows, n, result.hadamard);
        k_pack_rows(type, w->narrow, n, i, 1, w->rows, fill.panels, fill.scale, fill.sum);
    }
    return HD_OK;
}

hd_status hd__weights_dense(hd_weights *w, const hd_dense_settings *dense, uint32_t index, k_type type,
                            hd_linear_input input, k_weights *linear, k_weights *residual, hd_error *err)
{
    const int n_in = (int)dense->n_in, n_out = (int)dense->n_out;
    const hd_linear_part part = {.prefix = "linear", .n = n_out, .no_bias = !dense->has_bias};
    const hd_linear_part beside = {.prefix = "residual", .n = n_out, .no_bias = true};
    char name[32], residual_name[32];
    snprintf(name, sizeof name, "dense.%u", index);
    snprintf(residual_name, sizeof residual_name, "dense.%u.residual", index);
    hd_tensors *tensors = NULL;
    if (w->packed == NULL)
        HD_TRY(hd__tensors_open(dense->dir, &tensors, err));
    hd_status status = bind_linear(w, tensors, name, type, input, &part, 1, n_in, linear, err);
    if (status == HD_OK && dense->has_residual)
        status = n_in == n_out ? bind_identity(w, residual_name, type, input, n_in, residual, err)
                               : bind_linear(w, tensors, residual_name, type, input, &beside, 1, n_in, residual, err);
    hd__tensors_close(tensors);
    return status;
}

hd_status hd__weights_file_linear(hd_weights *w, const char *file, const char *name, k_type type, hd_linear_input input,
                                  int n, int k, k_weights *linear, hd_error *err)
{
    hd_tensors *tensors = NULL;
    if (w->packed == NULL)
        HD_TRY(hd__tensors_open_file(file, &tensors, err));
    hd_linear_part part = {.prefix = "", .n = n, .bias = "bias", .tied = "weight"};
    hd_status status = bind_linear(w, tensors, name, type, input, &part, 1, k, linear, err);
    hd__tensors_close(tensors);
    return status;
}

/* gamma is the file's plus `from`. */
static hd_status bind_norm(hd_weights *w, const char *name, const char *prefix, int n, bool has_bias, float from, double eps,
                           hd_norm *norm, hd_error *err)
{
    size_t bytes = (size_t)k_padded(n) * sizeof(float);
    const void *gamma, *beta;
    void *fill_gamma, *fill_beta;
    HD_TRY(bind_blob(w, name, ".gamma", bytes, &gamma, &fill_gamma, err));
    HD_TRY(bind_blob(w, name, ".beta", bytes, &beta, &fill_beta, err));
    if (fill_gamma != NULL) {
        char *old = hd__arena_printf(&w->arena, "%s.gamma", prefix);
        if (old == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
        bool is_old = hd__tensors_find(w->tensors, old) != NULL;
        HD_TRY(read_vector(w, w->tensors, prefix, is_old ? ".gamma" : ".weight", n, fill_gamma, err));
        for (int i = 0; i < n; i++)
            ((float *)fill_gamma)[i] += from;
        if (has_bias)
            HD_TRY(read_vector(w, w->tensors, prefix, is_old ? ".beta" : ".bias", n, fill_beta, err));
    }
    *norm = (hd_norm){.gamma = gamma, .beta = beta, .n = n, .eps = (float)eps};
    return HD_OK;
}

hd_status hd__weights_norm(hd_weights *w, const char *name, const char *prefix, int n, bool has_bias, double eps,
                           hd_norm *norm, hd_error *err)
{
    return bind_norm(w, name, prefix, n, has_bias, 0.0f, eps, norm, err);
}

hd_status hd__weights_norm_from_one(hd_weights *w, const char *name, const char *prefix, int n, double eps, hd_norm *norm,
                                    hd_error *err)
{
    return bind_norm(w, name, prefix, n, false, 1.0f, eps, norm, err);
}

hd_status hd__weights_table(hd_weights *w, const char *name, const hd_table *table, const float **values, hd_error *err)
{
    const uint64_t first = (uint64_t)table->first, columns = (uint64_t)table->columns, rows = (uint64_t)table->rows;
    const void *blob;
    void *fill;
    const char *module;
    hd_merge merge = {0};
    HD_TRY(module_of(w, table->tensor, &module, err));
    hd__adapters_claim(&w->adapters, module);
    HD_TRY(bind_blob(w, name, "", hd__mul((size_t)(rows * columns), sizeof(float)), &blob, &fill, err));
    *values = blob;
    if (fill == NULL)
        return HD_OK;
    const hd_tensor *t = find_weight_tensor(w->tensors, table->tensor);
    if (t == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is missing", w->model_dir, table->tensor);
    if (t->n_dims != 2 || t->dims[0] != first + rows || t->dims[1] != columns)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: tensor \"%s\" has %u dimensions [%llu, %llu], config.json says [%llu, %llu]", t->file,
                        table->tensor, t->n_dims, t->n_dims > 0 ? (unsigned long long)t->dims[0] : 0,
                        t->n_dims > 1 ? (unsigned long long)t->dims[1] : 0, (unsigned long long)(first + rows),
                        (unsigned long long)columns);
    HD_TRY(hd__tensor_read_f32(t, first * columns, rows * columns, fill, err));
    const hd_status status =
        hd__merge_begin(w->adapters.whole, module, true, (size_t)t->dims[0], (size_t)columns, &merge, err);
    if (status == HD_OK)
        hd__merge_rows(&merge, (size_t)first, (size_t)rows, fill);
    hd__merge_end(&merge);
    return status;
}

hd_status hd__weights_values(hd_weights *w, const char *name, size_t n, const float **values, float **fill, hd_error *err)
{
    const void *blob;
    void *to;
    HD_TRY(bind_blob(w, name, "", hd__mul(n, sizeof(float)), &blob, &to, err));
    *values = blob;
    *fill = to;
    return HD_OK;
}

static hd_status store_piece(void *data, size_t piece, uint32_t worker, hd_error *err)
{
    const row_pieces *p = data;
    int row, n_rows;
    float *rows;
    HD_TRY(read_piece(p, piece, worker, &row, &n_rows, &rows, err));
    for (size_t i = 0; i < (size_t)n_rows * (size_t)p->k && p->word_factor != 1.0f; i++)
        rows[i] *= p->word_factor;
    for (int i = 0; i < n_rows; i++)
        k_embed_pack(p->type, rows + (size_t)i * (size_t)p->k, p->k, p->word_stride, (size_t)(row + i), p->to, p->scale);
    return HD_OK;
}

/* *words stays NULL when there is nothing to fill. */
static hd_status bind_words(hd_weights *w, int vocab, int n, hd_embedding *e, void **words, void **scale, hd_error *err)
{
    const void *blob;
    *scale = NULL;
    e->type = w->type;
    e->word_stride = (size_t)k_padded(n);
    e->n = n;
    HD_TRY(bind_blob(w, "words", "", hd__mul((size_t)vocab * e->word_stride, k_type_bytes(e->type)), &e->words, words, err));
    if (e->type == K_I8) {
        HD_TRY(bind_blob(w, "words", ".scale", (size_t)vocab * sizeof(float), &blob, scale, err));
        e->word_scale = blob;
    }
    return HD_OK;
}

hd_status hd__weights_static_words(hd_weights *w, int vocab, int n, hd_embedding *e, hd_error *err)
{
    const hd_tensor *table, *mapping = NULL, *weights = NULL;
    void *words, *scale;
    HD_TRY(bind_words(w, vocab, n, e, &words, &scale, err));
    if (words == NULL)
        return HD_OK;
    if (hd__tensors_find(w->tensors, "mapping") != NULL)
        HD_TRY(find_tensor(w, w->tensors, "mapping", "", 1, vocab - 1, 0, &mapping, err));
    if (hd__tensors_find(w->tensors, "weights") != NULL)
        HD_TRY(find_tensor(w, w->tensors, "weights", "", 1, vocab - 1, 0, &weights, err));
    table = hd__static_table(w->tensors);
    if (table == NULL || table->n_dims != 2 || table->dims[1] != (uint64_t)n ||
        (mapping == NULL && table->dims[0] != (uint64_t)vocab - 1))
        return hd__fail(err, HD_ERR_FORMAT, "%s: no table of %d values for each token", w->model_dir, n);
    HD_TRY(rows_buffers(w, (size_t)n, err));
    for (int id = 0; id < vocab - 1; id++) {
        uint64_t row = (uint64_t)id;
        float weight = 1.0f;
        if (mapping != NULL)
            HD_TRY(hd__table_row_mapped(mapping, id, table->dims[0], &row, err));
        if (weights != NULL)
            HD_TRY(hd__tensor_read_f32(weights, (uint64_t)id, 1, &weight, err));
        HD_TRY(hd__table_row_static(table, row, (size_t)n, w->rows, err));
        for (int j = 0; j < n; j++)
            w->rows[j] *= weight;
        k_embed_pack(e->type, w->rows, n, e->word_stride, (size_t)id, words, scale);
    }
    memset(w->rows, 0, (size_t)n * sizeof *w->rows);
    k_embed_pack(e->type, w->rows, n, e->word_stride, (size_t)vocab - 1, words, scale);
    return HD_OK;
}

hd_status hd__weights_words(hd_weights *w, const char *tensor, int vocab, int n, float factor, hd_embedding *e,
                            hd_error *err)
{
    void *words, *scale;
    const char *module;
    HD_TRY(module_of(w, tensor, &module, err));
    hd__adapters_claim(&w->adapters, module);
    HD_TRY(bind_words(w, vocab, n, e, &words, &scale, err));
    if (words == NULL)
        return HD_OK;
    row_pieces pieces = {.w = w,
                         .n = vocab,
                         .k = n,
                         .type = e->type,
                         .to = words,
                         .scale = scale,
                         .word_stride = e->word_stride,
                         .word_factor = factor};
    HD_TRY(find_tensor(w, w->tensors, tensor, "", 2, vocab, n, &pieces.tensor, err));
    return run_merged(w, store_piece, module, true, &pieces, err);
}

bool hd__weights_have(hd_weights *w, const char *tensor, const char *blob)
{
    hd_span found;
    return w->packed != NULL ? hd__packed_find(w->packed, blob, &found) : find_weight_tensor(w->tensors, tensor) != NULL;
}

hd_status hd__weights_prefix(hd_weights *w, const char *const *candidates, const char *probe, const char **prefix,
                             hd_error *err)
{
    if (w->packed != NULL) {
        *prefix = ""; /* blobs carry names of our own */
        return HD_OK;
    }
    for (size_t i = 0; candidates[i] != NULL; i++) {
        char *name = hd__arena_printf(&w->arena, "%s%s", candidates[i], probe);
        if (name == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", w->model_dir);
        if (hd__tensors_find(w->tensors, name) != NULL) {
            *prefix = candidates[i];
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is missing: not the weights of this architecture", w->model_dir,
                    probe);
}
