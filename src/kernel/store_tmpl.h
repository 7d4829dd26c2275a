/* store_tmpl.h - lanes into rows of f32 or bf16; include a vec_*.h first. */
#ifndef HD_KERNEL_STORE_TMPL_H
#define HD_KERNEL_STORE_TMPL_H

#include <string.h>

#include "kernel/gemm.h"

/* The first n lanes into elements of the type from `at` on, at any alignment of the element. */
static inline void vf_store_as(k_type type, void *to, size_t at, vf x, int n)
{
    float *wide = (float *)to + at;
    uint16_t *half = (uint16_t *)to + at, lanes[VF_LANES];
    if (n == VF_LANES && type == K_F32) {
        vf_store(wide, x);
    } else if (n == VF_LANES) {
        vf_store_bf16(half, x);
    } else if (type == K_F32) {
        vf_store_n(wide, x, n);
    } else {
        vf_store_bf16(lanes, x);
        memcpy(half, lanes, (size_t)n * sizeof *half);
    }
}

#endif
