/* The safetensors header: what is read, and every way in which it can be wrong. */
#include "model/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "unit/safetensors_file.h"

typedef struct parsed {
    hd_arena arena;
    hd_tensor *tensors;
    size_t n;
    hd_error err;
    hd_status status;
} parsed;

static void parse_bytes(parsed *p, hd_span bytes)
{
    memset(p, 0, sizeof *p);
    hd__arena_init(&p->arena);
    p->status = hd__safetensors_parse(bytes, "model.safetensors", &p->arena, &p->tensors, &p->n, &p->err);
}

static hd_status status_of(const char *header, size_t n_data)
{
    parsed p;
    hd_span file = safetensors_file(header, NULL, n_data);
    parse_bytes(&p, file);
    hd__arena_clear(&p.arena);
    free((void *)(uintptr_t)file.ptr);
    return p.status;
}

static void reads_tensors_in_the_order_of_their_data(void **state)
{
    (void)state;
    const char *header = "{\"__metadata__\":{\"format\":\"pt\"},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                         "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                         "\"none\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[4,4]}}   ";
    char data[16];
    for (int i = 0; i < 16; i++)
        data[i] = (char)i;
    hd_span file = safetensors_file(header, data, sizeof data);
    parsed p;
    parse_bytes(&p, file);
    assert_int_equal(p.status, HD_OK);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.tensors[0].name, "a");
    assert_int_equal(p.tensors[0].type, HD_TENSOR_F32);
    assert_int_equal(p.tensors[0].n_dims, 0);
    assert_int_equal(p.tensors[0].n_elements, 1);
    assert_string_equal(p.tensors[1].name, "none");
    assert_int_equal(p.tensors[1].n_elements, 0);
    assert_int_equal(p.tensors[1].bytes.len, 0);
    assert_string_equal(p.tensors[2].name, "b");
    assert_int_equal(p.tensors[2].type, HD_TENSOR_BF16);
    assert_int_equal(p.tensors[2].dims[0], 2);
    assert_int_equal(p.tensors[2].dims[1], 3);
    assert_memory_equal(p.tensors[2].bytes.ptr, data + 4, 12);
    assert_string_equal(p.tensors[2].file, "model.safetensors");
    hd__arena_clear(&p.arena);
    free((void *)(uintptr_t)file.ptr);
}

static void knows_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
                 {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[128];
        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}", types[i].name,
                 3 * types[i].bytes);
        assert_int_equal(status_of(header, 3 * types[i].bytes), HD_OK);
        assert_string_equal(hd__tensor_type_name((hd_tensor_type)i), types[i].name);
        assert_int_equal(hd__tensor_type_bytes((hd_tensor_type)i), types[i].bytes);
    }
}

