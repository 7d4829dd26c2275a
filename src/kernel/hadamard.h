/* hadamard.h - what rows of states are multiplied by before they are rounded to int8, and weights with them.
 *
 * A few channels of what a norm writes are tens of times as wide as the others, and one scale for a row leaves those few
 * steps. With H of r rows, Sylvester's, each channel becomes a sum of r, by signs, and outliers are spread over as many:
 *
 *   y[i m + c] = sum_j (-1)^popcount(i & j) x[j m + c],   m = n / r,   i, j in [0, r),   c in [0, m)
 *
 * H H = r I, so that products stay what they were: w . x = (H w / r) . (H x). r is the largest power of two that leaves m a
 * multiple of 16: vectors of any level are added whole, none of their lanes move.
 *
 * Ashkboos et al. 2024, "QuaRot"; what it gives is in docs/QUALITY.md.
 */
#ifndef HD_KERNEL_HADAMARD_H
#define HD_KERNEL_HADAMARD_H

#include <string.h>

#define K_HADAMARD_MAX 4096 /* longer rows are left as they are */

typedef float k_four __attribute__((vector_size(16)));

/* The r of rows of n values; 1: no transform. */
static inline int k_hadamard_order(int n)
{
    int order = 1;
    while (n <= K_HADAMARD_MAX && n % (2 * order * 16) == 0)
        order *= 2;
    return order;
}

/* The transform in place, the largest distances first. Kernels add in the same order: bits are the same on all levels. */
static inline void k_hadamard(float *x, int n, int order)
{
    for (int half = n / 2; half >= n / order && order > 1; half /= 2) {
        for (int first = 0; first < n; first += 2 * half) {
            float *low = x + first, *high = low + half;
            for (int i = 0; i < half; i += 4) {
                k_four a, b, sum, difference;
                memcpy(&a, low + i, sizeof a);
                memcpy(&b, high + i, sizeof b);
                sum = a + b;
                difference = a - b;
                memcpy(low + i, &sum, sizeof sum);
                memcpy(high + i, &difference, sizeof difference);
            }
        }
    }
}

/* By H / r, which undoes what H did to the rows of a product. The share, which is exact, comes first, so that no sum
 * overflows. */
static inline void k_hadamard_weights(float *w, int n, int order)
{
    const float share = 1.0f / (float)order;
    for (int i = 0; i < n; i += 4) {
        k_four values;
        memcpy(&values, w + i, sizeof values);
        values *= share;
        memcpy(w + i, &values, sizeof values);
    }
    k_hadamard(w, n, order);
}

#endif
