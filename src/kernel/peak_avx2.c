/* peak_avx2.c - FMA, and the five instructions of two steps of an int8 product. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_f32_avx2
#define PEAK_VEC __m256
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) _mm256_fmadd_ps(a, b, acc)
#include "kernel/peak_tmpl.h"

/* As assembly: equal products would be taken out of the loop. */
static inline __m256i i8_steps(__m256i acc, __m256i a, __m256i b)
{
    __m256i sum, more;
    __asm__ volatile(
        "vpmaddubsw %4, %3, %1\n\tvpmaddubsw %4, %3, %2\n\tvpaddw %2, %1, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
        : "+x"(acc), "=&x"(sum), "=&x"(more)
        : "x"(a), "x"(b));
    return acc;
}

#define PEAK_NAME k_peak_i8_avx2
#define PEAK_VEC __m256i
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) i8_steps(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
