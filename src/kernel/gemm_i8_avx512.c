/* gemm_i8_avx512.c - int8 products where AVX-512 has no VNNI (Skylake-SP): those of gemm_i8_avx2.c, twice as wide. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx512
#define GT_ROWS 12
/* |u q + u' q'| <= 2 * 209 * 78 = 32604 < 2^15 */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
