/* The store that vectors are shared through, as the engine asks it: a store of this test's own, which answers at once,
 * later, wrongly or not at all. */
#include "engine/lookup.h"

#include <math.h>
#include <pthread.h>

#include "base/alloc.h"
#include "engine/engine_int.h"
#include "unit/engine_fixture.h"

enum { N = 40, MOST = 256, WIDTH = 1024 };

typedef struct fake {
    pthread_mutex_t lock;
    hd_store_key keys[MOST];
    float vectors[MOST][WIDTH];
    size_t widths[MOST], n, n_gets, n_asked;
    bool away, refuses, holds; /* holds: answers come with answer_held */
    hd_store_request *held;
} fake;

static bool fake_ready(void *data)
{
    return !((fake *)data)->away;
}

static void answer(fake *f, hd_store_request *request)
{
    for (size_t i = 0; i < request->n; i++)
        for (size_t k = 0; k < f->n; k++)
            if (strcmp(f->keys[k].hex, request->keys[i].hex) == 0 && f->widths[k] == request->width) {
                memcpy(request->vectors + i * request->width, f->vectors[k], request->width * sizeof(float));
                request->found[i] = true;
            }
    request->done(request);
}

static bool fake_get(void *data, hd_store_request *request)
{
    fake *f = data;
    if (f->refuses)
        return false;
    f->n_gets++;
    f->n_asked += request->n;
    if (f->holds)
        f->held = request;
    else
        answer(f, request);
    return true;
}

static void fake_put(void *data, const hd_store_key *key, const float *vector, size_t n)
{
    fake *f = data;
    pthread_mutex_lock(&f->lock);
    if (f->n < MOST && n <= WIDTH) {
        f->keys[f->n] = *key;
        f->widths[f->n] = n;
        memcpy(f->vectors[f->n++], vector, n * sizeof *vector);
    }
    pthread_mutex_unlock(&f->lock);
}

static void fake_stats(void *data, hd_store_stats *stats)
{
    *stats = (hd_store_stats){.connected = !((fake *)data)->away};
}

static fake store_data = {.lock = PTHREAD_MUTEX_INITIALIZER};
static const hd_vector_store store = {fake_ready, fake_get, fake_put, fake_stats, &store_data};

static void reset(void)
{
    memset(&store_data, 0, sizeof store_data);
    pthread_mutex_init(&store_data.lock, NULL);
}

static hd_engine *open_sharing(uint64_t cache_bytes)
{
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = cache_bytes});
    hd__engine_set_store(engine, &store);
    return engine;
}

/* What one engine computed another one finds, to the bit; options of the vector do not matter. */
static void test_shared(void **state)
{
    (void)state;
    reset();
    float *vectors[2];
    size_t width = 0;
    for (int i = 0; i < 2; i++) {
        hd_engine *engine = open_sharing(i == 0 ? 0 : 1 << 20);
        hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
        width = width_of(model);
        vectors[i] = encode_some(model, N);
        hd_engine_stats stats = stats_of(engine);
        assert_true(stats.has_store && stats.store_connected);
        assert_int_equal(stats.n_texts, i == 0 ? N : 0);
        assert_int_equal(stats.store_hits, i == 0 ? 0 : N);
        assert_int_equal(stats.store_misses, i == 0 ? N : 0);
        if (i == 1) { /* now in its own cache */
            free(encode_some(model, N));
            assert_int_equal(store_data.n_gets, 2);
            hd_encode_stats call;
            float short_one[8];
            MUST(hd_encode(model, some_texts(1), 1, &(hd_encode_options){.dimensions = 8}, short_one, &call, &err));
            assert_int_equal(call.n_cached, 1);
            assert_int_equal(call.n_tokens, 0);
        }
        hd_engine_close(engine);
    }
    assert_int_equal(store_data.n, N);
    assert_memory_equal(vectors[0], vectors[1], N * width * sizeof(float));
    free(vectors[0]);
    free(vectors[1]);
}

/* Partly there: rows stay in order. A vector with a NaN is computed again. */
static void test_mixed(void **state)
{
    (void)state;
    reset();
    hd_engine *engine = open_sharing(0);
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    const size_t width = width_of(model);
    float *wanted = encode_some(model, N);
    store_data.n = N / 2;
    store_data.vectors[0][width - 1] = NAN;
    hd_encode_stats stats;
    float *got = malloc(N * width * sizeof *got);
    MUST(hd_encode(model, some_texts(N), N, NULL, got, &stats, &err));
    assert_int_equal(stats.n_cached, N / 2 - 1);
    assert_true(stats.n_tokens > 0);
    assert_memory_equal(got, wanted, N * width * sizeof *got);
    free(got);
    free(wanted);
    hd_engine_close(engine);
}

static void test_away(void **state)
{
    (void)state;
    reset();
    hd_engine *engine = open_sharing(0);
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    store_data.away = true;
    free(encode_some(model, N));
    store_data.away = false;
    store_data.refuses = true;
    free(encode_some(model, N));
    assert_int_equal(store_data.n_gets, 0);
    assert_int_equal(stats_of(engine).n_texts, 2 * N);
    hd_engine_close(engine);
}

