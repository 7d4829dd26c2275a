/* Sparse encoders that look queries up in a table, beside sentence-transformers itself (tests/golden/lookup); what is no
 * query; layouts that are refused.
 */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"

#define GOLDEN "tests/golden/lookup/"

enum { MOST_TEXTS = 8 };

static json_t *manifest;
static hd_engine *engine;
static hd_model *model;

static void open_one(const char *name)
{
    engine = open_engine((hd_engine_options){.n_threads = 2});
    model = open_model(engine, name, HD_DTYPE_F32);
}

static hd_encode_options as(const char *prompt_name)
{
    return (hd_encode_options){.heads = HD_HEAD_SPARSE, .prompt_name = prompt_name};
}

static hd_output encode(const char *text, const char *prompt_name)
{
    const hd_encode_options options = as(prompt_name);
    const hd_text one = text_of(text);
    hd_output output;
    MUST(hd_encode_outputs(model, &one, NULL, 1, &options, NULL, &output, NULL, &err));
    return output;
}

/* A row of the golden file has a value for each id. Those of queries are copied, so that they are the same bits. */
static void check_row(const char *name, size_t row, const hd_sparse_vector *got, const float *wanted, size_t width,
                      float tolerance)
{
    size_t k = 0;
    for (size_t id = 0; id < width; id++) {
        const bool has = k < got->n && got->ids[k] == id;
        const float value = has ? got->weights[k] : 0.0f;
        k += has;
        if (!(fabsf(value - wanted[id]) <= tolerance))
            fail_msg("%s: row %zu, id %zu has %.9g, not %.9g", name, row, id, (double)value, (double)wanted[id]);
    }
    assert_int_equal(k, got->n);
}

/* One side's texts in one call. */
static size_t check_side(const char *name, const char *side, const char *prompt_name, const float *wanted, size_t width)
{
    const json_t *all = json_object_get(manifest, side);
    const hd_encode_options options = as(prompt_name);
    const size_t n = json_array_size(all);
    hd_text texts[MOST_TEXTS];
    hd_output outputs[MOST_TEXTS];
    assert_in_range(n, 3, MOST_TEXTS);
    for (size_t i = 0; i < n; i++)
        texts[i] = (hd_text){json_string_value(json_array_get(all, i)), json_string_length(json_array_get(all, i))};
    MUST(hd_encode_outputs(model, texts, NULL, n, &options, NULL, outputs, NULL, &err));
    for (size_t i = 0; i < n; i++)
        check_row(name, i, &outputs[i].sparse, wanted + i * width, width, side[0] == 'q' ? 0.0f : 1e-4f);
    hd_outputs_free(outputs, n);
    return n * width;
}

/* The last row is the first query without a word about what it is. */
static void test_golden(void **state)
{
    (void)state;
    const json_t *models = json_object_get(manifest, "models");
    assert_int_equal(json_array_size(models), 2);
    for (size_t m = 0; m < 2; m++) {
        const json_t *entry = json_array_get(models, m);
        const char *name = json_string_value(json_object_get(entry, "model"));
        const size_t width = (size_t)json_integer_value(json_object_get(entry, "width"));
        char path[256];
        hd_file_map map;
        snprintf(path, sizeof path, GOLDEN "%s.f32", name);
        MUST(hd__file_map_open(path, &map, &err));
        const float *wanted = (const float *)(const void *)map.bytes.ptr;
        open_one(name);
        size_t n = check_side(name, "queries", "query", wanted, width);
        n += check_side(name, "documents", "document", wanted + n, width);
        hd_output output = encode(json_string_value(json_array_get(json_object_get(manifest, "queries"), 0)), NULL);
        check_row(name, 0, &output.sparse, wanted + n, width, 1e-4f);
        hd_outputs_free(&output, 1);
        assert_int_equal((n + width) * sizeof(float), map.bytes.len);
        hd_engine_close(engine);
        hd__file_map_close(&map);
    }
}

