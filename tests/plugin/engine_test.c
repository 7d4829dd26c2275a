/* engine_test.c - an engine with devices: the same vectors as on the CPU, also while a device fails in every way it can, and
 * nothing left behind. The device is host_plugin.h's, and fails on command; or plugins/cuda's on the simulated GPU, which
 * takes the same orders (cuda_sim/engine_control.c).
 */
#include "unit/engine_fixture.h"

#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/log.h"
#include "cuda/products.h"
#include "device/accelerator.h"
#include "host_plugin.h"
#include "sanitized.h"

enum { N = SANITIZED ? 12 : 40, WIDTH = 64 };

static const uint64_t gigabyte = (uint64_t)1 << 30;
static float wanted[N * WIDTH]; /* of the CPU */
static host_plugin_control_fn *control;
static bool is_simulated;
static const char *hardware = "host memory", *failure = "told to fail";
static uint64_t stream_bytes; /* what the plugin takes of a device's memory for a stream */
static char logged[4096];

/* ---- the two sides ---- */

static void log_line(hd_log_level level, const char *line, void *data)
{
    (void)level, (void)data;
    const size_t at = strlen(logged);
    snprintf(logged + at, sizeof logged - at, "%s\n", line);
}

static host_plugin_counts counts_of_plugin(void)
{
    host_plugin_counts counts;
    control(NULL, &counts);
    return counts;
}

static void order(hd_plugin_status fails, uint64_t at, uint64_t period, uint32_t n_opens)
{
    const host_plugin_orders orders = {
        .fails = fails, .at = at, .period = period, .n_opens = n_opens, .memory_bytes = gigabyte};
    control(&orders, NULL);
}

static void check_vectors(const char *when, const float *got)
{
    for (size_t i = 0; i < N * WIDTH; i++) {
        if (!(fabs((double)got[i] - (double)wanted[i]) <= 1e-4))
            fail_msg("%s: value %zu of text %zu is %g, not %g", when, i % WIDTH, i / WIDTH, (double)got[i],
                     (double)wanted[i]);
    }
}

/* Of fewer bits. */
static void check_cosines(const char *when, const float *got, const float *right, double least)
{
    for (size_t i = 0; i < N; i++) {
        double ab = 0.0, aa = 0.0, bb = 0.0;
        for (size_t j = i * WIDTH; j < (i + 1) * WIDTH; j++) {
            ab += (double)got[j] * (double)right[j];
            aa += (double)got[j] * (double)got[j];
            bb += (double)right[j] * (double)right[j];
        }
        if (!(ab / sqrt(aa * bb) >= least))
            fail_msg("%s: text %zu has cosine %.6f", when, i, ab / sqrt(aa * bb));
    }
}

static hd_dtype dtype_of(hd_model *model)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    return info.dtype;
}

static void encode_and_check(hd_model *model, const char *when)
{
    float *got = encode_some(model, N);
    check_vectors(when, got);
    free(got);
}

static hd_engine *open_with(const char *device)
{
    return open_engine((hd_engine_options){.n_threads = 2, .device = device});
}

static hd_device_info device_of(hd_engine *engine, uint32_t i)
{
    hd_device_info info;
    assert_true(hd_engine_get_device(engine, i, &info));
    return info;
}

static void check_hardware(const hd_device_info *info, char number)
{
    const char named[] = {' ', number, '\0'};
    assert_int_equal(strncmp(info->hardware, hardware, strlen(hardware)), 0);
    assert_string_equal(info->hardware + strlen(hardware), named);
}

/* The weights of the model that lie on devices. */
static uint64_t bytes_of(hd_model *model)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    return info.device_bytes;
}

/* Nothing of a closed engine's is on a device. */
static void check_nothing_is_left(void)
{
    const host_plugin_counts counts = counts_of_plugin();
    assert_int_equal(counts.n_allocated, 0);
    assert_int_equal(counts.allocated_bytes, 0);
    assert_int_equal(counts.n_streams, 0);
    assert_int_equal(counts.n_pinned, 0);
}

