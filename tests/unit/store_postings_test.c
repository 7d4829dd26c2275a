/* Tests of store/postings.c and what is below it: lists equal to those of a plain reference that keeps everything in arrays
 * and scores every chunk, through commits, removals, merges, filters, other connections, rollbacks and compaction. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/limits.h"
#include "scratch.h"
#include "store/postings.h"
#include "store/postings_search.h"

enum { MAX_CHUNKS = 12000, MAX_TERMS = 400, MAX_QUERY = 24, TEXT_BYTES = 1024 };

/* ---- a random collection ------------------------------------------------------------------------ */

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

/* Few terms are frequent, most are rare. */
static uint32_t zipf(void)
{
    const double u = (below(1000000) + 1) / 1000001.0;
    return (uint32_t)(pow(MAX_TERMS, u) - 1);
}

typedef struct chunk {
    uint8_t tf[MAX_TERMS];
    uint16_t weight[MAX_TERMS]; /* halves */
    uint16_t length;
    bool is_there; /* numbers may be left out */
    bool is_live;
    char title[TEXT_BYTES], section[TEXT_BYTES], text[TEXT_BYTES];
} chunk;

typedef struct collection {
    chunk *chunks; /* [MAX_CHUNKS] */
    uint32_t n, n_committed;
    sqlite3 *db;
    hd_postings *postings;
    scratch dir;
} collection;

static void make_text(chunk *c, char *out, uint32_t n_words, uint32_t weight)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n_words; i++) {
        const uint32_t term = zipf();
        c->tf[term] = (uint8_t)(c->tf[term] + weight);
        c->length = (uint16_t)(c->length + weight);
        at += (size_t)snprintf(out + at, TEXT_BYTES - at, "%sT%u%s", i > 0 ? " " : "", term, below(9) == 0 ? "," : "");
    }
}

