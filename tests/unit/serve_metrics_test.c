/* Series, their text for Prometheus, and what requests become there. */
#include "serve/metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "serve/exposition.h"

static hd_error err;

static hd_buckets three = {.n = 3, .bounds = {1, 10, 100}, .unit = 0.5};

static char *text_of(hd_buffer *out)
{
    assert_false(out->failed);
    hd__buffer_append_char(out, '\0');
    return out->ptr;
}

/* The sample's value in the text; fails when the line is not there. */
static double value_of(const char *text, const char *sample)
{
    const size_t len = strlen(sample);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, sample, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    print_message("%s\nhas no %s\n", text, sample);
    fail();
    return 0;
}

/* ---- series and exposition ---- */

static void histograms_count_up_to_their_bounds(void **state)
{
    (void)state;
    hd_histogram h = {0};
    hd_buffer out = {0};
    hd__buckets_init(&three);
    hd__histogram_add(&h, &three, 0, 1);
    hd__histogram_add(&h, &three, 1, 1);
    hd__histogram_add(&h, &three, 2, 3);
    hd__histogram_add(&h, &three, 100, 1);
    hd__histogram_add(&h, &three, 101, 2);
    hd__expose_family(&out, "h", "histogram", "Back\\slash\nand line");
    hd__expose_histogram(&out, "h", NULL, 0, &three, &h);
    hd__expose_histogram(&out, "h", &(hd_label){"a", "b"}, 1, &three, &(hd_histogram){0});
    assert_string_equal(text_of(&out), "# HELP h Back\\\\slash\\nand line\n"
                                       "# TYPE h histogram\n"
                                       "h_bucket{le=\"0.5\"} 2\n"
                                       "h_bucket{le=\"5\"} 5\n"
                                       "h_bucket{le=\"50\"} 6\n"
                                       "h_bucket{le=\"+Inf\"} 8\n"
                                       "h_sum 154.5\n"
                                       "h_count 8\n"
                                       "h_bucket{a=\"b\",le=\"0.5\"} 0\n"
                                       "h_bucket{a=\"b\",le=\"5\"} 0\n"
                                       "h_bucket{a=\"b\",le=\"50\"} 0\n"
                                       "h_bucket{a=\"b\",le=\"+Inf\"} 0\n"
                                       "h_sum{a=\"b\"} 0\n"
                                       "h_count{a=\"b\"} 0\n");
    hd__buffer_clear(&out);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    hd_buffer out = {0};
    const hd_label labels[] = {{"a", "say \"hi\"\\\n"}, {"b", "\xc3\xa9\xff"}, {"c", ""}};
    hd__expose_uint(&out, "n", labels, 3, UINT64_MAX);
    hd__expose_real(&out, "r", NULL, 0, 0.1);
    hd__expose_real(&out, "r", NULL, 0, (double)INFINITY);
    hd__expose_real(&out, "r", NULL, 0, -(double)INFINITY);
    hd__expose_real(&out, "r", NULL, 0, (double)NAN);
    assert_string_equal(text_of(&out),
                        "n{a=\"say \\\"hi\\\"\\\\\\n\",b=\"\xc3\xa9\xef\xbf\xbd\",c=\"\"} 18446744073709551615\n"
                        "r 0.1\nr +Inf\nr -Inf\nr NaN\n");
    hd__buffer_clear(&out);
}

static size_t n_series(const hd_series_table *table)
{
    const char *const *labels;
    size_t n = 0;
    for (size_t at = 0; hd__series_next(table, &at, &labels) != NULL;)
        n++;
    return n;
}

static void tables_keep_to_their_size(void **state)
{
    (void)state;
    hd_series_table *table;
    assert_int_equal(hd__series_open(2, sizeof(hd_counter), 5, &table, &err), HD_OK);
    hd_counter *values[7];
    for (size_t i = 0; i < 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%zu", i);
        values[i] = hd__series_at(table, (const char *const[]){name, NULL});
        hd__counter_add(values[i], i);
        assert_ptr_equal(values[i], hd__series_at(table, (const char *const[]){name, ""}));
        assert_int_equal(n_series(table), i < 5 ? i + 1 : 6);
    }
    for (size_t i = 1; i < 5; i++)
        assert_ptr_not_equal(values[i], values[0]);
    assert_ptr_equal(values[5], values[6]); /* the one of all others */
    assert_int_equal(hd__counter_get(values[6]), 11);
    size_t n_other = 0;
    const char *const *labels;
    for (size_t at = 0; hd__series_next(table, &at, &labels) != NULL;)
        n_other += strcmp(labels[0], "other") == 0 && strcmp(labels[1], "other") == 0;
    assert_int_equal(n_other, 1);
    hd__series_close(table);
}

