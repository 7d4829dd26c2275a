/* GGUF files made by llama.cpp's converter give the ids of the folder that they were made from, and the vectors
 * of their weights (tests/golden/gguf/README.md). So do those that Heddle writes of every kind of tokenizer, with the
 * tensors and tokens of that converter (model_export_test.c). */
#include <jansson.h>

#include "base/file.h"
#include "engine/model_tokenizer.h" /* before the fixture, whose err its parameters would shadow */
#include "model/dequantise.h"
#include "model/gguf_export.h"
#include "model/gguf_writer.h"
#include "model/settings.h"

#include "unit/engine_fixture.h"

#define GGUF "tests/golden/gguf/"

enum { MAX_TEXTS = 512, WIDTH = 64, BLOCK_WIDTH = 256 };

static json_t *lines[MAX_TEXTS];
static size_t n_lines;

static hd_text line_text(size_t i)
{
    const json_t *text = json_object_get(lines[i], "text");
    return (hd_text){json_string_value(text), json_string_length(text)};
}

/* Models with a tokenizer of each kind, and one with rows as long as the longest blocks. */
#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_gguf_models.py \"$models\" gguf-distilbert gguf-xlmr gguf-roberta gguf-modernbert "    \
    "gguf-qwen3 gguf-qwen3-reranker\n"                                                                                      \
    "PYTHONPATH=tools python3 - \"$models/blocks\" <<'EOS'\n"                                                               \
    "import sys, pathlib, make_tiny_architectures as arch\n"                                                                \
    "_, graph, config, behind = arch.MODELS['tiny-distilbert']\n"                                                           \
    "config = dict(config, dim=256, hidden_dim=512)\n"                                                                      \
    "arch.write_folder(pathlib.Path(sys.argv[1]), 'blocks', graph, config, behind, arch.vocabulary(config), None)\n"        \
    "EOS"

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
    return n_lines > 300 ? run_in_models(SCRIPT) : 1;
}

static int forget_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_lines; i++)
        json_decref(lines[i]);
    scratch_end(&folder);
    return 0;
}

static void assert_same_ids(const hd_tokenizer *hub, const hd_tokenizer *gguf, hd_span text, uint32_t max_length,
                            const char *what, size_t line)
{
    hd_ids wanted = {0}, got = {0};
    const hd_tokenize_options options = {.max_length = max_length};
    MUST(hd__tokenizer_encode(hub, text, &options, &wanted, NULL, &err));
    MUST(hd__tokenizer_encode(gguf, text, &options, &got, NULL, &err));
    if (got.n != wanted.n || memcmp(got.ids, wanted.ids, wanted.n * sizeof *wanted.ids) != 0)
        fail_msg("%s, line %zu has other ids", what, line);
    hd__ids_clear(&wanted);
    hd__ids_clear(&got);
}

static void ids_are_those_of_the_folder(void **state)
{
    (void)state;
    hd_tokenizer *hub, *gguf;
    MUST(hd__model_tokenizer_open(tiny_model_dir(&folder, "tiny-cls"), NULL, &hub, &err));
    MUST(hd__model_tokenizer_open(GGUF "tiny-cls-q8_0.gguf", NULL, &gguf, &err));
    assert_int_equal(hd__tokenizer_vocab_size(gguf), hd__tokenizer_vocab_size(hub));
    for (size_t i = 0; i < n_lines; i++) {
        const hd_text text = line_text(i);
        assert_same_ids(hub, gguf, hd__span(text.ptr, text.len), 128, "texts.jsonl", i);
    }
    hd__tokenizer_close(hub);
    hd__tokenizer_close(gguf);
}

