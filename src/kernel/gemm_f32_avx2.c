/* gemm_f32_avx2.c - f32 products, 8 lanes. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_f32_avx2;

#define EP_COLS 16
#define EP_INT 0
#define EP_EXACT 1
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_f32_avx2
#define GT_ROWS 6
#define GT_COLS 16
typedef __m256 gt_acc;
static inline gt_acc gt_zero(void)
{
    return _mm256_setzero_ps();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return _mm256_loadu_ps(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    _mm256_storeu_ps(p, x);
}
typedef __m256 gt_a, gt_b;
static inline gt_a gt_a_load(const char *p)
{
    return _mm256_set1_ps(*(const float *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return _mm256_loadu_ps((const void *)p);
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return vf_accumulate(acc, a, b);
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
