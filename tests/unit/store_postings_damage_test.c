/* The index of words and weights with bytes of its rows changed, rows cut short or gone, and rows of segments that lie:
 * searches, commits, checks and compaction end with an answer or HD_ERR_FORMAT, and never read past what is there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store/postings.h"

enum { N_CHUNKS = 900, FLIPS = 800 };

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void add(hd_postings *postings, sqlite3 *db, hd_chunk_id id)
{
    static const uint32_t ids[] = {1, 2, 500};
    const float weights[] = {0.5f, 1.0f + (float)below(100), 0.25f};
    char text[128];
    snprintf(text, sizeof text, "the common words %s x%u x%u", id % 3 == 0 ? "of some" : "", below(50), below(2000));
    assert_int_equal(hd__postings_add_text(postings, db, id, hd__span_of("title"), hd__span_of(""), hd__span_of(text), NULL),
                     HD_OK);
    assert_int_equal(hd__postings_add_sparse(postings, db, id, (hd_sparse_vector){ids, weights, 3}, NULL), HD_OK);
}

static sqlite3 *make_database(void)
{
    sqlite3 *db;
    hd_postings *postings;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    run_sql(db, "BEGIN");
    assert_int_equal(hd__postings_create(db, "english", NULL), HD_OK);
    assert_int_equal(hd__postings_open(db, &postings, NULL), HD_OK);
    for (hd_chunk_id id = 0; id < N_CHUNKS; id++) {
        add(postings, db, id);
        if (id == N_CHUNKS * 2 / 3)
            assert_int_equal(hd__postings_flush(postings, db, NULL), HD_OK);
    }
    assert_int_equal(hd__postings_flush(postings, db, NULL), HD_OK);
    run_sql(db, "COMMIT");
    hd__postings_close(postings);
    return db;
}

static void count_fault(const char *what, void *data)
{
    assert_non_null(what);
    ++*(unsigned *)data;
}

static void expect_sane(hd_status status)
{
    assert_true(status == HD_OK || status == HD_ERR_FORMAT);
}

/* Reads everything in every way, as it is. Returns the faults found. */
static unsigned use(sqlite3 *db)
{
    static uint64_t words[(N_CHUNKS + 63) / 64];
    memset(words, 0xFF, sizeof words);
    const hd_bitmap all = {words, N_CHUNKS, N_CHUNKS};
    static const uint32_t ids[] = {1, 2, 500, 9000};
    static const float weights[] = {1, 2, 0.5f, 1};
    hd_postings *postings;
    hd_ranked ranked[50];
    size_t n;
    assert_int_equal(hd__postings_open(db, &postings, NULL), HD_OK);
    expect_sane(hd__postings_bm25(postings, db, hd__span_of("the common words of x7 x1900"), 50, &all, ranked, &n, NULL));
    expect_sane(hd__postings_sparse(postings, db, (hd_sparse_vector){ids, weights, 4}, 50, &all, ranked, &n, NULL));
    unsigned n_faults = 0;
    assert_int_equal(hd__postings_check(db, N_CHUNKS, count_fault, &n_faults, NULL), HD_OK);
    hd__postings_close(postings);
    sqlite3 *to;
    assert_int_equal(sqlite3_open(":memory:", &to), SQLITE_OK);
    assert_int_equal(hd__postings_create(to, "english", NULL), HD_OK);
    const hd_status compacted = hd__postings_compact(db, to, &all, NULL);
    expect_sane(compacted);
    assert_true(n_faults > 0 || compacted == HD_OK);
    sqlite3_close(to);
    return n_faults;
}

static void test_bytes(void **state)
{
    (void)state;
    sqlite3 *db = make_database();
    assert_int_equal(use(db), 0);
    const int64_t n_rows = number(db, "SELECT count(*) FROM postings_rows");
    unsigned n_found = 0;
    for (int i = 0; i < FLIPS; i++) {
        char sql[512];
        run_sql(db, "BEGIN");
        snprintf(sql, sizeof sql, "SELECT id FROM postings_rows ORDER BY id LIMIT 1 OFFSET %u", below((uint32_t)n_rows));
        const int64_t id = number(db, sql);
        snprintf(sql, sizeof sql, "SELECT length(data) FROM postings_rows WHERE id = %lld", (long long)id);
        const uint32_t len = (uint32_t)number(db, sql), at = below(len);
        if (i % 4 == 0)
            snprintf(sql, sizeof sql, "UPDATE postings_rows SET data = substr(data, 1, %u) WHERE id = %lld", at,
                     (long long)id);
        else
            snprintf(sql, sizeof sql,
                     "UPDATE postings_rows SET data = CAST(substr(data, 1, %u) || x'%02x' || substr(data, %u) AS BLOB)"
                     " WHERE id = %lld",
                     at, below(256), at + 2, (long long)id);
        run_sql(db, sql);
        n_found += use(db) > 0;
        run_sql(db, "ROLLBACK");
    }
    assert_true(n_found > FLIPS / 4); /* some changes are of a payload, and none can be told from the truth */
    run_sql(db, "DELETE FROM postings_rows WHERE id = (SELECT max(id) FROM postings_rows)");
    assert_true(use(db) > 0);
    sqlite3_close(db);
}

static void test_segments(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "n_chunks = 4000000000", "n_chunks = -1",       "first = -5",
        "first = 4294967295",    "n_postings = -1",     "lists_bytes = 1 << 60",
        "lists_bytes = -1",      "terms_bytes = 0",     "terms_bytes = 1",
        "index_bytes = 1",       "index_bytes = 0",     "lengths_bytes = 2",
        "n_terms = 2",           "n_postings = 77",     "first = 1",
        "n_chunks = 10",         "lists_bytes = 50000", "id = id + 4000000000",
        "id = id + 7",           "first = 0",           "lengths_bytes = 2000, n_chunks = 1000",
    };
    sqlite3 *db = make_database();
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        char sql[256];
        for (int kind = 0; kind < 2; kind++) {
            run_sql(db, "BEGIN");
            snprintf(sql, sizeof sql,
                     "UPDATE postings_segments SET %s WHERE id = (SELECT max(id) FROM postings_segments WHERE kind = %d)",
                     lies[i], kind);
            run_sql(db, sql);
            const unsigned n_found = use(db);
            if (n_found == 0)
                fail_msg("%s, kind %d: not found", lies[i], kind);
            run_sql(db, "ROLLBACK");
        }
    }
    run_sql(db, "DELETE FROM postings_state");
    hd_postings *postings;
    assert_int_equal(hd__postings_open(db, &postings, NULL), HD_ERR_FORMAT);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_segments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
