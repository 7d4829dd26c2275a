/* The HTTP client against servers of a few lines, one answer for each connection: time-outs, broken answers,
 * and what a try costs. The hub's own ways are in tests/remote. */
#include "remote/http_client.h"

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
#include "base/clock.h"

/* ---- a server ---- */

typedef struct server {
    int fd;
    char url[64];
    const char *const *answers; /* sent one to a connection; "" keeps silent until the client goes */
    size_t n_answers, n_asked;
    char asked[8][2048];
    pthread_t thread;
} server;

static void *serve(void *data)
{
    server *s = data;
    for (; s->n_asked < s->n_answers; s->n_asked++) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        ssize_t n = recv(fd, s->asked[s->n_asked], sizeof s->asked[0] - 1, 0);
        s->asked[s->n_asked][n > 0 ? n : 0] = '\0';
        const char *answer = s->answers[s->n_asked];
        char rest[256];
        send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        while (answer[0] == '\0' && recv(fd, rest, sizeof rest, 0) > 0)
            ;
        close(fd);
    }
    return NULL;
}

static void server_begin(server *s, const char *const *answers, size_t n_answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(s, 0, sizeof *s);
    s->answers = answers;
    s->n_answers = n_answers;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &len), 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/file", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ---- a client ---- */

typedef struct client {
    hd_buffer body;
    uint64_t n_ticks, most_ticks; /* most_ticks 0: any number */
    hd_status say;                /* what body() returns */
    bool resumes;
} client;

static void resume(void *data, uint64_t *from, const char **if_range)
{
    const client *c = data;
    *from = c->resumes ? c->body.len : 0;
    *if_range = "\"v1\"";
}

static hd_status begin(void *data, const hd_http_client_response *response, hd_error *err)
{
    client *c = data;
    (void)err;
    assert_true(response->status == 200 || response->status == 206);
    c->body.len = (size_t)response->body_from;
    return HD_OK;
}

static hd_status body(void *data, hd_span bytes, hd_error *err)
{
    client *c = data;
    hd__buffer_append(&c->body, bytes.ptr, bytes.len);
    return c->say == HD_OK ? HD_OK : hd__fail(err, c->say, "said so");
}

static bool tick(void *data)
{
    client *c = data;
    return ++c->n_ticks != c->most_ticks;
}

static hd_error err;
static hd_http_client_response response;

