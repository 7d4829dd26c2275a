/* check_attention.c - the attention family against its formula (attention.h).
 *
 * Bounds: a score s = scale q.k carries e = (8 + 2 sqrt(D)) 2^-24 scale sum |q k|, which moves exp(s) by about e
 * relatively; levels that multiply in bfloat16 also round the weights to it. So |error| of an output is at most
 * (2 max e + r) sum p |v|, with r the relative error of a weight, summation included.
 *
 * Levels that work in fixed point (attention_vnni.c) round q, k, v and p to units of the largest: half a unit of q and
 * k adds scale (sum |k| max |q| + sum |q| max |k|) / 2 Q to e; half a unit of p, 2^-14 of the largest weight, in the
 * sum and its divisor, adds 2^-13 sum |v| / sum p; half a unit of v adds max |v| / 2 V.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kcheck.h"

typedef struct problem {
    int n_q, n_k, head_dim;
    kc_data data;
    float spread; /* of the scores */
    int gap;      /* elements between rows */
    int n_heads;  /* 0: one */
    bool limited; /* by back and ahead */
    int q_first, back, ahead;
    bool biased;
} problem;

typedef struct operands {
    k_attention at;
    const double *q, *k, *v; /* [n, head_dim] what the elements stand for; q [n, n_heads * head_dim] */
} operands;

static bool is_bf16(const kc *c)
{
    return strstr(c->row->entry, "bf16") != NULL;
}

static bool in_fixed_point(const kc *c, int head_dim)
{
    return is_bf16(c) && c->row->isa == HD_ISA_VNNI && head_dim % 32 == 0;
}

static double largest_of(const double *values, int n)
{
    double largest = 0.0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, fabs(values[i]));
    return largest;
}

/* n rows of values with NaN between them, at any alignment of the element; exact values to *wide. */
static const void *make_rows(kc *c, const problem *p, int n, int width, double size, const double **wide)
{
    size_t stride = (size_t)(width + p->gap), element = is_bf16(c) ? 2 : 4;
    size_t count = (size_t)(n - 1) * stride + (size_t)width;
    char *rows = kc_buffer_skewed(c, count * element, element * (size_t)kc_below(c, (int)(64 / element)));
    double *values = kc_buffer(c, (size_t)n * (size_t)width * sizeof *values, 8);
    for (int i = 0; i < n; i++) {
        for (int d = 0; d < width; d++) {
            size_t at = (size_t)i * stride + (size_t)d;
            float value = (float)((double)kc_value(c, p->data) * size);
            uint16_t half = k_bf16_from_f32(value);
            if (is_bf16(c))
                memcpy(rows + at * element, &half, sizeof half);
            else
                memcpy(rows + at * element, &value, sizeof value);
            values[i * width + d] = is_bf16(c) ? (double)k_f32_from_bf16(half) : (double)value;
        }
    }
    *wide = values;
    return rows;
}

static void make(kc *c, const problem *p, operands *o)
{
    const int n_heads = p->n_heads > 0 ? p->n_heads : 1, width = n_heads * p->head_dim;
    o->at = (k_attention){.n_q = p->n_q, .n_k = p->n_k, .n_heads = n_heads, .head_dim = p->head_dim};
    o->at.q = make_rows(c, p, p->n_q, width, (double)p->spread, &o->q);
    o->at.k = make_rows(c, p, p->n_k, p->head_dim, 1.0, &o->k);
    o->at.v = make_rows(c, p, p->n_k, p->head_dim, 1.0, &o->v);
    o->at.q_stride = (size_t)(width + p->gap);
    o->at.kv_stride = (size_t)(p->head_dim + p->gap);
    o->at.out_stride = (size_t)(width + kc_below(c, 2) * 24);
    o->at.scale = (float)(1.0 / sqrt(p->head_dim));
    o->at.q_first = p->q_first;
    o->at.reach_back = p->limited ? p->back : K_REACH_ALL;
    o->at.reach_ahead = p->limited ? p->ahead : K_REACH_ALL;
    if (p->biased) {
        const int n_positions = p->q_first + p->n_q > p->n_k ? p->q_first + p->n_q : p->n_k;
        const size_t n = 2 * (size_t)n_positions - 1;
        o->at.bias_stride = n;
        float *table = kc_buffer(c, (size_t)n_heads * n * sizeof *table, 4);
        for (size_t i = 0; i < (size_t)n_heads * n; i++)
            table[i] = (float)(3.0 * kc_normal(c));
        o->at.bias = table + n_positions - 1;
    }
}