static sqlite3 *connect_to(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void collection_begin(collection *c, uint64_t with_seed)
{
    seed = with_seed * 0x9E3779B97F4A7C15u + 1;
    *c = (collection){.chunks = calloc(MAX_CHUNKS, sizeof(chunk))};
    assert_non_null(c->chunks);
    scratch_begin(&c->dir);
    c->db = connect_to(scratch_path(&c->dir, "db"));
    run_sql(c->db, "BEGIN");
    assert_int_equal(hd__postings_create(c->db, "none", NULL), HD_OK);
    run_sql(c->db, "COMMIT");
    assert_int_equal(hd__postings_open(c->db, &c->postings, NULL), HD_OK);
}

static void collection_end(collection *c)
{
    hd__postings_close(c->postings);
    sqlite3_close(c->db);
    scratch_end(&c->dir);
    free(c->chunks);
}

static void add_chunk(collection *c)
{
    assert_true(c->n < MAX_CHUNKS);
    const uint32_t id = c->n++;
    chunk *made = &c->chunks[id];
    memset(made, 0, sizeof *made);
    if (below(40) == 0) /* a number that no chunk has */
        return;
    made->is_there = made->is_live = true;
    make_text(made, made->title, below(3), HD_BM25_HEADING_WEIGHT);
    make_text(made, made->section, below(3), HD_BM25_HEADING_WEIGHT);
    make_text(made, made->text, below(30), 1);
    assert_int_equal(hd__postings_add_text(c->postings, c->db, id, hd__span_of(made->title), hd__span_of(made->section),
                                           hd__span_of(made->text), NULL),
                     HD_OK);
    uint32_t ids[MAX_TERMS];
    float weights[MAX_TERMS];
    size_t n = 0;
    for (uint32_t term = 0; term < MAX_TERMS; term++) {
        if (made->tf[term] == 0)
            continue;
        ids[n] = term * 70000;
        weights[n] = (float)(below(3000)) / 1000.0f; /* some are 0 */
        made->weight[term] = weights[n] > 0 ? hd__half_of(weights[n]) : 0;
        n++;
    }
    assert_int_equal(hd__postings_add_sparse(c->postings, c->db, id, (hd_sparse_vector){ids, weights, n}, NULL), HD_OK);
}

static void remove_chunk(collection *c, uint32_t id)
{
    chunk *gone = &c->chunks[id];
    if (!gone->is_live)
        return;
    gone->is_live = false;
    assert_int_equal(hd__postings_remove_text(c->postings, hd__span_of(gone->title), hd__span_of(gone->section),
                                              hd__span_of(gone->text), NULL),
                     HD_OK);
}

static void commit(collection *c, uint32_t n_added, uint32_t n_removed)
{
    run_sql(c->db, "BEGIN IMMEDIATE");
    for (uint32_t i = 0; i < n_added; i++)
        add_chunk(c);
    for (uint32_t i = 0; i < n_removed && c->n > 0; i++)
        remove_chunk(c, below(c->n));
    hd_error err;
    if (hd__postings_flush(c->postings, c->db, &err) != HD_OK)
        fail_msg("%s", err.text);
    run_sql(c->db, "COMMIT");
}

/* ---- the reference ------------------------------------------------------------------------------ */

typedef struct query {
    uint32_t terms[MAX_QUERY]; /* different */
    float weights[MAX_QUERY];
    size_t n;
    char text[TEXT_BYTES];
} query;

static void make_query(query *q, size_t n)
{
    *q = (query){0};
    size_t at = 0;
    while (n-- > 0) {
        const uint32_t term = below(3) == 0 ? below(MAX_TERMS) : zipf();
        size_t i = 0;
        while (i < q->n && q->terms[i] != term)
            i++;
        q->terms[i] = term;
        q->weights[i] += 1;
        q->n += i == q->n;
        at += (size_t)snprintf(q->text + at, sizeof q->text - at, " t%u?", term);
    }
}

static uint32_t units_of(bool sparse, float weight, const chunk *c, uint32_t term, float norm, float per_word)
{
    int32_t units;
    if (sparse) {
        units = (int32_t)(weight * hd__float_of_bits(hd__half_widen(c->weight[term])));
    } else {
        const float ratio = (float)c->tf[term] / (norm + per_word * (float)c->length);
        units = (int32_t)(weight - weight / (1.0f + ratio));
    }
    return (uint32_t)(units < 1 ? 1 : units);
}

typedef struct scored {
    uint32_t id, units;
    double plain; /* by the formula, in doubles */
} scored;

static int compare_scored(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return x->units != y->units ? (x->units < y->units ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

/* All allowed chunks of the first n, best first. */
static size_t reference(const collection *c, const query *q, bool sparse, const hd_bitmap *allowed, scored *out,
                        double *unit)
{
    double n_counted = 0, sum_length = 0, df[MAX_QUERY] = {0}, most = 0;
    uint16_t greatest[MAX_QUERY] = {0};
    for (uint32_t id = 0; id < c->n; id++) {
        const chunk *at = &c->chunks[id];
        n_counted += at->is_live;
        sum_length += at->is_live ? at->length : 0;
        for (size_t i = 0; i < q->n; i++) {
            df[i] += at->is_live && at->tf[q->terms[i]] > 0;
            if (at->weight[q->terms[i]] > greatest[i])
                greatest[i] = at->weight[q->terms[i]];
        }
    }
    const double mean = sum_length > 0 ? sum_length / n_counted : 1;
    const float norm = (float)(1.2 * (1 - 0.75)), per_word = (float)(1.2 * 0.75 / mean);
    double idf[MAX_QUERY];
    float weights[MAX_QUERY];
    for (size_t i = 0; i < q->n; i++) {
        idf[i] = log(1 + (n_counted - df[i] + 0.5) / (df[i] + 0.5));
        bool known = greatest[i] > 0;
        for (uint32_t id = 0; id < c->n && !sparse && !known; id++)
            known = c->chunks[id].tf[q->terms[i]] > 0;
        weights[i] = !known ? 0 : sparse ? q->weights[i] : q->weights[i] * (float)idf[i];
        most += sparse ? weights[i] * hd__float_of_bits(hd__half_widen(greatest[i])) : weights[i];
    }
    *unit = most / 1073741824.0;
    size_t n = 0;
    for (uint32_t id = 0; id < c->n; id++) {
        const chunk *at = &c->chunks[id];
        scored s = {.id = id};
        for (size_t i = 0; i < q->n; i++) {
            if (sparse ? at->weight[q->terms[i]] == 0 : at->tf[q->terms[i]] == 0)
                continue;
            const float weight = (float)(weights[i] / *unit);
            s.units += units_of(sparse, weight, at, q->terms[i], norm, per_word);
            s.plain += sparse ? q->weights[i] * (double)hd__float_of_bits(hd__half_widen(at->weight[q->terms[i]]))
                              : q->weights[i] * idf[i] * at->tf[q->terms[i]] /
                                    (at->tf[q->terms[i]] + 1.2 * (0.25 + 0.75 * at->length / mean));
        }
        if (s.units > 0 && hd__bitmap_has(allowed, id))
            out[n++] = s;
    }
    qsort(out, n, sizeof *out, compare_scored);
    return n;
}

/* Live chunks, one of `sparsity` of them. */
static void allow(const collection *c, uint32_t sparsity, hd_bitmap *allowed)
{
    memset(allowed->words, 0, (MAX_CHUNKS + 63) / 64 * sizeof *allowed->words);
    allowed->n = c->n;
    allowed->n_set = 0;
    for (uint32_t id = 0; id < c->n; id++) {
        if (c->chunks[id].is_live && below(sparsity) == 0) {
            allowed->words[id / 64] |= (uint64_t)1 << id % 64;
            allowed->n_set++;
        }
    }
}

static void expect_equal(const collection *c, sqlite3 *db, const query *q, bool sparse, size_t k, const hd_bitmap *allowed)
{
    static scored expected[MAX_CHUNKS];
    static hd_ranked got[MAX_CHUNKS];
    double unit;
    size_t n_expected = reference(c, q, sparse, allowed, expected, &unit), n;
    hd_error err = {0};
    hd_status status;
    if (sparse) {
        uint32_t ids[MAX_QUERY];
        for (size_t i = 0; i < q->n; i++)
            ids[i] = q->terms[i] * 70000;
        status = hd__postings_sparse(c->postings, db, (hd_sparse_vector){ids, q->weights, q->n}, k, allowed, got, &n, &err);
    } else {
        status = hd__postings_bm25(c->postings, db, hd__span_of(q->text), k, allowed, got, &n, &err);
    }
    if (status != HD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(n, n_expected < k ? n_expected : k);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].id, expected[i].id);
        assert_true(got[i].score == (float)(expected[i].units * unit));
        assert_true(fabs(got[i].score - expected[i].plain) <= 2e-6 * expected[i].plain + 2 * (double)q->n * unit);
    }
}

static void compare_searches(const collection *c, sqlite3 *db, size_t n_queries)
{
    static uint64_t words[(MAX_CHUNKS + 63) / 64];
    static const uint32_t sparsities[] = {1, 1, 2, 20, 300, 5000};
    static const size_t limits[] = {1, 10, 100, MAX_CHUNKS};
    hd_bitmap allowed = {.words = words};
    for (size_t i = 0; i < n_queries; i++) {
        query q;
        make_query(&q, 1 + below(i % 5 == 0 ? 60 : 12) % MAX_QUERY);
        allow(c, sparsities[below(6)], &allowed);
        expect_equal(c, db, &q, false, limits[below(4)], &allowed);
        expect_equal(c, db, &q, true, limits[below(4)], &allowed);
    }
}

static void found_fault(const char *what, void *data)
{
    (void)data;
    fail_msg("%s", what);
}

static void expect_sound(const collection *c, sqlite3 *db)
{
    assert_int_equal(hd__postings_check(db, c->n, found_fault, NULL, NULL), HD_OK);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void test_against_reference(void **state)
{
    (void)state;
    static const uint32_t commits[] = {0, 1, 1,    1,   130, 1000, 1,   1,   1,   1,   1,   1, 1,   1,
                                       1, 1, 4000, 300, 300, 300,  300, 300, 300, 300, 300, 5, 2000};
    for (uint64_t round = 0; round < 2; round++) {
        collection c;
        collection_begin(&c, round + 1);
        compare_searches(&c, c.db, 2);
        for (size_t i = 0; i < sizeof commits / sizeof commits[0]; i++) {
            commit(&c, commits[i], round == 0 ? 0 : below(200));
            compare_searches(&c, c.db, 6);
        }
        compare_searches(&c, c.db, 100);
        expect_sound(&c, c.db);
        hd_postings_stats stats;
        assert_int_equal(hd__postings_get_stats(c.postings, c.db, &stats, NULL), HD_OK);
        assert_true(stats.n_segments < 2 * sizeof commits / sizeof commits[0] && stats.memory_bytes > 0);
        assert_true(stats.n_terms >= MAX_TERMS / 2);
        collection_end(&c);
    }
}

/* Only removals in a commit; and all of a term's chunks gone. */
static void test_removal(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 7);
    commit(&c, 300, 0);
    commit(&c, 0, 100);
    compare_searches(&c, c.db, 20);
    for (uint32_t id = 0; id < 300; id++)
        remove_chunk(&c, id);
    commit(&c, 0, 0);
    compare_searches(&c, c.db, 5);
    commit(&c, 20, 0);
    compare_searches(&c, c.db, 20);
    expect_sound(&c, c.db);
    collection_end(&c);
}

/* What was added and not committed is not found, and never was. */
static void test_rollback(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 3);
    commit(&c, 200, 0);
    for (int flushed = 0; flushed < 2; flushed++) {
        const uint32_t n = c.n;
        run_sql(c.db, "BEGIN IMMEDIATE");
        for (int i = 0; i < 50; i++)
            add_chunk(&c);
        if (flushed) {
            assert_int_equal(hd__postings_flush(c.postings, c.db, NULL), HD_OK);
            add_chunk(&c);
        }
        run_sql(c.db, "ROLLBACK");
        hd__postings_rollback(c.postings);
        c.n = n;
        compare_searches(&c, c.db, 10);
        commit(&c, 30, 0); /* may have a segment of the number that was rolled back */
        compare_searches(&c, c.db, 10);
    }
    expect_sound(&c, c.db);
    collection_end(&c);
}

