/* peak_avx2.c - FMA, and the three instructions of an int8 product. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_f32_avx2
#define PEAK_VEC __m256
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) _mm256_fmadd_ps(a, b, acc)
#include "kernel/peak_tmpl.h"

/* The first product must not be the same each time, or it is taken out of the loop. */
static inline __m256i i8_step(__m256i acc, __m256i a, __m256i b)
{
    __asm__ volatile("" : "+x"(a));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b));
}

#define PEAK_NAME k_peak_i8_avx2
#define PEAK_VEC __m256i
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) i8_step(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
