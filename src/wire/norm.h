/* norm.h - vectors brought to a length, for protocols that promise one. */
#ifndef HD_WIRE_NORM_H
#define HD_WIRE_NORM_H

#include <stddef.h>

enum { HD_NORM_NONE = -1, HD_NORM_MAX = 0, HD_NORM_EUCLIDEAN = 2 };

/* out[i] = row[i] / norm(row). The norm is the p-norm for p ≥ 1; HD_NORM_MAX: the largest absolute value / 32760, which
 * fills 16 bits; HD_NORM_NONE: 1. A row of zeros stays one. out may be row. Source: llama.cpp's --embd-normalize. */
void hd__scale_row(const float *row, size_t n, int p, float *out);

#endif
