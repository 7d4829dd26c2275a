/* failures_test.c - plugins/cuda on the simulated GPU while calls of the driver and of cuBLASLt fail: what the plugin says
 * of each failure, that nothing is left behind on the device, and that it works when it is opened again. And how many calls
 * a layer is, which nobody sees from what it computes.
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

enum { N_PASSES = 4, WIDE = N * N }; /* seen, captured, and launched twice */

/* A product of a matrix, without a value below 0, and the one matrix, through all that a pass does with a stream, again and
 * again with others. */
static hd_plugin_status passes(hd_plugin_device *device, hd_plugin_stream *stream, size_t n, float *out)
{
    static float a[WIDE], one[WIDE];
    void *memory = NULL;
    hd_plugin_status status = plugin->alloc(device, 3 * sizeof a + N * sizeof *a, &memory, why);
    if (status != HD_PLUGIN_OK)
        return status;
    float *values = memory;
    const hd_plugin_key key = {{(uintptr_t)memory}};
    const hd_plugin_linear linear = {.weights = {.k = N, .rows = values + WIDE, .stride = N, .bias = values + 3 * WIDE},
                                     .in = {.data = values, .stride = N},
                                     .n_rows = N,
                                     .end = N,
                                     .epilogue = HD_PLUGIN_RELU,
                                     .out = values + 2 * WIDE,
                                     .out_stride = N};
    for (size_t i = 0; i < WIDE; i++)
        one[i] = i % (N + 1) == 0 ? 1.0f : 0.0f;
    for (size_t k = 0; k < n && status == HD_PLUGIN_OK; k++) {
        for (size_t i = 0; i < WIDE; i++)
            a[i] = (float)(i + k);
        plugin->upload(stream, values, a, sizeof a);
        plugin->upload(stream, values + WIDE, one, sizeof one);
        if (!plugin->replay(stream, &key)) {
            do {
                plugin->clear(stream, values + 3 * WIDE, N * sizeof *a);
                plugin->linear(stream, &linear);
            } while (!plugin->recorded(stream));
        }
        plugin->download(stream, out, values + 2 * WIDE, sizeof a);
        status = plugin->wait(stream, why);
        for (size_t i = 0; i < WIDE && status == HD_PLUGIN_OK; i++)
            assert_true(out[i] == (float)(i + k));
    }
    plugin->free(device, memory);
    return status;
}

static hd_plugin_status pass(hd_plugin_device *device, hd_plugin_stream *stream, float *out)
{
    return passes(device, stream, 1, out);
}

/* Everything from opening to closing; the first failure. */
static hd_plugin_status work(size_t n_passes)
{
    static float out[N * N];
    hd_plugin_device *device = NULL;
    hd_plugin_stream *stream = NULL;
    memset(out, 0, sizeof out);
    hd_plugin_status status = plugin->open(0, &device, why);
    if (status != HD_PLUGIN_OK)
        return status;
    const bool is_pinned = plugin->pin(device, out, sizeof out);
    status = plugin->stream_open(device, &stream, why);
    if (status == HD_PLUGIN_OK) {
        status = passes(device, stream, n_passes, out);
        plugin->stream_close(stream);
    }
    if (is_pinned)
        plugin->unpin(device, out);
    plugin->close(device);
    return status;
}

static void check_nothing_is_left(const char *call, uint64_t at)
{
    const cuda_sim_counts counts = counts_of_device();
    if (counts.n_contexts != 0)
        fail_msg("%s, call %llu: a context is left", call, (unsigned long long)at);
    assert_int_equal(counts.n_graphs + counts.n_pinned + counts.n_streams, 0);
}

static void open_device(hd_plugin_device **device, hd_plugin_stream **stream)
{
    assert_int_equal(plugin->open(0, device, why), HD_PLUGIN_OK);
    assert_int_equal(plugin->stream_open(*device, stream, why), HD_PLUGIN_OK);
}

static void close_device(hd_plugin_device *device, hd_plugin_stream *stream)
{
    plugin->stream_close(stream);
    plugin->close(device);
    check_nothing_is_left("afterwards", 0);
}