/* Queries [first, first + n) alone; the gaps between rows of the output must stay as they were, all bits set. */
static void *call_to(kc *c, const operands *o, k_type out_type, int first, int n)
{
    k_attention at = o->at;
    const size_t element = k_type_bytes(out_type);
    size_t width = (size_t)(at.n_heads * at.head_dim), count = (size_t)(n - 1) * at.out_stride + width;
    at.scratch = kc_buffer(c, k_attention_scratch_bytes(at.n_k, at.head_dim), 64);
    at.out_type = out_type;
    at.out = kc_buffer_skewed(c, count * element, element * (size_t)kc_below(c, 16));
    at.q = (const char *)at.q + (size_t)first * at.q_stride * (is_bf16(c) ? 2 : 4);
    at.q_first += first;
    at.n_q = n;
    ((k_attention_fn *)c->row->function)(&at);
    for (int i = 0; i + 1 < n; i++) {
        const uint8_t *row = (const uint8_t *)at.out + (size_t)i * at.out_stride * element;
        for (size_t j = width * element; j < at.out_stride * element; j++) {
            if (row[j] != UINT8_MAX)
                kc_fail(c, "wrote between rows %d and %d of the output", i, i + 1);
        }
    }
    return at.out;
}

static float *call(kc *c, const operands *o, int first, int n)
{
    return call_to(c, o, K_F32, first, n);
}

/* Written as bf16, the output is what it is in f32, rounded. */
static void compare_narrow(kc *c, const operands *o, const float *wide, int n)
{
    const size_t width = (size_t)(o->at.n_heads * o->at.head_dim);
    const uint16_t *out = is_bf16(c) ? call_to(c, o, K_BF16, 0, n) : NULL;
    for (int i = 0; i < n && out != NULL; i++) {
        for (size_t j = 0; j < width; j++) {
            const float value = wide[(size_t)i * o->at.out_stride + j];
            const double tiny = fabsf(value) < FLT_MIN ? (double)FLT_MIN : 0.0; /* the native conversion flushes denormals */
            kc_near(c, "bf16", i, (int)j, (double)k_f32_from_bf16(out[(size_t)i * o->at.out_stride + j]),
                    (double)k_f32_from_bf16(k_bf16_from_f32(value)), tiny);
        }
    }
}

/* Whether the query at a position sees a key. */
static bool sees(const k_attention *at, int position, int key)
{
    return position - key <= at->reach_back && key - position <= at->reach_ahead;
}

/* One query's scores to p (unnormalised weights); returns their sum and the error bound of a score. `units` is the number
 * of units in the largest q and k of fixed point, or infinity. */
static double weights_of(const operands *o, const double *q, int head, int position, double units, double *p,
                         double *score_error)
{
    const float *bias = o->at.bias != NULL ? o->at.bias + (size_t)head * o->at.bias_stride + position : NULL;
    int dim = o->at.head_dim;
    double max = -INFINITY, sum = 0.0, largest = 0.0, largest_rounding = 0.0;
    const double q_most = largest_of(q, dim), k_most = largest_of(o->k, o->at.n_k * dim);
    for (int j = 0; j < o->at.n_k; j++) {
        double dot = 0.0, size = 0.0, rounding = 0.0;
        for (int d = 0; d < dim; d++) {
            double product = q[d] * o->k[j * dim + d];
            dot += product;
            size += fabs(product);
            rounding += (fabs(q[d]) * k_most + fabs(o->k[j * dim + d]) * q_most) / (2.0 * units);
        }
        p[j] = sees(&o->at, position, j) ? dot * (double)o->at.scale + (bias != NULL ? (double)bias[-j] : 0.0) : -INFINITY;
        max = fmax(max, p[j]);
        largest = fmax(largest, size * (double)o->at.scale + (bias != NULL ? fabs((double)bias[-j]) : 0.0));
        largest_rounding = fmax(largest_rounding, rounding * (double)o->at.scale);
    }
    for (int j = 0; j < o->at.n_k; j++)
        sum += p[j] = exp(p[j] - max);
    *score_error = (8.0 + 2.0 * sqrt(dim)) * KC_EPS * largest + 1.001 * largest_rounding;
    return sum;
}

