/* vectors.c and vectors_search.c: what is found beside a comparison in f32 of everything, after appending in pieces, with
 * and without a graph, filtered and not; other connections, rollback, damaged blocks, no memory.
 */
#include "store/vectors.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "kernel/distance.h"
#include "store/sql.h"
#include "store/vector_blocks.h"
#include "unit/scratch.h"

enum { DIM = 50, K = 10, N_QUERIES = 60 };

static hd_error err;

/* ---- data: rows around centres, so that near ones are there to be found ---- */

static uint64_t seed = 1;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) / (float)(1 << 24) - 0.5f;
}

static void make_row(const float *centre, float spread, float *row)
{
    double sum = 0.0;
    for (int j = 0; j < DIM; j++) {
        row[j] = centre[j] + spread * uniform();
        sum += (double)row[j] * (double)row[j];
    }
    for (int j = 0; j < DIM; j++)
        row[j] /= (float)sqrt(sum);
}

static float *make_rows(uint32_t n)
{
    enum { CENTRES = 64 };
    static float centres[CENTRES][DIM];
    float *rows = malloc((n > 0 ? n : 1) * DIM * sizeof *rows);
    assert_non_null(rows);
    for (int i = 0; i < CENTRES; i++)
        for (int j = 0; j < DIM; j++)
            centres[i][j] = uniform();
    for (uint32_t i = 0; i < n; i++)
        make_row(centres[(seed >> 33) % CENTRES], 1.2f, rows + (size_t)i * DIM);
    return rows;
}

static hd_bitmap make_bitmap(uint32_t n, float share)
{
    hd_bitmap set = {.words = calloc(n / 64 + 1, sizeof(uint64_t)), .n = n};
    assert_non_null(set.words);
    for (uint32_t i = 0; i < n; i++) {
        if (uniform() + 0.5f < share) {
            set.words[i / 64] |= 1ull << (i % 64);
            set.n_set++;
        }
    }
    return set;
}

/* ---- a store of vectors ---- */

typedef struct fixture {
    scratch folder;
    const char *path;
    hd_connection here, there; /* two to the same file */
    sqlite3 *db, *other;       /* theirs */
    hd_vectors *vectors;
} fixture;

static sqlite3 *connect_to(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static hd_vectors *open_vectors(sqlite3 *db, uint32_t n_threads)
{
    hd_vectors *vectors;
    if (hd__vectors_open(db, DIM, true, n_threads, &vectors, &err) != HD_OK)
        fail_msg("%s", err.text);
    return vectors;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    scratch_begin(&f->folder);
    f->path = strdup(scratch_path(&f->folder, "vectors.db"));
    f->db = f->here.db = connect_to(f->path);
    f->other = f->there.db = connect_to(f->path);
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_create(f->db, &err), HD_OK);
    run(f->db, "COMMIT");
    f->vectors = open_vectors(f->db, 2);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    hd__alloc_fail_off();
    hd__vectors_close(f->vectors);
    hd__connection_close(&f->here);
    hd__connection_close(&f->there);
    scratch_end(&f->folder);
    free((void *)(uintptr_t)f->path);
    free(f);
    return 0;
}

/* Thresholds so low that few rows have a graph. */
static void with_graph(hd_vectors *vectors)
{
    hd_vectors_tuning tuning = hd__vectors_tuning;
    tuning.scan_max = 500;
    tuning.tail_max = 200;
    tuning.scan_for_beam = 1;
    hd__vectors_tune(vectors, &tuning);
}

static void append(fixture *f, uint32_t first, const float *rows, uint32_t n, bool build)
{
    run(f->db, "BEGIN IMMEDIATE");
    if (hd__vectors_append(f->vectors, f->db, first, rows, n, &err) != HD_OK)
        fail_msg("%s", err.text);
    if (build && hd__vectors_build(f->vectors, f->db, NULL, NULL, &err) != HD_OK)
        fail_msg("%s", err.text);
    run(f->db, "COMMIT");
    hd__vectors_commit(f->vectors);
}

