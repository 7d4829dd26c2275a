/* The header of GGUF files: what is read, and every way in which it can be wrong. */
#include "model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "unit/gguf_file.h"

typedef struct parsed {
    hd_arena arena;
    hd_gguf gguf;
    hd_error err;
    hd_status status;
    hd_span file;
} parsed;

static void parse_bytes(parsed *p, hd_span file)
{
    memset(p, 0, sizeof *p);
    p->file = file;
    hd__arena_init(&p->arena);
    p->status = hd__gguf_parse(file, "m.gguf", &p->arena, &p->gguf, &p->err);
}

static void parse(parsed *p, hd_buffer *b)
{
    parse_bytes(p, gguf_end(b));
}

static void end(parsed *p)
{
    hd__arena_clear(&p->arena);
    free((void *)(uintptr_t)p->file.ptr);
}

static void fails(hd_buffer *b, hd_status status, const char *text)
{
    parsed p;
    parse(&p, b);
    if (p.status != status || strstr(p.err.text, text) == NULL)
        fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", (int)p.status, p.err.text, (int)status, text);
    end(&p);
}

static void put_whole(hd_buffer *b, uint32_t version)
{
    gguf_begin(b, version, 3, 8);
    gguf_pair_text(b, "general.architecture", "bert");
    gguf_pair_uint(b, "general.alignment", HD_GGUF_U32, 64, 4);
    gguf_pair_uint(b, "small", HD_GGUF_I8, 0x7F, 1);
    gguf_pair_uint(b, "negative", HD_GGUF_I16, 0xFFFF, 2);
    gguf_pair_uint(b, "yes", HD_GGUF_BOOL, 1, 1);
    gguf_pair_f32(b, "real", 0.5f);
    gguf_pair_array(b, "texts", HD_GGUF_TEXT, 3);
    gguf_text(b, "a");
    gguf_text(b, "");
    gguf_text(b, "ccc");
    gguf_pair_array(b, "arrays", HD_GGUF_ARRAY, 2);
    for (int i = 0; i < 2; i++) {
        gguf_uint(b, HD_GGUF_U16, 4);
        gguf_uint(b, 2, 8);
        gguf_uint(b, 7, 4);
    }
    gguf_tensor(b, "later", 8, 2, (uint64_t[]){32, 2}, 64);
    gguf_tensor(b, "first", 0, 3, (uint64_t[]){2, 1, 3}, 0);
    gguf_tensor(b, "none", 1, 2, (uint64_t[]){0, 5}, 64);
    gguf_pad(b, 64);
    for (int i = 0; i < 64 + 68; i++)
        hd__buffer_append_char(b, (char)i);
}

