/* The vocabulary: exact and longest matches, both kinds of pieces, limits, doubles, and memory running out. */
#include "token/vocab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"

static hd_error err;

/* Text with the bytes after it that searches may read. */
static hd_span padded(const char *text)
{
    static char buffers[4][HD_LIMIT_TOKEN_BYTES + 64];
    static unsigned turn;
    char *to = buffers[turn++ % 4];
    size_t n = strlen(text);
    memcpy(to, text, n);
    memset(to + n, '#', 64);
    return hd__span(to, n);
}

static int32_t find(const hd_vocab *v, const char *text, hd_piece_kind kind)
{
    return hd__vocab_find(v, padded(text), kind);
}

static void build(hd_vocab *v, const char *const *tokens, size_t n)
{
    hd__vocab_init(v);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(hd__vocab_add(v, hd__span_of(tokens[i]), i, "f", &err), HD_OK);
    assert_int_equal(hd__vocab_build(v, hd__span_of("##"), &err), HD_OK);
}

static void test_find(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a",
                                         "##a",
                                         "un",
                                         "##aff",
                                         "##able",
                                         "",
                                         "##",
                                         "unaff",
                                         "12345678",
                                         "1234567890123456",
                                         "12345678901234567",
                                         "\xE6\xBC\xA2"};
    hd_vocab v;
    build(&v, tokens, sizeof tokens / sizeof *tokens);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        assert_int_equal(find(&v, tokens[i], HD_PIECE_FIRST), i);
        assert_string_equal(hd__vocab_text(&v, (uint32_t)i).ptr, tokens[i]);
    }
    assert_int_equal(find(&v, "a", HD_PIECE_NEXT), 1);
    assert_int_equal(find(&v, "able", HD_PIECE_NEXT), 4);
    assert_int_equal(find(&v, "un", HD_PIECE_NEXT), -1);
    assert_int_equal(find(&v, "", HD_PIECE_NEXT), -1);
    assert_int_equal(find(&v, "able", HD_PIECE_FIRST), -1);
    assert_int_equal(find(&v, "1234567", HD_PIECE_FIRST), -1);
    assert_int_equal(hd__vocab_text(&v, 12).len, 0);
    assert_int_equal(v.n_ids, 12);
    assert_int_equal(v.n_tokens, 12);
    hd__vocab_clear(&v);
}

static void test_longest(void **state)
{
    (void)state;
    char long_token[201] = {0}, longer[301] = {0};
    memset(long_token, 'x', 200);
    memset(longer, 'x', 300);
    const char *const tokens[] = {"u", "un", "unaff", "##a", "##aff", "##able", long_token, "xx"};
    hd_vocab v;
    size_t len;
    build(&v, tokens, sizeof tokens / sizeof *tokens);
    assert_int_equal(hd__vocab_find_longest(&v, padded("unaffable"), HD_PIECE_FIRST, &len), 2);
    assert_int_equal(len, 5);
    assert_int_equal(hd__vocab_find_longest(&v, padded("unafable"), HD_PIECE_FIRST, &len), 1);
    assert_int_equal(hd__vocab_find_longest(&v, padded("affable"), HD_PIECE_NEXT, &len), 4);
    assert_int_equal(len, 3);
    assert_int_equal(hd__vocab_find_longest(&v, padded("naff"), HD_PIECE_FIRST, &len), -1);
    assert_int_equal(hd__vocab_find_longest(&v, padded(longer), HD_PIECE_FIRST, &len), 6);
    assert_int_equal(len, 200);
    longer[199] = '\0';
    assert_int_equal(hd__vocab_find_longest(&v, padded(longer), HD_PIECE_FIRST, &len), 7);
    assert_int_equal(len, 2);
    hd__vocab_clear(&v);
}

