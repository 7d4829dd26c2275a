/* traceparent, what requests become as OTLP in JSON, and the queue in front of a collector that is slow, away or hostile. */
#include "serve/traces.h"

#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "serve/trace_context.h"
#include "serve/trace_json.h"

static hd_error err;

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- traceparent ---- */

static bool parses(const char *text)
{
    hd_trace_context context;
    return hd__trace_context_parse(hd__span_of(text), &context);
}

static void reads_traceparent(void **state)
{
    (void)state;
    hd_trace_context c;
    assert_true(hd__trace_context_parse(hd__span_of(PARENT), &c));
    assert_true(c.trace_high == 0x0af7651916cd43ddu && c.trace_low == 0x8448eb211c80319cu &&
                c.parent == 0xb7ad6b7169203331u);
    assert_true(c.sampled);
    assert_true(hd__trace_context_parse(hd__span_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02"), &c));
    assert_false(c.sampled);
    assert_true(parses("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_true(parses("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what comes later"));
    assert_true(parses("00-0af7651916cd43dd0000000000000000-b7ad6b7169203331-01"));
    static const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        " 0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parses(bad[i]));
    for (size_t len = 0; len < strlen(PARENT); len++)
        assert_false(hd__trace_context_parse(hd__span(PARENT, len), &c));
}

/* ---- a collector ---- */

typedef struct collector {
    pthread_mutex_t lock;
    json_t *spans; /* of all bodies that were taken */
    size_t n_asked, n_bodies;
    hd_status say; /* to every body */
    size_t n_say;  /* so many times; then HD_OK */
    uint64_t n_rejected;
    atomic_bool held; /* while true a body waits, as with a slow collector */
} collector;

static hd_status take_body(void *data, hd_span body, bool (*go_on)(void *), void *go_on_data, uint64_t *n_rejected,
                           hd_error *error)
{
    collector *c = data;
    while (atomic_load(&c->held)) {
        if (!go_on(go_on_data))
            return hd__fail(error, HD_ERR_CANCELLED, "given up");
        usleep(1000);
    }
    pthread_mutex_lock(&c->lock);
    hd_status status = c->n_asked++ < c->n_say ? c->say : HD_OK;
    if (status == HD_OK) {
        json_error_t e;
        json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &e);
        json_t *scope =
            json_array_get(json_object_get(json_array_get(json_object_get(root, "resourceSpans"), 0), "scopeSpans"), 0);
        if (root == NULL)
            print_message("%s at %d: %.*s\n", e.text, e.position, (int)body.len, body.ptr);
        json_array_extend(c->spans, json_object_get(scope, "spans"));
        c->n_bodies++;
        json_decref(root);
    }
    *n_rejected = c->n_rejected;
    pthread_mutex_unlock(&c->lock);
    return status == HD_OK ? HD_OK : hd__fail(error, status, "the collector is away");
}

static void collector_begin(collector *c)
{
    *c = (collector){.spans = json_array()};
    pthread_mutex_init(&c->lock, NULL);
}

static void collector_end(collector *c)
{
    json_decref(c->spans);
    pthread_mutex_destroy(&c->lock);
}

static hd_traces *open_traces(collector *c, hd_traces_options options)
{
    static const hd_trace_attribute attributes[] = {{"service.name", "heddle"}};
    options.attributes = attributes;
    options.n_attributes = 1;
    options.send = take_body;
    options.sender = c;
    options.retry_ms = options.retry_ms != 0 ? options.retry_ms : 1;
    hd_traces *traces;
    assert_int_equal(hd__traces_open(&options, &traces, &err), HD_OK);
    return traces;
}

/* As the server makes it. */
static hd_exchange request_of(const hd_http_header *headers, size_t n_headers)
{
    static _Atomic uint64_t n_requests; /* several threads make them */
    const uint64_t n = atomic_fetch_add(&n_requests, 1);
    const uint64_t now_ns = hd__now_ns();
    hd_exchange x = {.request = {.method = HD_HTTP_POST,
                                 .path = hd__span_of("/v1/embeddings"),
                                 .headers = headers,
                                 .n_headers = n_headers,
                                 .id = "id-1",
                                 .peer = "127.0.0.1"},
                     .response.status = 200,
                     .record = {.start_ns = now_ns - 5000000,
                                .body_ns = now_ns - 4900000,
                                .handled_ns = now_ns - 100000,
                                .sent_ns = now_ns,
                                .route = "/v1/embeddings",
                                .dialect = "openai",
                                .task = "embed",
                                .model = "minilm",
                                .n_inputs = 2,
                                .n_tokens = 9,
                                .read_ns = 100000,
                                .tokenize_ns = 200000,
                                .queue_ns = 300000,
                                .compute_ns = 4000000,
                                .write_ns = 50000}};
    hd_trace_context *trace = &x.record.trace;
    if (!hd__trace_context_parse(hd__http_header(&x.request, "traceparent"), trace))
        *trace = (hd_trace_context){.trace_high = 1, .trace_low = hd__hash64(hd__span(&n, sizeof n), 1)};
    trace->span = n + 1;
    return x;
}

static void wait_for(hd_traces *traces, uint64_t n_exported)
{
    hd_traces_stats stats;
    const uint64_t until_ns = hd__now_ns() + 10000000000u;
    do {
        usleep(1000);
        hd__traces_get_stats(traces, &stats);
    } while (stats.n_exported < n_exported && hd__now_ns() < until_ns);
    assert_int_equal(stats.n_exported, n_exported);
}

/* ---- spans ---- */

static const char *text_of(const json_t *span, const char *key)
{
    const char *text = json_string_value(json_object_get(span, key));
    return text != NULL ? text : "";
}

/* An attribute's value as text; "" when it is not there. */
static const char *attribute(const json_t *span, const char *key)
{
    const json_t *attributes = json_object_get(span, "attributes");
    for (size_t i = 0; i < json_array_size(attributes); i++) {
        const json_t *a = json_array_get(attributes, i), *value = json_object_get(a, "value");
        if (strcmp(text_of(a, "key"), key) == 0)
            return json_object_get(value, "intValue") != NULL ? text_of(value, "intValue") : text_of(value, "stringValue");
    }
    return "";
}

static uint64_t time_of(const json_t *span, const char *key)
{
    return (uint64_t)strtoull(text_of(span, key), NULL, 10);
}

static void a_request_becomes_spans(void **state)
{
    (void)state;
    collector c;
    collector_begin(&c);
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 10});
    const hd_http_header headers[] = {{hd__span_of("TraceParent"), hd__span_of(PARENT)},
                                      {hd__span_of("tracestate"), hd__span_of("vendor=a\"b")},
                                      {hd__span_of("User-Agent"), hd__span_of("curl\xff/8")}};
    hd_exchange x = request_of(headers, 3);
    hd__traces_take(&x, traces);
    wait_for(traces, 1);
    hd__traces_close(traces);
    assert_int_equal(json_array_size(c.spans), 8);
    const json_t *root = json_array_get(c.spans, 0);
    assert_string_equal(text_of(root, "name"), "POST /v1/embeddings");
    assert_string_equal(text_of(root, "traceId"), "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(text_of(root, "parentSpanId"), "b7ad6b7169203331");
    assert_int_equal(strtoull(text_of(root, "spanId"), NULL, 16), x.record.trace.span);
    assert_string_equal(text_of(root, "traceState"), "vendor=a\"b");
    assert_int_equal(json_integer_value(json_object_get(root, "kind")), 2);
    assert_null(json_object_get(root, "status"));
    assert_string_equal(attribute(root, "http.response.status_code"), "200");
    assert_string_equal(attribute(root, "http.route"), "/v1/embeddings");
    assert_string_equal(attribute(root, "heddle.request_id"), "id-1");
    assert_string_equal(attribute(root, "gen_ai.response.model"), "minilm");
    assert_string_equal(attribute(root, "gen_ai.operation.name"), "embeddings");
    assert_string_equal(attribute(root, "gen_ai.usage.input_tokens"), "9");
    assert_string_equal(attribute(root, "user_agent.original"), "curl\xef\xbf\xbd/8");
    const uint64_t from = time_of(root, "startTimeUnixNano"), to = time_of(root, "endTimeUnixNano");
    assert_int_equal(to - from, 5000000);
    assert_true((uint64_t)time(NULL) - to / 1000000000u < 60);
    static const char *const names[] = {"body", "read", "tokenize", "queue", "compute", "write", "send"};
    static const uint64_t lengths[] = {100000, 100000, 200000, 300000, 4000000, 50000, 100000};
    uint64_t at = from;
    for (size_t i = 0; i < 7; i++) {
        const json_t *span = json_array_get(c.spans, i + 1);
        assert_string_equal(text_of(span, "name"), names[i]);
        assert_string_equal(text_of(span, "traceId"), text_of(root, "traceId"));
        assert_string_equal(text_of(span, "parentSpanId"), text_of(root, "spanId"));
        assert_string_not_equal(text_of(span, "spanId"), text_of(root, "spanId"));
        assert_int_equal(time_of(span, "endTimeUnixNano") - time_of(span, "startTimeUnixNano"), lengths[i]);
        assert_true(time_of(span, "startTimeUnixNano") >= at && time_of(span, "endTimeUnixNano") <= to);
        at = time_of(span, "endTimeUnixNano");
    }
    collector_end(&c);
}

static void odd_requests_become_spans_too(void **state)
{
    (void)state;
    collector c;
    collector_begin(&c);
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 10});
    char state_513[514], agent[300];
    memset(state_513, 's', sizeof state_513);
    state_513[513] = '\0';
    memset(agent, 'a', sizeof agent);
    const hd_http_header headers[] = {{hd__span_of("traceparent"), hd__span_of(PARENT)},
                                      {hd__span_of("tracestate"), hd__span_of(state_513)},
                                      {hd__span_of("user-agent"), hd__span(agent, sizeof agent)}};
    hd_exchange x = request_of(headers, 3);
    x.response.status = 503;
    x.record = (hd_http_record){
        .start_ns = x.record.start_ns, .trace = x.record.trace, .fault = HD_FAULT_LOADING}; /* got no further */
    hd__traces_take(&x, traces);
    x = request_of(NULL, 0);
    x.record.compute_ns = UINT64_MAX / 2; /* clocks that do not agree */
    x.record.model = NULL;
    x.request.method = HD_HTTP_OTHER;
    hd__traces_take(&x, traces);
    x.record.start_ns = 0; /* never began */
    hd__traces_take(&x, traces);
    wait_for(traces, 2);
    hd__traces_close(traces);
    const json_t *first = json_array_get(c.spans, 0), *second = json_array_get(c.spans, 1);
    assert_string_equal(text_of(first, "name"), "POST");
    assert_string_equal(text_of(first, "traceState"), "");
    assert_int_equal(strlen(attribute(first, "user_agent.original")), HD_TRACE_TEXT_BYTES - 1);
    assert_string_equal(attribute(first, "error.type"), "loading");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "status"), "code")), 2);
    assert_string_equal(text_of(first, "startTimeUnixNano"), text_of(first, "endTimeUnixNano"));
    assert_string_equal(text_of(second, "name"), "_OTHER /v1/embeddings");
    assert_string_equal(text_of(second, "parentSpanId"), "");
    assert_int_equal(strlen(text_of(second, "traceId")), 32);
    for (size_t i = 2; i < json_array_size(c.spans); i++)
        assert_true(time_of(json_array_get(c.spans, i), "endTimeUnixNano") <= time_of(second, "endTimeUnixNano"));
    collector_end(&c);
}