#define T(dtype, shape, begin, end) "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static const struct {
    const char *what, *header;
    size_t n_data;
    hd_status status;
    const char *text; /* part of the message */
} bad_headers[] = {
    {"not JSON", "{\"a\":", 0, HD_ERR_FORMAT, "line 1"},
    {"an array", "[]", 0, HD_ERR_FORMAT, "not an object"},
    {"empty", "", 0, HD_ERR_FORMAT, "model.safetensors"},
    {"not UTF-8", "{\"\xff\":" T("\"F32\"", "[1]", 0, 4) "}", 4, HD_ERR_FORMAT, "unable to decode"},
    {"NUL in a name", "{\"a\\u0000\":" T("\"F32\"", "[1]", 0, 4) "}", 4, HD_ERR_FORMAT, "NUL"},
    {"a name twice", "{\"a\":" T("\"F32\"", "[1]", 0, 4) ",\"a\":" T("\"F32\"", "[1]", 4, 8) "}", 8, HD_ERR_FORMAT,
     "duplicate"},
    {"entry is no object", "{\"a\":7}", 0, HD_ERR_FORMAT, "\"a\""},
    {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, HD_ERR_FORMAT, "dtype"},
    {"dtype is no text", "{\"a\":" T("32", "[1]", 0, 4) "}", 4, HD_ERR_FORMAT, "dtype"},
    {"a dtype of the format that Heddle does not read", "{\"a\":" T("\"F4\"", "[2]", 0, 1) "}", 1, HD_ERR_UNSUPPORTED, "F4"},
    {"shape is no array", "{\"a\":" T("\"F32\"", "1", 0, 4) "}", 4, HD_ERR_FORMAT, "shape"},
    {"negative dimension", "{\"a\":" T("\"F32\"", "[-1]", 0, 4) "}", 4, HD_ERR_FORMAT, "dimension 0"},
    {"fractional dimension", "{\"a\":" T("\"F32\"", "[1,1.5]", 0, 4) "}", 4, HD_ERR_FORMAT, "dimension 1"},
    {"nine dimensions", "{\"a\":" T("\"F32\"", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, HD_ERR_LIMIT, "9 dimensions"},
    {"product past 64 bits", "{\"a\":" T("\"U8\"", "[4294967296,4294967296]", 0, 0) "}", 0, HD_ERR_FORMAT, "64 bits"},
    {"bytes past 64 bits", "{\"a\":" T("\"F64\"", "[4294967296,1073741824]", 0, 0) "}", 0, HD_ERR_FORMAT, "elements of F64"},
    {"one offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0]}}", 0, HD_ERR_FORMAT, "pair"},
    {"three offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0,0]}}", 0, HD_ERR_FORMAT, "pair"},
    {"offsets missing", "{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, HD_ERR_FORMAT, "pair"},
    {"offset is no integer", "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0.0]}}", 0, HD_ERR_FORMAT, "pair"},
    {"negative offset", "{\"a\":" T("\"U8\"", "[4]", -4, 0) "}", 0, HD_ERR_FORMAT, "-4"},
    {"end before begin", "{\"a\":" T("\"U8\"", "[4]", 4, 0) "}", 4, HD_ERR_FORMAT, "4 to 0"},
    {"past the end", "{\"a\":" T("\"U8\"", "[5]", 0, 5) "}", 4, HD_ERR_FORMAT, "the file has 4"},
    {"far past the end", "{\"a\":" T("\"U8\"", "[9223372036854775807]", 0, 9223372036854775807) "}", 4, HD_ERR_FORMAT,
     "4 bytes"},
    {"fewer bytes than the shape", "{\"a\":" T("\"F32\"", "[2]", 0, 4) "}", 4, HD_ERR_FORMAT, "do not take"},
    {"more bytes than the shape", "{\"a\":" T("\"F32\"", "[1]", 0, 8) "}", 8, HD_ERR_FORMAT, "do not take"},
    {"overlap", "{\"a\":" T("\"U8\"", "[4]", 0, 4) ",\"b\":" T("\"U8\"", "[4]", 3, 7) "}", 7, HD_ERR_FORMAT, "byte 3"},
    {"the same bytes twice", "{\"a\":" T("\"U8\"", "[4]", 0, 4) ",\"b\":" T("\"U8\"", "[4]", 0, 4) "}", 4, HD_ERR_FORMAT,
     "byte 0"},
    {"hole between", "{\"a\":" T("\"U8\"", "[4]", 0, 4) ",\"b\":" T("\"U8\"", "[4]", 5, 9) "}", 9, HD_ERR_FORMAT, "byte 5"},
    {"hole in front", "{\"a\":" T("\"U8\"", "[4]", 1, 5) "}", 5, HD_ERR_FORMAT, "byte 1"},
    {"bytes behind", "{\"a\":" T("\"U8\"", "[4]", 0, 4) "}", 5, HD_ERR_FORMAT, "the tensors take 4"},
    {"data of nothing", "{}", 1, HD_ERR_FORMAT, "the tensors take 0"},
    {"metadata is a list", "{\"__metadata__\":[]}", 0, HD_ERR_FORMAT, "__metadata__"},
    {"metadata with a number", "{\"__metadata__\":{\"a\":1}}", 0, HD_ERR_FORMAT, "\"a\" is not a string"},
};

static void refuses_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        hd_span file = safetensors_file(bad_headers[i].header, NULL, bad_headers[i].n_data);
        parsed p;
        parse_bytes(&p, file);
        if (p.status != bad_headers[i].status || strstr(p.err.text, bad_headers[i].text) == NULL)
            fail_msg("%s: status %s, \"%s\"", bad_headers[i].what, hd_status_name(p.status), p.err.text);
        assert_non_null(strstr(p.err.text, "model.safetensors"));
        hd__arena_clear(&p.arena);
        free((void *)(uintptr_t)file.ptr);
    }
}

