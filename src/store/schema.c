/* schema.c - see schema.h. */
#include "store/schema.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/postings.h"
#include "store/row_checksum.h"
#include "store/sql.h"
#include "store/token_vectors.h"
#include "store/trigram.h"
#include "store/vectors.h"

#define PAGE_BYTES "8192" /* docs/STORE.md has the measurement */

/* Of version 1. document.first_chunk and .n_chunks: chunks of a document have consecutive numbers. state has one row; so has
 * identity. */
static const char tables[] =
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE identity(id INTEGER PRIMARY KEY CHECK (id = 0), model TEXT NOT NULL, fingerprint TEXT NOT NULL,"
    " similarity TEXT NOT NULL, n_dimensions INTEGER NOT NULL, n_token_dimensions INTEGER NOT NULL,"
    " has_sparse INTEGER NOT NULL) STRICT;"
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 0), version INTEGER NOT NULL, layout INTEGER NOT NULL,"
    " n_documents INTEGER NOT NULL, n_chunks INTEGER NOT NULL, n_live INTEGER NOT NULL) STRICT;"
    "INSERT INTO state VALUES(0, 1, 0, 0, 0, 0);"
    "CREATE TABLE document(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, root TEXT NOT NULL,"
    " path TEXT NOT NULL, title TEXT NOT NULL, url TEXT NOT NULL, author TEXT NOT NULL, mime TEXT NOT NULL,"
    " metadata TEXT NOT NULL, created_at INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, first_chunk INTEGER NOT NULL, n_chunks INTEGER NOT NULL) STRICT;"
    "CREATE INDEX document_root ON document(root, id);"
    "CREATE TABLE chunk(id INTEGER PRIMARY KEY, document INTEGER NOT NULL, ordinal INTEGER NOT NULL,"
    " begin_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, line INTEGER NOT NULL, page INTEGER NOT NULL,"
    " is_code INTEGER NOT NULL, key TEXT NOT NULL, section TEXT NOT NULL, text TEXT NOT NULL) STRICT;"
    "CREATE TABLE live(block INTEGER PRIMARY KEY, version INTEGER NOT NULL, bits BLOB NOT NULL) STRICT;"
    "CREATE INDEX live_version ON live(version);";

static hd_status write_identity(sqlite3 *db, const hd_identity *identity, hd_error *err)
{
    static const hd_identity none = {.model = "", .fingerprint = "", .similarity = ""};
    if (identity == NULL)
        identity = &none;
    sqlite3_stmt *insert;
    HD_TRY(hd__sql_prepare(db, "INSERT INTO identity VALUES(0, ?, ?, ?, ?, ?, ?)", &insert, err));
    hd__sql_bind_text(insert, 1, hd__span_of(identity->model));
    hd__sql_bind_text(insert, 2, hd__span_of(identity->fingerprint));
    hd__sql_bind_text(insert, 3, hd__span_of(identity->similarity));
    sqlite3_bind_int64(insert, 4, identity->n_dimensions);
    sqlite3_bind_int64(insert, 5, identity->n_token_dimensions);
    sqlite3_bind_int64(insert, 6, identity->has_sparse);
    hd_status status = hd__sql_run(insert, err);
    sqlite3_finalize(insert);
    return status;
}

static hd_status write_language(sqlite3 *db, const char *language, hd_error *err)
{
    sqlite3_stmt *insert;
    HD_TRY(hd__sql_prepare(db, "INSERT INTO setting VALUES('" HD_SCHEMA_LANGUAGE "', ?)", &insert, err));
    hd__sql_bind_text(insert, 1, hd__span_of(language));
    hd_status status = hd__sql_run(insert, err);
    sqlite3_finalize(insert);
    return status;
}

/* From nothing to version 1; data is the hd_store_options. */
static hd_status create_tables(sqlite3 *db, const void *data, hd_error *err)
{
    const hd_store_options *options = data;
    const char *language = options->language != NULL ? options->language : "english";
    HD_TRY(hd__sql_exec(db, tables, err));
    HD_TRY(write_identity(db, options->identity, err));
    HD_TRY(write_language(db, language, err));
    HD_TRY(hd__trigram_create(db, err));
    HD_TRY(hd__postings_create(db, language, err));
    if (options->identity != NULL && options->identity->n_dimensions > 0)
        HD_TRY(hd__vectors_create(db, err));
    if (options->identity != NULL && options->identity->n_token_dimensions > 0)
        HD_TRY(hd__token_vectors_create(db, err));
    return HD_OK;
}

