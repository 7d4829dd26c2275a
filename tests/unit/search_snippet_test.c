/* Snippets: the window that answers, cut where words and sentences are, with highlights that are the query's words. */
#include "search/snippet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/utf8.h"

static hd_error err;
static hd_arena arena;

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

/* Every place of the words in a text, as the postings would find them; all weigh 1 but the first word, which weighs 3. */
static size_t find(const char *text, const char *const *words, hd_match *matches, size_t max)
{
    size_t n = 0;
    for (size_t at = 0; text[at] != '\0' && n < max; at++)
        for (uint32_t k = 0; words[k] != NULL; k++)
            if (strncmp(text + at, words[k], strlen(words[k])) == 0)
                matches[n++] = (hd_match){(uint32_t)at, (uint32_t)(at + strlen(words[k])), k == 0 ? 3 : 1, k};
    return n;
}

static hd_snippet make(const char *text, const char *const *words, size_t max_bytes)
{
    hd_match matches[64];
    hd_snippet snippet = {0};
    const size_t n = find(text, words, matches, 64);
    assert_int_equal(hd__snippet_make(hd__span_of(text), matches, n, (hd_span32){0, 0}, max_bytes, &arena, &snippet, &err),
                     HD_OK);
    return snippet;
}

static void shows(hd_snippet snippet, const char *text, const char *highlighted)
{
    char joined[512] = "";
    for (size_t i = 0; i < snippet.n_highlights; i++) {
        strncat(joined, snippet.text + snippet.highlights[i].begin, snippet.highlights[i].end - snippet.highlights[i].begin);
        strcat(joined, "|");
    }
    assert_string_equal(snippet.text, text);
    assert_string_equal(joined, highlighted);
}

static const char *const none[] = {NULL};
static const char *const loom[] = {"loom", "warp", NULL};

static void a_short_text_is_shown_whole(void **state)
{
    (void)state;
    shows(make("A loom\n  has a\twarp.", loom, 100), "A loom has a warp.", "loom|warp|");
    shows(make("", none, 100), "", "");
    shows(make(" \n ", none, 100), "", "");
    shows(make("loom", loom, 16), "loom", "loom|");
}

static const char page[] =
    "Shuttles are thrown from side to side. Nothing of interest stands in this sentence at all. A loom holds the warp under "
    "tension, so that the weft can pass. The reed beats it up. And here are more words than anybody would want to read.";

static void the_window_has_what_weighs_most(void **state)
{
    (void)state;
    shows(make(page, loom, 80), "A loom holds the warp under tension, so that the weft can pass.", "loom|warp|");
    shows(make(page, loom, 100), "A loom holds the warp under tension, so that the weft can pass. The reed beats it up.",
          "loom|warp|");
    shows(make(page, loom, 30), "A loom holds the warp…", "loom|warp|");
    static const char *const weft[] = {"weft", NULL};
    shows(make(page, weft, 40), "…that the weft can pass.", "weft|");
}

static void no_word_found_shows_the_beginning(void **state)
{
    (void)state;
    shows(make(page, none, 60), "Shuttles are thrown from side to side.", "");
    shows(make(page, none, 30), "Shuttles are thrown from…", "");
}

static void a_focus_is_shown(void **state)
{
    (void)state;
    hd_span32 sentences[16];
    const size_t n = hd__snippet_sentences(hd__span_of(page), sentences, 16);
    hd_snippet snippet;
    assert_int_equal(n, 5);
    assert_memory_equal(page + sentences[3].begin, "The reed beats it up.", sentences[3].end - sentences[3].begin);
    assert_int_equal(hd__snippet_make(hd__span_of(page), NULL, 0, sentences[3], 30, &arena, &snippet, &err), HD_OK);
    assert_string_equal(snippet.text, "The reed beats it up.");
}

static void sentences_end_where_they_do(void **state)
{
    (void)state;
    static const char text[] =
        "# Title\n\nOne (two.) Version 1.5 is \"out!\" Yes?\nline goes\non\n- an item\n- another。次の文";
    static const char *const expected[] = {
        "# Title", "One (two.)", "Version 1.5 is \"out!\"", "Yes?", "line goes\non", "- an item", "- another。", "次の文"};
    hd_span32 sentences[16];
    const size_t n = hd__snippet_sentences(hd__span_of(text), sentences, 16);
    assert_int_equal(n, 8);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sentences[i].end - sentences[i].begin, strlen(expected[i]));
        assert_memory_equal(text + sentences[i].begin, expected[i], strlen(expected[i]));
    }
    assert_int_equal(hd__snippet_sentences(hd__span_of(text), sentences, 3), 3);
}

