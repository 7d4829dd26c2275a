/* failures_test.c - plugins/cuda on the simulated GPU while calls of the driver and of cuBLASLt fail: what the plugin says
 * of each failure, that nothing is left behind on the device, and that it works when it is opened again.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cublasLt.h"
#include "cuda_sim.h"
#include "heddle/plugin.h"

enum { N = 64, ENDS = 1 << 16 };

static const hd_plugin *plugin;
static cuda_sim_control_fn *control;
static char why[HD_PLUGIN_TEXT_BYTES];

static void say(bool is_warning, const char *line)
{
    (void)is_warning, (void)line;
}

static const hd_plugin_host host = {
    .version = HD_PLUGIN_VERSION, .size = sizeof host, .alloc = malloc, .free = free, .log = say};

static cuda_sim_counts counts_of_device(void)
{
    cuda_sim_counts counts;
    control(NULL, &counts);
    return counts;
}

/* A product of a matrix and the one matrix, through all that a pass does with a stream. */
static hd_plugin_status pass(hd_plugin_device *device, hd_plugin_stream *stream, float *out)
{
    static float a[N * N], one[N * N], bias[N];
    void *memory = NULL;
    hd_plugin_status status = plugin->alloc(device, sizeof a + sizeof one + sizeof bias + sizeof a, &memory, why);
    if (status != HD_PLUGIN_OK)
        return status;
    float *values = memory;
    for (size_t i = 0; i < N * N; i++) {
        a[i] = (float)i;
        one[i] = i % (N + 1) == 0 ? 1.0f : 0.0f;
    }
    plugin->upload(stream, values, a, sizeof a);
    plugin->upload(stream, values + N * N, one, sizeof one);
    plugin->clear(stream, values + 2 * N * N, sizeof bias);
    plugin->linear(stream,
                   &(hd_plugin_linear){.weights = {.k = N, .rows = values + N * N, .stride = N, .bias = values + 2 * N * N},
                                       .in = {.data = values, .stride = N},
                                       .n_rows = N,
                                       .end = N,
                                       .out = values + 2 * N * N + N,
                                       .out_stride = N});
    plugin->download(stream, out, values + 2 * N * N + N, sizeof a);
    status = plugin->wait(stream, why);
    plugin->free(device, memory);
    return status;
}

/* Everything from opening to closing; the first failure. */
static hd_plugin_status work(void)
{
    static float out[N * N];
    hd_plugin_device *device = NULL;
    hd_plugin_stream *stream = NULL;
    memset(out, 0, sizeof out);
    hd_plugin_status status = plugin->open(0, &device, why);
    if (status != HD_PLUGIN_OK)
        return status;
    status = plugin->stream_open(device, &stream, why);
    if (status == HD_PLUGIN_OK) {
        status = pass(device, stream, out);
        plugin->stream_close(stream);
    }
    plugin->close(device);
    for (size_t i = 0; i < N * N && status == HD_PLUGIN_OK; i++)
        assert_true(out[i] == (float)i);
    return status;
}

static void check_nothing_is_left(const char *call, uint64_t at)
{
    const cuda_sim_counts counts = counts_of_device();
    if (counts.n_contexts != 0)
        fail_msg("%s, call %llu: a context is left", call, (unsigned long long)at);
}

/* Call after call of one function fails, until it is called no more. */
static void fail_each(const char *call, int result, hd_plugin_status wanted)
{
    uint64_t at = 1;
    for (; at < ENDS; at++) {
        const uint64_t before = counts_of_device().n_failures;
        control(&(cuda_sim_orders){.call = call, .result = result, .at = at}, NULL);
        const hd_plugin_status status = work();
        const bool failed = counts_of_device().n_failures > before;
        check_nothing_is_left(call, at);
        control(&(cuda_sim_orders){0}, NULL);
        if (!failed)
            break;
        /* what fails while all is freed again costs nothing */
        if (status != wanted && !(status == HD_PLUGIN_OK && strcmp(call, "cuStreamSynchronize") == 0 && at > 1))
            fail_msg("%s fails with %d, call %llu: the plugin says %d, \"%s\"", call, result, (unsigned long long)at,
                     (int)status, why);
        assert_int_equal(work(), HD_PLUGIN_OK);
        check_nothing_is_left(call, at);
    }
    assert_true(at > 1 && at < ENDS);
}