/* ---- sampling ---- */

static size_t n_kept(double ratio, bool ignores_parent, const char *parent, size_t n)
{
    collector c;
    collector_begin(&c);
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = ratio, .ignores_parent = ignores_parent});
    const hd_http_header header = {hd__span_of("traceparent"), hd__span_of(parent)};
    for (size_t i = 0; i < n; i++) {
        hd_exchange x = request_of(&header, 1);
        hd__traces_take(&x, traces);
    }
    hd_traces_stats stats;
    hd__traces_get_stats(traces, &stats);
    hd__traces_close(traces);
    collector_end(&c);
    return stats.n_taken;
}

static void samples(void **state)
{
    (void)state;
#define UNSAMPLED "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    assert_int_equal(n_kept(1.0, false, "", 10), 10);
    assert_int_equal(n_kept(0.0, false, "", 10), 0);
    assert_int_equal(n_kept(0.0, false, PARENT, 10), 10);
    assert_int_equal(n_kept(0.0, true, PARENT, 10), 0);
    assert_int_equal(n_kept(1.0, false, UNSAMPLED, 10), 0);
    assert_int_equal(n_kept(1.0, true, UNSAMPLED, 10), 10);
    const size_t n = n_kept(0.25, false, "", 1000);
    assert_true(n > 150 && n < 350);
}

