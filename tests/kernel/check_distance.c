/* check_distance.c - the distance family against its formulas (distance.h): products of codes to the bit, products with
 * halves within the bound of a sum (check_maxsim.c).
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kcheck.h"

/* most: codes as far from zero as there are, so that sums in too few bits run over. */
static void check_codes(kc *c, int n, int n_rows, bool most)
{
    if (!kc_case(c, "codes_dot %d rows of %d%s", n_rows, n, most ? ", largest" : ""))
        return;
    int8_t *query = kc_buffer(c, (size_t)n, 1);
    uint8_t *all = kc_buffer(c, (size_t)n * (size_t)n_rows, 1);
    const uint8_t **rows = kc_buffer(c, (size_t)n_rows * sizeof *rows, 8);
    int32_t *got = kc_buffer(c, (size_t)n_rows * sizeof *got, 4), *want = kc_buffer(c, (size_t)n_rows * sizeof *want, 4);
    const int used = n - kc_below(c, K_CODES_STEP); /* the rest is padding */
    const bool alike = kc_below(c, 2) != 0;
    int32_t offset = 0;
    for (int j = 0; j < n; j++) {
        int q = most ? (alike || kc_below(c, 2) ? K_CODES_MOST : -K_CODES_MOST) : kc_below(c, 255) - K_CODES_MOST;
        query[j] = (int8_t)(j < used ? q : 0);
        offset += query[j] * K_CODES_ZERO;
    }
    for (int i = 0; i < n_rows; i++) {
        rows[i] = all + (size_t)n * (size_t)(n_rows - 1 - i);
        want[i] = 0;
    }
    for (int i = 0; i < n_rows; i++) {
        uint8_t *row = all + (size_t)n * (size_t)(n_rows - 1 - i);
        for (int j = 0; j < n; j++) {
            int u = most ? (alike || kc_below(c, 2) ? 255 : 1) : 1 + kc_below(c, 255);
            row[j] = (uint8_t)(j < used ? u : kc_below(c, 256));
            want[i] += query[j] * (row[j] - K_CODES_ZERO);
        }
    }
    k_codes codes = {query, offset, n};
    ((k_codes_dot_fn *)c->row->function)(&codes, rows, (size_t)n_rows, got);
    kc_same(c, "products", got, want, (size_t)n_rows * sizeof *got);
}

static void check_flip(kc *c, int n, bool alike)
{
    if (!kc_case(c, "codes_flip %d%s", n, alike ? ", largest" : ""))
        return;
    uint8_t *row = kc_buffer(c, (size_t)n, 1);
    int8_t *got = kc_buffer(c, (size_t)n, 1), *want = kc_buffer(c, (size_t)n, 1);
    int32_t sum = 0;
    for (int j = 0; j < n; j++) {
        row[j] = (uint8_t)(alike ? 255 : 1 + kc_below(c, 255));
        want[j] = (int8_t)(row[j] - K_CODES_ZERO);
        sum += K_CODES_ZERO * want[j];
    }
    const int32_t offset = ((k_codes_flip_fn *)c->row->function)(row, n, got);
    kc_same(c, "query", got, want, (size_t)n);
    kc_same(c, "offset", &offset, &sum, sizeof sum);
}

static void check_halves(kc *c, int n, kc_data data, float poison)
{
    if (!kc_case(c, "half_dot of %d, %s, poison %g", n, kc_data_names[data], (double)poison))
        return;
    float *query = kc_buffer(c, (size_t)n * sizeof *query, 4);
    uint16_t *row = kc_buffer(c, (size_t)n * sizeof *row, 2);
    double want = 0.0, size = 0.0;
    for (int j = 0; j < n; j++) {
        query[j] = kc_value(c, data);
        row[j] = hd__half_of(kc_value(c, data));
        if ((row[j] & 0x7c00u) == 0x7c00u) /* past the range of halves */
            row[j] = 0x7bffu;
    }
    if (poison != 0.0f)
        row[kc_below(c, n)] = hd__half_of(poison);
    for (int j = 0; j < n; j++) {
        const double term = (double)query[j] * (double)hd__float_of_bits(hd__half_widen(row[j]));
        want += term;
        size += fabs(term);
    }
    const double bound = (8.0 + (data == KC_CONSTANT ? n : 2.0 * sqrt(n))) * KC_EPS * size + 0x1p-148 * n;
    const float got = ((k_half_dot_fn *)c->row->function)(query, row, (size_t)n);
    const float again = ((k_half_dot_fn *)c->row->function)(query, row, (size_t)n);
    kc_near(c, "half_dot", 0, 0, (double)got, poison != 0.0f ? NAN : want, bound);
    kc_same(c, "the second run", &again, &got, sizeof got);
}

void kc_check_distance(kc *c)
{
    if (strcmp(c->row->entry, "codes_dot") == 0) {
        for (int n = K_CODES_STEP; n <= 1536; n += c->quick ? 5 * K_CODES_STEP : K_CODES_STEP)
            for (int n_rows = 1; n_rows <= 13; n_rows++)
                check_codes(c, n, n_rows, n_rows % 3 == 0);
        check_codes(c, 384, 1000, false);
        check_codes(c, K_CODES_MAX, 5, true);
        return;
    }
    if (strcmp(c->row->entry, "codes_flip") == 0) {
        for (int n = K_CODES_STEP; n <= 1536; n += K_CODES_STEP)
            check_flip(c, n, n % 3 == 0);
        check_flip(c, K_CODES_MAX, true);
        return;
    }
    for (int n = 1; n <= 300; n += c->quick ? 7 : 1)
        for (int data = 0; data < KC_DATA_COUNT; data++)
            check_halves(c, n, (kc_data)data, 0.0f);
    for (int n = 1; n <= 100; n += 9)
        check_halves(c, n, KC_NORMAL, NAN);
    check_halves(c, 4096, KC_NORMAL, 0.0f);
}
