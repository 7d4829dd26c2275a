/* GGUF files made by llama.cpp's converter give the ids of the folder that they were made from, and the vectors
 * of their weights (tests/golden/gguf/README.md). So do those that Heddle writes of every kind of tokenizer, with the
 * tensors and tokens of that converter (model_export_test.c). */
#include <jansson.h>

#include "base/file.h"
#include "engine/model_tokenizer.h" /* before the fixture, whose err its parameters would shadow */
#include "model/gguf_export.h"
#include "model/settings.h"

#include "unit/engine_fixture.h"

#define GGUF "tests/golden/gguf/"

enum { MAX_TEXTS = 512, WIDTH = 64 };

static json_t *lines[MAX_TEXTS];
static size_t n_lines;

static hd_text line_text(size_t i)
{
    const json_t *text = json_object_get(lines[i], "text");
    return (hd_text){json_string_value(text), json_string_length(text)};
}

static int read_lines(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/texts.jsonl", "r");
    for (json_t *line; f != NULL && (line = json_loadf(f, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL;)
        lines[n_lines++] = line;
    if (f != NULL)
        fclose(f);
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls");
    return n_lines > 300 ? run_in_models("python3 tools/make_tiny_gguf_models.py \"$models\" gguf-distilbert gguf-xlmr "
                                         "gguf-roberta gguf-modernbert gguf-qwen3 gguf-qwen3-reranker")
                         : 1;
}

static int forget_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_lines; i++)
        json_decref(lines[i]);
    scratch_end(&folder);
    return 0;
}

static void ids_are_those_of_the_folder(void **state)
{
    (void)state;
    hd_tokenizer *hub, *gguf;
    hd_ids wanted = {0}, got = {0};
    const hd_tokenize_options options = {.max_length = 128};
    MUST(hd__model_tokenizer_open(tiny_model_dir(&folder, "tiny-cls"), NULL, &hub, &err));
    MUST(hd__model_tokenizer_open(GGUF "tiny-cls-q8_0.gguf", NULL, &gguf, &err));
    assert_int_equal(hd__tokenizer_vocab_size(gguf), hd__tokenizer_vocab_size(hub));
    for (size_t i = 0; i < n_lines; i++) {
        const hd_text text = line_text(i);
        MUST(hd__tokenizer_encode(hub, hd__span(text.ptr, text.len), &options, &wanted, NULL, &err));
        MUST(hd__tokenizer_encode(gguf, hd__span(text.ptr, text.len), &options, &got, NULL, &err));
        assert_int_equal(got.n, wanted.n);
        assert_memory_equal(got.ids, wanted.ids, wanted.n * sizeof *wanted.ids);
    }
    hd__ids_clear(&wanted);
    hd__ids_clear(&got);
    hd__tokenizer_close(hub);
    hd__tokenizer_close(gguf);
}

/* A line is a text, or an object with one. */
static size_t compare_ids(const char *model, const hd_tokenizer *hub, const hd_tokenizer *gguf, const char *path)
{
    hd_ids wanted = {0}, got = {0};
    const hd_tokenize_options options = {.max_length = 0};
    const size_t all = JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY;
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (json_t *line; (line = json_loadf(f, all, NULL)) != NULL; n++) {
        const json_t *text = json_is_object(line) ? json_object_get(line, "text") : line;
        const hd_span span = hd__span(json_string_value(text), json_string_length(text));
        wanted.n = got.n = 0;
        MUST(hd__tokenizer_encode(hub, span, &options, &wanted, NULL, &err));
        MUST(hd__tokenizer_encode(gguf, span, &options, &got, NULL, &err));
        if (got.n != wanted.n || memcmp(got.ids, wanted.ids, wanted.n * sizeof *wanted.ids) != 0)
            fail_msg("%s: %s, line %zu has other ids", model, path, n);
        json_decref(line);
    }
    fclose(f);
    hd__ids_clear(&wanted);
    hd__ids_clear(&got);
    return n;
}

/* WordPiece, Unigram and byte pairs, each on more than 1,000 nasty texts of its own and of others. */
static void ids_of_every_kind_are_the_folders(void **state)
{
    (void)state;
    static const char *const models[] = {"gguf-distilbert", "gguf-xlmr",  "gguf-roberta",
                                         "gguf-modernbert", "gguf-qwen3", "gguf-qwen3-reranker"};
    static const char *const texts[] = {"tests/golden/tokenizers/wordpiece/texts.jsonl", "tests/golden/unigram/tokens.jsonl",
                                        "tests/golden/tokenizers/bpe/texts.jsonl", "tests/golden/texts.jsonl"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        hd_arena arena;
        hd_settings settings;
        hd_tokenizer *hub, *gguf;
        size_t n = 0;
        const char *dir = tiny_model_dir(&folder, models[i]), *path = scratch_path(&folder, "own.gguf");
        hd__arena_init(&arena);
        MUST(hd__settings_read(dir, NULL, &arena, &settings, &err));
        MUST(hd__gguf_export(&settings, HD_TENSOR_F32, path, &err));
        MUST(hd__model_tokenizer_open(dir, NULL, &hub, &err));
        MUST(hd__model_tokenizer_open(path, NULL, &gguf, &err));
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            n += compare_ids(models[i], hub, gguf, texts[k]);
        assert_int_equal(n, 1000 + 1100 + 1000 + 301);
        hd__tokenizer_close(hub);
        hd__tokenizer_close(gguf);
        hd__arena_clear(&arena);
    }
}