/* The k nearest allowed rows in double, best first. */
static size_t nearest(const float *rows, uint32_t n, const float *query, const hd_bitmap *allowed, size_t k, uint32_t *ids)
{
    static double best[1000];
    size_t n_best = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!hd__bitmap_has(allowed, i))
            continue;
        double score = 0.0;
        for (int j = 0; j < DIM; j++)
            score += (double)query[j] * (double)rows[(size_t)i * DIM + (size_t)j];
        size_t at = n_best;
        for (; at > 0 && best[at - 1] < score; at--) {
            if (at < k) {
                best[at] = best[at - 1];
                ids[at] = ids[at - 1];
            }
        }
        if (at < k) {
            best[at] = score;
            ids[at] = i;
            n_best += n_best < k;
        }
    }
    return n_best;
}

/* The share of the k nearest that is found, over many queries; scores are looked at, too. */
static double recall(hd_vectors *vectors, hd_connection *connection, const float *rows, uint32_t n, const hd_bitmap *allowed,
                     bool exact)
{
    size_t n_right = 0, n_wanted = 0;
    seed = 99;
    for (int q = 0; q < N_QUERIES; q++) {
        float query[DIM];
        uint32_t want[K];
        hd_ranked got[K];
        size_t n_got;
        make_row(rows + (size_t)((seed >> 33) % n) * DIM, 0.3f, query);
        const size_t n_want = nearest(rows, n, query, allowed, K, want);
        if (hd__vectors_search(vectors, connection, query, K, allowed, exact, got, &n_got, &err) != HD_OK)
            fail_msg("%s", err.text);
        assert_int_equal(n_got, n_want);
        for (size_t i = 0; i < n_got; i++) {
            double score = 0.0;
            assert_true(hd__bitmap_has(allowed, got[i].id) && got[i].id < n);
            for (int j = 0; j < DIM; j++)
                score += (double)query[j] * (double)rows[(size_t)got[i].id * DIM + (size_t)j];
            assert_true(fabs(score - (double)got[i].score) < 1e-3);
            assert_true(i == 0 || got[i].score < got[i - 1].score ||
                        (got[i].score == got[i - 1].score && got[i].id > got[i - 1].id));
            for (size_t j = 0; j < n_want; j++)
                n_right += want[j] == got[i].id;
        }
        n_wanted += n_want;
    }
    return n_wanted > 0 ? (double)n_right / (double)n_wanted : 1.0;
}

/* ---- scans ---- */

static void test_scan(void **state)
{
    fixture *f = *state;
    enum { N = 3000 };
    float *rows = make_rows(N);
    uint32_t n = 0;
    for (uint32_t i = 0; n < N; i++) { /* blocks are continued in every way */
        const uint32_t more = (i * 7) % 90 < N - n ? (i * 7) % 90 : N - n;
        append(f, n, rows + (size_t)n * DIM, more, true);
        n += more;
    }
    static const float shares[] = {1.1f, 0.9f, 0.5f, 0.1f, 0.01f, 0.001f};
    hd_vectors *fresh = open_vectors(f->other, 1);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        hd_bitmap allowed = make_bitmap(N, shares[i]);
        assert_true(recall(f->vectors, &f->here, rows, N, &allowed, false) > 0.999);
        assert_true(recall(fresh, &f->there, rows, N, &allowed, true) > 0.999); /* read from the file */
        free(allowed.words);
    }
    hd_vectors_stats stats;
    hd__vectors_get_stats(f->vectors, &stats);
    assert_int_equal(stats.n, N);
    assert_int_equal(stats.n_graph, 0);
    hd__vectors_close(fresh);
    free(rows);
}

static void test_same_on_threads(void **state)
{
    fixture *f = *state;
    enum { N = 70000, MANY = 100 };
    float *rows = make_rows(N);
    append(f, 0, rows, N, false);
    hd_vectors *alone = open_vectors(f->other, 1);
    hd_bitmap allowed = make_bitmap(N, 0.7f);
    for (int q = 0; q < 20; q++) {
        hd_ranked one[MANY], two[MANY];
        size_t n_one, n_two;
        assert_int_equal(hd__vectors_search(alone, &f->there, rows + q * DIM, MANY, &allowed, true, one, &n_one, &err),
                         HD_OK);
        assert_int_equal(hd__vectors_search(f->vectors, &f->here, rows + q * DIM, MANY, &allowed, true, two, &n_two, &err),
                         HD_OK);
        assert_int_equal(n_one, MANY);
        assert_int_equal(n_two, MANY);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(one[i].id, two[i].id);
            assert_true(one[i].score == two[i].score);
        }
    }
    hd__vectors_close(alone);
    free(allowed.words);
    free(rows);
}

