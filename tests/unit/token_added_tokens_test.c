/* Added tokens: leftmost and longest, flags at their edges, matches that single_word refuses, doubles. */
#include "token/added_tokens.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static hd_error err;

static hd_added_token token(const char *text, int32_t id)
{
    return (hd_added_token){.pattern = hd__span_of(text), .content = hd__span_of(text), .id = id};
}

typedef struct match {
    int32_t id;
    size_t gap_begin, gap_end, begin, end;
} match;

/* Matches of a text, the rest of it last with id -1. */
static void finds(hd_added_token *tokens, size_t n_tokens, const char *text, const match *wanted, size_t n)
{
    hd_added_set set;
    assert_int_equal(hd__added_set_build(&set, tokens, n_tokens, "f", &err), HD_OK);
    hd_added_walk walk = {.set = &set, .text = hd__span_of(text)};
    for (size_t i = 0; i < n; i++) {
        match m = {-1, 0, 0, 0, 0};
        const hd_added_token *found = hd__added_walk_next(&walk, &m.gap_begin, &m.gap_end, &m.begin, &m.end);
        m.id = found != NULL ? found->id : -1;
        assert_int_equal(m.id, wanted[i].id);
        assert_int_equal(m.gap_begin, wanted[i].gap_begin);
        assert_int_equal(m.gap_end, wanted[i].gap_end);
        assert_int_equal(m.begin, wanted[i].begin);
        assert_int_equal(m.end, wanted[i].end);
    }
}

static void test_longest(void **state)
{
    (void)state;
    hd_added_token tokens[] = {token("<m", 1), token("<m>", 2), token("x<", 3)};
    finds(tokens, 3, "a<m><mx<m>", (match[]){{2, 0, 1, 1, 4}, {1, 4, 4, 4, 6}, {3, 6, 6, 6, 8}, {-1, 8, 10, 0, 0}}, 4);
    finds(tokens, 3, "", (match[]){{-1, 0, 0, 0, 0}}, 1);
}

static void test_strips(void **state)
{
    (void)state;
    hd_added_token tokens[] = {token("L", 1), token("R", 2), token("\xC3\xA9", 3)};
    tokens[0].lstrip = true;
    tokens[1].rstrip = true;
    tokens[2].lstrip = tokens[2].rstrip = true;
    finds(tokens, 1, "a \xE3\x80\x80L b", (match[]){{1, 0, 1, 1, 6}, {-1, 6, 8, 0, 0}}, 2);
    finds(tokens, 1, "  L", (match[]){{1, 0, 0, 0, 3}, {-1, 3, 3, 0, 0}}, 2);
    hd_added_token right[] = {token("R", 2)};
    right[0].rstrip = true;
    finds(right, 1, "R \xE3\x80\x80", (match[]){{2, 0, 0, 0, 5}, {-1, 5, 5, 0, 0}}, 2);
    hd_added_token both[] = {token("<m>", 3)};
    both[0].lstrip = both[0].rstrip = true;
    finds(both, 1, "<m> <m>", (match[]){{3, 0, 0, 0, 4}, {3, 4, 4, 4, 7}, {-1, 7, 7, 0, 0}}, 3);
}

static void test_single_word(void **state)
{
    (void)state;
    hd_added_token tokens[] = {token("ab", 1), token("b!", 2)};
    tokens[0].single_word = true;
    finds(tokens, 1, "ab", (match[]){{1, 0, 0, 0, 2}, {-1, 2, 2, 0, 0}}, 2);
    finds(tokens, 1, "xab", (match[]){{-1, 0, 3, 0, 0}}, 1);
    finds(tokens, 1, "ab\xC3\xA9", (match[]){{-1, 0, 4, 0, 0}}, 1);
    finds(tokens, 1,
          "\xC3\xA9"
          "ab",
          (match[]){{-1, 0, 4, 0, 0}}, 1);
    finds(tokens, 1,
          "\xFF"
          "ab-",
          (match[]){{1, 0, 1, 1, 3}, {-1, 3, 4, 0, 0}}, 2);
    hd_added_token two[] = {token("ab", 1), token("b!", 2)};
    two[0].single_word = true;
    finds(two, 2, "xab!", (match[]){{-1, 0, 4, 0, 0}}, 1); /* the refused "ab" has used up the b */
}

static void test_refused(void **state)
{
    (void)state;
    hd_added_set set;
    hd_added_token doubled[] = {token("ab", 1), token("b", 2), token("ab", 3)};
    assert_int_equal(hd__added_set_build(&set, doubled, 3, "file.json", &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "file.json"));
    assert_non_null(strstr(err.text, "\"ab\""));
    hd_added_token empty[] = {token("", 1)};
    assert_int_equal(hd__added_set_build(&set, empty, 1, "f", &err), HD_ERR_FORMAT);
    assert_int_equal(hd__added_set_build(&set, NULL, 0, "f", &err), HD_OK);
    assert_null(hd__added_set_find(&set, hd__span_of("a"), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_strips),
        cmocka_unit_test(test_single_word),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
