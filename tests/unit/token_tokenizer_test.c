/* The tokenizer's own contract: folders, length limits, options, bad UTF-8, threads, and what failure leaves behind. */
#include "unit/token_fixture.h"

#include <pthread.h>
#include <sys/mman.h>

#include "base/limits.h"
#include "unit/scratch.h"

static const char settings[] =
    "{\"added_tokens\":[" TOKEN_ADDED("[SEP]", "") "]," TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL("") "}";
/* The same, but only the step-by-step way can do it. */
static const char slow_settings[] =
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"BertNormalizer\"}]},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}," TOKEN_TEMPLATE TOKEN_MODEL("") "}";

static void test_folders(void **state)
{
    (void)state;
    scratch s;
    hd_tokenizer *t = NULL;
    hd_error err;
    scratch_begin(&s);
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, s.dir));
    scratch_text(&s, "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\nA\n");
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_OK);
    TOKEN_GIVES(t, "A", 1, 3, 2);
    hd__tokenizer_close(t);
    scratch_text(&s, "tokenizer_config.json", "{\"do_lower_case\":false}");
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_OK);
    TOKEN_GIVES(t, "A", 1, 4, 2);
    hd__tokenizer_close(t);
    t = NULL;
    scratch_text(&s, "tokenizer_config.json", "{");
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "tokenizer_config.json"));
    scratch_text(&s, "tokenizer.json", settings);
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_OK);
    TOKEN_GIVES(t, "A", 2, 4, 3);
    hd__tokenizer_close(t);
    t = NULL;
    scratch_text(&s, "tokenizer.json", "{}");
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "/tokenizer.json"));
    assert_null(t);
    scratch_end(&s);
}

static void gives(const hd_tokenizer *t, const char *text, hd_tokenize_options options, bool cut, const int32_t *wanted)
{
    hd_ids ids = {0};
    hd_tokens tokens = {0};
    bool truncated = !cut;
    token_gives_with(t, hd__span_of(text), &options, wanted);
    assert_int_equal(hd__tokenizer_encode(t, hd__span_of(text), &options, &ids, &truncated, NULL), HD_OK);
    assert_int_equal(truncated, cut);
    assert_int_equal(hd__tokenizer_encode_offsets(t, hd__span_of(text), &options, &tokens, NULL), HD_OK);
    assert_int_equal(tokens.truncated, cut);
    hd__ids_clear(&ids);
    hd_tokens_free(&tokens);
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})

static void test_length_limits(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        hd_tokenizer *t = token_open(slow ? slow_settings : settings);
        assert_int_equal(t->scan.usable, !slow);
        gives(t, "a b abab", (hd_tokenize_options){.max_length = 6}, false, IDS(2, 4, 5, 6, 9, 3));
        gives(t, "a b abab ", (hd_tokenize_options){.max_length = 6}, false, IDS(2, 4, 5, 6, 9, 3));
        gives(t, "a b abab", (hd_tokenize_options){.max_length = 5}, true, IDS(2, 4, 5, 6, 3));
        gives(t, "a b abab", (hd_tokenize_options){.max_length = 3}, true, IDS(2, 4, 3));
        gives(t, "a b abab", (hd_tokenize_options){.max_length = 2}, true, IDS(2, 3));
        gives(t, "", (hd_tokenize_options){.max_length = 2}, false, IDS(2, 3));
        gives(t, "a b abab", (hd_tokenize_options){.max_length = 3, .no_specials = true}, true, IDS(4, 5, 6));
        gives(t, "a", (hd_tokenize_options){.no_specials = true}, false, IDS(4));
        hd_ids ids = {0};
        hd_tokens tokens;
        hd_error err;
        hd_tokenize_options too_short = {.max_length = 1};
        assert_int_equal(hd__tokenizer_encode(t, hd__span_of("a"), &too_short, &ids, NULL, &err), HD_ERR_LIMIT);
        assert_int_equal(hd__tokenizer_encode_offsets(t, hd__span_of("a"), &too_short, &tokens, &err), HD_ERR_LIMIT);
        assert_int_equal(ids.n, 0);
        hd__tokenizer_close(t);
    }
}