/* ---- tests ---- */

static void test_choice(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda: 1", "cuda:1x", "cuda:16", "CUDA"};
    hd_engine *engine;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        must_fail(hd_engine_open(&(hd_engine_options){.device = wrong[i]}, &engine, &err), HD_ERR_ARG, wrong[i]);
    must_fail(hd_engine_open(&(hd_engine_options){.device_memory_share = 1.5}, &engine, &err), HD_ERR_ARG, "1.5");
    MUST(hd_engine_open(&(hd_engine_options){.device = "cuda:15"}, &engine, &err));
    hd_engine_close(engine);
}

static void test_device_computes(void **state)
{
    (void)state;
    static const char *const choices[] = {NULL, "auto", "cuda", "cuda:0"};
    order(HD_PLUGIN_OK, 0, 0, 0);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        hd_engine *engine = open_with(choices[i]);
        hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
        assert_int_equal(bytes_of(model), 0);
        encode_and_check(model, "on the device");
        const hd_device_info info = device_of(engine, 0);
        assert_string_equal(info.name, "cuda:0");
        check_hardware(&info, '0');
        assert_true(info.is_up && info.used_bytes > 0 && info.n_batches > 0);
        assert_int_equal(info.n_texts, stats_of(engine).n_texts);
        assert_int_equal(info.n_returned, 0);
        assert_in_range(bytes_of(model), 1, info.used_bytes);
        MUST(hd_model_unload(model, &err));
        assert_int_equal(device_of(engine, 0).used_bytes, 0);
        assert_int_equal(bytes_of(model), 0);
        encode_and_check(model, "after it was unloaded");
        hd_engine_close(engine);
        check_nothing_is_left();
    }
}

static void test_cpu_is_chosen(void **state)
{
    (void)state;
    hd_device_info info;
    hd_engine *engine = open_with("cpu");
    assert_int_equal(hd_engine_open_devices(engine), 0);
    encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_F32), "on the CPU");
    assert_false(hd_engine_get_device(engine, 0, &info));
    hd_engine_close(engine);
}

/* Operation after operation fails, from the first upload to the last download: each in an engine of its own. The simulated
 * GPU takes seconds for each. */
static void fail_each(hd_plugin_status how, uint32_t n_opens)
{
    char when[64];
    uint64_t at = 1, n_failures = 0;
    for (bool failed = true; failed; at += 1 + at / (is_simulated ? 4 : 8)) {
        order(HD_PLUGIN_OK, 0, 0, 0);
        const uint64_t before = counts_of_plugin().n_failures;
        hd_engine *engine = open_with("cuda");
        hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
        order(how, at, 0, n_opens);
        snprintf(when, sizeof when, "failure %d at operation %llu", (int)how, (unsigned long long)at);
        encode_and_check(model, when);
        failed = counts_of_plugin().n_failures > before;
        const hd_device_info info = device_of(engine, 0);
        assert_int_equal(info.n_out_of_memory + info.n_failures > 0 || !failed, true);
        assert_int_equal(info.n_returned > 0, info.n_out_of_memory + info.n_failures > 0);
        assert_int_equal(info.n_failures > 0 && how == HD_PLUGIN_NO_MEMORY, false);
        n_failures += failed;
        hd_engine_close(engine);
        check_nothing_is_left();
    }
    assert_true(n_failures > 10);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fail_each(HD_PLUGIN_NO_MEMORY, 0);
}

static void test_failure(void **state)
{
    (void)state;
    fail_each(HD_PLUGIN_FAILED, 0);
}

static void test_loss(void **state)
{
    (void)state;
    fail_each(HD_PLUGIN_LOST, 1);
}