static void ids_of_sentencepiece_are_llama_cpps(void **state)
{
    (void)state;
    hd_tokenizer *tokenizer;
    hd_ids got = {0};
    const hd_tokenize_options options = {.max_length = 0};
    FILE *f = fopen(GGUF "sentencepiece.jsonl", "r");
    size_t n = 0;
    assert_non_null(f);
    MUST(hd__model_tokenizer_open(GGUF "sentencepiece.gguf", NULL, &tokenizer, &err));
    for (json_t *line; (line = json_loadf(f, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL; n++) {
        const json_t *text = json_object_get(line, "text"), *ids = json_object_get(line, "ids");
        got.n = 0;
        MUST(hd__tokenizer_encode(tokenizer, hd__span(json_string_value(text), json_string_length(text)), &options, &got,
                                  NULL, &err));
        assert_int_equal(got.n, json_array_size(ids));
        for (size_t i = 0; i < got.n; i++)
            assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, i)));
        json_decref(line);
    }
    fclose(f);
    assert_true(n > 300);
    hd__ids_clear(&got);
    hd__tokenizer_close(tokenizer);
}

/* Vectors of the given lines beside rows of a file. */
static void compare(const char *model_path, const char *vectors, const size_t *at, size_t n)
{
    hd_text texts[MAX_TEXTS];
    hd_file_map map;
    hd_model *model;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    float *out = malloc(n * WIDTH * sizeof *out);
    for (size_t i = 0; i < n; i++)
        texts[i] = line_text(at[i]);
    MUST(hd__file_map_open(vectors, &map, &err));
    assert_int_equal(map.bytes.len, n * WIDTH * sizeof *out);
    MUST(hd_model_open(engine, model_path, &(hd_model_options){.dtype = HD_DTYPE_F32, .max_length = 128}, &model, &err));
    assert_int_equal(width_of(model), WIDTH);
    MUST(hd_encode(model, texts, n, NULL, out, NULL, &err));
    for (size_t i = 0; i < n; i++) {
        const double cosine = hd_cosine(out + i * WIDTH, (const float *)(const void *)map.bytes.ptr + i * WIDTH, WIDTH);
        if (!(cosine >= 0.99999))
            fail_msg("%s: line %zu: cosine %.7f", model_path, at[i], cosine);
    }
    free(out);
    hd__file_map_close(&map);
    hd_model_close(model);
    hd_engine_close(engine);
}

static void vectors_are_those_of_the_weights(void **state)
{
    (void)state;
    size_t at[MAX_TEXTS], n = 0;
    for (size_t i = 0; i < 301; i += 8)
        at[n++] = i;
    compare(GGUF "tiny-cls-f16.gguf", GGUF "tiny-cls-f16.f32", at, n);
    compare(GGUF "tiny-cls-q8_0.gguf", GGUF "tiny-cls-q8_0.f32", at, n);
}

static void a_folder_stands_for_its_one_file(void **state)
{
    (void)state;
    hd_file_map map;
    hd_model *model;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    MUST(hd__file_map_open(GGUF "tiny-cls-q8_0.gguf", &map, &err));
    scratch_write(&folder, "one/m.gguf", map.bytes.ptr, map.bytes.len);
    MUST(hd_model_open(engine, scratch_path(&folder, "one"), NULL, &model, &err));
    MUST(hd_model_load(model, &err));
    hd_model_close(model);
    scratch_write(&folder, "one/n.gguf", map.bytes.ptr, map.bytes.len);
    must_fail(hd_model_open(engine, scratch_path(&folder, "one"), NULL, &model, &err), HD_ERR_NOT_FOUND, "one GGUF file");
    MUST(hd_model_open(engine, scratch_path(&folder, "one/n.gguf"), NULL, &model, &err));
    hd_model_close(model);
    scratch_write(&folder, "short/m.gguf", map.bytes.ptr, map.bytes.len / 2);
    must_fail(hd_model_open(engine, scratch_path(&folder, "short"), NULL, &model, &err), HD_ERR_FORMAT, "do not fit");
    hd__file_map_close(&map);
    hd_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_folder),         cmocka_unit_test(ids_of_every_kind_are_the_folders),
        cmocka_unit_test(ids_of_sentencepiece_are_llama_cpps), cmocka_unit_test(vectors_are_those_of_the_weights),
        cmocka_unit_test(a_folder_stands_for_its_one_file),
    };
    return cmocka_run_group_tests(tests, read_lines, forget_lines);
}