/* Call after call of one function fails, until it is called no more. */
static void fail_each(const char *call, int result, hd_plugin_status wanted, size_t n_passes)
{
    uint64_t at = 1;
    for (; at < ENDS; at++) {
        const uint64_t before = counts_of_device().n_failures;
        control(&(cuda_sim_orders){.call = call, .result = result, .at = at}, NULL);
        const hd_plugin_status status = work(n_passes);
        const bool failed = counts_of_device().n_failures > before;
        check_nothing_is_left(call, at);
        control(&(cuda_sim_orders){0}, NULL);
        if (!failed)
            break;
        /* what fails while all is freed again costs nothing */
        if (status != wanted && !(status == HD_PLUGIN_OK && strcmp(call, "cuStreamSynchronize") == 0 && at > 1))
            fail_msg("%s fails with %d, call %llu: the plugin says %d, \"%s\"", call, result, (unsigned long long)at,
                     (int)status, why);
        assert_int_equal(work(n_passes), HD_PLUGIN_OK);
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
        fail_each(calls[i], CUDA_ERROR_OUT_OF_MEMORY, HD_PLUGIN_NO_MEMORY, 1);
        fail_each(calls[i], CUDA_ERROR_LAUNCH_FAILED, HD_PLUGIN_FAILED, 1);
        fail_each(calls[i], CUDA_ERROR_ILLEGAL_ADDRESS, HD_PLUGIN_FAILED, 1);
        fail_each(calls[i], CUDA_ERROR_ECC_UNCORRECTABLE, HD_PLUGIN_LOST, 1);
    }
}

/* A pass that cannot be captured is launched kernel by kernel, and memory that cannot be pinned is copied as it is: the
 * answers are the same. A device that is lost is lost with graphs and without. */
static void test_graphs(void **state)
{
    (void)state;
    static const char *const calls[] = {"cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate",
                                        "cuMemHostRegister"};
    static const char *const captured[] = {"cuMemsetD8Async", "cublasLtMatmul", "cuLaunchKernel"};
    const cuda_sim_counts before = counts_of_device();
    assert_int_equal(work(N_PASSES), HD_PLUGIN_OK);
    assert_int_equal(counts_of_device().n_graph_launches - before.n_graph_launches, N_PASSES - 1);
    assert_int_equal(counts_of_device().n_products - before.n_products, N_PASSES);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fail_each(calls[i], CUDA_ERROR_OUT_OF_MEMORY, HD_PLUGIN_OK, N_PASSES);
        fail_each(calls[i], CUDA_ERROR_ECC_UNCORRECTABLE, HD_PLUGIN_LOST, N_PASSES);
        fail_each(calls[i], CUDA_ERROR_LAUNCH_FAILED, HD_PLUGIN_FAILED, N_PASSES);
    }
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++) {
        const int result = i == 1 ? (int)CUBLAS_STATUS_EXECUTION_FAILED : (int)CUDA_ERROR_OUT_OF_MEMORY;
        control(&(cuda_sim_orders){.call = captured[i], .result = result, .at = 2}, NULL);
        assert_int_equal(work(N_PASSES), HD_PLUGIN_OK);
        check_nothing_is_left(captured[i], 2);
    }
    fail_each("cuGraphLaunch", CUDA_ERROR_ECC_UNCORRECTABLE, HD_PLUGIN_LOST, N_PASSES);
}

/* After a failure of a capture there are no graphs until the stream is opened anew; a graph that does not launch later is a
 * failure like any other. */