/* A line is a text, or an object with one. */
static size_t compare_ids(const char *model, const hd_tokenizer *hub, const hd_tokenizer *gguf, const char *path)
{
    const size_t all = JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY;
    char what[256];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    snprintf(what, sizeof what, "%s: %s", model, path);
    for (json_t *line; (line = json_loadf(f, all, NULL)) != NULL; n++) {
        const json_t *text = json_is_object(line) ? json_object_get(line, "text") : line;
        assert_same_ids(hub, gguf, hd__span(json_string_value(text), json_string_length(text)), 0, what, n);
        json_decref(line);
    }
    fclose(f);
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

/* ---- every type of blocks ---- */

typedef struct block_type {
    hd_tensor_type type;
    size_t halves[2]; /* where a block has its scales */
    size_t n_halves;
    uint16_t scale; /* f16 */
} block_type;

static const block_type block_types[] = {
    {HD_TENSOR_Q4_0, {0}, 1, 0x251F},    {HD_TENSOR_Q4_1, {0, 2}, 2, 0x1E00}, {HD_TENSOR_Q5_0, {0}, 1, 0x2100},
    {HD_TENSOR_Q5_1, {0, 2}, 2, 0x1A00}, {HD_TENSOR_Q8_0, {0}, 1, 0x1000},    {HD_TENSOR_Q4_K, {0, 2}, 2, 0x068E},
    {HD_TENSOR_Q5_K, {0, 2}, 2, 0x0500}, {HD_TENSOR_Q6_K, {208}, 1, 0x0100},
};

/* Blocks of random bits but for their scales: as they are, or what they mean. */
static void write_blocks(const hd_tensor *t, const block_type *b, bool as_blocks, hd_file_writer *file)
{
    char block[HD_LARGEST_BLOCK];
    float values[HD_LARGEST_BLOCK];
    const size_t n_bytes = hd__tensor_type_bytes(b->type), n_values = hd__tensor_type_block(b->type);
    uint64_t random = t->n_elements;
    for (uint64_t i = 0; i < t->n_elements; i += n_values) {
        for (size_t k = 0; k < n_bytes; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            block[k] = (char)(unsigned char)(random >> 56);
        }
        for (size_t k = 0; k < b->n_halves; k++)
            memcpy(block + b->halves[k], &b->scale, sizeof b->scale);
        assert_true(hd__dequantise(b->type, block, 1, values));
        hd__file_writer_add(file, as_blocks ? hd__span(block, n_bytes)
                                            : hd__span((const char *)values, n_values * sizeof *values));
    }
}

static bool is_in_blocks(const hd_tensor *t, const block_type *b)
{
    return t->n_dims == 2 && t->dims[1] % hd__tensor_type_block(b->type) == 0;
}

/* The same file with all matrices whose rows are whole blocks in this type, or in f32 with the same values. */
static size_t rewrite(const hd_gguf *from, const block_type *b, bool as_blocks, const char *path)
{
    hd_gguf_writer writer;
    hd_file_writer file;
    size_t n = 0;
    hd__gguf_writer_init(&writer);
    for (size_t i = 0; i < from->n_pairs; i++) {
        const hd_gguf_pair *pair = &from->pairs[i];
        if (pair->is_array) {
            hd__gguf_put_array(&writer, pair->key, pair->type, pair->n, pair->bytes);
            continue;
        }
        hd__buffer_append_uint(&writer.pairs, strlen(pair->key), 8);
        hd__buffer_append_text(&writer.pairs, pair->key);
        hd__buffer_append_uint(&writer.pairs, pair->type, 4);
        hd__buffer_append(&writer.pairs, pair->bytes.ptr, pair->bytes.len);
        writer.n_pairs++;
    }
    for (size_t i = 0; i < from->n_tensors; i++) {
        const hd_tensor *t = &from->tensors[i];
        const bool has_blocks = is_in_blocks(t, b);
        hd__gguf_put_tensor(&writer, t->name, has_blocks && as_blocks ? b->type : HD_TENSOR_F32, t->n_dims, t->dims);
        n += has_blocks;
    }
    MUST(hd__file_writer_open(&file, path, &err));
    MUST(hd__gguf_writer_end(&writer, &file, &err));
    for (size_t i = 0; i < from->n_tensors; i++) {
        const hd_tensor *t = &from->tensors[i];
        if (is_in_blocks(t, b))
            write_blocks(t, b, as_blocks, &file);
        else
            hd__file_writer_add(&file, t->bytes);
        hd__file_writer_align(&file, 32);
    }
    MUST(hd__file_writer_commit(&file, &err));
    hd__gguf_writer_clear(&writer);
    return n;
}

static void encode_file(const char *path, hd_dtype dtype, const hd_text *texts, size_t n, float *out)
{
    hd_model *model;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    MUST(hd_model_open(engine, path, &(hd_model_options){.dtype = dtype}, &model, &err));
    assert_int_equal(width_of(model), BLOCK_WIDTH);
    MUST(hd_encode(model, texts, n, NULL, out, NULL, &err));
    hd_engine_close(engine);
}

/* A model in blocks of any type gives the bits of one in f32 with the values of its blocks, which model_dequantise_test.c
 * holds to gguf-py. */
static void every_type_of_blocks_runs(void **state)
{
    (void)state;
    enum { N_TEXTS = 3 };
    const hd_text texts[N_TEXTS] = {text_of("a river of music"), text_of("the stone in the garden"), text_of("bread")};
    const char *path = scratch_path(&folder, "whole.gguf");
    float wanted[N_TEXTS * BLOCK_WIDTH], got[N_TEXTS * BLOCK_WIDTH];
    hd_arena arena;
    hd_settings settings;
    hd_file_map map;
    hd_gguf gguf;
    hd__arena_init(&arena);
    MUST(hd__settings_read(tiny_model_dir(&folder, "blocks"), NULL, &arena, &settings, &err));
    MUST(hd__gguf_export(&settings, HD_TENSOR_F32, path, &err));
    MUST(hd__file_map_open(path, &map, &err));
    MUST(hd__gguf_parse(map.bytes, path, &arena, &gguf, &err));
    for (size_t i = 0; i < sizeof block_types / sizeof *block_types; i++) {
        const char *blocks = scratch_path(&folder, "blocks.gguf"), *values = scratch_path(&folder, "values.gguf");
        assert_true(rewrite(&gguf, &block_types[i], true, blocks) >= 12); /* six of each layer */
        rewrite(&gguf, &block_types[i], false, values);
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
            encode_file(blocks, dtype, texts, N_TEXTS, got);
            encode_file(values, dtype, texts, N_TEXTS, wanted);
            assert_memory_equal(got, wanted, sizeof wanted);
            assert_true(hd_cosine(got, got + BLOCK_WIDTH, BLOCK_WIDTH) < 0.999); /* other texts, other vectors */
        }
    }
    hd__file_map_close(&map);
    hd__arena_clear(&arena);
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
        cmocka_unit_test(every_type_of_blocks_runs),           cmocka_unit_test(a_folder_stands_for_its_one_file),
    };
    return cmocka_run_group_tests(tests, read_lines, forget_lines);
}