/* A device that never works again costs no request; one that does is used again. */
static void test_it_comes_back(void **state)
{
    (void)state;
    enum { PATIENCE_MS = 130000 };
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    encode_and_check(model, "at first");
    logged[0] = '\0';
    order(HD_PLUGIN_LOST, 5, 0, UINT32_MAX);
    encode_and_check(model, "while it is lost");
    assert_non_null(strstr(logged, "cuda:0: device 0: "));
    assert_non_null(strstr(logged, failure));
    assert_non_null(strstr(logged, "texts go back to the queue, it is opened again in 250 ms"));
    assert_false(device_of(engine, 0).is_up);
    order(HD_PLUGIN_OK, 0, 0, 0);
    for (int waited = 0; !device_of(engine, 0).is_up && waited < PATIENCE_MS; waited += 50)
        usleep(50000);
    const uint64_t before = device_of(engine, 0).n_texts;
    encode_and_check(model, "when it is back");
    assert_int_equal(device_of(engine, 0).n_texts, before + N);
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* Every other operation fails for want of memory: groups shrink, then the CPU takes the job. */
static void test_groups_shrink(void **state)
{
    (void)state;
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    encode_and_check(model, "at first");
    logged[0] = '\0';
    order(HD_PLUGIN_NO_MEMORY, 1, 2, 0);
    encode_and_check(model, "without memory");
    const hd_device_info info = device_of(engine, 0);
    assert_int_equal(info.n_out_of_memory, 2);
    assert_int_equal(info.n_failures, 0);
    assert_true(info.is_up);
    assert_non_null(strstr(logged, "groups are of up to 8192 tokens for a while"));
    assert_non_null(strstr(logged, "groups are of up to 4096 tokens for a while"));
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* A model that does not fit runs on the CPU, and one of two that fit alone makes way for the other. */
static void test_small_memory(void **state)
{
    (void)state;
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .device = "cuda", .device_memory_bytes = 1 << 16});
    logged[0] = '\0';
    encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_F32), "in 64 KiB");
    assert_int_equal(device_of(engine, 0).n_texts, 0);
    assert_non_null(strstr(logged, "and to the CPU for a while"));
    hd_engine_close(engine);

    engine = open_with("cuda");
    hd_model *first = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    MUST(hd_model_load(first, &err));
    encode_and_check(first, "alone");
    const uint64_t alone = device_of(engine, 0).used_bytes;
    hd_engine_close(engine);
    engine = open_engine(
        (hd_engine_options){.n_threads = 2, .device = "cuda", .device_memory_bytes = stream_bytes + alone + alone / 4});
    hd_model *models[2];
    for (size_t i = 0; i < 2; i++)
        models[i] = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    for (size_t i = 0; i < 6; i++)
        encode_and_check(models[i % 2], "beside another");
    assert_true(device_of(engine, 0).used_bytes <= alone + alone / 4);
    assert_true(device_of(engine, 0).n_texts > 0);
    hd_engine_close(engine);
    check_nothing_is_left();
}

static void test_several_devices(void **state)
{
    (void)state;
    order(HD_PLUGIN_OK, 0, 0, 0);
    const char *variable = is_simulated ? "CUDA_SIM_DEVICES" : "HOST_PLUGIN_DEVICES";
    assert_int_equal(setenv(variable, "3", 1), 0);
    hd_engine *engine = open_with("cuda");
    assert_int_equal(hd_engine_open_devices(engine), 3);
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    uint64_t n = 0;
    for (int i = 0; i < 5; i++)
        encode_and_check(model, "on three devices");
    for (uint32_t i = 0; i < 3; i++)
        n += device_of(engine, i).n_texts;
    assert_int_equal(n, 5 * N);
    hd_engine_close(engine);
    engine = open_with("cuda:2");
    encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_F32), "on the third");
    assert_int_equal(hd_engine_open_devices(engine), 1);
    assert_string_equal(device_of(engine, 0).name, "cuda:2");
    const hd_device_info third = device_of(engine, 0);
    check_hardware(&third, '2');
    hd_engine_close(engine);
    assert_int_equal(unsetenv(variable), 0);
    check_nothing_is_left();
}

