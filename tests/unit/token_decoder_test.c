/* Token ids to text: what `tokenizers` 0.23 gives for the same tokens, settings that are malformed, no memory. */
#include "unit/token_fixture.h"

#include "base/file.h"

static hd_error err;

/* Decodes token texts (ended by NULL) alone, without a vocabulary. */
static void must_join(const hd_decoder *decoder, const char *const *tokens, const char *wanted)
{
    hd_buffer out;
    hd_token_texts texts = {0};
    hd__buffer_init(&out);
    for (size_t i = 0; tokens[i] != NULL; i++)
        assert_int_equal(hd__token_texts_add(&texts, hd__span_of(tokens[i]), &err), HD_OK);
    assert_int_equal(hd__decoder_run(decoder, &texts, &out, &err), HD_OK);
    hd__token_texts_clear(&texts);
    if (!hd__span_is(hd__buffer_span(&out), wanted))
        fail_msg("\"%.*s\" instead of \"%s\"", (int)out.len, out.ptr, wanted);
    hd__buffer_clear(&out);
}

#define MAX_TOKENS 8

static void wordpiece(void **state)
{
    (void)state;
    static const struct {
        const char *tokens[MAX_TOKENS], *clean, *plain;
    } cases[] = {
        {{"hello", "##wor", "##ld", "!"}, "helloworld!", "helloworld !"},
        {{"don", "'", "t"}, "don ' t", "don ' t"},
        {{"I", " n't"}, "I n't", "I  n't"},
        {{"i", "'m", "n't"}, "i'mn't", "i 'm n't"},
        {{"a", ".", "b", "?", "c", ","}, "a. b? c,", "a . b ? c ,"},
        {{"##x", "y"}, "##x y", "##x y"}, /* the first has nothing to continue */
        {{"do not", "x"}, "do not x", "do not x"},
        {{"x", "do not"}, "x don't", "x do not"},
        {{"x", " ' y"}, "x 'y", "x  ' y"},
        {{"a", "...", "b"}, "a... b", "a ... b"},
        {{"##"}, "##", "##"},
        {{"a", "##"}, "a", "a"},
        {{"a", "'s", "'ve", "'re"}, "a's've're", "a 's 've 're"},
        {{"x", "'s'm"}, "x's'm", "x 's'm"},
    };
    const hd_decoder plain = {.steps = {{.kind = HD_DECODER_WORDPIECE, .text = {"##", 2}}}, .n_steps = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must_join(&hd__decoder_bert, cases[i].tokens, cases[i].clean);
        must_join(&plain, cases[i].tokens, cases[i].plain);
    }
}

static void metaspace(void **state)
{
    (void)state;
    hd_decoder decoder = {.steps = {{.kind = HD_DECODER_METASPACE, .metaspace = {.mark = 0x2581}}}, .n_steps = 1};
    const char *const tokens[] = {"\u2581Hey\u2581", "\u2581fri", "end!", "\u2581", "\u2581\u2581x", NULL};
    must_join(&decoder, tokens, "Hey friend!   x");
    decoder.steps[0].metaspace.prepend = HD_PREPEND_NEVER;
    must_join(&decoder, tokens, " Hey  friend!   x");
}

static void no_decoder(void **state)
{
    (void)state;
    must_join(&(hd_decoder){.steps = {{.kind = HD_DECODER_BLANKS}}, .n_steps = 1},
              (const char *const[]){"a", "##b", "!", NULL}, "a ##b !");
}

#define DECODER "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
#define ADDED                                                                                                               \
    "\"added_tokens\":[{\"content\":\"[CLS]\",\"special\":true},{\"content\":\"[SEP]\",\"special\":true},"                  \
    "{\"content\":\"<kept>\",\"special\":false}],"

static void must_decode(const hd_tokenizer *tokenizer, const int32_t *ids, size_t n, bool no_specials, const char *wanted)
{
    hd_buffer out;
    hd__buffer_init(&out);
    if (hd__tokenizer_decode(tokenizer, ids, n, no_specials, &out, &err) != HD_OK)
        fail_msg("%s", err.text);
    if (!hd__span_is(hd__buffer_span(&out), wanted))
        fail_msg("\"%.*s\" instead of \"%s\"", (int)out.len, out.ptr, wanted);
    hd__buffer_clear(&out);
}

