/* transfer.c - hd__store_export, hd__store_read_head and hd__store_import of maintain.h.
 *
 *   {"heddle": "index", "version": 1, "model": …, "fingerprint": …, "similarity": …, "n_dimensions": …,
 *    "n_token_dimensions": …, "has_sparse": …, "language": …, "with_vectors": …}
 *   {"id": …, "source": …, "root": …, "path": …, "title": …, "url": …, "author": …, "mime": …, "metadata": {…},
 *    "cut": …, "created_at": …, "hash": "32 hex digits", "size": …, "mtime_ns": …, "chunks": [{"key": …, "section": …,
 *    "text": …, "ordinal": …, "begin": …, "end": …, "line": …, "page": …, "is_code": …, "vector": …, "token_vectors": …,
 *    "sparse_tokens": …, "sparse_weights": …}, …]}
 *
 * Vectors and weights are base64 of f32, little-endian, tokens of u32. A text that JSON cannot say (bytes that are no UTF-8,
 * NUL) is {"base64": …}.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "store/document.h"
#include "store/legs.h"
#include "store/maintain.h"
#include "store/schema.h"
#include "store/sparse_rows.h"
#include "store/store_int.h"
#include "store/token_vectors.h"

#define EXPORT_VERSION 1
#define SPARSE_CHUNKS 16384u /* whose weights are read at once: each time all of the index is read through */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are exported as they lie in memory");

/* ---- out -------------------------------------------------------------------------------------------------- */

typedef struct exporter {
    hd_snapshot *snapshot;
    bool with_vectors;
    hd_line_fn *write;
    void *data;
    hd_buffer line;
    hd_bitmap sparse_chunks; /* those of `sparse_rows` */
    hd_sparse_rows sparse_rows;
    bool was_cancelled; /* by `write`; hd__document_each ends quietly then */
} exporter;

static void append_text(hd_buffer *line, const char *name, hd_span text)
{
    hd__buffer_printf(line, "\"%s\": ", name);
    if (hd__utf8_valid_len(text) == text.len && (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL)) {
        hd__buffer_append_json(line, text);
    } else {
        hd__buffer_append_text(line, "{\"base64\": \"");
        hd__buffer_append_base64(line, text);
        hd__buffer_append_text(line, "\"}");
    }
    hd__buffer_append_text(line, ", ");
}

static void append_string(hd_buffer *line, const char *name, const char *text)
{
    append_text(line, name, hd__span_of(text));
}

/* n numbers of 4 bytes, after a member that no comma follows. */
static void append_numbers(hd_buffer *line, const char *name, const void *numbers, size_t n)
{
    hd__buffer_printf(line, ", \"%s\": \"", name);
    hd__buffer_append_base64(line, hd__span(numbers, hd__mul(n, 4)));
    hd__buffer_append_char(line, '"');
}

