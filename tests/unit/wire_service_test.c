/* The service on a small model, without sockets: what comes back, whatever fails, however many ask at once. */
#include "unit/engine_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "wire/service.h"

typedef struct asked {
    hd_exchange exchange; /* first */
    _Atomic int n_finished;
} asked;

static hd_engine *engine;
static hd_models *models;
static hd_service *service;

static void finish(hd_exchange *exchange)
{
    atomic_fetch_add(&((asked *)exchange)->n_finished, 1);
}

static void open_service(hd_engine_options options, uint32_t timeout_ms)
{
    engine = open_engine(options);
    MUST(hd__models_open(engine, true, &models, &err));
    MUST(hd__models_add(models, tiny_model_dir(&folder, "tiny-head64"), "tiny", &(hd_model_options){.dtype = HD_DTYPE_F32},
                        &err));
    const hd_service_options service_options = {
        .settings = {.build = "heddle", .max_inputs = 5000, .auto_truncate = true},
        .timeout_ms = timeout_ms,
        .n_threads = 2,
        .finish = finish,
    };
    MUST(hd__service_open(engine, models, &service_options, &service, &err));
}

static void close_service(void)
{
    hd__service_close(service);
    hd__models_close(models);
    hd_engine_close(engine);
}

static const hd_service_path *path_of(const char *path)
{
    size_t n;
    const hd_service_path *paths = hd__service_paths(service, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(paths[i].path, path) == 0)
            return &paths[i];
    fail_msg("no path %s", path);
    return NULL;
}

static void begin(asked *a, const char *path, const char *body)
{
    *a = (asked){0};
    hd__arena_init(&a->exchange.arena);
    hd__buffer_init(&a->exchange.response.body);
    a->exchange.request =
        (hd_http_request){.method = HD_HTTP_POST, .path = hd__span_of(path), .body = hd__span_of(body), .id = "1"};
    a->exchange.record.start_ns = hd__now_ns();
    hd__service_begin(path_of(path), &a->exchange);
}

