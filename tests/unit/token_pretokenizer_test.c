/* Words: each pre-tokenizer on the library's own examples, behaviours, and what is refused. */
#include "token/pretokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"

static hd_error err;
static hd_arena arena; /* of all pre-tokenizers */

static hd_status parse(const char *text, hd_pretokenizer *p)
{
    json_t *json = NULL;
    if (text != NULL)
        assert_int_equal(hd__json_parse(hd__span_of(text), "t", &json, &err), HD_OK);
    hd_status status = hd__pretokenizer_parse(json, "t.json", &arena, p, &err);
    json_decref(json);
    return status;
}

/* The words of an ASCII text as the pre-tokenizer leaves it, each in brackets. */
static const char *marked(const char *settings, const char *text)
{
    static char out[1024];
    hd_pretokenizer p;
    hd_word_text words = {0};
    size_t n = 0;
    if (parse(settings, &p) != HD_OK || hd__norm_text_decode(&words.text, hd__span_of(text), 0, &err) != HD_OK ||
        hd__pretokenizer_run(&p, &words, &err) != HD_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < words.words.n; i++) {
        out[n++] = '[';
        for (size_t at = words.words.words[i].begin; at < words.words.words[i].end; at++)
            out[n++] = (char)words.text.chars[at].code_point;
        out[n++] = ']';
    }
    out[n] = '\0';
    hd__word_text_clear(&words);
    return out;
}

/* The words of an ASCII text, each in brackets. */
static const char *words_of(const char *settings, const char *text)
{
    static char out[1024];
    hd_pretokenizer p;
    hd_word_text words = {0};
    int at = 0;
    out[0] = '\0';
    if (parse(settings, &p) != HD_OK || hd__norm_text_decode(&words.text, hd__span_of(text), 0, &err) != HD_OK ||
        hd__pretokenizer_run(&p, &words, &err) != HD_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < words.words.n; i++) {
        hd_word word = words.words.words[i];
        at += snprintf(out + at, sizeof out - (size_t)at, "[%.*s]", (int)(word.end - word.begin), text + word.begin);
    }
    hd__word_text_clear(&words);
    return out;
}

#define PUNCTUATION(behavior) "{\"type\":\"Punctuation\",\"behavior\":\"" behavior "\"}"

static void test_kinds(void **state)
{
    (void)state;
    assert_string_equal(words_of(NULL, " a b"), "[ a b]");
    assert_string_equal(words_of(NULL, ""), "");
    assert_string_equal(words_of("{\"type\":\"BertPreTokenizer\"}", "Hey friend!     How are you?!?"),
                        "[Hey][friend][!][How][are][you][?][!][?]");
    assert_string_equal(words_of("{\"type\":\"Whitespace\"}", "Hey, man... a_b\n"), "[Hey][,][man][...][a_b]");
    assert_string_equal(words_of("{\"type\":\"WhitespaceSplit\"}", "Hey, man, Good?"), "[Hey,][man,][Good?]");
    assert_string_equal(words_of("{\"type\":\"Punctuation\"}", "Hey friend!  How"), "[Hey friend][!][  How]");
    assert_string_equal(words_of("{\"type\":\"WhitespaceSplit\"}", " \n"), "");
}

static void test_behaviors(void **state)
{
    (void)state;
    static const char text[] = "the-final--countdown-";
    assert_string_equal(words_of(PUNCTUATION("Removed"), text), "[the][final][countdown]");
    assert_string_equal(words_of(PUNCTUATION("Isolated"), text), "[the][-][final][-][-][countdown][-]");
    assert_string_equal(words_of(PUNCTUATION("MergedWithPrevious"), text), "[the-][final-][-][countdown-]");
    assert_string_equal(words_of(PUNCTUATION("MergedWithNext"), text), "[the][-final][-][-countdown][-]");
    assert_string_equal(words_of(PUNCTUATION("Contiguous"), text), "[the][-][final][--][countdown][-]");
}

static void test_sequence(void **state)
{
    (void)state;
    assert_string_equal(
        words_of("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," PUNCTUATION("Contiguous") "]}",
                 "a, b.. c"),
        "[a][,][b][..][c]");
}

#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"

