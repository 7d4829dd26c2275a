/* trigram.c - see trigram.h. The table has no texts of its own: its content is the view `code_text`, and what is taken out
 * of it must be given again as it was put in.
 *
 * FTS5's own rank counts every match before it gives the first; a function of ours scores each row by itself, so that a
 * search for what is everywhere ends after HD_TRIGRAM_MAX_SEEN rows.
 */
#include "store/trigram.h"

#include "base/buffer.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "store/top.h"

hd_status hd__trigram_create(sqlite3 *db, hd_error *err)
{
    return hd__sql_exec(db,
                        "CREATE VIEW code_text AS SELECT id, text FROM chunk WHERE is_code;"
                        "CREATE VIRTUAL TABLE trigram USING fts5(text, content = 'code_text', content_rowid = 'id',"
                        " tokenize = 'trigram')",
                        err);
}

static hd_status change(hd_connection *connection, const char *sql, hd_chunk_id id, hd_span text, hd_error *err)
{
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(connection, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, id);
    hd__sql_bind_text(statement, 2, text);
    return hd__sql_run(statement, err);
}

hd_status hd__trigram_add(hd_connection *connection, hd_chunk_id id, hd_span text, hd_error *err)
{
    static const char insert[] = "INSERT INTO trigram(rowid, text) VALUES(?, ?)";
    return change(connection, insert, id, text, err);
}

hd_status hd__trigram_remove(hd_connection *connection, hd_chunk_id id, hd_span text, hd_error *err)
{
    static const char remove[] = "INSERT INTO trigram(trigram, rowid, text) VALUES('delete', ?, ?)";
    return change(connection, remove, id, text, err);
}

/* How often the text is in the row, against the row's length, as BM25 weighs them (k1 1.2, b 0.75). */
static void score_row(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context, int n_values,
                      sqlite3_value **values)
{
    (void)n_values, (void)values;
    int n_hits = 0, length = 0;
    sqlite3_int64 n_rows = 0, total = 0;
    int code = api->xInstCount(fts, &n_hits);
    if (code == SQLITE_OK)
        code = api->xColumnSize(fts, 0, &length);
    if (code == SQLITE_OK)
        code = api->xColumnTotalSize(fts, 0, &total);
    if (code == SQLITE_OK)
        code = api->xRowCount(fts, &n_rows);
    if (code != SQLITE_OK) {
        sqlite3_result_error_code(context, code);
        return;
    }
    const double mean = n_rows > 0 && total > 0 ? (double)total / (double)n_rows : 1.0;
    const double tf = n_hits;
    sqlite3_result_double(context, tf / (tf + 1.2 * (0.25 + 0.75 * (double)length / mean)));
}

/* As SQLite's manual tells it: FTS5's functions come out of a statement, as a pointer. */
hd_status hd__trigram_attach(sqlite3 *db, hd_error *err)
{
    fts5_api *api = NULL;
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?)", -1, &statement, NULL) != SQLITE_OK)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "SQLite %s was built without FTS5", sqlite3_libversion());
    sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", NULL);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (api == NULL || api->xCreateFunction(api, "text_score", NULL, score_row, NULL) != SQLITE_OK)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a function of FTS5");
    return HD_OK;
}

static size_t count_chars(hd_span text)
{
    size_t n = 0, len;
    bool valid;
    for (size_t at = 0; at < text.len; at += len, n++)
        (void)hd__utf8_decode(text, at, &len, &valid);
    return n;
}

/* A phrase of FTS5: in quotes, with quotes in it doubled, nothing has a meaning. */
static hd_status write_phrase(hd_span query, hd_buffer *phrase, hd_error *err)
{
    hd__buffer_append_char(phrase, '"');
    for (size_t i = 0; i < query.len; i++) {
        if (query.ptr[i] == '"')
            hd__buffer_append_char(phrase, '"');
        hd__buffer_append_char(phrase, query.ptr[i]);
    }
    hd__buffer_append_char(phrase, '"');
    return phrase->failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a query") : HD_OK;
}

static hd_status collect(sqlite3_stmt *select, const hd_bitmap *allowed, hd_top *top, hd_error *err)
{
    bool row;
    hd_status status;
    for (uint32_t n_seen = 0; (status = hd__sql_next(select, &row, err)) == HD_OK && row && n_seen < HD_TRIGRAM_MAX_SEEN;) {
        const int64_t id = sqlite3_column_int64(select, 0);
        if (id < 0 || id >= allowed->n || !hd__bitmap_has(allowed, (hd_chunk_id)id))
            continue;
        n_seen++;
        hd__top_add(top, (float)sqlite3_column_double(select, 1), (hd_chunk_id)id);
    }
    return status;
}

hd_status hd__trigram_search(hd_connection *connection, hd_span query, size_t k, const hd_bitmap *allowed, hd_ranked *out,
                             size_t *n, hd_error *err)
{
    static const char search[] = "SELECT rowid, text_score(trigram) FROM trigram WHERE trigram MATCH ?";
    *n = 0;
    if (k == 0 || query.len > HD_LIMIT_TRIGRAM_QUERY_BYTES || count_chars(query) < HD_TRIGRAM_MIN_CHARS ||
        memchr(query.ptr, '\0', query.len) != NULL) /* FTS5 would read to the NUL alone */
        return HD_OK;
    hd_buffer phrase;
    hd__buffer_init(&phrase);
    hd_arena arena;
    hd__arena_init(&arena);
    sqlite3_stmt *select = NULL;
    hd_status status;
    uint64_t *keys = hd__arena_calloc(&arena, k, sizeof *keys);
    if (keys == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu results", k);
        goto out;
    }
    HD_TRY_OUT(write_phrase(query, &phrase, err));
    HD_TRY_OUT(hd__connection_statement(connection, search, &select, err));
    hd__sql_bind_text(select, 1, hd__buffer_span(&phrase));
    hd_top top;
    hd__top_init(&top, keys, k);
    HD_TRY_OUT(collect(select, allowed, &top, err));
    hd__top_sort(&top);
    for (size_t i = 0; i < top.n; i++)
        out[i] = (hd_ranked){hd__top_id(top.keys[i]), hd__top_score(top.keys[i])};
    *n = top.n;
out:
    if (select != NULL)
        hd__sql_reset(select);
    hd__arena_clear(&arena);
    hd__buffer_clear(&phrase);
    return status;
}

hd_status hd__trigram_check(sqlite3 *db, void (*found)(const char *what, void *data), void *data, hd_error *err)
{
    if (sqlite3_exec(db, "INSERT INTO trigram(trigram, rank) VALUES('integrity-check', 1)", NULL, NULL, NULL) == SQLITE_OK)
        return HD_OK;
    if ((sqlite3_errcode(db) & 0xff) != SQLITE_CORRUPT)
        return hd__sql_fail(db, err, "check it");
    found("the index of code's trigrams is not that of the chunks", data);
    return HD_OK;
}
