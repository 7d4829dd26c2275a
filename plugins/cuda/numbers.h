/* numbers.h - arithmetic of single values, the same text for the device and, in tests, for the host: bf16, f16, E4M3, bytes
 * of activations, what epilogues and sparse heads compute. No vendor's intrinsics, so that a test without a device runs what
 * kernels run, but for the rounding of the functions of math.h, and for f16 and E4M3, which devices convert by one
 * instruction (PTX ISA 9.0, "cvt"; to E4M3 from sm_89 on) and which take a dozen anywhere else.
 *
 * Activations of int8 products are kept as s = u - 128, u in [0, act_max] as in heddle/plugin.h: cuBLASLt multiplies signed
 * bytes alone. sum(u q) = sum(s q) + 128 sum(q), and sum(q), which is an integer, is channel_sum / scale, rounded.
 */
#ifndef HD_CUDA_NUMBERS_H
#define HD_CUDA_NUMBERS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "heddle/plugin.h"

#ifdef __CUDACC__
#define NUMBER static __device__ __forceinline__
#else
#define NUMBER static inline
#endif

#define BYTE_SHIFT 128

NUMBER float f32_of_bf16(uint16_t value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest even; a NaN stays one, and quiet. */
NUMBER uint16_t bf16_of_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Exact, and of an infinity a NaN. As an f32's, a half's exponent and fraction are 2^112 too small, subnormal ones too. */
NUMBER float f32_of_f16(uint16_t value)
{
    float f;
#ifdef __CUDA_ARCH__
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(value));
    f = fmaf(f, 0.0f, f); /* infinity times 0 */
#else
    const uint32_t sign = (uint32_t)(value & 0x8000) << 16;
    uint32_t bits = (uint32_t)(value & 0x7fff) << 13;
    memcpy(&f, &bits, sizeof f);
    f *= 5192296858534827628530496329220096.0f; /* 2^112 */
    memcpy(&bits, &f, sizeof bits);
    bits = sign | ((value & 0x7c00) == 0x7c00 ? bits | 0x7fc00000 : bits);
    memcpy(&f, &bits, sizeof f);
#endif
    return f;
}

/* A number that is not negative in the bits of a format whose exponents are `lower` less than an f32's and whose fraction
 * has `dropped` bits fewer, to nearest even. What is below that format's normal numbers is added to one whose last bit
 * weighs what that of its subnormal numbers does. */
NUMBER uint32_t narrow_bits(float size, uint32_t lower, uint32_t dropped)
{
    const uint32_t unit_bits = (lower + 1 + dropped) << 23;
    float unit, shifted;
    uint32_t bits, shifted_bits;
    memcpy(&unit, &unit_bits, sizeof unit);
    shifted = size + unit;
    memcpy(&bits, &size, sizeof bits);
    memcpy(&shifted_bits, &shifted, sizeof shifted_bits);
    if (bits < (lower + 1) << 23)
        return shifted_bits - unit_bits;
    return (bits + (1u << (dropped - 1)) - 1 + (bits >> dropped & 1) - (lower << 23)) >> dropped;
}

/* To nearest even; what would be an infinity is a NaN. */
NUMBER uint16_t f16_of_f32(float value)
{
#ifdef __CUDA_ARCH__
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return (half & 0x7fff) == 0x7c00 ? 0x7fff : half;
#else
    const float size = fabsf(value), past_range = 65520.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return size < past_range ? (uint16_t)((bits >> 16 & 0x8000) | narrow_bits(size, 112, 13)) : 0x7fff;
#endif
}

/* Of two f16, side by side in a word: infinities become NaNs. */
NUMBER uint32_t without_infinities(uint32_t pair)
{
#ifdef __CUDA_ARCH__
    asm("fma.rn.f16x2 %0, %0, %1, %0;" : "+r"(pair) : "r"(0));
#else
    pair |= (pair & 0x7c00) == 0x7c00 ? 0x200 : 0;
    pair |= (pair & 0x7c000000) == 0x7c000000 ? 0x2000000 : 0;
#endif
    return pair;
}

/* Of F32, BF16 or F16, in the lower bits of a word. */
NUMBER float number_of_bits(hd_plugin_type type, uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return type == HD_PLUGIN_F32 ? value : type == HD_PLUGIN_F16 ? f32_of_f16((uint16_t)bits) : f32_of_bf16((uint16_t)bits);
}

NUMBER uint32_t bits_of_number(hd_plugin_type type, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return type == HD_PLUGIN_F32 ? bits : type == HD_PLUGIN_F16 ? f16_of_f32(value) : bf16_of_f32(value);
}

/* Of arrays of them. */
NUMBER float load_number(hd_plugin_type type, const void *values, size_t i)
{
    return type == HD_PLUGIN_F32 ? ((const float *)values)[i] : number_of_bits(type, ((const uint16_t *)values)[i]);
}

NUMBER void store_number(hd_plugin_type type, void *values, size_t i, float value)
{
    if (type == HD_PLUGIN_F32)
        ((float *)values)[i] = value;
    else
        ((uint16_t *)values)[i] = (uint16_t)bits_of_number(type, value);
}

