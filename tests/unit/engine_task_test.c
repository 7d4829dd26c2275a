/* Tasks chosen per call (jina-embeddings-v3) on tiny-jina-v3 of make_tiny_architectures.py: beside what the reference makes
 * of the same ids with each of its adapters (tests/golden/architectures), in one queue, in the vector cache, from packed
 * weights, and adapters that do not fit.
 */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>

#include "base/alloc.h"

enum { N_TASKS = 3, N = 40, WIDTH = 48, N_SEQUENCES = 7, MOST_TOKENS = 160 };

static const char *const tasks[N_TASKS + 1] = {NULL, "retrieval.query", "retrieval.passage", "separation"};

static hd_encode_options for_task(size_t i)
{
    return (hd_encode_options){.task = tasks[i]};
}

/* ---- beside the reference ---- */

static void read_golden(const char *task, float *rows)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/architectures/tiny-jina-v3%s%s.f32", task != NULL ? "-" : "",
             task != NULL ? task : "");
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(rows, sizeof *rows, N_SEQUENCES * WIDTH, f), N_SEQUENCES * WIDTH);
    fclose(f);
}

static void check_task(hd_model *model, const json_t *sequences, const char *task)
{
    static float golden[N_SEQUENCES * WIDTH], out[N_SEQUENCES * WIDTH];
    static int32_t ids[N_SEQUENCES][MOST_TOKENS];
    static const hd_text nothing[N_SEQUENCES];
    hd_token_ids given[N_SEQUENCES];
    read_golden(task, golden);
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        const json_t *sequence = json_array_get(sequences, i);
        given[i] = (hd_token_ids){.ids = ids[i], .n = json_array_size(sequence)};
        for (size_t k = 0; k < given[i].n; k++)
            ids[i][k] = (int32_t)json_integer_value(json_array_get(sequence, k));
    }
    hd_job *job;
    const hd_encode_options options = {.task = task};
    const hd_job_options job_options = {.ids = given};
    MUST(hd_job_submit(model, nothing, N_SEQUENCES, &options, &job_options, out, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        const double cosine = (double)hd_cosine(out + i * WIDTH, golden + i * WIDTH, WIDTH);
        if (!(cosine >= 0.99999))
            fail_msg("%s, sequence %zu: cosine %.7f", task != NULL ? task : "no task", i, cosine);
    }
}

static void test_reference(void **state)
{
    (void)state;
    json_t *manifest = json_load_file("tests/golden/architectures/manifest.json", 0, NULL);
    const json_t *sequences = json_object_get(manifest, "ids");
    assert_int_equal(json_array_size(sequences), N_SEQUENCES);
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-jina-v3", HD_DTYPE_F32);
    hd_model_info info;
    hd_model_get_info(model, &info);
    assert_int_equal(info.n_tasks, N_TASKS);
    for (size_t i = 0; i <= N_TASKS; i++) {
        if (i > 0)
            assert_string_equal(info.tasks[i - 1], tasks[i]);
        check_task(model, sequences, tasks[i]);
    }
    hd_engine_close(engine);
    json_decref(manifest);
}

/* ---- prompts ---- */

static void encode(hd_model *model, hd_encode_options options, float *out)
{
    MUST(hd_encode(model, some_texts(N), N, &options, out, NULL, &err));
}

static void test_prompts(void **state)
{
    (void)state;
    static float own[N * WIDTH], other[N * WIDTH];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-jina-v3", HD_DTYPE_F32);
    encode(model, (hd_encode_options){.task = "retrieval.query"}, own);
    encode(model, (hd_encode_options){.task = "retrieval.query", .prompt = "Represent the query: "}, other);
    assert_memory_equal(own, other, sizeof own);
    encode(model, (hd_encode_options){.task = "retrieval.query", .prompt = ""}, other);
    assert_memory_not_equal(own, other, sizeof own);
    encode(model, (hd_encode_options){.task = "separation"}, own);
    encode(model, (hd_encode_options){.task = "separation", .prompt = ""}, other);
    assert_memory_equal(own, other, sizeof own);
    must_fail(hd_encode(model, some_texts(1), 1, &(hd_encode_options){.task = "query"}, own, NULL, &err), HD_ERR_NOT_FOUND,
              "no task named \"query\"; it has: retrieval.query, retrieval.passage, separation");
    hd_engine_close(engine);
    engine = open_engine((hd_engine_options){.n_threads = 1});
    model = open_model(engine, "tiny-flash-reranker", HD_DTYPE_F32);
    must_fail(hd_encode(model, some_texts(1), 1, &(hd_encode_options){.task = ""}, own, NULL, &err), HD_ERR_NOT_FOUND,
              "it has: none");
    hd_engine_close(engine);
}

/* ---- in one queue, in the cache ---- */

