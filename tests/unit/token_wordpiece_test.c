/* WordPiece: longest match first, one unknown token for a whole word, the length limit at and past its edge. */
#include "token/wordpiece.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/limits.h"

static hd_error err;
static hd_vocab vocab;

static void open_model(hd_wordpiece *model, uint32_t max_word_chars)
{
    static const char *const tokens[] = {"[UNK]", "un", "##aff", "##able", "##a", "u", "\xC3\xA9", "##\xC3\xA9"};
    *model = (hd_wordpiece){.max_word_chars = max_word_chars};
    hd__vocab_init(&vocab);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        assert_int_equal(hd__vocab_add(&vocab, hd__span_of(tokens[i]), i, "f", &err), HD_OK);
    assert_int_equal(hd__wordpiece_build(model, &vocab, hd__span_of("##"), hd__span_of("[UNK]"), "f", &err), HD_OK);
}

static size_t encode(const hd_wordpiece *model, const char *word, size_t n_chars, int32_t *ids, uint32_t *ends)
{
    char padded[64 + HD_VOCAB_PADDING] = {0};
    memcpy(padded, word, strlen(word));
    return hd__wordpiece_encode(model, hd__span(padded, strlen(word)), n_chars, ids, ends);
}

static void test_pieces(void **state)
{
    (void)state;
    hd_wordpiece model;
    int32_t ids[64];
    uint32_t ends[64];
    open_model(&model, 100);
    assert_int_equal(encode(&model, "unaffable", 9, ids, ends), 3);
    assert_memory_equal(ids, ((int32_t[]){1, 2, 3}), 3 * sizeof *ids);
    assert_memory_equal(ends, ((uint32_t[]){2, 5, 9}), 3 * sizeof *ends);
    assert_int_equal(encode(&model, "u\xC3\xA9\xC3\xA9", 3, ids, ends), 3);
    assert_memory_equal(ids, ((int32_t[]){5, 7, 7}), 3 * sizeof *ids);
    assert_memory_equal(ends, ((uint32_t[]){1, 3, 5}), 3 * sizeof *ends);
    hd__vocab_clear(&vocab);
}

static void test_unknown(void **state)
{
    (void)state;
    hd_wordpiece model;
    int32_t ids[64];
    uint32_t ends[64];
    open_model(&model, 100);
    assert_int_equal(encode(&model, "unaffx", 6, ids, ends), 1); /* pieces before the bad place do not count */
    assert_int_equal(ids[0], 0);
    assert_int_equal(ends[0], 6);
    assert_int_equal(encode(&model, "x", 1, ids, NULL), 1);
    assert_int_equal(ids[0], 0);
    hd__vocab_clear(&vocab);
}

static void test_word_limit(void **state)
{
    (void)state;
    hd_wordpiece model;
    int32_t ids[64];
    open_model(&model, 3);
    assert_int_equal(encode(&model, "u\xC3\xA9\xC3\xA9", 3, ids, NULL), 3);
    assert_int_equal(encode(&model, "u\xC3\xA9\xC3\xA9\xC3\xA9", 4, ids, NULL), 1);
    assert_int_equal(ids[0], 0);
    hd__vocab_clear(&vocab);
}

static void test_no_unknown_token(void **state)
{
    (void)state;
    static char text[HD_LIMIT_TOKEN_BYTES + 1];
    hd_wordpiece model = {0};
    hd__vocab_init(&vocab);
    assert_int_equal(hd__vocab_add(&vocab, hd__span_of("a"), 0, "f", &err), HD_OK);
    assert_int_equal(hd__wordpiece_build(&model, &vocab, hd__span_of("##"), hd__span_of("[UNK]"), "vocab.txt", &err),
                     HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "vocab.txt: the unknown token \"[UNK]\""));
    assert_int_equal(hd__wordpiece_build(&model, &vocab, hd__span_of("##"), hd__span(text, sizeof text), "f", &err),
                     HD_ERR_LIMIT);
    hd__vocab_clear(&vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_word_limit),
        cmocka_unit_test(test_no_unknown_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
