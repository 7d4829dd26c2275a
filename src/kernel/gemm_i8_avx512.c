/* gemm_i8_avx512.c - int8 products where AVX-512 has no VNNI (Skylake-SP), as gemm_i8_avx2.c does them. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx512
#define GT_ROWS 6
#define GT_COLS 64
#define GT_TOGETHER 2
#include "kernel/gemm_narrow_tmpl.h"
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
