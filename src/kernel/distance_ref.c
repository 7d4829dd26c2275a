/* distance_ref.c - the formulas of distance.h as they stand there. */
#include "kernel/distance.h"

#include "base/half.h"

k_codes_dot_fn k_codes_dot_ref;
k_codes_flip_fn k_codes_flip_ref;
k_half_dot_fn k_half_dot_ref;

void k_codes_dot_ref(const k_codes *c, const uint8_t *const *rows, size_t n_rows, int32_t *out)
{
    for (size_t i = 0; i < n_rows; i++) {
        int32_t sum = 0;
        for (int j = 0; j < c->n; j++)
            sum += c->query[j] * (rows[i][j] - K_CODES_ZERO);
        out[i] = sum;
    }
}

int32_t k_codes_flip_ref(const uint8_t *row, int n, int8_t *query)
{
    int32_t sum = 0;
    for (int j = 0; j < n; j++) {
        query[j] = (int8_t)(row[j] - K_CODES_ZERO);
        sum += query[j];
    }
    return K_CODES_ZERO * sum;
}

float k_half_dot_ref(const float *query, const uint16_t *row, size_t n)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++)
        sum += (double)query[j] * (double)hd__float_of_bits(hd__half_widen(row[j]));
    return (float)sum;
}
