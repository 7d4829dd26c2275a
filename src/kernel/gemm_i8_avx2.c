/* gemm_i8_avx2.c - int8 products by VPMADDUBSW: pairs summed in 16 bits, which fewer steps keep from overflowing. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx2
#define GT_ROWS 4
/* |u q + u' q'| <= 2 * 209 * 78 = 32604 < 2^15 */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
