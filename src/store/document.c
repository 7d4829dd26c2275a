/* document.c - see document.h. Chunks of a document have consecutive numbers, so that the document's row says which are its.
 */
#include "store/document.h"

#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "store/store_int.h"
#include "store/token_vectors.h"
#include "store/trigram.h"

/* ---- rows ------------------------------------------------------------------------------------------------- */

#define DOCUMENT_COLUMNS                                                                                                    \
    "id, source, root, path, title, url, author, mime, metadata, cut, created_at, hash, size, mtime_ns, n_chunks, "         \
    "first_chunk, number"
#define CHUNK_COLUMNS "id, document, ordinal, begin_byte, end_byte, line, page, is_code, key, section, text"
enum { N_DOCUMENT_TEXTS = 10, HASH_BYTES = 16 };

/* A document's row with what only the store knows of it. */
typedef struct stored_document {
    hd_document_row row;
    int64_t number;
} stored_document;

static hd_status no_memory(const hd_store *store, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to read it", store->path);
}

static hd_status copy_text(const hd_store *store, sqlite3_stmt *select, int column, hd_arena *arena, const char **text,
                           hd_error *err)
{
    const hd_span bytes = hd__sql_span(select, column);
    *text = hd__arena_strndup(arena, bytes.ptr, bytes.len);
    return *text != NULL ? HD_OK : no_memory(store, err);
}

/* From DOCUMENT_COLUMNS. */
static hd_status read_document(const hd_store *store, sqlite3_stmt *select, hd_arena *arena, stored_document *document,
                               hd_error *err)
{
    const char *texts[N_DOCUMENT_TEXTS];
    for (int i = 0; i < N_DOCUMENT_TEXTS; i++)
        HD_TRY(copy_text(store, select, i, arena, &texts[i], err));
    hd_cursor hash = hd__cursor(hd__sql_span(select, 11));
    const uint64_t low = hd__cursor_u64(&hash), high = hd__cursor_u64(&hash);
    document->row = (hd_document_row){.id = texts[0],
                                      .source = texts[1],
                                      .root = texts[2],
                                      .path = texts[3],
                                      .title = texts[4],
                                      .url = texts[5],
                                      .author = texts[6],
                                      .mime = texts[7],
                                      .metadata = texts[8],
                                      .cut = texts[9],
                                      .created_at = sqlite3_column_int64(select, 10),
                                      .hash = {.low = low, .high = high},
                                      .size = (uint64_t)sqlite3_column_int64(select, 12),
                                      .mtime_ns = (uint64_t)sqlite3_column_int64(select, 13),
                                      .n_chunks = (uint32_t)sqlite3_column_int64(select, 14),
                                      .first_chunk = (uint32_t)sqlite3_column_int64(select, 15)};
    document->number = sqlite3_column_int64(select, 16);
    return HD_OK;
}

/* From CHUNK_COLUMNS. */
static hd_status read_chunk(const hd_store *store, sqlite3_stmt *select, hd_arena *arena, hd_chunk_row *chunk, hd_error *err)
{
    const char *texts[3];
    for (int i = 0; i < 3; i++)
        HD_TRY(copy_text(store, select, 8 + i, arena, &texts[i], err));
    *chunk = (hd_chunk_row){.id = (hd_chunk_id)sqlite3_column_int64(select, 0),
                            .ordinal = (uint32_t)sqlite3_column_int64(select, 2),
                            .begin = (uint32_t)sqlite3_column_int64(select, 3),
                            .end = (uint32_t)sqlite3_column_int64(select, 4),
                            .line = (uint32_t)sqlite3_column_int64(select, 5),
                            .page = (uint32_t)sqlite3_column_int64(select, 6),
                            .is_code = sqlite3_column_int64(select, 7) != 0,
                            .key = texts[0],
                            .section = texts[1],
                            .text = hd__span(texts[2], hd__sql_span(select, 10).len)};
    return HD_OK;
}

