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

#define PEAK_NAME k_peak_i8_avx2
#define PEAK_VEC __m256i
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#include "kernel/peak_narrow_tmpl.h"
#define PEAK_DOT(acc, a, b) i8_steps(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
