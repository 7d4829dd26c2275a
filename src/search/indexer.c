/* indexer.c - hd_index_add_paths: an index brought up to date with folders and files.
 *
 *   scan    walks through the folders, remembering of each file 16 bytes; goes through the documents that the index has of
 *           them: their files are the same, or have changed, or are gone.
 *   read    walks again; what is not the same goes to the readers (ingest_reader.h) and from them, as documents, into the
 *           pipe (ingest_pipe.h), which embeds and writes. A document that is gone and one that has come with the same
 *           bytes are one that has moved.
 *   remove  what is gone and has not moved; then the graph.
 *
 * A run that is cut off anywhere leaves the index with whole documents, old or new; the next run finds what is left to do.
 */
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map64.h"
#include "ingest/walk.h"
#include "search/handle.h"
#include "search/ingest_pipe.h"
#include "search/ingest_reader.h"
#include "store/maintain.h"

#define MAX_WAITING 256u /* files given to the readers */
#define PROGRESS_S 0.05
#define REMOVE_DOCUMENTS 4096u /* in a transaction */

/* What is known of a file: the last bits of a hash of its size and time. PASSED: it has had its turn in the second walk. */
enum { FILE_NEW = 0, FILE_SAME = 1, FILE_CHANGED = 2, FILE_PASSED = 3, FILE_READ = 4, FILE_BITS = 7 };

/* A document whose file is not where it was. */
typedef struct gone_document {
    const char *id;
    hd_hash128 hash;
    size_t next; /* with the same hash; 0: none */
    bool is_claimed;
    bool can_move;  /* its chunks are those that a run makes */
    bool is_absent; /* its whole root is: it may have moved, and is not removed if it has not */
} gone_document;

typedef struct failure {
    struct failure *next;
    const char *path;
    hd_error why;
} failure;

typedef struct run {
    hd_index *index;
    const hd_ingest_options *options;
    hd_prepare_options prepare;
    char cut[HD_PREPARED_CUT_BYTES]; /* by `prepare` */
    hd_ingest_progress progress;
    uint64_t told_ns;
    hd_arena arena;
    hd_ingest_area *areas;
    size_t n_areas;
    hd_ingest_area *area; /* at hand */
    hd_ingest_path *path; /* of it, at hand */
    bool reading, stopped, has_many;
    hd_map64 files;  /* by the hash of the path: FILE_* and the hash of size and time */
    hd_map64 hashes; /* of gone documents: the first of them */
    pthread_mutex_t claiming;
    gone_document *gone; /* [n_gone] from 1 on */
    size_t n_gone, gone_capacity;
    const char **closed; /* [n_closed] folders that could not be read: what is in them is not gone */
    size_t n_closed;
    failure *first, *last;
    hd_ingest_readers *readers;
    hd_ingest_pipe *pipe;
} run;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the list of files");
}

static hd_status tell(run *r, const char *path, hd_error *err)
{
    if (r->options->progress != NULL && hd__seconds_since(r->told_ns) > PROGRESS_S) {
        r->told_ns = hd__now_ns();
        r->progress.path = path;
        if (r->pipe != NULL) {
            r->progress.n_chunks = hd__ingest_pipe_chunks(r->pipe);
            r->progress.n_tokens = hd__ingest_pipe_tokens(r->pipe);
        }
        r->stopped = r->stopped || !r->options->progress(&r->progress, r->options->data);
        r->progress.path = NULL;
    }
    return r->stopped ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : HD_OK;
}

static uint64_t path_key(const char *path)
{
    return hd__hash64(hd__span_of(path), 0);
}

static uint64_t time_of(uint64_t size, uint64_t mtime_ns)
{
    const uint64_t both[2] = {size, mtime_ns};
    return hd__hash64(hd__span(both, sizeof both), 0) & ~(uint64_t)FILE_BITS;
}

static hd_status add_failure(run *r, const char *path, const hd_error *why, hd_error *err)
{
    failure *f = hd__arena_alloc(&r->arena, sizeof *f);
    const char *kept = hd__arena_strndup(&r->arena, path, strlen(path));
    if (f == NULL || kept == NULL)
        return no_memory(err);
    *f = (failure){.path = kept, .why = *why};
    if (r->last != NULL)
        r->last->next = f;
    else
        r->first = f;
    r->last = f;
    r->progress.n_failed++;
    return HD_OK;
}