/* By a text or by a number, as the statement asks for; found->row.id NULL when there is none. */
static hd_status find_document(const hd_store *store, hd_connection *connection, const char *sql, const char *id,
                               int64_t number, hd_arena *arena, stored_document *found, hd_error *err)
{
    *found = (stored_document){0};
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(connection, sql, &select, err));
    if (id != NULL)
        hd__sql_bind_text(select, 1, hd__span_of(id));
    else
        sqlite3_bind_int64(select, 1, number);
    bool row;
    hd_status status = hd__sql_next(select, &row, err);
    if (status == HD_OK && row)
        status = read_document(store, select, arena, found, err);
    hd__sql_reset(select);
    return status;
}

static const char select_by_id[] = "SELECT " DOCUMENT_COLUMNS " FROM document WHERE id = ?";
static const char select_by_number[] = "SELECT " DOCUMENT_COLUMNS " FROM document WHERE number = ?";

/* ---- what can be kept ------------------------------------------------------------------------------------- */

static hd_status check_field(const char *id, const char *name, size_t len, size_t max, hd_error *err)
{
    return len <= max
               ? HD_OK
               : hd__fail(err, HD_ERR_LIMIT, "document %.128s: its %s has %zu bytes, the limit is %zu", id, name, len, max);
}

/* Filters read it by path: what is no JSON object would be an error of each search. */
static hd_status check_metadata(const hd_document_row *document, hd_error *err)
{
    if (strcmp(document->metadata, "") == 0 || strcmp(document->metadata, "{}") == 0)
        return HD_OK;
    json_t *root = NULL;
    hd_error why = {0};
    hd_status status = hd__json_parse(hd__span_of(document->metadata), "metadata", &root, &why);
    if (status == HD_OK && !json_is_object(root))
        status = hd__fail(&why, HD_ERR_FORMAT, "metadata: not a JSON object");
    json_decref(root);
    if (status == HD_ERR_FORMAT)
        status = HD_ERR_ARG;
    return status == HD_OK ? HD_OK : hd__fail(err, status, "document %.128s: %s", document->id, why.text);
}

static hd_status check_document(const hd_document_row *document, hd_error *err)
{
    const char *id = document->id;
    if (id[0] == '\0')
        return hd__fail(err, HD_ERR_ARG, "a document's id is empty");
    HD_TRY(check_field(id, "id", strlen(id), HD_LIMIT_DOCUMENT_ID_BYTES, err));
    const struct {
        const char *name, *text;
    } fields[] = {{"source", document->source}, {"root", document->root},         {"path", document->path},
                  {"title", document->title},   {"url", document->url},           {"author", document->author},
                  {"mime", document->mime},     {"metadata", document->metadata}, {"cut", document->cut}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        HD_TRY(check_field(id, fields[i].name, strlen(fields[i].text), HD_LIMIT_DOCUMENT_FIELD_BYTES, err));
    return check_metadata(document, err);
}

static hd_status check_chunks(const hd_write *write, const char *id, const hd_chunk_row *chunks,
                              const hd_chunk_vectors *vectors, size_t n, hd_error *err)
{
    const uint32_t n_given = write->state.n_chunks;
    if (n > HD_LIMIT_CHUNKS - n_given)
        return hd__fail(err, HD_ERR_LIMIT,
                        "%s: %u chunks have numbers, %zu more are past the limit of %u: 'heddle db vacuum' gives back those "
                        "of chunks that are gone",
                        write->store->path, n_given, n, HD_LIMIT_CHUNKS);
    for (size_t i = 0; i < n; i++) {
        HD_TRY(check_field(id, "chunk's text", chunks[i].text.len, HD_LIMIT_CHUNK_BYTES, err));
        HD_TRY(check_field(id, "chunk's id", strlen(chunks[i].key), HD_LIMIT_DOCUMENT_ID_BYTES, err));
        HD_TRY(check_field(id, "section", strlen(chunks[i].section), HD_LIMIT_DOCUMENT_FIELD_BYTES, err));
        if (write->store->identity.n_dimensions > 0 && (vectors == NULL || vectors[i].dense == NULL))
            return hd__fail(err, HD_ERR_ARG, "document %.128s: its chunks come without vectors, the index has those of %s",
                            id, write->store->identity.model);
    }
    return HD_OK;
}

/* ---- changes ---------------------------------------------------------------------------------------------- */

/* What chunks [begin, end) are found by goes; the vectors' rows and the postings stay behind, dead, until compaction. */
static hd_status remove_words(hd_write *write, const char *title, hd_chunk_id begin, hd_chunk_id end, hd_error *err)
{
    static const char select_chunks[] = "SELECT id, is_code, section, text FROM chunk WHERE id >= ? AND id < ?";
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(&write->connection, select_chunks, &select, err));
    sqlite3_bind_int64(select, 1, begin);
    sqlite3_bind_int64(select, 2, end);
    bool row = true;
    hd_status status = HD_OK;
    while (status == HD_OK && (status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        const hd_chunk_id id = (hd_chunk_id)sqlite3_column_int64(select, 0);
        const hd_span text = hd__sql_span(select, 3);
        status = hd__postings_remove_text(write->layout->postings, hd__span_of(title), hd__sql_span(select, 2), text, err);
        if (status == HD_OK && sqlite3_column_int64(select, 1) != 0)
            status = hd__trigram_remove(&write->connection, id, text, err);
    }
    hd__sql_reset(select);
    if (status == HD_OK && write->store->identity.n_token_dimensions > 0)
        status = hd__token_vectors_remove(&write->connection, begin, end, err);
    return status;
}

static hd_status remove_chunks(hd_write *write, const stored_document *document, hd_error *err)
{
    static const char delete_chunks[] = "DELETE FROM chunk WHERE id >= ? AND id < ?";
    const uint32_t begin = document->row.first_chunk, end = begin + document->row.n_chunks;
    if (end < begin || end > write->state.n_chunks)
        return hd__sql_damaged(write->connection.db, err, "document %.128s has chunks that are not there", document->row.id);
    HD_TRY(remove_words(write, document->row.title, begin, end, err));
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, delete_chunks, &statement, err));
    sqlite3_bind_int64(statement, 1, begin);
    sqlite3_bind_int64(statement, 2, end);
    HD_TRY(hd__sql_run(statement, err));
    return hd__write_set_live(write, begin, end, false, err);
}

