/* kernels.h - the table of kernels this process uses, filled from kernels.inc by what cpu/isa.h grants. */
#ifndef HD_KERNEL_KERNELS_H
#define HD_KERNEL_KERNELS_H

#include "cpu/isa.h"
#include "kernel/attention.h"
#include "kernel/distance.h"
#include "kernel/gemm.h"
#include "kernel/maxsim.h"
#include "kernel/rows.h"

typedef struct hd_kernels {
    k_gemm_fn *gemm_f32, *gemm_bf16, *gemm_i8;
    k_attention_fn *attention_f32, *attention_bf16;
    k_norm_fn *norm;
    k_convert_fn *convert;
    k_embed_fn *embed;
    k_rotary_fn *rotary;
    k_pool_sum_fn *pool_sum;
    k_pool_max_fn *pool_max;
    k_dot_fn *dot;
    k_maxsim_fn *maxsim_f32, *maxsim_bf16;
    k_codes_dot_fn *codes_dot;
    k_codes_flip_fn *codes_flip;
    k_half_dot_fn *half_dot;
    bool i8_narrow;           /* products of the int8 gemm are added in 16 bits (gemm.h) */
    int i8_act_max;           /* its largest activation */
    k_type i8_out_type;       /* what had best be written for rows that are converted for an int8 product */
    bool bf16_native;         /* the bf16 gemm reads rows of bf16, and is at least twice as fast as the f32 one */
    bool bf16_attention_fast; /* attention_bf16 is faster than attention_f32 */
} hd_kernels;

/* Of the rows that the gemm of a type of weights reads. */
static inline k_type hd__gemm_row_type(const hd_kernels *kernels, k_type weights)
{
    return weights == K_BF16 && !kernels->bf16_native ? K_F32 : weights;
}

/* Fills the table for the levels granted now (hd__isa_init and hd__isa_set_mask). */
void hd__kernels_fill(hd_kernels *kernels);

/* Every kernel known to this build, in the order of kernels.inc: for kcheck, bench and `heddle info`. */
typedef void k_any_fn(void);
typedef struct hd_kernel_row {
    const char *entry;  /* "gemm_i8" */
    const char *symbol; /* "k_gemm_i8_amx" */
    hd_isa isa;
    k_any_fn *function;
} hd_kernel_row;

const hd_kernel_row *hd__kernel_rows(size_t *n);

/* The row in use for an entry under the levels granted now; NULL for an unknown entry. */
const hd_kernel_row *hd__kernel_chosen(const char *entry);

/* What one core's arithmetic units reach in a loop on registers alone, in GFLOP/s (2 per multiply-add), on
 * the best of the levels granted for the type. Takes about `milliseconds`. The share of it a run reaches is the figure
 * quoted in docs/SPEED.md. */
double hd__kernel_peak_gflops(k_type type, uint32_t milliseconds);

#endif