/* ---- scan: files ---- */

/* The index itself and what SQLite puts beside it. */
static bool is_index(const run *r, const char *path)
{
    const char *own = hd__store_path(r->index->store);
    const char *name = strrchr(path, '/') + 1, *own_name = strrchr(own, '/') != NULL ? strrchr(own, '/') + 1 : own;
    const size_t n = strlen(own_name);
    return strncmp(name, own_name, n) == 0 && (name[n] == '\0' || name[n] == '-');
}

/* Files may be found by several paths, where some are patterns. */
static hd_status scan_file(const hd_walk_file *file, void *data, hd_error *err)
{
    run *r = data;
    if (is_index(r, file->path) || !hd__ingest_path_has(r->path, file->path))
        return HD_OK;
    r->path->is_found = true;
    uint64_t *value = hd__map64_put(&r->files, path_key(file->path));
    if (value == NULL)
        return no_memory(err);
    if (*value != 0)
        return HD_OK;
    *value = time_of(file->size, file->mtime_ns) | FILE_NEW;
    r->progress.n_files++;
    r->progress.n_bytes += file->size;
    return tell(r, file->path, err);
}

/* Told in the first walk alone. A folder that cannot be read may hold what the index has. */
static void scan_failed(const char *path, const hd_error *why, void *data)
{
    run *r = data;
    if (r->reading)
        return;
    HD_IGNORE(add_failure(r, path, why, NULL)); /* without memory the scan ends anyway */
    const char **closed = hd__realloc(r->closed, hd__mul(r->n_closed + 1, sizeof *closed));
    const char *kept = hd__arena_strndup(&r->arena, path, strlen(path));
    if (closed != NULL)
        r->closed = closed;
    if (closed != NULL && kept != NULL)
        closed[r->n_closed++] = kept;
    else
        r->stopped = true; /* rather than to take for gone what is not */
}

static hd_status walk(run *r, hd_status (*file)(const hd_walk_file *file, void *data, hd_error *err), hd_error *err)
{
    for (size_t i = 0; i < r->n_areas; i++) {
        r->area = &r->areas[i];
        const hd_walk_options options = {.top = r->area->root,
                                         .exclude = r->options->exclude,
                                         .n_exclude = r->options->n_exclude,
                                         .no_gitignore = r->options->no_ignore,
                                         .file = file,
                                         .failed = scan_failed,
                                         .data = r};
        for (size_t j = 0; j < r->area->n_paths; j++) {
            r->path = &r->area->paths[j];
            HD_TRY(hd__walk_files(r->path->path, &options, err));
        }
    }
    return HD_OK;
}

/* ---- scan: documents ---- */

/* Whether ids of chunks are made of their file's path. */
static bool has_paths_in_keys(const run *r)
{
    return r->prepare.chunking == HD_CHUNKING_ANYLOOM || r->prepare.chunking == HD_CHUNKING_PLUGIN;
}

static hd_status add_gone(run *r, const hd_document_row *row, hd_error *err)
{
    if (r->n_gone + 1 >= r->gone_capacity) {
        const size_t capacity = r->gone_capacity != 0 ? 2 * r->gone_capacity : 64;
        gone_document *gone = hd__realloc(r->gone, hd__mul(capacity, sizeof *gone));
        if (gone == NULL)
            return no_memory(err);
        r->gone = gone;
        r->gone_capacity = capacity;
    }
    uint64_t *first = hd__map64_put(&r->hashes, row->hash.low);
    const char *id = hd__arena_strndup(&r->arena, row->id, strlen(row->id));
    if (first == NULL || id == NULL)
        return no_memory(err);
    r->gone[++r->n_gone] = (gone_document){.id = id,
                                           .hash = row->hash,
                                           .next = (size_t)*first,
                                           .can_move = !has_paths_in_keys(r) && hd__prepared_is_cut(row, r->cut)};
    *first = r->n_gone;
    return HD_OK;
}

static bool is_closed(const run *r, const char *path)
{
    for (size_t i = 0; i < r->n_closed; i++)
        if (hd__path_lies_in(path, r->closed[i]))
            return true;
    return false;
}

