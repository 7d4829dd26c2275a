/* Folders without tokenizer.json: ids of texts and of pairs equal to those of the classes of `transformers`
 * (tools/make_folder_tokenizers.py), by the folder's files and over its tables; which class it is; and what is refused. */
#include "unit/token_fixture.h"

#include "base/file.h"
#include "unit/scratch.h"

#define FOLDERS "tests/golden/tokenizers/folders/"
#define PIECES "tests/golden/unigram/sentencepiece.bpe.model"

static hd_error err;

/* ---- goldens ---- */

static json_t *read_lines(const char *path, const char *key)
{
    hd_file_map map;
    if (hd__file_map_open(path, &map, &err) != HD_OK)
        fail_msg("%s", err.text);
    json_t *lines = json_array();
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1) {
        const char *newline = memchr(map.bytes.ptr + at, '\n', map.bytes.len - at);
        end = newline != NULL ? (size_t)(newline - map.bytes.ptr) : map.bytes.len;
        json_t *line = json_loadb(map.bytes.ptr + at, end - at, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
        json_array_append(lines, key != NULL ? json_object_get(line, key) : line);
        json_decref(line);
    }
    hd__file_map_close(&map);
    return lines;
}

static hd_span text_of(const json_t *texts, const json_t *index)
{
    const json_t *text = json_array_get(texts, (size_t)json_integer_value(index));
    return hd__span(json_string_value(text), json_string_length(text));
}

static void check_row(const hd_tokenizer *t, const char *kind, const json_t *texts, const json_t *row)
{
    const hd_tokenize_options options = {0};
    const json_t *first = json_array_get(row, 0), *second = json_array_get(row, 1), *wanted = json_array_get(row, 2);
    hd_ids ids = {0}, types = {0};
    const hd_status status = json_is_null(second)
                                 ? hd__tokenizer_encode(t, text_of(texts, first), &options, &ids, NULL, &err)
                                 : hd__tokenizer_encode_pair(t, text_of(texts, first), text_of(texts, second), &options,
                                                             HD_TRUNCATE_LONGEST_FIRST, &ids, &types, NULL, &err);
    if (status != HD_OK)
        fail_msg("%s: %s", kind, err.text);
    for (size_t i = 0; i < ids.n || i < json_array_size(wanted); i++) {
        const int want = i < json_array_size(wanted) ? (int)json_integer_value(json_array_get(wanted, i)) : -1;
        if (i >= ids.n || ids.ids[i] != want)
            fail_msg("%s, text %d: id %zu is %d, not %d", kind, (int)json_integer_value(first), i,
                     i < ids.n ? ids.ids[i] : -1, want);
    }
    hd__ids_clear(&ids);
    hd__ids_clear(&types);
}

static void check_folder(const char *kind, const char *pieces)
{
    char dir[256], path[256], to[512];
    scratch s;
    hd_arena arena;
    hd_span bytes, tables[HD_TABLE_COUNT];
    hd_tokenizer *t, *over;
    scratch_begin(&s);
    hd__arena_init(&arena);
    snprintf(dir, sizeof dir, FOLDERS "%s", kind);
    snprintf(path, sizeof path, FOLDERS "%s.jsonl", kind);
    for (size_t i = 0; pieces != NULL && hd__tokenizer_files[i] != NULL; i++) { /* a folder with the model in it */
        const bool is_model = strcmp(hd__tokenizer_files[i], pieces) == 0;
        snprintf(to, sizeof to, "%s/%s", dir, hd__tokenizer_files[i]);
        if (is_model || hd__file_exists(to)) {
            assert_int_equal(hd__file_read(is_model ? PIECES : to, 1 << 20, &arena, &bytes, &err), HD_OK);
            scratch_write(&s, hd__tokenizer_files[i], bytes.ptr, bytes.len);
        }
    }
    if (hd__tokenizer_open(pieces != NULL ? s.dir : dir, &t, &err) != HD_OK)
        fail_msg("%s: %s", kind, err.text);
    assert_true(hd__token_tables_of(t, tables));
    if (hd__tokenizer_open_tables(tables, "t", &over, &err) != HD_OK)
        fail_msg("%s: %s", kind, err.text);
    json_t *rows = read_lines(path, NULL);
    json_t *texts = pieces != NULL ? read_lines("tests/golden/unigram/tokens.jsonl", "text")
                                   : read_lines("tests/golden/tokenizers/bpe/texts.jsonl", NULL);
    assert_true(json_array_size(rows) >= 400);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        check_row(t, kind, texts, json_array_get(rows, i));
        check_row(over, kind, texts, json_array_get(rows, i));
    }
    json_decref(rows);
    json_decref(texts);
    hd__tokenizer_close(over);
    hd__tokenizer_close(t);
    hd__arena_clear(&arena);
    scratch_end(&s);
}

static void test_byte_pairs(void **state)
{
    (void)state;
    check_folder("roberta", NULL);
    check_folder("gpt2", NULL);
    check_folder("gpt2-begin", NULL);
    check_folder("qwen2", NULL);
}

static void test_pieces(void **state)
{
    (void)state;
    check_folder("xlm-roberta", "sentencepiece.bpe.model");
    check_folder("camembert", "sentencepiece.bpe.model");
    check_folder("t5", "spiece.model");
    check_folder("albert", "spiece.model");
    check_folder("albert-cased", "spiece.model");
}