/* Queries pass by the workers, and are counted as texts are. */
static void test_jobs(void **state)
{
    (void)state;
    const hd_text texts[] = {text_of("river river stone"), text_of("")};
    const hd_encode_options options = as("query");
    hd_output outputs[2];
    uint32_t n_tokens[2];
    hd_encode_stats stats;
    hd_job *job;
    open_one("tiny-lookup");
    const hd_job_options counted = {.outputs = outputs, .n_tokens = n_tokens};
    MUST(hd_job_submit(model, texts, 2, &options, &counted, NULL, &job, &err));
    MUST(hd_job_wait(job, &stats, &err));
    assert_int_equal(n_tokens[0], 3);
    assert_int_equal(n_tokens[1], 0);
    assert_int_equal(stats.n_tokens, 3);
    assert_int_equal(outputs[1].sparse.n, 0);
    hd_outputs_free(outputs, 2);
    assert_int_equal(stats_of(engine).n_batches, 0);
    const int32_t ids[] = {5, 9, 5};
    const hd_token_ids given = {.ids = ids, .n = 3};
    const hd_job_options by_ids = {.outputs = outputs, .ids = &given};
    MUST(hd_job_submit(model, texts, 1, &options, &by_ids, NULL, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
    for (size_t i = 0; i < outputs[0].sparse.n; i++)
        assert_true(outputs[0].sparse.ids[i] == 5 || outputs[0].sparse.ids[i] == 9);
    hd_outputs_free(outputs, 1);
    const int32_t strange[] = {5, 1345};
    const hd_token_ids bad = {.ids = strange, .n = 2};
    const hd_job_options by_bad = {.outputs = outputs, .ids = &bad};
    must_fail(hd_job_submit(model, texts, 1, &options, &by_bad, NULL, &job, &err), HD_ERR_FORMAT,
              "token id 1345, but there are weights for 1345");
    hd_engine_close(engine);
}

/* A text that fails leaves nothing of those before it. */
static void test_failure(void **state)
{
    (void)state;
    const hd_text texts[] = {text_of("river"), text_of("stone \xff")};
    hd_encode_options options = as("query");
    hd_output outputs[2];
    open_one("tiny-lookup");
    options.strict = true;
    must_fail(hd_encode_outputs(model, texts, NULL, 2, &options, NULL, outputs, NULL, &err), HD_ERR_FORMAT, "text 1");
    assert_null(outputs[0].memory);
    options = (hd_encode_options){.heads = HD_HEAD_SPARSE | HD_HEAD_TOKENS, .prompt_name = "query"};
    must_fail(hd_encode_outputs(model, texts, NULL, 1, &options, NULL, outputs, NULL, &err), HD_ERR_UNSUPPORTED,
              "sparse weights alone");
    hd_engine_close(engine);
}

static size_t n_weights(const char *text, const hd_encode_options *options, hd_encode_stats *stats)
{
    const hd_text one = text_of(text);
    hd_output output;
    MUST(hd_encode_outputs(model, &one, NULL, 1, options, NULL, &output, stats, &err));
    const size_t n = output.sparse.n;
    hd_outputs_free(&output, 1);
    return n;
}

/* A query is as long as its own tokenizer's settings say, unless the caller wants less. */
static void test_lengths(void **state)
{
    (void)state;
    const char *text = "a b c d e f g h i j k l m n o p";
    hd_encode_options options = as("query");
    hd_encode_stats stats;
    open_one("tiny-lookup-default");
    n_weights(text, &options, &stats);
    assert_int_equal(stats.n_tokens, 9);
    assert_int_equal(stats.n_truncated, 1);
    options.max_length = 4;
    n_weights(text, &options, &stats);
    assert_int_equal(stats.n_tokens, 4);
    options = (hd_encode_options){.heads = HD_HEAD_SPARSE, .prompt_name = "query", .refuse_longer = true};
    const hd_text one = text_of(text);
    hd_output output;
    must_fail(hd_encode_outputs(model, &one, NULL, 1, &options, NULL, &output, NULL, &err), HD_ERR_LIMIT,
              "has 16 tokens, the limit is 9");
    hd_tokens tokens;
    MUST(hd_tokenize(model, one, &options, &tokens, &err));
    assert_int_equal(tokens.n, 9);
    assert_false(tokens.tokens[0].special);
    hd_tokens_free(&tokens);
    hd_engine_close(engine);
    engine = open_engine((hd_engine_options){.n_threads = 1});
    MUST(hd_model_open(engine, tiny_model_dir(&folder, "tiny-lookup-default"), &(hd_model_options){.max_length = 5}, &model,
                       &err));
    options = as("query");
    n_weights(text, &options, &stats);
    assert_int_equal(stats.n_tokens, 5);
    hd_engine_close(engine);
}

/* Tokenizers that differ in how they cut and fill up are the same. */
static void test_padding(void **state)
{
    (void)state;
    open_one("padded");
    hd_output output = encode("river", "query");
    assert_true(output.sparse.n <= 1);
    hd_outputs_free(&output, 1);
    hd_engine_close(engine);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
        hd_status status;
    } on_load[] =
        {
            {"negative", "token 3 has the weight -0.5", HD_ERR_UNSUPPORTED},
            {"infinite", "weight", HD_ERR_NUMERIC},
            {"too-many", "no tensor \"weight\" of [1 to 1345]", HD_ERR_FORMAT},
            {"other-name", "no tensor \"weight\" of [1 to 1345]", HD_ERR_FORMAT},
            {"no-table", "query_0_SparseStaticEmbedding", HD_ERR_NOT_FOUND},
            {"other-words", "is not the tokenizer of documents", HD_ERR_UNSUPPORTED},
        },
      on_open[] = {
          {"dense-router", "q0/config.json", HD_ERR_NOT_FOUND},
          {"table-and-more", "a SparseStaticEmbedding and other modules", HD_ERR_UNSUPPORTED},
          {"no-splade", "no SpladePooling for documents", HD_ERR_UNSUPPORTED},
          {"images", "\"structure\" has other routes", HD_ERR_UNSUPPORTED},
          {"mapped", "\"route_mappings\"", HD_ERR_UNSUPPORTED},
          {"no-class", "\"types\" has no class", HD_ERR_FORMAT},
          {"above", "\"../query\" is not a path below the folder", HD_ERR_FORMAT},
          {"by-path", "\"path\" is \"idf.json\"", HD_ERR_UNSUPPORTED},
          {"no-file", "router_config.json", HD_ERR_NOT_FOUND},
          {"many", "more modules than the limit of 32", HD_ERR_LIMIT},
          {"normalized", "a SpladePooling among 3 modules", HD_ERR_UNSUPPORTED},
      };
    hd_model *m;
    engine = open_engine((hd_engine_options){.n_threads = 1});
    for (size_t i = 0; i < sizeof on_load / sizeof on_load[0]; i++) {
        model = open_model(engine, on_load[i].name, HD_DTYPE_F32);
        must_fail(hd_model_load(model, &err), on_load[i].status, on_load[i].says);
    }
    for (size_t i = 0; i < sizeof on_open / sizeof on_open[0]; i++)
        must_fail(hd_model_open(engine, tiny_model_dir(&folder, on_open[i].name), NULL, &m, &err), on_open[i].status,
                  on_open[i].says);
    hd_engine_close(engine);
}

#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_architectures.py \"$models\" tiny-lookup tiny-lookup-default\n"                        \
    "cd \"$models\"; PYTHONPATH=$OLDPWD/tools python3 - <<'EOS'\n"                                                          \
    "import json, os, shutil, struct\n"                                                                                     \
    "import make_tiny_models as tiny\n"                                                                                     \
    "query = 'query_0_SparseStaticEmbedding'\n"                                                                             \
    "def change(name, file, act):\n"                                                                                        \
    "    shutil.copytree('tiny-lookup', name)\n"                                                                            \
    "    path = name + '/' + file\n"                                                                                        \
    "    root = json.load(open(path))\n"                                                                                    \
    "    act(root)\n"                                                                                                       \
    "    json.dump(root, open(path, 'w'))\n"                                                                                \
    "def table(name, values, tensor='weight'):\n"                                                                           \
    "    shutil.copytree('tiny-lookup', name)\n"                                                                            \
    "    data = struct.pack('<%df' % len(values), *values)\n"                                                               \
    "    tiny.write_safetensors(tiny.Path(name) / query / 'model.safetensors', [(tensor, 'F32', [len(values)], data)])\n"   \
    "table('negative', [1.0] * 3 + [-0.5]); table('infinite', [1.0, float('inf')])\n"                                       \
    "table('too-many', [1.0] * 1346); table('other-name', [1.0] * 1345, 'idf')\n"                                           \
    "shutil.copytree('tiny-lookup', 'no-table'); os.remove('no-table/' + query + '/model.safetensors')\n"                   \
    "shutil.copytree('tiny-lookup', 'no-file'); os.remove('no-file/router_config.json')\n"                                  \
    "own, router = query + '/tokenizer.json', 'router_config.json'\n"                                                       \
    "change('padded', own, lambda r: r.update(padding={'strategy': 'BatchLongest'}, truncation=None))\n"                    \
    "change('other-words', own, lambda r: r['model'].update(unk_token='[MASK]'))\n"                                         \
    "change('by-path', query + '/config.json', lambda r: r.update(path='idf.json'))\n"                                      \
    "package = 'sentence_transformers.models.'\n"                                                                           \
    "def dense(r):\n"                                                                                                       \
    "    r['types'].update({'q0': package + 'Transformer', 'q1': package + 'Pooling'})\n"                                   \
    "    r['structure']['query'] = ['q0', 'q1']\n"                                                                          \
    "change('dense-router', router, dense)\n"                                                                               \
    "change('table-and-more', router, lambda r: r['structure']['query'].append('document_1_SpladePooling'))\n"              \
    "def pooled(r): r['types']['document_1_SpladePooling'] = package + 'Pooling'\n"                                         \
    "change('no-splade', router, pooled)\n"                                                                                 \
    "change('images', router, lambda r: r['structure'].update(image=['']))\n"                                               \
    "change('mapped', router, lambda r: r['parameters'].update(route_mappings={\"('query', 'text')\": 'query'}))\n"         \
    "change('no-class', router, lambda r: r['types'].pop(''))\n"                                                            \
    "def above(r):\n"                                                                                                       \
    "    r['types']['../query'] = r['types'][query]; r['structure']['query'] = ['../query']\n"                              \
    "change('above', router, above)\n"                                                                                      \
    "change('many', router, lambda r: r['structure'].update(document=[''] + ['document_1_SpladePooling'] * 32))\n"          \
    "change('normalized', 'modules.json', lambda r: r.append({'path': 'n', 'type': package + 'Normalize'}))\n"              \
    "EOS"

static int set_up(void **state)
{
    (void)state;
    json_error_t error;
    scratch_begin(&folder);
    manifest = json_load_file(GOLDEN "manifest.json", 0, &error);
    return manifest != NULL ? run_in_models(SCRIPT) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(manifest);
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_jobs),    cmocka_unit_test(test_failure),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_padding), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