/* ---- with a graph ---- */

static void expect_graph(fixture *f, uint32_t n, uint32_t n_graph)
{
    hd_vectors_stats stats;
    hd__vectors_get_stats(f->vectors, &stats);
    assert_int_equal(stats.n, n);
    assert_int_equal(stats.n_graph, n_graph);
    assert_true(stats.memory_bytes > (uint64_t)n * DIM);
}

static void test_graph(void **state)
{
    fixture *f = *state;
    enum { N = 6000 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    append(f, 0, rows, 500, true);
    expect_graph(f, 500, 0); /* too few */
    append(f, 500, rows + 500 * DIM, 1500, true);
    expect_graph(f, 2000, 2000);
    append(f, 2000, rows + 2000 * DIM, 200, true);
    expect_graph(f, 2200, 2000); /* a tail */
    for (uint32_t n = 2200; n < N; n += 380)
        append(f, n, rows + (size_t)n * DIM, 380, true);
    expect_graph(f, N, N);
    static const float shares[] = {1.1f, 0.95f, 0.5f, 0.3f, 0.1f, 0.03f, 0.01f, 0.001f};
    hd_vectors *fresh = open_vectors(f->other, 1);
    with_graph(fresh);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        hd_bitmap allowed = make_bitmap(N, shares[i]);
        const double here = recall(f->vectors, &f->here, rows, N, &allowed, false);
        const double there = recall(fresh, &f->there, rows, N, &allowed, false); /* block by block */
        assert_true(here > 0.98);
        assert_true(here == there);
        free(allowed.words);
    }
    hd__vectors_close(fresh);
    free(rows);
}

