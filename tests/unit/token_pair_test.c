/* Two texts to one sequence: the goldens of `tokenizers` (tools/make_tokenizer_goldens.py) and what is refused. */
#include "unit/token_fixture.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"

#define GOLDEN "tests/golden/tokenizers/pairs/"

static hd_error err;

static hd_span text_of(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    return hd__span(json_string_value(text), json_string_length(text));
}

static hd_truncation truncation_of(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "truncation"));
    return strcmp(name, "only_first") == 0    ? HD_TRUNCATE_ONLY_FIRST
           : strcmp(name, "only_second") == 0 ? HD_TRUNCATE_ONLY_SECOND
                                              : HD_TRUNCATE_LONGEST_FIRST;
}

static void check_values(size_t line, const hd_ids *got, const json_t *wanted)
{
    if (got->n != json_array_size(wanted))
        fail_msg("line %zu: %zu values, not %zu", line, got->n, json_array_size(wanted));
    for (size_t i = 0; i < got->n; i++)
        if (got->ids[i] != json_integer_value(json_array_get(wanted, i)))
            fail_msg("line %zu: value %zu is %d", line, i, got->ids[i]);
}

static void check_row(size_t line, const hd_tokenizer *t, const json_t *row)
{
    hd_ids ids = {0}, types = {0};
    bool truncated = false;
    hd_tokenize_options options = {
        .max_length = (uint32_t)json_integer_value(json_object_get(row, "max_length")),
        .cut_front = json_is_true(json_object_get(row, "cut_front")),
        .no_specials = json_is_true(json_object_get(row, "no_specials")),
    };
    hd_status status = hd__tokenizer_encode_pair(t, text_of(row, "a"), text_of(row, "b"), &options, truncation_of(row), &ids,
                                                 &types, &truncated, &err);
    if (json_object_get(row, "refused") != NULL) {
        assert_int_equal(status, HD_ERR_LIMIT);
        assert_int_equal(ids.n + types.n, 0);
    } else {
        if (status != HD_OK)
            fail_msg("line %zu: %s", line, err.text);
        check_values(line, &ids, json_object_get(row, "ids"));
        check_values(line, &types, json_object_get(row, "types"));
        assert_int_equal(truncated, json_is_true(json_object_get(row, "truncated")));
    }
    hd__ids_clear(&ids);
    hd__ids_clear(&types);
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *settings;
    hd_file_map map;
    assert_int_equal(hd__json_read(GOLDEN "processors.json", &settings, &err), HD_OK);
    assert_int_equal(hd__file_map_open(GOLDEN "cases.jsonl", &map, &err), HD_OK);
    size_t line = 0;
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1, line++) {
        json_t *row;
        const char *newline = memchr(map.bytes.ptr + at, '\n', map.bytes.len - at);
        end = (size_t)(newline - map.bytes.ptr);
        assert_int_equal(hd__json_parse(hd__span(map.bytes.ptr + at, end - at), "cases.jsonl", &row, &err), HD_OK);
        char *json =
            json_dumps(json_object_get(settings, json_string_value(json_object_get(row, "processor"))), JSON_COMPACT);
        hd_tokenizer *t = token_open(json);
        check_row(line, t, row);
        hd__tokenizer_close(t);
        free(json);
        json_decref(row);
    }
    assert_true(line > 400);
    hd__file_map_close(&map);
    json_decref(settings);
}

static const char settings[] = "{" TOKEN_BERT TOKEN_TEMPLATE TOKEN_MODEL("") "}";

static hd_status encode(const hd_tokenizer *t, const char *a, const char *b, hd_tokenize_options options, hd_ids *ids)
{
    return hd__tokenizer_encode_pair(t, hd__span_of(a), hd__span_of(b), &options, HD_TRUNCATE_ONLY_SECOND, ids, NULL, NULL,
                                     &err);
}

static void test_refused(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(settings);
    hd_ids ids = {0};
    assert_int_equal(encode(t, "a", "b", (hd_tokenize_options){0}, &ids), HD_OK);
    assert_int_equal(ids.n, 5);
    assert_int_equal(encode(t, "a", "b", (hd_tokenize_options){.max_length = 2}, &ids), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "max_length of 2"));
    assert_int_equal(encode(t, "a a", "b", (hd_tokenize_options){.max_length = 5}, &ids), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "first text"));
    assert_int_equal(encode(t, "a", "b\xFF", (hd_tokenize_options){.strict = true}, &ids), HD_ERR_FORMAT);
    assert_int_equal(hd__tokenizer_encode_pair(t, hd__span_of("a"), hd__span("", (size_t)HD_LIMIT_TEXT_BYTES + 1),
                                               &(hd_tokenize_options){0}, HD_TRUNCATE_ONLY_FIRST, &ids, NULL, NULL, &err),
                     HD_ERR_LIMIT);
    assert_int_equal(ids.n, 5);
    hd__ids_clear(&ids);
    hd__tokenizer_close(t);

    t = token_open(
        "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}]}," TOKEN_BERT
            TOKEN_MODEL("") "}");
    assert_int_equal(encode(t, "a", "b", (hd_tokenize_options){0}, &ids), HD_ERR_UNSUPPORTED);
    hd__tokenizer_close(t);
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_tokenizer *t = token_open(settings);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_ids ids = {0}, types = {0};
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_encode_pair(t, hd__span_of("a b"), hd__span_of("b a"), &(hd_tokenize_options){0},
                                           HD_TRUNCATE_LONGEST_FIRST, &ids, &types, NULL, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        assert_int_equal(ids.n, status == HD_OK ? 7 : 0);
        assert_int_equal(types.n, ids.n);
        hd__ids_clear(&ids);
        hd__ids_clear(&types);
    }
    hd__tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
