/* filter_rows.c - what a filter lets through: chunks as a bitmap, documents as a list, values counted.
 *
 * Chunks of a document have consecutive numbers (document.first_chunk and .n_chunks), so that a filter of documents never
 * looks at chunks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/filter_cache.h"
#include "store/filter_sql.h"
#include "store/snapshot.h"
#include "store/sql.h"

/* A statement of the parts before and after the condition, its parameters bound; *parameter is the next. */
static hd_status prepare(hd_snapshot *snapshot, const hd_filter *filter, const char *before, const char *after,
                         hd_arena *arena, sqlite3_stmt **statement, int *parameter, hd_error *err)
{
    hd_status status = HD_OK;
    hd_buffer sql;
    *statement = NULL;
    *parameter = 1;
    hd__buffer_init(&sql);
    hd__buffer_append_text(&sql, before);
    if (filter != NULL)
        HD_TRY_OUT(hd__filter_sql(filter, &sql, err));
    hd__buffer_append_text(&sql, after);
    hd__buffer_append_char(&sql, '\0');
    if (sql.failed) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a filter");
        goto out;
    }
    HD_TRY_OUT(hd__sql_prepare(hd__snapshot_db(snapshot), sql.ptr, statement, err));
    if (filter != NULL)
        HD_TRY_OUT(hd__filter_bind(filter, *statement, parameter, arena, err));
out:
    hd__buffer_clear(&sql);
    if (status != HD_OK) {
        sqlite3_finalize(*statement);
        *statement = NULL;
    }
    return status;
}

/* ---- chunks ---- */

static hd_status read_bitmap(hd_snapshot *snapshot, const hd_filter *filter, hd_bitmap *set, hd_error *err)
{
    const char *select = filter->of_chunks
                             ? "SELECT c.id, 1 FROM chunk AS c JOIN document AS d ON d.number = c.document WHERE "
                             : "SELECT d.first_chunk, d.n_chunks FROM document AS d WHERE ";
    const hd_bitmap *live = hd__snapshot_live(snapshot);
    hd_status status = HD_OK;
    sqlite3_stmt *statement = NULL;
    hd_arena arena;
    int parameter;
    bool row;
    hd__arena_init(&arena);
    HD_TRY_OUT(hd__bitmap_init(set, live->n, err));
    HD_TRY_OUT(prepare(snapshot, filter, select, "", &arena, &statement, &parameter, err));
    HD_TRY_OUT(hd__sql_next(statement, &row, err));
    while (row) {
        const int64_t first = sqlite3_column_int64(statement, 0), n = sqlite3_column_int64(statement, 1);
        if (first >= 0 && n > 0 && first <= live->n && n <= live->n - first) /* of a damaged file they may be anything */
            hd__bitmap_set_range(set, (uint32_t)first, (uint32_t)(first + n), true);
        HD_TRY_OUT(hd__sql_next(statement, &row, err));
    }
    for (size_t i = 0; i < hd__bitmap_n_words(set->n); i++)
        set->words[i] &= live->words[i];
    hd__bitmap_recount(set);
out:
    sqlite3_finalize(statement);
    hd__arena_clear(&arena);
    if (status != HD_OK)
        hd__bitmap_clear(set);
    return status;
}

hd_status hd__filter_chunks(hd_snapshot *snapshot, const hd_filter *filter, const hd_bitmap **chunks, hd_error *err)
{
    if (filter == NULL) {
        *chunks = hd__snapshot_live(snapshot);
        return HD_OK;
    }
    hd_filter_cache *cache = hd__snapshot_filters(snapshot);
    hd_filter_hold **holds = hd__snapshot_holds(snapshot);
    const uint64_t version = hd__snapshot_version(snapshot);
    *chunks = hd__filter_cache_get(cache, filter->text, version, holds);
    if (*chunks != NULL)
        return HD_OK;
    hd_bitmap set = {0};
    HD_TRY(read_bitmap(snapshot, filter, &set, err));
    return hd__filter_cache_put(cache, filter->text, version, &set, holds, chunks, err);
}

/* ---- documents ---- */

static hd_status count_documents(hd_snapshot *snapshot, const hd_filter *filter, const char *before, const char *after,
                                 uint64_t *n, hd_error *err)
{
    hd_status status = HD_OK;
    sqlite3_stmt *statement = NULL;
    hd_arena arena;
    int parameter;
    bool row;
    hd__arena_init(&arena);
    HD_TRY_OUT(prepare(snapshot, filter, before, after, &arena, &statement, &parameter, err));
    HD_TRY_OUT(hd__sql_next(statement, &row, err));
    *n = row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
out:
    sqlite3_finalize(statement);
    hd__arena_clear(&arena);
    return status;
}

static hd_status read_ids(sqlite3_stmt *statement, hd_arena *arena, const char ***ids, size_t *n, hd_error *err)
{
    size_t capacity = 64;
    bool row;
    *n = 0;
    *ids = hd__arena_alloc(arena, capacity * sizeof **ids);
    for (;;) {
        if (*ids == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a list of %zu documents", capacity);
        HD_TRY(hd__sql_next(statement, &row, err));
        if (!row)
            return HD_OK;
        if (*n == capacity) {
            const char **more = hd__arena_alloc(arena, 2 * capacity * sizeof *more);
            if (more != NULL)
                memcpy(more, *ids, capacity * sizeof *more);
            *ids = more;
            capacity *= 2;
        }
        const hd_span id = hd__sql_span(statement, 0);
        char *copy = hd__arena_strndup(arena, id.ptr, id.len);
        if (*ids == NULL || copy == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a list of %zu documents", capacity);
        (*ids)[(*n)++] = copy;
    }
}

hd_status hd__filter_documents(hd_snapshot *snapshot, const hd_filter *filter, uint64_t offset, uint64_t limit,
                               hd_arena *arena, const char ***ids, size_t *n, uint64_t *n_all, hd_error *err)
{
    static const char page[] = " ORDER BY d.id LIMIT ? OFFSET ?";
    const bool of_chunks = filter != NULL && filter->of_chunks;
    const char *condition = filter == NULL ? "1"
                            : of_chunks    ? "EXISTS (SELECT 1 FROM chunk AS c WHERE c.id >= d.first_chunk AND "
                                             "c.id < d.first_chunk + d.n_chunks AND "
                                           : "";
    hd_status status = HD_OK;
    sqlite3_stmt *statement = NULL;
    int parameter;
    char *count = hd__arena_printf(arena, "SELECT count(*) FROM document AS d WHERE %s", condition);
    char *select = hd__arena_printf(arena, "SELECT d.id FROM document AS d WHERE %s", condition);
    char *after = hd__arena_printf(arena, "%s%s", of_chunks ? ")" : "", page);
    if (count == NULL || select == NULL || after == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a filter");
    HD_TRY(count_documents(snapshot, filter, count, of_chunks ? ")" : "", n_all, err));
    HD_TRY(prepare(snapshot, filter, select, after, arena, &statement, &parameter, err));
    sqlite3_bind_int64(statement, parameter, limit <= INT64_MAX ? (int64_t)limit : INT64_MAX);
    sqlite3_bind_int64(statement, parameter + 1, offset <= INT64_MAX ? (int64_t)offset : INT64_MAX);
    status = read_ids(statement, arena, ids, n, err);
    sqlite3_finalize(statement);
    return status;
}