/* Readers of other connections and other processes (another hd_postings) see commits, and those of an older snapshot do not,
 * though segments have been merged since. */
static void test_snapshots(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 5);
    commit(&c, 500, 0);
    sqlite3 *old = connect_to(scratch_path(&c.dir, "db")), *other = connect_to(scratch_path(&c.dir, "db"));
    collection before = c;
    run_sql(old, "BEGIN");
    compare_searches(&before, old, 3);
    collection elsewhere = c;
    assert_int_equal(hd__postings_open(other, &elsewhere.postings, NULL), HD_OK);
    for (int i = 0; i < 20; i++) {
        commit(&c, 100, 0);
        elsewhere.n = c.n;
        compare_searches(&c, c.db, 3);
        compare_searches(&elsewhere, other, 3);
        compare_searches(&before, old, 3);
    }
    hd__postings_close(elsewhere.postings);
    sqlite3_close(old);
    sqlite3_close(other);
    collection_end(&c);
}

static void test_compaction(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 11);
    commit(&c, 3000, 1000);
    commit(&c, 3000, 2000);
    static uint64_t words[(MAX_CHUNKS + 63) / 64];
    hd_bitmap live = {.words = words};
    allow(&c, 1, &live);
    sqlite3 *to = connect_to(scratch_path(&c.dir, "compacted"));
    run_sql(to, "BEGIN");
    assert_int_equal(hd__postings_create(to, "none", NULL), HD_OK);
    assert_int_equal(hd__postings_compact(c.db, to, &live, NULL), HD_OK);
    run_sql(to, "COMMIT");
    uint32_t n = 0;
    for (uint32_t id = 0; id < c.n; id++)
        if (c.chunks[id].is_live)
            memmove(&c.chunks[n++], &c.chunks[id], sizeof(chunk));
    assert_int_equal(n, live.n_set);
    c.n = n;
    hd__postings_close(c.postings);
    assert_int_equal(hd__postings_open(to, &c.postings, NULL), HD_OK);
    compare_searches(&c, to, 30);
    expect_sound(&c, to);
    sqlite3_close(c.db);
    c.db = to;
    commit(&c, 50, 20); /* it goes on */
    compare_searches(&c, to, 10);
    collection_end(&c);
}