static hd_status give_line(exporter *e, hd_error *err)
{
    hd__buffer_append_char(&e->line, '\n');
    if (e->line.failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to export a document");
    const hd_status status = e->write(hd__buffer_span(&e->line), e->data, err);
    e->was_cancelled = status == HD_ERR_CANCELLED;
    return status;
}

static hd_status export_head(exporter *e, hd_error *err)
{
    const hd_identity *identity = &e->snapshot->store->identity;
    hd_arena arena;
    hd__arena_init(&arena);
    const char *language = NULL;
    hd_status status = hd__store_get(e->snapshot, HD_SCHEMA_LANGUAGE, &arena, &language, err);
    if (status == HD_OK) {
        hd__buffer_printf(&e->line, "{\"heddle\": \"index\", \"version\": %d, ", EXPORT_VERSION);
        append_string(&e->line, "model", identity->model);
        append_string(&e->line, "fingerprint", identity->fingerprint);
        append_string(&e->line, "similarity", identity->similarity);
        append_string(&e->line, "language", language != NULL ? language : "english");
        hd__buffer_printf(&e->line, "\"n_dimensions\": %u, \"n_token_dimensions\": %u, \"has_sparse\": %s, ",
                          identity->n_dimensions, identity->n_token_dimensions, identity->has_sparse ? "true" : "false");
        hd__buffer_printf(&e->line, "\"with_vectors\": %s}", e->with_vectors ? "true" : "false");
        status = give_line(e, err);
    }
    hd__arena_clear(&arena);
    return status;
}

static hd_status append_vectors(exporter *e, hd_chunk_id id, hd_arena *arena, hd_error *err)
{
    const hd_identity *identity = &e->snapshot->store->identity;
    if (identity->n_dimensions > 0) {
        float *dense = hd__arena_calloc(arena, identity->n_dimensions, sizeof *dense);
        if (dense == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory to export a vector");
        HD_TRY(hd__leg_vectors(e->snapshot, &id, 1, dense, err));
        append_numbers(&e->line, "vector", dense, identity->n_dimensions);
    }
    if (identity->n_token_dimensions > 0) {
        float *vectors;
        size_t n;
        HD_TRY(hd__token_vectors_get(&e->snapshot->connection, id, identity->n_token_dimensions, arena, &vectors, &n, err));
        append_numbers(&e->line, "token_vectors", vectors, n * identity->n_token_dimensions);
    }
    if (identity->has_sparse) {
        const hd_sparse_vector sparse = hd__sparse_rows_get(&e->sparse_rows, id);
        append_numbers(&e->line, "sparse_tokens", sparse.ids, sparse.n);
        append_numbers(&e->line, "sparse_weights", sparse.weights, sparse.n);
    }
    return HD_OK;
}

static hd_status append_chunk(exporter *e, const hd_chunk_row *chunk, hd_arena *arena, hd_error *err)
{
    hd_buffer *line = &e->line;
    hd__buffer_append_char(line, '{');
    append_string(line, "key", chunk->key);
    append_string(line, "section", chunk->section);
    append_text(line, "text", chunk->text);
    hd__buffer_printf(line, "\"ordinal\": %u, \"begin\": %u, \"end\": %u, \"line\": %u, \"page\": %u, \"is_code\": %s",
                      chunk->ordinal, chunk->begin, chunk->end, chunk->line, chunk->page, chunk->is_code ? "true" : "false");
    if (e->with_vectors)
        HD_TRY(append_vectors(e, chunk->id, arena, err));
    hd__buffer_append_char(line, '}');
    return HD_OK;
}

static hd_status find_next_chunks(exporter *e, const char *id, hd_error *err)
{
    static const char select_chunks[] = "SELECT first_chunk, n_chunks FROM document WHERE id >= ? ORDER BY id";
    hd_snapshot *snapshot = e->snapshot;
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(&snapshot->connection, select_chunks, &select, err));
    hd__sql_bind_text(select, 1, hd__span_of(id));
    bool row = true;
    hd_status status = HD_OK;
    while (e->sparse_chunks.n_set < SPARSE_CHUNKS && (status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        const int64_t first = sqlite3_column_int64(select, 0), n = sqlite3_column_int64(select, 1);
        const int64_t n_given = snapshot->state.n_chunks;
        if (first >= 0 && n >= 0 && n <= n_given && first <= n_given - n) /* hd__document_chunks says so where it is not */
            hd__bitmap_set_range(&e->sparse_chunks, (hd_chunk_id)first, (hd_chunk_id)(first + n), true);
    }
    hd__sql_reset(select);
    return status;
}

/* The weights of that document's chunks, and of the next ones'. */
static hd_status read_sparse_rows(exporter *e, const char *id, hd_error *err)
{
    hd__sparse_rows_clear(&e->sparse_rows);
    hd__bitmap_clear(&e->sparse_chunks);
    HD_TRY(hd__bitmap_init(&e->sparse_chunks, e->snapshot->state.n_chunks, err));
    HD_TRY(find_next_chunks(e, id, err));
    return hd__sparse_rows_read(e->snapshot->connection.db, &e->sparse_chunks, &e->sparse_rows, err);
}

/* It is valid, so newlines are between its parts alone, never in a text. */
static void append_metadata(hd_buffer *line, const char *metadata)
{
    hd__buffer_append_text(line, "\"metadata\": ");
    for (const char *at = metadata; *at != '\0'; at++)
        hd__buffer_append_char(line, *at == '\n' || *at == '\r' ? ' ' : *at);
    hd__buffer_append_text(line, ", ");
}

static hd_status append_document(exporter *e, const hd_document_row *d, hd_arena *arena, hd_error *err)
{
    hd_buffer *line = &e->line;
    const struct {
        const char *name, *text;
    } texts[] = {{"id", d->id},   {"source", d->source}, {"root", d->root}, {"path", d->path}, {"title", d->title},
                 {"url", d->url}, {"author", d->author}, {"mime", d->mime}, {"cut", d->cut}};
    hd__buffer_append_char(line, '{');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        append_string(line, texts[i].name, texts[i].text);
    append_metadata(line, d->metadata);
    hd__buffer_printf(line, "\"created_at\": %" PRId64 ", \"hash\": \"%016" PRIx64 "%016" PRIx64 "\", ", d->created_at,
                      d->hash.low, d->hash.high);
    hd__buffer_printf(line, "\"size\": %" PRIu64 ", \"mtime_ns\": %" PRIu64 ", \"chunks\": [", d->size, d->mtime_ns);
    hd_chunk_row *chunks;
    size_t n;
    HD_TRY(hd__document_chunks(e->snapshot, d->id, arena, &chunks, &n, err));
    const bool has_weights = e->with_vectors && e->snapshot->store->identity.has_sparse;
    if (has_weights && n > 0 && !hd__bitmap_has(&e->sparse_chunks, chunks[0].id))
        HD_TRY(read_sparse_rows(e, d->id, err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            hd__buffer_append_text(line, ", ");
        HD_TRY(append_chunk(e, &chunks[i], arena, err));
    }
    hd__buffer_append_text(line, "]}");
    return HD_OK;
}

static hd_status export_document(const hd_document_row *document, void *data, hd_error *err)
{
    exporter *e = data;
    hd_arena arena;
    hd__arena_init(&arena);
    hd__buffer_reset(&e->line);
    hd_status status = append_document(e, document, &arena, err);
    if (status == HD_OK)
        status = give_line(e, err);
    hd__arena_clear(&arena);
    return status;
}

hd_status hd__store_export(hd_snapshot *snapshot, bool with_vectors, hd_line_fn *write, void *data, hd_error *err)
{
    exporter e = {.snapshot = snapshot, .with_vectors = with_vectors, .write = write, .data = data};
    hd__buffer_init(&e.line);
    hd_status status = export_head(&e, err);
    if (status == HD_OK)
        status = hd__document_each(snapshot, NULL, export_document, &e, err);
    hd__sparse_rows_clear(&e.sparse_rows);
    hd__bitmap_clear(&e.sparse_chunks);
    hd__buffer_clear(&e.line);
    return e.was_cancelled ? HD_ERR_CANCELLED : status;
}

/* ---- in --------------------------------------------------------------------------------------------------- */

static hd_status fail_member(const char *name, const char *what, hd_error *err)
{
    return hd__fail(err, HD_ERR_FORMAT, "\"%s\" is not %s", name, what);
}

static hd_status decode(const json_t *text, const char *name, hd_arena *arena, hd_span *bytes, hd_error *err)
{
    const size_t len = json_string_length(text);
    char *decoded = hd__arena_alloc(arena, len / 4 * 3 + 1);
    if (decoded == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to import \"%s\"", name);
    size_t n;
    if (!json_is_string(text) || !hd__base64_decode(hd__span(json_string_value(text), len), decoded, &n))
        return fail_member(name, "base64", err);
    decoded[n] = '\0';
    *bytes = hd__span(decoded, n);
    return HD_OK;
}

/* A string, or {"base64": …}; "" when it is not there. */
static hd_status read_text(const json_t *object, const char *name, hd_arena *arena, hd_span *text, hd_error *err)
{
    const json_t *value = json_object_get(object, name);
    *text = hd__span("", 0);
    if (value == NULL)
        return HD_OK;
    if (json_is_object(value))
        return decode(json_object_get(value, "base64"), name, arena, text, err);
    if (!json_is_string(value))
        return fail_member(name, "a string", err);
    *text = hd__span(json_string_value(value), json_string_length(value));
    return HD_OK;
}

static hd_status read_string(const json_t *object, const char *name, hd_arena *arena, const char **text, hd_error *err)
{
    hd_span bytes;
    HD_TRY(read_text(object, name, arena, &bytes, err));
    if (bytes.len > 0 && memchr(bytes.ptr, '\0', bytes.len) != NULL)
        return fail_member(name, "a text without NUL", err);
    *text = bytes.ptr; /* both kinds end with a NUL */
    return HD_OK;
}

static hd_status read_number(const json_t *object, const char *name, uint32_t max, uint32_t *value, hd_error *err)
{
    uint64_t wide = 0;
    HD_TRY(hd__json_get_uint(object, name, 0, max, "export", &wide, err));
    *value = (uint32_t)wide;
    return HD_OK;
}

static hd_status read_u32(const json_t *object, const char *name, uint32_t *value, hd_error *err)
{
    return read_number(object, name, UINT32_MAX, value, err);
}

/* Base64 of numbers of 4 bytes; NULL, and *n 0, when it is not there. */
static hd_status read_numbers(const json_t *object, const char *name, hd_arena *arena, const void **numbers, size_t *n,
                              hd_error *err)
{
    const json_t *text = json_object_get(object, name);
    *numbers = NULL;
    *n = 0;
    if (text == NULL)
        return HD_OK;
    hd_span bytes;
    HD_TRY(decode(text, name, arena, &bytes, err));
    if (bytes.len % 4 != 0)
        return fail_member(name, "whole numbers of four bytes", err);
    *numbers = bytes.ptr; /* of the arena, so that any number may lie there */
    *n = bytes.len / 4;
    return HD_OK;
}

static hd_status read_sparse(const hd_identity *identity, const json_t *object, hd_arena *arena, hd_sparse_vector *sparse,
                             hd_error *err)
{
    const void *tokens, *weights;
    size_t n_tokens, n_weights;
    HD_TRY(read_numbers(object, "sparse_tokens", arena, &tokens, &n_tokens, err));
    HD_TRY(read_numbers(object, "sparse_weights", arena, &weights, &n_weights, err));
    if (n_tokens != n_weights)
        return hd__fail(err, HD_ERR_FORMAT, "\"sparse_tokens\" has %zu numbers, \"sparse_weights\" %zu", n_tokens,
                        n_weights);
    if (n_tokens > 0 && !identity->has_sparse)
        return hd__fail(err, HD_ERR_FORMAT, "\"sparse_weights\" has %zu numbers, the index has none", n_weights);
    *sparse = (hd_sparse_vector){tokens, weights, n_tokens};
    return HD_OK;
}

static hd_status read_vectors(const hd_identity *identity, const json_t *object, hd_arena *arena, hd_chunk_vectors *vectors,
                              hd_error *err)
{
    const void *dense, *token_vectors;
    size_t n_dense, n_token_values;
    HD_TRY(read_numbers(object, "vector", arena, &dense, &n_dense, err));
    HD_TRY(read_numbers(object, "token_vectors", arena, &token_vectors, &n_token_values, err));
    *vectors = (hd_chunk_vectors){.dense = dense, .token_vectors = token_vectors};
    HD_TRY(read_sparse(identity, object, arena, &vectors->sparse, err));
    if (vectors->dense != NULL && n_dense != identity->n_dimensions)
        return hd__fail(err, HD_ERR_FORMAT, "\"vector\" has %zu values, the index has vectors of %u", n_dense,
                        identity->n_dimensions);
    if (n_token_values > 0 && (identity->n_token_dimensions == 0 || n_token_values % identity->n_token_dimensions != 0))
        return hd__fail(err, HD_ERR_FORMAT, "\"token_vectors\" has %zu values, the index has vectors of %u", n_token_values,
                        identity->n_token_dimensions);
    vectors->n_token_vectors = n_token_values > 0 ? n_token_values / identity->n_token_dimensions : 0;
    return HD_OK;
}

static hd_status read_chunk_object(const json_t *object, hd_arena *arena, hd_chunk_row *chunk, hd_error *err)
{
    *chunk = (hd_chunk_row){0};
    if (!json_is_object(object))
        return fail_member("chunks", "a list of objects", err);
    HD_TRY(read_string(object, "key", arena, &chunk->key, err));
    HD_TRY(read_string(object, "section", arena, &chunk->section, err));
    HD_TRY(read_text(object, "text", arena, &chunk->text, err));
    HD_TRY(read_u32(object, "ordinal", &chunk->ordinal, err));
    HD_TRY(read_u32(object, "begin", &chunk->begin, err));
    HD_TRY(read_u32(object, "end", &chunk->end, err));
    HD_TRY(read_u32(object, "line", &chunk->line, err));
    HD_TRY(read_u32(object, "page", &chunk->page, err));
    return hd__json_get_bool(object, "is_code", "export", &chunk->is_code, err);
}

static bool read_hash(const char *text, hd_hash128 *hash)
{
    uint64_t halves[2] = {0};
    if (strlen(text) != 32 && text[0] != '\0')
        return false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL)
            return false;
        halves[i / 16] = halves[i / 16] << 4 | (uint64_t)(digit - digits);
    }
    *hash = (hd_hash128){.low = halves[0], .high = halves[1]};
    return true;
}

static hd_status read_metadata(const json_t *root, hd_arena *arena, const char **metadata, hd_error *err)
{
    const json_t *value = json_object_get(root, "metadata");
    *metadata = "{}";
    if (value == NULL)
        return HD_OK;
    if (!json_is_object(value))
        return fail_member("metadata", "an object", err);
    const size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT);
    char *text = hd__arena_alloc(arena, len + 1);
    if (text == NULL || json_dumpb(value, text, len, JSON_COMPACT) != len)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to import metadata");
    text[len] = '\0';
    *metadata = text;
    return HD_OK;
}

