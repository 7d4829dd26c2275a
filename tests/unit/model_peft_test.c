/* Adapters of PEFT's: their pairs of tensors, and everything that can be wrong with them. */
#include "model/peft.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "unit/safetensors_file.h"
#include "unit/scratch.h"

#define A(name, rank) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" rank ",3],\"data_offsets\":[0,24]}"
#define B(name, rank) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[3," rank "],\"data_offsets\":[24,48]}"

static scratch s;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

static void write_adapter(const char *header)
{
    static const float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const hd_span bytes = safetensors_file(header, values, sizeof values);
    scratch_write(&s, "adapter_model.safetensors", bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
}

static const hd_peft_config of_two = {.rank = 2, .alpha = 3.0}, of_three = {.rank = 3, .alpha = 3.0};

static void finds_pairs_by_their_end(void **state)
{
    (void)state;
    static const char *const same[] = {"encoder.layer.0.query", "bert.encoder.layer.0.query", "layer.0.query"};
    static const char *const other[] = {"encoder.layer.0.key", "encoder.layer.10.query", "my_layer.0.query", "y", ""};
    hd_peft *peft;
    write_adapter("{" A("base_model.model.encoder.layer.0.query.lora_A.weight",
                        "2") "," B("base_model.model.encoder.layer.0.query.lora_B.weight", "2") "}");
    assert_int_equal(hd__peft_open(s.dir, &of_two, &peft, &err), HD_OK);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const hd_peft_pair *pair = hd__peft_find(peft, same[i]);
        assert_non_null(pair);
        assert_true(pair->a->dims[0] == 2 && pair->a->dims[1] == 3 && pair->b->dims[0] == 3 && pair->b->dims[1] == 2);
        assert_true(pair->scale == 1.5 && !pair->is_table);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (hd__peft_find(peft, other[i]) != NULL)
            fail_msg("%s", other[i]);
    assert_non_null(strstr(hd__peft_identity(peft), "adapter_model.safetensors"));
    hd__peft_close(peft);
}

static void finds_tables(void **state)
{
    (void)state;
    hd_peft *peft;
    write_adapter("{" A("base_model.model.embeddings.word_embeddings.lora_embedding_A",
                        "2") "," B("base_model.model.embeddings.word_embeddings.lora_embedding_B", "2") "}");
    assert_int_equal(hd__peft_open(s.dir, &of_two, &peft, &err), HD_OK);
    assert_non_null(hd__peft_left(peft));
    const hd_peft_pair *pair = hd__peft_find(peft, "roberta.embeddings.word_embeddings");
    assert_non_null(pair);
    assert_string_equal(pair->a->name, "base_model.model.embeddings.word_embeddings.lora_embedding_A");
    assert_true(pair->is_table);
    assert_null(hd__peft_left(peft));
    hd__peft_close(peft);
}

#define MODULE(name) A("base_model.model." name ".lora_A.weight", "2") "," B("base_model.model." name ".lora_B.weight", "2")
#define LAYER "encoder.layer.0.attention.self."

/* Scales by module: the first pattern that matches all of a path, or its end behind a dot. */
static void finds_scales_by_patterns(void **state)
{
    (void)state;
    static const hd_peft_alpha alphas[] = {
        {"self\\.(query|key)", 4.0}, {"key", 6.0}, {"^encoder.*output.*$", 10.0}, {"uery", 1.0}};
    static const struct {
        const char *header, *module;
        double by_rank, by_root; /* alpha / 2, alpha / sqrt(2) */
    } cases[] = {
        {"{" MODULE(LAYER "query") "}", LAYER "query", 2.0, 2.8284271247461898},
        {"{" MODULE(LAYER "key") "}", LAYER "key", 2.0, 2.8284271247461898},
        {"{" MODULE("other.key") "}", "other.key", 3.0, 4.2426406871192848},
        {"{" MODULE("encoder.output.dense") "}", "encoder.output.dense", 5.0, 7.0710678118654746},
        {"{" MODULE(LAYER "value") "}", LAYER "value", 8.0, 11.313708498984759},
        {"{" MODULE("other.query") "}", "other.query", 8.0, 11.313708498984759},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const hd_peft_config config = {.rank = 2, .alpha = 16.0, .by_root = i % 2 == 1, .n_alphas = 4, .alphas = alphas};
        hd_peft *peft;
        write_adapter(cases[i / 2].header);
        assert_int_equal(hd__peft_open(s.dir, &config, &peft, &err), HD_OK);
        const double scale = hd__peft_find(peft, cases[i / 2].module)->scale;
        const double wanted = i % 2 == 1 ? cases[i / 2].by_root : cases[i / 2].by_rank;
        if (!(scale > wanted * (1 - 1e-12) && scale < wanted * (1 + 1e-12)))
            fail_msg("%s: %.17g, not %.17g", cases[i / 2].module, scale, wanted);
        hd__peft_close(peft);
    }
}

/* With "rank_pattern" tensors have the rank that they have, up to the limit. */
static void takes_ranks_of_tensors(void **state)
{
    (void)state;
    hd_peft_config config = {.rank = 8, .alpha = 3.0, .ranks_differ = true};
    hd_peft *peft = NULL;
    write_adapter("{" MODULE("query") "}");
    assert_int_equal(hd__peft_open(s.dir, &config, &peft, &err), HD_OK);
    assert_true(hd__peft_find(peft, "query")->scale == 1.5);
    hd__peft_close(peft);
    peft = NULL;
    write_adapter("{\"query.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
                  "\"query.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]},"
                  "\"x\":{\"dtype\":\"F32\",\"shape\":[12],\"data_offsets\":[0,48]}}");
    assert_int_equal(hd__peft_open(s.dir, &config, &peft, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "are not [0, …]"));
    config.ranks_differ = false;
    write_adapter("{" MODULE("query") "}");
    assert_int_equal(hd__peft_open(s.dir, &config, &peft, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "are not [8, …]"));
    assert_null(peft);
}

static void refuses_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        hd_status status;
        const char *text;
    } cases[] = {
        {"(query", HD_ERR_FORMAT, "\"(query\" is no regular expression"},
        {"(x+x+)+[yz]", HD_ERR_LIMIT, "\"(x+x+)+[yz]\" takes too many steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hd_peft_alpha alpha = {cases[i].pattern, 1.0};
        const hd_peft_config config = {.rank = 2, .alpha = 1.0, .n_alphas = 1, .alphas = &alpha};
        hd_peft *peft = NULL;
        write_adapter("{" MODULE("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") "}");
        const hd_status status = hd__peft_open(s.dir, &config, &peft, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].text) == NULL)
            fail_msg("%s: %s, \"%s\"", cases[i].pattern, hd_status_name(status), err.text);
        assert_null(peft);
    }
}

