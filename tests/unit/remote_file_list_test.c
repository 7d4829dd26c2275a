/* Which files of a repository Heddle takes. */
#include "remote/file_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"

static hd_arena arena;
static hd_file_list list;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    list = (hd_file_list){.arena = &arena, .source = "owner/name"};
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

static void add(const char *path)
{
    hd_remote_file file = {.path = path, .bytes = UINT64_MAX};
    assert_int_equal(hd__file_list_add(&list, &file, &err), HD_OK);
}

static hd_file_role role(const char *path)
{
    const hd_remote_file *file = hd__file_list_find(&list, path);
    assert_non_null(file);
    return file->role;
}

static void takes_what_is_needed(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        hd_file_role role;
    } files[] = {
        {"config.json", HD_FILE_SETTINGS},
        {"modules.json", HD_FILE_SETTINGS},
        {"config_sentence_transformers.json", HD_FILE_SETTINGS},
        {"sentence_bert_config.json", HD_FILE_SETTINGS},
        {"sentence_xlm-roberta_config.json", HD_FILE_SETTINGS},
        {"tokenizer.json", HD_FILE_SETTINGS},
        {"tokenizer_config.json", HD_FILE_SETTINGS},
        {"special_tokens_map.json", HD_FILE_SETTINGS},
        {"vocab.txt", HD_FILE_SETTINGS},
        {"sentencepiece.bpe.model", HD_FILE_SETTINGS},
        {"LICENSE.txt", HD_FILE_SETTINGS},
        {"1_Pooling/config.json", HD_FILE_SETTINGS},
        {"2_Dense/config.json", HD_FILE_SETTINGS},
        {"2_Dense/model.safetensors", HD_FILE_WEIGHTS},
        {"model.safetensors", HD_FILE_WEIGHTS},
        {"model-00001-of-00002.safetensors", HD_FILE_UNUSED}, /* there is a whole one */
        {"model.safetensors.index.json", HD_FILE_UNUSED},
        {"sparse_linear.pt", HD_FILE_WEIGHTS},
        {"colbert_linear.pt", HD_FILE_WEIGHTS},
        {"training_args.pt", HD_FILE_UNUSED},
        {"pytorch_model.bin", HD_FILE_UNUSED},
        {"2_Dense/pytorch_model.bin", HD_FILE_UNUSED},
        {"onnx/model.onnx", HD_FILE_UNUSED},
        {"onnx/config.json", HD_FILE_UNUSED},
        {"onnx/1_Pooling/config.json", HD_FILE_UNUSED},
        {"1_Pooling_old/config.json", HD_FILE_UNUSED},
        {"openvino/openvino_model.xml", HD_FILE_UNUSED},
        {"tf_model.h5", HD_FILE_UNUSED},
        {"flax_model.msgpack", HD_FILE_UNUSED},
        {"README.md", HD_FILE_UNUSED},
        {"train_script.py", HD_FILE_UNUSED},
        {"model.fp16.safetensors", HD_FILE_UNUSED},
        {"data_config.json", HD_FILE_UNUSED},
    };
    const hd_modules modules = {
        .present = true,
        .n = 4,
        .modules = {{"Transformer", ""}, {"Pooling", "1_Pooling"}, {"Dense", "2_Dense"}, {"Normalize", "3_N"}}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        add(files[i].path);
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (role(files[i].path) != files[i].role)
            fail_msg("%s", files[i].path);
    }
}

/* The folders of a Router: the encoder's, and that of the weights for queries. */
static void takes_a_table_for_queries(void **state)
{
    (void)state;
    const hd_modules modules = {.present = true,
                                .query_table = "query_0_SparseStaticEmbedding",
                                .n = 2,
                                .modules = {{"MLMTransformer", ""}, {"SpladePooling", "document_1_SpladePooling"}}};
    static const char *const taken[] = {
        "config.json",       "router_config.json",
        "tokenizer.json",    "document_1_SpladePooling/config.json",
        "model.safetensors", "query_0_SparseStaticEmbedding/model.safetensors",
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        add(taken[i]);
    add("idf.json");
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_OK);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        assert_int_not_equal(role(taken[i]), HD_FILE_UNUSED);
    assert_int_equal(role("query_0_SparseStaticEmbedding/model.safetensors"), HD_FILE_WEIGHTS);
    assert_int_equal(role("idf.json"), HD_FILE_UNUSED);
}

