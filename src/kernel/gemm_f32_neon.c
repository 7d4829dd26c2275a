/* gemm_f32_neon.c - f32 products, 4 lanes. */
#if defined(__aarch64__)

#include "kernel/gemm.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_f32_neon;

#define EP_COLS 16
#define EP_INT 0
#define EP_EXACT 1
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_f32_neon
#define GT_ROWS 6
#define GT_COLS 16
typedef float32x4_t gt_acc;
static inline gt_acc gt_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline gt_acc gt_acc_load(const void *p)
{
    return vld1q_f32(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    vst1q_f32(p, x);
}
typedef float32x4_t gt_a, gt_b;
static inline gt_a gt_a_load(const char *p)
{
    return vld1q_dup_f32((const float *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return vld1q_f32((const float *)(const void *)p);
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return vfmaq_f32(acc, a, b);
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