static void count_done(hd_job *job, void *n_done)
{
    (void)job;
    atomic_fetch_add((atomic_int *)n_done, 1);
}

/* Jobs of several callers, in a hurry and not, some cancelled, while the device fails again and again: each ends once. */
static void test_many_jobs(void **state)
{
    (void)state;
    enum { N_JOBS = 24, N_ROUNDS = 4 };
    const int n_jobs = is_simulated ? 8 : N_JOBS;
    static const hd_plugin_status failures[N_ROUNDS] = {HD_PLUGIN_OK, HD_PLUGIN_NO_MEMORY, HD_PLUGIN_FAILED, HD_PLUGIN_LOST};
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    for (int round = 0; round < N_ROUNDS; round++) {
        hd_job *jobs[N_JOBS];
        atomic_int n_done = 0;
        float *out = malloc(N_JOBS * N * WIDTH * sizeof *out);
        order(failures[round], 40, 71, 1);
        for (int i = 0; i < n_jobs; i++)
            MUST(hd_job_submit(
                model, some_texts(N), N, NULL,
                &(hd_job_options){.done = count_done, .data = &n_done, .caller = (uint64_t)i % 5, .background = i % 2 == 1},
                out + i * N * WIDTH, &jobs[i], &err));
        for (int i = 0; i < n_jobs; i += 6)
            hd_job_cancel(jobs[i]);
        while (atomic_load(&n_done) < n_jobs) /* a job that is lost ends in the test's time limit */
            usleep(1000);
        for (int i = 0; i < n_jobs; i++) {
            const hd_status status = hd_job_wait(jobs[i], NULL, &err);
            if (status == HD_OK)
                check_vectors("one of many jobs", out + i * N * WIDTH);
            else if (i % 6 != 0 || status != HD_ERR_CANCELLED)
                fail_msg("job %d of round %d: %s", i, round, err.text);
        }
        assert_int_equal(n_done, n_jobs);
        free(out);
    }
    assert_int_equal(stats_of(engine).queue_texts, 0);
    assert_int_equal(stats_of(engine).queue_tokens, 0);
    assert_true(device_of(engine, 0).n_texts > 0);
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* A device has a group to compute while another's results are read. */
static void test_groups_beside_each_other(void **state)
{
    (void)state;
    enum { N_JOBS = 16 };
    hd_job *jobs[N_JOBS];
    if (is_simulated)
        skip(); /* it cannot wait for two streams to have something to do */
    float *out = malloc(N_JOBS * N * WIDTH * sizeof *out);
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    free(encode_some(model, 1)); /* uploads the weights: how much those leave is not known before */
    control(&(host_plugin_orders){.memory_bytes = gigabyte, .n_together = 2}, NULL);
    for (int i = 0; i < N_JOBS; i++)
        MUST(hd_job_submit(model, some_texts(N_JOBS * N) + i * N, N, NULL, NULL, out + i * N * WIDTH, &jobs[i], &err));
    for (int i = 0; i < N_JOBS; i++)
        MUST(hd_job_wait(jobs[i], NULL, &err));
    assert_int_equal(counts_of_plugin().n_streams, 2);
    assert_int_equal(counts_of_plugin().most_working, 2);
    assert_int_equal(device_of(engine, 0).n_texts, 1 + N_JOBS * N);
    hd_engine_close(engine);
    check_nothing_is_left();
    engine = open_with("cpu");
    float *on_cpu = encode_some(open_model(engine, "tiny-cls", HD_DTYPE_F32), N_JOBS * N);
    for (size_t i = 0; i < N_JOBS * N * WIDTH; i++)
        assert_true(fabs((double)out[i] - (double)on_cpu[i]) <= 1e-4);
    free(on_cpu);
    free(out);
    hd_engine_close(engine);
}

/* Passes that were recorded and not done are called again, and memory that cannot be pinned is copied as it is. */
static void test_recordings_and_pins(void **state)
{
    (void)state;
    if (is_simulated)
        skip(); /* failures_test.c has its own */
    for (uint32_t n_lost = 0; n_lost < 4; n_lost++) {
        const host_plugin_orders orders = {.memory_bytes = gigabyte, .n_lost = n_lost, .pins_nothing = n_lost % 2 == 1};
        control(&orders, NULL);
        const uint64_t before = counts_of_plugin().n_pins;
        hd_engine *engine = open_with("cuda");
        hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
        for (size_t i = 0; i < 4; i++) {
            float *one = encode_some(model, 1);
            for (size_t k = 0; k < WIDTH; k++)
                assert_true(fabs((double)one[k] - (double)wanted[k]) <= 1e-4);
            free(one);
        }
        encode_and_check(model, "with recordings that are lost");
        assert_int_equal(counts_of_plugin().n_pins > before, !orders.pins_nothing);
        assert_int_equal(device_of(engine, 0).n_returned, 0);
        assert_int_equal(device_of(engine, 0).n_replayed, 0);
        hd_engine_close(engine);
        check_nothing_is_left();
    }
}

/* f16 is what AUTO is where a device has it. The CPU, in its place, has f32.
 *
 * The plugin in plain C rounds five times in a layer: what products read, twice; queries, keys and values; what attention
 * makes of them; the middle. One text of this model of random weights has a cosine of 0.99992 then, all others 0.99999. The
 * CUDA plugin also rounds the middle before its activation, and the bias of queries, keys and values. Errors that know
 * nothing of each other add up in squares, and so does what the cosine lacks of 1: it is 6.5 of 5, with a bias as large as
 * the values that it is added to counted as a half. */
static void test_f16(void **state)
{
    (void)state;
    const double least = is_simulated ? 1.0 - 1e-4 * 6.5 / 5.0 : 1.0 - 1e-4;
    static const hd_dtype asked[] = {HD_DTYPE_F16, HD_DTYPE_AUTO};
    order(HD_PLUGIN_OK, 0, 0, 0);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        hd_engine *engine = open_with("cuda");
        hd_model *model = open_model(engine, "tiny-cls", asked[i]);
        float *got = encode_some(model, N);
        check_cosines("in f16", got, wanted, least);
        assert_true(memcmp(got, wanted, sizeof wanted) != 0);
        free(got);
        assert_int_equal(dtype_of(model), HD_DTYPE_F16);
        assert_int_equal(device_of(engine, 0).n_texts, N);
        order(HD_PLUGIN_LOST, 3, 0, UINT32_MAX);
        encode_and_check(model, "while the device is lost");
        order(HD_PLUGIN_OK, 0, 0, 0);
        hd_engine_close(engine);
        check_nothing_is_left();
    }
    logged[0] = '\0';
    hd_engine *engine = open_with("cpu");
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_AUTO);
    MUST(hd_model_load(model, &err));
    assert_true(dtype_of(model) != HD_DTYPE_F16);
    model = open_model(engine, "tiny-cls", HD_DTYPE_F16);
    float *got = encode_some(model, N);
    assert_memory_equal(got, wanted, sizeof wanted);
    free(got);
    assert_non_null(strstr(logged, "there is no device that has f16: the CPU computes it in f32"));
    hd_engine_close(engine);
}