static hd_status read_document_object(const json_t *root, hd_arena *arena, hd_document_row *d, hd_error *err)
{
    const char *hash;
    *d = (hd_document_row){0};
    const struct {
        const char *name, **text;
    } texts[] = {{"id", &d->id},   {"source", &d->source}, {"root", &d->root}, {"path", &d->path}, {"title", &d->title},
                 {"url", &d->url}, {"author", &d->author}, {"mime", &d->mime}, {"cut", &d->cut},   {"hash", &hash}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        HD_TRY(read_string(root, texts[i].name, arena, texts[i].text, err));
    if (!read_hash(hash, &d->hash))
        return fail_member("hash", "32 hexadecimal digits", err);
    HD_TRY(read_metadata(root, arena, &d->metadata, err));
    HD_TRY(hd__json_get_uint(root, "size", 0, INT64_MAX, "export", &d->size, err));
    HD_TRY(hd__json_get_uint(root, "mtime_ns", 0, INT64_MAX, "export", &d->mtime_ns, err));
    const json_t *created_at = json_object_get(root, "created_at");
    if (created_at != NULL && !json_is_integer(created_at))
        return fail_member("created_at", "an integer", err);
    d->created_at = json_integer_value(created_at);
    return HD_OK;
}

static hd_status import_document(hd_write *write, const json_t *root, hd_arena *arena, hd_error *err)
{
    hd_document_row document;
    HD_TRY(read_document_object(root, arena, &document, err));
    const json_t *list = json_object_get(root, "chunks");
    const size_t n = json_array_size(list);
    if (list != NULL && !json_is_array(list))
        return fail_member("chunks", "a list", err);
    hd_chunk_row *chunks = hd__arena_calloc(arena, n + 1, sizeof *chunks);
    hd_chunk_vectors *vectors = hd__arena_calloc(arena, n + 1, sizeof *vectors);
    if (chunks == NULL || vectors == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to import %zu chunks", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *object = json_array_get(list, i);
        HD_TRY(read_chunk_object(object, arena, &chunks[i], err));
        HD_TRY(read_vectors(&write->store->identity, object, arena, &vectors[i], err));
    }
    return hd__document_put(write, &document, chunks, vectors, n, err);
}

static hd_status parse_object(hd_span line, json_t **root, hd_error *err)
{
    HD_TRY(hd__json_parse(line, "export", root, err));
    if (json_is_object(*root))
        return HD_OK;
    json_decref(*root);
    return hd__fail(err, HD_ERR_FORMAT, "not a JSON object");
}

hd_status hd__store_import(hd_write *write, hd_span line, hd_error *err)
{
    json_t *root;
    HD_TRY(parse_object(line, &root, err));
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status = import_document(write, root, &arena, err);
    hd__arena_clear(&arena);
    json_decref(root);
    return status;
}

static hd_status read_head(const json_t *root, hd_arena *arena, hd_export_head *head, hd_error *err)
{
    const char *kind;
    uint32_t version = 0;
    hd_export_head read = {0};
    HD_TRY(read_string(root, "heddle", arena, &kind, err));
    if (strcmp(kind, "index") != 0)
        return hd__fail(err, HD_ERR_FORMAT, "the first line is not that of an exported index (\"heddle\": \"index\")");
    HD_TRY(read_u32(root, "version", &version, err));
    if (version != EXPORT_VERSION)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "an export of version %u, this Heddle reads %d", version, EXPORT_VERSION);
    HD_TRY(read_string(root, "model", arena, &read.identity.model, err));
    HD_TRY(read_string(root, "fingerprint", arena, &read.identity.fingerprint, err));
    HD_TRY(read_string(root, "similarity", arena, &read.identity.similarity, err));
    HD_TRY(read_string(root, "language", arena, &read.language, err));
    HD_TRY(read_number(root, "n_dimensions", HD_LIMIT_DENSE_WIDTH, &read.identity.n_dimensions, err));
    HD_TRY(read_number(root, "n_token_dimensions", HD_LIMIT_DENSE_WIDTH, &read.identity.n_token_dimensions, err));
    HD_TRY(hd__json_get_bool(root, "has_sparse", "export", &read.identity.has_sparse, err));
    HD_TRY(hd__json_get_bool(root, "with_vectors", "export", &read.with_vectors, err));
    *head = read;
    return HD_OK;
}

/* Out of the JSON, which goes. */
static hd_status keep_text(hd_arena *arena, const char **text, hd_error *err)
{
    *text = hd__arena_strndup(arena, *text, strlen(*text));
    return *text != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory to import");
}

static hd_status keep_head(hd_arena *arena, hd_export_head *head, hd_error *err)
{
    HD_TRY(keep_text(arena, &head->identity.model, err));
    HD_TRY(keep_text(arena, &head->identity.fingerprint, err));
    HD_TRY(keep_text(arena, &head->identity.similarity, err));
    return keep_text(arena, &head->language, err);
}

hd_status hd__store_read_head(hd_span line, hd_arena *arena, hd_export_head *head, hd_error *err)
{
    json_t *root;
    HD_TRY(parse_object(line, &root, err));
    hd_status status = read_head(root, arena, head, err);
    if (status == HD_OK)
        status = keep_head(arena, head, err);
    json_decref(root);
    return status;
}
