/* A Unigram tokenizer as XLM-RoBERTa models have it, on nasty texts: ids, places and decoded texts equal to the `tokenizers`
 * library's (tests/golden/unigram). */
#include "unit/token_fixture.h"

#include "base/file.h"

#define GOLDEN "tests/golden/unigram"

static hd_error err;

static json_t *parse_line(hd_span line, size_t n)
{
    json_error_t e;
    json_t *root = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, &e); /* U+0000 in strings */
    if (root == NULL)
        fail_msg("line %zu: %s", n, e.text);
    return root;
}

static hd_span string_of(const json_t *line, const char *key)
{
    const json_t *text = json_object_get(line, key);
    return hd__span(json_string_value(text), json_string_length(text));
}

static void check_tokens(const hd_tokenizer *tokenizer, size_t n, const json_t *line)
{
    const json_t *ids = json_object_get(line, "ids"), *offsets = json_object_get(line, "offsets");
    hd_tokenize_options options = {.strict = true};
    hd_ids fast = {0};
    hd_tokens tokens = {0};
    hd_span text = string_of(line, "text");
    if (hd__tokenizer_encode(tokenizer, text, &options, &fast, NULL, &err) != HD_OK ||
        hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, &err) != HD_OK)
        fail_msg("line %zu: %s", n, err.text);
    if (fast.n != json_array_size(ids) || tokens.n != fast.n)
        fail_msg("line %zu: %zu ids, %zu tokens, not %zu", n, fast.n, tokens.n, json_array_size(ids));
    for (size_t i = 0; i < tokens.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (fast.ids[i] != id || t->id != id || t->char_begin != json_integer_value(json_array_get(offsets, 2 * i)) ||
            t->char_end != json_integer_value(json_array_get(offsets, 2 * i + 1)))
            fail_msg("line %zu: token %zu is %d or %d at %u-%u", n, i, fast.ids[i], t->id, t->char_begin, t->char_end);
    }
    hd_buffer decoded;
    hd__buffer_init(&decoded);
    if (hd__tokenizer_decode(tokenizer, fast.ids, fast.n, true, &decoded, &err) != HD_OK)
        fail_msg("line %zu: %s", n, err.text);
    if (!hd__span_equal(hd__buffer_span(&decoded), string_of(line, "decoded")))
        fail_msg("line %zu: decoded to \"%.*s\"", n, (int)decoded.len, decoded.ptr);
    hd__buffer_clear(&decoded);
    hd__ids_clear(&fast);
    hd_tokens_free(&tokens);
}

static void check_all(const hd_tokenizer *tokenizer)
{
    hd_file_map map;
    if (hd__file_map_open(GOLDEN "/tokens.jsonl", &map, &err) != HD_OK)
        fail_msg("%s", err.text);
    size_t n = 0;
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1, n++) {
        const char *newline = memchr(map.bytes.ptr + at, '\n', map.bytes.len - at);
        end = newline != NULL ? (size_t)(newline - map.bytes.ptr) : map.bytes.len;
        json_t *line = parse_line(hd__span(map.bytes.ptr + at, end - at), n);
        check_tokens(tokenizer, n, line);
        json_decref(line);
    }
    hd__file_map_close(&map);
    assert_true(n >= 1000);
}

static void test_tokenizer_json(void **state)
{
    (void)state;
    hd_tokenizer *tokenizer;
    if (hd__tokenizer_open(GOLDEN, &tokenizer, &err) != HD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(hd__tokenizer_vocab_size(tokenizer), 1502);
    assert_string_equal(hd__tokenizer_token(tokenizer, 1501), "<mask>");
    check_all(tokenizer);
    hd__tokenizer_close(tokenizer);
}

static void test_sentencepiece_file(void **state)
{
    (void)state;
    hd_tokenizer *tokenizer = NULL;
    hd_file_map map;
    if (hd__file_map_open(GOLDEN "/sentencepiece.bpe.model", &map, &err) != HD_OK ||
        hd__tokenizer_open_sentencepiece(map.bytes, "sentencepiece.bpe.model", &tokenizer, &err) != HD_OK)
        fail_msg("%s", err.text);
    hd__file_map_close(&map);
    assert_int_equal(hd__tokenizer_vocab_size(tokenizer), 1502);
    assert_string_equal(hd__tokenizer_token(tokenizer, 1), "<pad>");
    check_all(tokenizer);
    hd__tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_json),
        cmocka_unit_test(test_sentencepiece_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
