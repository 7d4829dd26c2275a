/* gemm_i8_neon.c - int8 products in 16 bits, for cores without SDOT. */
#if defined(__aarch64__)

#include "kernel/gemm.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_neon
typedef int8x16_t gt_a, gt_b;
/* |s q + s' q'| <= 2 * 128 * 127 = 32512 < 2^15 */
static inline int32x4_t gt_dot(int32x4_t acc, gt_a a, gt_b b)
{
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(acc, vpaddq_s16(low, high));
}
#include "kernel/gemm_signed_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
