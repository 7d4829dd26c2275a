/* The page's files as responses, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "serve/page.h"

static const hd_page_file *file_of(const char *path)
{
    for (size_t i = 0; i < hd__n_page_files; i++)
        if (strcmp(hd__page_files[i].path, path) == 0)
            return &hd__page_files[i];
    fail_msg("no file %s", path);
    return NULL;
}

static void get(const char *path, const hd_http_header *headers, size_t n_headers, hd_exchange *x)
{
    *x = (hd_exchange){
        .request = {.method = HD_HTTP_GET, .path = hd__span_of(path), .headers = headers, .n_headers = n_headers}};
    hd__arena_init(&x->arena);
    hd__buffer_init(&x->response.body);
    hd__page_write(file_of(path), x);
}

static void put_back(hd_exchange *x)
{
    hd__buffer_clear(&x->response.body);
    hd__arena_clear(&x->arena);
}

static hd_span header(const hd_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->response.n_headers; i++)
        if (hd__span_is(x->response.headers[i].name, name))
            return x->response.headers[i].value;
    return (hd_span){NULL, 0};
}

static void files_are_those_of_web(void **state)
{
    (void)state;
    assert_true(hd__n_page_files >= 10);
    for (size_t i = 0; i < hd__n_page_files; i++) {
        const hd_page_file *file = &hd__page_files[i];
        char path[256];
        hd_span bytes;
        hd_error err;
        hd_arena arena;
        hd__arena_init(&arena);
        snprintf(path, sizeof path, "web/%s", strcmp(file->path, "/") == 0 ? "index.html" : strrchr(file->path, '/') + 1);
        assert_int_equal(hd__file_read(path, 1u << 20, &arena, &bytes, &err), HD_OK);
        assert_true(hd__span_equal(bytes, hd__span(file->bytes, file->len)));
        assert_int_equal(strlen(file->tag), 32);
        hd__arena_clear(&arena);
    }
}

static void browsers_get_the_page(void **state)
{
    (void)state;
    const hd_http_header accept = {hd__span_of("Accept"), hd__span_of("text/html,application/xhtml+xml,*/*;q=0.8")};
    hd_exchange x;
    get("/", &accept, 1, &x);
    assert_int_equal(x.response.status, 200);
    assert_string_equal(x.response.content_type, "text/html; charset=utf-8");
    assert_int_equal(x.response.body.len, file_of("/")->len);
    assert_true(hd__span_is(header(&x, "Vary"), "Accept"));
    const hd_span policy = header(&x, "Content-Security-Policy");
    assert_true(hd__span_begins(policy, "default-src 'none'; script-src 'self';"));
    assert_null(memmem(policy.ptr, policy.len, "unsafe", 6));
    put_back(&x);
}

static void others_get_a_line(void **state)
{
    (void)state;
    const hd_http_header accept = {hd__span_of("Accept"), hd__span_of("*/*")};
    for (size_t n = 0; n < 2; n++) {
        hd_exchange x;
        get("/", &accept, n, &x);
        assert_int_equal(x.response.status, 200);
        assert_string_equal(x.response.content_type, "text/plain; charset=utf-8");
        assert_true(hd__span_is(hd__buffer_span(&x.response.body), "Heddle is running\n"));
        assert_true(hd__span_is(header(&x, "Vary"), "Accept"));
        put_back(&x);
    }
}

static void same_files_are_not_sent_again(void **state)
{
    (void)state;
    hd_exchange x;
    get("/page/app.js", NULL, 0, &x);
    assert_int_equal(x.response.status, 200);
    assert_string_equal(x.response.content_type, "text/javascript; charset=utf-8");
    assert_true(hd__span_is(header(&x, "Cache-Control"), "no-cache"));
    char tag[80], several[200];
    const hd_span sent = header(&x, "ETag");
    snprintf(tag, sizeof tag, "%.*s", (int)sent.len, sent.ptr);
    put_back(&x);
    snprintf(several, sizeof several, "\"other\", %s", tag);
    const struct {
        const char *value;
        int status;
    } rows[] = {{tag, 304}, {several, 304}, {"*", 304}, {"\"other\"", 200}, {"", 200}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const hd_http_header match = {hd__span_of("If-None-Match"), hd__span_of(rows[i].value)};
        get("/page/app.js", &match, 1, &x);
        assert_int_equal(x.response.status, rows[i].status);
        assert_int_equal(x.response.body.len, rows[i].status == 304 ? 0 : file_of("/page/app.js")->len);
        assert_non_null(header(&x, "ETag").ptr);
        put_back(&x);
    }
}

static void the_page_is_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < hd__n_page_files;
         i++) { /* the policy would stop what it loads from elsewhere, and what is inline */
        const hd_page_file *f = &hd__page_files[i];
        static const char *const bad[] = {"src=\"http", "href=\"http", "url(",     "@import",
                                          " style=\"",  " onclick=\"", "innerHTML"};
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++)
            if (memmem(f->bytes, f->len, bad[j], strlen(bad[j])) != NULL)
                fail_msg("%s holds %s", f->path, bad[j]);
    }
}

static void no_memory(void **state)
{
    (void)state;
    hd_exchange x;
    hd__alloc_fail_after(0, UINT64_MAX);
    get("/page/app.js", NULL, 0, &x);
    hd__alloc_fail_off();
    assert_true(x.response.body.failed);
    assert_null(header(&x, "ETag").ptr);
    put_back(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_web), cmocka_unit_test(browsers_get_the_page),
        cmocka_unit_test(others_get_a_line),      cmocka_unit_test(same_files_are_not_sent_again),
        cmocka_unit_test(the_page_is_its_own),    cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
