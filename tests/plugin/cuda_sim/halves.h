/* halves.h - bf16 and f16 as a GPU's own conversions make and read them, infinities among them (PTX ISA 9.0, "cvt"). C and
 * C++: for device_code.h and for blas.c.
 */
#ifndef CUDA_SIM_HALVES_H
#define CUDA_SIM_HALVES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float sim_f32_of_bf16(uint32_t bits)
{
    float value;
    bits <<= 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float sim_f32_of_f16(uint32_t bits)
{
    const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 31  ? fraction != 0 ? NAN : INFINITY
                       : exponent == 0 ? (float)fraction * 0x1p-24f
                                       : (float)(fraction + 1024) * 0x1p-25f * (float)(1u << exponent);
    return bits >> 15 != 0 ? -size : size;
}

static inline uint32_t sim_bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* A step is 2^-24 up to 2^-13, and twice as much for each power of two from there on. */
static inline uint32_t sim_f16_of(float value)
{
    const uint32_t sign = signbit(value) ? 0x8000 : 0;
    int exponent = 0;
    if (!(fabsf(value) < 65520.0f))
        return value != value ? 0x7fff : sign | 0x7c00;
    frexpf(value, &exponent);
    exponent = fabsf(value) >= 0x1p-13f ? exponent - 1 : -14;
    return sign | ((uint32_t)rintf(ldexpf(fabsf(value), 10 - exponent)) + ((uint32_t)(exponent + 14) << 10));
}

#endif
