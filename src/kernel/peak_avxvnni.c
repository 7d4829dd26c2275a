/* peak_avxvnni.c - VPDPBUSD, 256 bits. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_i8_avxvnni
#define PEAK_VEC __m256i
#define PEAK_KEEP "x"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) _mm256_dpbusd_avx_epi32(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