/* ---- classes and mistakes ---- */

static void write_bpe(scratch *s, const char *config)
{
    scratch_text(s, "vocab.json", " {\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"ab\":4,\"<|endoftext|>\":5}\n");
    scratch_text(s, "merges.txt", "#version: 0.2\r\na b\r\n");
    scratch_text(s, "tokenizer_config.json", config);
}

static void test_classes(void **state)
{
    (void)state;
    static const struct {
        const char *config, *model;
        int32_t wanted[4];
    } cases[] = {
        {"{\"tokenizer_class\":\"RobertaTokenizerFast\"}", NULL, {0, 4, 1, -1}},
        {"{}", "{\"model_type\":\"roberta\"}", {0, 4, 1, -1}},
        {"{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", "{\"model_type\":\"qwen3\"}", {4, -1}},
        {"{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_eos_token\":true}", "{\"model_type\":\"roberta\"}", {4, 5, -1}},
        {"{\"tokenizer_class\":\"RobertaTokenizer\",\"cls_token\":\"b\"}", NULL, {3, 2, 3, 1}}, /* "b" is a token now */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch s;
        hd_tokenizer *t;
        hd_ids ids = {0};
        scratch_begin(&s);
        write_bpe(&s, cases[i].config);
        if (cases[i].model != NULL)
            scratch_text(&s, "config.json", cases[i].model);
        if (hd__tokenizer_open(s.dir, &t, &err) != HD_OK)
            fail_msg("%zu: %s", i, err.text);
        assert_int_equal(hd__tokenizer_encode(t, hd__span_of("ab"), &(hd_tokenize_options){0}, &ids, NULL, &err), HD_OK);
        for (size_t k = 0; k < 4 && cases[i].wanted[k] >= 0; k++)
            assert_int_equal(k < ids.n ? ids.ids[k] : -1, cases[i].wanted[k]);
        hd__ids_clear(&ids);
        hd__tokenizer_close(t);
        scratch_end(&s);
    }
}

static void refused(const char *file, const char *content, hd_status status, const char *part_of_message)
{
    scratch s;
    hd_tokenizer *t = NULL;
    scratch_begin(&s);
    write_bpe(&s, "{\"tokenizer_class\":\"RobertaTokenizer\"}");
    scratch_text(&s, file, content);
    const hd_status got = hd__tokenizer_open(s.dir, &t, &err);
    if (got != status || strstr(err.text, part_of_message) == NULL || strstr(err.text, s.dir) == NULL)
        fail_msg("%s: %s; not %s: %s", hd_status_name(got), got == HD_OK ? "" : err.text, hd_status_name(status),
                 part_of_message);
    assert_null(t);
    scratch_end(&s);
}

static void test_refused(void **state)
{
    (void)state;
    refused("tokenizer_config.json", "{\"tokenizer_class\":\"LlamaTokenizer\"}", HD_ERR_UNSUPPORTED, "\"LlamaTokenizer\"");
    refused("tokenizer_config.json", "{}", HD_ERR_UNSUPPORTED, "the model_type \"\" is not supported");
    refused("tokenizer_config.json", "{\"tokenizer_class\":\"T5Tokenizer\"}", HD_ERR_UNSUPPORTED, "T5Tokenizer");
    refused("tokenizer_config.json", "{", HD_ERR_FORMAT, "tokenizer_config.json");
    refused("added_tokens.json", "{", HD_ERR_FORMAT, "added_tokens.json");
    refused("special_tokens_map.json", "{\"cls_token\":3}", HD_ERR_FORMAT, "vocab.json: a special token is neither");
    refused("vocab.json", "[]", HD_ERR_FORMAT, "vocab.json: not an object");
    refused("vocab.json", "{\"a\":0}}", HD_ERR_FORMAT, "vocab.json: more behind its object");
    refused("vocab.json", "{\"a\":-1}", HD_ERR_FORMAT, "vocab.json");
    refused("vocab.json", "", HD_ERR_FORMAT, "vocab.json: not an object");
    refused("merges.txt", "a c\n", HD_ERR_FORMAT, "\"c\" is not in the vocabulary");
    refused("merges.txt", "a b c\n", HD_ERR_FORMAT, "two pieces");
    refused("merges.txt", "a b\n\n", HD_ERR_FORMAT, "two pieces");
    refused("merges.txt", "a \xFF\n", HD_ERR_FORMAT, "not UTF-8 at byte 2");
    scratch s;
    hd_tokenizer *t = NULL;
    scratch_begin(&s);
    scratch_text(&s, "vocab.json", "{\"a\":0}"); /* without its merges */
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "vocab.json with merges.txt"));
    scratch_end(&s);
}

static void test_no_memory(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    write_bpe(&s, "{\"tokenizer_class\":\"RobertaTokenizer\",\"added_tokens_decoder\":{\"9\":{\"content\":\"x\"}}}");
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        assert_true(n < 1000);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open(s.dir, &t, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__tokenizer_close(t);
    }
    scratch_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_pairs), cmocka_unit_test(test_pieces),    cmocka_unit_test(test_classes),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