/* ---- the queue ---- */

static void a_full_queue_drops_and_counts(void **state)
{
    (void)state;
    collector c;
    hd_traces_stats stats;
    collector_begin(&c);
    atomic_store(&c.held, true);
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .queue_size = 16, .batch_size = 4, .delay_ms = 1});
    const uint64_t start_ns = hd__now_ns();
    for (size_t i = 0; i < 100; i++) {
        hd_exchange x = request_of(NULL, 0);
        hd__traces_take(&x, traces);
    }
    assert_true(hd__now_ns() - start_ns < 1000000000u); /* nobody waited for the collector */
    hd__traces_get_stats(traces, &stats);
    assert_int_equal(stats.n_taken + stats.n_dropped_queue, 100);
    assert_true(stats.n_taken >= 16 && stats.n_taken <= 20); /* the queue, and a batch that is on its way */
    atomic_store(&c.held, false);
    wait_for(traces, stats.n_taken);
    hd_exchange x = request_of(NULL, 0);
    hd__traces_take(&x, traces);
    wait_for(traces, stats.n_taken + 1);
    hd__traces_close(traces);
    assert_true(c.n_bodies >= 5);
    collector_end(&c);
}

static void a_collector_that_comes_back_gets_all(void **state)
{
    (void)state;
    collector c;
    hd_traces_stats stats;
    collector_begin(&c);
    c.say = HD_ERR_PEER;
    c.n_say = 4;
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 1});
    hd_exchange x = request_of(NULL, 0);
    hd__traces_take(&x, traces);
    wait_for(traces, 1);
    hd__traces_get_stats(traces, &stats);
    assert_int_equal(c.n_asked, 5);
    assert_int_equal(stats.n_dropped_export, 0);
    hd__traces_close(traces);
    collector_end(&c);
}

