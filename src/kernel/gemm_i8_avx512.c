/* gemm_i8_avx512.c - int8 products where AVX-512 has no VNNI (Skylake-SP): those of gemm_i8_avx2.c, twice as wide. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_i8_avx512;

#define EP_COLS 32
#define EP_INT 1
#define EP_EXACT 0
#define EP_SUFFIX tile
static inline vf vf_from_i32(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(p));
}
#include "kernel/epilogue_tmpl.h"

#define GT_NAME k_gemm_i8_avx512
#define GT_ROWS 12
#define GT_COLS 32
typedef __m512i gt_acc, gt_a, gt_b;
static inline gt_acc gt_zero(void)
{
    return _mm512_setzero_si512();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    _mm512_storeu_si512(p, x);
}
static inline gt_a gt_a_load(const char *p)
{
    return _mm512_set1_epi32(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return _mm512_loadu_si512((const void *)p);
}
/* |u q + u' q'| <= 2 * 209 * 78 = 32604 < 2^15 */
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
}
#include "kernel/gemm_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
