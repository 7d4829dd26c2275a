/* torch.save's files: one that torch wrote (tools/make_torch_goldens.py), and pickles that ask for what they should not. */
#include "model/torch_zip.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "model/pickle.h"
#include "unit/scratch.h"
#include "unit/zip_file.h"

static hd_error err;

/* ---- torch's own ---- */

static void expect(const hd_tensors *tensors, const char *name, uint64_t n, const float *wanted)
{
    const hd_tensor *t = hd__tensors_find(tensors, name);
    assert_non_null(t);
    assert_int_equal(t->n_elements, n);
    float values[64] = {0}, one;
    assert_int_equal(hd__tensor_read_f32(t, 0, n, values, &err), HD_OK);
    assert_memory_equal(values, wanted, n * sizeof *values);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(hd__tensor_read_f32(t, i, 1, &one, &err), HD_OK);
        assert_true(one == wanted[i]);
    }
}

static void reads_what_torch_writes(void **state)
{
    (void)state;
    hd_tensors *tensors;
    assert_int_equal(hd__tensors_open_file("tests/golden/torch/tensors.pt", &tensors, &err), HD_OK);
    assert_int_equal(hd__tensors_count(tensors), 11);
    float whole[24], transposed[24], strided[6];
    for (int i = 0; i < 24; i++) {
        whole[i] = (float)i;
        transposed[i] = (float)(i % 4 * 6 + i / 4);
    }
    for (int i = 0; i < 6; i++)
        strided[i] = (float)(i / 3 * 12 + i % 3 * 2 + 1);
    expect(tensors, "plain", 24, whole);
    expect(tensors, "part", 12, whole + 6);
    expect(tensors, "transposed", 24, transposed);
    expect(tensors, "strided", 6, strided);
    expect(tensors, "scalar", 1, whole + 23);
    expect(tensors, "empty", 0, whole);
    expect(tensors, "half", 4, (float[]){0, 0.5f, 1, 1.5f});
    expect(tensors, "bfloat", 4, (float[]){0, 0.25f, 0.5f, 0.75f});
    expect(tensors, "double", 4, (float[]){0, 0.125f, 0.25f, 0.375f});
    expect(tensors, "parameter", 4, (float[]){7, 7, 7, 7});
    assert_int_equal(hd__tensors_find(tensors, "long")->type, HD_TENSOR_I64);
    assert_int_equal(hd__tensors_find(tensors, "transposed")->dims[0], 6);
    assert_null(hd__tensors_find(tensors, "plain")->strides);
    assert_ptr_equal(hd__tensors_find(tensors, "plain")->bytes.ptr, hd__tensors_find(tensors, "transposed")->bytes.ptr);
    hd__tensors_close(tensors);
}

static void folders_may_hold_torch_files(void **state)
{
    (void)state;
    scratch s;
    hd_tensors *tensors;
    scratch_begin(&s);
    char command[512];
    snprintf(command, sizeof command, "cp tests/golden/torch/tensors.pt %s/part-1.bin", s.dir);
    assert_int_equal(system(command), 0);
    scratch_text(&s, "pytorch_model.bin.index.json", "{\"weight_map\": {\"plain\": \"part-1.bin\"}}");
    assert_int_equal(hd__tensors_open(s.dir, &tensors, &err), HD_OK);
    assert_int_equal(hd__tensors_count(tensors), 11);
    hd__tensors_close(tensors);
    scratch_text(&s, "pytorch_model.bin", "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.");
    assert_int_equal(hd__tensors_open(s.dir, &tensors, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "written by torch before 1.6"));
    scratch_end(&s);
}

/* ---- pickles by hand ---- */

#define STORAGE(n)                                                                                                          \
    "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                                     \
    "0X\3\0\0\0cpuK" n "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define DICT_OF(tensor) "\x80\2}X\1\0\0\0w" tensor "s."

