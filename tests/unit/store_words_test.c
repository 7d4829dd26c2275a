/* Tests of store/words.c: what is a word, a part of one, and what its term becomes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "store/words.h"

static hd_words *open_words(const char *language)
{
    hd_words *words;
    assert_int_equal(hd__words_open(language, &words, NULL), HD_OK);
    return words;
}

/* The terms, joined by blanks, wholes in brackets. */
static void expect_terms(hd_words *words, hd_span text, const char *expected)
{
    const hd_word *list;
    size_t n;
    assert_int_equal(hd__words_split(words, text, &list, &n, NULL), HD_OK);
    hd_buffer got = {0};
    for (size_t i = 0; i < n; i++) {
        const hd_span term = hd__words_term(words, &list[i]);
        assert_true(list[i].begin < list[i].end && list[i].end <= text.len);
        assert_true(term.len > 0 && term.len <= HD_LIMIT_WORD_BYTES);
        assert_true(i == 0 || list[i].position >= list[i - 1].position || list[i].is_whole);
        hd__buffer_printf(&got, "%s%s%.*s%s", i > 0 ? " " : "", list[i].is_whole ? "[" : "", (int)term.len, term.ptr,
                          list[i].is_whole ? "]" : "");
    }
    hd__buffer_append_char(&got, '\0');
    assert_string_equal(got.ptr, expected);
    hd__buffer_clear(&got);
}

static const struct {
    const char *language, *text, *terms;
} cases[] = {
    {"none", "", ""},
    {"none", " .,;!? \n\t-- ", ""},
    {"none", "The quick brown Fox, the DOG.", "the quick brown fox the dog"},
    {"none", "state-of-the-art e-mail", "state of the art e mail"},
    /* identifiers */
    {"none", "HTTPServer", "http server [httpserver]"},
    {"none", "getElementById", "get element by id [getelementbyid]"},
    {"none", "snake_case_name", "snake case name [snake_case_name]"},
    {"none", "__init__ _x_", "init x"},
    {"none", "os.path.join(a)", "os path join [os.path.join] a"},
    {"none", "std::vector<int>::size", "std vector [std::vector] int size"},
    {"none", "a:b a::b a:::b", "a b a b [a::b] a b"},
    {"none", "hd__words_open", "hd words open [hd__words_open]"},
    {"none", "sha256Sum utf8 v2 x86 3D 4K iPhone", "sha256 sum [sha256sum] utf8 v2 x86 3d 4k i phone [iphone]"},
    {"none", "version 3.11, v1.2.3.", "version 3 11 [3.11] v1 2 3 [v1.2.3]"},
    {"none", "C++ and C#, f#; a++b x#y", "c [c++] and c [c#] f [f#] a b x y"},
    {"none", "end.Then ... a..b", "end then [end.then] a b"},
    /* apostrophes */
    {"none", "don't", "don t"},
    {"english", "don't dog's O\xE2\x80\x99Neill's 'quoted'", "don't dog o'neil quot"},
    {"french", "l'\xC3\xA9l\xC3\xA8ve", "l \x65lev"},
    /* stems: Snowball's published vocabulary (snowballstem.org, english and german samples) */
    {"english", "consign consigned consigning consignment", "consign consign consign consign"},
    {"english", "knackeries knick knightly generously", "knackeri knick knight generous"},
    {"english", "running files databases searched relational", "run file databas search relat"},
    {"english", "DataFrames dataframes data_frames", "data frame [datafram] datafram data frame [data_frames]"},
    {"german", "aufeinander aufeinanderfolgen", "aufeinand aufeinanderfolg"},
    {"russian", "\xD0\xB2\xD0\xB0\xD0\xB6\xD0\xBD\xD0\xB0\xD1\x8F", "\xD0\xB2\xD0\xB0\xD0\xB6\xD0\xBD"},
    /* folding */
    {"none", "CAF\xC3\x89 cafe\xCC\x81 na\xC3\xAFve", "cafe cafe naive"},
    {"english", "r\xC3\xA9sum\xC3\xA9 resume", "resum resum"},
    {"none",
     "Stra\xC3\x9F"
     "e STRASSE",
     "strasse strasse"},
    {"none", "\xEF\xBC\xA1\xEF\xBC\xA2\xEF\xBC\xA3\xEF\xBC\x91 \xEF\xAC\x81le m\xC2\xB2", "abc1 file m2"},
    {"none", "\xCE\xA3\xCE\x91\xCE\xA3 \xCF\x83\xCE\xB1\xCF\x82", "\xCF\x83\xCE\xB1\xCF\x83 \xCF\x83\xCE\xB1\xCF\x83"},
    {"none", "co\xC2\xADoperate", "cooperate"},
    /* Arabic and Hebrew: words with blanks between; Devanagari keeps its vowels */
    {"none", "\xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 \xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D",
     "\xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 \xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D"},
    {"none", "\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6\xE0\xA5\x80",
     "\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6\xE0\xA5\x80"},
    /* scripts without spaces */
    {"none", "\xE4\xBA\xAC", "\xE4\xBA\xAC"},
    {"none", "\xE6\x9D\xB1\xE4\xBA\xAC\xE9\x83\xBD", "\xE6\x9D\xB1\xE4\xBA\xAC \xE4\xBA\xAC\xE9\x83\xBD"},
    {"none",
     "Python\xE5\x85\xA5\xE9\x96\x80"
     "3",
     "python \xE5\x85\xA5\xE9\x96\x80 3"},
    {"none", "\xE3\x81\x8B\xE3\x82\x99\xE3\x81\x8E", "\xE3\x81\x8C\xE3\x81\x8E"}, /* ga of two code points, gi */
    {"none", "\xEF\xBD\xB6\xEF\xBE\x9E\xEF\xBD\xB7", "\xE3\x82\xAC\xE3\x82\xAD"}, /* the same of half width */
    {"none", "\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4", "\xED\x95\x9C\xEA\xB5\xAD \xEA\xB5\xAD\xEC\x96\xB4"},
    {"none", "\xE0\xB8\x81\xE0\xB8\xB3", "\xE0\xB8\x81\xE0\xB9\x8D\xE0\xB8\xB2"}, /* Thai: one letter that NFKC makes two */
    /* no text */
    {"none",
     "a\xFF"
     "b \xC3 \xED\xA0\x80 \xF4\x90\x80\x80z",
     "a b z"},
    {"none", "\xCC\x81 \xEF\xB8\x8F \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80", ""},
};

