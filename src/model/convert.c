/* convert.c - see convert.h.
 *
 * The loops work on blocks of a constant length, which every compiler at -O2 turns into vector code for the
 * base level, and on integers, so that the check costs an addition and an OR: the exponent field of f32 is
 * all ones for NaN and infinity alone, and then adding one to it carries into bit 31.
 */
#include "model/convert.h"

#include <stdint.h>
#include <string.h>

#include "base/half.h"

#define BLOCK 64 /* values */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian, and so must be the machine"
#endif

/* Bit 31 is set when the f32 with these bits is a NaN or an infinity. */
static inline uint32_t not_finite(uint32_t bits)
{
    return (bits & 0x7fffffffu) + 0x00800000u;
}

static inline uint32_t f32_from_f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return hd__float_bits((float)value);
}

static inline uint32_t f32_from_f32(uint32_t bits)
{
    return bits;
}

static inline uint32_t f32_from_bf16(uint16_t bits)
{
    return (uint32_t)bits << 16;
}

static inline uint32_t f32_from_f16(uint16_t bits)
{
    return hd__half_widen(bits);
}

/* A loop over blocks, and one over what is left. Aliasing and alignment rule out pointer casts; memcpy of a whole block is
 * moves of vectors, as long as it is not longer than compilers make of those (256 bytes). */
#define DEFINE_CONVERT(type, bits_type)                                                                                     \
    __attribute__((always_inline)) static inline uint32_t block_##type(const char *in, size_t n, float *out)                \
    {                                                                                                                       \
        bits_type from[BLOCK];                                                                                              \
        uint32_t flags = 0;                                                                                                 \
        memcpy(from, in, n * sizeof *from);                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                                                    \
            const uint32_t bits = f32_from_##type(from[i]);                                                                 \
            flags |= not_finite(bits);                                                                                      \
            out[i] = hd__float_of_bits(bits);                                                                               \
        }                                                                                                                   \
        return flags;                                                                                                       \
    }                                                                                                                       \
                                                                                                                            \
    bool hd__convert_##type(const char *in, size_t n, float *out)                                                           \
    {                                                                                                                       \
        uint32_t flags = 0;                                                                                                 \
        size_t at = 0;                                                                                                      \
        for (; n - at >= BLOCK; at += BLOCK)                                                                                \
            flags |= block_##type(in + at * sizeof(bits_type), BLOCK, out + at);                                            \
        if (at < n)                                                                                                         \
            flags |= block_##type(in + at * sizeof(bits_type), n - at, out + at);                                           \
        return (flags >> 31) == 0;                                                                                          \
    }

DEFINE_CONVERT(f64, uint64_t)
DEFINE_CONVERT(f32, uint32_t)
DEFINE_CONVERT(f16, uint16_t)
DEFINE_CONVERT(bf16, uint16_t)
