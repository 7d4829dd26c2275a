/* Models whose queries and documents have encoders of their own, beside sentence-transformers itself (tests/golden/sides):
 * which one a call is for, and both of them as one model; layouts that are refused.
 */
#include "unit/engine_fixture.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/file.h"

#define GOLDEN "tests/golden/sides/"

enum { MOST_TEXTS = 4, MOST_VALUES = 64, WIDTH = 64 };

static json_t *manifest;

static void encode(hd_model *model, const char *prompt_name, const hd_text *texts, size_t n, float *out, uint64_t *n_tokens)
{
    const hd_encode_options options = {.prompt_name = prompt_name};
    hd_encode_stats stats;
    MUST(hd_encode(model, texts, n, &options, out, &stats, &err));
    if (n_tokens != NULL)
        *n_tokens = stats.n_tokens;
}

/* Sparse vectors, beside a weight for each token of the vocabulary. */
static void check_sparse(const char *name, hd_model *model, const hd_text *texts, size_t n, const char *prompt_name,
                         const float *wanted, size_t width)
{
    const hd_encode_options options = {.prompt_name = prompt_name, .heads = HD_HEAD_SPARSE};
    hd_output outputs[MOST_TEXTS];
    MUST(hd_encode_outputs(model, texts, NULL, n, &options, NULL, outputs, NULL, &err));
    for (size_t i = 0; i < n; i++) {
        const hd_sparse_vector *got = &outputs[i].sparse;
        size_t k = 0;
        for (size_t id = 0; id < width; id++) {
            const float value = k < got->n && got->ids[k] == id ? got->weights[k++] : 0.0f;
            if (!(fabsf(value - wanted[i * width + id]) <= 1e-4f))
                fail_msg("%s, %s: text %zu, id %zu has %.9g, not %.9g", name, prompt_name != NULL ? prompt_name : "none", i,
                         id, (double)value, (double)wanted[i * width + id]);
        }
        assert_int_equal(k, got->n);
    }
    hd_outputs_free(outputs, n);
}

/* The texts of a side as given by this name; how many values they are. */
static size_t check_side(const char *name, hd_model *model, const json_t *all, size_t n, const char *prompt_name,
                         const float *wanted, size_t width)
{
    float got[MOST_TEXTS * MOST_VALUES];
    hd_text texts[MOST_TEXTS];
    assert_in_range(n, 1, MOST_TEXTS);
    for (size_t i = 0; i < n; i++)
        texts[i] = text_of(json_string_value(json_array_get(all, i)));
    if (width_of(model) == 0) {
        check_sparse(name, model, texts, n, prompt_name, wanted, width);
        return n * width;
    }
    assert_int_equal(width_of(model), width);
    encode(model, prompt_name, texts, n, got, NULL);
    for (size_t i = 0; i < n * width; i++)
        if (!(fabsf(got[i] - wanted[i]) <= 1e-5f))
            fail_msg("%s, %s: text %zu, value %zu is %.9g, not %.9g", name, prompt_name != NULL ? prompt_name : "none",
                     i / width, i % width, (double)got[i], (double)wanted[i]);
    return n * width;
}

/* Queries, documents, and the first query by the default route. */
static void test_golden(void **state)
{
    (void)state;
    const json_t *models = json_object_get(manifest, "models"), *queries = json_object_get(manifest, "queries");
    const json_t *documents = json_object_get(manifest, "documents");
    assert_int_equal(json_array_size(models), 5);
    for (size_t m = 0; m < 5; m++) {
        const json_t *entry = json_array_get(models, m);
        const char *name = json_string_value(json_object_get(entry, "model"));
        char path[256];
        hd_file_map map;
        snprintf(path, sizeof path, GOLDEN "%s.f32", name);
        MUST(hd__file_map_open(path, &map, &err));
        const float *wanted = (const float *)(const void *)map.bytes.ptr;
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
        hd_model *model = open_model(engine, name, HD_DTYPE_F32);
        const size_t width = (size_t)json_integer_value(json_object_get(entry, "width"));
        assert_int_equal(width_of(model) == 0, json_is_true(json_object_get(entry, "sparse")));
        size_t n = check_side(name, model, queries, 3, "query", wanted, width);
        n += check_side(name, model, documents, 3, "document", wanted + n, width);
        n += check_side(name, model, queries, 1, NULL, wanted + n, width);
        assert_int_equal(n * sizeof(float), map.bytes.len);
        hd_engine_close(engine);
        hd__file_map_close(&map);
    }
}