/* fp8 is not the same as f16, and not far from f32. */
static void test_fp8(void **state)
{
    (void)state;
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    float *halves = encode_some(open_model(engine, "tiny-cls", HD_DTYPE_F16), N);
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_FP8);
    float *got = encode_some(model, N);
    check_cosines("in fp8", got, wanted, 0.8); /* random weights: real ones have 0.993 */
    assert_true(memcmp(got, halves, sizeof wanted) != 0);
    free(got);
    free(halves);
    assert_int_equal(dtype_of(model), HD_DTYPE_FP8);
    assert_int_equal(device_of(engine, 0).n_texts, 2 * N);
    order(HD_PLUGIN_LOST, 3, 0, UINT32_MAX);
    encode_and_check(model, "while the device is lost");
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine_close(engine);
    check_nothing_is_left();
    logged[0] = '\0';
    engine = open_with("cpu");
    encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_FP8), "on the CPU");
    assert_non_null(strstr(logged, "there is no device that has fp8: the CPU computes it in f32"));
    hd_engine_close(engine);
}

/* A model that is past the range of f16 goes on in bf16, where it makes the same of the texts as another, in another type,
 * elsewhere. */
static void check_past_f16(const char *name, hd_dtype asked, const char *other, hd_dtype type, const char *device,
                           double least)
{
    hd_engine *engine = open_with(device);
    float *right = encode_some(open_model(engine, other, type), N);
    hd_engine_close(engine);
    engine = open_with("cuda");
    hd_model *model = open_model(engine, name, asked);
    logged[0] = '\0';
    for (int i = 0; i < 2; i++) {
        float *got = encode_some(model, N);
        check_cosines("in bf16", got, right, least);
        free(got);
    }
    free(right);
    const hd_device_info info = device_of(engine, 0);
    assert_int_equal(info.n_texts, 2 * N);
    assert_int_equal(info.n_failures + info.n_out_of_memory, 0);
    assert_true(info.is_up && info.n_returned > 0 && info.n_returned <= N);
    assert_non_null(strstr(logged, "has values that f16 does not reach"));
    assert_non_null(strstr(logged, "go back to the queue, and the model goes on in bf16"));
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* The wide middle, and the keys, which are those of tiny-cls times a power of two. One whose values no type has fails as on
 * the CPU. */
static void test_past_f16(void **state)
{
    (void)state;
    float out[WIDTH];
    order(HD_PLUGIN_OK, 0, 0, 0);
    check_past_f16("tiny-wide", HD_DTYPE_F16, "tiny-wide", HD_DTYPE_F32, "cpu", 0.99);
    check_past_f16("tiny-keyed", HD_DTYPE_F16, "tiny-cls", HD_DTYPE_BF16, "cuda", 0.999999);
    check_past_f16("tiny-keyed", HD_DTYPE_FP8, "tiny-cls", HD_DTYPE_BF16, "cuda", 0.999999);
    hd_engine *engine = open_with("cuda");
    must_fail(hd_encode(open_model(engine, "tiny-endless", HD_DTYPE_F16), some_texts(1), 1, NULL, out, NULL, &err),
              HD_ERR_NUMERIC, "gave a NaN or an infinity");
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* Groups of both workers are past the range at once: what there was of the model in f16 goes when the last has left it. */
static void test_one_type_stays(void **state)
{
    (void)state;
    enum { N_JOBS = 16 };
    hd_job *jobs[N_JOBS];
    if (is_simulated)
        skip(); /* it has memory of its own for streams, and takes long */
    float *out = malloc(N_JOBS * N * WIDTH * sizeof *out);
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd_engine *engine = open_with("cuda");
    hd_model *model = open_model(engine, "tiny-wide", HD_DTYPE_F16);
    for (int i = 0; i < N_JOBS; i++)
        MUST(hd_job_submit(model, some_texts(N_JOBS * N) + i * N, N, NULL, NULL, out + i * N * WIDTH, &jobs[i], &err));
    for (int i = 0; i < N_JOBS; i++)
        MUST(hd_job_wait(jobs[i], NULL, &err));
    assert_int_equal(device_of(engine, 0).n_texts, N_JOBS * N);
    assert_true(counts_of_plugin().n_allocated <= 1 + HD_DEVICE_STREAMS); /* weights, and a block for each worker */
    free(out);
    hd_engine_close(engine);
    check_nothing_is_left();
}

/* Where a model's words would leave too little room they stay on the host, and where they would not, they do not. */
static void test_words_stay(void **state)
{
    (void)state;
    bool stayed = false, went = false;
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd__log_set_level(HD_LOG_INFO);
    for (uint64_t room = 1 << 18; room <= 1 << 26; room *= 4) {
        hd_engine *engine =
            open_engine((hd_engine_options){.n_threads = 2, .device = "cuda", .device_memory_bytes = stream_bytes + room});
        logged[0] = '\0';
        encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_F32), "in little memory");
        const hd_device_info info = device_of(engine, 0);
        assert_true(info.used_bytes <= room);
        stayed |= info.n_texts == N && strstr(logged, " without its words, ") != NULL;
        went |= info.n_texts == N && strstr(logged, " without its words, ") == NULL;
        hd_engine_close(engine);
        check_nothing_is_left();
    }
    hd__log_set_level(HD_LOG_WARN);
    assert_true(stayed && went);
}