/* Both sides' folders, whichever of them was read. */
static void takes_both_sides(void **state)
{
    (void)state;
    const hd_modules modules = {.present = true,
                                .has_sides = true,
                                .n = 2,
                                .modules = {{"Transformer", "document_0_Transformer"}, {"Pooling", "document_1_Pooling"}},
                                .n_others = 1,
                                .others = {"query_0_StaticEmbedding"}};
    static const char *const taken[] = {
        "router_config.json",
        "document_0_Transformer/config.json",
        "document_0_Transformer/tokenizer.json",
        "document_0_Transformer/model.safetensors",
        "document_1_Pooling/config.json",
        "query_0_StaticEmbedding/tokenizer.json",
        "query_0_StaticEmbedding/model.safetensors",
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        add(taken[i]);
    add("query_1_Other/model.safetensors");
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_OK);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        assert_int_not_equal(role(taken[i]), HD_FILE_UNUSED);
    assert_int_equal(role("query_1_Other/model.safetensors"), HD_FILE_UNUSED);
}

/* PEFT's folders beside the weights, one for each task. */
static void takes_adapters_of_tasks(void **state)
{
    (void)state;
    const hd_modules none = {0};
    static const struct {
        const char *path;
        hd_file_role role;
    } files[] = {
        {"config.json", HD_FILE_SETTINGS},
        {"tokenizer.json", HD_FILE_SETTINGS},
        {"model.safetensors", HD_FILE_WEIGHTS},
        {"retrieval_query/adapter_config.json", HD_FILE_SETTINGS},
        {"retrieval_query/adapter_model.safetensors", HD_FILE_WEIGHTS},
        {"retrieval_query/adapter_model.bin", HD_FILE_UNUSED},
        {"retrieval_query/optimizer.pt", HD_FILE_UNUSED},
        {"separation/adapter_config.json", HD_FILE_SETTINGS},
        {"separation/adapter_model.bin", HD_FILE_WEIGHTS},
        {"onnx/adapter_model.safetensors", HD_FILE_UNUSED},
        {"runs/last/adapter_config.json", HD_FILE_UNUSED},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        add(files[i].path);
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (role(files[i].path) != files[i].role)
            fail_msg("%s", files[i].path);
}

/* One for the whole model: beside its weights, and without them, which are the base's. */
static void takes_an_adapter(void **state)
{
    (void)state;
    const hd_modules none = {0};
    add("adapter_config.json");
    add("adapter_model.bin");
    add("adapter_model.safetensors");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_OK);
    assert_int_equal(role("adapter_config.json"), HD_FILE_SETTINGS);
    assert_int_equal(role("adapter_model.safetensors"), HD_FILE_WEIGHTS);
    assert_int_equal(role("adapter_model.bin"), HD_FILE_UNUSED);
    add("config.json");
    add("vocab.txt");
    add("model.safetensors");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_OK);
    assert_int_equal(role("model.safetensors"), HD_FILE_WEIGHTS);
    assert_int_equal(role("adapter_model.safetensors"), HD_FILE_WEIGHTS);
    assert_int_equal(role("adapter_model.bin"), HD_FILE_UNUSED);
}

static void takes_shards_that_have_an_index(void **state)
{
    (void)state;
    const hd_modules none = {0};
    add("config.json");
    add("vocab.txt");
    add("model-00001-of-00002.safetensors");
    add("model-00002-of-00002.safetensors");
    add("consolidated.safetensors");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "owner/name: has neither model.safetensors nor pytorch_model.bin"));
    add("model.safetensors.index.json");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_OK);
    assert_int_equal(role("model-00001-of-00002.safetensors"), HD_FILE_WEIGHTS);
    assert_int_equal(role("consolidated.safetensors"), HD_FILE_UNUSED);
}