/* What one engine has packed another one maps: files of the sides do not get into each other's way. */
static void test_packed(void **state)
{
    (void)state;
    const hd_text text = text_of("a river of music");
    float first[2][MOST_VALUES], again[2][MOST_VALUES];
    char cache[256];
    snprintf(cache, sizeof cache, "%s/cache", folder.dir);
    for (size_t turn = 0; turn < 3; turn++) {
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cache});
        hd_model *model = open_model(engine, "tiny-asym", HD_DTYPE_INT8);
        float(*to)[MOST_VALUES] = turn == 0 ? first : again;
        encode(model, "query", &text, 1, to[0], NULL);
        encode(model, "document", &text, 1, to[1], NULL);
        hd_engine_close(engine);
    }
    assert_memory_equal(first[0], again[0], 40 * sizeof(float));
    assert_memory_equal(first[1], again[1], 40 * sizeof(float));
    assert_true(memcmp(first[0], first[1], 40 * sizeof(float)) != 0);
}

/* One model to those who load and unload it; the vector cache tells the sides apart; lengths are each side's own. */
static void test_both(void **state)
{
    (void)state;
    const hd_text text =
        text_of("the river and the sea of light in winter, the stone and the bread, the house, the garden, the "
                "music and the answer of a bird");
    const hd_encode_options as_query = {.prompt_name = "query"};
    float query[2][MOST_VALUES], document[MOST_VALUES];
    uint64_t n_query, n_document;
    hd_model_info info;
    hd_tokens tokens;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = 1 << 20});
    hd_model *model = open_model(engine, "tiny-sides", HD_DTYPE_F32);
    encode(model, "query", &text, 1, query[0], &n_query);
    assert_false(is_loaded(model)); /* documents' encoder was not asked for */
    encode(model, "document", &text, 1, document, &n_document);
    encode(model, "query", &text, 1, query[1], NULL);
    assert_memory_equal(query[0], query[1], sizeof query[0]);
    assert_true(memcmp(query[0], document, sizeof document) != 0);
    assert_int_equal(n_query, 24);
    const hd_encode_options longer = {.prompt_name = "query", .max_length = 64}, longest = {.max_length = 101};
    MUST(hd_encode(model, &text, 1, &longer, query[1], NULL, &err)); /* within what the model says: cut to the query's 24 */
    assert_memory_equal(query[0], query[1], sizeof query[0]);
    must_fail(hd_encode(model, &text, 1, &longest, document, NULL, &err), HD_ERR_ARG, "max_length 101, the model's is 100");
    assert_true(n_document > 24);
    MUST(hd_tokenize(model, text, &as_query, &tokens, &err));
    assert_int_equal(tokens.n, 24);
    hd_tokens_free(&tokens);
    hd_model_get_info(model, &info);
    const uint64_t both_bytes = info.weights_bytes;
    MUST(hd_model_unload(model, &err));
    hd_model_get_info(model, &info);
    assert_true(!info.loaded && info.weights_bytes == 0);
    encode(model, "document", &text, 1, document, NULL);
    hd_model_get_info(model, &info);
    assert_true(info.weights_bytes > 0 && info.weights_bytes < both_bytes && !info.loaded); /* one side is not both */
    MUST(hd_model_begin(model, &err));
    hd_model_get_info(model, &info);
    assert_true(info.loaded && info.weights_bytes == both_bytes);
    must_fail(hd_model_unload(model, &err), HD_ERR_BUSY, "in use");
    hd_model_end(model);
    hd_model_close(model);
    hd_engine_close(engine);
}

/* How many files of packed weights there are. */
static size_t count_packed(const char *cache)
{
    char path[512];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/packed", cache);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += strstr(entry->d_name, "-f32") != NULL;
    closedir(dir);
    return n;
}