/* What cannot be used is said in one line, and the CPU computes. */
static void test_unusable(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value, *device, *says;
    } cases[] = {
        {"HOST_PLUGIN_BEGIN", "missing", "cuda", "the driver found is 1.0, and 2.0 is needed"},
        {"HOST_PLUGIN_BEGIN", "none", "auto", "finds no device"},
        {"HOST_PLUGIN_BEGIN", "version", "auto", "is a plugin of version 6, this Heddle needs version 5"},
        {"HOST_PLUGIN_BEGIN", "size", "cuda", "its table has 64 bytes"},
        {"HEDDLE_PLUGIN_DIR", "/nonexistent", "cuda", "there is no plugin heddle-cuda.so"},
        {"HEDDLE_PLUGIN_DIR", "/nonexistent", "auto", NULL},
        {"HOST_PLUGIN_BEGIN", "", "cuda:7", "there is no cuda:7, the devices found are 1"},
    };
    order(HD_PLUGIN_OK, 0, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_simulated && strcmp(cases[i].variable, "HOST_PLUGIN_BEGIN") == 0 && cases[i].value[0] != '\0')
            continue; /* failures_test.c and test_cuda_library.py have their own */
        char *before = getenv(cases[i].variable);
        before = before != NULL ? strdup(before) : NULL;
        assert_int_equal(setenv(cases[i].variable, cases[i].value, 1), 0);
        logged[0] = '\0';
        hd_engine *engine = open_with(cases[i].device);
        encode_and_check(open_model(engine, "tiny-cls", HD_DTYPE_F32), cases[i].value);
        assert_int_equal(hd_engine_open_devices(engine), 0);
        if (cases[i].says != NULL && (strstr(logged, cases[i].says) == NULL || strstr(logged, "the CPU computes: ") == NULL))
            fail_msg("\"%s\" does not say \"%s\"", logged, cases[i].says);
        if (cases[i].says == NULL)
            assert_string_equal(logged, "");
        hd_engine_close(engine);
        assert_int_equal(before != NULL ? setenv(cases[i].variable, before, 1) : unsetenv(cases[i].variable), 0);
        free(before);
    }
}

