/* listing.c - documents as the index holds them: one with its chunks, or those for which a filter holds.
 *
 * What is listed lives in one arena, which hd_listing_free clears.
 */
#include <string.h>

#include "base/alloc.h"
#include "search/searcher.h"

#define SAMPLE_BYTES 800u /* 200 characters of any script */

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for a list of documents");
}

/* As many bytes of the text as make whole characters. */
static size_t sample_bytes(hd_span text)
{
    size_t n = text.len < SAMPLE_BYTES ? text.len : SAMPLE_BYTES;
    while (n > 0 && n < text.len && ((unsigned char)text.ptr[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static void fill_document(const hd_document_row *row, hd_stored_document *d)
{
    *d = (hd_stored_document){
        .id = row->id,
        .source = row->source,
        .path = row->path,
        .title = row->title,
        .url = row->url,
        .author = row->author,
        .mime = row->mime,
        .metadata = row->metadata,
        .created_at = row->created_at,
        .size = row->size,
        .n_chunks = row->n_chunks,
        .sample = "",
    };
}

static hd_status fill_chunk(const hd_chunk_row *row, const char *document_id, hd_arena *arena, hd_stored_chunk *c,
                            hd_error *err)
{
    *c = (hd_stored_chunk){
        .id = hd__search_chunk_id(document_id, row, arena),
        .section = row->section,
        .text = hd__arena_strndup(arena, row->text.ptr, row->text.len),
        .ordinal = row->ordinal,
        .span = {row->begin, row->end},
        .line = row->line,
        .page = row->page,
        .is_code = row->is_code,
    };
    return c->id != NULL && c->text != NULL ? HD_OK : no_memory(err);
}

static hd_status get(hd_snapshot *snapshot, const char *id, hd_arena *arena, hd_listing *listing, hd_error *err)
{
    const hd_document_row *row;
    hd_chunk_row *rows;
    size_t n;
    HD_TRY(hd__document_get(snapshot, id, arena, &row, err));
    if (row == NULL)
        return HD_OK;
    HD_TRY(hd__document_chunks(snapshot, id, arena, &rows, &n, err));
    hd_stored_document *d = hd__arena_calloc(arena, 1, sizeof *d);
    hd_stored_chunk *chunks = hd__arena_calloc(arena, n + 1, sizeof *chunks);
    if (d == NULL || chunks == NULL)
        return no_memory(err);
    fill_document(row, d);
    for (size_t i = 0; i < n; i++)
        HD_TRY(fill_chunk(&rows[i], row->id, arena, &chunks[i], err));
    d->chunks = chunks;
    d->n_chunks = (uint32_t)n;
    if (n > 0)
        d->sample = hd__arena_strndup(arena, rows[0].text.ptr, sample_bytes(rows[0].text));
    if (d->sample == NULL)
        return no_memory(err);
    listing->documents = d;
    listing->n = listing->n_matching = 1;
    return HD_OK;
}

/* A document and the beginning of its first chunk. The chunk's text goes with `scratch`. */
static hd_status fill_listed(hd_snapshot *snapshot, const char *id, hd_arena *arena, hd_arena *scratch,
                             hd_stored_document *d, hd_error *err)
{
    const hd_document_row *row;
    hd_chunk_found first;
    HD_TRY(hd__document_get(snapshot, id, arena, &row, err));
    if (row == NULL) /* the snapshot has listed it */
        return hd__fail(err, HD_ERR_FORMAT, "document %.128s is listed and is not there", id);
    fill_document(row, d);
    if (row->n_chunks == 0)
        return HD_OK;
    HD_TRY(hd__chunk_get(snapshot, &row->first_chunk, 1, scratch, &first, err));
    if (first.document != NULL)
        d->sample = hd__arena_strndup(arena, first.chunk.text.ptr, sample_bytes(first.chunk.text));
    return d->sample != NULL ? HD_OK : no_memory(err);
}

typedef struct list_query {
    const char *filter;
    uint64_t offset;
    uint32_t limit;
} list_query;

static hd_status list(hd_snapshot *snapshot, const list_query *query, hd_arena *arena, hd_listing *listing, hd_error *err)
{
    const hd_filter *filter = NULL;
    const char **ids;
    size_t n;
    if (query->filter != NULL && query->filter[0] != '\0')
        HD_TRY(hd__filter_parse(hd__span_of(query->filter), arena, &filter, err));
    HD_TRY(hd__filter_documents(snapshot, filter, query->offset, query->limit, arena, &ids, &n, &listing->n_matching, err));
    hd_stored_document *documents = hd__arena_calloc(arena, n + 1, sizeof *documents);
    if (documents == NULL)
        return no_memory(err);
    hd_status status = HD_OK;
    for (size_t i = 0; i < n && status == HD_OK; i++) {
        hd_arena scratch; /* chunks may be long, and there may be many */
        hd__arena_init(&scratch);
        status = fill_listed(snapshot, ids[i], arena, &scratch, &documents[i], err);
        hd__arena_clear(&scratch);
    }
    listing->documents = documents;
    listing->n = n;
    return status;
}

/* One or the other, in a snapshot of its own. */
static hd_status read_listing(hd_index *index, const char *id, const list_query *query, hd_listing *listing, hd_error *err)
{
    hd_snapshot *snapshot = NULL;
    *listing = (hd_listing){0};
    hd_arena *arena = hd__calloc(1, sizeof *arena);
    if (arena == NULL)
        return no_memory(err);
    hd__arena_init(arena);
    hd_status status = hd__snapshot_begin(index->store, &snapshot, err);
    if (status == HD_OK) {
        status = id != NULL ? get(snapshot, id, arena, listing, err) : list(snapshot, query, arena, listing, err);
        hd__snapshot_end(snapshot);
    }
    listing->memory = arena;
    if (status != HD_OK)
        hd_listing_free(listing);
    return status;
}

hd_status hd_index_get(hd_index *index, const char *id, hd_listing *listing, hd_error *err)
{
    return read_listing(index, id, NULL, listing, err);
}

hd_status hd_index_list(hd_index *index, const char *filter, uint64_t offset, uint32_t limit, hd_listing *listing,
                        hd_error *err)
{
    return read_listing(index, NULL, &(list_query){filter, offset, limit}, listing, err);
}

void hd_listing_free(hd_listing *listing)
{
    hd_arena *arena = listing->memory;
    if (arena != NULL)
        hd__arena_clear(arena);
    hd__free(arena);
    *listing = (hd_listing){0};
}
