/* Models in another format: GGUF files as llama.cpp's converter writes them, byte for byte, and folders made of GGUF files.
 */
#include "model/gguf_export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/convert.h"
#include "model/dequantise.h"
#include "model/gguf.h"
#include "model/hub_export.h"
#include "model/quantise.h"
#include "unit/tiny_models.h"

static scratch folder;
static hd_error err;

#define MUST(call)                                                                                                          \
    do {                                                                                                                    \
        if ((call) != HD_OK)                                                                                                \
            fail_msg("%s: %s", #call, err.text);                                                                            \
    } while (0)

typedef struct gguf_file {
    hd_file_map map;
    hd_arena arena;
    hd_gguf gguf;
} gguf_file;

static void open_gguf(gguf_file *f, const char *path)
{
    hd__arena_init(&f->arena);
    MUST(hd__file_map_open(path, &f->map, &err));
    MUST(hd__gguf_parse(f->map.bytes, path, &f->arena, &f->gguf, &err));
}

static void close_gguf(gguf_file *f)
{
    hd__arena_clear(&f->arena);
    hd__file_map_close(&f->map);
}

static void export_model(const char *name, hd_tensor_type type, const char *path)
{
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    MUST(hd__settings_read(tiny_model_dir(&folder, name), NULL, &arena, &settings, &err));
    MUST(hd__gguf_export(&settings, type, path, &err));
    hd__arena_clear(&arena);
}

static void same_tensors(const gguf_file *own, const gguf_file *other)
{
    assert_int_equal(own->gguf.n_tensors, other->gguf.n_tensors);
    for (size_t i = 0; i < own->gguf.n_tensors; i++) {
        const hd_tensor *a = &own->gguf.tensors[i], *b = other->gguf.tensors;
        while (b < other->gguf.tensors + other->gguf.n_tensors && strcmp(a->name, b->name) != 0)
            b++;
        if (b == other->gguf.tensors + other->gguf.n_tensors || a->type != b->type || a->n_dims != b->n_dims ||
            memcmp(a->dims, b->dims, sizeof a->dims) != 0 || !hd__span_equal(a->bytes, b->bytes))
            fail_msg("%s", a->name);
    }
}

static void files_are_those_of_llama_cpp(void **state)
{
    (void)state;
    static const struct {
        hd_tensor_type type;
        const char *golden;
    } cases[] = {{HD_TENSOR_F16, "tests/golden/gguf/tiny-cls-f16.gguf"},
                 {HD_TENSOR_Q8_0, "tests/golden/gguf/tiny-cls-q8_0.gguf"}};
    static const char *const only_theirs[] = {"general.", "tokenizer.ggml.add_sep_token"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file own, other;
        const char *path = scratch_path(&folder, "own.gguf");
        export_model("tiny-cls", cases[i].type, path);
        open_gguf(&own, path);
        open_gguf(&other, cases[i].golden);
        same_tensors(&own, &other);
        for (size_t k = 0; k < other.gguf.n_pairs; k++) {
            const hd_gguf_pair *b = &other.gguf.pairs[k], *a = hd__gguf_find(&own.gguf, b->key);
            if (hd__span_begins(hd__span_of(b->key), only_theirs[0]) || strcmp(b->key, only_theirs[1]) == 0)
                continue;
            if (a == NULL || a->type != b->type || a->is_array != b->is_array || a->n != b->n ||
                !hd__span_equal(a->bytes, b->bytes))
                fail_msg("%s", b->key);
        }
        close_gguf(&own);
        close_gguf(&other);
    }
}

/* ---- every architecture ---- */

static void digest(hd_span bytes, char hex[HD_SHA256_HEX_BYTES])
{
    hd_sha256 *hash;
    MUST(hd__sha256_new(&hash, &err));
    hd__sha256_add(hash, bytes);
    hd__sha256_end(hash, hex);
    hex[16] = '\0'; /* as much as the golden keeps */
}

/* What the converter takes from elsewhere than tokenizer.json, and what it makes of settings that transformers changed. */
static bool may_differ(const char *model, const char *key)
{
    static const struct {
        const char *model, *key; /* how they begin */
    } known[] = {
        {"gguf-nomic", "nomic-bert."},
        {"gguf-modernbert", "modern-bert.attention.layer_norm_rms_epsilon"},
        {"gguf-modernbert", "modern-bert.classifier.pooling_type"},
        {"gguf-modernbert", "tokenizer.ggml.unknown_token_id"},
        {"gguf-roberta", "tokenizer.ggml.unknown_token_id"},
        {"gguf-xlmr", "tokenizer.ggml.add_space_prefix"},
        {"gguf-xlmr", "tokenizer.ggml.remove_extra_whitespaces"},
        {"gguf-qwen3-reranker", "tokenizer.ggml.eos_token_id"},
        {"gguf-qwen3-reranker", "tokenizer.ggml.padding_token_id"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(model, known[i].model, strlen(known[i].model)) == 0 &&
            strncmp(key, known[i].key, strlen(known[i].key)) == 0)
            return true;
    }
    return false;
}

static void compare_keys(const gguf_file *own, const char *model, json_t *keys)
{
    char hex[HD_SHA256_HEX_BYTES];
    const char *key;
    json_t *value;
    json_object_foreach (keys, key, value) {
        const json_t *types = json_array_get(value, 0);
        const hd_gguf_pair *pair = hd__gguf_find(&own->gguf, key);
        if (may_differ(model, key))
            continue;
        if (pair == NULL)
            fail_msg("%s: no %s", model, key);
        digest(pair->bytes, hex);
        if (pair->is_array != (json_array_size(types) == 2) ||
            json_integer_value(json_array_get(types, json_array_size(types) - 1)) != (json_int_t)pair->type ||
            strcmp(hex, json_string_value(json_array_get(value, 1))) != 0)
            fail_msg("%s: %s is another", model, key);
    }
}

static void compare_tensors(const gguf_file *own, const char *model, json_t *tensors)
{
    char hex[HD_SHA256_HEX_BYTES];
    const char *name;
    json_t *value;
    json_object_foreach (tensors, name, value) {
        const hd_tensor *t = hd__gguf_find_tensor(&own->gguf, name);
        const json_t *dims = json_array_get(value, 1);
        if (t == NULL)
            fail_msg("%s: no %s", model, name);
        digest(t->bytes, hex);
        assert_int_equal(json_integer_value(json_array_get(value, 0)), hd__gguf_tensor_type(t->type));
        assert_int_equal(json_array_size(dims), t->n_dims);
        for (size_t d = 0; d < t->n_dims; d++)
            assert_int_equal(json_integer_value(json_array_get(dims, d)), t->dims[d]);
        if (strcmp(hex, json_string_value(json_array_get(value, 2))) != 0)
            fail_msg("%s: %s is another", model, name);
    }
    const bool has_pooler = strcmp(model, "gguf-bert-reranker") == 0; /* which the converter leaves away */
    assert_int_equal(own->gguf.n_tensors, json_object_size(tensors) + (has_pooler ? 2 : 0));
}

static void every_architecture_is_llama_cpps(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/gguf/converted.jsonl", "r");
    size_t n = 0;
    assert_non_null(f);
    for (json_t *line; (line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL; n++) {
        gguf_file own;
        const char *model = json_string_value(json_object_get(line, "model"));
        const char *path = scratch_path(&folder, "own.gguf");
        export_model(model, HD_TENSOR_F16, path);
        open_gguf(&own, path);
        compare_keys(&own, model, json_object_get(line, "keys"));
        compare_tensors(&own, model, json_object_get(line, "tensors"));
        close_gguf(&own);
        json_decref(line);
    }
    fclose(f);
    assert_int_equal(n, 13);
}

static void same_values(const hd_tensors *a, const hd_tensors *b);

/* The folder's tensors, those of the file made of it, and those of the folder made of that. */
static void values_go_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        uint32_t heads;
    } cases[] = {
        {"gguf-bert-reranker", HD_HEAD_SCORES}, {"gguf-distilbert", HD_HEAD_DENSE},
        {"gguf-nomic", HD_HEAD_DENSE},          {"gguf-jina", HD_HEAD_DENSE},
        {"gguf-xlmr", HD_HEAD_DENSE},           {"gguf-xlmr-reranker", HD_HEAD_SCORES},
        {"gguf-roberta", HD_HEAD_DENSE},        {"gguf-roberta-classifier", HD_HEAD_SCORES},
        {"gguf-modernbert", HD_HEAD_DENSE},     {"gguf-modernbert-classifier", HD_HEAD_SCORES},
        {"gguf-qwen3", HD_HEAD_DENSE},          {"gguf-qwen3-reranker", HD_HEAD_DENSE | HD_HEAD_SCORES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = scratch_path(&folder, "own.gguf"), *dir = scratch_path(&folder, cases[i].model);
        hd_arena arena;
        hd_settings first, settings;
        hd_tensors *a, *b;
        hd__arena_init(&arena);
        export_model(cases[i].model, HD_TENSOR_F32, path);
        MUST(hd__hub_export(path, dir, &err));
        MUST(hd__settings_read(tiny_model_dir(&folder, cases[i].model), NULL, &arena, &first, &err));
        MUST(hd__settings_read(dir, NULL, &arena, &settings, &err));
        assert_string_equal(settings.model_type, first.model_type);
        assert_string_equal(settings.architecture, first.architecture);
        assert_int_equal(settings.heads, cases[i].heads);
        assert_int_equal(settings.n_labels, first.n_labels);
        for (uint32_t k = 0; k < settings.n_labels; k++)
            assert_string_equal(settings.labels[k], first.labels[k]);
        assert_int_equal(settings.n_positions, first.n_positions);
        MUST(hd__tensors_open(tiny_model_dir(&folder, cases[i].model), &a, &err));
        MUST(hd__tensors_open(dir, &b, &err));
        if (settings.position_offset == 0 && cases[i].heads != HD_HEAD_DENSE) /* names and rows are the same as well */
            same_values(a, b);
        assert_int_equal(hd__tensors_count(a), hd__tensors_count(b));
        hd__tensors_close(a);
        hd__tensors_close(b);
        hd__arena_clear(&arena);
    }
}

static void an_answer_without_its_layer_is_no_folder(void **state)
{
    (void)state;
    const char *path = scratch_path(&folder, "own.gguf");
    export_model("gguf-qwen3-reranker-untied", HD_TENSOR_F32, path);
    assert_int_equal(hd__hub_export(path, scratch_path(&folder, "untied"), &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "rows of \"yes\" and \"no\" alone"));
}

static void what_has_no_place_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"tiny-dense", "no place for Dense modules"},
                                           {"tiny-pool-all", "no place for its pooling"},
                                           {"tiny-relu", "no place for its activation"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_arena arena;
        hd_settings settings;
        hd__arena_init(&arena);
        MUST(hd__settings_read(tiny_model_dir(&folder, cases[i][0]), NULL, &arena, &settings, &err));
        const char *path = scratch_path(&folder, "refused.gguf");
        assert_int_equal(hd__gguf_export(&settings, HD_TENSOR_F32, path, &err), HD_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, cases[i][1]));
        assert_false(hd__file_exists(path));
        hd__arena_clear(&arena);
    }
}