static void test_driver(void **state)
{
    (void)state;
    static const char *const calls[] = {"cuCtxCreate",       "cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute",
                                        "cuStreamCreate",    "cuMemAlloc",       "cuMemcpyHtoDAsync",   "cuMemsetD8Async",
                                        "cuMemcpyDtoHAsync", "cuLaunchKernel",   "cuStreamSynchronize"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fail_each(calls[i], CUDA_ERROR_OUT_OF_MEMORY, HD_PLUGIN_NO_MEMORY);
        fail_each(calls[i], CUDA_ERROR_LAUNCH_FAILED, HD_PLUGIN_FAILED);
        fail_each(calls[i], CUDA_ERROR_ILLEGAL_ADDRESS, HD_PLUGIN_FAILED);
        fail_each(calls[i], CUDA_ERROR_ECC_UNCORRECTABLE, HD_PLUGIN_LOST);
    }
}

static void test_products(void **state)
{
    (void)state;
    fail_each("cublasLtCreate", CUBLAS_STATUS_ALLOC_FAILED, HD_PLUGIN_NO_MEMORY);
    fail_each("cublasLtCreate", CUBLAS_STATUS_NOT_INITIALIZED, HD_PLUGIN_FAILED);
    fail_each("cublasLtMatmul", CUBLAS_STATUS_ALLOC_FAILED, HD_PLUGIN_NO_MEMORY);
    fail_each("cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED, HD_PLUGIN_FAILED);
    /* Who has no kernel is not missed. */
    fail_each("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED, HD_PLUGIN_OK);
}

/* The device is away for a while. */
static void test_it_comes_back(void **state)
{
    (void)state;
    enum { N_OPENS = 3 };
    control(
        &(cuda_sim_orders){.call = "cuLaunchKernel", .result = CUDA_ERROR_ECC_UNCORRECTABLE, .at = 1, .n_opens = N_OPENS},
        NULL);
    for (int i = 0; i < 1 + N_OPENS; i++)
        assert_int_equal(work(), HD_PLUGIN_LOST);
    assert_int_equal(work(), HD_PLUGIN_OK);
    check_nothing_is_left("afterwards", 0);
}

/* A stream goes on after a lack of memory, and one that failed says it once and does nothing until then. */
static void test_the_first_is_kept(void **state)
{
    (void)state;
    static float out[N * N];
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    assert_int_equal(plugin->open(0, &device, why), HD_PLUGIN_OK);
    assert_int_equal(plugin->stream_open(device, &stream, why), HD_PLUGIN_OK);
    control(&(cuda_sim_orders){.call = "cuLaunchKernel", .result = CUDA_ERROR_OUT_OF_MEMORY, .at = 1}, NULL);
    const uint64_t before = counts_of_device().n_launches;
    assert_int_equal(pass(device, stream, out), HD_PLUGIN_NO_MEMORY);
    assert_string_equal(why, "k_epilogue: out of memory (2)");
    assert_int_equal(counts_of_device().n_launches, before);
    assert_int_equal(pass(device, stream, out), HD_PLUGIN_OK);
    assert_true(out[5] == 5.0f);
    plugin->stream_close(stream);
    plugin->close(device);
    check_nothing_is_left("afterwards", 0);
}

static int set_up(void **state)
{
    (void)state;
    char path[4096];
    const char *folder = getenv("HEDDLE_PLUGIN_DIR");
    hd_plugin_begin_fn *begin;
    snprintf(path, sizeof path, "%s/heddle-cuda.so", folder != NULL ? folder : "");
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *library = dlopen(path, RTLD_NOW);
    void *orders = driver != NULL ? dlsym(driver, "cuda_sim_control") : NULL;
    void *entry = library != NULL ? dlsym(library, "hd_plugin_begin") : NULL;
    if (orders == NULL || entry == NULL) {
        print_error("%s\n", dlerror());
        return -1;
    }
    memcpy(&control, &orders, sizeof control); /* ISO C has no cast from data to function */
    memcpy(&begin, &entry, sizeof begin);
    plugin = begin(&host, why);
    return plugin != NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_driver),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_it_comes_back),
        cmocka_unit_test(test_the_first_is_kept),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
