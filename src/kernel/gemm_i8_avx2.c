/* gemm_i8_avx2.c - int8 products by VPMADDUBSW: pairs summed in 16 bits, which fewer steps keep from overflowing. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx2
#define GT_ROWS 4
#define GT_COLS 16
/* |u q + u' q'| <= 2 * 209 * 78 = 32604 < 2^15. As assembly: GCC 12 runs out of registers when the loop is unrolled. */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    vi pairs;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(acc), "=&x"(pairs)
            : "x"(a), "x"(b), "x"(_mm256_set1_epi16(1)));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
