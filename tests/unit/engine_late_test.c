/* Late interaction beside PyLate (tests/golden/late), and of other layouts beside sentence-transformers
 * (tests/golden/colbert): prefixes, expansion of queries, tokens of documents that give no vector; in any company, on any
 * number of threads; and files that do not fit.
 */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>

#include "base/file.h"

enum { MOST_TEXTS = 8 };

static json_t *manifest;
static hd_engine *engine;
static hd_model *model;
static hd_model_info info;

static void open_one(const char *name, hd_dtype dtype, uint32_t n_threads)
{
    engine = open_engine((hd_engine_options){.n_threads = n_threads});
    model = open_model(engine, name, dtype);
    hd_model_get_info(model, &info);
}

/* "queries" or "documents". */
static size_t texts_of(const char *side, hd_text texts[MOST_TEXTS])
{
    const json_t *all = json_object_get(manifest, side);
    const size_t n = json_array_size(all);
    assert_true(n > 2 && n <= MOST_TEXTS);
    for (size_t i = 0; i < n; i++)
        texts[i] = (hd_text){json_string_value(json_array_get(all, i)), json_string_length(json_array_get(all, i))};
    return n;
}

static void encode(const hd_text *texts, size_t n, const char *prompt_name, hd_output *outputs)
{
    const hd_encode_options options = {.heads = HD_HEAD_MULTI, .prompt_name = prompt_name};
    MUST(hd_encode_outputs(model, texts, NULL, n, &options, NULL, outputs, NULL, &err));
}

/* In f32 each value; else the cosine, of each vector and their mean. */
static void check_vectors(const char *name, hd_dtype dtype, const hd_output *got, const float *wanted, size_t n)
{
    const size_t width = info.n_token_dimensions;
    double sum = 0.0, least = 1.0;
    for (size_t i = 0; i < n; i++) {
        double cosine = 0.0;
        for (size_t k = i * width; k < (i + 1) * width; k++) {
            cosine += (double)got->token_vectors[k] * (double)wanted[k];
            if (dtype == HD_DTYPE_F32 && !(fabsf(got->token_vectors[k] - wanted[k]) < 2e-5f))
                fail_msg("%s: vector %zu, value %zu is %.9g, not %.9g", name, i, k % width, (double)got->token_vectors[k],
                         (double)wanted[k]);
        }
        sum += cosine;
        least = fmin(least, cosine);
    }
    const double mean = sum / (double)n;
    if (!(mean >= (dtype == HD_DTYPE_INT8 ? 0.98 : 0.999) && least >= (dtype == HD_DTYPE_INT8 ? 0.9 : 0.98)))
        fail_msg("%s, type %d: cosine mean %.6f, least %.6f", name, (int)dtype, mean, least);
}

/* One side's texts in one call. How many values of the golden file they were. */
static size_t check_side(const json_t *entry, const char *side, hd_dtype dtype, const float *wanted)
{
    const char *name = json_string_value(json_object_get(entry, "model"));
    const json_t *counts = json_object_get(entry, side);
    hd_text texts[MOST_TEXTS];
    hd_output outputs[MOST_TEXTS];
    const size_t n = texts_of(side, texts);
    size_t at = 0;
    encode(texts, n, side[0] == 'q' ? "query" : "document", outputs);
    for (size_t i = 0; i < n; i++) {
        const size_t count = (size_t)json_integer_value(json_array_get(counts, i));
        if (outputs[i].n_token_vectors != count)
            fail_msg("%s: text %zu of the %s has %zu vectors, not %zu", name, i, side, outputs[i].n_token_vectors, count);
        if (count > 0)
            check_vectors(name, dtype, &outputs[i], wanted + at, count);
        at += count * info.n_token_dimensions;
    }
    hd_outputs_free(outputs, n);
    return at;
}

/* Scores of all documents for the first query. */
static void check_scores(const json_t *entry)
{
    const json_t *wanted = json_object_get(entry, "scores");
    hd_text queries[MOST_TEXTS], documents[MOST_TEXTS];
    float scores[MOST_TEXTS];
    texts_of("queries", queries);
    const size_t n = texts_of("documents", documents);
    MUST(hd_rerank(model, queries[0], documents, n, &(hd_encode_options){.raw_scores = true}, scores, NULL, &err));
    for (size_t i = 0; i < n; i++) {
        const double score = json_number_value(json_array_get(wanted, i));
        if (!(fabs((double)scores[i] - score) < 1e-4))
            fail_msg("%s: score %zu is %.9g, not %.9g", info.name, i, (double)scores[i], score);
    }
}