/* Only rows far from the query may be found. */
static void test_graph_against_filter(void **state)
{
    fixture *f = *state;
    enum { N = 4000 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    append(f, 0, rows, N, true);
    expect_graph(f, N, N);
    size_t n_right = 0, n_wanted = 0;
    for (int q = 0; q < 30; q++) {
        const float *query = rows + (size_t)q * DIM;
        hd_bitmap allowed = {.words = calloc(N / 64 + 1, sizeof(uint64_t)), .n = N};
        for (uint32_t i = 0; i < N; i++) {
            float score = 0.0f;
            for (int j = 0; j < DIM; j++)
                score += query[j] * rows[(size_t)i * DIM + (size_t)j];
            if (score < -0.1f) {
                allowed.words[i / 64] |= 1ull << (i % 64);
                allowed.n_set++;
            }
        }
        uint32_t want[K];
        hd_ranked got[K];
        size_t n_got;
        const size_t n_want = nearest(rows, N, query, &allowed, K, want);
        assert_int_equal(hd__vectors_search(f->vectors, &f->here, query, K, &allowed, false, got, &n_got, &err), HD_OK);
        assert_int_equal(n_got, n_want);
        for (size_t i = 0; i < n_got; i++)
            for (size_t j = 0; j < n_want; j++)
                n_right += want[j] == got[i].id;
        n_wanted += n_want;
        free(allowed.words);
    }
    assert_true(n_wanted >= 200);
    assert_true((double)n_right / (double)n_wanted > 0.9);
    free(rows);
}

static void test_rows_alike(void **state)
{
    fixture *f = *state;
    enum { N = 1500 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    for (uint32_t i = 0; i < N; i++)
        memcpy(rows + (size_t)i * DIM, rows + (size_t)(i % 3) * DIM, DIM * sizeof *rows);
    memset(rows + 5 * DIM, 0, DIM * sizeof *rows); /* one of zeros */
    append(f, 0, rows, N, true);
    expect_graph(f, N, N);
    hd_bitmap allowed = make_bitmap(N, 1.1f);
    hd_ranked got[400];
    size_t n_got;
    assert_int_equal(hd__vectors_search(f->vectors, &f->here, rows, 400, &allowed, false, got, &n_got, &err), HD_OK);
    assert_int_equal(n_got, 400);
    for (size_t i = 0; i < n_got; i++)
        assert_int_equal(got[i].id, 3 * i);
    free(allowed.words);
    free(rows);
}

/* ---- checking ---- */

typedef struct faults {
    int n_rows, n_graph;
    char last[256];
} faults;

static void note_fault(bool in_graph, const char *what, void *data)
{
    faults *f = data;
    f->n_rows += !in_graph;
    f->n_graph += in_graph;
    snprintf(f->last, sizeof f->last, "%s", what);
}

static faults check(fixture *f)
{
    faults found = {0};
    if (hd__vectors_check(f->other, DIM, note_fault, &found, &err) != HD_OK)
        fail_msg("%s", err.text);
    return found;
}

static void expect_faults(fixture *f, const char *sql, int n_rows, int n_graph)
{
    run(f->other, "BEGIN");
    run(f->other, sql);
    const faults found = check(f);
    run(f->other, "ROLLBACK");
    if (found.n_rows != n_rows || found.n_graph != n_graph)
        fail_msg("%s: %d faults of vectors, %d of the graph: %s", sql, found.n_rows, found.n_graph, found.last);
}

static void test_check(void **state)
{
    fixture *f = *state;
    enum { N = 1500 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    expect_faults(f, "SELECT 1", 0, 0);
    append(f, 0, rows, 1000, true);
    append(f, 1000, rows + 1000 * DIM, 500, true);
    expect_graph(f, N, N);
    expect_faults(f, "SELECT 1", 0, 0);
    expect_faults(f, "UPDATE vector_state SET n = -1", 1, 0);
    expect_faults(f, "UPDATE vector_state SET n = 1 << 29, n_graph = 0", 1, 0);
    expect_faults(f, "UPDATE vector_state SET n_graph = n + 1", 1, 0);
    expect_faults(f, "DELETE FROM vector_state", 1, 0);
    expect_faults(f, "DELETE FROM vector_codes WHERE block = 3", 1, 0);
    expect_faults(f, "UPDATE vector_codes SET bytes = x'00' WHERE block = 3", 1, 0);
    expect_faults(f, "UPDATE vector_codes SET bytes = CAST(x'0000c07f' || substr(bytes, 5) AS BLOB) WHERE block = 3", 1,
                  0); /* NaN */
    expect_faults(f, "UPDATE vector_codes SET bytes = CAST(x'0000803f' || substr(bytes, 5) AS BLOB) WHERE block = 3", 1, 0);
    expect_faults(
        f,
        "UPDATE vector_codes SET bytes = CAST(substr(bytes, 1, 64 * 4) || x'00' || substr(bytes, 64 * 4 + 2) AS BLOB)"
        " WHERE block = 3",
        1, 0);
    expect_faults(f, "UPDATE vector_halves SET bytes = CAST(x'00fc' || substr(bytes, 3) AS BLOB) WHERE block = 1", 1, 0);
    expect_faults(f, "UPDATE vector_links SET bytes = x'00' WHERE block = 2", 0, 1);
    expect_faults(f, "DELETE FROM vector_links WHERE block = 1 << 32", 0, 1);
    expect_faults(f, "UPDATE vector_links SET bytes = CAST(x'dc050000' || substr(bytes, 5) AS BLOB) WHERE block = 2", 0,
                  1); /* to 1500 */
    expect_faults(f, "UPDATE vector_links SET bytes = CAST(x'00010000' || substr(bytes, 5) AS BLOB) WHERE block = 2", 0,
                  1); /* to itself */
    expect_faults(f, "UPDATE vector_links SET bytes = CAST(x'ffffffff' || substr(bytes, 5) AS BLOB) WHERE block = 2", 0, 1);
    free(rows);
}

/* ---- damaged files ---- */

/* Searching and getting end, with an answer or with HD_ERR_FORMAT. */
static void expect_sound_end(fixture *f, const char *sql, const float *rows, uint32_t n)
{
    run(f->other, "BEGIN");
    run(f->other, sql);
    hd_vectors *fresh;
    hd_status status = hd__vectors_open(f->other, DIM, true, 2, &fresh, &err);
    assert_true(status == HD_OK || status == HD_ERR_FORMAT);
    bool failed = status != HD_OK;
    if (status == HD_OK) {
        with_graph(fresh);
        hd_bitmap allowed = make_bitmap(n, 1.1f);
        for (int way = 0; way < 2; way++) {
            hd_ranked got[K];
            size_t n_got;
            for (uint32_t q = 0; q < n; q += 7) {
                status =
                    hd__vectors_search(fresh, &f->there, rows + (size_t)q * DIM, K, &allowed, way != 0, got, &n_got, &err);
                assert_true(status == HD_OK || status == HD_ERR_FORMAT);
                failed = failed || status != HD_OK;
                for (size_t i = 0; status == HD_OK && i < n_got; i++)
                    assert_true(got[i].id < n && !isnan(got[i].score));
            }
        }
        free(allowed.words);
        hd__vectors_close(fresh);
    }
    if (!failed)
        fail_msg("%s: nobody noticed", sql);
    run(f->other, "ROLLBACK");
}

static void test_damage(void **state)
{
    fixture *f = *state;
    enum { N = 1500 };
    static const char *const ways[] = {
        "UPDATE vector_state SET n = -1",
        "UPDATE vector_state SET n_graph = n + 1",
        "DELETE FROM vector_state",
        "UPDATE vector_state SET n = n + 70", /* rows that are not there */
        "DELETE FROM vector_codes WHERE block = 3",
        "UPDATE vector_codes SET bytes = substr(bytes, 2)",
        "UPDATE vector_codes SET bytes = CAST(bytes || bytes AS BLOB)",
        "UPDATE vector_codes SET bytes = x'' WHERE block = 2",
        "UPDATE vector_codes SET bytes = CAST(x'0000c07f' || substr(bytes, 5) AS BLOB)",
        "UPDATE vector_codes SET bytes = CAST(x'000080ff' || substr(bytes, 5) AS BLOB)",
        "UPDATE vector_halves SET bytes = substr(bytes, 1, length(bytes) - 2)",
        "UPDATE vector_halves SET bytes = CAST(x'007e' || substr(bytes, 3) AS BLOB)",
        "DELETE FROM vector_halves",
        "UPDATE vector_links SET bytes = zeroblob(length(bytes) - 4)",
        "UPDATE vector_links SET bytes = CAST(x'fefffffe' || substr(bytes, 5) AS BLOB)",
        "DELETE FROM vector_links WHERE block > 1 << 32",
    };
    float *rows = make_rows(N + 70);
    with_graph(f->vectors);
    append(f, 0, rows, N, true);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        expect_sound_end(f, ways[i], rows, i == 3 ? N + 70 : N);
    free(rows);
}

/* ---- compaction ---- */

static void test_compact(void **state)
{
    fixture *f = *state;
    enum { N = 3000 };
    float *rows = make_rows(N);
    append(f, 0, rows, N, true);
    hd_bitmap live = make_bitmap(N, 0.6f);
    char path[600];
    snprintf(path, sizeof path, "%s.new", f->path);
    hd_connection made = {.db = connect_to(path)};
    sqlite3 *to = made.db;
    run(to, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_create(to, &err), HD_OK);
    assert_int_equal(hd__vectors_compact(f->other, to, DIM, &live, &err), HD_OK);
    run(to, "COMMIT");
    hd_vectors *compacted = open_vectors(to, 1);
    hd_vectors_stats stats;
    hd__vectors_get_stats(compacted, &stats);
    assert_int_equal(stats.n, live.n_set);
    uint32_t at = 0;
    for (uint32_t id = 0; id < N; id++) {
        float was[DIM], is[DIM];
        if (!hd__bitmap_has(&live, id))
            continue;
        assert_int_equal(hd__vectors_get(f->vectors, &f->here, &id, 1, was, &err), HD_OK);
        assert_int_equal(hd__vectors_get(compacted, &made, &at, 1, is, &err), HD_OK);
        assert_memory_equal(was, is, sizeof was);
        at++;
    }
    faults found = {0};
    assert_int_equal(hd__vectors_check(to, DIM, note_fault, &found, &err), HD_OK);
    assert_int_equal(found.n_rows, 0);
    hd__vectors_close(compacted);
    hd__connection_close(&made);
    free(live.words);
    free(rows);
}

/* ---- no memory ---- */

static hd_status all_of_it(fixture *f, const float *rows, uint32_t n)
{
    hd_vectors *vectors = NULL;
    hd_bitmap allowed = {.n = n};
    hd_ranked got[K];
    size_t n_got;
    uint64_t words[64];
    memset(words, 0xff, sizeof words);
    allowed.words = words;
    allowed.n_set = n;
    run(f->db, "BEGIN IMMEDIATE");
    hd_status status = hd__vectors_open(f->db, DIM, true, 2, &vectors, &err);
    if (status != HD_OK)
        goto out;
    with_graph(vectors);
    HD_TRY_OUT(hd__vectors_append(vectors, f->db, 0, rows, n, &err));
    HD_TRY_OUT(hd__vectors_build(vectors, f->db, NULL, NULL, &err));
    hd__vectors_commit(vectors);
    HD_TRY_OUT(hd__vectors_search(vectors, &f->here, rows, K, &allowed, false, got, &n_got, &err));
    HD_TRY_OUT(hd__vectors_search(vectors, &f->here, rows, K, &allowed, true, got, &n_got, &err));
    faults found = {0};
    HD_TRY_OUT(hd__vectors_check(f->db, DIM, note_fault, &found, &err));
out:
    run(f->db, "ROLLBACK");
    if (vectors != NULL)
        hd__vectors_rollback(vectors);
    hd__vectors_close(vectors);
    return status;
}

static void test_no_memory(void **state)
{
    fixture *f = *state;
    enum { N = 900 };
    float *rows = make_rows(N);
    uint64_t n_failed = 0;
    for (uint64_t n = 0; n < 100000; n++) {
        hd__alloc_fail_after(n, 1);
        const hd_status status = all_of_it(f, rows, N);
        hd__alloc_fail_off();
        if (status == HD_OK)
            break;
        assert_int_equal(status, HD_ERR_MEMORY);
        n_failed++;
    }
    assert_in_range(n_failed, 20, 5000);
    free(rows);
}

/* ---- readers while one writes ---- */

typedef struct reader {
    fixture *f;
    const float *rows;
    _Atomic bool *stop;
    uint32_t n_searches;
    pthread_t thread;
} reader;

static void *read_main(void *data)
{
    reader *r = data;
    hd_connection connection = {.db = connect_to(r->f->path)};
    sqlite3 *db = connection.db;
    for (uint32_t i = 0; !*r->stop; i++) {
        uint64_t words[128];
        sqlite3_stmt *select;
        memset(words, 0xff, sizeof words);
        run(db, "BEGIN");
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT n FROM vector_state", -1, &select, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(select), SQLITE_ROW);
        const uint32_t n = (uint32_t)sqlite3_column_int(select, 0);
        sqlite3_finalize(select);
        hd_bitmap allowed = {.words = words, .n = n, .n_set = n};
        hd_ranked got[K];
        size_t n_got;
        const hd_status status = hd__vectors_search(r->f->vectors, &connection, r->rows + (size_t)(i * 37 % 1000) * DIM, K,
                                                    &allowed, i % 3 == 0, got, &n_got, NULL);
        run(db, "COMMIT");
        assert_int_equal(status, HD_OK);
        assert_int_equal(n_got, n < K ? n : K);
        for (size_t j = 0; j < n_got; j++)
            assert_true(got[j].id < n);
        r->n_searches++;
    }
    hd__connection_close(&connection);
    return NULL;
}

static void test_readers_and_writer(void **state)
{
    fixture *f = *state;
    enum { N = 6000, STEP = 250, READERS = 3 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    append(f, 0, rows, 1000, true);
    _Atomic bool stop = false;
    reader readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = (reader){.f = f, .rows = rows, .stop = &stop};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_main, &readers[i]), 0);
    }
    for (uint32_t n = 1000; n < N; n += STEP) {
        run(f->db, "BEGIN IMMEDIATE"); /* half of what is written is taken back */
        assert_int_equal(hd__vectors_append(f->vectors, f->db, n, rows, STEP, &err), HD_OK);
        assert_int_equal(hd__vectors_build(f->vectors, f->db, NULL, NULL, &err), HD_OK);
        run(f->db, "ROLLBACK");
        hd__vectors_rollback(f->vectors);
        append(f, n, rows + (size_t)n * DIM, STEP, true);
    }
    stop = true;
    uint32_t n_searches = 0;
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        n_searches += readers[i].n_searches;
    }
    assert_true(n_searches > 0);
    hd_bitmap allowed = make_bitmap(N, 1.1f);
    assert_true(recall(f->vectors, &f->here, rows, N, &allowed, false) > 0.98);
    expect_faults(f, "SELECT 1", 0, 0);
    free(allowed.words);
    free(rows);
}