static void long_labels_are_cut(void **state)
{
    (void)state;
    char name[HD_SERIES_LABEL_BYTES + 10];
    hd_series_table *table;
    memset(name, 'x', sizeof name);
    assert_int_equal(hd__series_open(1, 8, 5, &table, &err), HD_OK);
    for (size_t len = HD_SERIES_LABEL_BYTES - 2; len < sizeof name; len++) {
        name[len] = '\0';
        assert_non_null(hd__series_at(table, (const char *const[]){name}));
        name[len] = 'x';
    }
    assert_int_equal(n_series(table), 2); /* one shorter than the limit, and the limit */
    hd__series_close(table);
}

static void a_table_without_memory_still_counts(void **state)
{
    (void)state;
    hd_series_table *table = NULL;
    for (uint64_t n = 0; n < 2; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        assert_int_equal(hd__series_open(1, 8, 5, &table, &err), HD_ERR_MEMORY);
        hd__alloc_fail_off();
    }
    assert_int_equal(hd__series_open(1, 8, 5, &table, &err), HD_OK);
    hd__alloc_fail_after(0, UINT64_MAX);
    hd_counter *a = hd__series_at(table, (const char *const[]){"a"});
    hd__alloc_fail_off();
    hd__counter_add(a, 2);
    assert_ptr_not_equal(a, hd__series_at(table, (const char *const[]){"a"}));
    assert_int_equal(n_series(table), 2); /* "a" and the one of all others, whose 2 are not lost */
    hd__series_close(table);
}

enum { N_THREADS = 8, N_ROUNDS = 2000, N_NAMES = 64 };

static void *count_names(void *data)
{
    for (size_t i = 0; i < (size_t)N_ROUNDS * N_NAMES; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%zu", i % N_NAMES);
        hd__counter_add(hd__series_at(data, (const char *const[]){name}), 1);
    }
    return NULL;
}

static void threads_make_each_series_once(void **state)
{
    (void)state;
    hd_series_table *table;
    pthread_t threads[N_THREADS];
    assert_int_equal(hd__series_open(1, sizeof(hd_counter), N_NAMES * 2, &table, &err), HD_OK);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_names, table), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_series(table), N_NAMES);
    const char *const *labels;
    const hd_counter *n;
    for (size_t at = 0; (n = hd__series_next(table, &at, &labels)) != NULL;)
        assert_int_equal(hd__counter_get(n), N_THREADS * N_ROUNDS);
    hd__series_close(table);
}

/* ---- metrics ---- */

static hd_metrics_sample now; /* what look gives */

static void look(hd_metrics_sample *sample, hd_arena *arena, void *data)
{
    (void)arena;
    (void)data;
    *sample = now;
}

static hd_metrics *open_metrics(void)
{
    static const char *const states[] = {"unloaded", "loading", "loaded", "failed", NULL};
    const hd_metrics_options options = {.version = "1.2",
                                        .device = "cpu \"x\"",
                                        .states = states,
                                        .n_cpus = 4,
                                        .max_queue_tokens = 1000,
                                        .start_s = 1700000000,
                                        .look = look};
    hd_metrics *metrics;
    now = (hd_metrics_sample){0};
    assert_int_equal(hd__metrics_open(&options, &metrics, &err), HD_OK);
    return metrics;
}

