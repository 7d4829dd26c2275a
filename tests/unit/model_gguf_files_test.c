/* GGUF files in parts: all of them are one model, and a part that is missing, in another's place or of another model is one
 * clear error. */
#include "model/gguf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "model/locate.h"
#include "model/tensors.h"
#include "unit/gguf_file.h"
#include "unit/scratch.h"

static hd_error err;
static scratch folder;

enum { N_PARTS = 3 };

typedef struct part {
    uint64_t no, count, n_tensors; /* what it says: split.no, split.count, split.tensors.count */
    const char *tensor;            /* its only one, of 32 values, each the part's number; NULL: none */
} part;

static const part whole[N_PARTS] = {{0, 3, 2, NULL}, {1, 3, 2, "token_types.weight"}, {2, 3, 2, "token_embd_norm.bias"}};

static const char *write_part(const char *name, const part *p, float value)
{
    hd_buffer b;
    gguf_begin(&b, 3, p->tensor != NULL, p->no == 0 ? 4 : 3);
    if (p->no == 0)
        gguf_pair_text(&b, "general.architecture", "bert");
    gguf_pair_uint(&b, "split.no", HD_GGUF_U16, p->no, 2);
    gguf_pair_uint(&b, "split.count", HD_GGUF_U16, p->count, 2);
    gguf_pair_uint(&b, "split.tensors.count", HD_GGUF_I32, p->n_tensors, 4);
    if (p->tensor != NULL)
        gguf_tensor(&b, p->tensor, 0, 1, (uint64_t[]){32}, 0);
    gguf_pad(&b, 32);
    for (size_t i = 0; p->tensor != NULL && i < 32; i++)
        hd__buffer_append(&b, &value, sizeof value);
    hd_span bytes = gguf_end(&b);
    const char *path = scratch_write(&folder, name, bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
    return path;
}

/* The path of the first. */
static const char *write_parts(const part *parts)
{
    const char *first = NULL;
    for (size_t i = N_PARTS; i-- > 0;) {
        char name[64];
        snprintf(name, sizeof name, "m-%05zu-of-00003.gguf", i + 1);
        first = write_part(name, &parts[i], (float)i);
    }
    return first;
}

static void must_fail(const char *path, hd_status wanted, const char *says)
{
    hd_tensors *tensors;
    const hd_status status = hd__tensors_open(path, &tensors, &err);
    if (status != wanted || strstr(err.text, says) == NULL)
        fail_msg("%d \"%s\" instead of %d \"%s\"", status, status != HD_OK ? err.text : "", wanted, says);
}

static void parts_are_one_model(void **state)
{
    (void)state;
    hd_tensors *tensors;
    float value;
    const char *first = write_parts(whole), *located;
    assert_int_equal(hd__tensors_open(first, &tensors, &err), HD_OK);
    assert_int_equal(hd__tensors_count(tensors), 2);
    const hd_tensor *types = hd__tensors_find(tensors, "embeddings.token_type_embeddings.weight");
    const hd_tensor *bias = hd__tensors_find(tensors, "embeddings.LayerNorm.bias");
    assert_non_null(types);
    assert_non_null(bias);
    assert_int_equal(types->n_dims, 2); /* ggml writes a table of one row as a vector */
    assert_int_equal(types->dims[0], 1);
    assert_int_equal(hd__tensor_read_f32(types, 31, 1, &value, &err), HD_OK);
    assert_true(value == 1.0f);
    assert_int_equal(hd__tensor_read_f32(bias, 0, 1, &value, &err), HD_OK);
    assert_true(value == 2.0f);
    assert_non_null(strstr(hd__tensors_identity(tensors), "m-00003-of-00003.gguf size "));
    hd__tensors_close(tensors);

    hd_arena arena; /* the folder stands for the first of them */
    hd__arena_init(&arena);
    assert_int_equal(hd__model_locate(folder.dir, NULL, &arena, &located, &err), HD_OK);
    assert_string_equal(located, first);
    hd__arena_clear(&arena);
}

static void what_is_no_whole_set_is_refused(void **state)
{
    (void)state;
    const char *first = write_parts(whole);
    must_fail(scratch_path(&folder, "m-00002-of-00003.gguf"), HD_ERR_ARG, "part 2 of 3 of a model; name the first");
    must_fail(write_part("other.gguf", &whole[0], 0), HD_ERR_FORMAT, "must end in -00001-of-00003.gguf");
    must_fail(write_part("m-00001-of-00002.gguf", &whole[0], 0), HD_ERR_FORMAT, "must end in -00001-of-00003.gguf");
    assert_int_equal(remove(scratch_path(&folder, "other.gguf")), 0);
    assert_int_equal(remove(scratch_path(&folder, "m-00001-of-00002.gguf")), 0);

    assert_int_equal(remove(scratch_path(&folder, "m-00003-of-00003.gguf")), 0);
    must_fail(first, HD_ERR_NOT_FOUND, "part 3 of 3: ");
    scratch_write(&folder, "m-00003-of-00003.gguf", "GGUF", 4);
    must_fail(first, HD_ERR_FORMAT, "part 3 of 3: ");
    static const part wrong[][N_PARTS] = {
        {{0, 3, 2, NULL}, {2, 3, 2, "token_types.weight"}, {2, 3, 2, "token_embd_norm.bias"}},
        {{0, 3, 2, NULL}, {1, 4, 2, "token_types.weight"}, {2, 3, 2, "token_embd_norm.bias"}},
        {{0, 3, 3, NULL}, {1, 3, 2, "token_types.weight"}, {2, 3, 2, "token_embd_norm.bias"}},
        {{0, 3, 2, NULL}, {1, 3, 2, "token_embd_norm.bias"}, {2, 3, 2, "token_embd_norm.bias"}},
        {{0, HD_LIMIT_SHARDS + 1, 2, NULL}, {1, 3, 2, NULL}, {2, 3, 2, NULL}},
    };
    static const char *const says[] = {"split.no 2, split.count 3; a file of this name has 1, 3",
                                       "split.no 1, split.count 4; a file of this name has 1, 3",
                                       "split.tensors.count is 3, the 3 parts have 2", "is in ", "split.count"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        must_fail(write_parts(wrong[i]), HD_ERR_FORMAT, says[i]);
}

static void names_of_parts_are_exact(void **state)
{
    (void)state;
    static const char *const others[] = {"m.gguf",
                                         "-00001-of-00003.gguf",
                                         "m-00000-of-00003.gguf",
                                         "m-00004-of-00003.gguf",
                                         "m-0001-of-00003.gguf",
                                         "m-00001-of-00003.bin",
                                         "m- 0001-of-00003.gguf",
                                         "m-00001-of-+0003.gguf",
                                         ""};
    uint32_t number, count;
    assert_true(hd__gguf_name_is_part("a/m-00002-of-00010.gguf", &number, &count));
    assert_int_equal(number, 2);
    assert_int_equal(count, 10);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(hd__gguf_name_is_part(others[i], &number, &count));
}

static void failing_allocations_close_what_is_open(void **state)
{
    (void)state;
    const char *first = write_parts(whole);
    hd_tensors *tensors = NULL;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_int_equal(status, HD_ERR_MEMORY);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tensors_open(first, &tensors, &err);
        hd__alloc_fail_off();
    }
    hd__tensors_close(tensors);
}

static int begin(void **state)
{
    (void)state;
    scratch_begin(&folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_one_model),
        cmocka_unit_test(what_is_no_whole_set_is_refused),
        cmocka_unit_test(names_of_parts_are_exact),
        cmocka_unit_test(failing_allocations_close_what_is_open),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
