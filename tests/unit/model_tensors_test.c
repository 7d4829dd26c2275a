/* Tensor sets: one file, shards with an index, everything that can be missing or wrong between them. */
#include "model/tensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "unit/safetensors_file.h"
#include "unit/scratch.h"

static scratch s;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

static void write_tensors(const char *file, const char *header, const void *data, size_t n_data)
{
    hd_span bytes = safetensors_file(header, data, n_data);
    scratch_write(&s, file, bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
}

/* A file with one tensor of two f32, 1 and 2. */
static void write_one(const char *file, const char *name)
{
    const float values[] = {1, 2};
    char header[256];
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", name);
    write_tensors(file, header, values, sizeof values);
}

static void expect(hd_status wanted, const char *text)
{
    hd_tensors *tensors = NULL;
    hd_error err;
    hd_status status = hd__tensors_open(s.dir, &tensors, &err);
    if (status != wanted || strstr(err.text, text) == NULL)
        fail_msg("status %s, \"%s\"", hd_status_name(status), status == HD_OK ? "" : err.text);
    assert_null(tensors);
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), wanted);
}

static void finds_by_name(void **state)
{
    (void)state;
    hd_buffer header;
    hd__buffer_init(&header);
    const size_t n = 500;
    for (size_t i = 0; i < n; i++)
        hd__buffer_printf(&header, "%s\"layer.%zu.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                          i == 0 ? "{" : ",", i, i, i + 1);
    hd__buffer_append(&header, "}", 2);
    write_tensors("model.safetensors", header.ptr, NULL, n);
    hd__buffer_clear(&header);
    hd_tensors *tensors;
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    assert_int_equal(hd__tensors_count(tensors), n);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "layer.%zu.weight", i);
        const hd_tensor *tensor = hd__tensors_find(tensors, name);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, name);
        assert_ptr_equal(tensor, hd__tensors_at(tensors, i));
    }
    assert_null(hd__tensors_find(tensors, "layer.500.weight"));
    assert_null(hd__tensors_find(tensors, ""));
    hd__tensors_close(tensors);
    hd__tensors_close(NULL);
}

static void reads_and_converts(void **state)
{
    (void)state;
    const char *header = "{\"f16\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                         "\"odd\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[6,7]},"
                         "\"f32\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[7,23]},"
                         "\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[23,23]}}";
    const uint16_t halves[] = {0x3c00, 0xc000, 0x3800};
    const float values[] = {0.5f, NAN, 2.5f, INFINITY};
    char data[23] = {0};
    memcpy(data, halves, 6);
    memcpy(data + 7, values, 16);
    write_tensors("model.safetensors", header, data, sizeof data);
    hd_tensors *tensors;
    hd_error err;
    float out[4] = {0};
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    assert_int_equal(hd__tensor_read_f32(hd__tensors_find(tensors, "f16"), 0, 3, out, NULL), HD_OK);
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 0.5f && out[3] == 0);
    const hd_tensor *f32 = hd__tensors_find(tensors, "f32");
    assert_int_equal(hd__tensor_read_f32(f32, 2, 1, out, NULL), HD_OK);
    assert_true(out[0] == 2.5f);
    assert_int_equal(hd__tensor_read_f32(f32, 4, 0, out, NULL), HD_OK);
    assert_int_equal(hd__tensor_read_f32(f32, 0, 4, out, &err), HD_ERR_NUMERIC);
    assert_non_null(strstr(err.text, "\"f32\": value 1 is not"));
    assert_int_equal(hd__tensor_read_f32(f32, 2, 2, out, &err), HD_ERR_NUMERIC);
    assert_non_null(strstr(err.text, "value 3 is not"));
    assert_int_equal(hd__tensor_read_f32(hd__tensors_find(tensors, "odd"), 0, 1, out, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "U8"));
    assert_int_equal(hd__tensor_read_f32(hd__tensors_find(tensors, "empty"), 0, 0, out, NULL), HD_OK);
    hd__tensor_forget(hd__tensors_find(tensors, "empty"));
    hd__tensors_close(tensors);
}

