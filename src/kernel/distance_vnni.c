/* distance_vnni.c - products of codes by VPDPBUSD on 64 bytes. */
#if defined(__x86_64__)

#include "kernel/distance.h"

#include <immintrin.h>

k_codes_dot_fn k_codes_dot_vnni;

#define CD_NAME k_codes_dot_vnni
#define CD_BYTES 64
#define CD_CORRECTED 0
typedef __m512i cd_query, cd_row, cd_acc;
static inline cd_acc cd_zero(void)
{
    return _mm512_setzero_si512();
}
static inline cd_query cd_query_load(const int8_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline cd_row cd_row_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline cd_acc cd_dot(cd_acc acc, cd_row u, cd_query q)
{
    return _mm512_dpbusd_epi32(acc, u, q);
}
static inline int32_t cd_sum(cd_acc acc)
{
    return _mm512_reduce_add_epi32(acc);
}
#include "kernel/codes_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