static void scrape(hd_metrics *metrics, hd_buffer *out)
{
    hd_arena arena;
    hd_http_response response = {0};
    hd__arena_init(&arena);
    hd__metrics_write(metrics, &arena, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
    hd__arena_clear(&arena);
    hd__buffer_clear(out);
    *out = response.body;
    text_of(out);
}

static hd_exchange embedding(void)
{
    return (hd_exchange){.response.status = 200,
                         .record = {.start_ns = 1000,
                                    .body_ns = 51000,
                                    .handled_ns = 3001000,
                                    .sent_ns = 3002000,
                                    .n_body_bytes = 100,
                                    .n_response_bytes = 2000,
                                    .route = "/v1/embeddings",
                                    .dialect = "openai",
                                    .task = "embed",
                                    .model = "minilm",
                                    .n_inputs = 3,
                                    .n_characters = 40,
                                    .n_tokens = 20,
                                    .n_cached = 1,
                                    .read_ns = 10000,
                                    .tokenize_ns = 200000,
                                    .queue_ns = 300000,
                                    .compute_ns = 2000000,
                                    .write_ns = 40000}};
}

static void requests_become_families(void **state)
{
    (void)state;
    hd_metrics *metrics = open_metrics();
    hd_exchange x = embedding();
    hd_buffer out = {0};
    hd__metrics_count(&x, metrics);
    hd__metrics_count(&x, metrics);
    scrape(metrics, &out);
#define DURATION(part) "heddle_request_duration_seconds" part
#define LABELS "protocol=\"openai\",route=\"/v1/embeddings\",model=\"minilm\",status=\"200\""
    assert_int_equal(value_of(out.ptr, DURATION("_count{" LABELS "}")), 2);
    assert_float_equal(value_of(out.ptr, DURATION("_sum{" LABELS "}")), 0.006002f, 1e-8f);
    assert_int_equal(value_of(out.ptr, DURATION("_bucket{" LABELS ",le=\"0.002\"}")), 0);
    assert_int_equal(value_of(out.ptr, DURATION("_bucket{" LABELS ",le=\"0.005\"}")), 2);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"body\"}"), 1e-4, 1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"read\"}"), 2e-5, 1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"tokenize\"}"), 4e-4,
                       1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"queue\"}"), 6e-4, 1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"compute\"}"), 4e-3,
                       1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"write\"}"), 8e-5, 1e-9);
    assert_float_equal(value_of(out.ptr, "heddle_phase_duration_seconds_sum{model=\"minilm\",phase=\"send\"}"), 2e-6, 1e-9);
    assert_int_equal(value_of(out.ptr, "heddle_inputs_total{model=\"minilm\"}"), 6);
    assert_int_equal(value_of(out.ptr, "heddle_cached_inputs_total{model=\"minilm\"}"), 2);
    assert_int_equal(value_of(out.ptr, "heddle_tokens_total{model=\"minilm\"}"), 40);
    assert_int_equal(value_of(out.ptr, "heddle_characters_total{model=\"minilm\"}"), 80);
    assert_int_equal(value_of(out.ptr, "heddle_request_inputs_bucket{model=\"minilm\",le=\"4\"}"), 2);
    assert_int_equal(value_of(out.ptr, "heddle_request_tokens_sum{model=\"minilm\"}"), 40);
    assert_int_equal(value_of(out.ptr, "heddle_request_body_bytes_total"), 200);
    assert_int_equal(value_of(out.ptr, "heddle_response_body_bytes_total"), 4000);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