static void test_places(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(settings);
    hd_tokens tokens;
    hd_tokenize_options options = {.lower_case = true};
    /* a, U+0130 (two code points in lower case), an invalid byte; [SEP] is found before the text is lower-cased */
    assert_int_equal(hd__tokenizer_encode_offsets(t,
                                                  hd__span_of("A \xC4\xB0 \xFF"
                                                              "b[SEP]"),
                                                  &options, &tokens, NULL),
                     HD_OK);
    static const hd_token wanted[] = {
        {2, 0, 0, 0, 0, true},  {4, 0, 1, 0, 1, false},   {1, 2, 4, 2, 3, false},
        {5, 6, 7, 5, 6, false}, {3, 7, 12, 6, 11, false}, {3, 0, 0, 0, 0, true},
    };
    assert_int_equal(tokens.n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < tokens.n; i++) {
        const hd_token *a = &tokens.tokens[i], *b = &wanted[i];
        if (a->id != b->id || a->byte_begin != b->byte_begin || a->byte_end != b->byte_end ||
            a->char_begin != b->char_begin || a->char_end != b->char_end || a->special != b->special)
            fail_msg("token %zu: %d %u-%u %u-%u", i, a->id, a->byte_begin, a->byte_end, a->char_begin, a->char_end);
    }
    hd_tokens_free(&tokens);
    assert_null(tokens.tokens);
    hd_tokens_free(NULL);
    hd__tokenizer_close(t);
}

static void test_trimmed_places(void **state)
{
    (void)state;
    hd_tokenizer *t =
        token_open("{\"added_tokens\":[" TOKEN_ADDED("<m>", ",\"lstrip\":true,\"rstrip\":true") "]," TOKEN_BERT TOKEN_MODEL(
            "") ",\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2],"
                "\"add_prefix_space\":false}}");
    hd_tokens tokens;
    hd_tokenize_options options = {0};
    assert_int_equal(hd__tokenizer_encode_offsets(t, hd__span_of("a \xE3\x80\x80<m> b"), &options, &tokens, NULL), HD_OK);
    assert_int_equal(tokens.n, 5);
    assert_int_equal(tokens.tokens[2].byte_begin, 5);
    assert_int_equal(tokens.tokens[2].byte_end, 8);
    assert_int_equal(tokens.tokens[2].char_begin, 3);
    assert_int_equal(tokens.tokens[2].char_end, 6);
    hd_tokens_free(&tokens);
    hd__tokenizer_close(t);
}

static void test_utf8(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(settings);
    hd_ids ids = {0};
    hd_tokens tokens;
    hd_error err;
    hd_tokenize_options strict = {.strict = true};
    TOKEN_GIVES(t,
                "a\xFF"
                "b",
                2, 6, 3); /* U+FFFD is dropped by clean_text */
    TOKEN_GIVES(t, "a\xE6\xBC", 2, 4, 3);
    assert_int_equal(hd__tokenizer_encode(t,
                                          hd__span_of("a\xFF"
                                                      "b"),
                                          &strict, &ids, NULL, &err),
                     HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "byte 1"));
    assert_int_equal(hd__tokenizer_encode_offsets(t,
                                                  hd__span_of("a\xFF"
                                                              "b"),
                                                  &strict, &tokens, &err),
                     HD_ERR_FORMAT);
    assert_int_equal(hd__tokenizer_encode(t, hd__span_of("caf\xC3\xA9"), &strict, &ids, NULL, &err), HD_OK);
    assert_int_equal(hd__tokenizer_encode(t, hd__span("", (size_t)HD_LIMIT_TEXT_BYTES + 1), &strict, &ids, NULL, &err),
                     HD_ERR_LIMIT);
    assert_int_equal(ids.n, 3);
    hd__ids_clear(&ids);
    hd__tokenizer_close(t);
}