static void test_graphs_are_off(void **state)
{
    (void)state;
    static float out[WIDE];
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    assert_int_equal(plugin->open(0, &device, why), HD_PLUGIN_OK);
    for (uint64_t at = 1; at <= 2; at++) {
        assert_int_equal(plugin->stream_open(device, &stream, why), HD_PLUGIN_OK);
        control(&(cuda_sim_orders){.call = "cuGraphLaunch", .result = CUDA_ERROR_OUT_OF_MEMORY, .at = at}, NULL);
        const uint64_t before = counts_of_device().n_graph_launches;
        assert_int_equal(passes(device, stream, N_PASSES, out), at == 1 ? HD_PLUGIN_OK : HD_PLUGIN_NO_MEMORY);
        assert_int_equal(counts_of_device().n_graph_launches - before, at - 1);
        assert_int_equal(counts_of_device().n_graphs, at - 1);
        assert_int_equal(passes(device, stream, N_PASSES, out), HD_PLUGIN_OK);
        assert_int_equal(counts_of_device().n_graph_launches > before + at, at == 2);
        plugin->stream_close(stream);
        assert_int_equal(counts_of_device().n_graphs, 0);
    }
    plugin->close(device);
    check_nothing_is_left("afterwards", 0);
}

/* As many graphs as there is room for, of the keys used last. */
static void test_graphs_are_few(void **state)
{
    (void)state;
    enum { MOST = 64 };
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    void *memory;
    assert_int_equal(plugin->open(0, &device, why), HD_PLUGIN_OK);
    assert_int_equal(plugin->stream_open(device, &stream, why), HD_PLUGIN_OK);
    assert_int_equal(plugin->alloc(device, N, &memory, why), HD_PLUGIN_OK);
    for (uint64_t k = 0; k < 2 * MOST; k++) {
        for (int times = 0; times < 3; times++) {
            const bool replayed = plugin->replay(stream, &(hd_plugin_key){{k}});
            assert_int_equal(replayed, times == 2);
            if (!replayed)
                plugin->clear(stream, memory, N);
            assert_true(replayed || plugin->recorded(stream));
            assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
        }
        assert_int_equal(counts_of_device().n_graphs, k < MOST ? k + 1 : MOST);
    }
    for (uint64_t k = MOST; k < 2 * MOST; k++)
        assert_true(plugin->replay(stream, &(hd_plugin_key){{k}}));
    assert_false(plugin->replay(stream, &(hd_plugin_key){{0}}));
    assert_true(plugin->recorded(stream));
    assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
    for (uint64_t k = 0; k < 1000; k++) /* what comes once takes no room */
        assert_false(plugin->replay(stream, &(hd_plugin_key){{0, k + 1}}));
    for (uint64_t k = MOST + 1; k < 2 * MOST; k++)
        assert_true(plugin->replay(stream, &(hd_plugin_key){{k}}));
    assert_int_equal(counts_of_device().n_graphs, MOST);
    assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
    close_device(device, stream);
}

