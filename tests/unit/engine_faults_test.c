/* Every allocation of a model's life fails once and for good, and once alone: a clean error, nothing lost, and the same
 * engine works afterwards. */
#include "unit/engine_fixture.h"

#include "base/alloc.h"
#include "base/log.h"

enum { N = 30, WIDTH = 64, MOST_ALLOCATIONS = 100000 };

static float wanted[N * WIDTH];

/* Goes through everything; whichever call fails first says so. Every object that was made is freed. */
static hd_status whole_life(const hd_engine_options *options, const char *dir, hd_dtype dtype, float *out)
{
    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_tokens tokens = {0};
    hd_status status = hd_engine_open(options, &engine, &err);
    if (status == HD_OK)
        status = hd_model_open(engine, dir, &(hd_model_options){.dtype = dtype}, &model, &err);
    if (status == HD_OK)
        status = hd_model_load(model, &err);
    if (status == HD_OK)
        status = hd_encode(model, some_texts(N), N, &(hd_encode_options){.prompt = "query: "}, out, NULL, &err);
    if (status == HD_OK)
        status = hd_tokenize(model, some_texts(N)[3], NULL, &tokens, &err);
    hd_tokens_free(&tokens);
    hd_engine_close(engine);
    return status;
}

/* count: how many allocations fail in a row. */
static void fail_each(hd_engine_options options, const char *name, hd_dtype dtype, uint64_t count)
{
    static float out[N * WIDTH];
    char dir[256];
    snprintf(dir, sizeof dir, "%s", tiny_model_dir(&folder, name));
    options.n_threads = 1;
    MUST(whole_life(&options, dir, dtype, wanted));
    if (options.cache_dir != NULL)
        scratch_wipe(options.cache_dir);
    uint64_t first = hd__alloc_count();
    MUST(whole_life(&options, dir, dtype, out));
    const uint64_t n_allocations = hd__alloc_count() - first, step = n_allocations > 1500 ? 7 : 1;
    assert_true(n_allocations > 20 && n_allocations < MOST_ALLOCATIONS);
    uint64_t n_failed = 0;
    for (uint64_t n = 0; n < n_allocations; n += step) {
        if (options.cache_dir != NULL && n % 2 == 0)
            scratch_wipe(options.cache_dir); /* packs; else maps */
        hd__alloc_fail_after(n, count);
        hd_status status = whole_life(&options, dir, dtype, out);
        hd__alloc_fail_off();
        n_failed += status != HD_OK;
        if (status != HD_OK && (status != HD_ERR_MEMORY || err.status != HD_ERR_MEMORY))
            fail_msg("%s: allocation %llu: %s: %s", name, (unsigned long long)n, hd_status_name(status), err.text);
        if (status == HD_OK)
            assert_memory_equal(out, wanted, sizeof out);
    }
    assert_true(n_failed > n_allocations / step / 4);
}

static void test_life(void **state)
{
    (void)state;
    fail_each((hd_engine_options){.no_packed_cache = true}, "tiny-cls", HD_DTYPE_F32, UINT64_MAX);
    fail_each((hd_engine_options){.no_packed_cache = true, .cache_bytes = 1 << 20}, "tiny-cls", HD_DTYPE_INT8, UINT64_MAX);
}

static void test_life_packed(void **state)
{
    (void)state;
    char cache[128];
    snprintf(cache, sizeof cache, "%s", scratch_path(&folder, "cache"));
    fail_each((hd_engine_options){.cache_dir = cache}, "tiny-cls", HD_DTYPE_BF16, UINT64_MAX);
    fail_each((hd_engine_options){.cache_dir = cache}, "tiny-cls", HD_DTYPE_INT8, 1);
}

static void test_one_failure(void **state)
{
    (void)state;
    fail_each((hd_engine_options){.no_packed_cache = true}, "tiny-cls", HD_DTYPE_F32, 1);
}

/* The same engine and model go on after a failure at any point of load and encode. */
static void test_goes_on(void **state)
{
    (void)state;
    static float out[N * WIDTH];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    MUST(hd_encode(model, some_texts(N), N, NULL, wanted, NULL, &err));
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_true(n < MOST_ALLOCATIONS);
        if (n % 3 == 0)
            MUST(hd_model_unload(model, &err));
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd_encode(model, some_texts(N), N, NULL, out, NULL, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        MUST(hd_encode(model, some_texts(N), N, NULL, out, NULL, &err));
        assert_memory_equal(out, wanted, sizeof out);
    }
    hd_engine_close(engine);
}

/* A worker without memory for its scratch takes halves: no text is lost. Only the scratch of a fresh load is refused. */
static void test_halves(void **state)
{
    (void)state;
    static float out[N * WIDTH];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    MUST(hd_encode(model, some_texts(N), N, NULL, wanted, NULL, &err));
    for (uint64_t n_refused = 1; n_refused < 6; n_refused++) {
        MUST(hd_model_unload(model, &err));
        MUST(hd_model_load(model, &err));
        uint64_t n_before = hd__alloc_count();
        hd_job *job;
        MUST(hd_job_start(model, some_texts(N), 0, NULL, NULL, &job, &err));
        uint64_t n_empty = hd__alloc_count() - n_before; /* job and sequences, no tokens */
        MUST(hd_job_wait(job, NULL, &err));
        for (uint64_t skip = n_empty; skip < n_empty + 12; skip++) { /* ids grow a few times, then comes the scratch */
            MUST(hd_model_unload(model, &err));
            MUST(hd_model_load(model, &err));
            hd__alloc_fail_after(skip, n_refused);
            hd_status status = hd_encode(model, some_texts(N), N, NULL, out, NULL, &err);
            hd__alloc_fail_off();
            if (status != HD_OK)
                fail_msg("%s", err.text);
            assert_memory_equal(out, wanted, sizeof out);
        }
    }
    hd_engine_close(engine);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    hd__log_set_level(HD_LOG_ERROR); /* that the packed file cannot be kept is warned of, many times */
    tiny_models_make(&folder, "tiny-cls");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),    cmocka_unit_test(test_life_packed), cmocka_unit_test(test_one_failure),
        cmocka_unit_test(test_goes_on), cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
