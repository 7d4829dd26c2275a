/* distance_avx2.c - products of codes by VPMADDUBSW, and of halves. */
#if defined(__x86_64__)

#include "kernel/distance.h"

#include <immintrin.h>

#include "kernel/vec_avx2.h"

k_codes_dot_fn k_codes_dot_avx2;
k_codes_flip_fn k_codes_flip_avx2;
k_half_dot_fn k_half_dot_avx2;

#define CD_NAME k_codes_dot_avx2
#define CD_BYTES 32
#define CD_CORRECTED 1
typedef __m256i cd_query, cd_row, cd_acc;
#include "kernel/codes_avx2.h"
/* VPMADDUBSW adds two products in 16 bits, so the unsigned side must not pass 127: it is |q|, whose sign goes to the row.
 * |q| |u - 128| is at most 127 * 128, but u - 128 = -128 is no code; two are 2 * 127 * 127 < 2^15. */
static inline cd_acc cd_dot(cd_acc acc, cd_row u, cd_query q)
{
    const __m256i row = _mm256_xor_si256(u, _mm256_set1_epi8((char)K_CODES_ZERO));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(row, q));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#include "kernel/codes_tmpl.h"

/* VPSADBW sums u, which is q and 128. */
int32_t k_codes_flip_avx2(const uint8_t *row, int n, int8_t *query)
{
    const __m256i zero = _mm256_set1_epi8((char)K_CODES_ZERO);
    __m256i sum = _mm256_setzero_si256();
    for (int j = 0; j < n; j += CD_BYTES) {
        const __m256i u = cd_row_load(row + j);
        _mm256_storeu_si256((__m256i *)(void *)(query + j), _mm256_xor_si256(u, zero));
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(u, _mm256_setzero_si256()));
    }
    return K_CODES_ZERO * (cd_sum(sum) - K_CODES_ZERO * n); /* halves of 64 bits that are not zero are the lower ones */
}

static inline vf hf_load(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
#define HF_NAME k_half_dot_avx2
#include "kernel/half_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
