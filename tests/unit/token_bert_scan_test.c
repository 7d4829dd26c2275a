/* The one-pass way: when it is taken, its roads, long words and marks, and that the hot path does not allocate. */
#include "unit/token_fixture.h"

static void usable(const char *json, bool wanted)
{
    hd_tokenizer *t = token_open(json);
    assert_int_equal(t->scan.usable, wanted);
    hd__tokenizer_close(t);
}

static void test_usable(void **state)
{
    (void)state;
    usable("{" TOKEN_BERT TOKEN_MODEL("") "}", true);
    usable("{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}," TOKEN_MODEL("") "}", true);
    usable("{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}," TOKEN_MODEL("") "}",
           false);
    usable("{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"}," TOKEN_MODEL("") "}",
           false);
    usable("{\"normalizer\":{\"type\":\"BertNormalizer\"}," TOKEN_MODEL("") "}", false);
    usable("{\"added_tokens\":[{\"content\":\"x\",\"normalized\":true}]," TOKEN_BERT TOKEN_MODEL("") "}", false);
    usable("{\"added_tokens\":[{\"content\":\"x\",\"normalized\":false}]," TOKEN_BERT TOKEN_MODEL("") "}", true);
}

static void test_roads(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{\"added_tokens\":[" TOKEN_ADDED("a[", "") "," TOKEN_ADDED("[b]", ",\"single_word\":true") "]," TOKEN_BERT
            TOKEN_MODEL(",\".\":14,\"##\\u302e\":15,\"##\\ud834\\udd65\":16,\"\\u302e\":17,\"x\":18,\"`\":19") "}");
    TOKEN_GIVES(t, "AB\tab\r\n!a.b", 6, 6, 11, 4, 14, 5);
    TOKEN_GIVES(t,
                "a\x01\x7F"
                "b\xE2\x80\x8B"
                "a",
                6, 7); /* dropped inside a word */
    TOKEN_GIVES(t,
                "a\xE2\x80\xA8"
                "b\xC2\xA0"
                "a",
                4, 5, 4); /* white space of several bytes */
    TOKEN_GIVES(t,
                "a\xE6\xBC\xA2\xE6\xBC\xA2"
                "b",
                4, 13, 13, 5);                          /* Chinese */
    TOKEN_GIVES(t, "cAf\xC3\x89 cafe\xCC\x81", 10, 10); /* decomposed, dropped, lower case */
    TOKEN_GIVES(t,
                "a\xE1\xBF\xAF"
                "b",
                4, 19, 5);                                 /* decomposes into punctuation */
    TOKEN_GIVES(t, "a[b]", 20, 5, 1);                      /* leftmost, not the longest */
    TOKEN_GIVES(t, "x[b] ![b].", 18, 1, 5, 1, 11, 21, 14); /* not inside a word */
    hd__tokenizer_close(t);
}

/* Marks that stay are put into canonical order (U+1D165 has class 216, U+302E 224), also across what is dropped. */
static void test_marks(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{" TOKEN_BERT TOKEN_MODEL(",\"##\\u302e\":14,\"##\\ud834\\udd65\":15") "}");
    TOKEN_GIVES(t, "a\xE3\x80\xAE\xF0\x9D\x85\xA5", 4, 15, 14);
    TOKEN_GIVES(t,
                "a\xE3\x80\xAE\xE2\x80\x8B\xCC\x81\xF0\x9D\x85\xA5"
                "b",
                4, 15, 14, 8);
    TOKEN_GIVES(t, "a\xE3\x80\xAE \xF0\x9D\x85\xA5", 4, 14, 1);
    TOKEN_GIVES(t, "a\xE3\x80\xAE\xE6\xBC\xA2", 4, 14, 13);
    hd__tokenizer_close(t);
}

/* Words of 10 characters are looked up, of 11 unknown: of bytes, of several bytes, of marks. */
static void test_long_words(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open("{\"added_tokens\":[" TOKEN_ADDED("b]", "") "]," TOKEN_BERT TOKEN_MODEL(
        ",\"##\\u302e\":14,\"\\u0436\":15,\"##\\u0436\":16") "}");
    TOKEN_GIVES(t, "ababababab", 6, 9, 9, 9, 9);
    TOKEN_GIVES(t, "abababababa", 1);
    TOKEN_GIVES(t, "abababababab a", 1, 4);
    TOKEN_GIVES(t, "\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6", 15, 16, 16, 16, 16,
                16, 16, 16, 16, 16);
    TOKEN_GIVES(t, "\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6\xD0\xB6", 1);
    TOKEN_GIVES(t, "ababababa\xE3\x80\xAE", 6, 9, 9, 9, 7, 14);
    TOKEN_GIVES(t, "ababababab\xE3\x80\xAE", 1);
    TOKEN_GIVES(t, "ab\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE", 6,
                14, 14, 14, 14, 14, 14, 14, 14);
    TOKEN_GIVES(t,
                "ab\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80"
                "\xAE\xE3\x80\xAE\xE3\x80\xAE\xE3\x80\xAE",
                1);
    hd__tokenizer_close(t);
}

/* No word fits when the limit is 0. */
static void test_no_words(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(
        "{" TOKEN_BERT "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\","
        "\"max_input_chars_per_word\":0,\"vocab\":{\"?\":0,\"a\":1}}}");
    TOKEN_GIVES(t, "a \xC3\xA9.", 0, 0, 0);
    hd__tokenizer_close(t);
}

static void test_hot_path(void **state)
{
    (void)state;
    hd_tokenizer *t =
        token_open("{\"added_tokens\":[" TOKEN_ADDED("[SEP]", "") "]," TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL("") "}");
    hd_ids ids = {0};
    hd_tokenize_options options = {0};
    hd_span text = hd__span_of("Ab caf\xC3\xA9 [SEP] \xE6\xBC\xA2\xE3\x80\xAE ababab!");
    assert_int_equal(hd__tokenizer_encode(t, text, &options, &ids, NULL, NULL), HD_OK);
    ids.n = 0;
    hd__no_alloc_begin("tokenising with room for the ids");
    hd_status status = hd__tokenizer_encode(t, text, &options, &ids, NULL, NULL);
    hd__no_alloc_end();
    assert_int_equal(status, HD_OK);
    hd__ids_clear(&ids);
    hd__tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usable),     cmocka_unit_test(test_roads),    cmocka_unit_test(test_marks),
        cmocka_unit_test(test_long_words), cmocka_unit_test(test_no_words), cmocka_unit_test(test_hot_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
