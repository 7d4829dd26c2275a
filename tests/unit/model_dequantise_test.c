/* Blocks of quantised values against gguf-py, bit for bit (tests/golden/gguf/README.md). */
#include "model/dequantise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "model/tensors.h"

enum { N_BLOCKS = 3 };

static void agrees_with_the_reference(void **state)
{
    (void)state;
    hd_file_map map;
    hd_error err;
    assert_int_equal(hd__file_map_open("tests/golden/gguf/blocks.bin", &map, &err), HD_OK);
    const char *at = map.bytes.ptr;
    for (hd_tensor_type type = HD_TENSOR_Q4_0; type <= HD_TENSOR_Q6_K; type++) {
        const size_t bytes = N_BLOCKS * hd__tensor_type_bytes(type), values = N_BLOCKS * hd__tensor_type_block(type);
        float *out = malloc(values * sizeof *out), part[5];
        assert_true(hd__dequantise(type, at, N_BLOCKS, out));
        assert_memory_equal(out, at + bytes, values * sizeof *out);
        hd_tensor tensor = {.name = "t", .type = type, .n_dims = 1, .n_elements = values, .bytes = hd__span(at, bytes)};
        for (uint64_t first = 0; first + 5 <= values; first += 3) { /* parts of blocks, and over their edges */
            assert_int_equal(hd__tensor_read_f32(&tensor, first, 5, part, &err), HD_OK);
            assert_memory_equal(part, out + first, sizeof part);
        }
        assert_int_equal(hd__tensor_read_f32(&tensor, 3, values - 4, out, &err), HD_OK);
        assert_memory_equal(out, at + bytes + 3 * sizeof *out, (values - 4) * sizeof *out);
        free(out);
        at += bytes + values * sizeof(float);
    }
    assert_ptr_equal(at, map.bytes.ptr + map.bytes.len);
    hd__file_map_close(&map);
}

static void scales_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    static const struct {
        hd_tensor_type type;
        size_t halves[2];
        size_t n;
    } cases[] = {
        {HD_TENSOR_Q4_0, {0}, 1}, {HD_TENSOR_Q4_1, {0, 2}, 2}, {HD_TENSOR_Q5_0, {0}, 1},    {HD_TENSOR_Q5_1, {0, 2}, 2},
        {HD_TENSOR_Q8_0, {0}, 1}, {HD_TENSOR_Q4_K, {0, 2}, 2}, {HD_TENSOR_Q5_K, {0, 2}, 2}, {HD_TENSOR_Q6_K, {208}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < cases[i].n; k++) {
            char block[HD_LARGEST_BLOCK] = {0};
            float out[HD_LARGEST_BLOCK];
            assert_true(hd__dequantise(cases[i].type, block, 1, out));
            block[cases[i].halves[k] + 1] = 0x7C; /* infinity */
            assert_false(hd__dequantise(cases[i].type, block, 1, out));
            hd_error err;
            const uint32_t n = hd__tensor_type_block(cases[i].type);
            hd_tensor tensor = {
                .name = "t", .file = "f", .type = cases[i].type, .n_elements = n, .bytes = hd__span(block, sizeof block)};
            assert_int_equal(hd__tensor_read_f32(&tensor, 0, n, out, &err), HD_ERR_NUMERIC);
        }
    }
}

static void sizes_are_those_of_the_format(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(hd__tensor_type_size(HD_TENSOR_Q4_K, 512, &bytes));
    assert_int_equal(bytes, 288);
    assert_false(hd__tensor_type_size(HD_TENSOR_Q4_K, 511, &bytes));
    assert_false(hd__tensor_type_size(HD_TENSOR_Q8_0, UINT64_MAX - 31, &bytes));
    assert_false(hd__tensor_type_size(HD_TENSOR_F32, UINT64_MAX / 4 + 1, &bytes));
    hd_tensor_type type;
    assert_false(hd__tensor_type_parse("Q8_0", &type)); /* no type of safetensors */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(scales_that_are_not_finite_are_refused),
        cmocka_unit_test(sizes_are_those_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