static hd_status parse(const void *pickle, size_t n, const char *order, hd_tensor *first)
{
    zip_file z = {0};
    zip_add(&z, "m/data.pkl", pickle, n);
    zip_add(&z, "m/data/0", "\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 16); /* 0, 1, 2, 3 */
    if (order != NULL)
        zip_add(&z, "m/byteorder", order, strlen(order));
    hd_span bytes = zip_write(&z);
    hd_arena arena;
    hd_tensor *tensors;
    size_t n_tensors;
    hd__arena_init(&arena);
    memset(&err, 0, sizeof err);
    hd_status status = hd__torch_zip_parse(bytes, "m.bin", &arena, &tensors, &n_tensors, &err);
    if (status == HD_OK && first != NULL)
        *first = tensors[0];
    hd__arena_clear(&arena);
    free((void *)(uintptr_t)bytes.ptr);
    return status;
}

static void fails(const void *pickle, size_t n, hd_status wanted, const char *says)
{
    hd_status status = parse(pickle, n, NULL, NULL);
    if (status != wanted || strstr(err.text, says) == NULL)
        fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", (int)status, err.text, (int)wanted, says);
}

#define FAILS(pickle, wanted, says) fails(pickle, sizeof(pickle) - 1, wanted, says)

static void tensors_stay_in_their_storage(void **state)
{
    (void)state;
    static const char good[] = DICT_OF(REBUILD STORAGE("\4") "K\1K\3\x85K\1\x85\x89}tR");
    hd_tensor t;
    assert_int_equal(parse(good, sizeof good - 1, "little", &t), HD_OK);
    assert_int_equal(t.n_elements, 3);
    assert_int_equal(parse(good, sizeof good - 1, "big", NULL), HD_ERR_UNSUPPORTED);
    FAILS(DICT_OF(REBUILD STORAGE("\5") "K\0K\3\x85K\1\x85\x89}tR"), HD_ERR_FORMAT, "no storage of 5 values of F32");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\2K\3\x85K\1\x85\x89}tR"), HD_ERR_FORMAT, "\"w\" reaches out of its storage of 4");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0K\3\x85K\2\x85\x89}tR"), HD_ERR_FORMAT, "reaches out");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\5K\0\x85K\1\x85\x89}tR"), HD_ERR_FORMAT, "reaches out");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0K\x64\x85K\0\x85\x89}tR"), HD_ERR_FORMAT,
          "reaches out"); /* one value 100 times */
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                                        "\x86K\0K\0\x86\x89}tR"),
          HD_ERR_FORMAT, "reaches out");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0K\2\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85\x89}tR"), HD_ERR_FORMAT,
          "reaches out");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0J\xff\xff\xff\xff\x85K\1\x85\x89}tR"), HD_ERR_FORMAT, "that is no count");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0K\3\x85)\x89}tR"), HD_ERR_FORMAT, "more or fewer strides");
    FAILS(DICT_OF(REBUILD STORAGE("\4") "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t)\x89}tR"), HD_ERR_LIMIT,
          "9 dimensions, the limit is 8");
}

static void nothing_but_tensors_is_made(void **state)
{
    (void)state;
    FAILS("\x80\2cposix\nsystem\nX\2\0\0\0id\x85R.", HD_ERR_UNSUPPORTED, "it asks for \"posix.system\"");
    FAILS("\x80\4\x8c\x08"
          "builtins\x8c\4eval\x93\x8c\1"
          "1\x85R.",
          HD_ERR_UNSUPPORTED, "it asks for \"builtins.eval\"");
    FAILS("\x80\2c__builtin__\ngetattr\n.", HD_ERR_UNSUPPORTED, "__builtin__.getattr");
    FAILS("\x80\2ctorch\nload\n.", HD_ERR_UNSUPPORTED, "torch.load");
    FAILS("\x80\2ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", HD_ERR_UNSUPPORTED, "it asks for");
    FAILS("\x80\2(iposix\nsystem\n.", HD_ERR_UNSUPPORTED, "opcode 0x69");           /* INST */
    FAILS("\x80\2ctorch\nFloatStorage\n)\x81.", HD_ERR_UNSUPPORTED, "opcode 0x81"); /* NEWOBJ */
    FAILS("\x80\2\x82\1.", HD_ERR_UNSUPPORTED, "opcode 0x82");                      /* EXT1 */
    FAILS("\x80\2ctorch\nFloatStorage\nK\1\x85R.", HD_ERR_FORMAT, "a call of something that is no function");
    FAILS("\x80\2K\1K\2b.", HD_ERR_FORMAT, "attributes of something that is no dictionary");
    FAILS("\x80\2K\1Q.", HD_ERR_FORMAT, "a persistent id that is no storage");
}