static hd_status scan_document(const hd_document_row *row, void *data, hd_error *err)
{
    run *r = data;
    hd_ingest_path *path = hd__ingest_area_has(r->area, row->path);
    if (path == NULL || is_closed(r, row->path))
        return HD_OK;
    path->is_found = true;
    HD_TRY(tell(r, row->path, err));
    uint64_t *value = hd__map64_get(&r->files, path_key(row->path));
    if (value == NULL)
        return add_gone(r, row, err);
    const char *source = r->options->source;
    const bool is_same = (*value & ~(uint64_t)FILE_BITS) == time_of(row->size, row->mtime_ns) &&
                         hd__prepared_is_cut(row, r->cut) && (source == NULL || strcmp(row->source, source) == 0);
    if (is_same && !r->options->force)
        r->progress.n_unchanged++;
    if (is_same && (*value & FILE_BITS) == FILE_NEW)
        *value |= FILE_SAME;
    else if (!is_same)
        *value = (*value & ~(uint64_t)FILE_BITS) | FILE_CHANGED;
    return HD_OK;
}

/* Documents of roots that have become part of the area, or had its label: what is in them has moved. */
static hd_status scan_taken(const hd_document_row *row, void *data, hd_error *err)
{
    return add_gone(data, row, err);
}

static hd_status scan_absent(const hd_document_row *row, void *data, hd_error *err)
{
    run *r = data;
    HD_TRY(add_gone(r, row, err));
    r->gone[r->n_gone].is_absent = true;
    return HD_OK;
}

/* A pattern that is about no file, nor about one that was indexed and is gone, is taken for a mistake. */
static hd_status check_patterns(const run *r, hd_error *err)
{
    for (size_t i = 0; i < r->n_areas; i++)
        for (size_t j = 0; j < r->areas[i].n_paths; j++) {
            const hd_ingest_path *path = &r->areas[i].paths[j];
            if (path->pattern != NULL && !path->is_found)
                return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no file there, and none matches it as a pattern", path->given);
        }
    return HD_OK;
}

static hd_status scan(run *r, hd_error *err)
{
    hd_snapshot *snapshot;
    r->progress.state = HD_INGEST_SCAN;
    HD_TRY(walk(r, scan_file, err));
    HD_TRY(hd__snapshot_begin(r->index->store, &snapshot, err));
    hd_status status = HD_OK;
    for (size_t i = 0; i < r->n_areas && status == HD_OK; i++) {
        r->area = &r->areas[i];
        status = hd__document_each(snapshot, r->area->root, scan_document, r, err);
        for (size_t j = 0; j < r->area->n_taken && status == HD_OK; j++)
            status = hd__document_each(snapshot, r->area->taken[j], scan_taken, r, err);
        for (size_t j = 0; j < r->area->n_absent && status == HD_OK; j++)
            status = hd__document_each(snapshot, r->area->absent[j], scan_absent, r, err);
    }
    hd__snapshot_end(snapshot);
    HD_TRY(status);
    return r->stopped ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : check_patterns(r, err);
}

/* ---- read ---- */

/* Whether files of these names are of one kind as far as names tell. */
static bool has_same_ending(const char *a, const char *b)
{
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    const char *name_a = slash_a != NULL ? slash_a + 1 : a, *name_b = slash_b != NULL ? slash_b + 1 : b;
    const char *dot_a = strrchr(name_a, '.'), *dot_b = strrchr(name_b, '.');
    return dot_a != NULL && dot_b != NULL ? strcmp(dot_a, dot_b) == 0 : strcmp(name_a, name_b) == 0;
}

static const char *claim(hd_hash128 hash, const char *id, void *data)
{
    run *r = data;
    const char *old_id = NULL;
    if (r->n_gone == 0)
        return NULL;
    pthread_mutex_lock(&r->claiming);
    const uint64_t *first = hd__map64_get(&r->hashes, hash.low);
    for (size_t i = first != NULL ? (size_t)*first : 0; i != 0 && old_id == NULL; i = r->gone[i].next) {
        gone_document *g = &r->gone[i];
        if (g->is_claimed || !g->can_move || g->hash.low != hash.low || g->hash.high != hash.high)
            continue;
        if (id != NULL && !has_same_ending(g->id, id))
            continue;
        g->is_claimed = true;
        old_id = g->id;
    }
    pthread_mutex_unlock(&r->claiming);
    return old_id;
}

