/* BM25's scores beside bm25s' (tests/golden/bm25.json, made by tools/make_bm25_golden.py): every text of every query. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "store/postings.h"

enum { MAX_TEXTS = 256 };

static void run_sql(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void expect_scores(hd_postings *postings, sqlite3 *db, json_t *query, size_t n_texts)
{
    uint64_t words[MAX_TEXTS / 64] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    const hd_bitmap all = {words, (uint32_t)n_texts, (uint32_t)n_texts};
    const char *text = json_string_value(json_object_get(query, "text"));
    json_t *scores = json_object_get(query, "scores");
    hd_ranked ranked[MAX_TEXTS];
    size_t n, n_expected = 0;
    assert_int_equal(hd__postings_bm25(postings, db, hd__span_of(text), MAX_TEXTS, &all, ranked, &n, NULL), HD_OK);
    for (size_t i = 0; i < n_texts; i++)
        n_expected += json_number_value(json_array_get(scores, i)) > 0;
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) {
        const double expected = json_number_value(json_array_get(scores, ranked[i].id));
        assert_true(fabs(ranked[i].score - expected) <= 1e-6 * expected + 1e-7);
        assert_true(i == 0 || ranked[i].score <= ranked[i - 1].score);
    }
}

static void test_scores(void **state)
{
    (void)state;
    json_t *golden = json_load_file("tests/golden/bm25.json", 0, NULL);
    assert_non_null(golden);
    json_t *texts = json_object_get(golden, "texts"), *queries = json_object_get(golden, "queries");
    const size_t n_texts = json_array_size(texts);
    assert_true(n_texts > 100 && n_texts <= MAX_TEXTS && json_array_size(queries) > 10);
    sqlite3 *db;
    hd_postings *postings;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    run_sql(db, "BEGIN");
    assert_int_equal(hd__postings_create(db, "none", NULL), HD_OK);
    assert_int_equal(hd__postings_open(db, &postings, NULL), HD_OK);
    for (size_t i = 0; i < n_texts; i++) {
        const hd_span none = hd__span_of(""), text = hd__span_of(json_string_value(json_array_get(texts, i)));
        assert_int_equal(hd__postings_add_text(postings, db, (hd_chunk_id)i, none, none, text, NULL), HD_OK);
    }
    assert_int_equal(hd__postings_flush(postings, db, NULL), HD_OK);
    run_sql(db, "COMMIT");
    for (size_t i = 0; i < json_array_size(queries); i++)
        expect_scores(postings, db, json_array_get(queries, i), n_texts);
    hd__postings_close(postings);
    sqlite3_close(db);
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
