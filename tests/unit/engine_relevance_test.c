/* Qwen3-Reranker: its prompt around query and document, what is cut, and the logits of yes and no, beside the code of its
 * model card (tests/golden/architectures/tiny-qwen3-reranker.jsonl). Other rerankers: engine_heads_test.c.
 */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>

#include "base/alloc.h"

static hd_engine *engine;
static hd_model *model;

static void open_one(const char *name, hd_dtype dtype)
{
    engine = open_engine((hd_engine_options){.n_threads = 1});
    model = open_model(engine, name, dtype);
}

static hd_text text_in(const json_t *row, const char *key)
{
    const json_t *text = json_object_get(row, key);
    return (hd_text){json_string_value(text), json_string_length(text)};
}

/* One row of the golden file: raw and activated, and how many tokens it took. */
static void check_row(const json_t *row, double bound)
{
    const hd_text query = text_in(row, "query"), document = text_in(row, "document");
    const double logit = json_number_value(json_object_get(row, "logit"));
    const double score = json_number_value(json_object_get(row, "score"));
    hd_encode_options options = {.prompt = json_string_value(json_object_get(row, "instruction"))};
    hd_encode_stats stats;
    float got;
    options.max_length = (uint32_t)json_integer_value(json_object_get(row, "max_length"));
    MUST(hd_rerank(model, query, &document, 1, &options, &got, &stats, &err));
    if (!(fabs((double)got - score) <= bound))
        fail_msg("\"%s\": score %.9g, not %.9g", query.ptr, (double)got, score);
    assert_int_equal(stats.n_tokens, json_integer_value(json_object_get(row, "tokens")));
    assert_int_equal(stats.n_truncated, stats.n_tokens == options.max_length);
    options.raw_scores = true;
    MUST(hd_rerank(model, query, &document, 1, &options, &got, NULL, &err));
    if (!(fabs((double)got - logit) <= bound))
        fail_msg("\"%s\": logit %.9g, not %.9g", query.ptr, (double)got, logit);
}

static void test_golden(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        hd_dtype dtype;
        double bound;
    } cases[] = {
        {"tiny-qwen3-reranker", HD_DTYPE_F32, 1e-4},
        {"with-module", HD_DTYPE_F32, 1e-4},
        {"tiny-qwen3-reranker", HD_DTYPE_BF16, 0.25},
        {"tiny-qwen3-reranker", HD_DTYPE_INT8, 1.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *f = fopen("tests/golden/architectures/tiny-qwen3-reranker.jsonl", "r");
        json_t *row;
        int n_rows = 0;
        assert_non_null(f);
        open_one(cases[i].name, cases[i].dtype);
        for (; (row = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL; n_rows++) {
            check_row(row, cases[i].bound);
            json_decref(row);
        }
        assert_true(n_rows >= 6);
        hd_engine_close(engine);
        fclose(f);
    }
}

/* Without modules.json nothing says what the model is for: it embeds as well. With a LogitScore it does not. */
static void test_heads(void **state)
{
    (void)state;
    hd_model_info info;
    float vector[64];
    open_one("tiny-qwen3-reranker", HD_DTYPE_F32);
    hd_model_get_info(model, &info);
    assert_int_equal(info.heads, HD_HEAD_DENSE | HD_HEAD_SCORES | HD_HEAD_TOKENS);
    assert_true(info.reranks);
    assert_int_equal(info.n_labels, 1);
    assert_string_equal(info.labels[0], "yes");
    assert_string_equal(info.pooling, "last");
    assert_int_equal(info.n_dimensions, 64);
    MUST(hd_encode(model, some_texts(1), 1, NULL, vector, NULL, &err));
    hd_engine_close(engine);
    open_one("with-module", HD_DTYPE_F32);
    hd_model_get_info(model, &info);
    assert_int_equal(info.heads, HD_HEAD_SCORES | HD_HEAD_TOKENS);
    hd_engine_close(engine);
    open_one("tiny-qwen3", HD_DTYPE_F32);
    hd_model_get_info(model, &info);
    assert_int_equal(info.heads, HD_HEAD_DENSE | HD_HEAD_TOKENS);
    assert_false(info.reranks);
    hd_engine_close(engine);
}

static void test_refused(void **state)
{
    (void)state;
    const hd_text query = text_of("river"), document = text_of("water");
    hd_encode_options options = {.max_length = 100};
    float score;
    open_one("tiny-qwen3-reranker", HD_DTYPE_F32);
    must_fail(hd_rerank(model, query, &document, 1, &options, &score, NULL, &err), HD_ERR_LIMIT,
              "the prompt of 112 tokens leaves nothing of 100");
    options = (hd_encode_options){.max_length = 200, .refuse_longer = true};
    must_fail(hd_rerank(model, query, some_texts(20) + 17, 1, &options, &score, NULL, &err), HD_ERR_LIMIT,
              "the limit is 200");
    hd_engine_close(engine);
    open_one("other-answers", HD_DTYPE_F32);
    must_fail(hd_model_load(model, &err), HD_ERR_UNSUPPORTED, "LogitScore has token 9 for \"yes\"");
    hd_engine_close(engine);
    open_one("without-yes", HD_DTYPE_F32);
    must_fail(hd_model_load(model, &err), HD_ERR_FORMAT, "\" is not one token of the vocabulary");
    hd_engine_close(engine);
}

/* With each allocation failing in its turn a rerank fails cleanly or works. */
static void test_no_memory(void **state)
{
    (void)state;
    float scores[3];
    bool done = false;
    open_one("tiny-qwen3-reranker", HD_DTYPE_F32);
    MUST(hd_model_load(model, &err));
    for (uint64_t n = 0; !done; n++) {
        assert_true(n < 1000);
        hd__alloc_fail_after(n, UINT64_MAX);
        const hd_status status = hd_rerank(model, text_of("river"), some_texts(3), 3, NULL, scores, NULL, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        done = status == HD_OK;
    }
    hd_engine_close(engine);
}

#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_architectures.py \"$models\" tiny-qwen3-reranker tiny-qwen3 tiny-qwen3-logits\n"       \
    "cd \"$models\"; reranker=tiny-qwen3-reranker; logits=tiny-qwen3-logits\n"                                              \
    "id() { grep -o '^ *\"'$1'\": [0-9]*' $reranker/tokenizer.json | grep -o '[0-9]*$'; }\n"                                \
    "cp -r $reranker with-module; cp -r $logits/modules.json $logits/1_LogitScore with-module\n"                            \
    "sed \"s/311/$(id yes)/; s/47/$(id no)/\" $logits/1_LogitScore/config.json >with-module/1_LogitScore/config.json\n"     \
    "cp -r with-module other-answers\n"                                                                                     \
    "sed -i 's/\"true_token_id\": [0-9]*/\"true_token_id\": 9/' other-answers/1_LogitScore/config.json\n"                   \
    "cp -r $logits without-yes; rm without-yes/modules.json"

static int set_up(void **state)
{
    (void)state;
    some_texts(20);
    scratch_begin(&folder);
    return run_in_models(SCRIPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