static void add_one(collection *c, const char *text)
{
    run_sql(c->db, "BEGIN");
    assert_int_equal(
        hd__postings_add_text(c->postings, c->db, c->n, hd__span_of(""), hd__span_of("Setup"), hd__span_of(text), NULL),
        HD_OK);
    assert_int_equal(hd__postings_flush(c->postings, c->db, NULL), HD_OK);
    run_sql(c->db, "COMMIT");
    c->n++;
}

static void expect_narrowed(collection *c, const char *query_text, uint64_t expected, uint64_t admitted)
{
    static const char *const texts[] = {"how to grep -r a folder", "the quick brown fox", "brown quick foxes", "nothing"};
    uint64_t word = 15;
    hd_bitmap chunks = {&word, 4, 4};
    assert_int_equal(hd__postings_narrow(c->postings, c->db, hd__span_of(query_text), &chunks, NULL), HD_OK);
    assert_int_equal(word, expected);
    assert_int_equal(chunks.n_set, __builtin_popcountll(expected));
    for (size_t i = 0; i < 4; i++) {
        const hd_span spans[] = {hd__span_of("Setup"), hd__span_of(texts[i])};
        bool admits;
        assert_int_equal(hd__postings_admits(c->postings, hd__span_of(query_text), spans, 2, &admits, NULL), HD_OK);
        assert_int_equal(admits, admitted >> i & 1);
    }
}

