/* distance_avxvnni.c - products of codes by the 256-bit VPDPBUSD of AVX-VNNI. */
#if defined(__x86_64__)

#include "kernel/distance.h"

#include <immintrin.h>

k_codes_dot_fn k_codes_dot_avxvnni;

#define CD_NAME k_codes_dot_avxvnni
#define CD_BYTES 32
#define CD_CORRECTED 0
typedef __m256i cd_query, cd_row, cd_acc;
#include "kernel/codes_avx2.h"
static inline cd_acc cd_dot(cd_acc acc, cd_row u, cd_query q)
{
    return _mm256_dpbusd_avx_epi32(acc, u, q);
}
#include "kernel/codes_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
