/* vectors.c - see vectors.h: opening, appending, committing. vectors_search.c searches, vectors_check.c checks and compacts.
 */
#include "store/vectors_state.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/limits.h"
#include "store/hnsw_build.h"

const hd_vectors_tuning hd__vectors_tuning = {.scan_max = 50000, .tail_max = 16384, .scan_for_beam = 32, .beam = 0};

void hd__vectors_tune(hd_vectors *v, const hd_vectors_tuning *tuning)
{
    v->tuning = *tuning;
}

hd_status hd__vectors_create(sqlite3 *db, hd_error *err)
{
    return hd__blocks_create(db, err);
}

hd_status hd__vectors_open(sqlite3 *db, uint32_t n_dimensions, bool unit, uint32_t n_threads, hd_vectors **out,
                           hd_error *err)
{
    if (n_dimensions == 0 || n_dimensions > K_CODES_MAX)
        return hd__fail(err, HD_ERR_ARG, "vectors of %u dimensions; 1 to %d are possible", n_dimensions, K_CODES_MAX);
    HD_TRY(hd__isa_init(err));
    hd_vectors *v = hd__calloc(1, sizeof *v);
    if (v == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a vector index");
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    v->half_dot = kernels.half_dot;
    v->n_dimensions = n_dimensions;
    v->n_threads = n_threads > 0 ? n_threads : 1;
    v->unit = unit;
    v->tuning = hd__vectors_tuning;
    pthread_mutex_init(&v->lock, NULL);
    hd_vector_state seen;
    hd_status status;
    HD_TRY_OUT(hd__codes_new(n_dimensions, &v->codes, err));
    HD_TRY_OUT(hd__scanner_open(v->n_threads, &v->scanner, err));
    hd_block_io io = {.db = db};
    HD_TRY_OUT(hd__vectors_see(v, &io, &seen, err));
    *out = v;
    return HD_OK;
out:
    hd__vectors_close(v);
    return status;
}

void hd__vectors_close(hd_vectors *v)
{
    if (v == NULL)
        return;
    hd__scanner_close(v->scanner);
    hd__graph_free(v->graph);
    hd__graph_free(v->next_graph);
    for (hd_walk *walk = v->walks, *next; walk != NULL; walk = next) {
        next = walk->next;
        hd__walk_clear(walk);
        hd__free(walk);
    }
    hd__codes_free(v->codes);
    pthread_mutex_destroy(&v->lock);
    hd__free(v);
}

/* ---- what is committed ---- */

/* Gives up a hold; returns what is to be freed, after unlocking. */
static hd_graph *drop_hold(hd_graph *graph)
{
    return graph != NULL && --graph->n_holders == 0 ? graph : NULL;
}

hd_status hd__vectors_see(hd_vectors *v, hd_block_io *io, hd_vector_state *seen, hd_error *err)
{
    HD_TRY(hd__blocks_state(io, seen, err));
    pthread_mutex_lock(&v->lock);
    hd_graph *fresh = NULL, *old = NULL;
    hd_status status = HD_OK;
    if (seen->version <= v->state.version) {
        if (seen->n > v->state.n) /* rows are only ever added */
            status = hd__sql_damaged(io->db, err, "%u vectors, and %u at a later version", seen->n, v->state.n);
        goto out;
    }
    const bool other_graph = seen->graph_version != v->state.graph_version;
    if (other_graph && seen->n_graph > 0)
        HD_TRY_OUT(hd__graph_new(seen->n_graph, seen->graph_version, &fresh, err));
    if (other_graph) {
        old = drop_hold(v->graph);
        v->graph = fresh;
    }
    hd__codes_grow(v->codes, v->state.n, seen->n);
    v->state = *seen;
out:
    pthread_mutex_unlock(&v->lock);
    hd__graph_free(old);
    return status;
}

hd_status hd__vectors_refresh(hd_vectors *v, sqlite3 *db, hd_error *err)
{
    hd_block_io io = {.db = db};
    hd_vector_state seen;
    return hd__vectors_see(v, &io, &seen, err);
}

hd_graph *hd__vectors_hold(hd_vectors *v, const hd_vector_state *seen)
{
    pthread_mutex_lock(&v->lock);
    hd_graph *graph = v->graph != NULL && v->graph->version == seen->graph_version ? v->graph : NULL;
    if (graph != NULL)
        graph->n_holders++;
    pthread_mutex_unlock(&v->lock);
    return graph;
}

void hd__vectors_let_go(hd_vectors *v, hd_graph *graph)
{
    pthread_mutex_lock(&v->lock);
    hd_graph *last = drop_hold(graph);
    pthread_mutex_unlock(&v->lock);
    hd__graph_free(last);
}

hd_status hd__vectors_load(hd_vectors *v, hd_block_io *io, hd_graph *graph, uint32_t n, const atomic_bool *stop,
                           hd_error *err)
{
    if (graph != NULL)
        HD_TRY(hd__graph_load(graph, io, stop, err));
    for (uint32_t end = 0; end < n && !(stop != NULL && atomic_load(stop));) {
        end = n - end > HD_CODE_BLOCK ? end + HD_CODE_BLOCK : n;
        HD_TRY(hd__codes_need(v->codes, io, end - 1, n, err));
    }
    return HD_OK;
}

hd_status hd__vectors_walk_take(hd_vectors *v, uint32_t beam, hd_walk **out, hd_error *err)
{
    pthread_mutex_lock(&v->lock);
    hd_walk *walk = v->walks;
    if (walk != NULL)
        v->walks = walk->next;
    pthread_mutex_unlock(&v->lock);
    if (walk == NULL)
        walk = hd__calloc(1, sizeof *walk);
    if (walk == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a search");
    hd_status status = hd__walk_reserve(walk, v->codes, 0, beam, err);
    if (status == HD_OK)
        *out = walk;
    else
        hd__vectors_walk_give(v, walk);
    return status;
}

void hd__vectors_walk_give(hd_vectors *v, hd_walk *walk)
{
    pthread_mutex_lock(&v->lock);
    walk->next = v->walks;
    v->walks = walk;
    pthread_mutex_unlock(&v->lock);
}

void hd__vectors_get_stats(hd_vectors *v, hd_vectors_stats *stats)
{
    pthread_mutex_lock(&v->lock);
    *stats = (hd_vectors_stats){.n = v->state.n, .n_graph = v->state.n_graph};
    stats->memory_bytes = sizeof *v + hd__codes_memory(v->codes) + (v->graph != NULL ? hd__graph_memory(v->graph) : 0);
    for (const hd_walk *walk = v->walks; walk != NULL; walk = walk->next)
        stats->memory_bytes += sizeof *walk + walk->beam_capacity * sizeof *walk->beam +
                               walk->seen_words * sizeof *walk->seen + walk->seen_capacity * sizeof *walk->seen_slots;
    pthread_mutex_unlock(&v->lock);
}

/* ---- the writer ---- */

/* The first change of a transaction: from here on `next` is what it will leave. */
static hd_status begin_writing(hd_vectors *v, sqlite3 *db, hd_error *err)
{
    if (v->writing)
        return HD_OK;
    hd_block_io io = {.db = db};
    hd_vector_state seen;
    HD_TRY(hd__vectors_see(v, &io, &seen, err));
    v->next = seen;
    v->next.version++;
    v->writing = true;
    return HD_OK;
}

/* To length 1, where that is asked for. */
bool hd__vectors_scale(const hd_vectors *v, const float *row, float *scale)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < v->n_dimensions; j++)
        sum += (double)row[j] * (double)row[j];
    *scale = v->unit && sum > 0.0 ? (float)(1.0 / sqrt(sum)) : 1.0f;
    return isfinite(sum);
}

