/* peak_bf16.c - VDPBF16PS. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_bf16_bf16
#define PEAK_VEC __m512
#define PEAK_KEEP "v"
#define PEAK_STEPS PEAK_CHAINS_AVX512
#define PEAK_DOT(acc, a, b) _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
