/* faults_test.c - the simulated GPU finds what it is there to find: each kernel of faults.cu ends its process with a line
 * that says what is wrong with it, the right one does not, and launches that a driver refuses are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda.h"
#include "faults.h"

enum { BYTES = 2 * FAULT_THREADS * sizeof(float) };

static CUstream stream;
static CUfunction function;
static fault_parameters parameters;

static void *allocate(void)
{
    CUdeviceptr address = 0;
    assert_int_equal(cuMemAlloc(&address, BYTES), CUDA_SUCCESS);
    return (void *)(uintptr_t)address;
}

static void open_kernel(const char *name)
{
    static const char image[64] = "simulated faults;";
    static const float of_host = 1.0f;
    CUcontext context;
    CUmodule module;
    assert_int_equal(cuInit(0), CUDA_SUCCESS);
    assert_int_equal(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
    assert_int_equal(cuModuleLoadData(&module, image), CUDA_SUCCESS);
    assert_int_equal(cuModuleGetFunction(&function, module, name), CUDA_SUCCESS);
    assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    parameters = (fault_parameters){.values = allocate(), .unwritten = allocate(), .host = &of_host};
    assert_int_equal(cuMemsetD8Async((CUdeviceptr)(uintptr_t)parameters.values, 0, BYTES, stream), CUDA_SUCCESS);
}

static CUresult launch(unsigned blocks, unsigned threads, unsigned shared_bytes)
{
    void *all[] = {&parameters};
    return cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared_bytes, stream, all, NULL);
}

/* In a process of its own, whose last words are left in `said`; whether it came to its end. */
static bool survives(const char *kernel, char *said, size_t bytes)
{
    int ends[2], how = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        open_kernel(kernel);
        const bool ran = launch(2, FAULT_THREADS, FAULT_THREADS * sizeof(float)) == CUDA_SUCCESS &&
                         cuStreamSynchronize(stream) == CUDA_SUCCESS;
        _exit(ran ? 0 : 1);
    }
    close(ends[1]);
    memset(said, 0, bytes);
    for (size_t at = 0; at + 1 < bytes;) {
        const ssize_t n = read(ends[0], said + at, bytes - 1 - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static void test_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *kernel, *says;
    } cases[] = {
        {"k_reads_too_early", "without a barrier between"},
        {"k_writes_too_early", "without a barrier between"},
        {"k_leaves_before_barrier", "the block stands still"},
        {"k_leaves_before_exchange", "the block stands still"},
        {"k_reads_behind", "not of the device"},
        {"k_reads_shared_behind", "of shared memory is behind its end"},
        {"k_reads_unwritten", "reads memory at"},
        {"k_reads_unwritten_shared", "reads shared memory at"},
        {"k_reads_other_block", "without a barrier between"},
        {"k_reads_misaligned", "which is no multiple of that"},
        {"k_reads_host", "not of the device"},
    };
    char said[512];
    if (!survives("k_right", said, sizeof said))
        fail_msg("a kernel that is right: %s", said);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const bool survived = survives(cases[i].kernel, said, sizeof said);
        if (survived || strstr(said, cases[i].kernel) == NULL || strstr(said, cases[i].says) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].kernel, said, cases[i].says);
    }
}

static void test_launches(void **state)
{
    (void)state;
    open_kernel("k_right");
    assert_int_equal(launch(1, 1024, 48 << 10), CUDA_SUCCESS);
    assert_int_equal(launch(1, 1025, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(launch(1, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(launch(0, 32, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(launch(1, 32, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64 << 10), CUDA_SUCCESS);
    assert_int_equal(launch(1, 32, (48 << 10) + 1), CUDA_SUCCESS);
    assert_int_equal(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (64 << 10) + 1),
                     CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels), cmocka_unit_test(test_launches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
