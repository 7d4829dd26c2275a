/* WordPiece and byte-pair tokenizers in the structure of published ones, and Unigram with bytes for unknown characters, on
 * nasty texts: ids by both ways, places and the way back equal to the `tokenizers` library's
 * (tools/make_tokenizer_goldens.py). */
#include "unit/token_fixture.h"

#include "base/file.h"

#define GOLDEN "tests/golden/tokenizers/"

static hd_error err;

/* The lines of a file as JSON values; texts hold U+0000. */
static json_t *read_lines(const char *path)
{
    hd_file_map map;
    if (hd__file_map_open(path, &map, &err) != HD_OK)
        fail_msg("%s", err.text);
    json_t *lines = json_array();
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1) {
        end = (size_t)((const char *)memchr(map.bytes.ptr + at, '\n', map.bytes.len - at) - map.bytes.ptr);
        json_array_append_new(lines, json_loadb(map.bytes.ptr + at, end - at, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL));
    }
    hd__file_map_close(&map);
    return lines;
}

static int64_t number(const json_t *array, size_t i)
{
    return json_integer_value(json_array_get(array, i));
}

static void check_ids(const hd_tokenizer *t, const char *kind, size_t line, hd_span text, const json_t *wanted)
{
    hd_ids ids = {0};
    const hd_tokenize_options plain = {.strict = true};
    if (hd__tokenizer_encode(t, text, &plain, &ids, NULL, &err) != HD_OK)
        fail_msg("%s, line %zu: %s", kind, line, err.text);
    if (ids.n != json_array_size(wanted))
        fail_msg("%s, line %zu: %zu ids, not %zu", kind, line, ids.n, json_array_size(wanted));
    for (size_t i = 0; i < ids.n; i++)
        if (ids.ids[i] != number(wanted, i))
            fail_msg("%s, line %zu: id %zu is %d, not %d", kind, line, i, ids.ids[i], (int)number(wanted, i));
    hd__ids_clear(&ids);
}

static void check_places(const hd_tokenizer *t, const char *kind, size_t line, hd_span text, const json_t *ids,
                         const json_t *places)
{
    hd_tokens tokens;
    if (hd__tokenizer_encode_offsets(t, text, &(hd_tokenize_options){0}, &tokens, &err) != HD_OK)
        fail_msg("%s, line %zu: %s", kind, line, err.text);
    assert_int_equal(tokens.n, json_array_size(ids));
    for (size_t i = 0; i < tokens.n; i++) {
        const hd_token *token = &tokens.tokens[i];
        if (token->id != number(ids, i) || token->char_begin != number(places, 2 * i) ||
            token->char_end != number(places, 2 * i + 1))
            fail_msg("%s, line %zu: token %zu is %d at %u-%u", kind, line, i, token->id, token->char_begin, token->char_end);
    }
    hd_tokens_free(&tokens);
}

static void check_decoded(const hd_tokenizer *t, const char *kind, size_t line, const json_t *ids, const json_t *wanted)
{
    hd_ids list = {0};
    hd_buffer out;
    hd__buffer_init(&out);
    assert_int_equal(hd__ids_reserve(&list, json_array_size(ids), &err), HD_OK);
    for (size_t i = 0; i < json_array_size(ids); i++)
        list.ids[list.n++] = (int32_t)number(ids, i);
    if (hd__tokenizer_decode(t, list.ids, list.n, false, &out, &err) != HD_OK)
        fail_msg("%s, line %zu: %s", kind, line, err.text);
    if (!hd__span_equal(hd__buffer_span(&out), hd__span(json_string_value(wanted), json_string_length(wanted))))
        fail_msg("%s, line %zu: \"%.*s\" instead of \"%s\"", kind, line, (int)out.len, out.ptr, json_string_value(wanted));
    hd__buffer_clear(&out);
    hd__ids_clear(&list);
}

static void check_kind(const char *kind, const json_t *texts, size_t n_least)
{
    char settings[128], lines[128];
    hd_arena arena;
    hd_span json;
    hd_tokenizer *t;
    hd__arena_init(&arena);
    snprintf(settings, sizeof settings, GOLDEN "%s.json", kind);
    snprintf(lines, sizeof lines, GOLDEN "%s.jsonl", kind);
    if (hd__file_read(settings, 1 << 20, &arena, &json, &err) != HD_OK ||
        hd__tokenizer_open_json(json, settings, &t, &err) != HD_OK)
        fail_msg("%s", err.text);
    json_t *rows = read_lines(lines);
    assert_true(json_array_size(rows) >= n_least);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *text = json_array_get(texts, i);
        const hd_span span = hd__span(json_string_value(text), json_string_length(text));
        check_ids(t, kind, i, span, json_array_get(row, 0));
        check_places(t, kind, i, span, json_array_get(row, 0), json_array_get(row, 1));
        check_decoded(t, kind, i, json_array_get(row, 0), json_array_get(row, 2));
    }
    json_decref(rows);
    hd__tokenizer_close(t);
    hd__arena_clear(&arena);
}

static void test_wordpiece(void **state)
{
    (void)state;
    json_t *texts = read_lines(GOLDEN "wordpiece/texts.jsonl");
    check_kind("wordpiece/uncased", texts, 1000);
    check_kind("wordpiece/cased", texts, 1000);
    json_decref(texts);
}

/* Without a charsmap; the way of XLM-RoBERTa's is in token_unigram_golden_test.c. */
static void test_unigram_bytes(void **state)
{
    (void)state;
    json_t *texts = read_lines(GOLDEN "unigram/texts.jsonl");
    check_kind("unigram/bytes", texts, 1000);
    json_decref(texts);
}

static void test_byte_pairs(void **state)
{
    (void)state;
    static const char *const kinds[] = {"bpe/gpt2", "bpe/roberta", "bpe/qwen2", "bpe/modernbert", "bpe/gemma"};
    json_t *texts = read_lines(GOLDEN "bpe/texts.jsonl");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_kind(kinds[i], texts, 1000);
    json_decref(texts);
}

static void test_other_byte_pairs(void **state)
{
    (void)state;
    static const char *const kinds[] = {"bpe/llama3", "bpe/prefix_space", "bpe/sentencepiece", "bpe/clip", "bpe/continuing"};
    json_t *texts = read_lines(GOLDEN "bpe/texts.jsonl");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_kind(kinds[i], texts, 300);
    json_decref(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wordpiece),
        cmocka_unit_test(test_unigram_bytes),
        cmocka_unit_test(test_byte_pairs),
        cmocka_unit_test(test_other_byte_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
