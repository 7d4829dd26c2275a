/* answer.c: JSON texts, base64, and vectors in every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "wire/answer.h"

static hd_buffer body;

static int begin(void **state)
{
    (void)state;
    hd__buffer_init(&body);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__buffer_clear(&body);
    return 0;
}

static void expect(const char *wanted)
{
    hd__buffer_append_char(&body, '\0');
    assert_false(body.failed);
    assert_string_equal(body.ptr, wanted);
    hd__buffer_reset(&body);
}

static void test_texts(void **state)
{
    (void)state;
    hd__buffer_append_json(&body, hd__span("a\"b\\c\n\0d", 8));
    expect("\"a\\\"b\\\\c\\n\\u0000d\"");
    hd__buffer_append_json(&body, hd__span_of("\xC3\xA9\x7F \xF0\x9F\x98\x80 \xFF \xE4\xB8"));
    expect("\"\xC3\xA9\x7F \xF0\x9F\x98\x80 \xEF\xBF\xBD \xEF\xBF\xBD\"");
    hd__buffer_append_json(&body, hd__span(NULL, 0));
    expect("\"\"");
    hd__write_cstr(&body, NULL);
    expect("null");
    hd__write_uint(&body, UINT64_MAX);
    expect("18446744073709551615");
    hd__write_uint(&body, 0);
    expect("0");
}

/* RFC 4648, section 10 */
static void test_base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        hd__buffer_append_base64(&body, hd__span_of(pairs[i][0]));
        expect(pairs[i][1]);
    }
    hd__buffer_append_base64(&body, hd__span("\xFF\xEF\xBE\x00", 4));
    expect("/+++AA==");
}

static void vector(const float *row, size_t n, hd_vector_type type, bool base64, const char *wanted)
{
    hd__write_vector(&body, row, n, type, base64);
    expect(wanted);
}

static void test_vectors(void **state)
{
    (void)state;
    const float row[] = {1.0f, -0.5f, 0.0f, 0.25f, -1.0f, 1e-9f, 0.125f, -0.0f, 0.75f};
    vector(row, 3, HD_VECTOR_F32, false, "[1.0,-0.5,0.0]");
    vector(row, 0, HD_VECTOR_F32, false, "[]");
    vector(row, 2, HD_VECTOR_F32, true, "\"AACAPwAAAL8=\"");
    vector(row, 2, HD_VECTOR_F16, true, "\"ADwAuA==\"");
    vector(row, 5, HD_VECTOR_INT8, false, "[127,-64,0,32,-127]");
    vector(row, 5, HD_VECTOR_UINT8, false, "[255,64,128,160,1]");
    vector(row, 5, HD_VECTOR_INT8, true, "\"f8AAIIE=\"");
    vector(row, 9, HD_VECTOR_UBINARY, false, "[150,128]"); /* 1001 0110, 1 */
    vector(row, 9, HD_VECTOR_BINARY, false, "[22,0]");
    vector((const float[]){0.0f, 0.0f}, 2, HD_VECTOR_INT8, false, "[0,0]");
}

__extension__ typedef _Float16 half_float;

/* Against the compiler's own conversion, on every exponent, at and beside ties. */
static void test_halves(void **state)
{
    (void)state;
    for (uint32_t high = 0; high < 0x8F000; high++) {
        static const uint32_t lows[] = {0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF};
        for (size_t i = 0; i < 6; i++) {
            const uint32_t bits = (high & 0x7FFFF) << 12 ^ lows[i];
            float value;
            memcpy(&value, &bits, sizeof value);
            if (!(value < 65504.0f) || high % 7 != 0)
                continue;
            const half_float half = (half_float)value;
            hd__write_vector(&body, &value, 1, HD_VECTOR_F16, true);
            hd_buffer wanted;
            hd__buffer_init(&wanted);
            hd__buffer_append_base64(&wanted, hd__span(&half, 2));
            assert_int_equal(body.len, 6);
            assert_memory_equal(body.ptr + 1, wanted.ptr, 4);
            hd__buffer_clear(&wanted);
            hd__buffer_reset(&body);
        }
    }
    vector((const float[]){65519.0f, -70000.0f}, 2, HD_VECTOR_F16, true, "\"/3sA/A==\"");
    vector((const float[]){0.1f, 6e-8f, -1.5f}, 3, HD_VECTOR_F16, false, "[0.099975586,5.9604645e-8,-1.5]");
}

static void test_no_memory(void **state)
{
    (void)state;
    const float row[] = {1.0f, 2.0f};
    for (int type = HD_VECTOR_F32; type <= HD_VECTOR_UBINARY; type++) {
        bool done = false;
        for (uint64_t n = 0; !done; n++) {
            hd__buffer_clear(&body);
            hd__alloc_fail_after(n, UINT64_MAX);
            hd__write_vector(&body, row, 2, (hd_vector_type)type, n % 2 == 0);
            hd__alloc_fail_off();
            done = !body.failed;
            assert_true(n < 50);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_texts, begin, end),
        cmocka_unit_test_setup_teardown(test_base64, begin, end),
        cmocka_unit_test_setup_teardown(test_vectors, begin, end),
        cmocka_unit_test_setup_teardown(test_halves, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