static void damaged_pickles_are_refused(void **state)
{
    (void)state;
    FAILS("", HD_ERR_FORMAT, "it is cut short");
    FAILS(".", HD_ERR_FORMAT, "an empty stack");
    FAILS("K\1.", HD_ERR_FORMAT, "no dictionary of tensors");
    FAILS("}.", HD_ERR_FORMAT, "no tensors by name");
    FAILS("(}.", HD_ERR_FORMAT, "no tensors by name");
    FAILS("}(0", HD_ERR_FORMAT, "an empty stack"); /* not below a mark */
    FAILS("t", HD_ERR_FORMAT, "no mark");
    FAILS("K\1\x86", HD_ERR_FORMAT, "an empty stack");
    FAILS("K\1K\2a", HD_ERR_FORMAT, "items for something that takes none");
    FAILS("}(K\1u", HD_ERR_FORMAT, "items for something that takes none");
    FAILS("}K\1s", HD_ERR_FORMAT, "items for something that takes none");
    FAILS("h\0", HD_ERR_FORMAT, "something that was not kept");
    FAILS("K\1r\xff\xff\xff\xff", HD_ERR_FORMAT, "too high a number");
    FAILS("q\0", HD_ERR_FORMAT, "nothing to keep");
    FAILS("\x8a\x09"
          "123456789.",
          HD_ERR_FORMAT, "an integer of more than 64 bits");
    FAILS("X\xff\xff\xff\xff", HD_ERR_FORMAT, "a text that is cut short");
    FAILS("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", HD_ERR_FORMAT, "a text that is cut short");
    FAILS("ctorch", HD_ERR_FORMAT, "a name that is cut short");
    FAILS("J\1\2", HD_ERR_FORMAT, "it is cut short");
    FAILS("}X\1\0\0\0"
          "a]J",
          HD_ERR_FORMAT, "it is cut short");
    zip_file z = {0};
    zip_add(&z, "m/other.pkl", "}.", 2);
    hd_span bytes = zip_write(&z);
    hd_arena arena;
    hd_tensor *tensors;
    size_t n;
    hd__arena_init(&arena);
    assert_int_equal(hd__torch_zip_parse(bytes, "m.bin", &arena, &tensors, &n, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "without a data.pkl"));
    hd__arena_clear(&arena);
    free((void *)(uintptr_t)bytes.ptr);
}

static void a_state_dict_within_is_found(void **state)
{
    (void)state;
    static const char inner[] = "\x80\2}X\5\0\0\0epochK\7sX\x0a\0\0\0state_dict}X\1\0\0\0w" REBUILD STORAGE(
        "\4") "K\0K\2K\2\x86K\2K\1\x86\x89}tRss.";
    hd_tensor t;
    assert_int_equal(parse(inner, sizeof inner - 1, NULL, &t), HD_OK);
    assert_int_equal(t.n_dims, 2);
    assert_null(t.strides);
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tensors *tensors = NULL;
        assert_int_equal(status, HD_ERR_MEMORY);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tensors_open_file("tests/golden/torch/tensors.pt", &tensors, &err);
        hd__alloc_fail_off();
        hd__tensors_close(tensors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_torch_writes),          cmocka_unit_test(folders_may_hold_torch_files),
        cmocka_unit_test(tensors_stay_in_their_storage),    cmocka_unit_test(nothing_but_tensors_is_made),
        cmocka_unit_test(damaged_pickles_are_refused),      cmocka_unit_test(a_state_dict_within_is_found),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