/* ---- the writer and others ---- */

static void test_rollback(void **state)
{
    fixture *f = *state;
    enum { N = 2000 };
    float *rows = make_rows(N), *others = make_rows(N);
    with_graph(f->vectors);
    append(f, 0, rows, 1000, true);
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_append(f->vectors, f->db, 1000, others, 1000, &err), HD_OK);
    assert_int_equal(hd__vectors_build(f->vectors, f->db, NULL, NULL, &err), HD_OK);
    run(f->db, "ROLLBACK");
    hd__vectors_rollback(f->vectors);
    expect_graph(f, 1000, 1000);
    append(f, 1000, rows + 1000 * DIM, 1000, true);
    expect_graph(f, N, N);
    hd_bitmap allowed = make_bitmap(N, 1.1f);
    assert_true(recall(f->vectors, &f->here, rows, N, &allowed, true) > 0.999);
    assert_true(recall(f->vectors, &f->here, rows, N, &allowed, false) > 0.98);
    free(allowed.words);
    free(rows);
    free(others);
}

static void test_refresh(void **state)
{
    fixture *f = *state;
    enum { N = 3000 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    hd_vectors *seen = open_vectors(f->other, 2);
    with_graph(seen);
    for (uint32_t n = 0; n < N; n += 300) {
        append(f, n, rows + (size_t)n * DIM, 300, true);
        hd_bitmap allowed = make_bitmap(n + 300, 1.1f);
        assert_int_equal(hd__vectors_refresh(seen, f->other, &err), HD_OK);
        assert_true(recall(seen, &f->there, rows, n + 300, &allowed, false) > 0.98);
        free(allowed.words);
    }
    /* A snapshot goes on seeing what it saw, and so it is searched, while the graph is another one. */
    hd_bitmap allowed = make_bitmap(N, 1.1f);
    run(f->other, "BEGIN; SELECT n FROM vector_state");
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_drop_graph(f->vectors, f->db, &err), HD_OK);
    assert_int_equal(hd__vectors_build(f->vectors, f->db, NULL, NULL, &err), HD_OK);
    run(f->db, "COMMIT");
    hd__vectors_commit(f->vectors);
    expect_graph(f, N, N);
    assert_int_equal(hd__vectors_refresh(seen, f->db, &err), HD_OK);
    assert_true(recall(seen, &f->there, rows, N, &allowed, false) > 0.999);
    run(f->other, "COMMIT");
    assert_true(recall(seen, &f->there, rows, N, &allowed, false) > 0.98);
    hd__vectors_close(seen);
    free(allowed.words);
    free(rows);
}

