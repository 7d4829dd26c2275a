/* gemm_i8_dotprod.c - int8 products by SDOT. */
#if defined(__aarch64__)

#include "kernel/gemm.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_dotprod
typedef int8x16_t gt_a, gt_b;
static inline int32x4_t gt_dot(int32x4_t acc, gt_a a, gt_b b)
{
    return vdotq_s32(acc, a, b);
}
#include "kernel/gemm_signed_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