/* Loads both sides and gives what each makes of a text; bytes of their weights. */
static uint64_t load_both(const char *name, const char *side_first, uint32_t n_models, size_t n_files,
                          float out[2][MOST_VALUES])
{
    const hd_text text = text_of("the river and the sea of light in winter");
    char cache[256];
    hd_model_info info;
    snprintf(cache, sizeof cache, "%s/cache-%s", folder.dir, name);
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_dir = cache});
    hd_model *model = open_model(engine, name, HD_DTYPE_F32);
    encode(model, side_first, &text, 1, out[0], NULL);
    assert_int_equal(is_loaded(model), n_models == 1); /* both at once, or one */
    encode(model, "query", &text, 1, out[0], NULL);
    encode(model, "document", &text, 1, out[1], NULL);
    hd_model_get_info(model, &info);
    assert_true(info.loaded);
    assert_int_equal(stats_of(engine).n_models_loaded, n_models);
    assert_int_equal(stats_of(engine).weights_bytes, info.weights_bytes);
    assert_int_equal(count_packed(cache), n_files);
    MUST(hd_model_begin(model, &err));
    must_fail(hd_model_unload(model, &err), HD_ERR_BUSY, "in use");
    hd_model_end(model);
    MUST(hd_model_unload(model, &err));
    assert_int_equal(stats_of(engine).weights_bytes, 0);
    encode(model, "query", &text, 1, out[0], NULL);
    hd_engine_close(engine);
    return info.weights_bytes;
}

/* A transformer of both sides is packed and loaded once: where both name one folder, and where the files of two are the same
 * files. Copies of the files are two transformers, with the same vectors. */
static void test_shared(void **state)
{
    (void)state;
    float linked[2][MOST_VALUES], copied[2][MOST_VALUES], behind[2][MOST_VALUES];
    const uint64_t once = load_both("linked", "query", 1, 1, linked), twice = load_both("copied", "query", 2, 2, copied);
    const uint64_t with_dense = load_both("tiny-asym", "document", 1, 1, behind);
    assert_int_equal(2 * once, twice);
    assert_true(with_dense > once && with_dense < once + once / 2);
    assert_memory_equal(linked[0], copied[0], WIDTH * sizeof(float));
    assert_memory_equal(linked[1], copied[1], WIDTH * sizeof(float));
    assert_true(memcmp(linked[0], linked[1], WIDTH * sizeof(float)) != 0);
}

/* What one transformer takes is enough for two sides that share it, and not for two copies. */
static void test_shared_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"linked", "linked", "copied"};
    uint64_t limit = 0;
    for (size_t i = 0; i < 3; i++) {
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = limit});
        hd_model *model = open_model(engine, names[i], HD_DTYPE_F32);
        if (i == 2) {
            must_fail(hd_model_begin(model, &err), HD_ERR_MEMORY, "weights do not fit in the memory limit");
        } else {
            MUST(hd_model_begin(model, &err));
            limit = stats_of(engine).weights_bytes * 3 / 2;
            hd_model_end(model);
        }
        hd_engine_close(engine);
    }
}

/* Tokens are told in the words of the side that they are of. */
static void test_tokens(void **state)
{
    (void)state;
    static const char *const sides[] = {"query", "document", NULL};
    const hd_text text = text_of("a river of music, the house in the garden: bread");
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "swapped", HD_DTYPE_F32); /* to a query "river" is what "music" is to others */
    char decoded[3][256];
    int32_t river[3];
    for (size_t i = 0; i < 3; i++) {
        hd_encode_options options = {.prompt_name = sides[i], .prompt = ""};
        int32_t ids[64];
        hd_tokens tokens;
        hd_text back;
        MUST(hd_tokenize(model, text, &options, &tokens, &err));
        assert_in_range(tokens.n, 5, 64);
        river[i] = tokens.tokens[2].id;
        for (size_t k = 0; k < tokens.n; k++) {
            const hd_token *t = &tokens.tokens[k];
            const char *word = hd_token_text(model, &options, t->id);
            ids[k] = t->id;
            word += strncmp(word, "##", 2) == 0 ? 2 : 0;
            if (!t->special && (strlen(word) != t->byte_end - t->byte_begin ||
                                strncasecmp(word, text.ptr + t->byte_begin, strlen(word)) != 0))
                fail_msg("side %zu: token %zu is \"%s\"", i, k, word);
        }
        options.no_specials = true;
        MUST(hd_detokenize(model, ids, tokens.n, &options, &back, &err));
        snprintf(decoded[i], sizeof decoded[i], "%.*s", (int)back.len, back.ptr);
        hd_text_free(&back);
        hd_tokens_free(&tokens);
    }
    assert_true(river[0] != river[1] && river[2] == river[1]);
    assert_string_equal(hd_token_text(model, NULL, river[0]), "music");
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(decoded[i], "river of music"));
    hd_model_close(model);
    hd_engine_close(engine);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
        hd_status status;
    } on_open[] = {
        {"widths", "vectors of 32 values for queries, of 40 for documents", HD_ERR_UNSUPPORTED},
        {"heads", "other heads than both dense or both SPLADE", HD_ERR_UNSUPPORTED},
        {"twice", "more than one Router", HD_ERR_UNSUPPORTED},
        {"strange", "module type \"sentence_transformers.models.LSTM\" is none that Heddle runs", HD_ERR_UNSUPPORTED},
        {"no-side", "query_0_Transformer", HD_ERR_NOT_FOUND},
        {"three", "\"structure\" has other routes", HD_ERR_UNSUPPORTED},
    };
    hd_model *m;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    for (size_t i = 0; i < sizeof on_open / sizeof on_open[0]; i++)
        must_fail(hd_model_open(engine, tiny_model_dir(&folder, on_open[i].name), NULL, &m, &err), on_open[i].status,
                  on_open[i].says);
    hd_engine_close(engine);
}

