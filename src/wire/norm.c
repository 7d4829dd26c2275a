/* norm.c - see norm.h. Sums are of doubles. */
#include "wire/norm.h"

#include <math.h>

static double norm_of(const float *row, size_t n, int p)
{
    double sum = 0.0;
    if (p == HD_NORM_NONE)
        return 1.0;
    for (size_t i = 0; i < n; i++) {
        const double magnitude = fabs((double)row[i]);
        if (p == HD_NORM_MAX)
            sum = fmax(sum, magnitude);
        else
            sum += p == HD_NORM_EUCLIDEAN ? magnitude * magnitude : pow(magnitude, p);
    }
    if (p == HD_NORM_MAX)
        return sum / 32760.0;
    return p == HD_NORM_EUCLIDEAN ? sqrt(sum) : pow(sum, 1.0 / p);
}

void hd__scale_row(const float *row, size_t n, int p, float *out)
{
    const double norm = norm_of(row, n, p);
    for (size_t i = 0; i < n; i++)
        out[i] = norm > 0.0 ? (float)((double)row[i] / norm) : 0.0f;
}