static hd_status remove_found(hd_write *write, const stored_document *document, hd_error *err)
{
    static const char delete_document[] = "DELETE FROM document WHERE number = ?";
    HD_TRY(remove_chunks(write, document, err));
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, delete_document, &statement, err));
    sqlite3_bind_int64(statement, 1, document->number);
    HD_TRY(hd__sql_run(statement, err));
    write->state.n_documents--;
    return HD_OK;
}

static hd_status remove_by_id(hd_write *write, const char *id, bool *removed, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    stored_document found;
    hd_status status = find_document(write->store, &write->connection, select_by_id, id, 0, &arena, &found, err);
    *removed = found.row.id != NULL;
    if (status == HD_OK && *removed)
        status = remove_found(write, &found, err);
    hd__arena_clear(&arena);
    return status;
}

static hd_status insert_document(hd_write *write, const hd_document_row *document, size_t n_chunks, int64_t *number,
                                 hd_error *err)
{
    static const char insert[] = "INSERT INTO document(" DOCUMENT_COLUMNS ", checksum)" /* of HD_CHECKSUM_DOCUMENT's */
                                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, NULL,"
                                 " row_checksum(?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?15))";
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, insert, &statement, err));
    const char *const texts[N_DOCUMENT_TEXTS] = {
        document->id,     document->source, document->root,
        document->path,   document->title,  document->url,
        document->author, document->mime,   document->metadata[0] != '\0' ? document->metadata : "{}",
        document->cut};
    for (int i = 0; i < N_DOCUMENT_TEXTS; i++)
        hd__sql_bind_text(statement, 1 + i, hd__span_of(texts[i]));
    unsigned char hash[HASH_BYTES];
    for (int i = 0; i < HASH_BYTES; i++)
        hash[i] = (unsigned char)((i < 8 ? document->hash.low : document->hash.high) >> (i % 8 * 8));
    sqlite3_bind_int64(statement, 11, document->created_at);
    hd__sql_bind_blob(statement, 12, hd__span(hash, sizeof hash));
    sqlite3_bind_int64(statement, 13, (int64_t)document->size);
    sqlite3_bind_int64(statement, 14, (int64_t)document->mtime_ns);
    sqlite3_bind_int64(statement, 15, (int64_t)n_chunks);
    sqlite3_bind_int64(statement, 16, write->state.n_chunks);
    HD_TRY(hd__sql_run(statement, err));
    *number = sqlite3_last_insert_rowid(write->connection.db);
    return HD_OK;
}