static void faults_are_counted_by_kind(void **state)
{
    (void)state;
    static const struct {
        hd_fault_kind kind;
        const char *tei; /* NULL: not TEI's */
    } faults[] = {
        {HD_FAULT_INPUTS, "batch_size"},      {HD_FAULT_CANCELLED, "dropped"},
        {HD_FAULT_NUMERIC, "inference"},      {HD_FAULT_MISSING, "missing_values"},
        {HD_FAULT_UNSUPPORTED, "model_type"}, {HD_FAULT_OVERLOADED, "overloaded"},
        {HD_FAULT_TOKENS, "validation"},      {HD_FAULT_KEY, NULL},
        {HD_FAULT_BODY_BYTES, NULL},
    };
    hd_metrics *metrics = open_metrics();
    hd_buffer out = {0};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        hd_exchange x = embedding();
        char sample[128];
        x.response.status = 422;
        x.record.fault = faults[i].kind;
        hd__metrics_count(&x, metrics);
        scrape(metrics, &out);
        snprintf(sample, sizeof sample, "heddle_request_errors_total{protocol=\"openai\",kind=\"%s\"}",
                 hd__fault_name(faults[i].kind));
        assert_int_equal(value_of(out.ptr, sample), 1);
        snprintf(sample, sizeof sample, "te_request_failure{err=\"%s\"}",
                 faults[i].tei != NULL ? faults[i].tei : "validation");
        assert_int_equal(value_of(out.ptr, sample), 1);
    }
    assert_int_equal(value_of(out.ptr, "te_request_success{method=\"batch\"}"), 0);
    assert_int_equal(value_of(out.ptr, "te_request_failure{err=\"tokenization\"}"), 0);
    assert_null(strstr(out.ptr, "heddle_inputs_total{")); /* nothing was answered */
    hd_exchange lost = {.response.status = 404, .record = {.start_ns = 1, .aborted = true, .fault = HD_FAULT_ROUTE}};
    hd__metrics_count(&lost, metrics);
    scrape(metrics, &out);
    assert_int_equal(value_of(out.ptr, "heddle_requests_aborted_total"), 1);
    assert_int_equal(
        value_of(out.ptr, "heddle_request_duration_seconds_count{protocol=\"\",route=\"\",model=\"\",status=\"404\"}"), 1);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