/* To version 2. How the documents that are there were cut is not known. */
static hd_status add_cut(sqlite3 *db, const void *data, hd_error *err)
{
    (void)data;
    return hd__sql_exec(db, "ALTER TABLE document ADD COLUMN cut TEXT NOT NULL DEFAULT ''", err);
}

/* To version 3. The texts that are there are taken as they are. */
static hd_status add_checksums(sqlite3 *db, const void *data, hd_error *err)
{
    (void)data;
    return hd__sql_exec(db,
                        "ALTER TABLE document ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;"
                        "ALTER TABLE chunk ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;"
                        "UPDATE document SET checksum = " HD_CHECKSUM_DOCUMENT ";"
                        "UPDATE chunk SET checksum = " HD_CHECKSUM_CHUNK,
                        err);
}

static hd_migration *const migrations[] = {create_tables, add_cut, add_checksums};
#define VERSION ((uint32_t)(sizeof migrations / sizeof migrations[0]))

static hd_status fail_newer(const char *path, int64_t version, uint32_t ours, hd_error *err)
{
    return hd__fail(err, HD_ERR_UNSUPPORTED,
                    "%s: its schema is of version %lld, this Heddle knows versions up to %u: a newer Heddle reads it", path,
                    (long long)version, ours);
}

static hd_status migrate_steps(sqlite3 *db, hd_migration *const *steps, uint32_t n, const void *data, hd_error *err)
{
    int64_t version;
    HD_TRY(hd__sql_integer(db, "PRAGMA user_version", &version, err)); /* again: another process may have been first */
    if (version < 0 || version > n)
        return fail_newer(sqlite3_db_filename(db, "main"), version, n, err);
    if (version == n)
        return HD_OK;
    for (uint32_t i = (uint32_t)version; i < n; i++)
        HD_TRY(steps[i](db, data, err));
    char raise[64];
    snprintf(raise, sizeof raise, "PRAGMA user_version = %u", n);
    HD_TRY(hd__sql_exec(db, raise, err));
    snprintf(raise, sizeof raise, "PRAGMA application_id = %d", HD_SCHEMA_APPLICATION_ID);
    return hd__sql_exec(db, raise, err);
}

hd_status hd__schema_migrate(sqlite3 *db, hd_migration *const *steps, uint32_t n, const void *data, hd_error *err)
{
    HD_TRY(hd__sql_exec(db, "BEGIN IMMEDIATE", err));
    hd_status status = migrate_steps(db, steps, n, data, err);
    if (status == HD_OK)
        status = hd__sql_exec(db, "COMMIT", err);
    if (status != HD_OK && sqlite3_get_autocommit(db) == 0)
        HD_IGNORE(hd__sql_exec(db, "ROLLBACK", NULL)); /* the error that there was is told */
    return status;
}

/* Readers then see the last commit while a writer writes. */
static hd_status use_wal(sqlite3 *db, const char *path, hd_error *err)
{
    sqlite3_stmt *statement;
    HD_TRY(hd__sql_prepare(db, "PRAGMA journal_mode = WAL", &statement, err));
    bool row;
    hd_status status = hd__sql_next(statement, &row, err);
    if (status == HD_OK && !(row && hd__span_is(hd__sql_span(statement, 0), "wal")))
        status = hd__fail(err, HD_ERR_UNSUPPORTED,
                          "%s: the file system cannot keep a write-ahead log (shared memory): choose a local disk", path);
    sqlite3_finalize(statement);
    return status;
}

/* SQLite does not wait for locks here: two processes that make the same file take turns. */
static hd_status begin_wal(sqlite3 *db, const char *path, uint32_t busy_ms, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_status status;
    while ((status = use_wal(db, path, err)) == HD_ERR_BUSY && hd__seconds_since(start) * 1e3 < busy_ms)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return status;
}

