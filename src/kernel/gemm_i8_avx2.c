/* gemm_i8_avx2.c - int8 products by VPMADDUBSW, four of them summed in 16 bits, which the packing of the weights keeps from
 * overflowing (K_I8_NARROW_SUM in gemm.h). */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx2
#define GT_ROWS 3
#define GT_COLS 16
#define GT_TOGETHER 2
typedef struct gt_a {
    vi first, second; /* of two steps */
} gt_a;
typedef const vi *gt_b; /* left in memory: an operand from there costs no instruction of its own */
static inline gt_a gt_a_load(const char *p)
{
    const int32_t *four = (const int32_t *)(const void *)p;
    return (gt_a){vi_set1(four[0]), vi_set1(four[1])};
}
static inline gt_b gt_b_load(const char *p)
{
    return (gt_b)(const void *)p;
}
/* As assembly: GCC 12 runs out of registers when the loop is unrolled. */
static inline vi gt_dot(vi acc, gt_a a, gt_b b)
{
    vi sum, more;
    __asm__("vpmaddubsw %4, %3, %1\n\tvpmaddubsw %6, %5, %2\n\tvpaddw %2, %1, %1\n\tvpmaddwd %7, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(acc), "=&x"(sum), "=&x"(more)
            : "x"(a.first), "m"(b[0]), "x"(a.second), "m"(b[64 / sizeof *b]), "x"(_mm256_set1_epi16(1)));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