/* Models that are tiny-cls but for the feed-forward's products, or keys and queries, which are larger, and smaller again. */
static const char *const make_models =
    "for made in 'wide 2e5 5e-6 1 1' 'keyed 1 1 262144 3.814697265625e-6' 'endless 1e30 1e30 1 1'; do\n"
    "set -- $made\n"
    "cp -r \"$models/tiny-cls\" \"$models/tiny-$1\"\n"
    "python3 - \"$models/tiny-$1/model.safetensors\" $2 $3 $4 $5 <<'END' || exit 1\n"
    "import array, json, struct, sys\n"
    "file = bytearray(open(sys.argv[1], 'rb').read())\n"
    "data = 8 + struct.unpack('<Q', file[:8])[0]\n"
    "factors = {'intermediate.dense.weight': 2, 'intermediate.dense.bias': 2, '.output.dense.weight': 3,\n"
    "           'self.key.weight': 4, 'self.key.bias': 4, 'self.query.weight': 5, 'self.query.bias': 5}\n"
    "for name, tensor in json.loads(file[8:data]).items():\n"
    "    for ending, factor in factors.items():\n"
    "        if name.endswith(ending) and 'attention.output' not in name:\n"
    "            begin, end = (data + at for at in tensor['data_offsets'])\n"
    "            values = array.array('f', file[begin:end])\n"
    "            file[begin:end] = array.array('f', [v * float(sys.argv[factor]) for v in values]).tobytes()\n"
    "open(sys.argv[1], 'wb').write(file)\n"
    "END\n"
    "done";