/* One model in one type, whose vectors these are. */
static void check_model(const json_t *entry, hd_dtype dtype, const float *wanted, size_t n_wanted)
{
    open_one(json_string_value(json_object_get(entry, "model")), dtype, 2);
    assert_int_equal(info.heads, HD_HEAD_MULTI | HD_HEAD_TOKENS);
    assert_int_equal(info.n_token_dimensions, json_integer_value(json_object_get(entry, "width")));
    assert_true(info.reranks);
    size_t n = check_side(entry, "queries", dtype, wanted);
    n += check_side(entry, "documents", dtype, wanted + n);
    assert_int_equal(n, n_wanted);
    if (dtype == HD_DTYPE_F32)
        check_scores(entry);
    hd_engine_close(engine);
}

static void check_goldens(const char *dir)
{
    char path[256];
    json_error_t error;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    manifest = json_load_file(path, 0, &error);
    assert_non_null(manifest);
    const json_t *models = json_object_get(manifest, "models");
    assert_true(json_array_size(models) >= 3);
    for (size_t m = 0; m < json_array_size(models); m++) {
        const json_t *entry = json_array_get(models, m);
        hd_file_map map;
        snprintf(path, sizeof path, "%s/%s.f32", dir, json_string_value(json_object_get(entry, "model")));
        MUST(hd__file_map_open(path, &map, &err));
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++)
            check_model(entry, dtype, (const float *)(const void *)map.bytes.ptr, map.bytes.len / sizeof(float));
        hd__file_map_close(&map);
    }
    json_decref(manifest);
}

static void test_golden(void **state)
{
    (void)state;
    check_goldens("tests/golden/late");
    check_goldens("tests/golden/colbert");
}

/* The same bits alone and among documents and other queries, on one thread and on several. */
static void test_company(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-pylate", "tiny-pylate-local", "tiny-pylate-biased"};
    for (size_t m = 0; m < 3; m++) {
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
            const hd_text text = text_of("what is a river");
            hd_output alone, many[40];
            open_one(names[m], dtype, 1);
            encode(&text, 1, "query", &alone);
            hd_engine_close(engine);
            open_one(names[m], dtype, 3);
            hd_text texts[40];
            memcpy(texts, some_texts(40), sizeof texts);
            texts[17] = text;
            encode(texts, 40, "query", many);
            const size_t bytes = alone.n_token_vectors * info.n_token_dimensions * sizeof(float);
            assert_int_equal(many[17].n_token_vectors, alone.n_token_vectors);
            assert_memory_equal(many[17].token_vectors, alone.token_vectors, bytes);
            hd_outputs_free(many, 40);
            hd_outputs_free(&alone, 1);
            hd_engine_close(engine);
        }
    }
}

/* A document that holds the same tokens as an expanded query is another one: its masks are seen. */
static void test_roles(void **state)
{
    (void)state;
    const hd_text text = text_of("river"), cut = text_of("a b c d e f g h i j k l m n o p q r s t u v w x y z");
    hd_output query, document;
    hd_encode_stats stats;
    uint32_t n_prompts = 0;
    const char *name, *prompt;
    open_one("tiny-pylate", HD_DTYPE_F32, 1);
    assert_int_equal(info.max_length, 40);
    for (; hd_model_get_prompt(model, n_prompts, &name, &prompt); n_prompts++)
        assert_string_equal(prompt, "");
    assert_int_equal(n_prompts, 2);
    encode(&text, 1, "query", &query);
    encode(&text, 1, "document", &document);
    assert_int_equal(query.n_token_vectors, 20);
    assert_int_equal(document.n_token_vectors, 4);
    hd_outputs_free(&query, 1);
    hd_outputs_free(&document, 1);
    const hd_encode_options shorter = {.heads = HD_HEAD_MULTI, .prompt_name = "query", .max_length = 12};
    MUST(hd_encode_outputs(model, &cut, NULL, 1, &shorter, NULL, &query, &stats, &err));
    assert_int_equal(query.n_token_vectors, 12);
    assert_int_equal(stats.n_truncated, 1);
    hd_outputs_free(&query, 1);
    const hd_encode_options whole = {.heads = HD_HEAD_MULTI, .prompt_name = "query", .refuse_longer = true};
    must_fail(hd_encode_outputs(model, &cut, NULL, 1, &whole, NULL, &query, NULL, &err), HD_ERR_LIMIT,
              "has 28 tokens, the limit is 19");
    must_fail(hd_encode_outputs(model, &text, NULL, 1, NULL, (float[64]){0}, NULL, NULL, &err), HD_ERR_UNSUPPORTED, "dense");
    hd_engine_close(engine);
}

