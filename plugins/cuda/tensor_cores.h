/* tensor_cores.h - what a warp's tensor cores do, in the registers of its 32 lanes, from sm_80 on: products of 16 x 16 by
 * 16 x 8 bf16 or f16 with sums in f32, and tiles of shared memory in the order that these products read. With
 * g = lane / 4 and t = lane % 4, a lane has
 *
 *   of the first factor   a[0], a[1]: rows g and g + 8 of columns 2t and 2t + 1; a[2], a[3]: of columns 2t + 8 and 2t + 9
 *   of the second         b[0]: rows 2t and 2t + 1 of column g; b[1]: rows 2t + 8 and 2t + 9
 *   of the sums           c[0], c[1]: row g, columns 2t and 2t + 1; c[2], c[3]: row g + 8
 *
 * Source: PTX ISA 9.0, "mma.m16n8k16" and "ldmatrix".
 */
#ifndef HD_CUDA_TENSOR_CORES_H
#define HD_CUDA_TENSOR_CORES_H

#include <stdint.h>

#include "heddle/plugin.h"

#define LEAST_TENSOR_CORES 800 /* __CUDA_ARCH__; older devices are not given such kernels */

#define MULTIPLY(type)                                                                                                      \
    "mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 "                                                          \
    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"

/* c += a b. TYPE, here and below: BF16 or F16. */
template <hd_plugin_type TYPE>
static __device__ __forceinline__ void multiply_tiles(float c[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= LEAST_TENSOR_CORES
    if (TYPE == HD_PLUGIN_F16)
        asm volatile(MULTIPLY("f16")
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile(MULTIPLY("bf16")
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();
#endif
}

/* Four tiles of 8 x 8 values of 16 bits: lane i gives the address, a multiple of 16, of row i % 8 of tile i / 8. to[m] is of
 * tile m: row g's columns 2t and 2t + 1, or, transposed, column g's rows 2t and 2t + 1. */
template <bool IS_TRANSPOSED> static __device__ __forceinline__ void load_tiles(uint32_t to[4], const uint16_t *row)
{
#if __CUDA_ARCH__ >= LEAST_TENSOR_CORES
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (IS_TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
#else
    __trap();
#endif
}

/* Two values, rounded to nearest even, the first in the lower half. */
template <hd_plugin_type TYPE> static __device__ __forceinline__ uint32_t pair_of(float first, float second)
{
    uint32_t pair = 0;
#if __CUDA_ARCH__ >= LEAST_TENSOR_CORES
    if (TYPE == HD_PLUGIN_F16)
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    else
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
#else
    __trap();
#endif
    return pair;
}

#endif
