/* device_code.h - what the CUDA compiler brings along, for kernels that are compiled as C++ for grid.h. Included before them
 * on the command line.
 */
#ifndef CUDA_SIM_DEVICE_CODE_H
#define CUDA_SIM_DEVICE_CODE_H

#include <math.h>
#include <string.h>

#include "grid.h"
#include "halves.h"
#include "heddle/plugin.h"

#define __CUDACC__ 1
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ thread_local /* the fibers of a block are of one thread of the host */

#define threadIdx (*sim_now.thread)
#define blockIdx (sim_now.block)
#define blockDim (sim_now.n_threads)
#define gridDim (sim_now.n_blocks)

static inline void __syncthreads()
{
    sim_barrier();
}

static inline int __syncthreads_and(int value)
{
    return sim_barrier_and(value);
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    sim_warp_barrier(mask);
}

static inline float __shfl_sync(unsigned mask, float value, int lane)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    memcpy(&value, sim_exchange(mask, &word, 1)[lane & 31], sizeof value);
    return value;
}

static inline float __shfl_xor_sync(unsigned mask, float value, int step)
{
    return __shfl_sync(mask, value, (int)(threadIdx.x + blockDim.x * threadIdx.y) % SIM_LANES ^ step);
}

typedef struct alignas(16) uint4 {
    uint32_t x, y, z, w;
} uint4;

/* ---- tensor_cores.h, which says what these do ---- */

#define HD_CUDA_TENSOR_CORES_H

/* Element i of a pair. */
template <hd_plugin_type TYPE> static inline float sim_half(uint32_t pair, int i)
{
    const uint32_t bits = i == 0 ? pair & 0xffff : pair >> 16;
    return TYPE == HD_PLUGIN_F16 ? sim_f32_of_f16(bits) : sim_f32_of_bf16(bits);
}

template <hd_plugin_type TYPE> static inline void multiply_tiles(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    const uint32_t own[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const sim_words *all = sim_exchange(0xffffffffu, own, 6);
    const int lane = (int)threadIdx.x % SIM_LANES;
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            const int of_pair = k % 8 / 2;
            c[i] += sim_half<TYPE>(all[row % 8 * 4 + of_pair][k / 8 * 2 + row / 8], k % 2) *
                    sim_half<TYPE>(all[column * 4 + of_pair][4 + k / 8], k % 2);
        }
    }
}

template <bool IS_TRANSPOSED> static inline void load_tiles(uint32_t to[4], const uint16_t *row)
{
    uint32_t words[2];
    memcpy(words, &row, sizeof row);
    if ((uintptr_t)row % 16 != 0)
        sim_fault("a tile's row is at %p, which is no multiple of 16", (const void *)row);
    const sim_words *all = sim_exchange(0xffffffffu, words, 2);
    const int lane = (int)threadIdx.x % SIM_LANES, g = lane / 4, t = lane % 4;
    for (int tile = 0; tile < 4; tile++) {
        uint16_t pair[2];
        for (int i = 0; i < 2; i++) {
            const uint16_t *from;
            memcpy(&from, all[tile * 8 + (IS_TRANSPOSED ? 2 * t + i : g)], sizeof from);
            pair[i] = from[IS_TRANSPOSED ? g : 2 * t + i];
        }
        to[tile] = pair[0] | (uint32_t)pair[1] << 16;
    }
}

template <hd_plugin_type TYPE> static inline uint32_t pair_of(float first, float second)
{
    return TYPE == HD_PLUGIN_F16 ? sim_f16_of(first) | sim_f16_of(second) << 16
                                 : sim_bf16_of(first) | sim_bf16_of(second) << 16;
}

/* ---- and more of the compiler's ---- */

static inline int min(int a, int b)
{
    return a < b ? a : b;
}

static inline int max(int a, int b)
{
    return a > b ? a : b;
}

#endif
