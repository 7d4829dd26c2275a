/* store_fixture.h - a store in a temporary folder, and documents for it. */
#ifndef HD_TESTS_STORE_FIXTURE_H
#define HD_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/document.h"
#include "store/snapshot.h"
#include "unit/scratch.h"

#define assert_ok(call) assert_status(call, HD_OK)
#define assert_status(call, expected)                                                                                       \
    do {                                                                                                                    \
        const hd_status status_ = (call);                                                                                   \
        if (status_ != (expected))                                                                                          \
            fail_msg("%s: %s: %s", #call, hd_status_name(status_), err.text);                                               \
    } while (0)
#define assert_error(call, expected, part)                                                                                  \
    do {                                                                                                                    \
        assert_status(call, expected);                                                                                      \
        if (strstr(err.text, part) == NULL)                                                                                 \
            fail_msg("\"%s\" does not say \"%s\"", err.text, part);                                                         \
    } while (0)

static scratch s;
static hd_arena arena;
static hd_error err;

static inline int store_begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    hd__arena_init(&arena);
    err = (hd_error){0};
    return 0;
}

static inline int store_end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    scratch_end(&s);
    return 0;
}

/* The file "db" of the scratch folder, made when it is not there; without vectors. */
static inline hd_store *open_store(void)
{
    hd_store *store = NULL;
    assert_ok(hd__store_open(scratch_path(&s, "db"), &(hd_store_options){.create = true}, &store, &err));
    return store;
}

/* One with every kind of vectors: dense ones of 4, token vectors of 3, sparse weights if asked for. */
static inline hd_store *open_full(const char *file, bool sparse)
{
    const hd_identity identity = {.model = "m",
                                  .fingerprint = "f",
                                  .similarity = "cosine",
                                  .n_dimensions = 4,
                                  .n_token_dimensions = 3,
                                  .has_sparse = sparse};
    hd_store *store = NULL;
    assert_ok(
        hd__store_open(scratch_path(&s, file), &(hd_store_options){.create = true, .identity = &identity}, &store, &err));
    return store;
}

static inline hd_document_row document_of(const char *id)
{
    return (hd_document_row){.id = id,
                             .source = "test",
                             .root = "",
                             .path = "",
                             .title = "",
                             .url = "",
                             .author = "",
                             .mime = "text/plain",
                             .metadata = "{}",
                             .cut = ""};
}

/* A document of n chunks, each with the text. */
static inline hd_status put_text(hd_write *write, const char *id, const char *text, size_t n)
{
    const hd_document_row document = document_of(id);
    hd_chunk_row chunks[64] = {0};
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        chunks[i] = (hd_chunk_row){.key = "", .section = "", .text = hd__span_of(text), .ordinal = (uint32_t)i};
    return hd__document_put(write, &document, chunks, NULL, n, &err);
}

/* The same in a full store: of chunk i, dense vector and token vectors point towards axis (first + i) % 3, its weight is 1.
 */
static inline hd_status put_full(hd_write *write, const char *id, const char *text, size_t first, size_t n)
{
    static const float axes[3][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}};
    static const uint32_t term = 5;
    static const float one = 1.0f;
    const hd_document_row document = document_of(id);
    hd_chunk_row chunks[64] = {0};
    hd_chunk_vectors vectors[64] = {0};
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) {
        const float *axis = axes[(first + i) % 3];
        chunks[i] = (hd_chunk_row){
            .key = "", .section = "", .text = hd__span_of(text), .ordinal = (uint32_t)i, .is_code = i % 2 == 0};
        vectors[i] =
            (hd_chunk_vectors){.dense = axis, .sparse = {&term, &one, 1}, .token_vectors = axis, .n_token_vectors = 1};
    }
    return hd__document_put(write, &document, chunks, vectors, n, &err);
}

/* The same in a write of its own. */
static inline void commit_text(hd_store *store, const char *id, const char *text, size_t n)
{
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(put_text(write, id, text, n));
    assert_ok(hd__write_commit(write, &err));
}

static inline bool remove_text(hd_store *store, const char *id)
{
    hd_write *write;
    bool removed;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_remove(write, id, &removed, &err));
    assert_ok(hd__write_commit(write, &err));
    return removed;
}

static inline uint32_t count_live(hd_store *store)
{
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const uint32_t n = hd__snapshot_live(snapshot)->n_set;
    hd__snapshot_end(snapshot);
    return n;
}

/* SQL on the file behind the store's back. */
static inline void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message != NULL ? message : "cannot open");
    sqlite3_close(db);
}

#endif
