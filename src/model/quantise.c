/* quantise.c - see quantise.h. */
#include "model/quantise.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Rounding is left to the hardware: a number below 2^-14 is added to one whose last bit weighs f16's 2^-24, a larger one
 * gets half of the last bit that stays, less one when that bit is even. */
static uint16_t f16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u) /* 65536 and above, infinity, NaN */
        return (uint16_t)(sign | (bits > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (bits < 0x38800000u) { /* below 2^-14 */
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        const float aligned = magnitude + 0.5f;
        memcpy(&bits, &aligned, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    bits += 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | ((bits - 0x38000000u) >> 13));
}

void hd__quantise_f16(const float *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = f16_from_f32(in[i]);
        memcpy(out + 2 * i, &half, sizeof half);
    }
}

void hd__quantise_q8_0(const float *in, size_t n, char *out)
{
    for (; n >= 32; n -= 32, in += 32, out += 34) {
        float most = 0.0f;
        for (int i = 0; i < 32; i++)
            most = fmaxf(most, fabsf(in[i]));
        const float d = most / 127.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
        const uint16_t half = f16_from_f32(d);
        memcpy(out, &half, sizeof half);
        for (int i = 0; i < 32; i++)
            out[2 + i] = (char)(signed char)roundf(in[i] * inverse);
    }
}
