/* The trie of pieces beside a search through all of them: few and many children, gaps, equal and long texts, memory running
 * out. */
#include "token/piece_trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;
static hd_vocab vocab;
static hd_piece_trie trie;

static void add(hd_span text)
{
    assert_int_equal(hd__vocab_add(&vocab, text, vocab.n_ids, "f", &err), HD_OK);
}

static void build(void)
{
    assert_int_equal(hd__vocab_index(&vocab, &err), HD_OK);
    assert_int_equal(hd__piece_trie_build(&trie, &vocab, &err), HD_OK);
}

static void clear(void)
{
    hd__vocab_clear(&vocab);
    hd__piece_trie_clear(&trie);
}

static int32_t find(const char *text)
{
    return hd__piece_trie_find(&trie, hd__span_of(text));
}

static void test_few(void **state)
{
    (void)state;
    hd__vocab_init(&vocab);
    static const char *const pieces[] = {"", "a", "abc", "b", "a", "z", "abcdefghijkl", "abcdefghijkm", "abcdefghijk"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        add(hd__span_of(pieces[i]));
    add(hd__span("a\0", 2));
    add(hd__span("a\0b", 3));
    build();
    assert_int_equal(find(""), -1); /* the root is no piece */
    assert_int_equal(find("a"), 4); /* the later one */
    assert_int_equal(find("ab"), -1);
    assert_int_equal(find("abc"), 2);
    assert_int_equal(find("abcd"), -1);
    assert_int_equal(find("abcdefghijk"), 8);
    assert_int_equal(find("abcdefghijkl"), 6);
    assert_int_equal(find("abcdefghijkm"), 7);
    assert_int_equal(find("abcdefghijkmm"), -1);
    assert_int_equal(hd__piece_trie_find(&trie, hd__span("a\0", 2)), 9);
    assert_int_equal(hd__piece_trie_find(&trie, hd__span("a\0b", 3)), 10);
    assert_int_equal(find("c"), -1);
    clear();
}

static void test_none(void **state)
{
    (void)state;
    hd__vocab_init(&vocab);
    build();
    assert_int_equal(find("a"), -1);
    clear();
}

/* Every fanout from 1 to 256, its labels spread out or next to each other. */
static void test_fanouts(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 256; n += n < 40 ? 1 : 27) {
        for (unsigned step = 1; step <= 256 / n && step <= 9; step++) {
            hd__vocab_init(&vocab);
            for (unsigned i = 0; i < n; i++)
                add(hd__span((char[]){'x', (char)(255 - i * step)}, 2));
            build();
            for (unsigned label = 0; label < 256; label++) {
                unsigned i = (255 - label) / step;
                int32_t wanted = (255 - label) % step == 0 && i < n ? (int32_t)i : -1;
                assert_int_equal(hd__piece_trie_find(&trie, hd__span((char[]){'x', (char)label}, 2)), wanted);
            }
            clear();
        }
    }
}

/* Random strings of few letters, so that they share beginnings. */
static void test_random(void **state)
{
    (void)state;
    enum { N = 3000 };
    static char texts[N][16];
    uint32_t seed = 7;
    hd__vocab_init(&vocab);
    for (size_t i = 0; i < N; i++) {
        size_t len = 1 + (seed = seed * 1664525 + 1013904223) / 65536 % 14;
        for (size_t k = 0; k < len; k++)
            texts[i][k] = (char)('a' + (seed = seed * 1664525 + 1013904223) / 65536 % (k < 3 ? 26 : 3));
        add(hd__span_of(texts[i]));
    }
    build();
    for (size_t i = 0; i < N; i++) {
        for (size_t len = 1; len <= strlen(texts[i]); len++) {
            int32_t wanted = -1;
            for (size_t k = 0; k < N; k++)
                wanted = strlen(texts[k]) == len && memcmp(texts[k], texts[i], len) == 0 ? (int32_t)k : wanted;
            assert_int_equal(hd__piece_trie_find(&trie, hd__span(texts[i], len)), wanted);
        }
    }
    clear();
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    hd__vocab_init(&vocab);
    for (unsigned i = 0; i < 300; i++)
        add(hd__span((char[]){(char)i, 'a', (char)(i >> 3)}, 3));
    assert_int_equal(hd__vocab_index(&vocab, &err), HD_OK);
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < 30);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__piece_trie_build(&trie, &vocab, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__piece_trie_clear(&trie);
    }
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few),    cmocka_unit_test(test_none),      cmocka_unit_test(test_fanouts),
        cmocka_unit_test(test_random), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
