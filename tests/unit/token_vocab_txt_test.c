/* A tokenizer from vocab.txt and tokenizer_config.json. */
#include "unit/token_fixture.h"

static const char lines[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na \n##b\r\n\n\xC3\xA9\ne\n\xE6\xBC\xA2\nA\n##\xE6\xBC\xA2\n<u>\n[s]";

static hd_status open_with(const char *vocab, const char *config, hd_tokenizer **t, hd_error *err)
{
    json_t *json = NULL;
    if (config != NULL)
        assert_int_equal(hd__json_parse(hd__span_of(config), "c", &json, err), HD_OK);
    hd_status status = hd__tokenizer_open_vocab_txt(hd__span_of(vocab), "vocab.txt", json, "tokenizer_config.json", t, err);
    json_decref(json);
    return status;
}

static hd_tokenizer *opened(const char *config)
{
    hd_tokenizer *t;
    hd_error err;
    if (open_with(lines, config, &t, &err) != HD_OK)
        fail_msg("%s", err.text);
    return t;
}

static void test_defaults(void **state)
{
    (void)state;
    hd_tokenizer *t = opened(NULL);
    TOKEN_GIVES(t, "Ab \xC3\x89[MASK]x", 2, 5, 6, 9, 4, 1, 3);
    TOKEN_GIVES(t, "a\xE6\xBC\xA2", 2, 5, 10, 3);
    assert_int_equal(hd__tokenizer_vocab_size(t), 15);
    assert_string_equal(hd__tokenizer_token(t, 5), "a");
    assert_string_equal(hd__tokenizer_token(t, 7), "");
    hd__tokenizer_close(t);
}

static void test_config(void **state)
{
    (void)state;
    hd_tokenizer *t = opened("{\"do_lower_case\":false,\"tokenize_chinese_chars\":false}");
    TOKEN_GIVES(t, "A a\xE6\xBC\xA2 \xC3\xA9", 2, 11, 5, 12, 8, 3);
    hd__tokenizer_close(t);
    t = opened("{\"do_lower_case\":true,\"strip_accents\":false}");
    TOKEN_GIVES(t, "\xC3\x89", 2, 8, 3);
    hd__tokenizer_close(t);
    t = opened("{\"unk_token\":{\"content\":\"<u>\",\"lstrip\":false},\"sep_token\":\"[s]\",\"mask_token\":null}");
    TOKEN_GIVES(t, "zz [s] [SEP]", 2, 13, 14, 13, 13, 13, 14);
    hd__tokenizer_close(t);
}

static void refused(const char *vocab, const char *config, hd_status status, const char *message)
{
    hd_tokenizer *t = NULL;
    hd_error err;
    hd_status got = open_with(vocab, config, &t, &err);
    if (got != status || strstr(err.text, message) == NULL)
        fail_msg("%d: %s", (int)got, got == HD_OK ? "" : err.text);
    assert_null(t);
}

static void test_refused(void **state)
{
    (void)state;
    refused("", NULL, HD_ERR_FORMAT, "vocab.txt: the unknown token \"[UNK]\"");
    refused("a\n\xFF\n", NULL, HD_ERR_FORMAT, "vocab.txt: not UTF-8 at byte 2");
    refused("[UNK]\n[SEP]\n", NULL, HD_ERR_FORMAT, "\"[CLS]\"");
    refused("[UNK]\n[CLS]\n", NULL, HD_ERR_FORMAT, "\"[SEP]\"");
    refused(lines, "{\"do_lower_case\":3}", HD_ERR_FORMAT, "tokenizer_config.json: \"do_lower_case\"");
    refused(lines, "{\"cls_token\":3}", HD_ERR_FORMAT, "tokenizer_config.json: \"cls_token\"");
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        hd_error err;
        assert_true(n < 1000);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open_vocab_txt(hd__span_of(lines), "v", NULL, "c", &t, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK ? t != NULL : status == HD_ERR_MEMORY && t == NULL);
        hd__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
