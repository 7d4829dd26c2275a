/* Unigram: the best way, ties, unknown characters alone and together, bytes for them, and what settings are refused.
 * Expected values are those of the `tokenizers` library. */
#include "unit/token_fixture.h"

#include <stdio.h>

#include "base/limits.h"

static hd_error err;

#define UNIGRAM(unk, vocab, more) "\"model\":{\"type\":\"Unigram\",\"unk_id\":" unk ",\"vocab\":[" vocab "]" more "}"
#define PIECES                                                                                                              \
    "[\"<unk>\",0.0],[\"a\",0.0],[\"b\",0.0],[\"c\",0.0],[\"d\",0.0],[\"cd\",1.0],[\"ab\",2.0],[\"abc\",5.0],[\"abcd\",10." \
    "0]"

static void test_best_way(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{" UNIGRAM("0", PIECES, "") "}");
    TOKEN_GIVES(t, "abcdacdxx", 8, 1, 5, 0);
    TOKEN_GIVES(t, "abcab", 7, 6);
    TOKEN_GIVES(t, "xaxxb", 0, 1, 0, 2);
    TOKEN_GIVES(t, "x<unk>x", 0); /* all three are the unknown token, and so one */
    TOKEN_GIVES(t,
                "\xC3\xA9\xE6\xBC\xA2"
                "d",
                0, 4);
    TOKEN_GIVES_NONE(t, "");
    assert_int_equal(hd__tokenizer_vocab_size(t), 9);
    assert_string_equal(hd__tokenizer_token(t, 5), "cd");
    hd__tokenizer_close(t);
    t = token_open("{" UNIGRAM("0", "[\"?\",0],[\"a\",-1],[\"aa\",-2],[\"b\",-1.5],[\"b\",-9]", "") "}");
    TOKEN_GIVES(t, "aaa", 1, 2); /* "aa" "a" is as good, and found later */
    TOKEN_GIVES(t, "b", 4);      /* of equal pieces the last one counts */
    hd__tokenizer_close(t);
}

/* A run of unknown characters that the vocabulary has as one piece, too bad to be on the best way. */
static void test_unknown_piece(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{" UNIGRAM("0", "[\"?\",50.0],[\"a\",40.5],[\"xy\",30.0]", "") "}");
    TOKEN_GIVES(t, "xy", 2);
    TOKEN_GIVES(t, "xya", 2, 1);
    TOKEN_GIVES(t, "yx", 0);
    hd__tokenizer_close(t);
}

static void test_bytes(void **state)
{
    (void)state;
    static const char vocab[] = "[\"<unk>\",0.0],[\"a\",-0.1],[\"<0xC3>\",-0.01],[\"<0xA9>\",-0.03]";
    char json[1024];
    snprintf(json, sizeof json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[%s],\"byte_fallback\":true}}",
             vocab);
    hd_tokenizer *t = token_open(json);
    TOKEN_GIVES(t, "\xC3\xA9", 2, 3);
    TOKEN_GIVES(t,
                "a\xC3\xA9\xC3\xA9"
                "a",
                1, 2, 3, 2, 3, 1);
    TOKEN_GIVES(t, "\xC3\xA9x", 0); /* one byte is missing: none is taken */
    hd__tokenizer_close(t);
    snprintf(json, sizeof json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[%s],\"byte_fallback\":false}}",
             vocab);
    t = token_open(json);
    TOKEN_GIVES(t, "\xC3\xA9", 0);
    hd__tokenizer_close(t);
}

static void test_no_unknown_token(void **state)
{
    (void)state;
    hd_ids ids = {0};
    hd_tokenizer *t = token_open("{" UNIGRAM("null", "[\"a\",-1.0]", "") "}");
    TOKEN_GIVES(t, "aa", 0, 0);
    assert_int_equal(hd__tokenizer_encode(t, hd__span_of("ab"), &(hd_tokenize_options){0}, &ids, NULL, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "no unknown token"));
    assert_int_equal(ids.n, 0);
    hd__ids_clear(&ids);
    hd__tokenizer_close(t);
}

