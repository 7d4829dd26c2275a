/* codes_avx2.h - what codes_tmpl.h needs of 32-byte vectors, but for the product itself. */
#ifndef HD_KERNEL_CODES_AVX2_H
#define HD_KERNEL_CODES_AVX2_H

#include <immintrin.h>
#include <stdint.h>

static inline __m256i cd_zero(void)
{
    return _mm256_setzero_si256();
}
static inline __m256i cd_query_load(const int8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline __m256i cd_row_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline int32_t cd_sum(__m256i acc)
{
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1));
    return _mm_cvtsi128_si32(x);
}

#endif