/* ColBERT's own code has these values where artifact.metadata is missing. */
static void test_without_metadata(void **state)
{
    (void)state;
    const hd_text text = text_of("river.");
    hd_output output;
    open_one("plain-colbert", HD_DTYPE_F32, 1);
    assert_int_equal(info.n_token_dimensions, 128);
    assert_int_equal(info.max_length, 160); /* 220, but there are so many positions */
    encode(&text, 1, "query", &output);
    assert_int_equal(output.n_token_vectors, 32);
    hd_outputs_free(&output, 1);
    encode(&text, 1, NULL, &output);
    assert_int_equal(output.n_token_vectors, 4); /* no full stop */
    hd_outputs_free(&output, 1);
    hd_engine_close(engine);
}

/* A sentence's vector goes through a Dense module whose input is added, too: here alone, of weights that give 0. */
static void test_residual_of_sentences(void **state)
{
    (void)state;
    const hd_text text = text_of("what is a river");
    float plain[64], added[64];
    for (size_t i = 0; i < 2; i++) {
        open_one(i == 0 ? "sentence" : "sentence-residual", HD_DTYPE_F32, 1);
        MUST(hd_encode(model, &text, 1, NULL, i == 0 ? plain : added, NULL, &err));
        hd_engine_close(engine);
    }
    for (size_t i = 0; i < 64; i++)
        assert_true(fabsf(plain[i] - added[i]) <= 1e-6f * fabsf(plain[i]));
}

/* Documents may be made longer than the files say. */
static void test_longer(void **state)
{
    (void)state;
    char text[512] = "";
    hd_output output;
    for (int i = 0; i < 60; i++)
        strcat(text, "river ");
    const hd_text document = text_of(text);
    engine = open_engine((hd_engine_options){.n_threads = 1});
    MUST(
        hd_model_open(engine, tiny_model_dir(&folder, "tiny-pylate"), &(hd_model_options){.max_length = 100}, &model, &err));
    encode(&document, 1, NULL, &output);
    assert_int_equal(output.n_token_vectors, 63);
    hd_outputs_free(&output, 1);
    encode(&document, 1, "query", &output);
    assert_int_equal(output.n_token_vectors, 20);
    hd_outputs_free(&output, 1);
    hd_engine_close(engine);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
    } on_load[] = {{"strange-prefix", "the prefix \"[X] \" is no token"},
                   {"strange-mask", "\"<mask>\", which queries"},
                   {"no-residual", "tensor \"residual.weight\" is missing"},
                   {"strange-marker", "the prefix \"[unused7]\" is no token"},
                   {"other-dim", "tensor \"linear.weight\" has 2 dimensions [48, 64], config.json says [47, 64]"}};
    static const struct {
        const char *name, *says;
        hd_status status;
    } on_open[] = {
        {"long-list", "\"skiplist_words\" has 4097 words, the limit is 4096", HD_ERR_LIMIT},
        {"no-list", "\"skiplist_words\" is not a list", HD_ERR_FORMAT},
        {"no-words", "word 1 is no text", HD_ERR_FORMAT},
        {"short-queries", "\"query_length\"", HD_ERR_FORMAT},
        {"wrong-width", "\"in_features\" is 65", HD_ERR_FORMAT},
        {"by-distance", "\"similarity\" is \"l2\"", HD_ERR_UNSUPPORTED},
        {"no-dim", "\"dim\"", HD_ERR_FORMAT},
        {"queries-skipped", "\"skiplist_tasks\"", HD_ERR_UNSUPPORTED},
        {"images-kept", "\"keep_only_token_ids\"", HD_ERR_UNSUPPORTED},
        {"grown", "\"query_expansion\" of strategy \"grow\" and length 20", HD_ERR_UNSUPPORTED},
        {"of-sentences", "\"module_input_name\" is \"sentence_embedding\"", HD_ERR_UNSUPPORTED},
    };
    hd_model *m;
    engine = open_engine((hd_engine_options){.n_threads = 1});
    for (size_t i = 0; i < sizeof on_load / sizeof on_load[0]; i++) {
        model = open_model(engine, on_load[i].name, HD_DTYPE_F32);
        must_fail(hd_model_load(model, &err), HD_ERR_FORMAT, on_load[i].says);
    }
    for (size_t i = 0; i < sizeof on_open / sizeof on_open[0]; i++)
        must_fail(hd_model_open(engine, tiny_model_dir(&folder, on_open[i].name), NULL, &m, &err), on_open[i].status,
                  on_open[i].says);
    hd_engine_close(engine);
}

