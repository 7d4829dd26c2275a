/* What OTEL_ variables mean, and one POST to a collector of a few lines. */
#include "remote/otlp.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"

static hd_error err;
static hd_arena arena;

/* ---- settings ---- */

/* data: "NAME=value" texts, ends with NULL. */
static const char *find(void *data, const char *name)
{
    const size_t len = strlen(name);
    for (const char *const *item = data; *item != NULL; item++)
        if (strncmp(*item, name, len) == 0 && (*item)[len] == '=')
            return *item + len + 1;
    return NULL;
}

#define READ(settings, ...)                                                                                                 \
    hd__otlp_settings_read(find, (void *)(const char *const[]){__VA_ARGS__, NULL}, &arena, settings, &err)

static void nothing_is_exported_unless_asked_for(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, "X=y"), HD_OK);
    assert_null(s.url);
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT="), HD_OK);
    assert_null(s.url);
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_SDK_DISABLED=True"), HD_OK);
    assert_null(s.url);
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_TRACES_EXPORTER=none"), HD_OK);
    assert_null(s.url);
    assert_int_equal(READ(&s, "OTEL_TRACES_SAMPLER=nonsense"), HD_OK); /* nobody asked */
}

static void endpoints(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"), HD_OK);
    assert_string_equal(s.url, "http://c:4318/v1/traces");
    assert_int_equal(s.timeout_ms, 10000);
    assert_true(s.ratio == 1.0 && !s.ignores_parent && s.n_headers == 0 && s.ca_file == NULL);
    assert_int_equal(s.n_attributes, 1);
    assert_string_equal(s.attributes[0].key, "service.name");
    assert_string_equal(s.attributes[0].value, "heddle");
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=https://c/base/"), HD_OK);
    assert_string_equal(s.url, "https://c/base/v1/traces");
    assert_int_equal(
        READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t/as/it/is"), HD_OK);
    assert_string_equal(s.url, "http://t/as/it/is");
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=c:4318"), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "OTEL_EXPORTER_OTLP_ENDPOINT is \"c:4318\""));
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "4318"));
    assert_int_equal(READ(&s, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                          "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"),
                     HD_OK);
}

#define C "OTEL_EXPORTER_OTLP_ENDPOINT=http://c"

static void lists_of_pairs(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b%2Cc, x = y=z ,,flag="), HD_OK);
    assert_int_equal(s.n_headers, 3);
    assert_string_equal(s.headers[0], "api-key: a b,c");
    assert_string_equal(s.headers[1], "x: y=z");
    assert_string_equal(s.headers[2], "flag: ");
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=c=100%,d=%zz"), HD_OK);
    assert_int_equal(s.n_headers, 2);
    assert_string_equal(s.headers[0], "c: 100%");
    assert_string_equal(s.headers[1], "d: %zz");
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_HEADERS=good=1,=secret"), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "OTEL_EXPORTER_OTLP_HEADERS: item 2 is not key=value"));
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_HEADERS=plain"), HD_ERR_ARG);
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_HEADERS=a=b%0d%0aHost: evil"), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "control character"));
    hd_buffer many = {0};
    hd__buffer_append_text(&many, "OTEL_EXPORTER_OTLP_HEADERS=");
    for (size_t i = 0; i < HD_LIMIT_OTLP_PAIRS; i++)
        hd__buffer_printf(&many, "k%zu=v,", i);
    hd__buffer_append_char(&many, '\0');
    assert_int_equal(READ(&s, C, many.ptr), HD_OK);
    assert_int_equal(s.n_headers, HD_LIMIT_OTLP_PAIRS);
    many.len--;
    hd__buffer_append(&many, "one=more", sizeof "one=more");
    assert_int_equal(READ(&s, C, many.ptr), HD_ERR_ARG);
    hd__buffer_clear(&many);
}

static void resources(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, C, "OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=inner,c=d"), HD_OK);
    assert_int_equal(s.n_attributes, 3);
    assert_string_equal(s.attributes[0].value, "inner");
    assert_string_equal(s.attributes[1].key, "a");
    assert_string_equal(s.attributes[2].value, "d");
    assert_int_equal(READ(&s, C, "OTEL_RESOURCE_ATTRIBUTES=service.name=inner", "OTEL_SERVICE_NAME=outer"), HD_OK);
    assert_int_equal(s.n_attributes, 1);
    assert_string_equal(s.attributes[0].value, "outer");
    assert_int_equal(READ(&s, C, "OTEL_RESOURCE_ATTRIBUTES=a"), HD_ERR_ARG);
}

