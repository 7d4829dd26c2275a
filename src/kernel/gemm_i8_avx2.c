/* gemm_i8_avx2.c - int8 products where there is no VNNI (gemm_narrow_tmpl.h). */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx2
#define GT_ROWS 3
#define GT_COLS 16
#define GT_TOGETHER 2
#include "kernel/gemm_narrow_tmpl.h"
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
