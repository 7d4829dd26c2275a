/* The seconds that the page's plots are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "serve/history.h"

#define SECOND UINT64_C(1000000000)

typedef struct fixture {
    hd_history *history;
    uint64_t begin_ns; /* no earlier than its second 0 began, and well within it */
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f;
    const hd_status status = hd__history_open(&f.history, NULL);
    f.begin_ns = hd__now_ns();
    return status != HD_OK;
}

static int tear_down(void **state)
{
    hd__history_close(((fixture *)*state)->history);
    return 0;
}

static hd_http_record record_of(uint32_t n_inputs, uint64_t latency_us)
{
    return (hd_http_record){.body_ns = 5,
                            .handled_ns = 5 + latency_us * 1000,
                            .n_inputs = n_inputs,
                            .n_tokens = n_inputs * 10u,
                            .n_cached = n_inputs / 2,
                            .read_ns = 1000,
                            .tokenize_ns = 2000,
                            .queue_ns = 3000,
                            .compute_ns = 4000,
                            .write_ns = 5000};
}

static void add(fixture *f, uint64_t second, const hd_http_record *record)
{
    hd__history_add_at(f->history, record, f->begin_ns + second * SECOND);
}

static json_t *written(fixture *f, uint64_t since, uint64_t second)
{
    hd_buffer body;
    json_t *root = NULL;
    hd__buffer_init(&body);
    hd__history_write_at(f->history, since, f->begin_ns + second * SECOND, &body);
    assert_false(body.failed);
    assert_int_equal(hd__json_parse(hd__buffer_span(&body), "history", &root, NULL), HD_OK);
    hd__buffer_clear(&body);
    return root;
}

/* A column of the i-th second that was written; -1 for null. */
static json_int_t column(const json_t *root, size_t i, const char *name)
{
    const json_t *columns = json_object_get(root, "columns"), *row = json_array_get(json_object_get(root, "seconds"), i);
    assert_int_equal(json_array_size(row), json_array_size(columns));
    for (size_t c = 0; c < json_array_size(columns); c++)
        if (strcmp(json_string_value(json_array_get(columns, c)), name) == 0)
            return json_is_null(json_array_get(row, c)) ? -1 : json_integer_value(json_array_get(row, c));
    fail_msg("no column %s", name);
    return 0;
}

static json_int_t number(const json_t *root, const char *object, const char *name)
{
    const json_t *value = json_object_get(json_object_get(root, object), name);
    assert_non_null(value);
    return json_is_null(value) ? -1 : json_integer_value(value);
}

static size_t n_seconds(const json_t *root)
{
    return json_array_size(json_object_get(root, "seconds"));
}

static void nothing_happened(void **state)
{
    json_t *root = written(*state, 0, 7);
    assert_int_equal(json_integer_value(json_object_get(root, "second")), 7);
    assert_int_equal(n_seconds(root), 0);
    assert_int_equal(number(root, "window", "p50_us"), -1);
    assert_int_equal(number(root, "totals", "n_requests"), 0);
    assert_int_equal(json_object_size(json_object_get(root, "errors")), 0);
    json_decref(root);
}

static void seconds_are_summed(void **state)
{
    fixture *f = *state;
    const hd_http_record a = record_of(4, 100), b = record_of(6, 100);
    add(f, 3, &a);
    add(f, 3, &b);
    add(f, 5, &a);
    json_t *root = written(f, 0, 6);
    assert_int_equal(n_seconds(root), 2);
    assert_int_equal(column(root, 0, "second"), 3);
    assert_int_equal(column(root, 0, "n_requests"), 2);
    assert_int_equal(column(root, 0, "n_inputs"), 10);
    assert_int_equal(column(root, 0, "n_tokens"), 100);
    assert_int_equal(column(root, 0, "n_cached"), 5);
    assert_int_equal(column(root, 0, "read_us"), 2);
    assert_int_equal(column(root, 0, "tokenize_us"), 4);
    assert_int_equal(column(root, 0, "queue_us"), 6);
    assert_int_equal(column(root, 0, "compute_us"), 8);
    assert_int_equal(column(root, 0, "write_us"), 10);
    assert_int_equal(column(root, 1, "second"), 5);
    assert_int_equal(number(root, "totals", "n_inputs"), 14);
    json_decref(root);
}

/* The second that runs is told once it is over, each once for who asks from the last `second` on. */
static void only_whole_seconds(void **state)
{
    fixture *f = *state;
    const hd_http_record a = record_of(1, 100);
    add(f, 3, &a);
    json_t *root = written(f, 0, 3);
    assert_int_equal(n_seconds(root), 0);
    json_decref(root);
    root = written(f, 3, 4);
    assert_int_equal(n_seconds(root), 1);
    json_decref(root);
    root = written(f, 4, 9);
    assert_int_equal(n_seconds(root), 0);
    json_decref(root);
    root = written(f, UINT64_MAX, 9);
    assert_int_equal(n_seconds(root), 0);
    json_decref(root);
}

