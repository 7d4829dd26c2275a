/* half.h - IEEE 754 half precision: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits.
 *
 * Both ways work on the bits, without branches that depend on the value where many are converted.
 */
#ifndef HD_BASE_HALF_H
#define HD_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t hd__float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float hd__float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The f32 of a half, as bits; exact. Normal numbers need the exponent moved to bias 127. Subnormal ones are
 * fraction * 2^-24: the fraction goes below the exponent of 2^-14, where its last bit weighs 2^-24, and 2^-14 is taken
 * away again. No f32 subnormal appears on the way, so the result does not depend on the thread's flush-to-zero mode. */
static inline uint32_t hd__half_widen(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t rest = (uint32_t)(half & 0x7fffu) << 13;
    const uint32_t normal = rest + ((127u - 15u) << 23);
    const uint32_t subnormal = hd__float_bits(hd__float_of_bits(rest + 0x38800000u) - hd__float_of_bits(0x38800000u));
    const uint32_t is_subnormal = 0u - (uint32_t)(rest < 0x00800000u); /* all ones or none: no branch to vectorise */
    const uint32_t is_special = 0u - (uint32_t)(rest >= 0x0f800000u);
    return sign | (is_special & 0x7f800000u) | (subnormal & is_subnormal) | (normal & ~is_subnormal);
}

/* An f32 that is not negative, as bits, in those of a format whose exponents are `lower` less and whose fraction has
 * `dropped` bits fewer; to nearest, ties to even. Rounding is left to the hardware: a number below that format's normal
 * ones is added to one whose last bit weighs what that of its subnormal ones does, a larger one gets half of the last bit
 * that stays, less one when that bit is even. */
static inline uint32_t hd__float_narrow(uint32_t bits, uint32_t lower, uint32_t dropped)
{
    const uint32_t unit = (lower + 1u + dropped) << 23;
    if (bits < (lower + 1u) << 23)
        return hd__float_bits(hd__float_of_bits(bits) + hd__float_of_bits(unit)) - unit;
    return (bits + (1u << (dropped - 1u)) - 1u + (bits >> dropped & 1u) - (lower << 23)) >> dropped;
}

/* To nearest, ties to even; past the range infinity. */
static inline uint16_t hd__half_of(float value)
{
    uint32_t bits = hd__float_bits(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u) /* 65536 and above, infinity, NaN */
        return (uint16_t)(sign | (bits > 0x7f800000u ? 0x7e00u : 0x7c00u));
    return (uint16_t)(sign | hd__float_narrow(bits, 127 - 15, 23 - 10));
}

#endif
