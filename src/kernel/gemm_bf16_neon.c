/* gemm_bf16_neon.c - bf16 weights and activations, widened to f32: half the memory at f32's arithmetic rate. */
#if defined(__aarch64__)

#include "kernel/gemm.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_neon;

#define EP_COLS 16
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_bf16_neon
#define GT_ROWS 4
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
typedef uint32x4_t gt_a, gt_b; /* pairs of bf16: the earlier k in the low half */
static inline gt_a gt_a_load(const char *p)
{
    return vld1q_dup_u32((const uint32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return vld1q_u32((const uint32_t *)(const void *)p);
}
static inline vf low(uint32x4_t x)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(x, 16));
}
static inline vf high(uint32x4_t x)
{
    return vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xffff0000u)));
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return vfmaq_f32(vfmaq_f32(acc, low(a), low(b)), high(a), high(b));
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