static void test_metaspace(void **state)
{
    (void)state;
    assert_string_equal(marked(METASPACE(""), " a  b_c"), "[_a][_][_b][_c]");
    assert_string_equal(marked(METASPACE(""), "a"), "[_a]");
    assert_string_equal(marked(METASPACE(",\"add_prefix_space\":false"), "a b"), "[a][_b]");
    assert_string_equal(marked(METASPACE(",\"prepend_scheme\":\"never\",\"add_prefix_space\":false"), "a b"), "[a][_b]");
    assert_string_equal(marked(METASPACE(",\"split\":false"), "a b "), "[_a_b_]");
    const char *words = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},%s]}";
    char settings[512];
    snprintf(settings, sizeof settings, words, METASPACE(""));
    assert_string_equal(marked(settings, " a  b\n"), "[_a][_b]");
    snprintf(settings, sizeof settings, words, METASPACE(",\"prepend_scheme\":\"first\""));
    assert_string_equal(marked(settings, "a b"), "[_a][b]");
    assert_string_equal(marked(settings, " a b"), "[a][b]");
}

/* The UTF-8 of one word. */
static hd_span word_at(const hd_word_text *words, size_t i, hd_buffer *utf8)
{
    const hd_word word = words->words.words[i];
    const hd_norm_text part = {.chars = words->text.chars + word.begin, .n = word.end - word.begin};
    hd__buffer_reset(utf8);
    assert_int_equal(hd__norm_text_encode(&part, utf8, &err), HD_OK);
    return hd__buffer_span(utf8);
}

static void check_golden(size_t line, const json_t *row, const hd_pretokenizer *p)
{
    hd_word_text words = {0};
    hd_buffer utf8;
    hd__buffer_init(&utf8);
    const json_t *text = json_array_get(row, 1), *wanted = json_array_get(row, 2);
    const hd_span span = hd__span(json_string_value(text), json_string_length(text));
    if (hd__norm_text_decode(&words.text, span, 0, &err) != HD_OK || hd__pretokenizer_run(p, &words, &err) != HD_OK)
        fail_msg("line %zu: %s", line, err.text);
    if (words.words.n != json_array_size(wanted))
        fail_msg("line %zu: %zu words, not %zu", line, words.words.n, json_array_size(wanted));
    for (size_t i = 0; i < words.words.n; i++) {
        const json_t *word = json_array_get(wanted, i);
        const hd_span got = word_at(&words, i, &utf8);
        if (!hd__span_equal(got, hd__span(json_string_value(word), json_string_length(word))))
            fail_msg("line %zu: word %zu is \"%.*s\", not \"%s\"", line, i, (int)got.len, got.ptr, json_string_value(word));
    }
    hd__buffer_clear(&utf8);
    hd__word_text_clear(&words);
}

/* Splits at patterns with every behaviour, Digits and ByteLevel (tools/make_tokenizer_goldens.py). */
static void test_goldens(void **state)
{
    (void)state;
    hd_file_map map;
    hd_pretokenizer p;
    json_t *settings = NULL; /* of the line before: many lines have the same */
    size_t line = 0;
    assert_int_equal(hd__file_map_open("tests/golden/tokenizers/words.jsonl", &map, &err), HD_OK);
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1, line++) {
        end = (size_t)((const char *)memchr(map.bytes.ptr + at, '\n', map.bytes.len - at) - map.bytes.ptr);
        json_t *row = json_loadb(map.bytes.ptr + at, end - at, JSON_ALLOW_NUL, NULL);
        if (settings == NULL || !json_equal(settings, json_array_get(row, 0))) {
            json_decref(settings);
            settings = json_incref(json_array_get(row, 0));
            if (hd__pretokenizer_parse(settings, "t.json", &arena, &p, &err) != HD_OK)
                fail_msg("line %zu: %s", line, err.text);
        }
        check_golden(line, row, &p);
        json_decref(row);
    }
    json_decref(settings);
    assert_true(line > 1500);
    hd__file_map_close(&map);
}

#define SPLIT(regex) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\"}"