static void refuses_others(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        hd_status status;
        const char *text;
    } cases[] = {
        {"{" A("m.lora_A.weight", "2") "," B("n.lora_B.weight", "2") "}", HD_ERR_FORMAT,
         "\"m.lora_A.weight\" is there without \"m.lora_B.weight\""},
        {"{" A("m.lora_embedding_A", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_FORMAT, "is there without"},
        {"{" A("m.lora_A.weight", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_FORMAT, "are not [3, …] and […, 3]"},
        {"{" A("m.lora_magnitude_vector", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_UNSUPPORTED,
         "\"m.lora_magnitude_vector\" is not one of LoRA's"},
        {"{" A("classifier.weight", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_UNSUPPORTED, "\"classifier.weight\""},
    };
    hd_peft *peft = NULL;
    assert_int_equal(hd__peft_open(s.dir, &of_three, &peft, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "neither adapter_model.safetensors nor adapter_model.bin"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_adapter(cases[i].header);
        const hd_status status = hd__peft_open(s.dir, &of_three, &peft, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s, \"%s\"", i, hd_status_name(status), err.text);
        assert_null(peft);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_pairs_by_their_end, begin, end),
        cmocka_unit_test_setup_teardown(finds_tables, begin, end),
        cmocka_unit_test_setup_teardown(finds_scales_by_patterns, begin, end),
        cmocka_unit_test_setup_teardown(takes_ranks_of_tensors, begin, end),
        cmocka_unit_test_setup_teardown(refuses_patterns, begin, end),
        cmocka_unit_test_setup_teardown(refuses_others, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
