/* dequantise.c - see dequantise.h. */
#include "model/dequantise.h"

#include <assert.h>
#include <string.h>

#include "model/convert.h"

/* The f16 at `in`; *finite is cleared for NaN and infinity. Scales are the only numbers of a block that can be either,
 * and no product of them with their small integers leaves f32. */
static float f16_at(const unsigned char *in, bool *finite)
{
    float value;
    *finite &= hd__convert_f16((const char *)in, 1, &value);
    return value;
}

static uint32_t u32_at(const unsigned char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return value;
}

/* ---- 32 values ---- */

static bool block_q4_0(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((in[2 + i] & 15) - 8) * d;
        out[16 + i] = (float)((in[2 + i] >> 4) - 8) * d;
    }
    return finite;
}

static bool block_q4_1(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite), m = f16_at(in + 2, &finite);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(in[4 + i] & 15) * d + m;
        out[16 + i] = (float)(in[4 + i] >> 4) * d + m;
    }
    return finite;
}

static bool block_q5_0(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite);
    const uint32_t fifth = u32_at(in + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((int)((in[6 + i] & 15u) | (fifth >> i & 1u) << 4) - 16) * d;
        out[16 + i] = (float)((int)((in[6 + i] >> 4) | (fifth >> (16 + i) & 1u) << 4) - 16) * d;
    }
    return finite;
}

static bool block_q5_1(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite), m = f16_at(in + 2, &finite);
    const uint32_t fifth = u32_at(in + 4);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((in[8 + i] & 15u) | (fifth >> i & 1u) << 4) * d + m;
        out[16 + i] = (float)((uint32_t)(in[8 + i] >> 4) | (fifth >> (16 + i) & 1u) << 4) * d + m;
    }
    return finite;
}

static bool block_q8_0(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite);
    for (int i = 0; i < 32; i++)
        out[i] = (float)(signed char)in[2 + i] * d;
    return finite;
}

/* ---- 256 values ---- */

/* Scale and minimum of group g of 8. The first four pairs are the low 6 bits of bytes g and 4 + g; of the last four the low
 * 4 bits are the halves of byte 4 + g, and the high 2 bits are what the first four leave free. */
static void scale_and_min(const unsigned char *in, int g, float *scale, float *min)
{
    if (g < 4) {
        *scale = (float)(in[g] & 63);
        *min = (float)(in[4 + g] & 63);
    } else {
        *scale = (float)((in[4 + g] & 15) | (in[g - 4] >> 6) << 4);
        *min = (float)((in[4 + g] >> 4) | (in[g] >> 6) << 4);
    }
}

static bool block_q4_k(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite), m = f16_at(in + 2, &finite);
    for (int g = 0; g < 8; g++) {
        const unsigned char *halves = in + 16 + g / 2 * 32;
        const int shift = g % 2 * 4;
        float scale, min;
        scale_and_min(in + 4, g, &scale, &min);
        scale *= d;
        min *= m;
        for (int i = 0; i < 32; i++)
            out[g * 32 + i] = scale * (float)(halves[i] >> shift & 15) - min;
    }
    return finite;
}

static bool block_q5_k(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in, &finite), m = f16_at(in + 2, &finite);
    const unsigned char *fifth = in + 16;
    for (int g = 0; g < 8; g++) {
        const unsigned char *halves = in + 48 + g / 2 * 32;
        const int shift = g % 2 * 4;
        float scale, min;
        scale_and_min(in + 4, g, &scale, &min);
        scale *= d;
        min *= m;
        for (int i = 0; i < 32; i++)
            out[g * 32 + i] = scale * (float)((halves[i] >> shift & 15) | (fifth[i] >> g & 1) << 4) - min;
    }
    return finite;
}

/* Values in runs of 32: run r takes the halves of bytes 64 (r / 4) + 32 (r % 2) + i, low ones for the first two runs of
 * four, and two bits of byte 32 (r / 4) + i. */
static bool block_q6_k(const unsigned char *in, float *out)
{
    bool finite = true;
    const float d = f16_at(in + 208, &finite);
    for (int r = 0; r < 8; r++) {
        const unsigned char *halves = in + r / 4 * 64 + r % 2 * 32, *pairs = in + 128 + r / 4 * 32;
        const int shift = r % 4 / 2 * 4, pair_shift = r % 4 * 2;
        for (int i = 0; i < 32; i++) {
            const int q = (halves[i] >> shift & 15) | (pairs[i] >> pair_shift & 3) << 4;
            out[r * 32 + i] = d * (float)(signed char)in[192 + r * 2 + i / 16] * (float)(q - 32);
        }
    }
    return finite;
}

typedef bool block_fn(const unsigned char *in, float *out);

bool hd__dequantise(hd_tensor_type type, const char *in, size_t n_blocks, float *out)
{
    static block_fn *const blocks[] = {
        [HD_TENSOR_Q4_0] = block_q4_0, [HD_TENSOR_Q4_1] = block_q4_1, [HD_TENSOR_Q5_0] = block_q5_0,
        [HD_TENSOR_Q5_1] = block_q5_1, [HD_TENSOR_Q8_0] = block_q8_0, [HD_TENSOR_Q4_K] = block_q4_k,
        [HD_TENSOR_Q5_K] = block_q5_k, [HD_TENSOR_Q6_K] = block_q6_k,
    };
    assert(type >= HD_TENSOR_Q4_0 && type <= HD_TENSOR_Q6_K);
    const uint32_t bytes = hd__tensor_type_bytes(type), values = hd__tensor_type_block(type);
    bool finite = true;
    for (size_t i = 0; i < n_blocks; i++)
        finite &= blocks[type]((const unsigned char *)in + i * bytes, out + i * values);
    return finite;
}
