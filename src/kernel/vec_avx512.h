/* vec_avx512.h - sixteen f32 lanes: the vocabulary the *_tmpl.h bodies are written in. See vec_avx2.h. */
#ifndef HD_KERNEL_VEC_AVX512_H
#define HD_KERNEL_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 16
typedef __m512 vf;

static inline vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
} /* a * b + c */
/* acc + a * b. As assembly: in a loop GCC 12 overwrites a factor instead of the sum, then moves and spills. */
static inline vf vf_accumulate(vf acc, vf a, vf b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a * b */
/* b when either is NaN */
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* p * 2^n, n integral, down to zero */
static inline vf vf_scale2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}

/* Folded in a fixed order: halves, quarters, pairs. */
static inline float vf_sum(vf a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
static inline float vf_hmin(vf a)
{
    return _mm512_reduce_min_ps(a);
}
static inline float vf_hmax(vf a)
{
    return _mm512_reduce_max_ps(a);
}

/* The first n lanes (0 to 16); the rest are zero and not read. */
static inline vf vf_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void vf_store_n(float *p, vf x, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
/* a in the first n lanes, b in the others */
static inline vf vf_select_n(vf a, vf b, int n)
{
    return _mm512_mask_blend_ps((__mmask16)((1u << n) - 1), b, a);
}

/* Rows to columns: r[i] lane j becomes r[j] lane i. Bits are only moved. */
static inline void vf_transpose(vf r[16])
{
    __m512i t[16], u[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        __m512i a = _mm512_castps_si512(r[i]), b = _mm512_castps_si512(r[i + 1]);
        t[i] = _mm512_unpacklo_epi32(a, b);
        t[i + 1] = _mm512_unpackhi_epi32(a, b);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* u[4 g + c] holds, in 128-bit part p, column 4 p + c of rows 4 g to 4 g + 3. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        __m512i even01 = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x88), odd01 = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xdd);
        __m512i even23 = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88);
        __m512i odd23 = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xdd);
        r[c] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(even01, even23, 0x88));
        r[8 + c] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(even01, even23, 0xdd));
        r[4 + c] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(odd01, odd23, 0x88));
        r[12 + c] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(odd01, odd23, 0xdd));
    }
}

/* Sixteen bf16 widened; narrowed with rounding to nearest even, NaN kept. */
static inline vf vf_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
/* Of 32 bf16, the even ones widened, or the odd ones. */
static inline vf vf_load_bf16_even(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
static inline vf vf_load_bf16_odd(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32((int)0xffff0000u)));
}
static inline __m256i vf_to_bf16(vf x)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x); /* takes denormals for zero */
#else
    __m512i u = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
}
static inline void vf_store_bf16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, vf_to_bf16(x));
}

/* Sixteen int8 widened. */
static inline vf vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* The larger, NaN when either is NaN. */
static inline vf vf_max_nan(vf a, vf b)
{
    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
/* Whether no lane seen so far was a NaN. */
typedef __mmask16 vf_ordered;
static inline vf_ordered vf_ordered_all(void)
{
    return 0xffff;
}
static inline vf_ordered vf_ordered_and(vf_ordered o, vf a, vf b)
{
    return _mm512_mask_cmp_ps_mask(o, a, b, _CMP_ORD_Q);
}
static inline int vf_ordered_is_all(vf_ordered o)
{
    return o == 0xffff;
}

/* Four vectors, each lane rounded to nearest even and clamped to [0, most], as 64 bytes. */
static inline void vf_store_u8x4(uint8_t *p, vf a, vf b, vf c, vf d, int most)
{
    __m512i ab = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
    __m512i cd = _mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d));
    __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd));
    _mm512_storeu_si512(p, _mm512_min_epu8(bytes, _mm512_set1_epi8((char)most)));
}

/* VF_LANES integers of 32 bits; also four bytes a lane. */
typedef __m512i vi;
static inline vi vi_zero(void)
{
    return _mm512_setzero_si512();
}
static inline vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
static inline void vi_store(void *p, vi x)
{
    _mm512_storeu_si512(p, x);
}
static inline vi vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
static inline vf vf_from_i32(const void *p)
{
    return _mm512_cvtepi32_ps(vi_load(p));
}

#endif