/* Many entries: none is lost, none is found that is not there. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 20000 };
    hd_vocab v;
    char text[32];
    hd__vocab_init(&v);
    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%s%u", i % 3 == 0 ? "##" : "t", i * 7919u);
        assert_int_equal(hd__vocab_add(&v, hd__span_of(text), i * 2, "f", &err), HD_OK);
    }
    assert_int_equal(hd__vocab_build(&v, hd__span_of("##"), &err), HD_OK);
    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%s%u", i % 3 == 0 ? "##" : "t", i * 7919u);
        assert_int_equal(find(&v, text, HD_PIECE_FIRST), i * 2);
        assert_int_equal(find(&v, text + (i % 3 == 0 ? 2 : 1), HD_PIECE_NEXT), i % 3 == 0 ? (int)i * 2 : -1);
        assert_string_equal(hd__vocab_text(&v, i * 2).ptr, text);
        assert_int_equal(hd__vocab_text(&v, i * 2 + 1).len, 0);
    }
    hd__vocab_clear(&v);
}

static void test_doubles(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a", "b", "a"};
    hd_vocab v;
    build(&v, tokens, 3);
    assert_int_equal(find(&v, "a", HD_PIECE_FIRST), 2);
    assert_int_equal(v.n_tokens, 2);
    assert_int_equal(v.n_records, 3);
    hd__vocab_clear(&v);
}

static void test_empty_prefix(void **state)
{
    (void)state;
    hd_vocab v;
    hd__vocab_init(&v);
    assert_int_equal(hd__vocab_add(&v, hd__span_of("ab"), 5, "f", &err), HD_OK);
    assert_int_equal(hd__vocab_build(&v, hd__span_of(""), &err), HD_OK);
    assert_int_equal(find(&v, "ab", HD_PIECE_FIRST), 5);
    assert_int_equal(find(&v, "ab", HD_PIECE_NEXT), 5);
    hd__vocab_clear(&v);
}

static void test_limits(void **state)
{
    (void)state;
    static char text[HD_LIMIT_TOKEN_BYTES + 1];
    memset(text, 'x', sizeof text);
    hd_vocab v;
    hd__vocab_init(&v);
    assert_int_equal(hd__vocab_add(&v, hd__span_of("a"), HD_LIMIT_VOCAB, "f", &err), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "2000000"));
    assert_int_equal(hd__vocab_add(&v, hd__span_of("a"), HD_LIMIT_VOCAB - 1, "f", &err), HD_OK);
    assert_int_equal(hd__vocab_add(&v, hd__span(text, sizeof text), 0, "f", &err), HD_ERR_LIMIT);
    assert_int_equal(hd__vocab_add(&v, hd__span(text, sizeof text - 1), 0, "f", &err), HD_OK);
    assert_int_equal(hd__vocab_build(&v, hd__span_of("##"), &err), HD_OK);
    assert_int_equal(find(&v, "a", HD_PIECE_FIRST), HD_LIMIT_VOCAB - 1);
    assert_int_equal(hd__vocab_text(&v, 0).len, HD_LIMIT_TOKEN_BYTES);
    hd__vocab_clear(&v);

    hd_status status = HD_OK; /* all of it together */
    for (uint64_t i = 0; status == HD_OK && i < HD_LIMIT_VOCAB_BYTES / HD_LIMIT_TOKEN_BYTES + 1; i++)
        status = hd__vocab_add(&v, hd__span(text, HD_LIMIT_TOKEN_BYTES), i, "f", &err);
    assert_int_equal(status, HD_ERR_LIMIT);
    hd__vocab_clear(&v);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a", "##b", "cd"};
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < 20);
        hd_vocab v;
        hd__vocab_init(&v);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = HD_OK;
        for (size_t i = 0; i < 3 && status == HD_OK; i++)
            status = hd__vocab_add(&v, hd__span_of(tokens[i]), i, "f", &err);
        if (status == HD_OK)
            status = hd__vocab_build(&v, hd__span_of("##"), &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__vocab_clear(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),         cmocka_unit_test(test_longest), cmocka_unit_test(test_many),
        cmocka_unit_test(test_doubles),      cmocka_unit_test(test_limits),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_empty_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
