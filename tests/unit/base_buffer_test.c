/* Tests of base/buffer.c: what it writes, and that a failure sticks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"

static void expect(hd_buffer *buffer, const char *bytes, size_t n)
{
    assert_false(buffer->failed);
    assert_int_equal(buffer->len, n);
    assert_memory_equal(buffer->ptr, bytes, n);
    hd__buffer_reset(buffer);
}

static void test_uint(void **state)
{
    (void)state;
    hd_buffer buffer = {0};
    hd__buffer_append_uint(&buffer, 0x0102030405060708u, 8);
    expect(&buffer, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    hd__buffer_append_uint(&buffer, 0xFFFFFFFFu, 4);
    hd__buffer_append_uint(&buffer, 1, 2);
    expect(&buffer, "\xFF\xFF\xFF\xFF\x01\x00", 6);
    hd__buffer_clear(&buffer);
}

static void test_json(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        const char *json;
    } cases[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\0\x1F\x7F\b\t\n\v\f\r", 9, "\"\\u0000\\u001f\x7F\\b\\t\\n\\u000b\\f\\r\""},
        {"\xC3\xA9\xF0\x9F\x90\x91", 6, "\"\xC3\xA9\xF0\x9F\x90\x91\""},
        {"x\xFFy", 3, "\"x\xEF\xBF\xBDy\""},                               /* no first byte */
        {"\xE2\x82", 2, "\"\xEF\xBF\xBD\""},                               /* cut short */
        {"\xED\xA0\x80!", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD!\""}, /* a surrogate: each byte by itself */
    };
    hd_buffer buffer = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hd__buffer_append_json(&buffer, hd__span(cases[i].text, cases[i].len));
        expect(&buffer, cases[i].json, strlen(cases[i].json));
    }
    hd__buffer_clear(&buffer);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"\xFF\xFE\xFD", "//79"}};
    hd_buffer buffer = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) { /* RFC 4648, section 10 */
        hd__buffer_append_char(&buffer, '=');
        hd__buffer_append_base64(&buffer, hd__span(cases[i][0], strlen(cases[i][0])));
        assert_memory_equal(buffer.ptr + 1, cases[i][1], strlen(cases[i][1]));
        assert_int_equal(buffer.len, strlen(cases[i][1]) + 1);
        hd__buffer_reset(&buffer);
    }
    hd__buffer_clear(&buffer);
}

/* The first failed allocation is remembered: nothing is appended after it, so that no text has a hole. */
static void test_failure_sticks(void **state)
{
    (void)state;
    hd_buffer buffer = {0};
    hd__buffer_append_text(&buffer, "kept");
    hd__alloc_fail_after(0, UINT64_MAX);
    for (int i = 0; i < 300; i++)
        hd__buffer_append_text(&buffer, "more");
    hd__alloc_fail_after(UINT64_MAX, 0);
    assert_true(buffer.failed);
    const size_t len = buffer.len;
    hd__buffer_append_json(&buffer, hd__span("x", 1));
    assert_int_equal(buffer.len, len);
    hd__buffer_reset(&buffer);
    hd__buffer_printf(&buffer, "%d%%", 100);
    expect(&buffer, "100%", 4);
    hd__buffer_clear(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uint),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_failure_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