static void compare(kc *c, const operands *o, const float *out)
{
    int dim = o->at.head_dim;
    double *p = kc_buffer(c, (size_t)o->at.n_k * sizeof *p, 8);
    bool fixed = in_fixed_point(c, dim);
    bool rounded = c->row->isa == HD_ISA_BF16 || c->row->isa == HD_ISA_AMX; /* weights to bfloat16 */
    double weight_error = rounded ? 0x1p-8 + 2e-4 : fixed ? 2e-4 : 4e-7;
    double units = fixed ? floor(sqrt(0x1p31 / dim)) - 2.0 : INFINITY;
    double v_error = fixed ? 1.001 * largest_of(o->v, o->at.n_k * dim) / (2.0 * 2047.0) : 0.0;
    weight_error += (8.0 + 2.0 * sqrt(o->at.n_k)) * KC_EPS;
    for (int i = 0; i < o->at.n_q * o->at.n_heads; i++) {
        const int row = i / o->at.n_heads, head = i % o->at.n_heads, position = o->at.q_first + row;
        double score_error, sum = weights_of(o, o->q + (size_t)i * (size_t)dim, head, position, units, p, &score_error);
        for (int d = 0; d < dim; d++) {
            double want = 0.0, size = 0.0, v_sum = 0.0;
            for (int j = 0; j < o->at.n_k; j++) {
                v_sum += sees(&o->at, position, j) ? fabs(o->v[j * dim + d]) : 0.0;
                want += p[j] * o->v[j * dim + d];
                size += p[j] * fabs(o->v[j * dim + d]);
            }
            double bound = (expm1(2.0 * score_error) + weight_error) * size / sum + 1e-37;
            if (fixed)
                bound += 1.001 * 0x1p-13 * v_sum / sum + v_error;
            kc_near(c, "out", row, head * dim + d, (double)out[(size_t)row * o->at.out_stride + (size_t)(head * dim + d)],
                    want / sum, bound);
        }
    }
}

static void compare_queries(kc *c, const operands *o, const float *whole, int first, int n)
{
    const float *part = call(c, o, first, n);
    for (int i = 0; i < n; i++)
        kc_same(c, "queries alone", part + (size_t)i * o->at.out_stride, whole + (size_t)(first + i) * o->at.out_stride,
                (size_t)(o->at.n_heads * o->at.head_dim) * sizeof *part);
}

static void check(kc *c, problem p)
{
    if (!kc_case(c, "%d queries, %d keys, head %d, %s, spread %g, gap %d, %d heads, from %d, reach %d and %d%s", p.n_q,
                 p.n_k, p.head_dim, kc_data_names[p.data], (double)p.spread, p.gap, p.n_heads, p.q_first,
                 p.limited ? p.back : -1, p.limited ? p.ahead : -1, p.biased ? ", biased" : ""))
        return;
    operands o;
    make(c, &p, &o);
    const float *whole = call(c, &o, 0, p.n_q);
    compare(c, &o, whole);
    compare_narrow(c, &o, whole, p.n_q);
    if ((p.limited || p.biased) && p.q_first + p.n_q > p.n_k)
        return;
    compare_queries(c, &o, whole, 0, p.n_q);
    compare_queries(c, &o, whole, p.n_q - 1, 1);
    compare_queries(c, &o, whole, kc_below(c, p.n_q), 1);
    int first = kc_below(c, p.n_q);
    compare_queries(c, &o, whole, first, 1 + kc_below(c, p.n_q - first));
}

static void put(kc *c, const void *rows, size_t at, float value)
{
    uint16_t half = k_bf16_from_f32(value);
    char *p = (char *)(uintptr_t)rows + at * (is_bf16(c) ? 2 : 4);
    if (is_bf16(c))
        memcpy(p, &half, sizeof half);
    else
        memcpy(p, &value, sizeof value);
}

