/* gemm_bf16_avx512.c - bf16 products widened to f32, 16 lanes. See gemm_wide_tmpl.h. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_avx512;

#define GT_NAME k_gemm_bf16_avx512
#define GT_ROWS 6
#define GT_COLS 64
#include "kernel/gemm_wide_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