static void test_refused_patterns(void **state)
{
    (void)state;
    hd_pretokenizer p;
    assert_int_equal(parse("{\"type\":\"Split\"}", &p), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "\"pattern\""));
    assert_int_equal(parse(SPLIT(""), &p), HD_ERR_FORMAT);
    assert_int_equal(parse(SPLIT("("), &p), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "t.json: \"pre_tokenizer\": the regular expression \"(\": missing"));
    static const char *const different[] = {SPLIT("[a&&b]"), SPLIT("\\\\h"), SPLIT("a{1,2}+"), SPLIT("a\\\\K"),
                                            SPLIT("a(?i)b")};
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_int_equal(parse(different[i], &p), HD_ERR_UNSUPPORTED);
    assert_int_equal(parse(SPLIT("\\\\\\\\h"), &p), HD_OK); /* a backslash and an h */

    char many[HD_LIMIT_REGEX_BYTES] = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"";
    for (int i = 0; i < 400; i++)
        strcat(many, "\\\\p{L}");
    strcat(many, "\"}}");
    assert_int_equal(parse(many, &p), HD_ERR_LIMIT);

    char text[HD_LIMIT_REGEX_BYTES + 128] = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"";
    size_t n = strlen(text);
    for (size_t len = HD_LIMIT_REGEX_BYTES; len <= HD_LIMIT_REGEX_BYTES + 1; len++) {
        memset(text + n, 'a', len);
        strcpy(text + n + len, "\"},\"behavior\":\"Isolated\"}");
        assert_int_equal(parse(text, &p), len == HD_LIMIT_REGEX_BYTES ? HD_OK : HD_ERR_LIMIT);
    }
}

/* Tries that grow as powers of two end at a limit, with a message. */
static void test_endless_pattern(void **state)
{
    (void)state;
    hd_pretokenizer p;
    hd_word_text words = {0};
    assert_int_equal(parse(SPLIT("(a+)+b|(a|aa)+c"), &p), HD_OK);
    assert_int_equal(
        hd__norm_text_decode(&words.text, hd__span_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 0, &err),
        HD_OK);
    assert_int_equal(hd__pretokenizer_run(&p, &words, &err), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "regular expression takes more than"));
    hd__word_text_clear(&words);
}

static void test_refused(void **state)
{
    (void)state;
    hd_pretokenizer p;
    assert_int_equal(parse("{}", &p), HD_ERR_FORMAT);
    assert_int_equal(parse("{\"type\":\"Metaspace\"}", &p), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "t.json: \"pre_tokenizer\": Metaspace needs a \"replacement\" of one character"));
    assert_int_equal(parse("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", &p), HD_ERR_FORMAT);
    assert_int_equal(parse(METASPACE(",\"prepend_scheme\":\"last\""), &p), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "\"last\" is not known"));
    assert_int_equal(parse(METASPACE(",\"prepend_scheme\":\"first\",\"add_prefix_space\":false"), &p), HD_ERR_FORMAT);
    assert_int_equal(parse(PUNCTUATION("Sideways"), &p), HD_ERR_FORMAT);
    assert_int_equal(parse("{\"type\":\"Punctuation\",\"behavior\":1}", &p), HD_ERR_FORMAT);
    assert_int_equal(parse("{\"type\":\"Sequence\"}", &p), HD_ERR_FORMAT);
    char text[1024] = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"}";
    for (int i = 1; i < HD_PRETOKENIZER_MAX_STEPS; i++)
        strcat(text, ",{\"type\":\"Whitespace\"}");
    size_t n = strlen(text);
    strcpy(text + n, "]}");
    assert_int_equal(parse(text, &p), HD_OK);
    strcpy(text + n, ",{\"type\":\"Whitespace\"}]}");
    assert_int_equal(parse(text, &p), HD_ERR_LIMIT);
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_pretokenizer p = {.steps = {{.kind = HD_SPLIT_SPACES, .behavior = HD_SPLIT_REMOVED}}, .n_steps = 1};
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < 20);
        hd_word_text words = {0};
        assert_int_equal(hd__norm_text_reserve(&words.text, 400, &err), HD_OK);
        for (; words.text.n < 400; words.text.n++)
            words.text.chars[words.text.n] = (hd_norm_char){words.text.n % 2 == 0 ? 'a' : ' ', 0, 0};
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__pretokenizer_run(&p, &words, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_ERR_MEMORY || (status == HD_OK && words.words.n == 200));
        hd__word_text_clear(&words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_behaviors),        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_metaspace), cmocka_unit_test(test_refused),          cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_goldens),   cmocka_unit_test(test_refused_patterns), cmocka_unit_test(test_endless_pattern),
    };
    hd__arena_init(&arena);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hd__arena_clear(&arena);
    return failed;
}
