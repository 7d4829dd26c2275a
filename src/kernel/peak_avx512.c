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

#define PEAK_NAME k_peak_i8_avx512
#define PEAK_VEC __m512i
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#include "kernel/peak_narrow_tmpl.h"
#define PEAK_DOT(acc, a, b) i8_steps(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
