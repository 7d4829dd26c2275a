/* gemm_bf16_avx2.c - bf16 weights and activations, widened to f32: half the memory at f32's arithmetic rate. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_avx2;

#define EP_COLS 16
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_bf16_avx2
#define GT_ROWS 4
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
typedef __m256i gt_a, gt_b; /* pairs of bf16: the earlier k in the low half */
static inline gt_a gt_a_load(const char *p)
{
    return _mm256_set1_epi32(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return _mm256_loadu_si256((const void *)p);
}
static inline __m256 low(__m256i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
static inline __m256 high(__m256i x)
{
    return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000u)));
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return _mm256_fmadd_ps(high(a), high(b), _mm256_fmadd_ps(low(a), low(b), acc));
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
