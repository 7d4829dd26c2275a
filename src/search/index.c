/* index.c - an index opened, closed, written to document by document, and told about.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "search/handle.h"
#include "search/ingest_pipe.h"
#include "store/filter.h"
#include "store/maintain.h"

#define REMOVE_PAGE 4096u /* documents that a filter finds, removed in one transaction */
#define GRAPH_LAG 20000u  /* chunks put one by one that the graph may not cover: they are scanned */

/* ---- opening ---- */

/* Which of the model's heads the file keeps, when there is one. */
static hd_status read_heads(const char *path, const hd_index_options *options, bool *sparse, bool *multi, hd_error *err)
{
    hd_store *store;
    *sparse = options->keep_sparse;
    *multi = options->keep_multi;
    if (!hd__file_exists(path))
        return HD_OK;
    const hd_store_options as_it_is = {.read_only = options->read_only, .busy_ms = options->busy_ms, .n_threads = 1};
    const hd_status status = hd__store_open(path, &as_it_is, &store, err);
    if (status == HD_ERR_NOT_FOUND && options->create) /* empty: another process is making it, or the disk was full then */
        return HD_OK;
    HD_TRY(status);
    *sparse = hd__store_identity(store)->has_sparse;
    *multi = hd__store_identity(store)->n_token_dimensions > 0;
    hd__store_close(store);
    return HD_OK;
}

static hd_status open_embedder(hd_index *index, const char *path, const hd_index_options *options, hd_error *err)
{
    bool sparse, multi;
    if (options->model == NULL)
        return HD_OK;
    HD_TRY(read_heads(path, options, &sparse, &multi, err));
    HD_TRY(hd__embedder_open(options->model, sparse, multi, &index->embedder, err));
    index->owns_embedder = true;
    return HD_OK;
}

