/* http.c: names without case, percent-decoding, query parameters, faults; each without memory, too. */
#include "base/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_arena arena;

static int set_up(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hd__alloc_fail_off();
    hd__arena_clear(&arena);
    return 0;
}

static void assert_span(hd_span got, const char *wanted, size_t n)
{
    assert_non_null(got.ptr);
    assert_int_equal(got.len, n);
    assert_memory_equal(got.ptr, wanted, n);
}

static hd_http_header header(const char *name, const char *value)
{
    return (hd_http_header){hd__span_of(name), hd__span_of(value)};
}

static void test_headers(void **state)
{
    (void)state;
    const hd_http_header headers[] = {header("Host", "h"), header("X-API-KEY", "first"), header("x-api-key", "second"),
                                      header("Empty", "")};
    const hd_http_request request = {.headers = headers, .n_headers = 4}, none = {0};
    assert_span(hd__http_header(&request, "host"), "h", 1);
    assert_span(hd__http_header(&request, "X-Api-Key"), "first", 5);
    assert_span(hd__http_header(&request, "empty"), "", 0);
    assert_null(hd__http_header(&request, "X-Api").ptr);
    assert_null(hd__http_header(&request, "X-Api-Keys").ptr);
    assert_null(hd__http_header(&request, "").ptr);
    assert_null(hd__http_header(&none, "Host").ptr);
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool plus_is_blank;
        const char *wanted;
        size_t n;
    } rows[] = {
        {"", false, "", 0},
        {"/v1/models", false, "/v1/models", 10},
        {"%41", false, "A", 1},
        {"a%2fb%2Fc", false, "a/b/c", 5},
        {"a+b", false, "a+b", 3},
        {"a+b%2B", true, "a b+", 4},
        {"%c3%a9", false, "\xc3\xa9", 2},
        {"%00x", false, "\0x", 2},
        {"%", false, "%", 1},
        {"%4", false, "%4", 2},
        {"100%", false, "100%", 4},
        {"%zz%4g", false, "%zz%4g", 6},
        {"%%41", false, "%A", 2},
        {"%2541", false, "%41", 3}, /* once, not twice */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const hd_span got = hd__http_unescape(hd__span_of(rows[i].text), rows[i].plus_is_blank, &arena);
        assert_span(got, rows[i].wanted, rows[i].n);
        assert_int_equal(got.ptr[got.len], '\0');
    }
    assert_span(hd__http_unescape(hd__span("%41", 2), false, &arena), "%4", 2); /* not past its end */
}

static void test_query(void **state)
{
    (void)state;
    const hd_http_request request = {.query = hd__span_of("ab=1&a=x%26y+z&flag&a=second&empty=&last=%")}, none = {0};
    assert_span(hd__http_query(&request, "a", &arena), "x&y z", 5);
    assert_span(hd__http_query(&request, "ab", &arena), "1", 1);
    assert_span(hd__http_query(&request, "flag", &arena), "", 0);
    assert_span(hd__http_query(&request, "empty", &arena), "", 0);
    assert_span(hd__http_query(&request, "last", &arena), "%", 1);
    assert_null(hd__http_query(&request, "b", &arena).ptr);
    assert_null(hd__http_query(&request, "fla", &arena).ptr);
    assert_null(hd__http_query(&request, "second", &arena).ptr);
    assert_null(hd__http_query(&none, "a", &arena).ptr);
}

static void test_response(void **state)
{
    (void)state;
    hd_http_response response = {0};
    hd__http_set(&response, "Retry-After", hd__span_of("1"));
    hd__http_setf(&response, &arena, "X-Time", "%d ms", 12);
    assert_int_equal(response.n_headers, 2);
    assert_span(response.headers[0].name, "Retry-After", 11);
    assert_span(response.headers[1].value, "12 ms", 5);
    hd__http_setf(&response, &arena, "X-Long", "%2000d", 1);
    assert_int_equal(response.headers[2].value.len, 1023);
    while (response.n_headers < HD_HTTP_MAX_HEADERS)
        hd__http_set(&response, "X", hd__span_of("y"));
    assert_span(response.headers[HD_HTTP_MAX_HEADERS - 1].value, "y", 1);
}

static void test_no_memory(void **state)
{
    (void)state;
    const hd_http_request request = {.query = hd__span_of("a=1")};
    hd_http_response response = {0};
    hd__alloc_fail_after(0, UINT64_MAX);
    assert_null(hd__http_unescape(hd__span_of("/path"), false, &arena).ptr);
    assert_null(hd__http_query(&request, "a", &arena).ptr);
    hd__http_setf(&response, &arena, "X-Time", "%d", 1);
    assert_int_equal(response.n_headers, 0);
}

static void test_faults(void **state)
{
    (void)state;
    hd_fault fault = {.n = 7, .retry_after_s = 3};
    assert_int_equal(hd__fault(&fault, HD_FAULT_TYPE, "input", "`%s` is %d", "input", 5), HD_ERR_ARG);
    assert_int_equal(fault.kind, HD_FAULT_TYPE);
    assert_string_equal(fault.field, "input");
    assert_string_equal(fault.text, "`input` is 5");
    assert_int_equal(fault.n + fault.retry_after_s, 0); /* nothing is left of the one before */

    assert_int_equal(hd__fault(&fault, HD_FAULT_VALUE, NULL, "%*d", HD_ERROR_TEXT_BYTES - 1, 1), HD_ERR_ARG);
    assert_int_equal(strlen(fault.text), HD_ERROR_TEXT_BYTES - 1);
    assert_int_equal(fault.text[HD_ERROR_TEXT_BYTES - 2], '1');
    assert_int_equal(hd__fault(&fault, HD_FAULT_VALUE, NULL, "%*d", HD_ERROR_TEXT_BYTES, 1), HD_ERR_ARG);
    assert_string_equal(fault.text + HD_ERROR_TEXT_BYTES - 4, "...");
    assert_null(fault.field);
}

/* They are labels of metrics: each kind has its own. */
static void test_fault_names(void **state)
{
    (void)state;
    for (int a = 0; a < HD_FAULT_KINDS; a++) {
        assert_non_null(hd__fault_name((hd_fault_kind)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hd__fault_name((hd_fault_kind)a), hd__fault_name((hd_fault_kind)b));
    }
    assert_string_equal(hd__fault_name(HD_FAULT_KINDS), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unescape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_query, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_response, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_fault_names),
    };
    return cmocka_run_group_tests_name("base_http", tests, NULL, NULL);
}