/* NaN in a query spoils that query alone; NaN in a key or value spoils what it is part of. */
static void check_nan(kc *c, int n, int head_dim)
{
    problem p = {.n_q = n, .n_k = n, .head_dim = head_dim, .spread = 1.0f, .gap = 8};
    int bad = kc_below(c, n), column = kc_below(c, head_dim);
    if (!kc_case(c, "NaN in row %d of %d, head %d", bad, n, head_dim))
        return;
    operands o;
    make(c, &p, &o);
    const float *clean = call(c, &o, 0, n);
    size_t at = (size_t)bad * o.at.q_stride + (size_t)column;
    put(c, o.at.q, at, NAN);
    const float *out = call(c, &o, 0, n);
    for (int i = 0; i < n; i++) {
        const float *row = out + (size_t)i * o.at.out_stride;
        if (i != bad)
            kc_same(c, "a query beside one with NaN", row, clean + (size_t)i * o.at.out_stride,
                    (size_t)head_dim * sizeof *row);
        for (int d = 0; d < head_dim && i == bad; d++)
            kc_near(c, "query with NaN", i, d, (double)row[d], NAN, 0.0);
    }
    compare_narrow(c, &o, out, n);
    put(c, o.at.q, at, 0.5f);
    put(c, o.at.v, at, NAN);
    out = call(c, &o, 0, n);
    for (int i = 0; i < n; i++)
        kc_near(c, "value with NaN", i, column, (double)out[(size_t)i * o.at.out_stride + (size_t)column], NAN, 0.0);
    put(c, o.at.v, at, 0.5f);
    put(c, o.at.k, at, NAN);
    out = call(c, &o, 0, n);
    for (int i = 0; i < n; i++)
        kc_near(c, "key with NaN", i, column, (double)out[(size_t)i * o.at.out_stride + (size_t)column], NAN, 0.0);
}

/* Scores that grow along the keys move the running maximum at every block. */
static void check_rising(kc *c, int n, int head_dim, double step)
{
    problem p = {.n_q = 3, .n_k = n, .head_dim = head_dim, .spread = 1.0f};
    if (!kc_case(c, "%d keys with scores rising by %g, head %d", n, step, head_dim))
        return;
    operands o;
    make(c, &p, &o);
    for (int j = 0; j < n; j++) {
        for (int d = 0; d < head_dim; d++) {
            float value = k_f32_from_bf16(k_bf16_from_f32((float)(step * j)));
            put(c, o.at.k, (size_t)j * o.at.kv_stride + (size_t)d, value);
            ((double *)(uintptr_t)o.k)[j * head_dim + d] = (double)value;
        }
    }
    for (int d = 0; d < head_dim; d++) {
        for (int i = 0; i < 3; i++) {
            put(c, o.at.q, (size_t)i * o.at.q_stride + (size_t)d, 0.25f);
            ((double *)(uintptr_t)o.q)[i * head_dim + d] = 0.25;
        }
    }
    compare(c, &o, call(c, &o, 0, 3));
}

static problem plain(int n_q, int n_k, int head_dim, kc_data data, float spread, int gap)
{
    return (problem){.n_q = n_q, .n_k = n_k, .head_dim = head_dim, .data = data, .spread = spread, .gap = gap};
}