/* Models, poolings and types never share; the same model in another folder does. */
static void test_apart(void **state)
{
    (void)state;
    reset();
    static const struct {
        const char *model, *pooling;
        hd_dtype dtype;
        bool shares;
    } cases[] = {
        {"tiny-mrl", NULL, HD_DTYPE_F32, false}, {"tiny-mrl", "cls", HD_DTYPE_F32, false},
        {"tiny-cls", NULL, HD_DTYPE_F32, false}, {"tiny-mrl", NULL, HD_DTYPE_INT8, false},
        {"tiny-mrl", NULL, HD_DTYPE_F32, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_engine *engine = open_sharing(0);
        hd_model *model;
        MUST(hd_model_open(engine, tiny_model_dir(&folder, cases[i].model),
                           &(hd_model_options){.dtype = cases[i].dtype, .pooling = cases[i].pooling}, &model, &err));
        free(encode_some(model, 4));
        assert_int_equal(stats_of(engine).store_hits, cases[i].shares ? 4 : 0);
        hd_engine_close(engine);
    }
}

/* Both sides of a model with one transformer are in the store, each with its own vectors. */
static void test_sides(void **state)
{
    (void)state;
    enum { OUT = 40 };
    static const char *const sides[] = {"query", "document"};
    float vectors[2][2][OUT];
    reset();
    for (int turn = 0; turn < 2; turn++) {
        hd_engine *engine = open_sharing(0);
        hd_model *model = open_model(engine, "tiny-asym", HD_DTYPE_F32);
        for (int i = 0; i < 2; i++) {
            const hd_encode_options options = {.prompt_name = sides[i]};
            MUST(hd_encode(model, some_texts(1), 1, &options, vectors[turn][i], NULL, &err));
        }
        assert_int_equal(stats_of(engine).store_hits, 2 * turn);
        hd_engine_close(engine);
    }
    assert_int_equal(store_data.n, 2);
    assert_memory_equal(vectors[0], vectors[1], sizeof vectors[0]);
    assert_memory_not_equal(vectors[0][0], vectors[0][1], sizeof vectors[0][0]);
}

/* Cancelled while the store is asked: the job ends when it has answered, and computes nothing. */
static void test_cancel(void **state)
{
    (void)state;
    reset();
    hd_engine *engine = open_sharing(0);
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    float *out = malloc(N * width_of(model) * sizeof *out);
    hd_job *job;
    store_data.holds = true;
    MUST(hd_job_start(model, some_texts(N), N, NULL, out, &job, &err));
    hd_job_cancel(job);
    answer(&store_data, store_data.held);
    must_fail(hd_job_wait(job, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    MUST(hd_job_start(model, some_texts(N), N, NULL, out, &job, &err)); /* and not cancelled */
    answer(&store_data, store_data.held);
    MUST(hd_job_wait(job, NULL, &err));
    assert_int_equal(stats_of(engine).n_texts, N);
    free(out);
    hd_engine_close(engine);
}

static void test_no_memory(void **state)
{
    (void)state;
    reset();
    for (uint64_t n = 0;; n++) {
        hd_engine *engine = open_sharing(0);
        hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
        float *out = malloc(4 * width_of(model) * sizeof *out);
        hd__alloc_fail_after(n, UINT64_MAX);
        const hd_status status = hd_encode(model, some_texts(4), 4, NULL, out, NULL, &err);
        hd__alloc_fail_off();
        free(out);
        hd_engine_close(engine);
        if (status == HD_OK)
            break;
        assert_int_equal(status, HD_ERR_MEMORY);
    }
}

static void test_keys(void **state)
{
    (void)state;
    const int32_t ids[] = {101, 7, 102};
    hd_store_key a, b;
    MUST(hd__store_key_make("id", 0, 0, ids, 3, &a, &err));
    MUST(hd__store_key_make("id", 0, 0, ids, 3, &b, &err));
    assert_string_equal(a.hex, b.hex);
    assert_int_equal(strlen(a.hex), 64);
    MUST(hd__store_key_make("id", 1, 0, ids, 3, &b, &err));
    assert_string_not_equal(a.hex, b.hex);
    MUST(hd__store_key_make("id", 0, 1, ids, 3, &b, &err));
    assert_string_not_equal(a.hex, b.hex);
    MUST(hd__store_key_make("id", 0, 0, ids, 2, &b, &err));
    assert_string_not_equal(a.hex, b.hex);
    MUST(hd__store_key_make("ie", 0, 0, ids, 3, &b, &err));
    assert_string_not_equal(a.hex, b.hex);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls tiny-mrl");
    return run_in_models("python3 tools/make_tiny_architectures.py \"$models\" tiny-asym");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared),    cmocka_unit_test(test_mixed), cmocka_unit_test(test_away),
        cmocka_unit_test(test_apart),     cmocka_unit_test(test_sides), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
