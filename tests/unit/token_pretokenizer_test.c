/* Words: each pre-tokenizer on the library's own examples, behaviours, and what is refused. */
#include "token/pretokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;

static hd_status parse(const char *text, hd_pretokenizer *p)
{
    json_t *json = NULL;
    if (text != NULL)
        assert_int_equal(hd__json_parse(hd__span_of(text), "t", &json, &err), HD_OK);
    hd_status status = hd__pretokenizer_parse(json, "t.json", p, &err);
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
    hd_pretokenizer p = {.steps = {{HD_SPLIT_SPACES, HD_SPLIT_REMOVED}}, .n_steps = 1};
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
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_behaviors), cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_metaspace), cmocka_unit_test(test_refused),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