static void forgets_pages_and_reads_them_again(void **state)
{
    (void)state;
    enum { N = 10000 };
    float *values = malloc(N * sizeof *values), out[1];
    for (int i = 0; i < N; i++)
        values[i] = (float)i;
    write_tensors("model.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[10000],\"data_offsets\":[0,40000]}}", values,
                  N * sizeof *values);
    hd_tensors *tensors;
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    for (uint64_t i = 0; i < N; i += 499) {
        hd__tensor_forget(hd__tensors_at(tensors, 0));
        assert_int_equal(hd__tensor_read_f32(hd__tensors_at(tensors, 0), i, 1, out, NULL), HD_OK);
        assert_true(out[0] == (float)i);
    }
    hd__tensors_close(tensors);
    free(values);
}

static void opens_shards(void **state)
{
    (void)state;
    write_one("model-1.safetensors", "a");
    const float values[] = {1, 2};
    write_tensors("model-2.safetensors",
                  "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                  "\"c\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]}}",
                  values, sizeof values);
    scratch_text(&s, "model.safetensors.index.json",
                 "{\"metadata\":{\"total_size\":16},\"weight_map\":{\"b\":\"model-2.safetensors\","
                 "\"a\":\"model-1.safetensors\",\"c\":\"model-2.safetensors\"}}");
    hd_tensors *tensors;
    float out[2];
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    assert_int_equal(hd__tensors_count(tensors), 3);
    assert_string_equal(hd__tensors_at(tensors, 0)->name, "a");
    assert_int_equal(hd__tensor_read_f32(hd__tensors_find(tensors, "b"), 0, 2, out, NULL), HD_OK);
    assert_true(out[0] == 1 && out[1] == 2);
    assert_non_null(strstr(hd__tensors_identity(tensors), "model-1.safetensors size"));
    assert_non_null(strstr(hd__tensors_identity(tensors), "model-2.safetensors size"));
    hd__tensors_close(tensors);

    write_one("model.safetensors", "whole"); /* goes before an index */
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    assert_non_null(hd__tensors_find(tensors, "whole"));
    hd__tensors_close(tensors);
}

static void opens_shards_in_subfolders(void **state)
{
    (void)state;
    write_one("parts/model-1.safetensors", "a");
    scratch_text(&s, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"parts/model-1.safetensors\"}}");
    hd_tensors *tensors;
    assert_int_equal(hd__tensors_open(s.dir, &tensors, NULL), HD_OK);
    hd__tensors_close(tensors);
}

static void refuses_bad_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *index;
        hd_status status;
        const char *text;
    } cases[] = {
        {"{}", HD_ERR_FORMAT, "weight_map"},
        {"[]", HD_ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{}}", HD_ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":[\"a\"]}", HD_ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":1}}", HD_ERR_FORMAT, "file of \"a\""},
        {"{\"weight_map\":{\"a\":\"../model-1.safetensors\"}}", HD_ERR_FORMAT, "below the folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", HD_ERR_FORMAT, "below the folder"},
        {"{\"weight_map\":{\"a\":\"model-3.safetensors\"}}", HD_ERR_NOT_FOUND, "model-3.safetensors: no such file"},
        {"{\"weight_map\":{\"a\":\"model-1.safetensors\",\"c\":\"model-2.safetensors\"}}", HD_ERR_FORMAT, "\"c\" is not in"},
        {"{\"weight_map\":{\"a\":\"model-2.safetensors\",\"b\":\"model-1.safetensors\"}}", HD_ERR_FORMAT,
         "is not in model-"},
        {"{\"weight_map\":{\"a\":\"model-1.safetensors\",\"b\":\"again.safetensors\"}}", HD_ERR_FORMAT, "as well"},
        {"{\"weight_map\":{\"a\":\"model-1.safetensors\"", HD_ERR_FORMAT, "line 1"},
    };
    write_one("model-1.safetensors", "a");
    write_one("model-2.safetensors", "b");
    write_one("again.safetensors", "a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_text(&s, "model.safetensors.index.json", cases[i].index);
        expect(cases[i].status, cases[i].text);
    }
}