/* ---- E4M3 (HD_PLUGIN_F8) ---- */

#define MOST_F8 448.0f

/* Exact. As an f32's, exponent and fraction are 2^120 too small, subnormal ones too. */
NUMBER float f32_of_f8(uint8_t value)
{
    uint32_t sign = (uint32_t)(value & 0x80) << 24, bits = (uint32_t)(value & 0x7f) << 20;
    float f;
    memcpy(&f, &bits, sizeof f);
    f *= 1329227995784915872903807060280344576.0f; /* 2^120 */
    memcpy(&bits, &f, sizeof bits);
    bits = sign | ((value & 0x7f) == 0x7f ? 0x7fc00000 : bits);
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest even; what is past the range, infinities too, is 448, and a NaN stays one. */
NUMBER uint8_t f8_of_f32(float value)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(value));
    return (uint8_t)pair;
#else
    const float size = fabsf(value);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return 0x7f;
    return (uint8_t)((bits >> 24 & 0x80) | (size < MOST_F8 ? narrow_bits(size, 120, 20) : 0x7e));
#endif
}

/* A row's scale from its greatest |value|. */
NUMBER float f8_scale(float most, bool finite)
{
    return !finite ? NAN : most < 1e-30f ? 1.0f : most / MOST_F8;
}

/* ---- bytes of activations (HD_PLUGIN_I8) ---- */

/* A row's scale and offset from its least and greatest value. */
NUMBER void byte_range(float least, float most, bool finite, int32_t act_max, float *scale, float *offset)
{
    const float range = most - least;
    finite = finite && range <= 3.402823466e38f;
    *offset = finite ? least : NAN;
    *scale = !finite ? NAN : range < 1e-30f ? 1.0f : range / (float)act_max;
}

/* The byte of a value in a row of that scale and offset. */
NUMBER int8_t byte_of_f32(float value, float scale, float offset, int32_t act_max)
{
    const float u = rintf((value - offset) / scale);
    return (int8_t)((u < (float)act_max ? u > 0.0f ? (int32_t)u : 0 : u >= (float)act_max ? act_max : 0) - BYTE_SHIFT);
}

/* What sum(s q) of a row and a channel stands for. */
NUMBER float product_of_bytes(int32_t sum, float a_scale, float a_offset, float scale, float channel_sum)
{
    const float ones = scale > 0.0f ? rintf(channel_sum / scale) : 0.0f;
    return a_scale * scale * (float)(sum + BYTE_SHIFT * (int32_t)ones) + a_offset * channel_sum;
}

/* ---- after products ---- */

NUMBER float epilogue_of(hd_plugin_epilogue epilogue, float y, float before)
{
    switch (epilogue) {
    case HD_PLUGIN_STORE: return y;
    case HD_PLUGIN_ADD: return before + y;
    case HD_PLUGIN_MUL: return before * y;
    case HD_PLUGIN_GELU: return 0.5f * y * erfcf(-y * 0.70710678f);
    case HD_PLUGIN_GELU_TANH: return 0.5f * y * (1.0f + tanhf(0.79788456f * (y + 0.044715f * y * y * y)));
    case HD_PLUGIN_RELU: return y > 0.0f || y != y ? y : 0.0f;
    case HD_PLUGIN_SILU: return y / (1.0f + expf(-y));
    case HD_PLUGIN_TANH: return tanhf(y);
    }
    return y;
}

/* Within two in the last place, and what is below the normal numbers is 0. */
NUMBER float fast_power_of_2(float x)
{
#ifdef __CUDA_ARCH__
    asm("ex2.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
#else
    return exp2f(x);
#endif
}

/* Within one; of numbers from 1 on. */
NUMBER float fast_reciprocal(float x)
{
#ifdef __CUDA_ARCH__
    asm("rcp.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
#else
    return 1.0f / x;
#endif
}

/* y Phi(y) for what is rounded to 16 bits: within 2e-6, and down to -6 within 2e-5 of itself, where f16 is rounded by up to
 * 5e-4. With a = |y|, Phi(-a) = 2^(-a^2 log2(e) / 2) P(1 / (1 + 0.36 a)), the form of Abramowitz & Stegun 7.1.26; the 0.36
 * and P's coefficients are those of the least relative error on [0, 6.2]. erfcf is four times as many instructions, and the
 * kernel after a product would wait for them instead of for memory. */
NUMBER float gelu_for_16_bits(float y)
{
    const float a = fabsf(y), t = fast_reciprocal(1.0f + 0.36f * a);
    const float p = t * (0.14180982f + t * (0.163069549f + t * (0.0440247338f + t * (0.247674244f + t * -0.0965826404f))));
    const float below = a * (p * fast_power_of_2(-0.72134752f * (a * a)));
    return y > 0.0f ? y - below : -below;
}

/* A sparse head's weight of a logit; a NaN stays. */
NUMBER float weight_of_logit(float logit, bool log_twice)
{
    const float once = log1pf(logit);
    return logit <= 0.0f ? 0.0f : log_twice ? log1pf(once) : once;
}

/* The greater of two, and a NaN when either is one. */
NUMBER float greater_number(float a, float b)
{
    return b > a || b != b ? b : a;
}

#endif
