/* Forms as curl, browsers and Python's requests send them, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "wire/multipart.h"

#define TYPE "multipart/form-data; boundary=xyz"

static hd_arena arena;
static hd_part *parts;
static size_t n;
static hd_error error;

static hd_status parse_bytes(const char *type, hd_span body)
{
    hd__arena_clear(&arena);
    hd__arena_init(&arena);
    /* At the end of a block of its own, so that reading past it is seen. */
    char *copy = hd__malloc(body.len + 1);
    memcpy(copy, body.ptr, body.len);
    char *own = hd__arena_strndup(&arena, copy, body.len);
    hd__free(copy);
    return hd__multipart_parse(hd__span_of(type), hd__span(own, body.len), &arena, &parts, &n, &error);
}

static hd_status parse(const char *type, const char *body)
{
    return parse_bytes(type, hd__span_of(body));
}

static void assert_span(hd_span span, const char *expected)
{
    if (!hd__span_is(span, expected))
        fail_msg("'%.*s' is not '%s'", (int)span.len, span.ptr, expected);
}

static void test_form(void **state)
{
    (void)state;
    assert_int_equal(
        parse(TYPE, "--xyz\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"a\": 1}\r\n"
                    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.md\"\r\n"
                    "Content-Type: text/markdown; charset=utf-8\r\n\r\n# Title\r\n\r\n--xyzzy\r\n--xy\r\n--xyz--\r\n"),
        HD_OK);
    assert_int_equal(n, 2);
    assert_span(parts[0].name, "metadata");
    assert_null(parts[0].filename.ptr);
    assert_span(parts[0].type, "");
    assert_span(parts[0].body, "{\"a\": 1}");
    assert_ptr_equal(hd__multipart_find(parts, n, "file"), &parts[1]);
    assert_null(hd__multipart_find(parts, n, "files"));
    assert_span(parts[1].filename, "a b.md");
    assert_span(parts[1].type, "text/markdown");
    assert_span(parts[1].body, "# Title\r\n\r\n--xyzzy\r\n--xy");
}

static void test_dialects(void **state)
{
    (void)state;
    assert_int_equal(parse("Multipart/Form-Data; charset=utf-8;boundary=\"x z\"",
                           "before\r\n--x z  \r\n"
                           "content-disposition:form-data;NAME=f\r\n\r\n\r\n"
                           "--x z--after"),
                     HD_OK);
    assert_int_equal(n, 1);
    assert_span(parts[0].name, "f");
    assert_span(parts[0].body, "");
    assert_int_equal(parse(TYPE,
                           "--xyz\r\nContent-Disposition: form-data; name=\"a;\\\"b\"; filename=\"C:\\dir\\x.txt\"\r\n\r\n"
                           "x\r\n--xyz--"),
                     HD_OK);
    assert_span(parts[0].name, "a;\"b");
    assert_span(parts[0].filename, "C:\\dir\\x.txt");
    assert_int_equal(parse(TYPE, "--xyz\r\nContent-Disposition: form-data; flag; name=a; filename=\"\"\r\n\r\nx\r\n--xyz--"),
                     HD_OK);
    assert_non_null(parts[0].filename.ptr);
    assert_int_equal(parts[0].filename.len, 0);
    assert_int_equal(parse(TYPE, "--xyz--"), HD_OK);
    assert_int_equal(n, 0);
}

static void test_bytes(void **state)
{
    (void)state;
    static const char body[] = "--xyz\r\nContent-Disposition: form-data; name=f\r\n\r\n\0\r\n\xff\r\n--xyz--";
    assert_int_equal(parse_bytes(TYPE, hd__span(body, sizeof body - 1)), HD_OK);
    assert_int_equal(parts[0].body.len, 4);
    assert_memory_equal(parts[0].body.ptr, "\0\r\n\xff", 4);
}

static void test_no_form(void **state)
{
    (void)state;
    static const struct {
        const char *type, *body, *says;
    } forms[] = {
        {"", "", "is not multipart"},
        {"application/json", "{}", "is not multipart"},
        {"multipart/form-data", "", "boundary has 0 bytes"},
        {"multipart/form-data; boundary=", "", "boundary has 0 bytes"},
        {"multipart/form-data; boundary=\"\"", "", "boundary has 0 bytes"},
        {"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", "",
         "boundary has 71 bytes"},
        {TYPE, "", "nowhere"},
        {TYPE, "--xy", "nowhere"},
        {TYPE, "--xyz", "nowhere"},
        {TYPE, "--xyz\n", "nowhere"},
        {TYPE, "a--xyz\r\n", "nowhere"},
        {TYPE, "--xyz\r\n", "last boundary is missing"},
        {TYPE, "--xyz\r\nContent-Disposition: form-data; name=f\r\n\r\nx", "last boundary is missing"},
        {TYPE, "--xyz\r\nContent-Disposition: form-data; name=f\r\n--xyz--", "no end to its head"},
        {TYPE, "--xyz\r\n\r\nx\r\n--xyz--", "has no name"},
        {TYPE, "--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--", "has no name"},
        {TYPE, "--xyz\r\nContent-Disposition: form-data; filename=a\r\n\r\nx\r\n--xyz--", "has no name"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        assert_int_equal(parse(forms[i].type, forms[i].body), HD_ERR_FORMAT);
        if (strstr(error.text, forms[i].says) == NULL)
            fail_msg("%zu: %s", i, error.text);
    }
}

/* A form of that many parts whose first has so long a head. */
static hd_status parse_large(size_t n_parts, size_t n_head)
{
    hd_buffer b;
    hd__buffer_init(&b);
    for (size_t i = 0; i < n_parts; i++) {
        const size_t begin = b.len;
        hd__buffer_append_text(&b, i > 0 ? "\r\n--xyz\r\n" : "--xyz\r\n");
        const size_t head = b.len;
        hd__buffer_append_text(&b, "Content-Disposition: form-data; name=f\r\nX: ");
        while (begin == 0 && b.len - head < n_head)
            hd__buffer_append_char(&b, 'x');
        hd__buffer_append_text(&b, "\r\n\r\n");
    }
    hd__buffer_append_text(&b, "\r\n--xyz--");
    assert_false(b.failed);
    const hd_status status = parse_bytes(TYPE, hd__buffer_span(&b));
    hd__buffer_clear(&b);
    return status;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(parse_large(HD_LIMIT_FORM_PARTS, 0), HD_OK);
    assert_int_equal(n, HD_LIMIT_FORM_PARTS);
    assert_int_equal(parse_large(HD_LIMIT_FORM_PARTS + 1, 0), HD_ERR_LIMIT);
    assert_int_equal(parse_large(1, HD_LIMIT_FORM_HEAD_BYTES), HD_OK);
    assert_int_equal(parse_large(1, HD_LIMIT_FORM_HEAD_BYTES + 1), HD_ERR_LIMIT);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char body[] = "--xyz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--xyz--";
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t i = 0; status != HD_OK; i++) {
        hd__arena_clear(&arena);
        hd__arena_init(&arena);
        assert_true(i < 20);
        hd__alloc_fail_after(i, UINT64_MAX);
        status = hd__multipart_parse(hd__span_of(TYPE), hd__span_of(body), &arena, &parts, &n, &error);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    }
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),    cmocka_unit_test(test_dialects), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_form), cmocka_unit_test(test_limits),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