static void samplers(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, C, "OTEL_TRACES_SAMPLER=always_off"), HD_OK);
    assert_true(s.ratio == 0.0 && s.ignores_parent);
    assert_int_equal(READ(&s, C, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25"), HD_OK);
    assert_true(s.ratio == 0.25 && !s.ignores_parent);
    assert_int_equal(READ(&s, C, "OTEL_TRACES_SAMPLER=traceidratio"), HD_OK);
    assert_true(s.ratio == 1.0 && s.ignores_parent);
    assert_int_equal(READ(&s, C, "OTEL_TRACES_SAMPLER=sometimes"), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "\"sometimes\""));
    static const char *const bad[] = {"OTEL_TRACES_SAMPLER_ARG=1.1", "OTEL_TRACES_SAMPLER_ARG=-0.1",
                                      "OTEL_TRACES_SAMPLER_ARG=x", "OTEL_TRACES_SAMPLER_ARG=nan",
                                      "OTEL_TRACES_SAMPLER_ARG=0.5x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(READ(&s, C, "OTEL_TRACES_SAMPLER=traceidratio", bad[i]), HD_ERR_ARG);
}

static void numbers(void **state)
{
    (void)state;
    hd_otlp_settings s;
    assert_int_equal(READ(&s, C, "OTEL_EXPORTER_OTLP_TIMEOUT=5", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=86400000",
                          "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=65536", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=7"),
                     HD_OK);
    assert_int_equal(s.timeout_ms, 86400000);
    assert_int_equal(s.delay_ms, 1);
    assert_int_equal(s.queue_size, 65536);
    assert_int_equal(s.batch_size, 7);
    assert_int_equal(READ(&s, C, "OTEL_BSP_MAX_QUEUE_SIZE=65537"), HD_ERR_ARG);
    static const char *const bad[] = {"0", "-1", "+1", " 1", "1s", "86400001", "99999999999999999999", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "OTEL_EXPORTER_OTLP_TIMEOUT=%s", bad[i]);
        assert_int_equal(READ(&s, C, text), HD_ERR_ARG);
        assert_non_null(strstr(err.text, "OTEL_EXPORTER_OTLP_TIMEOUT"));
    }
}

static void settings_without_memory(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    uint64_t n = 0;
    for (; status != HD_OK; n++) {
        hd_otlp_settings s = {0};
        hd_arena own = {0};
        hd__arena_init(&own);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__otlp_settings_read(
            find,
            (void *)(const char *const[]){C, "OTEL_EXPORTER_OTLP_HEADERS=a=b,c=d", "OTEL_RESOURCE_ATTRIBUTES=a=b", NULL},
            &own, &s, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || (status == HD_ERR_MEMORY && s.url == NULL));
        hd__arena_clear(&own);
    }
    assert_true(n >= 2);
}

/* ---- sending ---- */

typedef struct server {
    int fd;
    char url[64];
    const char *answer; /* "": keeps silent until the client goes */
    char asked[4096];
    pthread_t thread;
} server;

static void *serve(void *data)
{
    server *s = data;
    const int fd = accept(s->fd, NULL, NULL);
    size_t len = 0;
    ssize_t n;
    while (fd >= 0 && strstr(s->asked, "END") == NULL && len < sizeof s->asked - 1 &&
           (n = recv(fd, s->asked + len, sizeof s->asked - 1 - len, 0)) > 0)
        len += (size_t)n;
    send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
    char rest[64];
    while (s->answer[0] == '\0' && recv(fd, rest, sizeof rest, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void server_begin(server *s, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(s, 0, sizeof *s);
    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &len), 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/v1/traces", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static bool go_on(void *data)
{
    return data == NULL || hd__now_ns() < *(const uint64_t *)data;
}

static hd_status post(const char *url, uint64_t *until_ns, uint64_t *n_rejected)
{
    static const char *const headers[] = {"api-key: secret"};
    const hd_otlp_settings s = {.url = url, .headers = headers, .n_headers = 1, .timeout_ms = 1500};
    hd_otlp *otlp;
    assert_int_equal(hd__otlp_open(&s, &otlp, &err), HD_OK);
    *n_rejected = 99;
    const hd_status status =
        hd__otlp_send(otlp, hd__span_of("{\"resourceSpans\":[]}END"), go_on, until_ns, n_rejected, &err);
    hd__otlp_close(otlp);
    return status;
}

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n"

static void posts(void **state)
{
    (void)state;
    server s;
    uint64_t n;
    server_begin(&s, HEAD("200 OK") "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(post(s.url, NULL, &n), HD_OK);
    server_end(&s);
    assert_int_equal(n, 0);
    assert_non_null(strstr(s.asked, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(s.asked, "api-key: secret\r\n"));
    assert_non_null(strstr(s.asked, "Content-Length: 23\r\n"));
    assert_null(strstr(s.asked, "Expect"));
    assert_non_null(strstr(s.asked, "\r\n\r\n{\"resourceSpans\":[]}END"));
}

static void answers(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        hd_status status;
        uint64_t n_rejected;
    } cases[] = {
        {HEAD("200 OK") "\r\n{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"no\"}}", HD_OK, 3},
        {HEAD("200 OK") "\r\n{\"partialSuccess\":{\"rejectedSpans\":4}}", HD_OK, 4},
        {HEAD("200 OK") "\r\n{\"partialSuccess\":{\"rejectedSpans\":-4}}", HD_OK, 0},
        {HEAD("200 OK") "\r\n{\"partialSuccess\":[]}", HD_OK, 0},
        {HEAD("200 OK") "\r\nnot JSON", HD_OK, 0},
        {HEAD("202 Accepted") "\r\n", HD_OK, 0},
        {HEAD("400 Bad") "Content-Length: 0\r\n\r\n", HD_ERR_FORMAT, 0},
        {HEAD("401 Who") "Content-Length: 0\r\n\r\n", HD_ERR_FORMAT, 0},
        {HEAD("307 There") "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", HD_ERR_FORMAT, 0},
        {HEAD("408 Slow") "Content-Length: 0\r\n\r\n", HD_ERR_PEER, 0},
        {HEAD("429 Busy") "Retry-After: 30\r\nContent-Length: 0\r\n\r\n", HD_ERR_PEER, 0},
        {HEAD("501 What") "Content-Length: 0\r\n\r\n", HD_ERR_PEER, 0},
        {HEAD("503 Busy") "Content-Length: 0\r\n\r\n", HD_ERR_PEER, 0},
        {"garbage", HD_ERR_PEER, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        server s;
        uint64_t n;
        server_begin(&s, cases[i].answer);
        const uint64_t start_ns = hd__now_ns();
        assert_int_equal(post(s.url, NULL, &n), cases[i].status);
        assert_true(hd__seconds_since(start_ns) < 5); /* no second try here */
        server_end(&s);
        assert_int_equal(n, cases[i].n_rejected);
        if (cases[i].status != HD_OK)
            assert_non_null(strstr(err.text, s.url));
        assert_null(strstr(err.text, "secret"));
    }
}

static void collectors_that_are_away(void **state)
{
    (void)state;
    server s;
    uint64_t n;
    server_begin(&s, "");
    uint64_t start_ns = hd__now_ns();
    assert_int_equal(post(s.url, NULL, &n), HD_ERR_PEER); /* silent: the time-out */
    assert_true(hd__seconds_since(start_ns) > 1 && hd__seconds_since(start_ns) < 10);
    server_end(&s);
    server_begin(&s, "");
    start_ns = hd__now_ns();
    uint64_t until_ns = start_ns + 50000000;
    assert_int_equal(post(s.url, &until_ns, &n), HD_ERR_CANCELLED);
    assert_true(hd__seconds_since(start_ns) < 1.4);
    server_end(&s);
    assert_int_equal(post(s.url, NULL, &n), HD_ERR_PEER); /* nobody listens any more */
}

static void sending_without_memory(void **state)
{
    (void)state;
    const hd_otlp_settings settings = {.url = "http://127.0.0.1:1/", .timeout_ms = 1000};
    hd_otlp *otlp = NULL;
    for (uint64_t n = 0; n < 2; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        assert_int_equal(hd__otlp_open(&settings, &otlp, &err), HD_ERR_MEMORY);
        hd__alloc_fail_off();
    }
    assert_int_equal(hd__otlp_open(&settings, &otlp, &err), HD_OK);
    uint64_t n_rejected;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status == HD_ERR_MEMORY; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__otlp_send(otlp, hd__span_of("{}"), go_on, NULL, &n_rejected, &err);
        hd__alloc_fail_off();
    }
    assert_int_equal(status, HD_ERR_PEER);
    hd__otlp_close(otlp);
    hd__otlp_close(NULL);
}

int main(void)
{
    setenv("no_proxy", "127.0.0.1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_exported_unless_asked_for),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(lists_of_pairs),
        cmocka_unit_test(resources),
        cmocka_unit_test(samplers),
        cmocka_unit_test(numbers),
        cmocka_unit_test(settings_without_memory),
        cmocka_unit_test(posts),
        cmocka_unit_test(answers),
        cmocka_unit_test(collectors_that_are_away),
        cmocka_unit_test(sending_without_memory),
    };
    hd__arena_init(&arena);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hd__arena_clear(&arena);
    return failed;
}