/* Causal, local and one-sided reach, bias, shared keys, queries from the middle of the sequence. */
static void check_reaches(kc *c)
{
    static const int dims[] = {32, 64, 128, 34, 6}, lengths[] = {1, 2, 17, 31, 33, 64, 130, 257, 300, 555};
    static const int reaches[][2] = {{K_REACH_ALL, 0}, {64, 64}, {0, 0}, {5, 300}, {40, K_REACH_ALL}, {0, 1}, {128, 3}};
    const int n_reaches = (int)(sizeof reaches / sizeof reaches[0]);
    for (int i = 0; i < 10; i++) {
        for (int r = -1; r < n_reaches; r++) {
            for (int biased = 0; biased < 2; biased++) {
                const int length = lengths[i], left = kc_below(c, 3) == 0 ? kc_below(c, length) : 0;
                if ((r < 0 && !biased) || (c->quick && length > 130 && (i + r + biased) % 3 != 0))
                    continue;
                problem p = plain(length - left, length, dims[kc_below(c, length > 130 ? 2 : 5)], KC_NORMAL, 2.0f, 8);
                p.n_heads = 1 + kc_below(c, length > 64 ? 2 : 4);
                p.q_first = left > 0 ? kc_below(c, left + 1) : 0;
                p.limited = r >= 0;
                p.back = r >= 0 ? reaches[r][0] : 0;
                p.ahead = r >= 0 ? reaches[r][1] : 0;
                p.biased = biased != 0;
                check(c, p);
            }
        }
    }
    for (int n = 1; n <= 70; n += c->quick ? 6 : 1) { /* one query that sees keys on both sides */
        problem p = plain(1, n, 32, KC_NORMAL, 1.0f, 0);
        p.limited = true;
        p.q_first = kc_below(c, n);
        p.back = kc_below(c, n + 1);
        p.ahead = kc_below(c, n + 1);
        p.biased = n % 2 != 0;
        check(c, p);
    }
}

/* Queries behind the last key, each in reach of it. */
static void check_behind(kc *c)
{
    static const int lengths[] = {1, 7, 31, 33, 100, 260}, dims[] = {32, 64, 34};
    static const int reaches[] = {K_REACH_ALL, 16, 64, 31};
    for (int i = 0; i < 6; i++) {
        for (int r = 0; r < 4; r++) {
            for (int biased = 0; biased < 2; biased++) {
                const int most = lengths[i] + (r == 0 ? 70 : reaches[r]);
                problem p = plain(most, lengths[i], dims[kc_below(c, 3)], KC_NORMAL, 2.0f, 8);
                p.n_heads = 1 + kc_below(c, 2);
                p.q_first = kc_below(c, most);
                p.n_q = most - p.q_first;
                p.limited = r > 0;
                p.back = p.ahead = reaches[r];
                p.biased = biased != 0;
                check(c, p);
                p.n_q = 1 + kc_below(c, p.n_q);
                check(c, p);
            }
        }
    }
}

void kc_check_attention(kc *c)
{
    check_reaches(c);
    check_behind(c);
    static const int dims[] = {2, 6, 8, 14, 16, 18, 32, 34, 48, 64, 66, 80, 96, 128, 130, 254, 256};
    static const int lengths[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 250, 257, 512, 1030};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            bool long_one = lengths[j] > 130, common = dims[i] == 32 || dims[i] == 64;
            if (c->quick && (long_one ? dims[i] != 32 || lengths[j] == 512 : !common && (i + j) % 4 != 0))
                continue;
            int n_q = long_one ? (common && !c->quick ? 70 : 5) : lengths[j];
            check(c, plain(n_q, lengths[j], dims[i], KC_NORMAL, 1.0f, 24 * kc_below(c, 3)));
        }
    }
    for (int n_q = 1; n_q <= 66; n_q += c->quick ? 5 : 1)
        check(c, plain(n_q, 1 + kc_below(c, 40), 32, KC_NORMAL, 2.0f, 64));
    for (int n_k = 1; n_k <= 66; n_k += c->quick ? 5 : 1)
        check(c, plain(1 + kc_below(c, 40), n_k, 64, KC_NORMAL, 2.0f, 0));
    for (int data = 0; data < KC_DATA_COUNT; data++) {
        static const float spreads[] = {1e-3f, 1.0f, 10.0f, 1000.0f};
        for (int i = 0; i < (data == KC_WIDE ? 3 : 4); i++)
            check(c, plain(20, 150, 32, (kc_data)data, spreads[i], 32));
    }
    for (int head_dim = 2; head_dim <= 66; head_dim += 2) {
        if (!c->quick)
            check(c, plain(19, 35, head_dim, KC_NORMAL, 1.0f, 2));
    }
    for (int n = 1; n <= 300; n += 43) {
        check_nan(c, n, 32);
        check_nan(c, n, 34);
        check_rising(c, n, 32, 0.5);
        check_rising(c, n, 48, 20.0);
        check_rising(c, n, 32, -3.0);
    }
}