#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_architectures.py \"$models\" tiny-sides tiny-sides-static tiny-asym "                  \
    "tiny-sides-cut tiny-sides-splade\n"                                                                                    \
    "cd \"$models\"; python3 - <<'EOS'\n"                                                                                   \
    "import json, os, shutil\n"                                                                                             \
    "def change(name, old, file, act):\n"                                                                                   \
    "    if name != old: shutil.copytree(old, name)\n"                                                                      \
    "    path = name + '/' + file\n"                                                                                        \
    "    root = json.load(open(path))\n"                                                                                    \
    "    act(root)\n"                                                                                                       \
    "    json.dump(root, open(path, 'w'))\n"                                                                                \
    "router, package = 'router_config.json', 'sentence_transformers.models.'\n"                                             \
    "def swap(r):\n"                                                                                                        \
    "    v = r['model']['vocab']\n"                                                                                         \
    "    v['river'], v['music'] = v['music'], v['river']\n"                                                                 \
    "change('swapped', 'tiny-sides', 'query_0_Transformer/tokenizer.json', swap)\n"                                         \
    "dense = '2_Asym/140000000000000_Dense/config.json'\n"                                                                  \
    "change('widths', 'tiny-asym', dense, lambda r: r.update(out_features=32))\n"                                           \
    "def classify(r): r.update(architectures=['DistilBertForSequenceClassification'])\n"                                    \
    "change('heads', 'tiny-sides', 'query_0_Transformer/config.json', classify)\n"                                          \
    "change('heads', 'heads', 'modules.json', lambda r: r.pop())\n"                                                         \
    "change('heads', 'heads', router, lambda r: r['structure'].update(query=['query_0_Transformer']))\n"                    \
    "change('twice', 'tiny-sides', 'modules.json', lambda r: r.append({'path': '', 'type': package + 'Router'}))\n"         \
    "def strange(r): r['types']['query_1_Pooling'] = package + 'LSTM'\n"                                                    \
    "change('strange', 'tiny-sides', router, strange)\n"                                                                    \
    "change('three', 'tiny-sides', router, lambda r: r['structure'].update(image=['query_1_Pooling']))\n"                   \
    "shutil.copytree('tiny-sides', 'copied'); shutil.rmtree('copied/query_0_Transformer')\n"                                \
    "shutil.copytree('copied/document_0_Transformer', 'copied/query_0_Transformer')\n"                                      \
    "change('copied', 'copied', 'query_1_Pooling/config.json', lambda r: r.update(word_embedding_dimension=64))\n"          \
    "change('copied', 'copied', router, lambda r: r['structure']['query'].pop())\n"                                         \
    "shutil.copytree('copied', 'linked'); shutil.rmtree('linked/query_0_Transformer')\n"                                    \
    "shutil.copytree('linked/document_0_Transformer', 'linked/query_0_Transformer', copy_function=os.link)\n"               \
    "shutil.copytree('tiny-sides', 'no-side'); shutil.rmtree('no-side/query_0_Transformer')\n"                              \
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
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_packed),        cmocka_unit_test(test_both),
        cmocka_unit_test(test_shared),  cmocka_unit_test(test_shared_memory), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
