/* bge-m3's heads and bge-reranker's scores beside FlagEmbedding itself, from text to result (tests/golden/flag). */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>

#define GOLDEN "tests/golden/flag/"

enum { WIDTH = 64 };

static void assert_near(double got, const json_t *wanted, const char *what, size_t line)
{
    if (!(fabs(got - json_number_value(wanted)) <= 1e-5))
        fail_msg("line %zu: %s is %.9g, not %.9g", line, what, got, json_number_value(wanted));
}

static void assert_row(const float *got, const json_t *wanted, const char *what, size_t line)
{
    assert_int_equal(json_array_size(wanted), WIDTH);
    for (size_t i = 0; i < WIDTH; i++)
        assert_near((double)got[i], json_array_get(wanted, i), what, line);
}

static hd_text text_in(const json_t *line, const char *key)
{
    const json_t *text = json_object_get(line, key);
    return (hd_text){json_string_value(text), json_string_length(text)};
}

static void check_text(hd_model *model, const json_t *line, size_t n)
{
    const hd_encode_options options = {.heads = HD_HEAD_DENSE | HD_HEAD_SPARSE | HD_HEAD_MULTI, .max_length = 128};
    const json_t *sparse = json_object_get(line, "sparse"), *ids = json_object_get(sparse, "indices");
    const json_t *rows = json_object_get(line, "colbert");
    const hd_text text = text_in(line, "text");
    float dense[WIDTH];
    hd_output output;
    MUST(hd_encode_outputs(model, &text, NULL, 1, &options, dense, &output, NULL, &err));
    assert_row(dense, json_object_get(line, "dense"), "dense", n);
    assert_int_equal(output.sparse.n, json_array_size(ids));
    for (size_t i = 0; i < output.sparse.n; i++) {
        assert_int_equal(output.sparse.ids[i], json_integer_value(json_array_get(ids, i)));
        assert_near((double)output.sparse.weights[i], json_array_get(json_object_get(sparse, "values"), i), "a weight", n);
    }
    assert_int_equal(output.n_token_vectors, json_array_size(rows));
    for (size_t i = 0; i < output.n_token_vectors; i++)
        assert_row(output.token_vectors + i * WIDTH, json_array_get(rows, i), "a token's vector", n);
    hd_outputs_free(&output, 1);
}

static void check_pair(hd_model *model, const json_t *line, size_t n)
{
    const hd_text query = text_in(line, "query"), document = text_in(line, "document");
    hd_encode_options options = {.heads = HD_HEAD_SCORES, .cut_second = true};
    options.max_length = (uint32_t)json_integer_value(json_object_get(line, "max_length"));
    for (int raw = 0; raw < 2; raw++) {
        hd_output output;
        options.raw_scores = raw != 0;
        MUST(hd_encode_outputs(model, &query, &document, 1, &options, NULL, &output, NULL, &err));
        assert_near((double)output.scores[0], json_object_get(line, raw ? "logit" : "score"), raw ? "logit" : "score", n);
        hd_outputs_free(&output, 1);
    }
}

static void check_file(const char *name, const char *path, size_t n_lines,
                       void (*check)(hd_model *model, const json_t *line, size_t n))
{
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, name, HD_DTYPE_F32);
    for (json_t *line; (line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL; n++) {
        check(model, line, n);
        json_decref(line);
    }
    assert_int_equal(n, n_lines);
    fclose(f);
    hd_engine_close(engine);
}

static void test_heads(void **state)
{
    (void)state;
    check_file("gguf-xlmr", GOLDEN "embedded.jsonl", 8, check_text);
}

static void test_scores(void **state)
{
    (void)state;
    check_file("gguf-xlmr-reranker", GOLDEN "reranked.jsonl", 10, check_pair);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    return run_in_models("python3 tools/make_tiny_gguf_models.py \"$models\" gguf-xlmr gguf-xlmr-reranker && "
                         "python3 tools/make_tiny_architectures.py \"$models\" tiny-m3 && "
                         "cp \"$models\"/tiny-m3/*_linear.safetensors \"$models/gguf-xlmr\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_scores),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
