/* Adapters of PEFT's for whole models, merged into the weights: beside them or in a folder of their own, in every type, from
 * the cache of packed weights; what they do not fit. What they make of a model is in tests/golden/architectures.
 */
#include "unit/engine_fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum { WIDTH = 64 };

static char cache[256];

static hd_status open_in(hd_engine *engine, const char *name, hd_dtype dtype, hd_model **model)
{
    return hd_model_open(engine, tiny_model_dir(&folder, name), &(hd_model_options){.dtype = dtype}, model, &err);
}

/* A text's vector by a model that is opened for it alone, with the cache of packed weights. */
static void encode(const char *name, hd_dtype dtype, float out[WIDTH])
{
    const hd_text text = text_of("a river of music in the garden");
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_dir = cache});
    hd_model *model;
    MUST(open_in(engine, name, dtype, &model));
    assert_int_equal(width_of(model), WIDTH);
    MUST(hd_encode(model, &text, 1, NULL, out, NULL, &err));
    hd_model_close(model);
    hd_engine_close(engine);
}

static void run_script(const char *script)
{
    assert_int_equal(run_in_models(script), 0);
}

/* The cache tells the merged weights from the plain, and one scale from another; the same weights are the same bits. */
static void test_packed(void **state)
{
    (void)state;
    for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
        float merged[WIDTH], again[WIDTH], scaled[WIDTH], plain[WIDTH];
        run_script("cp -r \"$models/tiny-bert-lora\" \"$models/changing\"");
        encode("changing", dtype, merged);
        encode("changing", dtype, again);
        assert_memory_equal(merged, again, sizeof merged);
        run_script("sed -i 's/\"lora_alpha\": 10/\"lora_alpha\": 11/' \"$models/changing/adapter_config.json\"");
        encode("changing", dtype, scaled);
        assert_memory_not_equal(merged, scaled, sizeof merged);
        run_script("rm \"$models\"/changing/adapter_*");
        encode("changing", dtype, plain);
        assert_memory_not_equal(merged, plain, sizeof merged);
        assert_memory_not_equal(scaled, plain, sizeof merged);
        run_script("cp \"$models\"/tiny-bert-lora/adapter_* \"$models/changing\"");
        encode("changing", dtype, again);
        assert_memory_equal(merged, again, sizeof merged);
        run_script("rm -r \"$models/changing\"");
    }
}

/* In a folder of its own, whose base is a path or a name in Heddle's cache; with the base's tokenizer, or with one of its
 * own. */
