/* gemm_bf16_avx512.c - bf16 weights and activations, widened to f32: half the memory at f32's arithmetic rate. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_bf16_avx512;

#define EP_COLS 32
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_bf16_avx512
#define GT_ROWS 12
#define GT_COLS 32
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
typedef __m512i gt_a, gt_b; /* pairs of bf16: the earlier k in the low half */
static inline gt_a gt_a_load(const char *p)
{
    return _mm512_set1_epi32(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return _mm512_loadu_si512((const void *)p);
}
static inline __m512 low(__m512i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
static inline __m512 high(__m512i x)
{
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000u)));
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return _mm512_fmadd_ps(high(a), high(b), _mm512_fmadd_ps(low(a), low(b), acc));
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