static void old_seconds_go(void **state)
{
    fixture *f = *state;
    const hd_http_record a = record_of(1, 100);
    for (uint64_t second = 0; second < 2 * HD_HISTORY_SECONDS; second++)
        add(f, second, &a);
    json_t *root = written(f, 0, 2 * HD_HISTORY_SECONDS - 1);
    assert_int_equal(n_seconds(root), HD_HISTORY_SECONDS - 1);
    assert_int_equal(column(root, 0, "second"), HD_HISTORY_SECONDS);
    assert_int_equal(number(root, "window", "n_requests"), HD_HISTORY_WINDOW + 1);
    assert_int_equal(number(root, "totals", "n_requests"), 2 * HD_HISTORY_SECONDS);
    json_decref(root);
    root = written(f, 0, 100 * HD_HISTORY_SECONDS); /* what the ring still holds is too old */
    assert_int_equal(n_seconds(root), 0);
    assert_int_equal(number(root, "window", "n_requests"), 0);
    json_decref(root);
}

static void near(json_int_t value, uint64_t expected)
{
    assert_true((uint64_t)value >= expected - expected / 16 && (uint64_t)value <= expected + expected / 16);
}

static void quantiles_are_near(void **state)
{
    fixture *f = *state;
    for (uint64_t us = 1; us <= 1000; us++) {
        const hd_http_record r = record_of(1, us * 10);
        add(f, 2, &r);
    }
    json_t *root = written(f, 0, 3);
    near(column(root, 0, "p50_us"), 5000);
    near(column(root, 0, "p99_us"), 9900);
    near(number(root, "window", "p50_us"), 5000);
    near(number(root, "window", "p95_us"), 9500);
    near(number(root, "window", "p99_us"), 9900);
    json_decref(root);
}

/* From below a microsecond to more than the last bucket's beginning. */
static void every_size_has_a_bucket(void **state)
{
    fixture *f = *state;
    static const uint64_t sizes[] = {1, 7, 8, 9, 15, 16, 1000, 60 * 1000000, 125 * 1000000};
    uint64_t second = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, second++) {
        const hd_http_record r = record_of(1, sizes[i]);
        add(f, second, &r);
    }
    const hd_http_record longest = {.n_inputs = 1, .body_ns = 1, .handled_ns = UINT64_MAX};
    const hd_http_record shortest = {.n_inputs = 1, .body_ns = 1, .handled_ns = 2};
    add(f, second++, &longest);
    add(f, second++, &shortest);
    json_t *root = written(f, 0, second);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        near(column(root, i, "p50_us"), sizes[i]);
    assert_true(column(root, sizeof sizes / sizeof *sizes, "p50_us") > 120 * 1000000);
    assert_int_equal(column(root, sizeof sizes / sizeof *sizes + 1, "p50_us"), 0);
    json_decref(root);
}

static void faults_are_counted_by_kind(void **state)
{
    fixture *f = *state;
    hd_http_record r = record_of(0, 100);
    r.fault = HD_FAULT_TOKENS;
    add(f, 1, &r);
    add(f, 1, &r);
    r.fault = HD_FAULT_KEY;
    add(f, 1, &r);
    json_t *root = written(f, 0, 2);
    assert_int_equal(column(root, 0, "n_errors"), 3);
    assert_int_equal(column(root, 0, "p50_us"), -1); /* how fast one is refused is not how fast one is served */
    assert_int_equal(number(root, "errors", hd__fault_name(HD_FAULT_TOKENS)), 2);
    assert_int_equal(number(root, "errors", hd__fault_name(HD_FAULT_KEY)), 1);
    assert_int_equal(json_object_size(json_object_get(root, "errors")), 2);
    json_decref(root);
}

static void what_computes_nothing_is_left_out(void **state)
{
    fixture *f = *state;
    const hd_http_record health = record_of(0, 100);
    add(f, 1, &health);
    json_t *root = written(f, 0, 2);
    assert_int_equal(number(root, "totals", "n_requests"), 0);
    json_decref(root);
}

static void observer_adds_now(void **state)
{
    fixture *f = *state;
    const hd_exchange x = {.record = record_of(3, 100)};
    hd__history_add(&x, f->history);
    hd_buffer body;
    hd__buffer_init(&body);
    hd__history_write(f->history, 0, &body);
    assert_non_null(memmem(body.ptr, body.len, "\"n_inputs\":3", 12));
    hd__buffer_clear(&body);
}

static void no_memory(void **state)
{
    (void)state;
    hd_history *history = NULL;
    hd_error err;
    hd__alloc_fail_after(0, UINT64_MAX);
    const hd_status status = hd__history_open(&history, &err);
    hd__alloc_fail_off();
    assert_int_equal(status, HD_ERR_MEMORY);
    assert_null(history);
    hd__history_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_happened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seconds_are_summed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_whole_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_seconds_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quantiles_are_near, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_size_has_a_bucket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_are_counted_by_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_computes_nothing_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(observer_adds_now, set_up, tear_down),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