/* The same texts for every task at once: none gets what another task made of the same tokens. */
static void check_together(uint64_t cache_bytes, hd_dtype dtype)
{
    static float alone[N_TASKS + 1][N * WIDTH], together[3 * (N_TASKS + 1)][N * WIDTH];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-jina-v3", dtype);
    for (size_t i = 0; i <= N_TASKS; i++) {
        hd_encode_options options = for_task(i);
        options.prompt = "";
        encode(model, options, alone[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(alone[i], alone[k], sizeof alone[i]);
    }
    hd_engine_close(engine);
    engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = cache_bytes});
    model = open_model(engine, "tiny-jina-v3", dtype);
    hd_job *jobs[3 * (N_TASKS + 1)];
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        hd_encode_options options = for_task(i % (N_TASKS + 1));
        options.prompt = "";
        MUST(hd_job_start(model, some_texts(N), N, &options, together[i], &jobs[i], &err));
    }
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        MUST(hd_job_wait(jobs[i], NULL, &err));
        assert_memory_equal(together[i], alone[i % (N_TASKS + 1)], sizeof alone[0]);
    }
    for (size_t i = 0; i <= N_TASKS; i++) { /* from the cache, where there is one */
        hd_encode_options options = for_task(i);
        options.prompt = "";
        encode(model, options, together[0]);
        assert_memory_equal(together[0], alone[i], sizeof alone[0]);
    }
    hd_engine_close(engine);
}

static void test_together(void **state)
{
    (void)state;
    check_together(0, HD_DTYPE_F32);
    check_together(1 << 20, HD_DTYPE_F32);
    check_together(1 << 20, HD_DTYPE_BF16);
    check_together(1 << 20, HD_DTYPE_INT8);
}

/* ---- packed ---- */

static void test_packed(void **state)
{
    (void)state;
    static float first[N * WIDTH], next[N * WIDTH];
    const hd_engine_options options = {.n_threads = 1, .cache_dir = scratch_path(&folder, "cache")};
    for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
        for (size_t i = 0; i < 2; i++) {
            hd_engine *engine = open_engine(options);
            encode(open_model(engine, "tiny-jina-v3", dtype), for_task(2), i == 0 ? first : next);
            hd_engine_close(engine);
        }
        assert_memory_equal(first, next, sizeof first);
    }
    /* another scale of the adapters makes other weights of the same tensors */
    change_file("scaled", "config.json", "\"lora_alpha\": 1", "\"lora_alpha\": 2");
    hd_engine *engine = open_engine(options);
    encode(open_model(engine, "scaled", HD_DTYPE_F32), for_task(2), first);
    hd_engine_close(engine);
    engine = open_engine(options);
    encode(open_model(engine, "tiny-jina-v3", HD_DTYPE_F32), for_task(2), next);
    assert_memory_not_equal(first, next, sizeof first);
    hd_engine_close(engine);
}

/* ---- what does not fit ---- */

static void must_not_load(const char *name, const char *says)
{
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    must_fail(hd_model_load(open_model(engine, name, HD_DTYPE_F32), &err), HD_ERR_FORMAT, says);
    hd_engine_close(engine);
}

static void test_misfits(void **state)
{
    (void)state;
    change_file("misfit", "config.json", "\"lora_rank\": 4", "\"lora_rank\": 3");
    must_not_load("misfit", "lora_A\" has 3 dimensions [3, …], config.json says [3, ");
    change_file("misfit", "config.json", "\"lora_rank\": 3", "\"lora_rank\": 4");
    change_file("misfit", "config.json", "\"separation\"\n", "\"separation\", \"a fourth\"\n");
    must_not_load("misfit", "config.json says [4, ");
    change_file("misfit", "model.safetensors", "fc2.parametrizations.weight.0.lora_B",
                "fc2.parametrizations.weight.0.lora_X");
    change_file("misfit", "config.json", "\"separation\", \"a fourth\"\n", "\"separation\"\n");
    must_not_load("misfit", "encoder.layers.0.mlp.fc2.parametrizations.weight.0.lora_B\" is missing");
}

/* Every allocation of opening the model and of a call for a task fails once. */
static void test_no_memory(void **state)
{
    (void)state;
    static float out[WIDTH];
    for (uint64_t n = 0;; n++) {
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
        hd_model *model = NULL;
        hd__alloc_fail_after(n, UINT64_MAX);
        hd_status status = hd_model_open(engine, tiny_model_dir(&folder, "tiny-jina-v3"),
                                         &(hd_model_options){.dtype = HD_DTYPE_INT8}, &model, &err);
        if (status == HD_OK)
            status = hd_encode(model, some_texts(1), 1, &(hd_encode_options){.task = "separation"}, out, NULL, &err);
        hd__alloc_fail_off();
        hd_engine_close(engine);
        if (status == HD_OK)
            break;
        assert_int_equal(status, HD_ERR_MEMORY);
    }
}

static int set_up(void **state)
{
    (void)state;
    some_texts(N);
    scratch_begin(&folder);
    return run_in_models(
        "python3 tools/make_tiny_architectures.py \"$models\" tiny-jina-v3 tiny-flash-reranker && cd \"$models\" && "
        "cp -r tiny-jina-v3 scaled && cp -r tiny-jina-v3 misfit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_prompts), cmocka_unit_test(test_together),
        cmocka_unit_test(test_packed),    cmocka_unit_test(test_misfits), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