hd_status hd__schema_open(sqlite3 *db, const char *path, const hd_store_options *options, hd_error *err)
{
    int64_t application, version, n_tables;
    HD_TRY(hd__sql_integer(db, "PRAGMA application_id", &application, err));
    HD_TRY(hd__sql_integer(db, "PRAGMA user_version", &version, err));
    HD_TRY(hd__sql_integer(db, "SELECT count(*) FROM sqlite_schema", &n_tables, err));
    const bool is_blank = application == 0 && version == 0 && n_tables == 0;
    if (is_blank && !options->create)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: an empty file, no index", path);
    if (!is_blank && application != HD_SCHEMA_APPLICATION_ID)
        return hd__fail(err, HD_ERR_FORMAT, "%s: an SQLite database, but no index of Heddle", path);
    if (version < 0 || version > VERSION)
        return fail_newer(path, version, VERSION, err);
    if (options->read_only)
        return version == VERSION
                   ? HD_OK
                   : hd__fail(err, HD_ERR_UNSUPPORTED,
                              "%s: its schema is of version %lld, not %u: somebody who may write to it has to open it once",
                              path, (long long)version, VERSION);
    if (is_blank)
        HD_TRY(hd__sql_exec(db, "PRAGMA page_size = " PAGE_BYTES, err));
    HD_TRY(begin_wal(db, path, options->busy_ms, err));
    return version == VERSION ? HD_OK : hd__schema_migrate(db, migrations, VERSION, options, err);
}

bool hd__schema_is_older(sqlite3 *db)
{
    int64_t application, version;
    return hd__sql_integer(db, "PRAGMA application_id", &application, NULL) == HD_OK &&
           application == HD_SCHEMA_APPLICATION_ID && hd__sql_integer(db, "PRAGMA user_version", &version, NULL) == HD_OK &&
           version > 0 && version < VERSION;
}

hd_status hd__schema_identity(sqlite3 *db, hd_arena *arena, hd_identity *identity, hd_error *err)
{
    sqlite3_stmt *select;
    HD_TRY(hd__sql_prepare(
        db, "SELECT model, fingerprint, similarity, n_dimensions, n_token_dimensions, has_sparse FROM identity", &select,
        err));
    bool row;
    hd_status status = hd__sql_next(select, &row, err);
    if (status == HD_OK && !row)
        status = hd__sql_damaged(db, err, "it does not say which model its vectors are of");
    const char *texts[3] = {NULL};
    for (int i = 0; i < 3 && status == HD_OK; i++) {
        const hd_span text = hd__sql_span(select, i);
        texts[i] = hd__arena_strndup(arena, text.ptr, text.len);
        status = texts[i] != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory to open an index");
    }
    const int64_t n_dimensions = sqlite3_column_int64(select, 3), n_token_dimensions = sqlite3_column_int64(select, 4);
    if (status == HD_OK && (n_dimensions < 0 || n_dimensions > HD_LIMIT_DENSE_WIDTH || n_token_dimensions < 0 ||
                            n_token_dimensions > HD_LIMIT_DENSE_WIDTH))
        status = hd__sql_damaged(db, err, "vectors of %lld and of %lld dimensions", (long long)n_dimensions,
                                 (long long)n_token_dimensions);
    if (status == HD_OK)
        *identity = (hd_identity){.model = texts[0],
                                  .fingerprint = texts[1],
                                  .similarity = texts[2],
                                  .n_dimensions = (uint32_t)n_dimensions,
                                  .n_token_dimensions = (uint32_t)n_token_dimensions,
                                  .has_sparse = sqlite3_column_int64(select, 5) != 0};
    sqlite3_finalize(select);
    return status;
}

hd_status hd__schema_same_identity(const char *path, const hd_identity *file, const hd_identity *wanted, hd_error *err)
{
    const bool same_weights = strcmp(file->fingerprint, wanted->fingerprint) == 0;
    if (strcmp(file->model, wanted->model) != 0 && (!same_weights || file->fingerprint[0] == '\0')) /* not one that moved */
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: made %s%s, not with %s: use that model, or make another index", path,
                        file->model[0] != '\0' ? "with " : "without a model", file->model, wanted->model);
    if (!same_weights)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: made with %s of fingerprint %s, not %s: the model's files have changed", path, file->model,
                        file->fingerprint, wanted->fingerprint);
    if (strcmp(file->similarity, wanted->similarity) != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: made with %s for %s similarity, not %s", path, file->model,
                        file->similarity, wanted->similarity);
    if (file->n_dimensions != wanted->n_dimensions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: made with %s of %u dimensions, not %u", path, file->model,
                        file->n_dimensions, wanted->n_dimensions);
    if (file->n_token_dimensions != wanted->n_token_dimensions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: made with token vectors of %u dimensions, not %u", path,
                        file->n_token_dimensions, wanted->n_token_dimensions);
    if (file->has_sparse != wanted->has_sparse)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: made %s sparse weights, not %s", path,
                        file->has_sparse ? "with" : "without", wanted->has_sparse ? "with" : "without");
    return HD_OK;
}
