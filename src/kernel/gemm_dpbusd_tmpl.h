/* gemm_dpbusd_tmpl.h - int8 products by VPDPBUSD on 512 bits: four products into each int32 lane. Define GT_NAME before.
 * What levels differ in is the rounding of outputs to bfloat16 (vec_avx512.h).
 */
#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

#define GT_ROWS 6
#define GT_COLS 64
/* As assembly: GCC 12 copies the accumulator of the intrinsic to memory and back on every use. */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"