static hd_status insert_chunk(hd_write *write, int64_t document, const hd_chunk_row *chunk, hd_error *err)
{
    static const char insert[] = "INSERT INTO chunk(" CHUNK_COLUMNS ", checksum)" /* of HD_CHECKSUM_CHUNK's */
                                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                                 " row_checksum(?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11))";
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, insert, &statement, err));
    const int64_t numbers[] = {chunk->id,  document,    chunk->ordinal, chunk->begin,
                               chunk->end, chunk->line, chunk->page,    chunk->is_code};
    for (int i = 0; i < 8; i++)
        sqlite3_bind_int64(statement, 1 + i, numbers[i]);
    hd__sql_bind_text(statement, 9, hd__span_of(chunk->key));
    hd__sql_bind_text(statement, 10, hd__span_of(chunk->section));
    hd__sql_bind_text(statement, 11, chunk->text);
    return hd__sql_run(statement, err);
}

/* Their dense vectors, one after the other, as hd__vectors_append takes them. */
static hd_status append_vectors(hd_write *write, hd_chunk_id first, const hd_chunk_vectors *vectors, size_t n, hd_error *err)
{
    const size_t width = write->store->identity.n_dimensions;
    if (width == 0 || n == 0)
        return HD_OK;
    float *rows = hd__malloc(hd__mul(hd__mul(n, width), sizeof *rows));
    if (rows == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu vectors", write->store->path, n);
    for (size_t i = 0; i < n; i++)
        memcpy(rows + i * width, vectors[i].dense, width * sizeof *rows);
    hd_status status = hd__vectors_append(write->layout->vectors, write->connection.db, first, rows, n, err);
    hd__free(rows);
    return status;
}

/* What a chunk is found by, but for its dense vector. */
static hd_status add_words(hd_write *write, const char *title, const hd_chunk_row *chunk, const hd_chunk_vectors *vectors,
                           hd_error *err)
{
    const hd_identity *identity = &write->store->identity;
    hd_postings *postings = write->layout->postings;
    HD_TRY(hd__postings_add_text(postings, write->connection.db, chunk->id, hd__span_of(title), hd__span_of(chunk->section),
                                 chunk->text, err));
    if (chunk->is_code)
        HD_TRY(hd__trigram_add(&write->connection, chunk->id, chunk->text, err));
    if (identity->has_sparse && vectors != NULL)
        HD_TRY(hd__postings_add_sparse(postings, write->connection.db, chunk->id, vectors->sparse, err));
    if (identity->n_token_dimensions > 0 && vectors != NULL)
        HD_TRY(hd__token_vectors_add(&write->connection, chunk->id, vectors->token_vectors, vectors->n_token_vectors,
                                     identity->n_token_dimensions, err));
    return HD_OK;
}

static hd_status put_rows(hd_write *write, const hd_document_row *document, hd_chunk_row *chunks,
                          const hd_chunk_vectors *vectors, size_t n, hd_error *err)
{
    bool replaced;
    HD_TRY(remove_by_id(write, document->id, &replaced, err));
    int64_t number;
    HD_TRY(insert_document(write, document, n, &number, err));
    const hd_chunk_id first = write->state.n_chunks;
    for (size_t i = 0; i < n; i++) {
        chunks[i].id = first + (hd_chunk_id)i;
        HD_TRY(insert_chunk(write, number, &chunks[i], err));
        HD_TRY(add_words(write, document->title, &chunks[i], vectors != NULL ? &vectors[i] : NULL, err));
    }
    HD_TRY(append_vectors(write, first, vectors, n, err));
    HD_TRY(hd__write_set_live(write, first, first + (hd_chunk_id)n, true, err));
    write->state.n_chunks += (uint32_t)n;
    write->state.n_documents++;
    return HD_OK;
}

hd_status hd__document_put(hd_write *write, const hd_document_row *document, hd_chunk_row *chunks,
                           const hd_chunk_vectors *vectors, size_t n_chunks, hd_error *err)
{
    HD_TRY(hd__write_check(write, err));
    HD_TRY(check_document(document, err));
    HD_TRY(check_chunks(write, document->id, chunks, vectors, n_chunks, err));
    return hd__write_done(write, put_rows(write, document, chunks, vectors, n_chunks, err), err);
}

static hd_status fail_unknown(const hd_write *write, const char *id, hd_error *err)
{
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no document %.128s", write->store->path, id);
}

static hd_status update_place(hd_write *write, const char *id, const hd_document_row *to, hd_error *err)
{
    static const char update[] =
        "UPDATE document SET id = ?, source = ?, root = ?, path = ?, size = ?, mtime_ns = ? WHERE id = ?";
    bool replaced;
    if (strcmp(id, to->id) != 0)
        HD_TRY(remove_by_id(write, to->id, &replaced, err));
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, update, &statement, err));
    const char *const texts[] = {to->id, to->source, to->root, to->path};
    for (int i = 0; i < 4; i++)
        hd__sql_bind_text(statement, 1 + i, hd__span_of(texts[i]));
    sqlite3_bind_int64(statement, 5, (int64_t)to->size);
    sqlite3_bind_int64(statement, 6, (int64_t)to->mtime_ns);
    hd__sql_bind_text(statement, 7, hd__span_of(id));
    HD_TRY(hd__sql_run(statement, err));
    return sqlite3_changes(write->connection.db) == 1 ? HD_OK : fail_unknown(write, id, err);
}

