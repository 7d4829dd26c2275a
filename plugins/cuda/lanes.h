/* lanes.h - sums, least and greatest values over a warp's 32 lanes and over a block of ROW_THREADS, for kernels. Every
 * thread of the warp or block calls, and gets the result. By butterflies of __shfl_xor_sync (CUDA C++ Programming Guide,
 * "Warp Shuffle Functions").
 */
#ifndef HD_CUDA_LANES_H
#define HD_CUDA_LANES_H

#include "kernels.h"
#include "numbers.h"

#define ALL_LANES 0xffffffffu

enum { LANES = 32 };

struct Sum {
    static __device__ float of(float a, float b) { return a + b; }
};
struct Least {
    static __device__ float of(float a, float b) { return fminf(a, b); }
};
struct Most {
    static __device__ float of(float a, float b) { return fmaxf(a, b); }
};

template <typename Operation> __device__ float over_warp(float value)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        value = Operation::of(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

template <typename Operation> __device__ float over_block(float value)
{
    __shared__ float of_warps[ROW_THREADS / LANES];
    value = over_warp<Operation>(value);
    __syncthreads(); /* the last call's values are read */
    if (threadIdx.x % LANES == 0)
        of_warps[threadIdx.x / LANES] = value;
    __syncthreads();
    value = of_warps[0];
    for (int warp = 1; warp < ROW_THREADS / LANES; warp++)
        value = Operation::of(value, of_warps[warp]);
    return value;
}

#endif