static void test_apart(void **state)
{
    (void)state;
    float beside[WIDTH], apart[WIDTH];
    hd_model_info info;
    hd_model *model;
    run_script("cp -r \"$models/tiny-modernbert-lora\" \"$models/beside\"\n"
               "cp \"$models\"/tiny-modernbert-lora-base/* \"$models/beside\"\n"
               "cp -r \"$models/tiny-modernbert-lora\" \"$models/named\"\n"
               "mkdir -p \"$models/../cache/models/owner\"\n"
               "cp -r \"$models/tiny-modernbert-lora-base\" \"$models/../cache/models/owner/base\"\n"
               "mv \"$models\"/named/tokenizer* \"$models\"/named/vocab.txt \"$models/../cache/models/owner/base\"\n"
               "sed -i 's/\"base_model_name_or_path\": \"[^\"]*\"/\"base_model_name_or_path\": \"owner\\/base\"/' "
               "\"$models/named/adapter_config.json\"");
    for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
        encode("beside", dtype, beside);
        encode("tiny-modernbert-lora", dtype, apart);
        assert_memory_equal(beside, apart, sizeof beside);
        encode("named", dtype, apart);
        assert_memory_equal(beside, apart, sizeof beside);
    }
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cache});
    MUST(open_in(engine, "named", HD_DTYPE_F32, &model));
    hd_model_get_info(model, &info);
    assert_non_null(strstr(info.path, "/named"));
    assert_non_null(strstr(info.base_path, "/cache/models/owner/base"));
    hd_model_close(model);
    MUST(open_in(engine, "beside", HD_DTYPE_F32, &model));
    hd_model_get_info(model, &info);
    assert_null(info.base_path);
    hd_model_close(model);
    hd_engine_close(engine);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *script; /* on a copy of tiny-modernbert-lora, whose base is apart */
        hd_status status;
        const char *says;
    } on_open[] =
        {
            {"sed -i 's/\"base_model_name_or_path\": \"[^\"]*\"/\"base_model_name_or_path\": \"owner\\/none\"/' "
             "adapter_config.json",
             HD_ERR_NOT_FOUND, "heddle pull owner/none"},
            {"sed -i 's/\"base_model_name_or_path\": \"[^\"]*\"/\"base_model_name_or_path\": \"\"/' adapter_config.json",
             HD_ERR_UNSUPPORTED, "no \"base_model_name_or_path\""},
            {"cp -r . ../twice; sed -i \"s|\\\"base_model_name_or_path\\\": "
             "\\\"[^\\\"]*\\\"|\\\"base_model_name_or_path\\\": "
             "\\\"$(realpath ../twice)\\\"|\" adapter_config.json",
             HD_ERR_NOT_FOUND, "twice/config.json"},
            {"touch ../a.gguf; sed -i \"s|\\\"base_model_name_or_path\\\": "
             "\\\"[^\\\"]*\\\"|\\\"base_model_name_or_path\\\": "
             "\\\"$(realpath ../a.gguf)\\\"|\" adapter_config.json",
             HD_ERR_UNSUPPORTED, "a GGUF file"},
            {"sed -i 's/\"bias\": \"none\"/\"bias\": \"all\"/' adapter_config.json", HD_ERR_UNSUPPORTED,
             "\"bias\" is \"all\""},
        },
      on_load[] = {
          {"rm adapter_model.safetensors", HD_ERR_NOT_FOUND, "neither adapter_model.safetensors"},
          {"sed -i 's/layers.0.attn.Wqkv.lora/layers.7.attn.Wqkv.lora/g' adapter_model.safetensors", HD_ERR_UNSUPPORTED,
           "layers.7.attn.Wqkv.lora_A.weight\" changes no module"},
          {"sed -i 's/layers.0.attn.Wqkv.lora/layers.0.attn.Wqkx.lora/g; s/layers.0.attn.Wo.lora/layers.0.attn.Wqkv.lora/g; "
           "s/layers.0.attn.Wqkx.lora/layers.0.attn.Wo.lora/g' adapter_model.safetensors",
           HD_ERR_FORMAT, "do not fit"},
          {"sed -i 's/\"r\": 5/\"r\": 6/' adapter_config.json", HD_ERR_FORMAT, "are not [6, …]"},
      };
    const hd_text text = text_of("a river");
    float out[WIDTH];
    const size_t n_open = sizeof on_open / sizeof *on_open, n_load = sizeof on_load / sizeof *on_load;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cache});
    for (size_t i = 0; i < n_open + n_load; i++) {
        char script[2048];
        hd_model *model;
        snprintf(script, sizeof script,
                 "rm -rf \"$models/twice\" \"$models/bad\"\n"
                 "cp -r \"$models/tiny-modernbert-lora\" \"$models/bad\"; cd \"$models/bad\"; %s",
                 i < n_open ? on_open[i].script : on_load[i - n_open].script);
        run_script(script);
        hd_status status = open_in(engine, "bad", HD_DTYPE_F32, &model);
        if (i < n_open) {
            must_fail(status, on_open[i].status, on_open[i].says);
            continue;
        }
        MUST(status);
        status = hd_encode(model, &text, 1, NULL, out, NULL, &err);
        must_fail(status, on_load[i - n_open].status, on_load[i - n_open].says);
        hd_model_close(model);
    }
    hd_engine_close(engine);
}

/* Adapters in the Hugging Face cache that name each other, and one that names itself. */
static void test_circle(void **state)
{
    (void)state;
    static const char *const names[] = {"o/a", "o/b", "o/c"};
    char hub[sizeof folder.dir + 8];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cache});
    run_script(
        "for pair in a:b b:a c:c; do\n"
        "  repo=\"$models/../hub/models--o--${pair%:*}\"; mkdir -p \"$repo/refs\" \"$repo/snapshots\"\n"
        "  printf 0123456789abcdef0123456789abcdef01234567 >\"$repo/refs/main\"\n"
        "  cp -r \"$models/tiny-modernbert-lora\" \"$repo/snapshots/0123456789abcdef0123456789abcdef01234567\"\n"
        "  sed -i \"s|\\\"base_model_name_or_path\\\": \\\"[^\\\"]*|\\\"base_model_name_or_path\\\": \\\"o/${pair#*:}|\" "
        "\"$repo/snapshots/0123456789abcdef0123456789abcdef01234567/adapter_config.json\"\n"
        "done");
    snprintf(hub, sizeof hub, "%s/hub", folder.dir);
    assert_int_equal(setenv("HF_HUB_CACHE", hub, 1), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        hd_model *model;
        must_fail(hd_model_open(engine, names[i], NULL, &model, &err), HD_ERR_NOT_FOUND, "config.json: no such file");
    }
    assert_int_equal(unsetenv("HF_HUB_CACHE"), 0);
    hd_engine_close(engine);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    snprintf(cache, sizeof cache, "%s/cache", folder.dir);
    return run_in_models("python3 tools/make_tiny_architectures.py \"$models\" tiny-bert-lora tiny-modernbert-lora");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_circle),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