static hd_status has_document(hd_write *write, const char *id, hd_error *err)
{
    static const char select[] = "SELECT 1 FROM document WHERE id = ?";
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, select, &statement, err));
    hd__sql_bind_text(statement, 1, hd__span_of(id));
    bool row;
    hd_status status = hd__sql_next(statement, &row, err);
    hd__sql_reset(statement);
    HD_TRY(status);
    return row ? HD_OK : fail_unknown(write, id, err);
}

hd_status hd__document_move(hd_write *write, const char *id, const hd_document_row *to, hd_error *err)
{
    HD_TRY(hd__write_check(write, err));
    HD_TRY(check_document(to, err));
    HD_TRY(has_document(write, id, err));
    return hd__write_done(write, update_place(write, id, to, err), err);
}

hd_status hd__document_touch(hd_write *write, const char *id, uint64_t size, uint64_t mtime_ns, hd_error *err)
{
    static const char update[] = "UPDATE document SET size = ?, mtime_ns = ? WHERE id = ?";
    HD_TRY(hd__write_check(write, err));
    HD_TRY(has_document(write, id, err));
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, update, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)size);
    sqlite3_bind_int64(statement, 2, (int64_t)mtime_ns);
    hd__sql_bind_text(statement, 3, hd__span_of(id));
    return hd__write_done(write, hd__sql_run(statement, err), err);
}