static void written(const hd_prepared *document, void *data)
{
    run *r = data;
    hd_ingest_progress *p = &r->progress;
    if (document->failed != NULL)
        HD_IGNORE(add_failure(r, document->row.path, document->failed, NULL));
    else if (document->kind == HD_PREPARED_TOUCH)
        p->n_unchanged++;
    else if (document->kind == HD_PREPARED_MOVE)
        p->n_moved++;
    else if (document->replaces || document->kind == HD_PREPARED_LABEL)
        p->n_changed++;
    else
        p->n_added++;
}

/* Takes from the readers until no more than so many files wait. */
static hd_status drain(run *r, size_t n_waiting, hd_error *err)
{
    while (hd__ingest_readers_waiting(r->readers) > n_waiting) {
        hd_ingest_taken taken;
        hd__ingest_readers_take(r->readers, &taken);
        if (taken.document != NULL)
            HD_TRY(hd__ingest_pipe_add(r->pipe, taken.document, err));
        else
            HD_TRY(hd__ingest_pipe_tick(r->pipe, err));
        HD_TRY(tell(r, taken.path, err));
        if (!taken.is_end)
            continue;
        r->progress.n_files_done++;
        r->progress.n_bytes_done += taken.size;
        r->has_many = r->has_many || taken.has_many;
        if (taken.status == HD_ERR_MEMORY) {
            if (err != NULL)
                *err = taken.why;
            return taken.status;
        }
        if (taken.status != HD_OK)
            HD_TRY(add_failure(r, taken.path, &taken.why, err));
        if (taken.status != HD_OK && !(taken.has_many && taken.status == HD_ERR_FORMAT))
            continue; /* of JSONL with lines that cannot be read the others are there */
        uint64_t *value = hd__map64_put(&r->files, path_key(taken.path));
        if (value == NULL)
            return no_memory(err);
        *value = time_of(taken.size, taken.mtime_ns) | FILE_READ;
    }
    return HD_OK;
}

static hd_status read_file(const hd_walk_file *file, void *data, hd_error *err)
{
    run *r = data;
    if (is_index(r, file->path) || !hd__ingest_path_has(r->path, file->path))
        return HD_OK;
    uint64_t *value = hd__map64_put(&r->files, path_key(file->path));
    if (value == NULL)
        return no_memory(err);
    const uint64_t state = *value & FILE_BITS;
    const bool is_same = state == FILE_SAME && (*value & ~(uint64_t)FILE_BITS) == time_of(file->size, file->mtime_ns);
    if (state == FILE_PASSED || state == FILE_READ)
        return HD_OK;
    *value = (*value & ~(uint64_t)FILE_BITS) | FILE_PASSED;
    HD_TRY(tell(r, file->path, err));
    if (is_same && !r->options->force) {
        r->progress.n_files_done++;
        r->progress.n_bytes_done += file->size;
        return HD_OK;
    }
    HD_TRY(drain(r, MAX_WAITING - 1, err));
    return hd__ingest_readers_push(r->readers, r->area, file->path, file->name, state != FILE_NEW, err);
}

static hd_status read_files(run *r, hd_error *err)
{
    const hd_ingest_readers_options readers = {.store = r->index->store,
                                               .prepare = r->prepare,
                                               .source = r->options->source,
                                               .cut = r->cut,
                                               .force = r->options->force,
                                               .claim = claim,
                                               .data = r};
    const hd_ingest_pipe_options pipe = {
        .store = r->index->store, .embedder = r->index->embedder, .written = written, .data = r};
    r->progress.state = HD_INGEST_READ;
    r->reading = true;
    HD_TRY(hd__ingest_pipe_open(&pipe, &r->pipe, err));
    HD_TRY(hd__ingest_readers_open(&readers, &r->readers, err));
    hd_status status = walk(r, read_file, err);
    if (status == HD_OK)
        status = drain(r, 0, err);
    if (status == HD_OK || status == HD_ERR_CANCELLED) {
        const hd_status finished = hd__ingest_pipe_finish(r->pipe, status != HD_OK, status == HD_OK ? err : NULL);
        status = status == HD_OK ? finished : status;
    }
    r->progress.n_chunks = hd__ingest_pipe_chunks(r->pipe);
    r->progress.n_tokens = hd__ingest_pipe_tokens(r->pipe);
    return status;
}

/* ---- remove ---- */