static void test_terms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hd_words *words = open_words(cases[i].language);
        expect_terms(words, hd__span_of(cases[i].text), cases[i].terms);
        expect_terms(words, hd__span_of(cases[i].text), cases[i].terms); /* once more, by the cache of stems */
        hd__words_close(words);
    }
}

/* Words at and past the limit; a NUL is no word. */
static void test_long(void **state)
{
    (void)state;
    hd_words *words = open_words("none");
    char text[3 * HD_LIMIT_WORD_BYTES + 1];
    for (size_t len = HD_LIMIT_WORD_BYTES - 1; len <= HD_LIMIT_WORD_BYTES + 1; len++) {
        memset(text, 'x', len);
        const hd_word *list;
        size_t n;
        assert_int_equal(hd__words_split(words, hd__span(text, len), &list, &n, NULL), HD_OK);
        assert_int_equal(n, 1);
        assert_int_equal(list[0].len, len < HD_LIMIT_WORD_BYTES ? len : HD_LIMIT_WORD_BYTES);
        assert_int_equal(list[0].end, len);
    }
    /* A character is not cut: "é" of two bytes becomes "e". */
    for (size_t i = 0; i < HD_LIMIT_WORD_BYTES; i++)
        memcpy(text + 2 * i + 1, "\xC3\xA9", 2);
    text[0] = 'x';
    const hd_word *list;
    size_t n;
    assert_int_equal(hd__words_split(words, hd__span(text, 2 * HD_LIMIT_WORD_BYTES + 1), &list, &n, NULL), HD_OK);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].len, 1 + (HD_LIMIT_WORD_BYTES - 1) / 2);
    /* A whole of one byte too many is none. */
    memset(text, 'x', sizeof text);
    text[10] = '_';
    assert_int_equal(hd__words_split(words, hd__span(text, HD_LIMIT_WORD_BYTES), &list, &n, NULL), HD_OK);
    assert_int_equal(n, 3);
    assert_int_equal(hd__words_split(words, hd__span(text, HD_LIMIT_WORD_BYTES + 1), &list, &n, NULL), HD_OK);
    assert_int_equal(n, 2);
    expect_terms(words, hd__span("a\0b", 3), "a b");
    hd__words_close(words);
}

static void test_languages(void **state)
{
    (void)state;
    hd_words *words;
    hd_error err;
    assert_int_equal(hd__words_open("klingon", &words, &err), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "klingon"));
    assert_non_null(strstr(err.text, "english"));
    assert_int_equal(hd__words_open("", &words, &err), HD_ERR_ARG);
    hd__words_close(NULL);
}

static void test_memory(void **state)
{
    (void)state;
    char text[4096];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 4 == 3 ? ' ' : (char)('a' + i % 23);
    bool passed = false;
    for (uint64_t n = 0; !passed; n++) {
        assert_true(n < 100);
        hd_words *words = NULL;
        const hd_word *list;
        size_t n_words;
        hd__alloc_fail_after(n, UINT64_MAX);
        hd_status status = hd__words_open("english", &words, NULL);
        if (status == HD_OK)
            status = hd__words_split(words, hd__span(text, sizeof text), &list, &n_words, NULL);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        passed = status == HD_OK;
        hd__words_close(words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