static bool once(uint64_t done, uint64_t all, void *data)
{
    assert_true(done <= all);
    return --*(int *)data > 0;
}

static void test_build_ends_early(void **state)
{
    fixture *f = *state;
    enum { N = 12000 };
    float *rows = make_rows(N);
    with_graph(f->vectors);
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_append(f->vectors, f->db, 0, rows, N, &err), HD_OK);
    int left = 3;
    assert_int_equal(hd__vectors_build(f->vectors, f->db, once, &left, &err), HD_OK);
    run(f->db, "COMMIT");
    hd__vectors_commit(f->vectors);
    hd_vectors_stats stats;
    hd__vectors_get_stats(f->vectors, &stats);
    assert_in_range(stats.n_graph, 100, N - 1);
    hd_bitmap allowed = make_bitmap(N, 1.1f);
    assert_true(recall(f->vectors, &f->here, rows, N, &allowed, false) > 0.98);
    append(f, N, NULL, 0, true); /* goes on */
    expect_graph(f, N, N);
    assert_true(recall(f->vectors, &f->here, rows, N, &allowed, false) > 0.98);
    hd_vectors *fresh = open_vectors(f->other, 1);
    with_graph(fresh);
    assert_true(recall(fresh, &f->there, rows, N, &allowed, false) > 0.98);
    hd__vectors_close(fresh);
    free(allowed.words);
    free(rows);
}

