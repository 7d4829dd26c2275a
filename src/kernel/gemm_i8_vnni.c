/* gemm_i8_vnni.c - int8 products by VPDPBUSD: four products into each int32 lane. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_vnni
#define GT_ROWS 14
/* As assembly: GCC 12 copies the accumulator of the intrinsic to memory and back on every use. */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