static hd_status make_halves(const hd_vectors *v, const float *row, uint32_t id, uint16_t *halves, hd_error *err)
{
    float scale;
    if (!hd__vectors_scale(v, row, &scale))
        return hd__fail(err, HD_ERR_ARG, "the vector of chunk %u has a value that is no number", id);
    for (uint32_t j = 0; j < v->n_dimensions; j++) {
        halves[j] = hd__half_of(row[j] * scale);
        if ((halves[j] & 0x7c00u) == 0x7c00u)
            return hd__fail(err, HD_ERR_ARG, "the vector of chunk %u has the value %g; 65504 is the largest that is kept",
                            id, (double)row[j]);
    }
    return HD_OK;
}

/* Appends to the blocks of halves from row `first` on; the last one there is may be continued. */
static hd_status append_halves(const hd_vectors *v, hd_block_io *io, uint32_t first, const uint16_t *halves, size_t n,
                               hd_error *err)
{
    const uint32_t in_block = hd__halves_in_block(v->n_dimensions);
    const size_t each = v->n_dimensions * sizeof *halves;
    char *bytes = hd__malloc(in_block * each);
    if (bytes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a block of vectors");
    hd_status status = HD_OK;
    for (size_t i = 0; i < n;) {
        const uint32_t id = first + (uint32_t)i, block = id / in_block, before = id % in_block;
        const size_t take = n - i < in_block - before ? n - i : in_block - before;
        if (before > 0) {
            hd_span old;
            HD_TRY_OUT(hd__block_get(io, HD_BLOCK_HALVES, block, &old, err));
            if (old.len < before * each) {
                status = hd__block_fail(io, HD_BLOCK_HALVES, block, "its length is wrong", err);
                goto out;
            }
            memcpy(bytes, old.ptr, before * each);
            sqlite3_reset(io->get[HD_BLOCK_HALVES]);
        }
        memcpy(bytes + before * each, halves + i * v->n_dimensions, take * each);
        HD_TRY_OUT(hd__block_put(io, HD_BLOCK_HALVES, block, hd__span(bytes, (before + take) * each), err));
        i += take;
    }
out:
    hd__free(bytes);
    return status;
}

/* The blocks of codes that rows [first, end) are in. */
static hd_status write_codes(const hd_vectors *v, hd_block_io *io, uint32_t first, uint32_t end, hd_error *err)
{
    char *bytes = hd__malloc(HD_CODE_BLOCK * (sizeof(float) + v->codes->row_bytes));
    if (bytes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a block of vectors");
    hd_status status = HD_OK;
    for (uint32_t at = first & ~(HD_CODE_BLOCK - 1); at < end; at += HD_CODE_BLOCK) {
        const uint32_t n = end - at < HD_CODE_BLOCK ? end - at : HD_CODE_BLOCK;
        hd__codes_pack(v->codes, at, n, bytes);
        const hd_span block = hd__span(bytes, n * (sizeof(float) + v->codes->row_bytes));
        HD_TRY_OUT(hd__block_put(io, HD_BLOCK_CODES, at >> HD_CODE_BLOCK_SHIFT, block, err));
    }
out:
    hd__free(bytes);
    return status;
}

hd_status hd__vectors_append(hd_vectors *v, sqlite3 *db, hd_chunk_id first, const float *rows, size_t n, hd_error *err)
{
    HD_TRY(begin_writing(v, db, err));
    if (first != v->next.n)
        return hd__fail(err, HD_ERR_ARG, "vectors from chunk %u on, where %u is the next", first, v->next.n);
    if (n > HD_LIMIT_CHUNKS - first)
        return hd__fail(err, HD_ERR_LIMIT, "%zu more vectors than the %u there are; %u are possible", n, first,
                        HD_LIMIT_CHUNKS);
    if (n == 0)
        return HD_OK;
    hd_block_io io = {.db = db};
    uint16_t *halves = hd__malloc(hd__mul(hd__mul(n, v->n_dimensions), sizeof *halves));
    float *row = hd__malloc(v->n_dimensions * sizeof *row);
    uint8_t *codes = hd__malloc(v->codes->row_bytes);
    hd_status status = HD_OK;
    if (halves == NULL || row == NULL || codes == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu vectors", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        HD_TRY_OUT(make_halves(v, rows + i * v->n_dimensions, first + (uint32_t)i, halves + i * v->n_dimensions, err));
    if (first % HD_CODE_BLOCK > 0) /* rows before it in its block: they are written with it */
        HD_TRY_OUT(hd__codes_need(v->codes, &io, first - 1, first, err));
    for (size_t i = 0; i < n; i++) { /* what is found depends on what is kept alone: codes are made of the halves */
        hd__halves_widen(halves + i * v->n_dimensions, v->n_dimensions, row);
        const float scale = hd__codes_quantise(v->codes, row, codes);
        HD_TRY_OUT(hd__codes_append(v->codes, first + (uint32_t)i, codes, scale, err));
    }
    HD_TRY_OUT(append_halves(v, &io, first, halves, n, err));
    HD_TRY_OUT(write_codes(v, &io, first, first + (uint32_t)n, err));
    v->next.n = first + (uint32_t)n;
    HD_TRY_OUT(hd__blocks_set_state(db, &v->next, err));
out:
    hd__block_io_clear(&io);
    hd__free(halves);
    hd__free(row);
    hd__free(codes);
    return status;
}

/* The graph as the writer sees it. */
static const hd_graph *graph_of_writer(const hd_vectors *v)
{
    return v->next_graph != NULL ? v->next_graph : v->next.graph_version == v->state.graph_version ? v->graph : NULL;
}

hd_status hd__vectors_build(hd_vectors *v, sqlite3 *db, bool (*progress)(uint64_t done, uint64_t all, void *data),
                            void *data, hd_error *err)
{
    HD_TRY(begin_writing(v, db, err));
    const hd_graph *old = v->next.n_graph > 0 ? graph_of_writer(v) : NULL;
    const uint32_t most = v->next.n_graph > 0 ? v->tuning.tail_max : v->tuning.scan_max;
    if (v->next.n - v->next.n_graph <= most)
        return HD_OK;
    hd_block_io io = {.db = db};
    hd_graph *graph = NULL;
    hd_vector_state next = v->next;
    hd_status status;
    next.graph_version = next.version;
    HD_TRY_OUT(hd__vectors_load(v, &io, (hd_graph *)(uintptr_t)old, next.n, NULL, err));
    HD_TRY_OUT(hd__graph_build(old, v->codes, next.n, next.graph_version, v->n_threads, progress, data, &io, &graph, err));
    next.n_graph = graph->n;
    HD_TRY_OUT(hd__blocks_set_state(db, &next, err));
    hd__graph_free(v->next_graph);
    v->next_graph = graph;
    v->next = next;
out:
    hd__block_io_clear(&io);
    return status;
}

uint32_t hd__vectors_n_graph(hd_vectors *v)
{
    if (v->writing)
        return v->next.n_graph;
    hd_vectors_stats stats;
    hd__vectors_get_stats(v, &stats);
    return (uint32_t)stats.n_graph;
}

hd_status hd__vectors_drop_graph(hd_vectors *v, sqlite3 *db, hd_error *err)
{
    HD_TRY(begin_writing(v, db, err));
    HD_TRY(hd__blocks_drop_links(db, err));
    v->next.n_graph = 0;
    v->next.graph_version = v->next.version;
    hd__graph_free(v->next_graph);
    v->next_graph = NULL;
    return hd__blocks_set_state(db, &v->next, err);
}

void hd__vectors_commit(hd_vectors *v)
{
    if (!v->writing)
        return;
    hd_graph *graph = v->next_graph, *old = NULL;
    pthread_mutex_lock(&v->lock);
    if (v->next.graph_version != v->state.graph_version || graph != NULL) {
        old = drop_hold(v->graph);
        v->graph = graph;
    }
    v->state = v->next;
    pthread_mutex_unlock(&v->lock);
    hd__graph_free(old);
    v->next_graph = NULL;
    v->writing = false;
}

void hd__vectors_rollback(hd_vectors *v)
{
    if (!v->writing)
        return;
    hd__codes_truncate(v->codes, v->state.n);
    hd__graph_free(v->next_graph);
    v->next_graph = NULL;
    v->writing = false;
}
