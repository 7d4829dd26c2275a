/* The BPE model: merges in both spellings, hostile ones, words of any length against a plain reference, no memory. */
#include "unit/token_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

#define BPE(options, vocab, merges) "{\"model\":{\"type\":\"BPE\"," options "\"vocab\":{" vocab "},\"merges\":[" merges "]}}"
#define AB "\"a\":0,\"b\":1,\"ab\":2,\"aba\":3,\"bab\":4,\"abab\":5"

static hd_error err;

static void test_spellings(void **state)
{
    (void)state;
    static const char *const same[] = {
        BPE("", AB, "\"#version: 0.2\",\"a b\",\"ab a\",\"ab ab\""),
        BPE("\"dropout\":null,\"unk_token\":null,", AB, "[\"a\",\"b\"] , [ \"ab\" ,\"a\"],[\"\\u0061b\",\"ab\"]"),
        BPE("\"dropout\":0.0,\"continuing_subword_prefix\":\"\",", AB, "[\"a\",\"b\"],\"ab a\",[\"ab\",\"ab\"]"),
        "{\"model\":{\"vocab\":{" AB "},\"merges\":[\"a b\",\"ab a\",\"ab ab\"]}}",
        "{\"model\":{\"merges\":[\"a b\",\"ab a\",\"ab ab\"],\"vocab\":{" AB "},\"type\":\"BPE\"}}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        hd_tokenizer *t = token_open(same[i]);
        TOKEN_GIVES(t, "abab", 5);
        TOKEN_GIVES(t, "aab", 0, 2);
        TOKEN_GIVES(t, "aba", 3);
        TOKEN_GIVES(t, "abaabaab", 3, 3, 2);
        TOKEN_GIVES(t, "xaxbx", 2); /* no unknown token: left out, and what is around it is neighbours */
        TOKEN_GIVES_NONE(t, "");
        TOKEN_GIVES_NONE(t, "x");
        hd__tokenizer_close(t);
    }
}

/* Rank goes before place; a merge that comes again has the later rank. */
static void test_order(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(BPE("", AB, "\"b ab\",\"a b\""));
    TOKEN_GIVES(t, "abab", 2, 2);
    hd__tokenizer_close(t);
    t = token_open(BPE("", "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4", "\"a b\",\"b c\""));
    TOKEN_GIVES(t, "abc", 3, 2);
    hd__tokenizer_close(t);
    t = token_open(BPE("", "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4", "\"a b\",\"b c\",\"a b\""));
    TOKEN_GIVES(t, "abc", 0, 4);
    hd__tokenizer_close(t);
}

static void test_options(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(BPE("\"unk_token\":\"?\",", "\"?\":0,\"a\":1", ""));
    TOKEN_GIVES(t, "xya", 0, 0, 1);
    hd__tokenizer_close(t);
    t = token_open(BPE("\"unk_token\":\"?\",\"fuse_unk\":true,", "\"?\":0,\"a\":1", ""));
    TOKEN_GIVES(t, "xyaz", 0, 1, 0);
    hd__tokenizer_close(t);
    t = token_open(BPE("\"byte_fallback\":true,\"unk_token\":\"?\",", "\"?\":0,\"a\":1,\"<0xC3>\":2,\"<0xA9>\":3", ""));
    TOKEN_GIVES(t,
                "a\xC3\xA9"
                "a",
                1, 2, 3, 1);
    TOKEN_GIVES(t, "\xC3\xAA", 0); /* not all of its bytes */
    hd__tokenizer_close(t);
    t = token_open(BPE("\"ignore_merges\":true,", "\"a\":0,\"b\":1,\"bab\":2", ""));
    TOKEN_GIVES(t, "bab", 2);
    TOKEN_GIVES(t, "ba", 1, 0);
    hd__tokenizer_close(t);
    t = token_open(BPE("\"continuing_subword_prefix\":\"##\",\"end_of_word_suffix\":\"<\",",
                       "\"a\":0,\"##a\":1,\"##a<\":2,\"a<\":3,\"aa\":4", "\"a ##a\""));
    TOKEN_GIVES(t, "a", 3);
    TOKEN_GIVES(t, "aaa", 4, 2);
    hd__tokenizer_close(t);
}

static void test_refused(void **state)
{
    (void)state;
    token_refused(BPE("", AB, "\"a c\""), HD_ERR_FORMAT, "merge 0: \"c\" is not in the vocabulary");
    token_refused(BPE("", AB, "\"a b\",\"b b\""), HD_ERR_FORMAT, "merge 1: \"bb\" is not in the vocabulary");
    token_refused(BPE("", AB, "\"a b a\""), HD_ERR_FORMAT, "entry 0 is neither");
    token_refused(BPE("", AB, "\"ab\""), HD_ERR_FORMAT, "entry 0 is neither");
    token_refused(BPE("", AB, "\"a \""), HD_ERR_FORMAT, "adds nothing");
    token_refused(BPE("", AB, "[\"a\"]"), HD_ERR_FORMAT, "entry 0 is neither");
    token_refused(BPE("", AB, "[\"a\",\"b\",\"a\"]"), HD_ERR_FORMAT, "entry 0 is neither");
    token_refused(BPE("", AB, "3"), HD_ERR_FORMAT, "entry 0 is neither");
    token_refused(BPE("", AB, "\"a b\" \"ab a\""), HD_ERR_FORMAT, "no , or ]");
    token_refused(BPE("", AB, "\"a \\ud800\""), HD_ERR_FORMAT, "not a valid string");
    token_refused(BPE("\"continuing_subword_prefix\":\"##\",", AB, "\"a b\""), HD_ERR_FORMAT, "adds nothing");
    token_refused(BPE("\"dropout\":0.1,", AB, ""), HD_ERR_UNSUPPORTED, "dropout");
    token_refused(BPE("\"unk_token\":\"?\",", AB, ""), HD_ERR_FORMAT, "unknown token \"?\"");
    token_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{" AB "}}}", HD_ERR_FORMAT, "no array \"merges\"");
    token_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":[[\"a\",0.5]],\"merges\":[]}}", HD_ERR_FORMAT, "not an object");
    token_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{" AB "},\"merges\":[]}}", HD_ERR_FORMAT, "\"merges\" in a");
}

