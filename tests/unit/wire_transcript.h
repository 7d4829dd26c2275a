/* wire_transcript.h - a request in, its call and its answer out, for tests of protocols: no socket, no engine. Routes are
 * chosen as the service does it, among those of all protocols. JSON is written with ' for ".
 */
#ifndef HD_TESTS_WIRE_TRANSCRIPT_H
#define HD_TESTS_WIRE_TRANSCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "wire/protocol.h"

static const hd_wire_settings transcript_settings = {
    .build = "heddle 0.1.0", .max_inputs = 4, .max_queue_tokens = 1000, .n_threads = 2, .auto_truncate = true};

typedef struct transcript {
    hd_arena arena;
    hd_http_header header; /* sent with every request when it has a name */
    hd_http_request http;
    hd_http_response response;
    hd_wire_request request;
    hd_call call;
    hd_fault fault;
    json_t *body;
    const hd_route *route;
    const hd_dialect *dialect;
} transcript;

static transcript t;

static void transcript_forget(void)
{
    json_decref(t.body);
    hd__arena_clear(&t.arena);
    hd__buffer_clear(&t.response.body);
    t = (transcript){.header = t.header};
}

static int transcript_begin(void **state)
{
    (void)state;
    t = (transcript){0};
    return 0;
}

static int transcript_end(void **state)
{
    (void)state;
    transcript_forget();
    return 0;
}

/* ' to ", and \ is kept. */
static void transcript_quote(const char *text, char *json, size_t size)
{
    size_t n = 0;
    for (; text[n] != '\0'; n++) {
        assert_true(n + 1 < size);
        json[n] = text[n];
        if (text[n] == '\'')
            json[n] = '"';
    }
    json[n] = '\0';
}

static void transcript_choose(hd_http_method method, const char *path)
{
    for (int claimed = 1; claimed >= 0; claimed--) {
        for (size_t p = 0; hd__protocols[p] != NULL; p++) {
            for (size_t i = 0; i < hd__protocols[p]->n_routes; i++) {
                const hd_route *r = &hd__protocols[p]->routes[i];
                const size_t n = strlen(r->path);
                const bool has_rest = r->path[n - 1] == '*';
                if (t.route != NULL || r->method != method || (r->claims != NULL) != claimed ||
                    (has_rest ? strncmp(r->path, path, n - 1) : strcmp(r->path, path)) != 0)
                    continue;
                t.request.rest = hd__span_of(has_rest ? path + n - 1 : "");
                if (claimed && !r->claims(&t.request))
                    continue;
                t.route = r;
                t.dialect = r->dialect != NULL ? r->dialect : hd__protocols[p]->dialect;
            }
        }
    }
}

static hd_http_method transcript_method(const char *line)
{
    return strncmp(line, "GET ", 4) == 0 ? HD_HTTP_GET : strncmp(line, "DELETE ", 7) == 0 ? HD_HTTP_DELETE : HD_HTTP_POST;
}

/* Finds the route for "POST /path" or "GET /path?query"; HD_OK: its call is to be read. */
static void transcript_open(const char *line, const char *text)
{
    static char json[16384], path[256];
    json_error_t error;
    transcript_forget();
    hd__arena_init(&t.arena);
    hd__buffer_init(&t.response.body);
    transcript_quote(text, json, sizeof json);
    assert_true(snprintf(path, sizeof path, "%s", strchr(line, '/')) < (int)sizeof path);
    char *query = strchr(path, '?');
    if (query != NULL)
        *query++ = '\0';
    t.http = (hd_http_request){.method = transcript_method(line),
                               .path = hd__span_of(path),
                               .query = hd__span_of(query != NULL ? query : ""),
                               .body = hd__span_of(json),
                               .id = "req-1",
                               .headers = &t.header,
                               .n_headers = t.header.name.ptr != NULL};
    t.body = json_loads(json, JSON_ALLOW_NUL, &error);
    t.request = (hd_wire_request){.http = &t.http, .body = t.body, .arena = &t.arena, .settings = &transcript_settings};
    transcript_choose(t.http.method, path);
    assert_non_null(t.route);
    assert_true(!t.route->has_body || t.route->is_form || t.body != NULL);
}

static inline hd_status ask(const char *line, const char *text)
{
    transcript_open(line, text);
    return t.route->read(&t.request, &t.call, &t.fault);
}

static const char *transcript_text(void)
{
    hd__buffer_append_char(&t.response.body, '\0');
    assert_false(t.response.body.failed);
    json_t *parsed = json_loads(t.response.body.ptr, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed); /* whatever it says, it is JSON */
    json_decref(parsed);
    return t.response.body.ptr;
}

/* What the route answers; the text lives until the next request. */
static const char *answer(const hd_result *result)
{
    t.route->write(&t.request, &t.call, result, &t.response);
    return transcript_text();
}

static inline void assert_answer(const hd_result *result, const char *expected)
{
    static char json[16384];
    transcript_quote(expected, json, sizeof json);
    assert_string_equal(answer(result), json);
}

/* The request is refused so, in the protocol's own words. */
static inline void assert_refused(const char *line, const char *text, hd_fault_kind kind, int status, const char *expected)
{
    static char json[4096];
    assert_int_equal(ask(line, text), HD_ERR_ARG);
    assert_int_equal(t.fault.kind, kind);
    t.dialect->write_fault(&t.fault, &t.http, &t.arena, &t.response);
    assert_int_equal(t.response.status, status);
    assert_string_equal(t.response.content_type, "application/json");
    transcript_quote(expected, json, sizeof json);
    assert_string_equal(transcript_text(), json);
}

/* A fault that the service raises, in the words of the dialect that the last request speaks. */
static inline void assert_fault(const hd_fault *fault, int status, const char *expected)
{
    static char json[4096];
    hd__buffer_reset(&t.response.body);
    t.response.n_headers = 0;
    t.dialect->write_fault(fault, &t.http, &t.arena, &t.response);
    assert_int_equal(t.response.status, status);
    transcript_quote(expected, json, sizeof json);
    assert_string_equal(transcript_text(), json);
}

/* Every kind of fault has a status and a body. */
static inline void assert_all_faults(const char *line, const char *text)
{
    for (int kind = HD_FAULT_NONE + 1; kind < HD_FAULT_KINDS; kind++) {
        assert_int_equal(ask(line, text), HD_OK);
        const hd_fault fault = {.kind = (hd_fault_kind)kind, .text = "words", .retry_after_s = 3};
        t.dialect->write_fault(&fault, &t.http, &t.arena, &t.response);
        assert_in_range(t.response.status, 400, 599);
        assert_int_equal(t.response.n_headers, 1);
        assert_true(hd__span_is(t.response.headers[0].value, "3"));
        transcript_text();
    }
}

/* Asks and answers with the n-th allocation failing, for every n: each time a fault or a sticky failure says so. */
static inline void assert_survives_no_memory(const char *line, const char *text, const hd_result *result)
{
    bool done = false;
    for (uint64_t n = 0; !done; n++) {
        assert_true(n < 1000);
        transcript_open(line, text);
        hd__alloc_fail_after(n, UINT64_MAX);
        const hd_status status = t.route->read(&t.request, &t.call, &t.fault);
        if (status == HD_OK)
            t.route->write(&t.request, &t.call, result, &t.response);
        hd__alloc_fail_off();
        if (status != HD_OK)
            assert_int_equal(t.fault.kind, HD_FAULT_MEMORY);
        done = status == HD_OK && !t.response.body.failed;
    }
    transcript_text();
}

#endif