static hd_status get(client *c, const char *url, uint32_t stall_s)
{
    hd_http_client_options options = {.connect_timeout_ms = 2000, .stall_timeout_s = stall_s, .n_tries = 2, .pause_ms = 10};
    hd_http_client_request request = {
        .url = url, .token = "hf_token", .resume = resume, .begin = begin, .body = body, .tick = tick, .data = c};
    hd_http_client *http;
    assert_int_equal(hd__http_client_open(&options, &http, &err), HD_OK);
    hd_status status = hd__http_client_get(http, &request, &response, &err);
    hd__http_client_close(http);
    return status;
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"
#define SERVE(...)                                                                                                          \
    static const char *const answers[] = {__VA_ARGS__};                                                                     \
    server s;                                                                                                               \
    client c = {0};                                                                                                         \
    server_begin(&s, answers, sizeof answers / sizeof *answers)
#define END                                                                                                                 \
    server_end(&s);                                                                                                         \
    hd__buffer_clear(&c.body)

static void gets(void **state)
{
    (void)state;
    SERVE(OK_HEAD "ETag: \"v1\"\r\nX-Linked-Size:  77 \r\nX-Error-Message: a\x1b[0mb\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(get(&c, s.url, 5), HD_OK);
    assert_int_equal(response.status, 200);
    assert_true(response.same_origin);
    assert_int_equal(response.content_bytes, 5);
    assert_string_equal(response.etag, "\"v1\"");
    assert_string_equal(response.linked_size, "77");
    assert_string_equal(response.error_message, "a?[0mb");
    assert_true(hd__span_is(hd__buffer_span(&c.body), "hello"));
    assert_non_null(strstr(s.asked[0], "GET /file HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked[0], "Authorization: Bearer hf_token\r\n"));
    assert_non_null(strstr(s.asked[0], "Accept-Encoding: identity\r\n"));
    assert_null(strstr(s.asked[0], "Range"));
    END;
}

static void gets_an_empty_file(void **state)
{
    (void)state;
    SERVE(OK_HEAD "Content-Length: 0\r\n\r\n");
    hd__buffer_append_text(&c.body, "old");
    assert_int_equal(get(&c, s.url, 5), HD_OK);
    assert_int_equal(c.body.len, 0);
    END;
}

static void resumes_where_it_was(void **state)
{
    (void)state;
    SERVE(OK_HEAD "ETag: \"v1\"\r\nContent-Length: 10\r\n\r\nhello",
          "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes 5-9/10\r\nContent-Length: "
          "5\r\n\r\nworld");
    c.resumes = true;
    assert_int_equal(get(&c, s.url, 5), HD_OK);
    assert_int_equal(response.body_from, 5);
    assert_true(hd__span_is(hd__buffer_span(&c.body), "helloworld"));
    assert_non_null(strstr(s.asked[1], "Range: bytes=5-\r\n"));
    assert_non_null(strstr(s.asked[1], "If-Range: \"v1\"\r\n"));
    END;
}

static void tries_that_bring_something_are_not_counted(void **state)
{
    (void)state;
#define PART(from)                                                                                                          \
    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes " #from "-9/10\r\nContent-Length: "          \
    "9\r\n\r\nx"
    SERVE(OK_HEAD "Content-Length: 10\r\n\r\nx", PART(1), PART(2), PART(3),
          "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes 4-9/10\r\nContent-Length: "
          "6\r\n\r\nxxxxxx");
    c.resumes = true; /* two tries are allowed, five are made */
    assert_int_equal(get(&c, s.url, 5), HD_OK);
    assert_int_equal(c.body.len, 10);
    END;
}

static void a_server_that_always_stops_short_is_left(void **state)
{
    (void)state;
#define SHORT OK_HEAD "Content-Length: 10\r\n\r\nx"
    SERVE(SHORT, SHORT, SHORT, SHORT);
    c.resumes = true; /* but the server knows no ranges, so no try comes further than the first */
    assert_int_equal(get(&c, s.url, 5), HD_ERR_PEER);
    assert_int_equal(s.n_asked, 2);
    END;
}

static void gives_up_a_server_that_stalls(void **state)
{
    (void)state;
    SERVE("", OK_HEAD "Content-Length: 9\r\n\r\n");
    uint64_t started = hd__now_ns();
    assert_int_equal(get(&c, s.url, 1), HD_ERR_PEER);
    assert_non_null(strstr(err.text, s.url));
    assert_int_equal(s.n_asked, 2);
    assert_true(hd__seconds_since(started) > 0.9 && hd__seconds_since(started) < 15);
    END;
}

static void survives_answers_that_are_none(void **state)
{
    (void)state;
    static const char *const broken[] = {"garbage\r\n\r\n",
                                         "HTTP/9.9 abc\r\n\r\n",
                                         "\r\n",
                                         "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                                         "HTTP/1.1 302 Found\r\nConnection: close\r\n\r\n",
                                         "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nConnection: close\r\n\r\n",
                                         OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                                         "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *const answers[] = {broken[i], broken[i]};
        server s;
        client c = {0};
        server_begin(&s, answers, 2);
        assert_int_equal(get(&c, s.url, 2), HD_ERR_PEER);
        assert_non_null(strstr(err.text, s.url));
        END;
    }
}

static void passes_on_what_callbacks_say(void **state)
{
    (void)state;
    SERVE(OK_HEAD "Content-Length: 5\r\n\r\nhello", OK_HEAD "Content-Length: 5\r\n\r\nhello");
    c.say = HD_ERR_IO;
    assert_int_equal(get(&c, s.url, 5), HD_ERR_IO);
    assert_string_equal(err.text, "said so");
    c.say = HD_OK;
    c.most_ticks = c.n_ticks + 1;
    assert_int_equal(get(&c, s.url, 5), HD_ERR_CANCELLED);
    END;
}

static void cancels_while_it_waits(void **state)
{
    (void)state;
    SERVE("HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    c.most_ticks = 20;
    uint64_t started = hd__now_ns();
    assert_int_equal(get(&c, s.url, 5), HD_ERR_CANCELLED);
    assert_true(hd__seconds_since(started) < 10);
    END;
}

static void wants_http(void **state)
{
    (void)state;
    static const char *const urls[] = {"", "file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        client c = {0};
        assert_int_equal(get(&c, urls[i], 5), HD_ERR_ARG);
    }
}

static void encodes_urls(void **state)
{
    (void)state;
    hd_buffer url;
    hd__buffer_init(&url);
    hd__url_append(&url, "a/B9-._~ ?#%&=+\xc3\xa4", true);
    hd__url_append(&url, "/", false);
    assert_true(hd__span_is(hd__buffer_span(&url), "a/B9-._~%20%3F%23%25%26%3D%2B%C3%A4%2F"));
    hd__buffer_clear(&url);
}

int main(void)
{
    setenv("no_proxy", "127.0.0.1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets),
        cmocka_unit_test(gets_an_empty_file),
        cmocka_unit_test(resumes_where_it_was),
        cmocka_unit_test(tries_that_bring_something_are_not_counted),
        cmocka_unit_test(a_server_that_always_stops_short_is_left),
        cmocka_unit_test(gives_up_a_server_that_stalls),
        cmocka_unit_test(survives_answers_that_are_none),
        cmocka_unit_test(passes_on_what_callbacks_say),
        cmocka_unit_test(cancels_while_it_waits),
        cmocka_unit_test(wants_http),
        cmocka_unit_test(encodes_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