static void tei_sees_texts_of_each_kind(void **state)
{
    (void)state;
    hd_metrics *metrics = open_metrics();
    hd_exchange x = embedding();
    hd_buffer out = {0};
    hd__metrics_count(&x, metrics);
    x.record.n_inputs = 1;
    hd__metrics_count(&x, metrics);
    x.record.task = "rerank";
    hd__metrics_count(&x, metrics);
    x.record.task = "tokenize";
    hd__metrics_count(&x, metrics);
    scrape(metrics, &out);
    assert_int_equal(value_of(out.ptr, "te_request_count{method=\"single\"}"), 1);
    assert_int_equal(value_of(out.ptr, "te_request_count{method=\"batch\"}"), 2);
    assert_int_equal(value_of(out.ptr, "te_request_success{method=\"batch\"}"), 2);
    assert_int_equal(value_of(out.ptr, "te_embed_count"), 4);
    assert_int_equal(value_of(out.ptr, "te_embed_success"), 4);
    assert_int_equal(value_of(out.ptr, "te_predict_count"), 1);
    assert_int_equal(value_of(out.ptr, "te_request_duration_count"), 3);
    assert_float_equal(value_of(out.ptr, "te_request_duration_sum"), 0.009003f, 1e-8f);
    assert_int_equal(value_of(out.ptr, "te_request_duration_bucket{le=\"1.5e-05\"}"), 0);
    assert_int_equal(value_of(out.ptr, "te_embed_inference_duration_count"), 4);
    assert_int_equal(value_of(out.ptr, "te_predict_queue_duration_count"), 1);
    /* 20 tokens in 3 texts are 7, 7 and 6; then 20 twice in one */
    assert_int_equal(value_of(out.ptr, "te_request_input_length_count"), 5);
    assert_int_equal(value_of(out.ptr, "te_request_input_length_sum"), 60);
    assert_int_equal(value_of(out.ptr, "te_request_input_length_bucket{le=\"8\"}"), 3);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

static void others_are_asked(void **state)
{
    (void)state;
    hd_metrics *metrics = open_metrics();
    hd_buffer out = {0};
    const hd_metrics_model models[] = {{"a", "loaded", 90}, {"b\"", "failed", 0}};
    const hd_device_info devices[] = {
        {.name = "cuda:0", .hardware = "H", .driver = "D", .is_up = true, .n_texts = 11, .n_returned = 2, .used_bytes = 12},
        {.name = "cuda:1", .hardware = "H", .driver = "D", .n_failures = 3, .n_out_of_memory = 4},
    };
    now.engine = (hd_engine_stats){.n_batches = 3,
                                   .n_batch_texts = 10,
                                   .n_batch_tokens = 100,
                                   .n_batch_capacity = 200,
                                   .cache_hits = 1,
                                   .cache_misses = 3,
                                   .queue_texts = 7,
                                   .queue_tokens = 70};
    now.server = (hd_server_stats){.n_accepted = 9, .n_connections = 4, .n_in_flight = 2};
    now.traces = (hd_traces_stats){.n_exported = 5, .n_dropped_queue = 6, .n_dropped_export = 7, .n_rejected_spans = 8};
    now.models = models;
    now.n_models = 2;
    now.devices = devices;
    now.n_devices = 2;
    now.ready = true;
    now.n_devices = 0;
    scrape(metrics, &out);
    assert_int_equal(value_of(out.ptr, "heddle_build_info{version=\"1.2\",device=\"cpu \\\"x\\\"\"}"), 1);
    now.n_devices = 2;
    hd__buffer_clear(&out);
    scrape(metrics, &out);
    assert_int_equal(value_of(out.ptr, "heddle_build_info{version=\"1.2\",device=\"H\"}"), 1);
    assert_float_equal(value_of(out.ptr, "heddle_batch_fill_ratio"), 0.5, 0);
    assert_float_equal(value_of(out.ptr, "heddle_cache_hit_ratio"), 0.25, 0);
    assert_int_equal(value_of(out.ptr, "heddle_queue_tokens"), 70);
    assert_int_equal(value_of(out.ptr, "heddle_queue_limit_tokens"), 1000);
    assert_int_equal(value_of(out.ptr, "te_queue_size"), 7);
    assert_int_equal(value_of(out.ptr, "heddle_model_state{model=\"a\",state=\"loaded\"}"), 1);
    assert_int_equal(value_of(out.ptr, "heddle_model_state{model=\"a\",state=\"failed\"}"), 0);
    assert_int_equal(value_of(out.ptr, "heddle_model_state{model=\"b\\\"\",state=\"failed\"}"), 1);
    assert_int_equal(value_of(out.ptr, "heddle_model_weights_bytes{model=\"a\"}"), 90);
    assert_int_equal(value_of(out.ptr, "heddle_device_up{device=\"cuda:0\",hardware=\"H\",driver=\"D\"}"), 1);
    assert_int_equal(value_of(out.ptr, "heddle_device_up{device=\"cuda:1\",hardware=\"H\",driver=\"D\"}"), 0);
    assert_int_equal(value_of(out.ptr, "heddle_device_texts_total{device=\"cuda:0\"}"), 11);
    assert_int_equal(value_of(out.ptr, "heddle_device_returned_texts_total{device=\"cuda:0\"}"), 2);
    assert_int_equal(value_of(out.ptr, "heddle_device_memory_used_bytes{device=\"cuda:0\"}"), 12);
    assert_int_equal(value_of(out.ptr, "heddle_device_failures_total{device=\"cuda:1\"}"), 3);
    assert_int_equal(value_of(out.ptr, "heddle_device_out_of_memory_total{device=\"cuda:1\"}"), 4);
    assert_int_equal(value_of(out.ptr, "heddle_connections"), 4);
    assert_int_equal(value_of(out.ptr, "heddle_traces_dropped_total{reason=\"queue\"}"), 6);
    assert_int_equal(value_of(out.ptr, "heddle_traces_dropped_total{reason=\"export\"}"), 7);
    assert_true(value_of(out.ptr, "process_resident_memory_bytes") > 1e5);
    assert_true(value_of(out.ptr, "process_cpu_seconds_total") > 0);
    assert_int_equal(value_of(out.ptr, "process_start_time_seconds"), 1700000000);
    /* 10 texts in 3 batches are 4, 3 and 3; 100 tokens are 34, 33 and 33 */
    assert_int_equal(value_of(out.ptr, "te_batch_next_size_count"), 3);
    assert_int_equal(value_of(out.ptr, "te_batch_next_size_sum"), 10);
    assert_int_equal(value_of(out.ptr, "te_batch_next_tokens_sum"), 100);
    now.engine.n_batches = 4;
    now.engine.n_batch_texts = 11;
    now.engine.n_batch_tokens = 105;
    scrape(metrics, &out);
    scrape(metrics, &out); /* a second look adds nothing */
    assert_int_equal(value_of(out.ptr, "te_batch_next_size_count"), 4);
    assert_int_equal(value_of(out.ptr, "te_batch_next_size_bucket{le=\"1\"}"), 1);
    assert_int_equal(value_of(out.ptr, "te_batch_next_tokens_sum"), 105);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

/* Each family once, its lines together: what strict readers want. */
static void families_come_once(void **state)
{
    (void)state;
    hd_metrics *metrics = open_metrics();
    hd_exchange x = embedding();
    hd_buffer out = {0};
    hd__metrics_count(&x, metrics);
    scrape(metrics, &out);
    size_t n = 0;
    for (const char *line = strstr(out.ptr, "# TYPE "); line != NULL; line = strstr(line + 1, "# TYPE "), n++) {
        char type[128];
        assert_int_equal(sscanf(line, "# TYPE %100s", type), 1);
        char whole[160];
        snprintf(whole, sizeof whole, "# TYPE %s ", type);
        assert_ptr_equal(strstr(out.ptr, whole), line);
    }
    assert_true(n > 60);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

static void open_fails_without_memory(void **state)
{
    (void)state;
    const hd_metrics_options options = {.version = "", .device = "", .look = look};
    hd_metrics *metrics = NULL;
    hd_status status = HD_ERR_MEMORY;
    uint64_t n = 0;
    for (; status != HD_OK; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__metrics_open(&options, &metrics, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || (status == HD_ERR_MEMORY && metrics == NULL));
    }
    assert_true(n > 5);
    hd_http_response response = {0};
    hd_arena arena;
    hd__arena_init(&arena);
    hd__alloc_fail_after(1, UINT64_MAX);
    hd__metrics_write(metrics, &arena, &response);
    hd__alloc_fail_off();
    assert_true(response.body.failed);
    hd__buffer_clear(&response.body);
    hd__metrics_close(metrics);
    hd__metrics_close(NULL);
}

/* Only a server with an index tells of one. */
static void searches_are_counted_by_leg(void **state)
{
    (void)state;
    hd_metrics *metrics = open_metrics();
    hd_buffer out = {0};
    hd_exchange x = {.response.status = 200, .record = {.start_ns = 1, .sent_ns = 2, .n_searches = 2}};
    x.record.search_ns[HD_SEARCH_EMBED] = 4000000;
    x.record.search_ns[HD_SEARCH_TOTAL] = 10000000;
    hd__metrics_count(&x, metrics);
    scrape(metrics, &out);
    assert_null(strstr(out.ptr, "heddle_search_seconds"));
    now.has_index = true;
    now.index = (hd_index_stats){.n_documents = 3, .n_chunks = 40, .n_graph = 5, .file_bytes = 600};
    scrape(metrics, &out);
    assert_int_equal(value_of(out.ptr, "heddle_search_seconds_count{leg=\"embed\"}"), 2);
    assert_float_equal(value_of(out.ptr, "heddle_search_seconds_sum{leg=\"embed\"}"), 0.004, 1e-9);
    assert_int_equal(value_of(out.ptr, "heddle_search_seconds_bucket{leg=\"total\",le=\"0.005\"}"), 2);
    assert_int_equal(value_of(out.ptr, "heddle_search_seconds_count{leg=\"bm25\"}"), 0);
    assert_int_equal(value_of(out.ptr, "heddle_index_documents"), 3);
    assert_int_equal(value_of(out.ptr, "heddle_index_chunks"), 40);
    assert_int_equal(value_of(out.ptr, "heddle_index_graph_chunks"), 5);
    assert_int_equal(value_of(out.ptr, "heddle_index_file_bytes"), 600);
    hd__buffer_clear(&out);
    hd__metrics_close(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histograms_count_up_to_their_bounds),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(tables_keep_to_their_size),
        cmocka_unit_test(long_labels_are_cut),
        cmocka_unit_test(a_table_without_memory_still_counts),
        cmocka_unit_test(threads_make_each_series_once),
        cmocka_unit_test(requests_become_families),
        cmocka_unit_test(faults_are_counted_by_kind),
        cmocka_unit_test(tei_sees_texts_of_each_kind),
        cmocka_unit_test(others_are_asked),
        cmocka_unit_test(searches_are_counted_by_leg),
        cmocka_unit_test(families_come_once),
        cmocka_unit_test(open_fails_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