hd_status hd_index_open(const char *path, const hd_index_options *options, hd_index **out, hd_error *err)
{
    hd_index *index = hd__calloc(1, sizeof *index);
    if (index == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
    atomic_init(&index->reranker, options->reranker);
    index->read_only = options->read_only;
    hd_status status = open_embedder(index, path, options, err);
    if (status == HD_OK) {
        const hd_store_options store = {.identity = index->embedder != NULL ? &index->embedder->identity : NULL,
                                        .language = options->language,
                                        .create = options->create,
                                        .read_only = options->read_only,
                                        .busy_ms = options->busy_ms,
                                        .n_threads = options->n_threads};
        status = hd__store_open(path, &store, &index->store, err);
    }
    if (status != HD_OK) {
        hd_index_close(index);
        return status;
    }
    *out = index;
    return HD_OK;
}

void hd_index_close(hd_index *index)
{
    if (index == NULL)
        return;
    hd__store_close(index->store);
    if (index->owns_embedder)
        hd__embedder_close(index->embedder);
    hd__free(index);
}

void hd__index_set_reranker(hd_index *index, hd_model *reranker)
{
    atomic_store(&index->reranker, reranker);
}

hd_status hd__index_check_writes(const hd_index *index, hd_error *err)
{
    const hd_identity *identity = hd__store_identity(index->store);
    if (index->read_only)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: opened to be read alone", hd__store_path(index->store));
    if (index->embedder == NULL && identity->n_dimensions + identity->n_token_dimensions + identity->has_sparse > 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: new documents need vectors of %s, and no model was given",
                        hd__store_path(index->store), identity->model);
    return HD_OK;
}

/* ---- put ---- */

typedef struct putting {
    const hd_document *document;
    const hd_prepare_options *how;
    const char *id;  /* the caller's, or made */
    hd_lines *lines; /* NULL: a line that cannot be read ends it */
    hd_hash128 hash;
    size_t n_made, n_chunks;
    hd_prepared *first, *last; /* all documents of the call */
} putting;

/* JSONL gives several documents: those without an id of their own are numbered. */
static hd_status take_extract(const hd_extract *extract, void *data, hd_error *err)
{
    putting *p = data;
    const hd_document *d = p->document;
    char numbered[HD_LIMIT_DOCUMENT_ID_BYTES + 32];
    const char *id = p->id;
    bool again;
    if (extract->kind == HD_KIND_JSONL) {
        snprintf(numbered, sizeof numbered, "%s#%zu", p->id, p->n_made);
        id = extract->id != NULL && extract->id[0] != '\0' ? extract->id : numbered;
    }
    if (p->lines != NULL)
        HD_TRY(hd__lines_take_id(p->lines, id, &again, err));
    const hd_document_row row = {.id = id,
                                 .source = d->source,
                                 .title = d->title,
                                 .url = d->url != NULL && d->url[0] != '\0' ? d->url : extract->url,
                                 .author = d->author,
                                 .mime = d->mime,
                                 .metadata = d->metadata,
                                 .created_at = d->created_at,
                                 .hash = p->hash,
                                 .size = d->text.len};
    hd_prepared *prepared;
    HD_TRY(hd__prepare(p->how, extract, &row, id, &prepared, err));
    if (p->last != NULL)
        p->last->next = prepared;
    else
        p->first = prepared;
    p->last = prepared;
    p->n_made++;
    p->n_chunks += prepared->n;
    return HD_OK;
}

static void drop(hd_prepared *first)
{
    while (first != NULL) {
        hd_prepared *next = first->next;
        hd__prepared_free(first);
        first = next;
    }
}

static hd_prepare_options prepare_options(const hd_index *index, const hd_document *document)
{
    return (hd_prepare_options){.embedder = index->embedder,
                                .chunking = document->chunking,
                                .chunk_tokens = document->chunk_tokens,
                                .overlap_tokens = document->overlap_tokens};
}

/* Reads and cuts one document; its id is copied to *id when it has any text. */
static hd_status prepare_one(hd_index *index, const hd_document *document, size_t i, putting *p, hd_text *id, hd_error *err)
{
    const hd_prepare_options how = prepare_options(index, document);
    char made[HD_UUID_TEXT_BYTES];
    hd_error why;
    hd_arena arena;
    p->document = document;
    p->how = &how;
    p->id = document->id;
    if (p->id == NULL || p->id[0] == '\0') {
        HD_TRY(hd__uuid_random(made, err));
        p->id = made;
    }
    const hd_span bytes = hd__span(document->text.ptr != NULL ? document->text.ptr : "", document->text.len);
    p->hash = hd__hash128(bytes, 0);
    p->n_made = p->n_chunks = 0;
    hd__arena_init(&arena);
    hd_prepared *before = p->last;
    const hd_status status = hd__extract(bytes, NULL, document->mime, &arena, take_extract, p, &why);
    hd__arena_clear(&arena);
    if (status != HD_OK)
        return hd__fail(err, status, "document %zu (%.128s): %s", i, p->id, why.text);
    *id = (hd_text){0};
    if (p->n_chunks == 0 && p->n_made == 1 && p->id == made && strcmp(p->last->row.id, made) == 0) {
        /* Nothing, under a name that nobody knows. */
        hd_prepared **next = before != NULL ? &before->next : &p->first;
        drop(*next);
        *next = NULL;
        p->last = before;
    }
    if (p->n_chunks > 0) {
        *id = (hd_text){hd__strdup(p->id), strlen(p->id)};
        if (id->ptr == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a document's id");
    }
    return HD_OK;
}

/* The first document that could not be kept. */
static void note_failed(const hd_prepared *prepared, void *data)
{
    hd_error *first = data;
    if (prepared->failed != NULL && first->status == HD_OK)
        *first = *prepared->failed;
}

/* Embeds and writes all of a list, which goes in any case. */
static hd_status write_list(hd_index *index, hd_prepared *first, void (*written)(const hd_prepared *document, void *data),
                            void *data, hd_error *err)
{
    hd_ingest_pipe *pipe;
    const hd_ingest_pipe_options options = {
        .store = index->store, .embedder = index->embedder, .at_once = true, .written = written, .data = data};
    hd_status status = hd__ingest_pipe_open(&options, &pipe, err);
    if (status != HD_OK) {
        drop(first);
        return status;
    }
    while (first != NULL && status == HD_OK) {
        hd_prepared *next = first->next;
        status = hd__ingest_pipe_add(pipe, first, err);
        first = next;
    }
    if (status == HD_OK)
        status = hd__ingest_pipe_finish(pipe, false, err);
    drop(first);
    hd__ingest_pipe_close(pipe);
    return status;
}

/* Takes what was put one by one into the graph when that has become much. */
static hd_status follow_up(hd_index *index, hd_error *err)
{
    hd_snapshot *snapshot;
    hd_store_usage usage;
    HD_TRY(hd__snapshot_begin(index->store, &snapshot, err));
    hd_status status = hd__store_get_usage(snapshot, &usage, err);
    hd__snapshot_end(snapshot);
    HD_TRY(status);
    if (usage.n_chunks + usage.n_dead_chunks < usage.n_graph + GRAPH_LAG)
        return HD_OK;
    status = hd__store_build_graph(index->store, NULL, NULL, err);
    return status == HD_ERR_BUSY ? HD_OK : status; /* the documents are there, and are found without it */
}

hd_status hd_index_put(hd_index *index, const hd_document *documents, size_t n, hd_text *ids, hd_error *err)
{
    HD_TRY(hd__index_check_writes(index, err));
    hd_text *made = hd__calloc(n, sizeof *made);
    putting p = {0};
    hd_error kept_out = {0};
    hd_status status = made != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for %zu documents", n);
    for (size_t i = 0; i < n && status == HD_OK; i++)
        status = prepare_one(index, &documents[i], i, &p, &made[i], err);
    if (status == HD_OK)
        status = write_list(index, p.first, note_failed, &kept_out, err);
    else
        drop(p.first);
    if (status == HD_OK && kept_out.status != HD_OK)
        status = hd__fail(err, kept_out.status, "%s", kept_out.text);
    if (status == HD_OK)
        status = follow_up(index, err);
    for (size_t i = 0; i < n && made != NULL; i++) {
        if (status == HD_OK && ids != NULL)
            ids[i] = made[i];
        else
            hd_text_free(&made[i]);
    }
    hd__free(made);
    return status;
}

static void note_left_out(const hd_prepared *prepared, void *data)
{
    if (prepared->failed != NULL)
        hd__lines_fail(data, 0, prepared->failed);
}

hd_status hd__index_put_lines(hd_index *index, const hd_document *document, hd_lines *lines, hd_error *err)
{
    const hd_prepare_options how = prepare_options(index, document);
    putting p = {.document = document, .how = &how, .id = document->id, .lines = lines};
    const hd_span bytes = hd__span(document->text.ptr, document->text.len);
    HD_TRY(hd__index_check_writes(index, err));
    p.hash = hd__hash128(bytes, 0);
    const hd_status status = hd__extract_lines(bytes, lines, take_extract, &p, err);
    if (status != HD_OK) {
        drop(p.first);
        return status;
    }
    HD_TRY(write_list(index, p.first, note_left_out, lines, err));
    return follow_up(index, err);
}

/* ---- remove ---- */

hd_status hd__index_remove_ids(hd_index *index, const char *const *ids, size_t n, uint64_t *n_removed, hd_error *err)
{
    hd_write *write;
    uint64_t n_gone = 0;
    hd_status status = HD_OK;
    HD_TRY(hd__write_begin(index->store, &write, err));
    for (size_t i = 0; i < n && status == HD_OK; i++) {
        bool removed = false;
        status = hd__document_remove(write, ids[i], &removed, err);
        n_gone += removed;
    }
    if (status != HD_OK) {
        hd__write_abandon(write);
        return status;
    }
    HD_TRY(hd__write_commit(write, err));
    *n_removed += n_gone;
    return HD_OK;
}

/* A page of those for which the filter holds; *more when there may be others. */
static hd_status remove_page(hd_index *index, const hd_filter *filter, uint64_t *n_removed, bool *more, hd_error *err)
{
    hd_arena arena;
    hd_snapshot *snapshot;
    const char **ids;
    size_t n = 0;
    uint64_t n_all;
    HD_TRY(hd__snapshot_begin(index->store, &snapshot, err));
    hd__arena_init(&arena);
    hd_status status = hd__filter_documents(snapshot, filter, 0, REMOVE_PAGE, &arena, &ids, &n, &n_all, err);
    hd__snapshot_end(snapshot);
    if (status == HD_OK && n > 0)
        status = hd__index_remove_ids(index, ids, n, n_removed, err);
    hd__arena_clear(&arena);
    *more = n == REMOVE_PAGE && status == HD_OK;
    return status;
}

hd_status hd_index_remove(hd_index *index, const char *const *ids, size_t n, const char *filter, uint64_t *n_removed,
                          hd_error *err)
{
    const hd_filter *parsed;
    uint64_t n_gone = 0;
    bool more = filter != NULL && filter[0] != '\0', compacted;
    hd_arena arena;
    hd_status status = HD_OK;
    if (index->read_only)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: opened to be read alone", hd__store_path(index->store));
    hd__arena_init(&arena);
    if (more) /* before anything goes */
        HD_TRY_OUT(hd__filter_parse(hd__span_of(filter), &arena, &parsed, err));
    if (n > 0)
        HD_TRY_OUT(hd__index_remove_ids(index, ids, n, &n_gone, err));
    while (more)
        HD_TRY_OUT(remove_page(index, parsed, &n_gone, &more, err));
    if (n_removed != NULL)
        *n_removed = n_gone;
    if (n_gone > 0)
        status = hd__store_tidy(index->store, &compacted, err);
    if (status == HD_ERR_BUSY)
        status = HD_OK; /* what is gone is gone; another process is tidying up */
out:
    hd__arena_clear(&arena);
    return status;
}

/* ---- about ---- */

hd_status hd_index_get_stats(hd_index *index, hd_index_stats *stats, hd_error *err)
{
    const hd_identity *identity = hd__store_identity(index->store);
    hd_snapshot *snapshot;
    hd_store_usage usage;
    HD_TRY(hd__snapshot_begin(index->store, &snapshot, err));
    const hd_status status = hd__store_get_usage(snapshot, &usage, err);
    hd__snapshot_end(snapshot);
    HD_TRY(status);
    const bool has_model = index->embedder != NULL;
    *stats = (hd_index_stats){
        .path = hd__store_path(index->store),
        .model = identity->model,
        .n_dimensions = identity->n_dimensions,
        .legs = HD_LEG_BM25,
        .n_documents = usage.n_documents,
        .n_chunks = usage.n_chunks,
        .n_dead_chunks = usage.n_dead_chunks,
        .n_terms = usage.n_terms,
        .n_graph = usage.n_graph,
        .file_bytes = usage.file_bytes,
        .memory_bytes = usage.memory_bytes,
    };
    stats->legs |= has_model && identity->n_dimensions > 0 ? (uint32_t)HD_LEG_DENSE : 0u;
    stats->legs |= has_model && identity->has_sparse ? (uint32_t)HD_LEG_SPARSE : 0u;
    stats->legs |= has_model && identity->n_token_dimensions > 0 ? (uint32_t)HD_LEG_MULTI : 0u;
    stats->legs |= atomic_load(&index->reranker) != NULL ? (uint32_t)HD_LEG_RERANK : 0u;
    return HD_OK;
}