/* [decoder, tokens, text] (tools/make_tokenizer_goldens.py) */
static void goldens(void **state)
{
    (void)state;
    hd_file_map map;
    hd_arena arena;
    size_t line = 0;
    hd__arena_init(&arena);
    assert_int_equal(hd__file_map_open("tests/golden/tokenizers/decoded.jsonl", &map, &err), HD_OK);
    for (size_t at = 0, end; at < map.bytes.len; at = end + 1, line++) {
        end = (size_t)((const char *)memchr(map.bytes.ptr + at, '\n', map.bytes.len - at) - map.bytes.ptr);
        json_t *row = json_loadb(map.bytes.ptr + at, end - at, JSON_ALLOW_NUL, NULL), *tokens = json_array_get(row, 1);
        const json_t *wanted = json_array_get(row, 2);
        hd_decoder decoder;
        hd_token_texts texts = {0};
        hd_buffer out;
        hd__buffer_init(&out);
        assert_int_equal(hd__decoder_parse(json_array_get(row, 0), "t.json", &arena, &decoder, &err), HD_OK);
        for (size_t i = 0; i < json_array_size(tokens); i++)
            assert_int_equal(hd__token_texts_add(&texts, hd__span_of(json_string_value(json_array_get(tokens, i))), &err),
                             HD_OK);
        assert_int_equal(hd__decoder_run(&decoder, &texts, &out, &err), HD_OK);
        if (!hd__span_equal(hd__buffer_span(&out), hd__span(json_string_value(wanted), json_string_length(wanted))))
            fail_msg("line %zu: \"%.*s\"", line, (int)out.len, out.ptr);
        hd__token_texts_clear(&texts);
        hd__buffer_clear(&out);
        json_decref(row);
    }
    assert_true(line > 100);
    hd__file_map_close(&map);
    hd__arena_clear(&arena);
}

static void ids_to_text(void **state)
{
    (void)state;
    static const int32_t ids[] = {2, 4, 8, 11, 14, 3}, strange[] = {-1, INT32_MIN, 5, 15, INT32_MAX, 7};
    hd_tokenizer *tokenizer = token_open("{" TOKEN_BERT DECODER ADDED TOKEN_MODEL("") "}");
    must_decode(tokenizer, ids, 6, true, "ab! <kept>");
    must_decode(tokenizer, ids, 6, false, "[CLS] ab! <kept> [SEP]");
    must_decode(tokenizer, ids, 1, true, "");
    must_decode(tokenizer, NULL, 0, true, "");
    must_decode(tokenizer, strange, 6, true, "ba"); /* ids that nothing has are left out */
    hd__tokenizer_close(tokenizer);
}

static void settings(void **state)
{
    (void)state;
    static const int32_t ids[] = {4, 8, 11};
    hd_tokenizer *tokenizer = token_open("{" TOKEN_BERT TOKEN_MODEL("") "}");
    must_decode(tokenizer, ids, 3, true, "a ##b !");
    hd__tokenizer_close(tokenizer);
    tokenizer = token_open("{" TOKEN_BERT "\"decoder\":{\"type\":\"WordPiece\"}," TOKEN_MODEL("") "}");
    must_decode(tokenizer, ids, 3, true, "ab!");
    hd__tokenizer_close(tokenizer);
    tokenizer = token_open("{" TOKEN_BERT
                           "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"#\",\"cleanup\":false}," TOKEN_MODEL("") "}");
    must_decode(tokenizer, ids, 3, true, "a#b !");
    hd__tokenizer_close(tokenizer);

    /* A model whose decoder is not known is of use all the same. */
    hd_buffer out;
    hd__buffer_init(&out);
    tokenizer = token_open("{" TOKEN_BERT "\"decoder\":{\"type\":\"CTC\"}," TOKEN_MODEL("") "}");
    assert_int_equal(hd__tokenizer_decode(tokenizer, ids, 3, true, &out, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "CTC"));
    hd__tokenizer_close(tokenizer);
    hd__buffer_clear(&out);

    token_refused("{" TOKEN_BERT "\"decoder\":{\"prefix\":\"##\"}," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "decoder");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"Sequence\"}," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "decoders");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"Strip\",\"content\":\"ab\"}," TOKEN_MODEL("") "}", HD_ERR_FORMAT,
                  "one character");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"Replace\",\"content\":\"ab\"}," TOKEN_MODEL("") "}", HD_ERR_FORMAT,
                  "\"pattern\"");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"Replace\",\"pattern\":\"a\"}," TOKEN_MODEL("") "}", HD_ERR_FORMAT,
                  "\"content\"");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":1}," TOKEN_MODEL("") "}", HD_ERR_FORMAT, "type");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":1}," TOKEN_MODEL("") "}", HD_ERR_FORMAT,
                  "prefix");
    token_refused("{" TOKEN_BERT "\"decoder\":{\"type\":\"WordPiece\",\"cleanup\":1}," TOKEN_MODEL("") "}", HD_ERR_FORMAT,
                  "cleanup");
}

static void no_memory(void **state)
{
    (void)state;
    static const int32_t ids[] = {4, 8, 11};
    hd_tokenizer *tokenizer = token_open("{" TOKEN_BERT DECODER TOKEN_MODEL("") "}");
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_buffer out;
        hd__buffer_init(&out);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_decode(tokenizer, ids, 3, true, &out, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || (n < 10 && status == HD_ERR_MEMORY));
        hd__buffer_clear(&out);
    }
    hd__tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),   cmocka_unit_test(wordpiece),   cmocka_unit_test(no_decoder),
        cmocka_unit_test(metaspace), cmocka_unit_test(ids_to_text), cmocka_unit_test(settings),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
