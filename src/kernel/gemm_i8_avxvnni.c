/* gemm_i8_avxvnni.c - int8 products by the 256-bit VPDPBUSD of AVX-VNNI. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_i8_avxvnni;

#define EP_COLS 16
#define EP_INT 1
#define EP_EXACT 0
#define EP_SUFFIX tile
static inline vf vf_from_i32(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_loadu_si256(p));
}
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_i8_avxvnni
#define GT_ROWS 6
#define GT_COLS 16
typedef __m256i gt_acc, gt_a, gt_b;
static inline gt_acc gt_zero(void)
{
    return _mm256_setzero_si256();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    _mm256_storeu_si256(p, x);
}
static inline gt_a gt_a_load(const char *p)
{
    return _mm256_set1_epi32(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return _mm256_loadu_si256((const void *)p);
}
/* As assembly: GCC 12 copies the accumulator of the intrinsic to memory and back on every use. */
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
    return acc;
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