static void scripts_without_blanks_are_cut_between_characters(void **state)
{
    (void)state;
    static const char *const word[] = {"全文検索", NULL};
    static const char text[] = "このプログラムは日本語の文書を読んで全文検索をすることができるプログラムですから便利です";
    const hd_snippet snippet = make(text, word, 48);
    assert_int_equal(hd__utf8_valid_len(hd__span_of(snippet.text)), strlen(snippet.text));
    assert_int_equal(snippet.n_highlights, 1);
    assert_memory_equal(snippet.text + snippet.highlights[0].begin, word[0], strlen(word[0]));
}

static void touching_matches_become_one(void **state)
{
    (void)state;
    static const char text[] = "hash_map";
    const hd_match matches[] = {{0, 4, 1, 0}, {2, 6, 1, 1}, {5, 8, 1, 2}};
    hd_snippet snippet;
    assert_int_equal(hd__snippet_make(hd__span_of(text), matches, 3, (hd_span32){0, 0}, 64, &arena, &snippet, &err), HD_OK);
    assert_true(snippet.n_highlights >= 1);
    for (size_t i = 1; i < snippet.n_highlights; i++)
        assert_true(snippet.highlights[i].begin > snippet.highlights[i - 1].end);
}

/* Any text, any matches, any size: within bounds, valid, highlights where the matched words are. */
static void holds_for_any_text(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "loom", "warp",       " ",  "  ", "\n", "\n\n", ". ", "! ",      "é", "日本", "。", "\xF0\x9F\xA7\xB5",
        "a",    "longerword", "- ", "# ", "\t", ")",    "\"", "\xCC\x81"};
    uint32_t seed = 7;
    for (uint32_t round = 0; round < 20000; round++) {
        char text[600] = "";
        seed = seed * 1664525 + 1013904223;
        for (uint32_t n = (seed >> 8) % 60; n > 0; n--) {
            seed = seed * 1664525 + 1013904223;
            strcat(text, parts[(seed >> 8) % (sizeof parts / sizeof *parts)]);
        }
        seed = seed * 1664525 + 1013904223;
        const size_t max = HD_SNIPPET_LEAST_BYTES + (seed >> 8) % 120;
        const hd_snippet snippet = make(text, loom, max);
        const size_t len = strlen(snippet.text);
        assert_true(len <= max);
        assert_int_equal(hd__utf8_valid_len(hd__span(snippet.text, len)), len);
        assert_null(strstr(snippet.text, "  "));
        for (size_t i = 0; i < snippet.n_highlights; i++) {
            const hd_span32 h = snippet.highlights[i];
            assert_true(h.begin < h.end && h.end <= len);
            assert_true(i == 0 || h.begin > snippet.highlights[i - 1].end);
            assert_true(memcmp(snippet.text + h.begin, "loom", 4) == 0 || memcmp(snippet.text + h.begin, "warp", 4) == 0);
        }
        assert_true(snippet.n_highlights > 0 || (strstr(text, "loom") == NULL && strstr(text, "warp") == NULL));
        if (round % 64 == 0)
            hd__arena_clear(&arena);
    }
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    hd_snippet snippet;
    hd__alloc_fail_after(0, UINT64_MAX);
    const hd_status status = hd__snippet_make(hd__span_of(page), NULL, 0, (hd_span32){0, 0}, 100, &arena, &snippet, &err);
    hd__alloc_fail_off();
    assert_int_equal(status, HD_ERR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_short_text_is_shown_whole, begin, end),
        cmocka_unit_test_setup_teardown(the_window_has_what_weighs_most, begin, end),
        cmocka_unit_test_setup_teardown(no_word_found_shows_the_beginning, begin, end),
        cmocka_unit_test_setup_teardown(a_focus_is_shown, begin, end),
        cmocka_unit_test_setup_teardown(sentences_end_where_they_do, begin, end),
        cmocka_unit_test_setup_teardown(scripts_without_blanks_are_cut_between_characters, begin, end),
        cmocka_unit_test_setup_teardown(touching_matches_become_one, begin, end),
        cmocka_unit_test_setup_teardown(holds_for_any_text, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