static void test_limits(void **state)
{
    (void)state;
    static char json[2 * HD_LIMIT_TOKEN_BYTES + 256], text[HD_LIMIT_TOKEN_BYTES + 2];
    for (size_t n = HD_BPE_AFFIX_BYTES; n <= HD_BPE_AFFIX_BYTES + 1; n++) {
        hd_tokenizer *t = NULL;
        memset(text, 'x', n);
        text[n] = '\0';
        snprintf(json, sizeof json, BPE("\"end_of_word_suffix\":\"%s\",", AB, ""), text);
        hd_status status = hd__tokenizer_open_json(hd__span_of(json), "t", &t, &err);
        assert_int_equal(status, n == HD_BPE_AFFIX_BYTES ? HD_OK : HD_ERR_LIMIT);
        hd__tokenizer_close(t);
    }
    memset(text, 'x', HD_LIMIT_TOKEN_BYTES + 1);
    snprintf(json, sizeof json, BPE("", AB, "\"a %s\""), text);
    hd_tokenizer *t = NULL;
    assert_int_equal(hd__tokenizer_open_json(hd__span_of(json), "t", &t, &err), HD_ERR_LIMIT);
    json[strlen(json) - 6] = ' '; /* one byte less, but no pair */
    assert_int_equal(hd__tokenizer_open_json(hd__span_of(json), "t", &t, &err), HD_ERR_FORMAT);
}

#define MERGES "\"a b\",\"b a\",\"ab ab\",\"ba ba\",\"a a\",\"abab abab\",\"ab a\",\"b b\",\"aa b\""
#define MERGED                                                                                                              \
    "\"a\":0,\"b\":1,\"ab\":2,\"ba\":3,\"abab\":4,\"baba\":5,\"aa\":6,\"abababab\":7,\"aba\":8,\"bb\":9,\"aab\":10"

/* Joins the first of the best pairs until there is none. */
static size_t reference(const hd_bpe *bpe, uint32_t *ids, size_t n)
{
    for (;;) {
        const hd_bpe_merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (uint32_t k = 0; k <= bpe->slot_mask; k++) {
                const hd_bpe_merge *m = &bpe->slots[k];
                if (m->rank != HD_BPE_NO_RANK && m->left == ids[i] && m->right == ids[i + 1] &&
                    (best == NULL || m->rank < best->rank)) {
                    best = m;
                    at = i;
                }
            }
        if (best == NULL)
            return n;
        ids[at] = best->id;
        memmove(&ids[at + 1], &ids[at + 2], (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void test_lengths(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(BPE("", MERGED, MERGES));
    const hd_bpe *bpe = &t->model.bpe;
    hd_bpe_work work = {0};
    uint64_t random = 1;
    for (size_t n = 1; n <= 130; n++) {
        char word[130 + HD_VOCAB_PADDING] = {0};
        uint32_t ids[130];
        for (size_t i = 0; i < n; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            ids[i] = (uint32_t)(random >> 63);
            word[i] = (char)('a' + ids[i]);
        }
        size_t n_wanted = reference(bpe, ids, n), at = 0;
        assert_int_equal(hd__bpe_encode(bpe, hd__span(word, n), &work, &err), HD_OK);
        assert_int_equal(work.n, n_wanted);
        for (size_t i = 0; i < work.n; i++) {
            assert_int_equal(work.symbols[i].id, ids[i]);
            at += work.symbols[i].n_bytes;
        }
        assert_int_equal(at, n);
    }
    hd__bpe_work_clear(&work);
    hd__tokenizer_close(t);
}

/* A long word takes n log n: less than a second, were it n^2 then hours. */
static void test_endless_word(void **state)
{
    (void)state;
    const size_t n = 1000000;
    hd_tokenizer *t = token_open(BPE("", MERGED, MERGES));
    char *word = malloc(n);
    hd_ids ids = {0};
    assert_non_null(word);
    for (size_t i = 0; i < n; i++)
        word[i] = "ab"[i % 2];
    assert_int_equal(hd__tokenizer_encode(t, hd__span(word, n), &(hd_tokenize_options){0}, &ids, NULL, &err), HD_OK);
    assert_int_equal(ids.n, n / 8);
    assert_int_equal(ids.ids[0], 7);
    hd__ids_clear(&ids);
    free(word);
    hd__tokenizer_close(t);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char json[] = BPE("\"end_of_word_suffix\":\"\",\"unk_token\":\"a\",", MERGED, MERGES);
    char word[400];
    memset(word, 'a', sizeof word);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        hd_ids ids = {0};
        assert_true(n < 200);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open_json(hd__span_of(json), "t", &t, &err);
        if (status == HD_OK)
            status = hd__tokenizer_encode(t, hd__span(word, sizeof word), &(hd_tokenize_options){0}, &ids, NULL, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__ids_clear(&ids);
        hd__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings), cmocka_unit_test(test_order),        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_limits),       cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_endless_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