/* Every value of every tensor. */
static void same_values(const hd_tensors *a, const hd_tensors *b)
{
    assert_int_equal(hd__tensors_count(a), hd__tensors_count(b));
    for (size_t i = 0; i < hd__tensors_count(a); i++) {
        const hd_tensor *t = hd__tensors_at(a, i), *other = hd__tensors_find(b, t->name);
        float x, y;
        assert_non_null(other);
        assert_memory_equal(t->dims, other->dims, sizeof t->dims);
        for (uint64_t k = 0; k < t->n_elements; k++) {
            MUST(hd__tensor_read_f32(t, k, 1, &x, &err));
            MUST(hd__tensor_read_f32(other, k, 1, &y, &err));
            assert_true(x == y);
        }
    }
}

static void a_folder_holds_what_the_file_held(void **state)
{
    (void)state;
    static const char golden[] = "tests/golden/gguf/tiny-cls-q8_0.gguf";
    const char *dir = scratch_path(&folder, "hub");
    hd_arena arena;
    hd_settings from_file, from_folder;
    hd_tensors *file, *hub;
    MUST(hd__hub_export(golden, dir, &err));
    hd__arena_init(&arena);
    MUST(hd__settings_read(golden, NULL, &arena, &from_file, &err));
    MUST(hd__settings_read(dir, NULL, &arena, &from_folder, &err));
    assert_string_equal(from_folder.model_type, "bert");
    assert_int_equal(from_folder.max_length, from_file.max_length);
    assert_int_equal(from_folder.pooling, HD_POOLING_CLS);
    assert_true(from_folder.normalize);
    MUST(hd__tensors_open(golden, &file, &err));
    MUST(hd__tensors_open(dir, &hub, &err));
    same_values(file, hub);
    hd__tensors_close(file);
    hd__tensors_close(hub);

    const char *path = scratch_path(&folder, "again.gguf"); /* and back: quantising what was quantised changes nothing */
    gguf_file own, other;
    MUST(hd__gguf_export(&from_folder, HD_TENSOR_Q8_0, path, &err));
    open_gguf(&own, path);
    open_gguf(&other, golden);
    same_tensors(&own, &other);
    close_gguf(&own);
    close_gguf(&other);
    hd__arena_clear(&arena);
}

