/* vec_neon.h - four f32 lanes: the vocabulary the *_tmpl.h bodies are written in. See vec_avx2.h. */
#ifndef HD_KERNEL_VEC_NEON_H
#define HD_KERNEL_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES 4
typedef float32x4_t vf;

static inline vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}
static inline vf vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void vf_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
static inline vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
} /* a * b + c */
/* acc + a * b */
static inline vf vf_accumulate(vf acc, vf a, vf b)
{
    return vfmaq_f32(acc, a, b);
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
} /* c - a * b */
/* b when either is NaN */
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf vf_abs(vf a)
{
    return vabsq_f32(a);
}
static inline vf vf_round(vf a)
{
    return vrndnq_f32(a);
}
/* p * 2^n, n integral, down to zero; p in [0.5, 2] */
static inline vf vf_scale2(vf p, vf n)
{
    vf clamped = vf_min(vf_max(n, vf_set1(-126.0f)), vf_set1(127.0f));
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(clamped), vdupq_n_s32(127)), 23);
    vf scaled = vmulq_f32(p, vreinterpretq_f32_s32(power));
    return vbslq_f32(vcltq_f32(n, vf_set1(-126.0f)), vf_zero(), scaled);
}

/* Folded in a fixed order: halves, pairs. */
static inline float vf_sum(vf a)
{
    float32x2_t h = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
static inline float vf_hmin(vf a)
{
    return vminvq_f32(a);
}
static inline float vf_hmax(vf a)
{
    return vmaxvq_f32(a);
}

static inline uint32x4_t vf_mask_n(int n)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    return vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n));
}
/* The first n lanes (0 to 4); the rest are zero and not read. */
static inline vf vf_load_n(const float *p, int n)
{
    float lanes[4] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vld1q_f32(lanes);
}
static inline void vf_store_n(float *p, vf x, int n)
{
    float lanes[4];
    vst1q_f32(lanes, x);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}
/* a in the first n lanes, b in the others */
static inline vf vf_select_n(vf a, vf b, int n)
{
    return vbslq_f32(vf_mask_n(n), a, b);
}

/* rows[r] lane c and rows[c] lane r change places. */
static inline void vf_transpose(vf rows[4])
{
    float32x4x2_t even = vtrnq_f32(rows[0], rows[1]), odd = vtrnq_f32(rows[2], rows[3]);
    rows[0] = vcombine_f32(vget_low_f32(even.val[0]), vget_low_f32(odd.val[0]));
    rows[1] = vcombine_f32(vget_low_f32(even.val[1]), vget_low_f32(odd.val[1]));
    rows[2] = vcombine_f32(vget_high_f32(even.val[0]), vget_high_f32(odd.val[0]));
    rows[3] = vcombine_f32(vget_high_f32(even.val[1]), vget_high_f32(odd.val[1]));
}

/* Four bf16 widened; narrowed with rounding to nearest even, NaN kept. */
static inline vf vf_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
/* Of eight bf16, the even ones widened, or the odd ones. */
static inline vf vf_load_bf16_even(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_u16(vld1q_u16(p)), 16));
}
static inline vf vf_load_bf16_odd(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_u16(vld1q_u16(p)), vdupq_n_u32(0xffff0000u)));
}
static inline uint16x4_t vf_to_bf16(vf x)
{
    uint32x4_t u = vreinterpretq_u32_f32(x);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}
static inline void vf_store_bf16(uint16_t *p, vf x)
{
    vst1_u16(p, vf_to_bf16(x));
}

/* Four int8 widened. */
static inline vf vf_load_i8(const int8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

/* The larger, NaN when either is NaN. */
static inline vf vf_max_nan(vf a, vf b)
{
    return vmaxq_f32(a, b);
}
/* Whether no lane seen so far was a NaN. */
typedef uint32x4_t vf_ordered;
static inline vf_ordered vf_ordered_all(void)
{
    return vdupq_n_u32(UINT32_MAX);
}
static inline vf_ordered vf_ordered_and(vf_ordered o, vf a, vf b)
{
    return vandq_u32(o, vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)));
}
static inline int vf_ordered_is_all(vf_ordered o)
{
    return vminvq_u32(o) == UINT32_MAX;
}

/* Four vectors, each lane rounded to nearest even and clamped to [0, most], as 16 bytes. */
static inline void vf_store_u8x4(uint8_t *p, vf a, vf b, vf c, vf d, int most)
{
    int16x8_t ab = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(a)), vqmovn_s32(vcvtnq_s32_f32(b)));
    int16x8_t cd = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(c)), vqmovn_s32(vcvtnq_s32_f32(d)));
    uint8x16_t bytes = vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd));
    vst1q_u8(p, vminq_u8(bytes, vdupq_n_u8((uint8_t)most)));
}

#endif
