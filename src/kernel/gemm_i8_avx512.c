/* gemm_i8_avx512.c - int8 products where AVX-512 has no VNNI (Skylake-SP), by VPMADDUBSW, pair by pair. */
#if defined(__x86_64__)

#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

#define GT_NAME k_gemm_i8_avx512
#define GT_ROWS 6
#define GT_COLS 64
/* A pair is half of a lane of K_I8_NARROW_SUM, and does not overflow. As assembly: see gemm_i8_avx2.c. */
static inline vi gt_dot(vi acc, vi a, vi b)
{
    vi pairs;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
            : "+v"(acc), "=&v"(pairs)
            : "v"(a), "v"(b), "v"(_mm512_set1_epi16(1)));
    return acc;
}
#include "kernel/gemm_i8_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
