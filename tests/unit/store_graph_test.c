/* The graph as a store builds it: in transactions of its own, kept in the file, found by who opens it next, and brought to
 * memory behind the back of those who search (warmer.c). */
#include "store/legs.h"
#include "store/store_int.h"
#include "store/vectors_state.h"

#include "unit/store_fixture.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define N 1200
#define N_DIMENSIONS 8

static const hd_identity identity = {
    .model = "test", .fingerprint = "1", .similarity = "cosine", .n_dimensions = N_DIMENSIONS};

static hd_store *open_with_vectors(void)
{
    hd_store *store = NULL;
    assert_ok(
        hd__store_open(scratch_path(&s, "db"), &(hd_store_options){.identity = &identity, .create = true}, &store, &err));
    return store;
}

/* Chunk i lies in a direction of its own. */
static void direction(uint32_t i, float vector[N_DIMENSIONS])
{
    uint32_t random = i + 1;
    for (uint32_t d = 0; d < N_DIMENSIONS; d++) {
        random = random * 1664525u + 1013904223u;
        vector[d] = (float)(random >> 8) / (1 << 23) - 1;
    }
}

static void put_all(hd_store *store)
{
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    for (uint32_t i = 0; i < N; i++) {
        char id[16];
        float vector[N_DIMENSIONS];
        snprintf(id, sizeof id, "%u", i);
        direction(i, vector);
        const hd_document_row document = document_of(id);
        hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("text")};
        assert_ok(hd__document_put(write, &document, &chunk, &(hd_chunk_vectors){.dense = vector}, 1, &err));
    }
    assert_ok(hd__write_commit(write, &err));
}

static uint64_t n_graph_of(hd_store *store)
{
    hd_snapshot *snapshot;
    hd_store_usage usage;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__store_get_usage(snapshot, &usage, &err));
    hd__snapshot_end(snapshot);
    return usage.n_graph;
}

/* The nearest chunk to the i-th direction. */
static hd_chunk_id search(hd_store *store, uint32_t i)
{
    hd_snapshot *snapshot;
    float query[N_DIMENSIONS];
    hd_ranked found[1];
    size_t n;
    direction(i, query);
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__leg_dense(snapshot, query, 1, NULL, false, found, &n, &err));
    hd__snapshot_end(snapshot);
    assert_int_equal(n, 1);
    return found[0].id;
}

static void expect_nearest(hd_store *store, uint32_t i)
{
    assert_int_equal(search(store, i), i);
}

static void test_build(void **state)
{
    (void)state;
    hd_store *store = open_with_vectors();
    put_all(store);
    assert_ok(hd__store_build_graph(store, NULL, NULL, &err));
    assert_int_equal(n_graph_of(store), 0); /* too few */

    hd_vectors_tuning tuning = hd__vectors_tuning;
    tuning.scan_max = tuning.tail_max = 100;
    tuning.scan_for_beam = 1;
    hd__vectors_tune(store->layout->vectors, &tuning);
    assert_ok(hd__store_build_graph(store, NULL, NULL, &err));
    assert_int_equal(n_graph_of(store), N);
    hd__store_close(store);

    store = open_with_vectors();
    expect_nearest(store, 5);
    hd__vectors_tune(store->layout->vectors, &tuning);
    assert_int_equal(n_graph_of(store), N);
    for (uint32_t i = 0; i < N; i += 97)
        expect_nearest(store, i);
    hd__store_close(store);
}

static bool never(uint64_t done, uint64_t all, void *data)
{
    (void)done;
    (void)all;
    ++*(int *)data;
    return false;
}

static void test_stopped(void **state)
{
    (void)state;
    hd_store *store = open_with_vectors();
    put_all(store);
    hd_vectors_tuning tuning = hd__vectors_tuning;
    tuning.scan_max = tuning.tail_max = 100;
    hd__vectors_tune(store->layout->vectors, &tuning);
    int n_asked = 0;
    assert_ok(hd__store_build_graph(store, never, &n_asked, &err));
    assert_int_equal(n_asked, 1);
    assert_true(n_graph_of(store) < N);
    assert_ok(hd__store_build_graph(store, NULL, NULL, &err));
    assert_int_equal(n_graph_of(store), N);
    hd__store_close(store);
}

/* ---- warming ---- */

/* Searches walk, with a list so short that they see a part of the rows. */
static void walk_narrowly(hd_store *store)
{
    hd_vectors_tuning tuning = hd__vectors_tuning;
    tuning.scan_max = tuning.tail_max = 100;
    tuning.scan_for_beam = 1;
    tuning.beam = 8;
    hd__vectors_tune(store->layout->vectors, &tuning);
}

/* A store that was just opened over a graph of N chunks, with nothing of them in memory. */
static hd_store *open_cold(void)
{
    hd_store *store = open_with_vectors();
    (void)n_graph_of(store); /* a first snapshot makes the layout */
    walk_narrowly(store);
    return store;
}

static void make_graph(void)
{
    hd_store *store = open_with_vectors();
    put_all(store);
    walk_narrowly(store);
    assert_ok(hd__store_build_graph(store, NULL, NULL, &err));
    hd__store_close(store);
}

static bool is_all_here(hd_store *store)
{
    const hd_vectors *v = store->layout->vectors;
    return hd__codes_complete(v->codes) && v->graph->n_missing == 0;
}

static void test_second_search_warms(void **state)
{
    (void)state;
    make_graph();
    hd_store *store = open_cold();
    search(store, 1);
    assert_false(store->warmer.has_thread);
    assert_false(is_all_here(store));
    search(store, 1); /* reads nothing more, and yet shows that there will be others */
    assert_true(store->warmer.has_thread);
    while (store->warmer.works)
        sched_yield();
    assert_true(is_all_here(store));
    pthread_t thread = store->warmer.thread;
    for (uint32_t i = 0; i < N; i += 97)
        expect_nearest(store, i);
    assert_true(pthread_equal(thread, store->warmer.thread)); /* and it was the only one */
    assert_false(store->warmer.works);
    hd__store_close(store);
}

static void test_closed_while_warming(void **state)
{
    (void)state;
    make_graph();
    for (int turn = 0; turn < 50; turn++) {
        hd_store *store = open_cold();
        search(store, 1);
        search(store, 2);
        for (int i = 0; i < turn; i++)
            sched_yield();
        hd__store_close(store);
    }
}

static void test_warming_stops_and_fails(void **state)
{
    (void)state;
    make_graph();
    hd_store *store = open_cold();
    hd_snapshot *snapshot;
    atomic_bool stop = true;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__vectors_warm(store->layout->vectors, &snapshot->connection, &stop, &err));
    assert_int_equal(hd__codes_n_rows(store->layout->vectors->codes, 0), 0);
    assert_false(is_all_here(store));
    hd__snapshot_end(snapshot);

    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__sql_exec(write->connection.db, "UPDATE vector_codes SET bytes = x'00' WHERE block = 9", &err));
    write->changed = true;
    assert_ok(hd__write_commit(write, &err));
    stop = false;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_int_equal(hd__vectors_warm(store->layout->vectors, &snapshot->connection, &stop, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "block 9 of vector_codes"));
    assert_true(hd__codes_n_rows(store->layout->vectors->codes, 8 * HD_CODE_BLOCK) > 0); /* what came before it is here */
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_build, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_stopped, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_second_search_warms, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_closed_while_warming, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_warming_stops_and_fails, store_begin, store_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
