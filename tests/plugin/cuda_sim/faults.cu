/* faults.cu - see faults.h. */
#include "faults.h"

extern "C" __global__ void k_right(const fault_parameters p)
{
    extern __shared__ float shared[];
    shared[threadIdx.x] = p.values[blockIdx.x * FAULT_THREADS + threadIdx.x];
    __syncthreads();
    const float other = shared[FAULT_THREADS - 1 - threadIdx.x];
    __syncthreads();
    shared[threadIdx.x] = other + __shfl_xor_sync(0xffffffffu, other, 1);
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = shared[threadIdx.x];
}

extern "C" __global__ void k_reads_too_early(const fault_parameters p)
{
    extern __shared__ float shared[];
    shared[threadIdx.x] = 0.0f;
    __syncthreads();
    shared[threadIdx.x] = 1.0f;
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = shared[FAULT_THREADS - 1 - threadIdx.x];
}

extern "C" __global__ void k_writes_too_early(const fault_parameters p)
{
    extern __shared__ float shared[];
    shared[threadIdx.x] = 0.0f;
    __syncthreads();
    const float other = shared[FAULT_THREADS - 1 - threadIdx.x];
    shared[threadIdx.x] = other + 1.0f;
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = other;
}

extern "C" __global__ void k_leaves_before_barrier(const fault_parameters p)
{
    if (threadIdx.x >= FAULT_THREADS / 2)
        return;
    __syncthreads();
    p.values[threadIdx.x] = 0.0f;
}

extern "C" __global__ void k_leaves_before_exchange(const fault_parameters p)
{
    if (threadIdx.x % 2 == 1)
        return;
    p.values[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 2);
}

extern "C" __global__ void k_reads_behind(const fault_parameters p)
{
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = p.values[2 * FAULT_THREADS + threadIdx.x];
}

extern "C" __global__ void k_reads_shared_behind(const fault_parameters p)
{
    extern __shared__ float shared[];
    shared[threadIdx.x] = 0.0f;
    __syncthreads();
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = shared[threadIdx.x + 1];
}

extern "C" __global__ void k_reads_unwritten(const fault_parameters p)
{
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = p.unwritten[threadIdx.x];
}

extern "C" __global__ void k_reads_unwritten_shared(const fault_parameters p)
{
    extern __shared__ float shared[];
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = shared[threadIdx.x];
}

extern "C" __global__ void k_reads_other_block(const fault_parameters p)
{
    if (blockIdx.x == 0)
        p.values[threadIdx.x] = 1.0f;
    else
        p.values[FAULT_THREADS + threadIdx.x] = p.values[threadIdx.x];
}

extern "C" __global__ void k_reads_misaligned(const fault_parameters p)
{
    const double *at = (const double *)(const void *)(p.values + 1);
    p.values[FAULT_THREADS] = (float)at[0];
}

extern "C" __global__ void k_reads_host(const fault_parameters p)
{
    p.values[blockIdx.x * FAULT_THREADS + threadIdx.x] = *p.host;
}