/* Scores as the library's JSON reader has them: 123456789012345678 / 10^17 is not the nearest double. */
static void test_scores(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double score;
    } cases[] = {
        {"0", 0.0},
        {"-0.0", -0.0},
        {"-13.5", -13.5},
        {"3", 3.0},
        {"-1.25e2", -125.0},
        {"5E-1", 0.5},
        {"1e+3", 1000.0},
        {"-4.6566128730773926e-10", -46566128730773926.0 / 1e26},
        {"-1.23456789012345678", -123456789012345678.0 / 1e17},
        {"-9.99999999999999999999999", -9999999999999999999.0 / 1e18}, /* what an integer of 64 bits holds no more goes */
        {"123456789012345678901234", 12345678901234567890.0 * 1e4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[128];
        hd_vocab vocab;
        hd_unigram model = {0};
        size_t len;
        snprintf(json, sizeof json, "[[\"a\",%s ] ]", cases[i].text);
        hd__vocab_init(&vocab);
        if (hd__vocab_json_read_scored(hd__span_of(json), "f", &vocab, &model, &len, &err) != HD_OK)
            fail_msg("%s", err.text);
        assert_int_equal(len, strlen(json));
        assert_int_equal(model.n_scores, 1);
        if (memcmp(&model.scores[0], &cases[i].score, sizeof(double)) != 0)
            fail_msg("%s is %.17g", cases[i].text, model.scores[0]);
        hd__vocab_clear(&vocab);
        hd__unigram_clear(&model);
    }
}

static void test_refused(void **state)
{
    (void)state;
    token_refused("{" UNIGRAM("0", "", "") "}", HD_ERR_FORMAT, "unknown token 0 is not in the vocabulary of 0");
    token_refused("{" UNIGRAM("9", PIECES, "") "}", HD_ERR_FORMAT, "unknown token 9");
    token_refused("{" UNIGRAM("-1", PIECES, "") "}", HD_ERR_FORMAT, "unk_id");
    token_refused("{" UNIGRAM("0", PIECES, ",\"byte_fallback\":1") "}", HD_ERR_FORMAT, "byte_fallback");
    token_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":{\"a\":0}}}", HD_ERR_FORMAT,
                  "array of [text, score]");
    token_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":[[\"a\",0]]}}", HD_ERR_FORMAT, "not an object");
    static const char *const entries[] = {"[]",           "[\"a\"]",    "[\"a\",]",      "[\"a\",\"b\"]", "[\"a\",1,2]",
                                          "\"a\"",        "[\"a\",-]",  "[\"a\",1.]",    "[\"a\",.5]",    "[\"a\",1e]",
                                          "[\"a\",1e99]", "[\"a\" 1]",  "[\"a\",1",      "[\"\\q\",1]",   "[1,1]",
                                          "[\"a\",1]]",   "[\"a\",1],", "[\"a\",1e9999]"};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[%s]}}", entries[i]);
        hd_tokenizer *tokenizer = NULL;
        if (hd__tokenizer_open_json(hd__span_of(json), "f", &tokenizer, &err) != HD_ERR_FORMAT)
            fail_msg("%s: %s", json, err.text);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},"
                               "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\"}," UNIGRAM("0", PIECES, "") "}";
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        hd_ids ids = {0};
        assert_true(n < 300);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open_json(hd__span_of(json), "f", &t, &err);
        if (status == HD_OK)
            status = hd__tokenizer_encode(t, hd__span_of("abcd x ab"), &(hd_tokenize_options){0}, &ids, NULL, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__ids_clear(&ids);
        hd__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_way),  cmocka_unit_test(test_unknown_piece), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_scores),    cmocka_unit_test(test_refused),       cmocka_unit_test(test_no_unknown_token),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