static void reads_pairs_and_tensors(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        hd_buffer b;
        parsed p;
        put_whole(&b, version);
        parse(&p, &b);
        assert_string_equal(p.err.text, "");
        assert_int_equal(p.status, HD_OK);
        assert_int_equal(p.gguf.alignment, 64);
        assert_int_equal(p.gguf.n_pairs, 8);
        hd_span text = {0};
        uint64_t number = 5;
        double real = 0;
        bool yes = false;
        const hd_gguf_pair *pair;
        assert_int_equal(hd__gguf_get_text(&p.gguf, "general.architecture", &text, &p.err), HD_OK);
        assert_true(hd__span_is(text, "bert"));
        assert_int_equal(hd__gguf_get_uint(&p.gguf, "absent", 10, &number, &p.err), HD_OK);
        assert_int_equal(number, 5);
        assert_int_equal(hd__gguf_get_uint(&p.gguf, "small", 127, &number, &p.err), HD_OK);
        assert_int_equal(number, 127);
        assert_int_equal(hd__gguf_get_uint(&p.gguf, "small", 126, &number, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_uint(&p.gguf, "negative", UINT64_MAX, &number, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_uint(&p.gguf, "real", UINT64_MAX, &number, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_real(&p.gguf, "real", &real, &p.err), HD_OK);
        assert_true(real == 0.5);
        assert_int_equal(hd__gguf_get_real(&p.gguf, "small", &real, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_bool(&p.gguf, "yes", &yes, &p.err), HD_OK);
        assert_true(yes);
        assert_int_equal(hd__gguf_get_bool(&p.gguf, "real", &yes, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_text(&p.gguf, "texts", &text, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_array(&p.gguf, "texts", HD_GGUF_TEXT, 3, &pair, &p.err), HD_OK);
        hd_cursor c = hd__cursor(pair->bytes);
        assert_true(hd__span_is(hd__gguf_next_text(&c), "a"));
        assert_true(hd__span_is(hd__gguf_next_text(&c), ""));
        assert_true(hd__span_is(hd__gguf_next_text(&c), "ccc"));
        assert_int_equal(hd__gguf_get_array(&p.gguf, "texts", HD_GGUF_TEXT, 4, &pair, &p.err), HD_ERR_FORMAT);
        assert_int_equal(hd__gguf_get_array(&p.gguf, "texts", HD_GGUF_U8, 3, &pair, &p.err), HD_ERR_FORMAT);
        assert_int_equal(p.gguf.n_tensors, 3);
        assert_string_equal(p.gguf.tensors[0].name, "later");
        assert_int_equal(p.gguf.tensors[0].type, HD_TENSOR_Q8_0);
        assert_int_equal(p.gguf.tensors[0].dims[0], 2);
        assert_int_equal(p.gguf.tensors[0].dims[1], 32);
        assert_int_equal(p.gguf.tensors[0].bytes.len, 68);
        assert_int_equal(p.gguf.tensors[0].bytes.ptr[0], 64);
        assert_int_equal(p.gguf.tensors[1].dims[0], 3);
        assert_int_equal(p.gguf.tensors[1].dims[2], 2);
        assert_int_equal(p.gguf.tensors[1].bytes.len, 24);
        assert_int_equal(p.gguf.tensors[2].n_elements, 0);
        end(&p);
    }
}

static void every_shorter_file_is_refused(void **state)
{
    (void)state;
    hd_buffer b;
    put_whole(&b, 3);
    hd_span whole = gguf_end(&b);
    for (size_t n = 0; n < whole.len; n++) {
        char *part = malloc(n > 0 ? n : 1);
        memcpy(part, whole.ptr, n);
        parsed p;
        parse_bytes(&p, hd__span(part, n));
        assert_int_equal(p.status, HD_ERR_FORMAT);
        end(&p);
    }
    free((void *)(uintptr_t)whole.ptr);
}

static void counts_are_not_believed(void **state)
{
    (void)state;
    hd_buffer b;
    gguf_begin(&b, 3, HD_LIMIT_TENSORS + 1, 0);
    fails(&b, HD_ERR_LIMIT, "100001 tensors, the limit is 100000");
    gguf_begin(&b, 3, 0, HD_LIMIT_GGUF_PAIRS + 1);
    fails(&b, HD_ERR_LIMIT, "65537 keys, the limit is 65536");
    gguf_begin(&b, 3, HD_LIMIT_TENSORS, HD_LIMIT_GGUF_PAIRS);
    fails(&b, HD_ERR_FORMAT, "do not fit the 0 bytes");
    gguf_begin(&b, 3, 0, 1);
    gguf_pair_array(&b, "lies", HD_GGUF_U64, UINT64_MAX / 8 + 2);
    fails(&b, HD_ERR_FORMAT, "\"lies\"");
    gguf_begin(&b, 3, 0, 1);
    gguf_pair_array(&b, "lies", HD_GGUF_TEXT, UINT64_MAX);
    fails(&b, HD_ERR_FORMAT, "(18446744073709551615 of text) does not fit");
    gguf_begin(&b, 3, 0, 1);
    gguf_pair_array(&b, "deep", HD_GGUF_ARRAY, 1);
    for (int i = 0; i < 9; i++) {
        gguf_uint(&b, HD_GGUF_ARRAY, 4);
        gguf_uint(&b, 1, 8);
    }
    fails(&b, HD_ERR_FORMAT, "\"deep\"");
    gguf_begin(&b, 3, 0, 1);
    gguf_uint(&b, UINT64_MAX, 8);
    gguf_uint(&b, 0, 8);
    fails(&b, HD_ERR_FORMAT, "ends in key 0 of 1");
}

static void versions_types_and_names_are_checked(void **state)
{
    (void)state;
    hd_buffer b;
    gguf_begin(&b, 1, 0, 0);
    fails(&b, HD_ERR_UNSUPPORTED, "GGUF version 1,");
    gguf_begin(&b, 3u << 24, 0, 0);
    fails(&b, HD_ERR_UNSUPPORTED, "big-endian");
    hd__buffer_init(&b);
    hd__buffer_append_text(&b, "GGML and more of it than twenty-four bytes");
    fails(&b, HD_ERR_FORMAT, "not a GGUF file");
    gguf_begin(&b, 3, 0, 1);
    gguf_pair_uint(&b, "odd", (hd_gguf_type)13, 0, 8);
    fails(&b, HD_ERR_FORMAT, "a value of type 13");
    gguf_begin(&b, 3, 0, 2);
    gguf_pair_uint(&b, "twice", HD_GGUF_U8, 0, 1);
    gguf_pair_uint(&b, "twice", HD_GGUF_U8, 0, 1);
    fails(&b, HD_ERR_FORMAT, "\"twice\" occurs twice");
    gguf_begin(&b, 3, 0, 1);
    gguf_pair_uint(&b, "", HD_GGUF_U8, 0, 1);
    fails(&b, HD_ERR_FORMAT, "a key of 0 bytes");
    static const uint64_t bad[] = {0, 3, 48, 1u << 21};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_begin(&b, 3, 0, 1);
        gguf_pair_uint(&b, "general.alignment", HD_GGUF_U32, bad[i], 4);
        fails(&b, HD_ERR_FORMAT, "general.alignment");
    }
}

static void fails_tensor(uint32_t type, uint32_t n_dims, const uint64_t *dims, uint64_t offset, hd_status status,
                         const char *text)
{
    hd_buffer b;
    gguf_begin(&b, 3, 1, 0);
    gguf_tensor(&b, "t", type, n_dims, dims, offset);
    gguf_pad(&b, 32);
    for (int i = 0; i < 64; i++)
        hd__buffer_append_char(&b, 0);
    fails(&b, status, text);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    hd_buffer b;
    const uint64_t one[1] = {1}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    fails_tensor(99, 1, one, 0, HD_ERR_UNSUPPORTED, "type 99, which is unknown");
    fails_tensor(4, 1, one, 0, HD_ERR_UNSUPPORTED, "type 4, which is unknown");
    fails_tensor(10, 1, (uint64_t[]){256}, 0, HD_ERR_UNSUPPORTED, "\"t\" is Q2_K; Heddle reads");
    fails_tensor(0, 9, many, 0, HD_ERR_LIMIT, "9 dimensions, the limit is 8");
    fails_tensor(0, 1, one, 33, HD_ERR_FORMAT, "offset 33, no multiple of the alignment 32");
    fails_tensor(0, 1, one, 96, HD_ERR_FORMAT, "do not fit the 64 bytes");
    fails_tensor(0, 1, one, UINT64_MAX - 31, HD_ERR_FORMAT, "do not fit the 64 bytes");
    fails_tensor(0, 1, (uint64_t[]){17}, 0, HD_ERR_FORMAT, "17 values of F32 at offset 0 do not fit");
    fails_tensor(0, 1, (uint64_t[]){UINT64_MAX / 4 + 2}, 0, HD_ERR_FORMAT, "do not fit");
    fails_tensor(0, 2, (uint64_t[]){UINT64_MAX, 2}, 0, HD_ERR_FORMAT, "do not fit 64 bits");
    fails_tensor(8, 2, (uint64_t[]){16, 2}, 0, HD_ERR_FORMAT, "rows of 16 values are not whole blocks of Q8_0");
    gguf_begin(&b, 3, 2, 0);
    gguf_tensor(&b, "a", 0, 1, (uint64_t[]){9}, 0);
    gguf_tensor(&b, "b", 0, 1, one, 32);
    gguf_pad(&b, 32);
    for (int i = 0; i < 64; i++)
        hd__buffer_append_char(&b, 0);
    fails(&b, HD_ERR_FORMAT, "\"a\" and \"b\" lie one over the other");
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    hd_buffer b;
    put_whole(&b, 3);
    hd_span whole = gguf_end(&b);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_arena arena;
        hd_gguf gguf;
        hd_error err;
        assert_int_equal(status, HD_ERR_MEMORY);
        hd__arena_init(&arena);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__gguf_parse(whole, "m.gguf", &arena, &gguf, &err);
        hd__alloc_fail_off();
        hd__arena_clear(&arena);
    }
    free((void *)(uintptr_t)whole.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pairs_and_tensors), cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(counts_are_not_believed), cmocka_unit_test(versions_types_and_names_are_checked),
        cmocka_unit_test(tensors_are_checked),     cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