static void wait_for_loss(hd_traces *traces, uint64_t n)
{
    hd_traces_stats stats;
    const uint64_t until_ns = hd__now_ns() + 10000000000u;
    do {
        usleep(1000);
        hd__traces_get_stats(traces, &stats);
    } while (stats.n_dropped_export < n && hd__now_ns() < until_ns);
    assert_int_equal(stats.n_dropped_export, n);
}

static void a_collector_that_stays_away_costs_its_batch(void **state)
{
    (void)state;
    collector c;
    collector_begin(&c);
    c.say = HD_ERR_PEER;
    c.n_say = 3;
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 1, .n_tries = 3});
    hd_exchange x = request_of(NULL, 0);
    hd__traces_take(&x, traces);
    wait_for_loss(traces, 1);
    assert_int_equal(c.n_asked, 3);
    c.say = HD_ERR_FORMAT; /* what will not pass is tried once */
    c.n_say = 4;
    hd__traces_take(&x, traces);
    wait_for_loss(traces, 2);
    assert_int_equal(c.n_asked, 4);
    c.n_rejected = 3;
    hd__traces_take(&x, traces);
    wait_for(traces, 1);
    hd_traces_stats stats;
    hd__traces_get_stats(traces, &stats);
    assert_int_equal(stats.n_rejected_spans, 3);
    hd__traces_close(traces);
    collector_end(&c);
}