static void await(asked *a)
{
    for (int patience = 60000; atomic_load(&a->n_finished) == 0; patience--) {
        assert_true(patience > 0);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(atomic_load(&a->n_finished), 1);
}

static void forget(asked *a)
{
    hd__buffer_clear(&a->exchange.response.body);
    hd__arena_clear(&a->exchange.arena);
}

/* Asks, waits, and compares status and the beginning of the body. */
static void asks(const char *path, const char *body, int status, hd_fault_kind fault, const char *says)
{
    asked a;
    begin(&a, path, body);
    await(&a);
    const hd_buffer *b = &a.exchange.response.body;
    if (a.exchange.response.status != status || a.exchange.record.fault != fault || b->len < strlen(says) ||
        memcmp(b->ptr, says, strlen(says)) != 0)
        fail_msg("%s: %d %s: %.*s", body, a.exchange.response.status, hd__fault_name(a.exchange.record.fault), (int)b->len,
                 b->ptr);
    forget(&a);
}

/* {"input": [n texts, all different], ...more} */
static char *many_texts(size_t n, const char *more)
{
    hd_buffer b;
    hd__buffer_init(&b);
    hd__buffer_append_text(&b, "{\"input\":[");
    for (size_t i = 0; i < n; i++) {
        hd__buffer_printf(&b, "%s[", i > 0 ? "," : "");
        for (size_t k = 0; k < 40; k++)
            hd__buffer_printf(&b, "%s%zu", k > 0 ? "," : "", 5 + (i >> k % 13 & 1) + 2 * (k % 7));
        hd__buffer_append_text(&b, "]");
    }
    hd__buffer_printf(&b, "]%s}", more);
    hd__buffer_append_char(&b, '\0');
    assert_false(b.failed);
    return b.ptr;
}

static void test_answers(void **state)
{
    (void)state;
    open_service((hd_engine_options){.n_threads = 2, .cache_bytes = 1 << 20}, 600000); /* 5,000 texts, instrumented */
    for (int again = 0; again < 3; again++) /* loaded by the first, cached by the second */
        asks("/v1/embeddings", "{\"input\":\"river\",\"dimensions\":2}", 200, HD_FAULT_NONE, "{\"object\":\"list\"");
    asks("/v1/embeddings", "{\"input\":\"river\",\"model\":\"tiny\"}", 200, HD_FAULT_NONE, "{\"object\"");
    asks("/v1/embeddings", "{\"input\":\"river\",\"model\":\"large\"}", 404, HD_FAULT_MODEL, "{\"error\"");
    asks("/v1/embeddings", "{\"input\":\"river\",\"dimensions\":1000}", 400, HD_FAULT_VALUE, "{\"error\"");
    asks("/v1/embeddings", "{\"input\":\"river\",\"prompt_name\":\"none\"}", 400, HD_FAULT_VALUE, "{\"error\"");
    asks("/v1/embeddings", "", 400, HD_FAULT_JSON, "{\"error\"");
    asks("/v1/embeddings", "{\"input\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 400, HD_FAULT_JSON,
         "{\"error\":{\"message\":\"the body nests deeper than 32");
    asks("/rerank", "{\"query\":\"a\",\"texts\":[\"b\"]}", 424, HD_FAULT_UNSUPPORTED, "{\"error\"");
    asks("/tokenize", "{\"inputs\":\"river\"}", 200, HD_FAULT_NONE, "[[");
    char *large = many_texts(5000, "");
    asks("/v1/embeddings", large, 200, HD_FAULT_NONE, "{\"object\"");
    free(large);
    close_service();
}

static void test_deadline_and_cancel(void **state)
{
    (void)state;
    open_service((hd_engine_options){.n_threads = 1}, 60000);
    char *large = many_texts(5000, ""), *late = many_texts(5000, ",\"timeout_ms\":1");
    asks("/v1/embeddings", late, 504, HD_FAULT_DEADLINE, "{\"error\"");
    for (long wait_ns = 0; wait_ns < 20000000; wait_ns += 1999999) { /* while read, queued, computed */
        asked a;
        begin(&a, "/v1/embeddings", large);
        nanosleep(&(struct timespec){.tv_nsec = wait_ns}, NULL);
        hd__service_cancel(path_of("/v1/embeddings"), &a.exchange);
        hd__service_cancel(path_of("/v1/embeddings"), &a.exchange);
        await(&a);
        assert_true(a.exchange.response.status == 499 || a.exchange.response.status == 200);
        forget(&a);
    }
    assert_int_equal(stats_of(engine).queue_tokens, 0);
    free(large);
    free(late);
    close_service();
}

static void test_overload(void **state)
{
    (void)state;
    open_service((hd_engine_options){.n_threads = 1, .max_queue_tokens = 400}, 0);
    asks("/v1/embeddings", "{\"input\":\"river\"}", 200, HD_FAULT_NONE, "{\"object\"");
    char *large = many_texts(5000, "");
    asked a;
    begin(&a, "/v1/embeddings", large);
    while (stats_of(engine).queue_tokens == 0)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    asks("/v1/embeddings", "{\"input\":\"stone\"}", 429, HD_FAULT_OVERLOADED, "{\"error\"");
    hd__service_cancel(path_of("/v1/embeddings"), &a.exchange);
    await(&a);
    forget(&a);
    free(large);
    asks("/v1/embeddings", "{\"input\":\"stone\"}", 200, HD_FAULT_NONE, "{\"object\"");
    close_service();
}

static void *ask_many(void *data)
{
    (void)data;
    for (int i = 0; i < 100; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"input\":[[%d,6],[7]]}", 5 + i % 20);
        asks("/v1/embeddings", body, 200, HD_FAULT_NONE, "{\"object\"");
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    (void)state;
    open_service((hd_engine_options){.n_threads = 3, .cache_bytes = 4096}, 60000);
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, NULL), 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    close_service();
}

/* Each allocation in turn fails: there is an answer every time, and all goes well after it. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const requests[][2] = {
        {"/v1/embeddings", "{\"input\":[\"river\",[5,6]]}"}, {"/tokenize", "{\"inputs\":\"river\"}"}, {"/v1/models", ""}};
    open_service((hd_engine_options){.n_threads = 1}, 60000);
    asks(requests[0][0], requests[0][1], 200, HD_FAULT_NONE, "{");
    for (size_t i = 0; i < 3; i++) {
        bool done = false;
        for (uint64_t n = 0; !done; n++) {
            asked a;
            assert_true(n < 200);
            hd__alloc_fail_after(n, UINT64_MAX);
            begin(&a, requests[i][0], requests[i][1]);
            await(&a);
            hd__alloc_fail_off();
            done = a.exchange.response.status == 200;
            assert_true(done || a.exchange.record.fault == HD_FAULT_MEMORY);
            forget(&a);
        }
    }
    close_service();
}

static int make_models(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-head64");
    return 0;
}

static int remove_models(void **state)
{
    (void)state;
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),      cmocka_unit_test(test_deadline_and_cancel), cmocka_unit_test(test_overload),
        cmocka_unit_test(test_many_at_once), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