/* Ids are appended, and taken back on failure. */
static void test_appends(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        hd_tokenizer *t = token_open(slow ? slow_settings : settings);
        static char text[2000];
        memset(text, '!', sizeof text);
        hd_status status = HD_ERR_MEMORY;
        for (uint64_t n = 0; status != HD_OK; n++) {
            hd_ids ids = {0};
            hd_error err;
            hd_tokenize_options options = {0};
            assert_true(n < 100);
            assert_int_equal(hd__tokenizer_encode(t, hd__span_of("ab"), &options, &ids, NULL, &err), HD_OK);
            hd__alloc_fail_after(n, UINT64_MAX);
            status = hd__tokenizer_encode(t, hd__span(text, sizeof text), &options, &ids, NULL, &err);
            hd__alloc_fail_off();
            assert_true(status == HD_OK || (status == HD_ERR_MEMORY && err.status == HD_ERR_MEMORY));
            assert_int_equal(ids.n, status == HD_OK ? 3 + sizeof text + 2 : 3);
            assert_memory_equal(ids.ids, IDS(2, 6, 3), 3 * sizeof *ids.ids);
            hd__ids_clear(&ids);
        }
        status = HD_ERR_MEMORY;
        for (uint64_t n = 0; status != HD_OK; n++) {
            hd_tokens tokens = {0};
            assert_true(n < 100);
            hd__alloc_fail_after(n, UINT64_MAX);
            status = hd__tokenizer_encode_offsets(t, hd__span(text, sizeof text), &(hd_tokenize_options){.lower_case = true},
                                                  &tokens, NULL);
            hd__alloc_fail_off();
            assert_true(status == HD_OK || (status == HD_ERR_MEMORY && tokens.tokens == NULL));
            hd_tokens_free(&tokens);
        }
        hd__tokenizer_close(t);
    }
}

static void test_open_no_memory(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    scratch_text(&s, "tokenizer.json", settings);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        hd_error err;
        assert_true(n < 1000);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open(s.dir, &t, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK ? t != NULL : status == HD_ERR_MEMORY && t == NULL);
        hd__tokenizer_close(t);
    }
    scratch_end(&s);
}

/* What comes after enough is not looked at, whichever way: of 64 MB all but the first 64 KB cannot even be read. */
static void test_rest_is_not_read(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20, READABLE = 64 << 10 };
    char *text = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(text, MAP_FAILED);
    assert_int_equal(mprotect(text, READABLE, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < READABLE; i++)
        text[i] = "ab "[i % 3];
    for (int slow = 0; slow < 2; slow++) {
        hd_tokenizer *t = token_open(slow ? slow_settings : settings);
        for (int lower = 0; lower < 2; lower++) {
            hd_ids ids = {0};
            hd_tokens tokens;
            bool truncated = false;
            hd_tokenize_options options = {.max_length = 256, .lower_case = lower};
            assert_int_equal(hd__tokenizer_encode(t, hd__span(text, BYTES), &options, &ids, &truncated, NULL), HD_OK);
            assert_int_equal(ids.n, 256);
            assert_true(truncated);
            assert_int_equal(hd__tokenizer_encode_offsets(t, hd__span(text, BYTES), &options, &tokens, NULL), HD_OK);
            assert_int_equal(tokens.n, 256);
            assert_true(tokens.truncated);
            hd__ids_clear(&ids);
            hd_tokens_free(&tokens);
        }
        hd__tokenizer_close(t);
    }
    munmap(text, BYTES);
}

static void *encode_again_and_again(void *tokenizer)
{
    hd_ids ids = {0};
    size_t n_wrong = 0;
    for (int i = 0; i < 2000; i++) {
        ids.n = 0;
        n_wrong += hd__tokenizer_encode(tokenizer, hd__span_of("Ab caf\xC3\xA9 [SEP]\xE6\xBC\xA2!"),
                                        &(hd_tokenize_options){0}, &ids, NULL, NULL) != HD_OK;
        n_wrong += ids.n != 7 || memcmp(ids.ids, IDS(2, 6, 10, 3, 13, 11, 3), 7 * sizeof *ids.ids) != 0;
    }
    hd__ids_clear(&ids);
    return (void *)(uintptr_t)n_wrong;
}

static void test_threads(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(settings);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_again_and_again, t), 0);
    for (size_t i = 0; i < 4; i++) {
        void *n_wrong;
        pthread_join(threads[i], &n_wrong);
        assert_null(n_wrong);
    }
    hd__tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),          cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_places),           cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_appends),          cmocka_unit_test(test_trimmed_places),
        cmocka_unit_test(test_rest_is_not_read), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_open_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