/* Both sides of a model with one transformer: it is uploaded once, and each has its own modules behind it, also where a
 * device repeats what it has recorded. */
static void test_sides(void **state)
{
    (void)state;
    enum { TURNS = 4, OUT = 40 };
    static const char *const sides[] = {"query", "document"};
    float on_cpu[2][OUT], got[OUT];
    order(HD_PLUGIN_OK, 0, 0, 0);
    hd__log_set_level(HD_LOG_INFO);
    for (size_t on_device = 0; on_device < 2; on_device++) {
        hd_engine *engine = open_with(on_device ? "cuda" : "cpu");
        hd_model *model = open_model(engine, "tiny-asym", HD_DTYPE_F32);
        logged[0] = '\0';
        for (size_t i = 0; i < 2 * TURNS; i++) {
            const hd_encode_options options = {.prompt_name = sides[i % 2]};
            MUST(hd_encode(model, some_texts(1), 1, &options, on_device ? got : on_cpu[i % 2], NULL, &err));
            for (size_t k = 0; on_device && k < OUT; k++)
                assert_true(fabsf(got[k] - on_cpu[i % 2][k]) <= 1e-4f);
        }
        const char *first = strstr(logged, " has ");
        assert_int_equal(first != NULL, on_device);
        assert_true(first == NULL || strstr(first + 1, " has ") == NULL);
        hd_engine_close(engine);
    }
    hd__log_set_level(HD_LOG_WARN);
    assert_true(fabsf(on_cpu[0][0] - on_cpu[1][0]) > 1e-3f);
    check_nothing_is_left();
}

static int set_up(void **state)
{
    (void)state;
    char path[4096];
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls");
    if (run_in_models(make_models) != 0 ||
        run_in_models("python3 tools/make_tiny_architectures.py \"$models\" tiny-asym") != 0)
        return -1;
    snprintf(path, sizeof path, "%s/heddle-cuda.so", getenv("HEDDLE_PLUGIN_DIR"));
    void *library = dlopen(path, RTLD_NOW), *symbol = library != NULL ? dlsym(library, "host_plugin_control") : NULL;
    is_simulated = symbol == NULL;
    if (is_simulated) {
        library = dlopen("libcuda.so.1", RTLD_NOW);
        symbol = library != NULL ? dlsym(library, "host_plugin_control") : NULL;
        hardware = "simulated GPU";
        failure = "uncorrectable ECC error encountered";
        stream_bytes = PRODUCTS_BYTES;
    }
    if (symbol == NULL)
        return -1;
    memcpy(&control, &symbol, sizeof control);
    hd__log_set_sink(log_line, NULL);
    hd_engine *engine = open_with("cpu");
    float *vectors = encode_some(open_model(engine, "tiny-cls", HD_DTYPE_F32), N);
    memcpy(wanted, vectors, sizeof wanted);
    free(vectors);
    hd_engine_close(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_device_computes),
        cmocka_unit_test(test_cpu_is_chosen),
        cmocka_unit_test(test_unusable),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_it_comes_back),
        cmocka_unit_test(test_groups_shrink),
        cmocka_unit_test(test_small_memory),
        cmocka_unit_test(test_several_devices),
        cmocka_unit_test(test_many_jobs),
        cmocka_unit_test(test_groups_beside_each_other),
        cmocka_unit_test(test_recordings_and_pins),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_fp8),
        cmocka_unit_test(test_past_f16),
        cmocka_unit_test(test_one_type_stays),
        cmocka_unit_test(test_words_stay),
        cmocka_unit_test(test_sides),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
