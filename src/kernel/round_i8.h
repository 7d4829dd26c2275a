/* round_i8.h - rows of f32 to symmetric int8, q = round(x / scale): their largest magnitude, and the rounding. For weights
 * and words, which are made when a model is first loaded: compiled at baseline, in blocks whose length is a constant
 * after inlining, which compilers turn into vector code.
 */
#ifndef HD_KERNEL_ROUND_I8_H
#define HD_KERNEL_ROUND_I8_H

#include <stdint.h>
#include <string.h>

#define K_ROUND_BLOCK 64 /* values */

/* The largest of the bits of n magnitudes, which order as integers do. */
static inline __attribute__((always_inline)) int32_t k_largest_bits(const float *x, const int n)
{
    int32_t bits[K_ROUND_BLOCK], most = 0;
    memcpy(bits, x, (size_t)n * sizeof *bits);
    for (int i = 0; i < n; i++) {
        const int32_t size = bits[i] & 0x7fffffff;
        most = size > most ? size : most;
    }
    return most;
}

/* The largest magnitude of n values; NaN when one of them is NaN or an infinity. */
static inline float k_largest(const float *x, int n)
{
    int32_t most = 0;
    for (int i = 0; i < n; i += K_ROUND_BLOCK) {
        const int left = n - i;
        const int32_t size = left < K_ROUND_BLOCK ? k_largest_bits(x + i, left) : k_largest_bits(x + i, K_ROUND_BLOCK);
        most = size > most ? size : most;
    }
    if (most >= 0x7f800000)
        most = 0x7fc00000;
    float largest;
    memcpy(&largest, &most, sizeof largest);
    return largest;
}

/* 1.5 * 2^23 pushes the fraction out of the mantissa: rounding to nearest even without a call. */
static inline __attribute__((always_inline)) int32_t k_round_some(const float *restrict x, const int n, float inverse,
                                                                  int8_t *restrict q)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++) {
        const int32_t rounded = (int32_t)((x[i] * inverse + 12582912.0f) - 12582912.0f);
        q[i] = (int8_t)rounded;
        sum += rounded;
    }
    return sum;
}

/* q[i] = x[i] * inverse, rounded, which must lie within int8, for up to K_ROUND_BLOCK values; returns their sum. */
static inline int32_t k_round_block(const float *x, int n, float inverse, int8_t *q)
{
    return n < K_ROUND_BLOCK ? k_round_some(x, n, inverse, q) : k_round_some(x, K_ROUND_BLOCK, inverse, q);
}

#endif
