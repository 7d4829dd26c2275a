/* quantise.c - see quantise.h. */
#include "model/quantise.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"

void hd__quantise_f16(const float *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = hd__half_of(in[i]);
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
        const uint16_t half = hd__half_of(d);
        memcpy(out, &half, sizeof half);
        for (int i = 0; i < 32; i++)
            out[2 + i] = (char)(signed char)roundf(in[i] * inverse);
    }
}