static void test_get(void **state)
{
    fixture *f = *state;
    enum { N = 700 };
    float *rows = make_rows(N), got[3 * DIM];
    append(f, 0, rows, N, true);
    const hd_chunk_id ids[] = {N - 1, N, 3};
    assert_int_equal(hd__vectors_get(f->vectors, &f->here, ids, 3, got, &err), HD_OK);
    for (int j = 0; j < DIM; j++) {
        assert_true(fabsf(got[j] - rows[(N - 1) * DIM + j]) < 1e-3f);
        assert_true(got[DIM + j] == 0.0f);
        assert_true(fabsf(got[2 * DIM + j] - rows[3 * DIM + j]) < 1e-3f);
    }
    free(rows);
}

static void test_bad_arguments(void **state)
{
    fixture *f = *state;
    float *rows = make_rows(3);
    hd_vectors *none;
    assert_int_equal(hd__vectors_open(f->other, 0, true, 1, &none, &err), HD_ERR_ARG);
    assert_int_equal(hd__vectors_open(f->other, K_CODES_MAX + 1, true, 1, &none, &err), HD_ERR_ARG);
    assert_int_equal(hd__vectors_open(f->other, K_CODES_MAX, false, 1, &none, &err), HD_OK);
    hd__vectors_close(none);
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_append(f->vectors, f->db, 1, rows, 1, &err), HD_ERR_ARG);
    assert_int_equal(hd__vectors_append(f->vectors, f->db, 0, rows, HD_LIMIT_CHUNKS + 1ull, &err), HD_ERR_LIMIT);
    rows[2 * DIM + 7] = NAN;
    assert_int_equal(hd__vectors_append(f->vectors, f->db, 0, rows, 3, &err), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "chunk 2"));
    hd_ranked got[1];
    size_t n_got;
    hd_bitmap allowed = make_bitmap(3, 1.1f);
    assert_int_equal(hd__vectors_search(f->vectors, &f->here, rows + 2 * DIM, 1, &allowed, false, got, &n_got, &err),
                     HD_ERR_ARG);
    assert_int_equal(hd__vectors_search(f->vectors, &f->here, rows, 1, &allowed, false, got, &n_got, &err), HD_OK);
    assert_int_equal(n_got, 0); /* there are none */
    run(f->db, "ROLLBACK");
    hd__vectors_rollback(f->vectors);
    free(allowed.words);
    free(rows);
}

static void test_large_values(void **state)
{
    fixture *f = *state;
    float row[DIM] = {65504.0f};
    hd_vectors *products;
    assert_int_equal(hd__vectors_open(f->db, DIM, false, 1, &products, &err), HD_OK);
    run(f->db, "BEGIN IMMEDIATE");
    assert_int_equal(hd__vectors_append(products, f->db, 0, row, 1, &err), HD_OK);
    row[1] = 65520.0f;
    assert_int_equal(hd__vectors_append(products, f->db, 1, row, 1, &err), HD_ERR_ARG);
    run(f->db, "ROLLBACK");
    hd__vectors_rollback(products);
    hd__vectors_close(products);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_on_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_graph, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_graph_against_filter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_readers_and_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rollback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_build_ends_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_values, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
