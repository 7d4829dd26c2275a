/* all-MiniLM-L6-v2's own tokenizer on the texts of tests/golden: ids, tokens and offsets equal to the `tokenizers`
 * library's. Fails without the model (tools/fetch_model.sh) and without the goldens. */
#include "unit/token_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define GOLDEN "tests/golden/"
enum { MAX_LENGTH = 256 }; /* of the goldens; see tests/golden/README.md */

static hd_tokenizer *tokenizer;
static hd_error err;

static int open_model(void **state)
{
    (void)state;
    char dir[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *model = getenv("HEDDLE_TEST_MODEL");
    if (model != NULL)
        snprintf(dir, sizeof dir, "%s", model);
    else
        snprintf(dir, sizeof dir, "%s%s/heddle/models/sentence-transformers/all-MiniLM-L6-v2",
                 cache != NULL ? cache : getenv("HOME"), cache != NULL ? "" : "/.cache");
    if (hd__tokenizer_open(dir, &tokenizer, &err) != HD_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    hd__tokenizer_close(tokenizer);
    return 0;
}

/* The lines of a file as JSON values. jansson refuses U+0000 in strings unless asked. */
static json_t *read_lines(const char *path)
{
    hd_file_map map;
    if (hd__file_map_open(path, &map, &err) != HD_OK)
        fail_msg("%s", err.text);
    json_t *lines = json_array();
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1) {
        const char *newline = memchr(map.bytes.ptr + at, '\n', map.bytes.len - at);
        end = newline != NULL ? (size_t)(newline - map.bytes.ptr) : map.bytes.len;
        json_error_t e;
        json_t *line = json_loadb(map.bytes.ptr + at, end - at, JSON_ALLOW_NUL, &e);
        if (line == NULL)
            fail_msg("%s: line %zu: %s", path, json_array_size(lines), e.text);
        json_array_append_new(lines, line);
    }
    hd__file_map_close(&map);
    return lines;
}

static hd_span text_of(const json_t *texts, size_t i)
{
    const json_t *text = json_object_get(json_array_get(texts, i), "text");
    return hd__span(json_string_value(text), json_string_length(text));
}

static void check_ids(size_t line, hd_span text, uint32_t max_length, const json_t *wanted)
{
    hd_ids ids = {0};
    hd_tokenize_options options = {.max_length = max_length, .strict = true};
    if (hd__tokenizer_encode(tokenizer, text, &options, &ids, NULL, &err) != HD_OK)
        fail_msg("line %zu: %s", line, err.text);
    if (ids.n != json_array_size(wanted))
        fail_msg("line %zu: %zu ids, not %zu", line, ids.n, json_array_size(wanted));
    for (size_t i = 0; i < ids.n; i++)
        if (ids.ids[i] != json_integer_value(json_array_get(wanted, i)))
            fail_msg("line %zu: id %zu is %d", line, i, ids.ids[i]);
    hd__ids_clear(&ids);
}

static void check_tokens(size_t line, hd_span text, const json_t *wanted)
{
    const json_t *ids = json_object_get(wanted, "ids"), *names = json_object_get(wanted, "tokens");
    const json_t *offsets = json_object_get(wanted, "offsets");
    hd_tokens tokens;
    hd_tokenize_options options = {.max_length = MAX_LENGTH};
    if (hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, &err) != HD_OK)
        fail_msg("line %zu: %s", line, err.text);
    assert_int_equal(tokens.n, json_array_size(ids));
    for (size_t i = 0; i < tokens.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        const json_t *offset = json_array_get(offsets, i);
        const char *name = json_string_value(json_array_get(names, i));
        if (t->id != json_integer_value(json_array_get(ids, i)) ||
            strcmp(hd__tokenizer_token(tokenizer, t->id), name) != 0 ||
            t->char_begin != json_integer_value(json_array_get(offset, 0)) ||
            t->char_end != json_integer_value(json_array_get(offset, 1)))
            fail_msg("line %zu: token %zu is %d \"%s\" at %u-%u, not \"%s\"", line, i, t->id,
                     hd__tokenizer_token(tokenizer, t->id), t->char_begin, t->char_end, name);
    }
    hd_tokens_free(&tokens);
}

static void test_tokens(void **state)
{
    (void)state;
    json_t *texts = read_lines(GOLDEN "texts.jsonl"), *wanted = read_lines(GOLDEN "minilm-tokens.jsonl");
    assert_true(json_array_size(texts) >= 200);
    assert_int_equal(json_array_size(wanted), json_array_size(texts));
    for (size_t i = 0; i < json_array_size(texts); i++) {
        check_ids(i, text_of(texts, i), MAX_LENGTH, json_object_get(json_array_get(wanted, i), "ids"));
        check_tokens(i, text_of(texts, i), json_array_get(wanted, i));
    }
    json_decref(texts);
    json_decref(wanted);
}

static void test_untruncated(void **state)
{
    (void)state;
    json_t *texts = read_lines(GOLDEN "texts.jsonl"), *wanted = read_lines(GOLDEN "minilm-untruncated.jsonl");
    assert_true(json_array_size(wanted) > 0);
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *entry = json_array_get(wanted, i);
        size_t line = (size_t)json_integer_value(json_object_get(entry, "line"));
        check_ids(line, text_of(texts, line), 0, json_object_get(entry, "ids"));
    }
    json_decref(texts);
    json_decref(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_untruncated),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
