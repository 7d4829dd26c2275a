/* gemm_bf16_neon.c - bf16 products widened to f32, 4 lanes. See gemm_wide_tmpl.h. */
#if defined(__aarch64__)

#include "kernel/gemm.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_neon;

#define GT_NAME k_gemm_bf16_neon
#define GT_ROWS 6
#define GT_COLS 16
#include "kernel/gemm_wide_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
