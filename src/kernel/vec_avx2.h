/* vec_avx2.h - eight f32 lanes: the vocabulary the *_tmpl.h bodies are written in.
 *
 * Each vec_*.h gives the same names at its own width; a *_tmpl.h body is compiled once for each by including
 * one of them first. Only what a body needs is here.
 */
#ifndef HD_KERNEL_VEC_AVX2_H
#define HD_KERNEL_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 8
typedef __m256 vf;

static inline vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
} /* a * b + c */
/* acc + a * b. As assembly: in a loop GCC 12 overwrites a factor instead of the sum, then moves and spills. */
static inline vf vf_accumulate(vf acc, vf a, vf b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
    return acc;
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
} /* c - a * b */
/* b when either is NaN */
static inline vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* p * 2^n, n integral, down to zero; p in [0.5, 2] */
static inline vf vf_scale2(vf p, vf n)
{
    vf clamped = _mm256_min_ps(_mm256_max_ps(n, vf_set1(-126.0f)), vf_set1(127.0f));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(clamped), _mm256_set1_epi32(127)), 23);
    vf scaled = _mm256_mul_ps(p, _mm256_castsi256_ps(power));
    return _mm256_andnot_ps(_mm256_cmp_ps(n, vf_set1(-126.0f), _CMP_LT_OQ), scaled);
}

/* Folded in a fixed order: halves, quarters, pairs. */
static inline float vf_sum(vf a)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
static inline float vf_hmin(vf a)
{
    __m128 q = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_min_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_min_ss(q, _mm_movehdup_ps(q)));
}
static inline float vf_hmax(vf a)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

static inline __m256i vf_mask_n(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* The first n lanes (0 to 8); the rest are zero and not read. */
static inline vf vf_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, vf_mask_n(n));
}
static inline void vf_store_n(float *p, vf x, int n)
{
    _mm256_maskstore_ps(p, vf_mask_n(n), x);
}
/* a in the first n lanes, b in the others */
static inline vf vf_select_n(vf a, vf b, int n)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(vf_mask_n(n)));
}

/* Rows to columns: r[i] lane j becomes r[j] lane i. Bits are only moved. */
static inline void vf_transpose(vf r[8])
{
    __m256 t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        r[c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
        r[4 + c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
    }
}

/* Eight bf16 widened; narrowed with rounding to nearest even, NaN kept. */
static inline vf vf_load_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
/* Of sixteen bf16, the even ones widened, or the odd ones. */
static inline vf vf_load_bf16_even(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)p), 16));
}
static inline vf vf_load_bf16_odd(const uint16_t *p)
{
    __m256i pairs = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u)));
}
static inline __m128i vf_to_bf16(vf x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0xD8);
    return _mm256_castsi256_si128(packed);
}
static inline void vf_store_bf16(uint16_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)p, vf_to_bf16(x));
}

/* Eight int8 widened. */
static inline vf vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* The larger, NaN when either is NaN. */
static inline vf vf_max_nan(vf a, vf b)
{
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
/* Whether no lane seen so far was a NaN. */
typedef __m256 vf_ordered;
static inline vf_ordered vf_ordered_all(void)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32(-1));
}
static inline vf_ordered vf_ordered_and(vf_ordered o, vf a, vf b)
{
    return _mm256_and_ps(o, _mm256_cmp_ps(a, b, _CMP_ORD_Q));
}
static inline int vf_ordered_is_all(vf_ordered o)
{
    return _mm256_movemask_ps(o) == 0xff;
}

/* Four vectors, each lane rounded to nearest even and clamped to [0, most], as 32 bytes. */
static inline void vf_store_u8x4(uint8_t *p, vf a, vf b, vf c, vf d, int most)
{
    __m256i ab = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    __m256i cd = _mm256_packs_epi32(_mm256_cvtps_epi32(c), _mm256_cvtps_epi32(d));
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order);
    _mm256_storeu_si256((__m256i *)p, _mm256_min_epu8(bytes, _mm256_set1_epi8((char)most)));
}

/* VF_LANES integers of 32 bits; also four bytes a lane. */
typedef __m256i vi;
static inline vi vi_zero(void)
{
    return _mm256_setzero_si256();
}
static inline vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
static inline void vi_store(void *p, vi x)
{
    _mm256_storeu_si256(p, x);
}
static inline vi vi_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}
static inline vf vf_from_i32(const void *p)
{
    return _mm256_cvtepi32_ps(vi_load(p));
}

#endif
