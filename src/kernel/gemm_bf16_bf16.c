/* gemm_bf16_bf16.c - bf16 products by VDPBF16PS: two products into each f32 lane. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_bf16;

#define EP_COLS 64
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_bf16_bf16
#define GT_ROWS 6
#define GT_COLS 64
typedef __m512 gt_acc;
static inline gt_acc gt_zero(void)
{
    return _mm512_setzero_ps();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return _mm512_loadu_ps(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    _mm512_storeu_ps(p, x);
}
typedef __m512bh gt_a, gt_b;
static inline gt_a gt_a_load(const char *p)
{
    return (gt_a)_mm512_set1_epi32(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return (gt_b)_mm512_loadu_si512((const void *)p);
}
/* As assembly: GCC 12 copies the accumulator of the intrinsic to memory and back on every use. */
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