static void failing_allocations_leave_no_file(void **state)
{
    (void)state;
    const char *path = scratch_path(&folder, "failed.gguf");
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    MUST(hd__settings_read(tiny_model_dir(&folder, "tiny-cls"), NULL, &arena, &settings, &err));
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n += 1 + n / 8) {
        assert_int_equal(status, HD_ERR_MEMORY);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__gguf_export(&settings, HD_TENSOR_F16, path, &err);
        hd__alloc_fail_off();
        assert_int_equal(hd__file_exists(path), status == HD_OK);
    }
    hd__arena_clear(&arena);
}

/* ---- numbers ---- */

static void halves_are_the_nearest(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {
        const uint16_t half = (uint16_t)bits, next = (uint16_t)(bits + 1);
        uint16_t got;
        float value, above;
        assert_true(hd__convert_f16((const char *)&half, 1, &value));
        hd__quantise_f16(&value, 1, (char *)&got);
        assert_int_equal(got, half);
        value = -value;
        hd__quantise_f16(&value, 1, (char *)&got);
        assert_int_equal(got, half | 0x8000u);
        if (!hd__convert_f16((const char *)&next, 1, &above))
            break;
        const float middle = (-value + above) / 2.0f; /* exact; goes to the even one */
        hd__quantise_f16(&middle, 1, (char *)&got);
        assert_int_equal(got, bits + (bits & 1));
    }
    static const float large[] = {65519.0f, 65520.0f, 1e30f, -1e30f};
    static const uint16_t wanted[] = {0x7bff, 0x7c00, 0x7c00, 0xfc00};
    for (size_t i = 0; i < 4; i++) {
        uint16_t got;
        hd__quantise_f16(&large[i], 1, (char *)&got);
        assert_int_equal(got, wanted[i]);
    }
}