static void limits_shards(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra <= 1; extra++) {
        hd_buffer index;
        hd__buffer_init(&index);
        for (unsigned i = 0; i < HD_LIMIT_SHARDS + extra; i++)
            hd__buffer_printf(&index, "%s\"t%u\":\"m%u.safetensors\"", i == 0 ? "{\"weight_map\":{" : ",", i, i);
        hd__buffer_append_text(&index, "}}");
        scratch_write(&s, "model.safetensors.index.json", index.ptr, index.len);
        hd__buffer_clear(&index);
        if (extra == 0)
            expect(HD_ERR_NOT_FOUND, "m0.safetensors");
        else
            expect(HD_ERR_LIMIT, "more than 1000 files");
    }
}

static void says_what_is_missing(void **state)
{
    (void)state;
    expect(HD_ERR_NOT_FOUND, "neither model.safetensors nor pytorch_model.bin");
    scratch_text(&s, "tf_model.h5", "x");
    expect(HD_ERR_UNSUPPORTED, "tf_model.h5 only");
    scratch_text(&s, "model.safetensors", "");
    expect(HD_ERR_FORMAT, "the file is empty");
    hd_tensors *tensors;
    hd_error err;
    assert_int_equal(hd__tensors_open_file(scratch_path(&s, "absent.safetensors"), &tensors, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "absent.safetensors"));
    assert_int_equal(hd__tensors_open_file(s.dir, &tensors, &err), HD_ERR_IO);
}

static void identity_changes_with_the_file(void **state)
{
    (void)state;
    char first[512];
    hd_tensors *tensors;
    write_one("model.safetensors", "a");
    for (int i = 0; i < 3; i++) {
        if (i == 2) { /* a new file of the same size in its place */
            write_one("other", "b");
            assert_int_equal(rename(scratch_path(&s, "other"), scratch_path(&s, "model.safetensors")), 0);
        }
        assert_int_equal(hd__tensors_open_file(scratch_path(&s, "model.safetensors"), &tensors, NULL), HD_OK);
        if (i == 0)
            snprintf(first, sizeof first, "%s", hd__tensors_identity(tensors));
        else
            assert_int_equal(strcmp(first, hd__tensors_identity(tensors)) == 0, i == 1);
        hd__tensors_close(tensors);
    }
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    write_one("model-1.safetensors", "a");
    write_one("model-2.safetensors", "b");
    scratch_text(&s, "model.safetensors.index.json",
                 "{\"weight_map\":{\"b\":\"model-2.safetensors\",\"a\":\"model-1.safetensors\"}}");
    for (int whole = 0; whole <= 1; whole++) {
        hd_status status;
        uint64_t n = 0;
        do {
            hd_tensors *tensors = NULL;
            hd_error err;
            hd__alloc_fail_after(n++, UINT64_MAX);
            status = whole ? hd__tensors_open_file(scratch_path(&s, "model-1.safetensors"), &tensors, &err)
                           : hd__tensors_open(s.dir, &tensors, &err);
            hd__alloc_fail_off();
            assert_true(status == HD_OK || (status == HD_ERR_MEMORY && tensors == NULL));
            hd__tensors_close(tensors);
        } while (status != HD_OK);
        assert_true(n > 3);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(finds_by_name),
        TEST(reads_and_converts),
        TEST(forgets_pages_and_reads_them_again),
        TEST(opens_shards),
        TEST(opens_shards_in_subfolders),
        TEST(refuses_bad_indexes),
        TEST(limits_shards),
        TEST(says_what_is_missing),
        TEST(identity_changes_with_the_file),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