hd_status hd__document_remove(hd_write *write, const char *id, bool *removed, hd_error *err)
{
    HD_TRY(hd__write_check(write, err));
    bool was_there = false;
    hd_status status = remove_by_id(write, id, &was_there, err);
    if (status != HD_OK || was_there)
        status = hd__write_done(write, status, err);
    if (status == HD_OK)
        *removed = was_there;
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

hd_status hd__document_get(hd_snapshot *snapshot, const char *id, hd_arena *arena, const hd_document_row **document,
                           hd_error *err)
{
    stored_document *found = hd__arena_alloc(arena, sizeof *found);
    if (found == NULL)
        return no_memory(snapshot->store, err);
    HD_TRY(find_document(snapshot->store, &snapshot->connection, select_by_id, id, 0, arena, found, err));
    *document = found->row.id != NULL ? &found->row : NULL;
    return HD_OK;
}

static hd_status give_document(const hd_store *store, sqlite3_stmt *select, hd_document_fn *row, void *data, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    stored_document document;
    hd_status status = read_document(store, select, &arena, &document, err);
    if (status == HD_OK)
        status = row(&document.row, data, err);
    hd__arena_clear(&arena);
    return status;
}

hd_status hd__document_each(hd_snapshot *snapshot, const char *root, hd_document_fn *row, void *data, hd_error *err)
{
    /* a statement of its own: `row` may call this again */
    sqlite3_stmt *select;
    HD_TRY(hd__sql_prepare(snapshot->connection.db,
                           root != NULL ? "SELECT " DOCUMENT_COLUMNS " FROM document WHERE root = ? ORDER BY id"
                                        : "SELECT " DOCUMENT_COLUMNS " FROM document ORDER BY id",
                           &select, err));
    if (root != NULL)
        hd__sql_bind_text(select, 1, hd__span_of(root));
    bool more = true;
    hd_status status = HD_OK;
    while (status == HD_OK && (status = hd__sql_next(select, &more, err)) == HD_OK && more)
        status = give_document(snapshot->store, select, row, data, err);
    sqlite3_finalize(select);
    return status == HD_ERR_CANCELLED ? HD_OK : status;
}

/* The document of a chunk: one that another chunk of the list has brought, or read. */
static hd_status document_of(hd_snapshot *snapshot, int64_t number, const int64_t *numbers, const hd_chunk_found *found,
                             size_t n_before, hd_arena *arena, const hd_document_row **document, hd_error *err)
{
    for (size_t i = 0; i < n_before; i++) {
        if (numbers[i] == number && found[i].document != NULL) {
            *document = found[i].document;
            return HD_OK;
        }
    }
    stored_document *read = hd__arena_alloc(arena, sizeof *read);
    if (read == NULL)
        return no_memory(snapshot->store, err);
    HD_TRY(find_document(snapshot->store, &snapshot->connection, select_by_number, NULL, number, arena, read, err));
    if (read->row.id == NULL)
        return hd__sql_damaged(snapshot->connection.db, err, "a chunk without its document");
    *document = &read->row;
    return HD_OK;
}

hd_status hd__chunk_get(hd_snapshot *snapshot, const hd_chunk_id *ids, size_t n, hd_arena *arena, hd_chunk_found *found,
                        hd_error *err)
{
    static const char select_chunk[] = "SELECT " CHUNK_COLUMNS " FROM chunk WHERE id = ?";
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(&snapshot->connection, select_chunk, &select, err));
    int64_t *numbers = hd__arena_calloc(arena, n + 1, sizeof *numbers);
    if (numbers == NULL)
        return no_memory(snapshot->store, err);
    for (size_t i = 0; i < n; i++) {
        found[i] = (hd_chunk_found){.chunk = {.id = ids[i], .key = "", .section = "", .text = {"", 0}}};
        sqlite3_bind_int64(select, 1, ids[i]);
        bool row;
        hd_status status = hd__sql_next(select, &row, err);
        if (status == HD_OK && row) {
            numbers[i] = sqlite3_column_int64(select, 1);
            status = read_chunk(snapshot->store, select, arena, &found[i].chunk, err);
        }
        hd__sql_reset(select);
        HD_TRY(status);
        if (row)
            HD_TRY(document_of(snapshot, numbers[i], numbers, found, i, arena, &found[i].document, err));
    }
    return HD_OK;
}

hd_status hd__document_chunks(hd_snapshot *snapshot, const char *id, hd_arena *arena, hd_chunk_row **chunks, size_t *n,
                              hd_error *err)
{
    static const char select_chunks[] = "SELECT " CHUNK_COLUMNS " FROM chunk WHERE id >= ? AND id < ? ORDER BY id";
    stored_document document;
    HD_TRY(find_document(snapshot->store, &snapshot->connection, select_by_id, id, 0, arena, &document, err));
    const uint32_t n_chunks = document.row.id != NULL ? document.row.n_chunks : 0;
    if (n_chunks > snapshot->state.n_live)
        return hd__sql_damaged(snapshot->connection.db, err, "document %.128s has chunks that are not there", id);
    hd_chunk_row *rows = hd__arena_calloc(arena, (size_t)n_chunks + 1, sizeof *rows);
    if (rows == NULL)
        return no_memory(snapshot->store, err);
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(&snapshot->connection, select_chunks, &select, err));
    sqlite3_bind_int64(select, 1, document.row.first_chunk);
    sqlite3_bind_int64(select, 2, (int64_t)document.row.first_chunk + n_chunks);
    size_t n_read = 0;
    bool row;
    hd_status status;
    while ((status = hd__sql_next(select, &row, err)) == HD_OK && row && n_read < n_chunks) {
        status = read_chunk(snapshot->store, select, arena, &rows[n_read++], err);
        if (status != HD_OK)
            break;
    }
    hd__sql_reset(select);
    HD_TRY(status);
    *chunks = rows;
    *n = n_read;
    return HD_OK;
}
