/* peak_avx512.c - FMA, and the five instructions of two steps of an int8 product. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_f32_avx512
#define PEAK_VEC __m512
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) _mm512_fmadd_ps(a, b, acc)
#include "kernel/peak_tmpl.h"

/* As assembly: see peak_avx2.c. */
static inline __m512i i8_steps(__m512i acc, __m512i a, __m512i b)
{
    __m512i sum, more;
    __asm__ volatile(
        "vpmaddubsw %4, %3, %1\n\tvpmaddubsw %4, %3, %2\n\tvpaddw %2, %1, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
        : "+v"(acc), "=&v"(sum), "=&v"(more)
        : "v"(a), "v"(b));
    return acc;
}

#define PEAK_NAME k_peak_i8_avx512
#define PEAK_VEC __m512i
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) i8_steps(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
