/* check.c - hd__store_check and hd__store_mend of maintain.h: SQLite's own check of its pages, then what the tables say of
 * each other, then each part's check of itself.
 */
#include "store/maintain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/row_checksum.h"
#include "store/schema.h"
#include "store/store_int.h"
#include "store/trigram.h"

#define BUSY_MS 10000
#define MAX_FAULTS "100" /* of a kind: one damaged page makes many */

typedef struct checker {
    const char *path;
    hd_connection connection;
    hd_arena arena;
    hd_identity identity;
    hd_state state;
    hd_fault_fn *found;
    void *data;
    bool can_write;
} checker;

/* Damage ends the part of the check that comes upon it, and is a fault like those that are looked for. */
static hd_status as_fault(checker *c, hd_part part, hd_status status, const hd_error *why, hd_error *err)
{
    if (status == HD_ERR_FORMAT)
        c->found(part, why->text, c->data);
    return status == HD_OK || status == HD_ERR_FORMAT ? HD_OK : hd__fail(err, status, "%s", why->text);
}

static hd_status check_pages(checker *c, hd_error *err)
{
    sqlite3_stmt *statement;
    HD_TRY(hd__sql_prepare(c->connection.db, "PRAGMA integrity_check(" MAX_FAULTS ")", &statement, err));
    bool row = true;
    hd_status status = HD_OK;
    while ((status = hd__sql_next(statement, &row, err)) == HD_OK && row) {
        const hd_span text = hd__sql_span(statement, 0);
        char line[256];
        snprintf(line, sizeof line, "%.*s", (int)(text.len < sizeof line ? text.len : sizeof line - 1), text.ptr);
        for (char *newline = line; (newline = strchr(newline, '\n')) != NULL;)
            *newline = ' ';
        if (strcmp(line, "ok") != 0)
            c->found(HD_PART_FILE, line, c->data);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Each gives a number that is 0 when all is well. */
static const struct {
    const char *what, *sql;
} row_checks[] = {
    {"documents are there that are not counted, or counted that are not there",
     "SELECT abs((SELECT count(*) FROM document) - (SELECT n_documents FROM state))"},
    {"chunks are there that are not counted, or counted that are not there",
     "SELECT abs((SELECT count(*) FROM chunk) - (SELECT n_live FROM state))"},
    {"chunks are missing of their documents, or too many",
     "SELECT abs((SELECT ifnull(sum(n_chunks), 0) FROM document) - (SELECT count(*) FROM chunk))"},
    {"chunks are not in their document's range",
     "SELECT count(*) FROM chunk c LEFT JOIN document d ON d.number = c.document"
     " WHERE d.number IS NULL OR c.id < d.first_chunk OR c.id >= d.first_chunk + d.n_chunks"},
    {"chunks have numbers that were never given",
     "SELECT count(*) FROM chunk WHERE id < 0 OR id >= (SELECT n_chunks FROM state)"},
    {"documents have metadata that is no JSON object",
     "SELECT count(*) FROM document WHERE CASE WHEN json_valid(metadata) THEN json_type(metadata) <> 'object' ELSE 1 END"},
    {"documents have a hash that is none", "SELECT count(*) FROM document WHERE length(hash) <> 16"},
};

static hd_status count_faults(checker *c, hd_part part, const char *sql, const char *what, hd_error *err)
{
    int64_t n = 0;
    hd_error why = {0};
    HD_TRY(as_fault(c, part, hd__sql_integer(c->connection.db, sql, &n, &why), &why, err));
    char line[256];
    snprintf(line, sizeof line, "%" PRId64 " %s", n, what);
    if (n != 0)
        c->found(part, line, c->data);
    return HD_OK;
}

static hd_status check_rows(checker *c, hd_error *err)
{
    for (size_t i = 0; i < sizeof row_checks / sizeof *row_checks; i++)
        HD_TRY(count_faults(c, HD_PART_ROWS, row_checks[i].sql, row_checks[i].what, err));
    if (c->identity.n_token_dimensions == 0)
        return HD_OK;
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM token_vectors t LEFT JOIN chunk c ON c.id = t.chunk"
             " WHERE c.id IS NULL OR length(t.vectors) = 0 OR length(t.vectors) %% %" PRIu64 " <> 0",
             (uint64_t)c->identity.n_token_dimensions + 4);
    return count_faults(c, HD_PART_VECTORS, sql, "token vectors are of no chunk, or of the wrong length", err);
}

/* Rows that do not hold what was written. */
static hd_status check_checksums(checker *c, hd_error *err)
{
    static const char changed[] =
        "SELECT id, 0 FROM document WHERE checksum <> " HD_CHECKSUM_DOCUMENT
        " UNION ALL SELECT d.id, count(*) FROM chunk c LEFT JOIN document d ON d.number = c.document"
        " WHERE c.checksum <> " HD_CHECKSUM_CHUNK " GROUP BY c.document LIMIT " MAX_FAULTS;
    sqlite3_stmt *select;
    HD_TRY(hd__sql_prepare(c->connection.db, changed, &select, err));
    bool row = true;
    hd_status status = HD_OK;
    while ((status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        const hd_span id = hd__sql_span(select, 0);
        const int64_t n_chunks = sqlite3_column_int64(select, 1);
        char line[256], chunks[64] = " is";
        if (n_chunks > 0)
            snprintf(chunks, sizeof chunks, ": %" PRId64 " of its chunks are", n_chunks);
        snprintf(line, sizeof line, "document %.*s%s not what was written", (int)(id.len < 128 ? id.len : 128), id.ptr,
                 chunks);
        c->found(HD_PART_ROWS, line, c->data);
    }
    sqlite3_finalize(select);
    return status;
}

/* The live bitmap has the chunks' numbers and no others. */
static hd_status compare_live(checker *c, const hd_bitmap *live, hd_error *err)
{
    sqlite3_stmt *select;
    HD_TRY(hd__sql_prepare(c->connection.db, "SELECT id FROM chunk", &select, err));
    uint32_t n = 0, n_dead = 0;
    bool row = true;
    hd_status status = HD_OK;
    while ((status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        const int64_t id = sqlite3_column_int64(select, 0);
        n++;
        n_dead += id < 0 || id > UINT32_MAX || !hd__bitmap_has(live, (hd_chunk_id)id);
    }
    sqlite3_finalize(select);
    char line[128];
    snprintf(line, sizeof line, "%u chunks count as dead and are there, %u the other way round", n_dead,
             live->n_set - (n - n_dead));
    if (status == HD_OK && (n_dead > 0 || live->n_set != n))
        c->found(HD_PART_ROWS, line, c->data);
    return status;
}

static hd_status check_live(checker *c, hd_error *err)
{
    hd_live *live = NULL;
    HD_TRY(hd__live_read(&c->connection, &c->state, NULL, &live, err));
    hd_status status = compare_live(c, &live->chunks, err);
    hd__live_release(live);
    return status;
}

static void found_word(const char *what, void *data)
{
    checker *c = data;
    c->found(HD_PART_WORDS, what, c->data);
}

static void found_vector(bool in_graph, const char *what, void *data)
{
    checker *c = data;
    c->found(in_graph ? HD_PART_GRAPH : HD_PART_VECTORS, what, c->data);
}

static void found_trigram(const char *what, void *data)
{
    checker *c = data;
    c->found(HD_PART_TRIGRAMS, what, c->data);
}

static hd_status check_words(checker *c, hd_error *err)
{
    hd_postings *postings = NULL;
    HD_TRY(hd__postings_open(c->connection.db, &postings, err));
    hd__postings_close(postings);
    HD_TRY(count_faults(c, HD_PART_WORDS,
                        "SELECT count(*) FROM postings_rows WHERE id >> 32 NOT IN (SELECT id FROM postings_segments)",
                        "rows of words are of no segment", err));
    return hd__postings_check(c->connection.db, c->state.n_chunks, found_word, c, err);
}

static hd_status check_vectors(checker *c, hd_error *err)
{
    if (c->identity.n_dimensions == 0)
        return HD_OK;
    hd_vectors *vectors = NULL;
    HD_TRY(hd__vectors_open(c->connection.db, c->identity.n_dimensions, false, 1, &vectors, err));
    hd_vectors_stats stats;
    hd__vectors_get_stats(vectors, &stats);
    hd__vectors_close(vectors);
    char line[128];
    snprintf(line, sizeof line, "%" PRIu64 " vectors of %u chunks", stats.n, c->state.n_chunks);
    if (stats.n != c->state.n_chunks)
        c->found(HD_PART_VECTORS, line, c->data);
    return hd__vectors_check(c->connection.db, c->identity.n_dimensions, found_vector, c, err);
}

/* FTS5's check is a statement that writes nothing, but begins as if it would. */
static hd_status check_trigrams(checker *c, hd_error *err)
{
    if (!c->can_write)
        return HD_OK;
    HD_TRY(hd__sql_exec(c->connection.db, "BEGIN IMMEDIATE", err));
    hd_status status = hd__trigram_check(c->connection.db, found_trigram, c, err);
    HD_IGNORE(hd__sql_exec(c->connection.db, "ROLLBACK", NULL));
    return status;
}

static hd_status open_file(checker *c, hd_error *err)
{
    struct stat st;
    if (stat(c->path, &st) != 0)
        return errno == ENOENT ? hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such index", c->path)
                               : hd__fail_errno(err, errno, "%s: cannot open", c->path);
    if (!S_ISREG(st.st_mode))
        return hd__fail(err, HD_ERR_FORMAT, "%s: not a regular file, no index", c->path);
    hd_store_options options = {.busy_ms = BUSY_MS};
    c->can_write = true;
    hd_status status = hd__connection_open(c->path, HD_CONNECTION_WRITE, BUSY_MS, &c->connection, err);
    if (status == HD_OK)
        status = hd__schema_open(c->connection.db, c->path, &options, err);
    if (status != HD_ERR_IO)
        return status;
    hd__connection_close(&c->connection);
    c->can_write = false;
    options.read_only = true;
    HD_TRY(hd__connection_open(c->path, HD_CONNECTION_READ, BUSY_MS, &c->connection, err));
    return hd__schema_open(c->connection.db, c->path, &options, err);
}

static hd_status check_all(checker *c, hd_error *err)
{
    typedef hd_status check_fn(checker *, hd_error *);
    static const struct {
        hd_part part;
        check_fn *check;
    } checks[] = {{HD_PART_FILE, check_pages}, {HD_PART_ROWS, check_rows},   {HD_PART_ROWS, check_checksums},
                  {HD_PART_ROWS, check_live},  {HD_PART_WORDS, check_words}, {HD_PART_VECTORS, check_vectors}};
    hd_error why = {0};
    HD_TRY(hd__sql_exec(c->connection.db, "BEGIN", err)); /* all of it looks at one commit */
    HD_TRY(as_fault(c, HD_PART_ROWS, hd__schema_identity(c->connection.db, &c->arena, &c->identity, &why), &why, err));
    HD_TRY(as_fault(c, HD_PART_ROWS, hd__live_read_state(&c->connection, &c->state, &why), &why, err));
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        HD_TRY(as_fault(c, checks[i].part, checks[i].check(c, &why), &why, err));
    HD_IGNORE(hd__sql_exec(c->connection.db, "ROLLBACK", NULL)); /* nothing was written */
    return as_fault(c, HD_PART_TRIGRAMS, check_trigrams(c, &why), &why, err);
}

hd_status hd__store_check(const char *path, hd_fault_fn *found, void *data, hd_error *err)
{
    checker c = {.path = path, .found = found, .data = data};
    hd__arena_init(&c.arena);
    hd_status status = open_file(&c, err);
    if (status == HD_OK)
        status = check_all(&c, err);
    hd__connection_close(&c.connection);
    hd__arena_clear(&c.arena);
    return status;
}

static hd_status mend(hd_write *write, hd_error *err)
{
    HD_TRY(hd__sql_exec(write->connection.db, "INSERT INTO trigram(trigram) VALUES('rebuild')", err));
    return write->layout->vectors != NULL ? hd__vectors_drop_graph(write->layout->vectors, write->connection.db, err)
                                          : HD_OK;
}

hd_status hd__store_mend(hd_store *store, hd_error *err)
{
    hd_write *write;
    HD_TRY(hd__write_begin(store, &write, err));
    if (hd__write_done(write, mend(write, err), err) != HD_OK) {
        const hd_status status = write->failure.status;
        hd__write_abandon(write);
        return status;
    }
    return hd__write_commit(write, err);
}