static void takes_torch_files_where_there_are_no_others(void **state)
{
    (void)state;
    const hd_modules modules = {.present = true, .n = 2, .modules = {{"Transformer", ""}, {"Dense", "2_Dense"}}};
    add("config.json");
    add("vocab.txt");
    add("tf_model.h5");
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "weights in tf_model.h5 only"));
    add("pytorch_model-00001-of-00002.bin");
    add("pytorch_model-00002-of-00002.bin");
    add("training_args.bin");
    add("2_Dense/pytorch_model.bin");
    add("pytorch_model.bin.index.json");
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_OK);
    assert_int_equal(role("pytorch_model.bin.index.json"), HD_FILE_SETTINGS);
    assert_int_equal(role("pytorch_model-00002-of-00002.bin"), HD_FILE_WEIGHTS);
    assert_int_equal(role("2_Dense/pytorch_model.bin"), HD_FILE_WEIGHTS);
    assert_int_equal(role("training_args.bin"), HD_FILE_UNUSED);
    assert_int_equal(role("tf_model.h5"), HD_FILE_UNUSED);
    add("pytorch_model.bin");
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_OK);
    assert_int_equal(role("pytorch_model.bin"), HD_FILE_WEIGHTS);
    assert_int_equal(role("pytorch_model-00002-of-00002.bin"), HD_FILE_UNUSED);
}

static void names_gguf_files(void **state)
{
    (void)state;
    const hd_modules none = {0};
    add("README.md");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "owner/name: has no config.json"));
    add("model.Q8_0.gguf");
    assert_int_equal(hd__file_list_choose(&list, &none, &err), HD_ERR_UNSUPPORTED);
    assert_non_null(
        strstr(err.text, "owner/name: holds GGUF files, such as model.Q8_0.gguf: fetch one of them and give its path"));
}

static void refuses_paths_that_lead_out(void **state)
{
    (void)state;
    static const char *const paths[] = {"",      "/a", "..",   "../a", "a/../b", "a/..", ".",    "./a",
                                        "a/./b", "a/", "a//b", "a\\b", "C:a",    "a\nb", "a\x7f"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        hd_remote_file file = {.path = paths[i]};
        assert_int_equal(hd__file_list_add(&list, &file, &err), HD_ERR_FORMAT);
    }
    add("a..b/.hidden/...");
    char longest[HD_LIMIT_PATH_BYTES + 1];
    memset(longest, 'a', sizeof longest);
    longest[HD_LIMIT_PATH_BYTES - 1] = '\0';
    add(longest);
    longest[HD_LIMIT_PATH_BYTES - 1] = 'a';
    longest[HD_LIMIT_PATH_BYTES] = '\0';
    hd_remote_file file = {.path = longest};
    assert_int_equal(hd__file_list_add(&list, &file, &err), HD_ERR_FORMAT);
}

static void limits_the_number_of_files(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HD_LIMIT_MODEL_FILES; i++)
        add("model-1.safetensors");
    hd_remote_file file = {.path = "a"};
    assert_int_equal(hd__file_list_add(&list, &file, &err), HD_ERR_LIMIT);
    hd_modules modules = {.present = true, .n = HD_LIMIT_MODULES};
    for (uint32_t i = 0; i < modules.n; i++) {
        modules.modules[i].type = "Dense";
        modules.modules[i].path = "";
    }
    assert_int_equal(hd__file_list_choose(&list, &modules, &err), HD_ERR_UNSUPPORTED); /* and in no time */
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    hd_status status;
    uint64_t n = 0;
    do {
        hd_remote_file file = {.path = "config.json"};
        hd__arena_clear(&arena);
        list = (hd_file_list){.arena = &arena, .source = "s"};
        hd__alloc_fail_after(n++, UINT64_MAX);
        status = HD_OK;
        for (int i = 0; i < 100 && status == HD_OK; i++)
            status = hd__file_list_add(&list, &file, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    } while (status != HD_OK);
    assert_true(n > 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(takes_what_is_needed),
        TEST(takes_a_table_for_queries),
        TEST(takes_both_sides),
        TEST(takes_adapters_of_tasks),
        TEST(takes_an_adapter),
        TEST(takes_shards_that_have_an_index),
        TEST(takes_torch_files_where_there_are_no_others),
        TEST(names_gguf_files),
        TEST(refuses_paths_that_lead_out),
        TEST(limits_the_number_of_files),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