static void refuses_every_cut(void **state)
{
    (void)state;
    hd_span file = safetensors_file("{\"a\":" T("\"F32\"", "[2]", 0, 8) "}", NULL, 8);
    for (size_t n = 0; n < file.len; n++) {
        char *cut = malloc(n + 1); /* of its own, so that ASan sees a read past it */
        memcpy(cut, file.ptr, n);
        parsed p;
        parse_bytes(&p, hd__span(cut, n));
        assert_int_equal(p.status, HD_ERR_FORMAT);
        hd__arena_clear(&p.arena);
        free(cut);
    }
    free((void *)(uintptr_t)file.ptr);
}

static void limits_the_header(void **state)
{
    (void)state;
    const struct {
        uint64_t n;
        hd_status status;
    } cases[] = {{HD_LIMIT_SAFETENSORS_HEADER_BYTES, HD_ERR_FORMAT}, /* allowed, but the file is shorter */
                 {HD_LIMIT_SAFETENSORS_HEADER_BYTES + 1ull, HD_ERR_LIMIT},
                 {UINT64_MAX, HD_ERR_LIMIT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[16] = {0};
        for (size_t b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(cases[i].n >> (8 * b));
        parsed p;
        parse_bytes(&p, hd__span(bytes, sizeof bytes));
        assert_int_equal(p.status, cases[i].status);
        hd__arena_clear(&p.arena);
    }
    assert_int_equal(status_of("{\"a\":" T("\"F32\"", "[1,1,1,1,1,1,1,1]", 0, 4) "}", 4), HD_OK);
}

static hd_status status_of_n_tensors(size_t n)
{
    hd_buffer header;
    hd__buffer_init(&header);
    for (size_t i = 0; i < n; i++)
        hd__buffer_printf(&header, "%s\"t%zu\":" T("\"U8\"", "[0]", 0, 0), i == 0 ? "{" : ",", i);
    hd__buffer_append(&header, "}", 2);
    hd_status status = status_of(header.ptr, 0);
    hd__buffer_clear(&header);
    return status;
}

static void limits_the_number_of_tensors(void **state)
{
    (void)state;
    assert_int_equal(status_of_n_tensors(HD_LIMIT_TENSORS), HD_OK);
    assert_int_equal(status_of_n_tensors(HD_LIMIT_TENSORS + 1), HD_ERR_LIMIT);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    hd_span file = safetensors_file("{\"a\":" T("\"F32\"", "[1]", 0, 4) ",\"b\":" T("\"U8\"", "[1]", 4, 5) "}", NULL, 5);
    parsed p;
    uint64_t n = 0;
    do {
        hd__alloc_fail_after(n++, UINT64_MAX);
        parse_bytes(&p, file);
        hd__alloc_fail_off();
        assert_true(p.status == HD_OK || p.status == HD_ERR_MEMORY);
        hd__arena_clear(&p.arena);
    } while (p.status != HD_OK);
    assert_true(n > 1);
    free((void *)(uintptr_t)file.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tensors_in_the_order_of_their_data),
        cmocka_unit_test(knows_every_type),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(limits_the_header),
        cmocka_unit_test(limits_the_number_of_tensors),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