static void test_quotes(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 1);
    add_one(&c, "how to grep -r a folder");
    add_one(&c, "the quick brown fox");
    add_one(&c, "brown quick foxes");
    add_one(&c, "nothing");
    expect_narrowed(&c, "anything -here grep -r", 15, 15);
    expect_narrowed(&c, "\"quick brown\"", 6, 2);
    expect_narrowed(&c, "fox \"brown\"", 6, 6);
    expect_narrowed(&c, "fox -\"brown\"", 9, 9);
    expect_narrowed(&c, "-\"quick brown\" quick", 15, 13); /* one word alone narrows, two do not */
    expect_narrowed(&c, "\"quick\" -\"fox\"", 4, 4);
    expect_narrowed(&c, "\"setup\"", 15, 15);       /* sections count */
    expect_narrowed(&c, "\"setup nothing\"", 8, 0); /* not across texts */
    expect_narrowed(&c, "\"nowhere\"", 0, 0);
    expect_narrowed(&c, "\"\" \" \" \"?!\" \"", 15, 15);
    assert_false(hd__postings_has_quotes(hd__span_of("a \" b")));
    assert_false(hd__postings_has_quotes(hd__span_of("\"\"")));
    assert_true(hd__postings_has_quotes(hd__span_of("\"\"a\"b\"")));

    uint64_t word = 15;
    const hd_bitmap all = {&word, 4, 4};
    hd_ranked ranked[4];
    size_t n;
    /* What is excluded does not count, what is quoted does. */
    assert_int_equal(hd__postings_bm25(c.postings, c.db, hd__span_of("\"grep\" -\"nothing\""), 4, &all, ranked, &n, NULL),
                     HD_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ranked[0].id, 0);
    static const char *const hostile[] = {
        "", "\"", "-", "*", "a* OR b:c NEAR(", "'; DROP TABLE chunks; --", "\xFF\xFE", "((((", "{} [] ^$ AND NOT"};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        assert_int_equal(hd__postings_bm25(c.postings, c.db, hd__span_of(hostile[i]), 4, &all, ranked, &n, NULL), HD_OK);
    collection_end(&c);
}

static void test_matches(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 1);
    add_one(&c, "brown fox");
    add_one(&c, "brown bear");
    hd_match matches[8];
    size_t n;
    const char *text = "A Brown brown FOX and os.path";
    assert_int_equal(hd__postings_matches(c.postings, c.db, hd__span_of("fox brown os.path zebra"), hd__span_of(text),
                                          matches, 8, &n, NULL),
                     HD_OK);
    assert_int_equal(n, 6); /* brown, brown, fox, os, path, os.path */
    assert_int_equal(matches[0].begin, 2);
    assert_int_equal(matches[0].end, 7);
    assert_int_equal(matches[0].term, matches[1].term);
    assert_int_equal(matches[2].begin, 14);
    assert_true(matches[2].weight > matches[0].weight); /* rarer */
    assert_true(matches[3].weight > matches[2].weight); /* nowhere */
    assert_int_equal(hd__postings_matches(c.postings, c.db, hd__span_of("brown"), hd__span_of(text), matches, 1, &n, NULL),
                     HD_OK);
    assert_int_equal(n, 1);
    collection_end(&c);
}

/* More different words than a query's limit: the first count. */
static void test_many_terms(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 1);
    add_one(&c, "first");
    char *text = malloc(HD_LIMIT_QUERY_TERMS * 8 + 64);
    assert_non_null(text);
    for (uint32_t extra = 0; extra < 2; extra++) {
        size_t at = 0;
        for (uint32_t i = 0; i < HD_LIMIT_QUERY_TERMS - 1 + extra; i++)
            at += (size_t)sprintf(text + at, "x%u ", i);
        strcpy(text + at, "first");
        uint64_t word = 1;
        const hd_bitmap all = {&word, 1, 1};
        hd_ranked ranked;
        size_t n;
        assert_int_equal(hd__postings_bm25(c.postings, c.db, hd__span_of(text), 1, &all, &ranked, &n, NULL), HD_OK);
        assert_int_equal(n, 1 - extra);
    }
    free(text);
    collection_end(&c);
}

