/* f8.h - E4M3: 1 sign bit, 4 exponent bits (bias 7), 3 fraction bits; 448 is the greatest, 0x7f and 0xff are NaNs, and there
 * are no infinities.
 *
 * Source: OCP 8-bit Floating Point Specification (OFP8), 1.0.
 */
#ifndef HD_BASE_F8_H
#define HD_BASE_F8_H

#include "base/half.h"

#define HD_F8_MOST 448.0f

/* To nearest, ties to even; past the range 448 with the value's sign. */
static inline uint8_t hd__f8_of(float value)
{
    uint32_t bits = hd__float_bits(value);
    const uint8_t sign = (uint8_t)(bits >> 24 & 0x80u);
    bits &= 0x7fffffffu;
    if (bits >= 0x43e00000u) /* 448 and above, infinity, NaN */
        return bits > 0x7f800000u ? 0x7f : (uint8_t)(sign | 0x7eu);
    return (uint8_t)(sign | hd__float_narrow(bits, 127 - 7, 23 - 3));
}

#endif
