/* check_maxsim.c - the maxsim family against its formula (maxsim.h).
 *
 * A product of n values carries |error| <= (8 + 2 sqrt(n)) 2^-24 sum |q d| (n for 2 sqrt(n) where all terms are equal); the
 * largest of several no more than the worst of them, and the sum of n_q of these its own roundings.
 */
#include <math.h>
#include <string.h>

#include "kcheck.h"

typedef struct problem {
    int n_q, n_d, n;
    kc_data data;
    float poison; /* 0: none */
} problem;

static k_type type_of(const kc *c)
{
    return strcmp(c->row->entry, "maxsim_f32") == 0 ? K_F32 : K_BF16;
}

/* Rows of values with NaN between them, at any alignment of the element; what they stand for to *wide. */
static void *make_rows(kc *c, const problem *p, int n_rows, size_t stride, double **wide)
{
    const size_t element = k_type_bytes(type_of(c)), count = (size_t)(n_rows - 1) * stride + (size_t)p->n;
    char *rows = kc_buffer_skewed(c, count * element, element * (size_t)kc_below(c, 16));
    double *values = kc_buffer(c, (size_t)(n_rows * p->n) * sizeof *values, 8);
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < p->n; j++) {
            float value = kc_value(c, p->data);
            uint16_t half = k_bf16_from_f32(value);
            values[i * p->n + j] = element == 2 ? (double)k_f32_from_bf16(half) : (double)value;
            memcpy(rows + ((size_t)i * stride + (size_t)j) * element, element == 2 ? (void *)&half : (void *)&value,
                   element);
        }
    }
    *wide = values;
    return rows;
}

static void check(kc *c, problem p)
{
    if (!kc_case(c, "maxsim %d by %d of %d, %s, poison %g", p.n_q, p.n_d, p.n, kc_data_names[p.data], (double)p.poison))
        return;
    double *q, *d, sum = 0.0, bound = 0.0, total = 0.0;
    k_maxsim m = {.n_q = p.n_q, .n_d = p.n_d, .n = p.n};
    m.q_stride = (size_t)(p.n + kc_below(c, 3) * 8);
    m.d_stride = (size_t)(p.n + kc_below(c, 3) * 8);
    char *q_rows = make_rows(c, &p, p.n_q, m.q_stride, &q), *d_rows = make_rows(c, &p, p.n_d, m.d_stride, &d);
    m.q = q_rows;
    m.d = d_rows;
    if (p.poison != 0.0f) {
        float value = p.poison;
        uint16_t half = k_bf16_from_f32(value);
        const size_t element = k_type_bytes(type_of(c)), column = (size_t)kc_below(c, p.n);
        char *at = kc_below(c, 2) ? q_rows + ((size_t)kc_below(c, p.n_q) * m.q_stride + column) * element
                                  : d_rows + ((size_t)kc_below(c, p.n_d) * m.d_stride + column) * element;
        memcpy(at, element == 2 ? (void *)&half : (void *)&value, element);
        kc_near(c, "maxsim with NaN", 0, 0, (double)((k_maxsim_fn *)c->row->function)(&m), NAN, 0.0);
        return;
    }
    for (int i = 0; i < p.n_q; i++) {
        double most = -INFINITY, error = 0.0;
        for (int j = 0; j < p.n_d; j++) {
            double dot = 0.0, size = 0.0;
            for (int k = 0; k < p.n; k++) {
                dot += q[i * p.n + k] * d[j * p.n + k];
                size += fabs(q[i * p.n + k] * d[j * p.n + k]);
            }
            most = fmax(most, dot);
            error = fmax(error, size);
        }
        sum += most;
        total += fabs(most);
        bound += (8.0 + (p.data == KC_CONSTANT ? p.n : 2.0 * sqrt(p.n))) * KC_EPS * error;
    }
    bound += (2.0 + p.n_q) * KC_EPS * total + 0x1p-148 * p.n * p.n_q;
    float got = ((k_maxsim_fn *)c->row->function)(&m), again = ((k_maxsim_fn *)c->row->function)(&m);
    kc_near(c, "maxsim", 0, 0, (double)got, sum, bound);
    kc_same(c, "the second run", &again, &got, sizeof got);
}

void kc_check_maxsim(kc *c)
{
    static const int sizes[] = {1, 7, 16, 31, 64, 96, 127, 128, 129, 256, 384, 1024};
    for (int i = 0; i < 12; i++) {
        for (int data = 0; data < KC_DATA_COUNT; data++)
            check(c, (problem){1 + kc_below(c, 40), 1 + kc_below(c, 300), sizes[i], (kc_data)data, 0.0f});
        check(c, (problem){1 + kc_below(c, 40), 1 + kc_below(c, 300), sizes[i], KC_NORMAL, NAN});
    }
    for (int n_q = 1; n_q <= 70; n_q += c->quick ? 7 : 1)
        check(c, (problem){n_q, 1 + kc_below(c, 20), 128, KC_NORMAL, 0.0f});
    for (int n_d = 1; n_d <= 270; n_d += c->quick ? 23 : 3)
        check(c, (problem){1 + kc_below(c, 40), n_d, 40, KC_NORMAL, 0.0f});
    for (int n = 1; n <= 140; n += c->quick ? 9 : 1)
        check(c, (problem){1 + kc_below(c, 20), 1 + kc_below(c, 20), n, KC_NORMAL, 0.0f});
}
