/* peak_avx512.c - FMA, and the three instructions of an int8 product. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_f32_avx512
#define PEAK_VEC __m512
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) _mm512_fmadd_ps(a, b, acc)
#include "kernel/peak_tmpl.h"

/* The first product must not be the same each time, or it is taken out of the loop. */
static inline __m512i i8_step(__m512i acc, __m512i a, __m512i b)
{
    __asm__ volatile("" : "+v"(a));
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), b));
}

#define PEAK_NAME k_peak_i8_avx512
#define PEAK_VEC __m512i
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) i8_step(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
