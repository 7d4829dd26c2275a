/* gemm_i8_avxvnni.c - int8 products by the 256-bit VPDPBUSD of AVX-VNNI. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avxvnni
#define GT_ROWS 6
#define GT_COLS 16
/* As assembly: GCC 12 copies the accumulator of the intrinsic to memory and back on every use. */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