static void blocks_of_zeroes_stay_zero(void **state)
{
    (void)state;
    float in[32] = {0}, out[32];
    char block[34];
    hd__quantise_q8_0(in, 32, block);
    assert_true(hd__dequantise(HD_TENSOR_Q8_0, block, 1, out));
    assert_memory_equal(in, out, sizeof in);
    in[3] = -254.0f;
    in[4] = 1.0f; /* half a step: away from zero */
    hd__quantise_q8_0(in, 32, block);
    assert_int_equal(block[2 + 3], -127);
    assert_int_equal(block[2 + 4], 1);
}

static int begin(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls tiny-dense tiny-pool-all tiny-relu");
    char command[4096];
    snprintf(command, sizeof command, "python3 tools/make_tiny_gguf_models.py '%s/models'", folder.dir);
    return system(command);
}

static int end(void **state)
{
    (void)state;
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_llama_cpp),      cmocka_unit_test(every_architecture_is_llama_cpps),
        cmocka_unit_test(values_go_there_and_back),          cmocka_unit_test(an_answer_without_its_layer_is_no_folder),
        cmocka_unit_test(what_has_no_place_is_refused),      cmocka_unit_test(a_folder_holds_what_the_file_held),
        cmocka_unit_test(failing_allocations_leave_no_file), cmocka_unit_test(halves_are_the_nearest),
        cmocka_unit_test(blocks_of_zeroes_stay_zero),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