static void test_products(void **state)
{
    (void)state;
    fail_each("cublasLtCreate", CUBLAS_STATUS_ALLOC_FAILED, HD_PLUGIN_NO_MEMORY, 1);
    fail_each("cublasLtCreate", CUBLAS_STATUS_NOT_INITIALIZED, HD_PLUGIN_FAILED, 1);
    fail_each("cublasLtMatmul", CUBLAS_STATUS_ALLOC_FAILED, HD_PLUGIN_NO_MEMORY, 1);
    fail_each("cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED, HD_PLUGIN_FAILED, 1);
    /* Who has no kernel is not missed, nor who does not answer, nor who has offered one and refuses. */
    fail_each("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED, HD_PLUGIN_OK, N_PASSES);
    fail_each("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_INTERNAL_ERROR, HD_PLUGIN_OK, N_PASSES);
    fail_each("cublasLtMatmul", CUBLAS_STATUS_NOT_SUPPORTED, HD_PLUGIN_OK, N_PASSES);
}

/* A question that was not answered is asked again, but not during a capture: what was captured is dropped, and is a graph
 * with the pass after that. */
static void test_questions(void **state)
{
    (void)state;
    const cuda_sim_orders once = {.call = "cublasLtMatmulAlgoGetHeuristic", .result = CUBLAS_STATUS_INTERNAL_ERROR, .at = 1};
    control(&once, NULL);
    const cuda_sim_counts before = counts_of_device();
    assert_int_equal(work(N_PASSES), HD_PLUGIN_OK);
    assert_int_equal(counts_of_device().n_failures - before.n_failures, 1);
    assert_int_equal(counts_of_device().n_products - before.n_products, N_PASSES - 1);
    assert_int_equal(counts_of_device().n_graph_launches - before.n_graph_launches, N_PASSES - 2);
    check_nothing_is_left("afterwards", 0);
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
        assert_int_equal(work(1), HD_PLUGIN_LOST);
    assert_int_equal(work(1), HD_PLUGIN_OK);
    check_nothing_is_left("afterwards", 0);
}

/* A stream goes on after a lack of memory, and one that failed says it once and does nothing until then. */
static void test_the_first_is_kept(void **state)
{
    (void)state;
    static float out[N * N];
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    open_device(&device, &stream);
    control(&(cuda_sim_orders){.call = "cuLaunchKernel", .result = CUDA_ERROR_OUT_OF_MEMORY, .at = 1}, NULL);
    const uint64_t before = counts_of_device().n_launches;
    assert_int_equal(pass(device, stream, out), HD_PLUGIN_NO_MEMORY);
    assert_string_equal(why, "k_epilogue: out of memory (2)");
    assert_int_equal(counts_of_device().n_launches, before);
    assert_int_equal(pass(device, stream, out), HD_PLUGIN_OK);
    assert_true(out[5] == 5.0f);
    close_device(device, stream);
}

/* ---- how many calls ---- */

enum { HIDDEN = 1024, MIDDLE = 4096, HEAD_DIM = 64, TOKENS = 5 };

/* Of zeros. */
static void *zeros(hd_plugin_device *device, hd_plugin_stream *stream, size_t bytes)
{
    void *memory = NULL;
    assert_int_equal(plugin->alloc(device, bytes, &memory, why), HD_PLUGIN_OK);
    plugin->clear(stream, memory, bytes);
    return memory;
}

/* From rows of f16 to rows as wide as the channels. */
static hd_plugin_linear product_of_f16(hd_plugin_device *device, hd_plugin_stream *stream, const hd_plugin_act *in,
                                       int32_t channels, hd_plugin_epilogue epilogue, hd_plugin_type out_type)
{
    const size_t n = (size_t)channels, k = in->stride;
    return (hd_plugin_linear){
        .weights = {.type = HD_PLUGIN_F16,
                    .k = (int32_t)k,
                    .rows = zeros(device, stream, n * k * sizeof(uint16_t)),
                    .stride = k,
                    .bias = zeros(device, stream, n * sizeof(float)),
                    .rounded_bias = epilogue == HD_PLUGIN_STORE ? zeros(device, stream, n * sizeof(uint16_t)) : NULL},
        .in = *in,
        .n_rows = TOKENS,
        .end = channels,
        .epilogue = epilogue,
        .out_type = out_type,
        .out = zeros(device, stream, TOKENS * n * (out_type == HD_PLUGIN_F32 ? sizeof(float) : sizeof(uint16_t))),
        .out_stride = n};
}

/* A layer of BERT in bge-m3's size: four products, and a kernel each for attention, the activation and two norms. */
static void test_a_layer(void **state)
{
    (void)state;
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    open_device(&device, &stream);
    const hd_plugin_act in = {
        .type = HD_PLUGIN_F16, .data = zeros(device, stream, TOKENS * HIDDEN * sizeof(uint16_t)), .stride = HIDDEN};
    const hd_plugin_linear qkv = product_of_f16(device, stream, &in, 3 * HIDDEN, HD_PLUGIN_STORE, HD_PLUGIN_F16);
    const hd_plugin_linear out = product_of_f16(device, stream, &in, HIDDEN, HD_PLUGIN_ADD, HD_PLUGIN_F32);
    const hd_plugin_linear up = product_of_f16(device, stream, &in, MIDDLE, HD_PLUGIN_GELU, HD_PLUGIN_F16);
    const hd_plugin_act middle = {.type = HD_PLUGIN_F16, .data = up.out, .stride = MIDDLE};
    hd_plugin_linear down = product_of_f16(device, stream, &middle, HIDDEN, HD_PLUGIN_ADD, HD_PLUGIN_F32);
    const int32_t ends[] = {0, TOKENS};
    int32_t *begin = zeros(device, stream, sizeof ends);
    plugin->upload(stream, begin, ends, sizeof ends);
    const uint16_t *heads = qkv.out;
    const hd_plugin_attention attention = {.type = HD_PLUGIN_F16,
                                           .q = heads,
                                           .k = heads + HIDDEN,
                                           .v = heads + 2 * HIDDEN,
                                           .q_stride = 3 * HIDDEN,
                                           .kv_stride = 3 * HIDDEN,
                                           .q_begin = begin,
                                           .kv_begin = begin,
                                           .n_sequences = 1,
                                           .n_q = TOKENS,
                                           .n_heads = HIDDEN / HEAD_DIM,
                                           .n_kv_heads = HIDDEN / HEAD_DIM,
                                           .head_dim = HEAD_DIM,
                                           .reach_back = INT32_MAX,
                                           .reach_ahead = INT32_MAX,
                                           .scale = 0.125f,
                                           .out_type = HD_PLUGIN_F16,
                                           .out = in.data,
                                           .out_stride = HIDDEN};
    const hd_plugin_norm norm = {.gamma = zeros(device, stream, HIDDEN * sizeof(float)),
                                 .eps = 1e-5f,
                                 .x = out.out,
                                 .stride = HIDDEN,
                                 .n_rows = TOKENS,
                                 .n = HIDDEN,
                                 .act = in};
    down.out = out.out;
    assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
    const cuda_sim_counts before = counts_of_device();
    plugin->linear(stream, &qkv);
    plugin->attention(stream, &attention);
    plugin->linear(stream, &out);
    plugin->norm(stream, &norm);
    plugin->linear(stream, &up);
    plugin->linear(stream, &down);
    plugin->norm(stream, &norm);
    assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
    assert_int_equal(counts_of_device().n_products - before.n_products, 4);
    assert_int_equal(counts_of_device().n_launches - before.n_launches, 4);
    close_device(device, stream);
}

/* A bias that begins where cuBLASLt may not read it is our epilogue's. */
static void test_a_bias(void **state)
{
    (void)state;
    hd_plugin_device *device;
    hd_plugin_stream *stream;
    open_device(&device, &stream);
    const hd_plugin_act in = {
        .type = HD_PLUGIN_F16, .data = zeros(device, stream, TOKENS * N * sizeof(uint16_t)), .stride = N};
    hd_plugin_linear whole[] = {product_of_f16(device, stream, &in, N, HD_PLUGIN_STORE, HD_PLUGIN_F16),
                                product_of_f16(device, stream, &in, N, HD_PLUGIN_ADD, HD_PLUGIN_F32)};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        const size_t bias_bytes = i == 0 ? sizeof(uint16_t) : sizeof(float);
        for (whole[i].first = 0; whole[i].first < 16; whole[i].first++) {
            const cuda_sim_counts before = counts_of_device();
            plugin->linear(stream, &whole[i]);
            assert_int_equal(plugin->wait(stream, why), HD_PLUGIN_OK);
            assert_int_equal(counts_of_device().n_products - before.n_products, 1);
            assert_int_equal(counts_of_device().n_launches - before.n_launches,
                             (size_t)whole[i].first * bias_bytes % 16 != 0);
        }
    }
    close_device(device, stream);
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
        cmocka_unit_test(test_driver),         cmocka_unit_test(test_products),
        cmocka_unit_test(test_questions),      cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_graphs_are_off), cmocka_unit_test(test_graphs_are_few),
        cmocka_unit_test(test_it_comes_back),  cmocka_unit_test(test_the_first_is_kept),
        cmocka_unit_test(test_a_layer),        cmocka_unit_test(test_a_bias),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