/* A line that is no longer in its file, which was read in this run. */
static hd_status find_stale(const hd_document_row *row, void *data, hd_error *err)
{
    run *r = data;
    const uint64_t *value = hd__map64_get(&r->files, path_key(row->path));
    const bool is_stale = value != NULL && (*value & FILE_BITS) == FILE_READ && hd__ingest_area_has(r->area, row->path) &&
                          (*value & ~(uint64_t)FILE_BITS) != time_of(row->size, row->mtime_ns);
    return is_stale ? add_gone(r, row, err) : HD_OK;
}

static hd_status remove_gone(run *r, hd_error *err)
{
    if (r->has_many) {
        hd_snapshot *snapshot;
        HD_TRY(hd__snapshot_begin(r->index->store, &snapshot, err));
        hd_status status = HD_OK;
        for (size_t i = 0; i < r->n_areas && status == HD_OK; i++) {
            r->area = &r->areas[i];
            status = hd__document_each(snapshot, r->area->root, find_stale, r, err);
        }
        hd__snapshot_end(snapshot);
        HD_TRY(status);
    }
    const char **ids = hd__arena_alloc(&r->arena, REMOVE_DOCUMENTS * sizeof *ids);
    if (ids == NULL)
        return no_memory(err);
    size_t n = 0;
    for (size_t i = 1; i <= r->n_gone; i++) {
        if (!r->gone[i].is_claimed && !r->gone[i].is_absent)
            ids[n++] = r->gone[i].id;
        if (n == REMOVE_DOCUMENTS || (i == r->n_gone && n > 0)) {
            HD_TRY(hd__index_remove_ids(r->index, ids, n, &r->progress.n_removed, err));
            n = 0;
        }
    }
    return HD_OK;
}

static bool graph_progress(uint64_t done, uint64_t all, void *data)
{
    run *r = data;
    r->progress.n_files = all;
    r->progress.n_files_done = done;
    return tell(r, NULL, NULL) == HD_OK;
}

static hd_status follow_up(run *r, hd_error *err)
{
    bool compacted;
    const uint64_t n_files = r->progress.n_files, n_done = r->progress.n_files_done;
    HD_TRY(remove_gone(r, err));
    r->progress.state = HD_INGEST_GRAPH;
    hd_status status = hd__store_tidy(r->index->store, &compacted, err);
    if (status == HD_OK || status == HD_ERR_BUSY) /* then another process is at it */
        status = hd__store_build_graph(r->index->store, graph_progress, r, err);
    status = status == HD_ERR_BUSY ? HD_OK : status;
    r->progress.n_files = n_files;
    r->progress.n_files_done = n_done;
    r->progress.state = HD_INGEST_DONE;
    return status;
}

hd_status hd_index_add_paths(hd_index *index, const char *const *paths, size_t n, const hd_ingest_options *options,
                             hd_ingest_progress *result, hd_error *err)
{
    static const hd_ingest_options defaults;
    HD_TRY(hd__index_check_writes(index, err));
    const hd_ingest_options *o = options != NULL ? options : &defaults;
    run r = {.index = index,
             .options = o,
             .prepare = {.embedder = index->embedder,
                         .chunking = o->chunking,
                         .chunk_tokens = o->chunk_tokens,
                         .overlap_tokens = o->overlap_tokens}};
    hd__prepare_cut(&r.prepare, r.cut);
    hd__arena_init(&r.arena);
    pthread_mutex_init(&r.claiming, NULL);
    hd_status status = hd__ingest_areas_find(index->store, paths, n, &r.arena, &r.areas, &r.n_areas, err);
    if (status == HD_OK)
        status = scan(&r, err);
    if (status == HD_OK)
        status = read_files(&r, err);
    hd__ingest_readers_close(r.readers);
    hd__ingest_pipe_close(r.pipe);
    r.pipe = NULL;
    if (status == HD_OK)
        status = follow_up(&r, err);
    for (const failure *f = r.first; f != NULL && r.options->failed != NULL; f = f->next)
        r.options->failed(f->path, &f->why, r.options->data);
    if (result != NULL)
        *result = r.progress;
    hd__map64_clear(&r.files);
    hd__map64_clear(&r.hashes);
    hd__free(r.gone);
    hd__free(r.closed);
    pthread_mutex_destroy(&r.claiming);
    hd__arena_clear(&r.arena);
    return status;
}