#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_architectures.py \"$models\" tiny-pylate tiny-pylate-attends tiny-pylate-local "       \
    "tiny-pylate-short tiny-pylate-biased tiny-pylate-residual tiny-colbert tiny-colbert-attends "                          \
    "tiny-multi-vector tiny-multi-vector-min tiny-colbert-flash\n"                                                          \
    "cd \"$models\"; PYTHONPATH=$OLDPWD/tools python3 - <<'EOS'\n"                                                          \
    "import json, shutil\n"                                                                                                 \
    "def change(name, file, model='tiny-pylate', **fields):\n"                                                              \
    "    shutil.copytree(model, name)\n"                                                                                    \
    "    path = name + '/' + file\n"                                                                                        \
    "    json.dump({**json.load(open(path)), **fields}, open(path, 'w'))\n"                                                 \
    "own = 'config_sentence_transformers.json'\n"                                                                           \
    "change('strange-prefix', own, query_prefix='[X] ')\n"                                                                  \
    "change('strange-mask', 'tokenizer_config.json', mask_token={'content': '<mask>'})\n"                                   \
    "change('long-list', own, skiplist_words=['a'] * 4097)\n"                                                               \
    "change('no-list', own, skiplist_words='a')\n"                                                                          \
    "change('no-words', own, skiplist_words=['a', 1])\n"                                                                    \
    "change('short-queries', own, query_length=3)\n"                                                                        \
    "change('wrong-width', '1_Dense/config.json', in_features=65)\n"                                                        \
    "change('no-residual', '1_Dense/config.json', use_residual=True)\n"                                                     \
    "own = 'artifact.metadata'\n"                                                                                           \
    "change('strange-marker', own, 'tiny-colbert', query_token_id='[unused7]')\n"                                           \
    "change('other-dim', own, 'tiny-colbert', dim=47)\n"                                                                    \
    "change('by-distance', own, 'tiny-colbert', similarity='l2')\n"                                                         \
    "change('no-dim', own, 'tiny-colbert', dim=0)\n"                                                                        \
    "own, multi = '2_MultiVectorMask/config.json', 'tiny-multi-vector'\n"                                                   \
    "change('queries-skipped', own, multi, skiplist_tasks=['query', 'document'])\n"                                         \
    "change('images-kept', own, multi, keep_only_token_ids=[7])\n"                                                          \
    "change('grown', 'sentence_bert_config.json', multi, query_expansion={'strategy': 'grow', 'length': 20})\n"             \
    "change('of-sentences', '3_Normalize/config.json', multi, module_input_name='sentence_embedding')\n"                    \
    "import os\n"                                                                                                           \
    "import make_tiny_architectures as tiny\n"                                                                              \
    "tiny.MODELS['tiny-colbert'][3]['artifact']['dim'] = 128\n"                                                             \
    "os.rename(tiny.write_model('wide', 'tiny-colbert'), 'plain-colbert'); os.remove('plain-colbert/artifact.metadata')\n"  \
    "tiny.MODELS['tiny-bert-splade'][2]['architectures'] = ['BertModel']\n"                                                 \
    "for name, dense in (('sentence', False), ('sentence-residual', True)):\n"                                              \
    "    tiny.MODELS['tiny-bert-splade'][3].clear(); tiny.MODELS['tiny-bert-splade'][3].update(pooling='mean')\n"           \
    "    os.rename(tiny.write_model(name + '-made', 'tiny-bert-splade'), name)\n"                                           \
    "    if dense:\n"                                                                                                       \
    "        modules = json.load(open(name + '/modules.json'))\n"                                                           \
    "        modules.append({'path': '2_Dense', 'type': 'sentence_transformers.models.Dense'})\n"                           \
    "        json.dump(modules, open(name + '/modules.json', 'w'))\n"                                                       \
    "        os.mkdir(name + '/2_Dense')\n"                                                                                 \
    "        json.dump({'in_features': 64, 'out_features': 64, 'bias': False, 'use_residual': True},\n"                     \
    "                  open(name + '/2_Dense/config.json', 'w'))\n"                                                         \
    "        zeros = [('linear.weight', 'F32', [64, 64], bytes(64 * 64 * 4))]\n"                                            \
    "        tiny.tiny.write_safetensors(tiny.Path(name) / '2_Dense/model.safetensors', zeros)\n"                           \
    "EOS"

static int set_up(void **state)
{
    (void)state;
    some_texts(40);
    scratch_begin(&folder);
    return run_in_models(SCRIPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_without_metadata),
        cmocka_unit_test(test_residual_of_sentences),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