static void test_bad_weights(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 1);
    static const float weights[] = {1.0f, INFINITY, 2.0f, 1e9f, 1e-9f, -1.0f};
    static const uint32_t ids[] = {3, 3, 5, 7, 9};
    hd_error err;
    assert_int_equal(hd__postings_add_sparse(c.postings, c.db, 0, (hd_sparse_vector){ids + 1, weights, 2}, &err),
                     HD_ERR_ARG);
    hd__postings_rollback(c.postings);
    assert_int_equal(hd__postings_add_sparse(c.postings, c.db, 0, (hd_sparse_vector){ids, weights + 3, 2}, &err),
                     HD_ERR_ARG);
    hd__postings_rollback(c.postings);
    run_sql(c.db, "BEGIN");
    assert_int_equal(hd__postings_add_sparse(c.postings, c.db, 0, (hd_sparse_vector){ids + 1, weights + 2, 4}, NULL), HD_OK);
    assert_int_equal(hd__postings_flush(c.postings, c.db, NULL), HD_OK);
    run_sql(c.db, "COMMIT");
    uint64_t word = 1;
    const hd_bitmap all = {&word, 1, 1};
    hd_ranked ranked;
    size_t n;
    static const float ones[] = {1.0f, 1.0f, 1.0f, 1.0f};
    assert_int_equal(hd__postings_sparse(c.postings, c.db, (hd_sparse_vector){ids + 1, ones, 4}, 1, &all, &ranked, &n, NULL),
                     HD_OK);
    assert_int_equal(n, 1);
    assert_true(fabsf(ranked.score - (2.0f + 65504.0f)) < 1.0f); /* the greatest half, and nothing of the least ones */
    static const float odd[] = {NAN, -1.0f, 0.0f, INFINITY};
    assert_int_equal(hd__postings_sparse(c.postings, c.db, (hd_sparse_vector){ids + 1, odd, 4}, 1, &all, &ranked, &n, NULL),
                     HD_OK);
    assert_int_equal(n, 0);
    collection_end(&c);
}

/* Allocation n fails: an error or the right answer, and afterwards all works. */
static void test_memory(void **state)
{
    (void)state;
    collection c;
    collection_begin(&c, 2);
    commit(&c, 600, 50);
    static uint64_t words[(MAX_CHUNKS + 63) / 64];
    hd_bitmap allowed = {.words = words};
    allow(&c, 1, &allowed);
    query q;
    make_query(&q, 5);
    bool passed = false;
    for (uint64_t n = 0; !passed; n++) {
        assert_true(n < 1000);
        hd_postings *cold;
        hd_ranked ranked[10];
        size_t n_ranked;
        hd__alloc_fail_after(n, UINT64_MAX);
        hd_status status = hd__postings_open(c.db, &cold, NULL);
        if (status == HD_OK) {
            status = hd__postings_bm25(cold, c.db, hd__span_of(q.text), 10, &allowed, ranked, &n_ranked, NULL);
            hd__postings_close(cold);
        }
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        passed = status == HD_OK;
    }
    passed = false;
    for (uint64_t n = 0; !passed; n++) {
        assert_true(n < 1000);
        run_sql(c.db, "BEGIN IMMEDIATE");
        hd__alloc_fail_after(n, UINT64_MAX);
        hd_status status = hd__postings_add_text(c.postings, c.db, c.n, hd__span_of("some title"), hd__span_of(""),
                                                 hd__span_of("words in a text"), NULL);
        if (status == HD_OK)
            status = hd__postings_flush(c.postings, c.db, NULL);
        hd__alloc_fail_off();
        run_sql(c.db, "ROLLBACK");
        hd__postings_rollback(c.postings);
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        passed = status == HD_OK;
    }
    compare_searches(&c, c.db, 10);
    commit(&c, 10, 5);
    compare_searches(&c, c.db, 10);
    collection_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_reference), cmocka_unit_test(test_removal),
        cmocka_unit_test(test_rollback),          cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_compaction),        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_matches),           cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_bad_weights),       cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