static void close_sends_the_rest_and_does_not_wait_long(void **state)
{
    (void)state;
    collector c;
    collector_begin(&c);
    hd_traces *traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 60000, .batch_size = 2});
    hd_exchange x = request_of(NULL, 0);
    hd__traces_take(&x, traces);
    uint64_t start_ns = hd__now_ns();
    hd__traces_close(traces);
    assert_int_equal(json_array_size(c.spans), 8);
    assert_true(hd__now_ns() - start_ns < 1500000000u);
    atomic_store(&c.held, true);
    traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 60000, .batch_size = 2, .close_ms = 100});
    for (size_t i = 0; i < 9; i++)
        hd__traces_take(&x, traces);
    start_ns = hd__now_ns();
    hd__traces_close(traces);
    assert_true(hd__now_ns() - start_ns < 1500000000u);
    collector_end(&c);
}

enum { N_THREADS = 6, N_EACH = 3000 };

static void *take_many(void *data)
{
    for (size_t i = 0; i < N_EACH; i++) {
        hd_exchange x = request_of(NULL, 0);
        x.record.handled_ns = x.record.body_ns = 0; /* one span each */
        x.record.read_ns = x.record.tokenize_ns = x.record.queue_ns = x.record.compute_ns = x.record.write_ns = 0;
        hd__traces_take(&x, data);
    }
    return NULL;
}

static void threads_take_at_once(void **state)
{
    (void)state;
    collector c;
    pthread_t threads[N_THREADS];
    hd_traces_stats stats;
    collector_begin(&c);
    hd_traces *traces =
        open_traces(&c, (hd_traces_options){.ratio = 1.0, .queue_size = 64, .batch_size = 16, .delay_ms = 1});
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, traces), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    hd__traces_get_stats(traces, &stats);
    assert_int_equal(stats.n_taken + stats.n_dropped_queue, N_THREADS * N_EACH);
    wait_for(traces, stats.n_taken);
    hd__traces_close(traces);
    assert_int_equal(json_array_size(c.spans), stats.n_taken);
    json_t *seen = json_object(); /* every span is one's own */
    for (size_t i = 0; i < json_array_size(c.spans); i++)
        json_object_set_new(seen, text_of(json_array_get(c.spans, i), "spanId"), json_true());
    assert_int_equal(json_object_size(seen), stats.n_taken);
    json_decref(seen);
    collector_end(&c);
}

static void fails_without_memory(void **state)
{
    (void)state;
    const hd_traces_options options = {.ratio = 1.0, .send = take_body};
    hd_traces *traces = NULL;
    for (uint64_t n = 0; n < 2; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        assert_int_equal(hd__traces_open(&options, &traces, &err), HD_ERR_MEMORY);
        hd__alloc_fail_off();
        assert_null(traces);
    }
    collector c;
    collector_begin(&c);
    traces = open_traces(&c, (hd_traces_options){.ratio = 1.0, .delay_ms = 1});
    hd_exchange x = request_of(NULL, 0);
    hd__alloc_fail_after(0, UINT64_MAX);
    hd__traces_take(&x, traces);
    wait_for_loss(traces, 1);
    hd__alloc_fail_off();
    hd__traces_take(&x, traces);
    wait_for(traces, 1);
    hd__traces_close(traces);
    hd__traces_close(NULL);
    hd_traces_stats stats = {.n_taken = 7};
    hd__traces_get_stats(NULL, &stats);
    assert_int_equal(stats.n_taken, 0);
    collector_end(&c);
}

static void no_log(hd_log_level level, const char *line, void *data)
{
    (void)level;
    (void)line;
    (void)data;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_traceparent),
        cmocka_unit_test(a_request_becomes_spans),
        cmocka_unit_test(odd_requests_become_spans_too),
        cmocka_unit_test(samples),
        cmocka_unit_test(a_full_queue_drops_and_counts),
        cmocka_unit_test(a_collector_that_comes_back_gets_all),
        cmocka_unit_test(a_collector_that_stays_away_costs_its_batch),
        cmocka_unit_test(close_sends_the_rest_and_does_not_wait_long),
        cmocka_unit_test(threads_take_at_once),
        cmocka_unit_test(fails_without_memory),
    };
    hd__log_set_sink(no_log, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
