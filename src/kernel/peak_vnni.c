/* peak_vnni.c - VPDPBUSD, 512 bits. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_i8_vnni
#define PEAK_VEC __m512i
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) _mm512_dpbusd_epi32(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
