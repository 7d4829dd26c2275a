/* check_gemm.c - the gemm family against its formula (gemm.h), from weights that were never packed.
 *
 * Every problem is computed whole, then again in parts (rows alone, ranges of panels, a second time), and the
 * parts must have the same bits. Bounds: a sum of K products carries |error| <= (8 + 2 sqrt(K)) 2^-24 sum |a w|
 * (K for 2 sqrt(K) where all terms are equal), and what a level flushes of denormals; an epilogue has slope below
 * 1.2 and its own stated error.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kcheck.h"

typedef struct problem {
    k_type type;
    int rows, n, k;
    kc_data data;
    k_epilogue epilogue;
    k_type out_type;
    bool saturate; /* int8: only the largest magnitudes */
    int rank;      /* of a low-rank change of the weights */
} problem;

typedef struct operands {
    k_weights w;
    k_gemm gemm;
    void *before;  /* [rows, out_stride]: what `out` holds before the call */
    double *y;     /* [rows, n] before the epilogue */
    double *bound; /* [rows, n] */
} operands;

static const char *const type_names[] = {"f32", "bf16", "int8"};
static const char *const epilogue_names[] = {"store", "add", "mul", "gelu", "gelu_tanh", "relu", "silu", "tanh"};

static k_type type_of(const kc *c)
{
    const char *name = strchr(c->row->entry, '_') + 1;
    return strcmp(name, "f32") == 0 ? K_F32 : strcmp(name, "bf16") == 0 ? K_BF16 : K_I8;
}

/* Levels with products of bf16 read rows of it; see gemm.h. */
static k_type row_type(const kc *c, k_type type)
{
    return type == K_BF16 && c->row->isa != HD_ISA_BF16 && c->row->isa != HD_ISA_AMX ? K_F32 : type;
}

/* Levels without an int8 dot product add products in 16 bits. */
static bool is_narrow(const kc *c)
{
    return c->row->isa == HD_ISA_AVX2 || c->row->isa == HD_ISA_AVX512;
}

/* The largest activation of the level; see gemm.h. */
static int act_max(const kc *c)
{
    return is_narrow(c) ? K_I8_NARROW_ACT_MAX : K_I8_ACT_MAX;
}

static double flushed(double a)
{
    return fabs(a) < (double)FLT_MIN ? fabs(a) : 0.0;
}

/* Takes from the int8 weights of a row until no lane has a sum of one sign above `most` (K_I8_NARROW_SUM in gemm.h). */
static void bound_lanes(float *row, int k, float most)
{
    for (int i = 0; i < k; i += 8) {
        float left[2][2] = {{most, most}, {most, most}}; /* of each sign in each lane */
        for (int j = 0; j < 8 && i + j < k; j++) {
            float *w = row + i + j, *room = &left[*w < 0.0f][j / 2 % 2];
            if (fabsf(*w) > *room)
                *w = copysignf(*room, *w);
            *room -= fabsf(*w);
        }
    }
}

/* Weights [n, k], already representable in the type; for int8, whole numbers times a power of two. */
static float *make_weights(kc *c, const problem *p)
{
    const int most = K_I8_MAX;
    size_t k = (size_t)p->k;
    float *w = kc_buffer(c, (size_t)p->n * k * sizeof *w, 4);
    for (int n = 0; n < p->n; n++) {
        float *row = w + (size_t)n * k, unit = ldexpf(1.0f, kc_below(c, 8) - 10);
        for (size_t i = 0; i < k; i++) {
            if (p->type == K_F32)
                row[i] = kc_value(c, p->data);
            else if (p->type == K_BF16)
                row[i] = k_f32_from_bf16(k_bf16_from_f32(kc_value(c, p->data)));
            else
                row[i] =
                    unit * (float)(p->saturate ? (kc_below(c, 2) != 0 ? most : -most) : kc_below(c, 2 * most + 1) - most);
        }
        if (p->type == K_I8) /* the largest of the channel says the scale */
            row[kc_below(c, p->k) / 8 * 8] = unit * (float)most;
        if (p->type == K_I8 && is_narrow(c)) /* the same when lanes do: packing leaves two for what rounding adds */
            bound_lanes(row, p->k, unit * (float)(K_I8_NARROW_SUM - 2));
        if (p->type == K_I8 && p->data == KC_ZERO)
            memset(row, 0, k * sizeof *row);
    }
    return w;
}

static void pack(kc *c, const problem *p, const float *weights, k_weights *w)
{
    int n_pad = k_padded(p->n);
    void *panels = kc_buffer(c, k_pack_bytes(p->type, p->n, p->k), 64);
    float *bias = kc_buffer(c, (size_t)n_pad * sizeof *bias, 64);
    float *scale = kc_buffer(c, (size_t)n_pad * sizeof *scale, 64);
    float *channel_sum = kc_buffer(c, (size_t)n_pad * sizeof *channel_sum, 64);
    memset(panels, 0, k_pack_bytes(p->type, p->n, p->k));
    memset(bias, 0, (size_t)n_pad * sizeof *bias);
    memset(scale, 0, (size_t)n_pad * sizeof *scale);
    memset(channel_sum, 0, (size_t)n_pad * sizeof *channel_sum);
    kc_fill(c, p->data, bias, (size_t)p->n);
    for (int first = 0; first < p->n; first += 32) {
        int n_rows = p->n - first < 32 ? p->n - first : 32;
        k_pack_rows(p->type, is_narrow(c), p->k, first, n_rows, weights + (size_t)first * (size_t)p->k, panels, scale,
                    channel_sum);
    }
    *w = (k_weights){.type = p->type,
                     .n = p->n,
                     .k = p->k,
                     .n_pad = n_pad,
                     .k_pad = k_padded(p->k),
                     .panels = panels,
                     .bias = bias,
                     .scale = scale,
                     .channel_sum = channel_sum};
}

/* Fills gemm->a and writes what its elements stand for (before scale and offset) to a[rows, k]. */
static void make_activations(kc *c, const problem *p, k_gemm *g, double *a)
{
    const k_type type = row_type(c, p->type);
    size_t line = 64 / k_type_bytes(type), rows = (size_t)p->rows;
    size_t stride = (size_t)k_padded(p->k) + line * (size_t)kc_below(c, 4);
    size_t bytes = rows == 0 ? 0 : ((rows - 1) * stride + (size_t)k_padded(p->k)) * k_type_bytes(type);
    void *elements = kc_buffer(c, bytes, 64);
    float *a_scale = kc_buffer(c, rows * sizeof *a_scale, 4), *a_offset = kc_buffer(c, rows * sizeof *a_offset, 4);
    for (int i = 0; i < p->rows; i++) {
        a_scale[i] = (float)(0.001 + 0.01 * kc_uniform(c));
        a_offset[i] = (float)-kc_uniform(c);
        for (int j = 0; j < k_padded(p->k); j++) {
            size_t at = (size_t)i * stride + (size_t)j;
            float value = j < p->k ? kc_value(c, p->data) : 0.0f;
            uint16_t half = k_bf16_from_f32(value);
            int u = p->saturate ? (kc_below(c, 2) != 0 ? act_max(c) : 0) : kc_below(c, act_max(c) + 1);
            if (type == K_F32)
                ((float *)elements)[at] = value;
            else if (type == K_BF16)
                ((uint16_t *)elements)[at] = half;
            else
                ((uint8_t *)elements)[at] = (uint8_t)u; /* padding too: it meets zero weights */
            if (j < p->k)
                a[i * p->k + j] = type == K_F32 ? (double)value : type == K_BF16 ? (double)k_f32_from_bf16(half) : u;
        }
    }
    g->a = elements;
    g->a_stride = stride;
    g->a_scale = a_scale;
    g->a_offset = a_offset;
}

/* y and its bound for one row; w is [n, k]. */
static void expect_row(const problem *p, const operands *o, const double *a, const float *w, int i)
{
    for (int n = 0; n < p->n; n++) {
        const float *row = w + (size_t)n * (size_t)p->k;
        double sum = 0.0, size = 0.0, lost = 0.0, weights = 0.0, bias = (double)o->w.bias[n];
        for (int j = 0; j < p->k; j++) {
            double product = a[j] * (double)row[j];
            sum += product;
            size += fabs(product);
            weights += (double)row[j];
        }
        for (int j = 0; j < p->k && p->type == K_BF16 && p->data == KC_DENORMAL; j++)
            lost += flushed(a[j]) * fabs((double)row[j]) + flushed((double)row[j]) * fabs(a[j]) + (double)FLT_MIN;
        double *y = o->y + (size_t)i * (size_t)p->n + n, *bound = o->bound + (size_t)i * (size_t)p->n + n;
        if (p->type == K_I8) { /* the integer sum is exact: only the last line of the formula rounds */
            double offset = (double)o->gemm.a_offset[i] * weights;
            sum *= (double)o->gemm.a_scale[i];
            *y = sum + offset + bias;
            *bound = 6.0 * KC_EPS * (fabs(sum) + fabs(offset) + fabs(bias));
        } else {
            *y = sum + bias;
            double steps = p->data == KC_CONSTANT ? p->k : 2.0 * sqrt(p->k); /* equal terms round the same way */
            *bound = (8.0 + steps) * KC_EPS * (size + fabs(bias)) + lost + 0x1p-149 * p->k;
        }
    }
}

/* Rows that are added, and what they do to y and its bound. */
static void make_change(kc *c, const problem *p, operands *o)
{
    const size_t rank = (size_t)p->rank, stride = rank + (size_t)kc_below(c, 20), n_pad = (size_t)o->w.n_pad;
    float *low = kc_buffer(c, (size_t)p->rows * stride * sizeof *low, 4);
    float *lift = kc_buffer(c, rank * n_pad * sizeof *lift, 64);
    memset(lift, 0, rank * n_pad * sizeof *lift);
    for (size_t i = 0; i < (size_t)p->rows; i++) {
        for (size_t r = 0; r < stride; r++)
            low[i * stride + r] = r < rank ? kc_value(c, KC_NORMAL) : NAN; /* beside it lie those of other tasks */
    }
    for (size_t r = 0; r < rank; r++)
        kc_fill(c, KC_NORMAL, lift + r * n_pad, (size_t)p->n);
    for (size_t i = 0; i < (size_t)p->rows; i++) {
        for (size_t n = 0; n < (size_t)p->n; n++) {
            double *y = o->y + i * (size_t)p->n + n, *bound = o->bound + i * (size_t)p->n + n, size = fabs(*y);
            for (size_t r = 0; r < rank; r++) {
                const double term = (double)low[i * stride + r] * (double)lift[r * n_pad + n];
                *y += term;
                size += fabs(term);
            }
            *bound += (double)(rank + 1) * KC_EPS * size;
        }
    }
    o->gemm.change = (k_low_rank){.rank = p->rank, .low = low, .stride = stride, .lift = lift};
}

static double epilogue_of(k_epilogue epilogue, double y)
{
    switch (epilogue) {
    case K_STORE:
    case K_ADD:
    case K_MUL: return y;
    case K_GELU: return y * 0.5 * erfc(-y / sqrt(2.0));
    case K_GELU_TANH: return y / (1.0 + exp(-2.0 * sqrt(2.0 / acos(-1.0)) * (y + 0.044715 * y * y * y)));
    case K_RELU: return fmax(y, 0.0);
    case K_SILU: return y / (1.0 + exp(-y));
    case K_TANH: return tanh(y);
    }
    return NAN;
}

/* The epilogue's own error at y. */
static double epilogue_bound(const problem *p, double y)
{
    double size = fabs(y);
    switch (p->epilogue) {
    case K_STORE:
    case K_ADD:
    case K_MUL:
    case K_RELU: return 0.0;
    case K_GELU: return p->type == K_F32 ? 1e-6 + 4.0 * KC_EPS * size : 1e-4 + 2e-6 * size;
    case K_GELU_TANH:
    case K_SILU:
    case K_TANH: return 2e-6 + 8.0 * KC_EPS * size;
    }
    return 0.0;
}

static float out_at(const k_gemm *g, const void *out, int i, int j)
{
    size_t at = (size_t)i * g->out_stride + (size_t)j;
    return g->out_type == K_BF16 ? k_f32_from_bf16(((const uint16_t *)out)[at]) : ((const float *)out)[at];
}

static void make(kc *c, const problem *p, operands *o)
{
    size_t rows = (size_t)p->rows, cells = rows * (size_t)p->n;
    double *a = kc_buffer(c, (rows * (size_t)p->k + 1) * sizeof *a, 8);
    float *weights = make_weights(c, p);
    pack(c, p, weights, &o->w);
    o->y = kc_buffer(c, (cells + 1) * sizeof *o->y, 8);
    o->bound = kc_buffer(c, (cells + 1) * sizeof *o->bound, 8);
    o->gemm = (k_gemm){.w = &o->w, .rows = p->rows, .epilogue = p->epilogue, .out_type = p->out_type};
    o->gemm.panel_end = o->w.n_pad / K_PANEL;
    o->gemm.out_stride = (size_t)o->w.n_pad + 64 / k_type_bytes(p->out_type) * (size_t)kc_below(c, 3);
    make_activations(c, p, &o->gemm, a);
    for (int i = 0; i < p->rows; i++)
        expect_row(p, o, a + (size_t)i * (size_t)p->k, weights, i);
    if (p->rank > 0)
        make_change(c, p, o);

    size_t bytes = rows * o->gemm.out_stride * k_type_bytes(p->out_type);
    o->before = kc_buffer(c, bytes, 64);
    for (size_t i = 0; i < bytes / sizeof(float) && (p->epilogue == K_ADD || p->epilogue == K_MUL); i++) {
        float value = kc_value(c, KC_NORMAL);
        uint32_t halves = (uint32_t)k_bf16_from_f32(value) | (uint32_t)k_bf16_from_f32(kc_value(c, KC_NORMAL)) << 16;
        memcpy((char *)o->before + i * sizeof value, p->out_type == K_BF16 ? (void *)&halves : (void *)&value, sizeof value);
    }
}

/* A fresh output as it was before the call, and the call on it. */
static void *call(kc *c, const operands *o, const k_gemm *gemm)
{
    size_t bytes = (size_t)o->gemm.rows * o->gemm.out_stride * k_type_bytes(o->gemm.out_type);
    void *out = kc_buffer(c, bytes, 64);
    memcpy(out, o->before, bytes);
    k_gemm g = *gemm;
    g.out = out;
    ((k_gemm_fn *)c->row->function)(&g);
    return out;
}

static void compare(kc *c, const problem *p, const operands *o, const void *out)
{
    const k_gemm *g = &o->gemm;
    size_t element = k_type_bytes(p->out_type);
    for (int i = 0; i < p->rows; i++) {
        for (int j = 0; j < o->w.n_pad; j++) {
            double y = j < p->n ? o->y[(size_t)i * (size_t)p->n + (size_t)j] : 0.0;
            double bound = j < p->n ? 1.2 * o->bound[(size_t)i * (size_t)p->n + (size_t)j] + epilogue_bound(p, y) : 0.0;
            double want = epilogue_of(p->epilogue, y);
            if (p->epilogue == K_ADD)
                want += (double)out_at(g, o->before, i, j);
            if (p->epilogue == K_MUL) {
                want *= (double)out_at(g, o->before, i, j);
                bound = bound * fabs((double)out_at(g, o->before, i, j)) + 0x1p-148;
            }
            bound += p->out_type == K_BF16 ? 0x1p-8 * fabs(want) + (double)FLT_MIN : 2.0 * KC_EPS * fabs(want);
            kc_near(c, "out", i, j, (double)out_at(g, out, i, j), want, j < p->n ? bound : 0.0);
        }
        size_t at = ((size_t)i * g->out_stride + (size_t)o->w.n_pad) * element;
        kc_same(c, "out beyond n_pad", (const char *)out + at, (const char *)o->before + at,
                (g->out_stride - (size_t)o->w.n_pad) * element);
    }
}

/* Rows [first, first + n) alone give what they gave among the others. */
static void compare_rows(kc *c, const operands *o, const void *whole, int first, int n)
{
    size_t row_bytes = o->gemm.out_stride * k_type_bytes(o->gemm.out_type);
    void *out = kc_buffer(c, (size_t)n * row_bytes, 64);
    memcpy(out, (const char *)o->before + (size_t)first * row_bytes, (size_t)n * row_bytes);
    k_gemm g = o->gemm;
    g.rows = n;
    g.out = out;
    g.a = (const char *)g.a + (size_t)first * g.a_stride * k_type_bytes(row_type(c, o->w.type));
    g.a_scale += first;
    g.a_offset += first;
    g.change.low = g.change.rank > 0 ? g.change.low + (size_t)first * g.change.stride : NULL;
    ((k_gemm_fn *)c->row->function)(&g);
    kc_same(c, "rows alone", out, (const char *)whole + (size_t)first * row_bytes, (size_t)n * row_bytes);
}

/* Panels [begin, end) give what they gave in the whole, and leave the other columns as they were. */
static void compare_panels(kc *c, const operands *o, const void *whole, int begin, int end)
{
    size_t element = k_type_bytes(o->gemm.out_type), row_bytes = o->gemm.out_stride * element;
    size_t from = (size_t)begin * K_PANEL * element, to = (size_t)end * K_PANEL * element;
    k_gemm g = o->gemm;
    g.panel_begin = begin;
    g.panel_end = end;
    const char *out = call(c, o, &g);
    for (int i = 0; i < g.rows; i++) {
        size_t at = (size_t)i * row_bytes;
        kc_same(c, "columns before the panels", out + at, (const char *)o->before + at, from);
        kc_same(c, "a range of panels", out + at + from, (const char *)whole + at + from, to - from);
        kc_same(c, "columns after the panels", out + at + to, (const char *)o->before + at + to, row_bytes - to);
    }
}

static void check(kc *c, problem p)
{
    if (p.epilogue == K_ADD)
        p.out_type = K_F32;
    if (!kc_case(c, "rows %d n %d k %d rank %d, %s%s, %s to %s", p.rows, p.n, p.k, p.rank, kc_data_names[p.data],
                 p.saturate ? " saturating" : "", epilogue_names[p.epilogue], type_names[p.out_type]))
        return;
    operands o;
    make(c, &p, &o);
    const void *whole = call(c, &o, &o.gemm);
    compare(c, &p, &o, whole);
    kc_same(c, "the second run", call(c, &o, &o.gemm), whole, (size_t)p.rows * o.gemm.out_stride * k_type_bytes(p.out_type));
    if (p.rows > 1) {
        int first = kc_below(c, p.rows);
        compare_rows(c, &o, whole, first, 1);
        compare_rows(c, &o, whole, p.rows - 1, 1);
        first = kc_below(c, p.rows);
        compare_rows(c, &o, whole, first, 1 + kc_below(c, p.rows - first));
    }
    int pairs = o.gemm.panel_end / K_PANEL_STEP, tries = 0;
    for (int begin = 0; begin < pairs && tries < 6; begin++) {
        for (int end = begin + 1; end <= pairs && tries < 6; end++, tries++)
            compare_panels(c, &o, whole, begin * K_PANEL_STEP, end * K_PANEL_STEP);
    }
    int begin = kc_below(c, pairs);
    compare_panels(c, &o, whole, begin * K_PANEL_STEP, (begin + 1 + kc_below(c, pairs - begin)) * K_PANEL_STEP);
}

/* NaN in one row makes that row NaN whatever the epilogue, and leaves the others' bits alone. */
static void check_nan(kc *c, k_type type, k_epilogue epilogue, int rows)
{
    problem p = {type, rows, 96, 130, KC_NORMAL, epilogue, K_F32, false, 0};
    int bad = kc_below(c, rows);
    if (!kc_case(c, "NaN in row %d of %d, %s", bad, rows, epilogue_names[epilogue]))
        return;
    operands o;
    make(c, &p, &o);
    const float *clean = call(c, &o, &o.gemm);
    size_t at = (size_t)bad * o.gemm.a_stride + (size_t)kc_below(c, p.k);
    if (row_type(c, type) == K_F32)
        ((float *)(uintptr_t)o.gemm.a)[at] = NAN;
    else if (row_type(c, type) == K_BF16)
        ((uint16_t *)(uintptr_t)o.gemm.a)[at] = 0x7fc0;
    else
        ((float *)(uintptr_t)o.gemm.a_scale)[bad] = ((float *)(uintptr_t)o.gemm.a_offset)[bad] = NAN;
    const float *out = call(c, &o, &o.gemm);
    for (int i = 0; i < rows; i++) {
        const float *row = out + (size_t)i * o.gemm.out_stride;
        if (i != bad)
            kc_same(c, "a row beside one with NaN", row, clean + (size_t)i * o.gemm.out_stride, (size_t)p.n * sizeof *row);
        for (int j = 0; j < p.n && i == bad; j++)
            kc_near(c, "out", i, j, (double)row[j], NAN, 0.0);
    }
}

/* Infinity in a row of f32 is no number in its outputs, and leaves the others' bits alone. */
static void check_infinity(kc *c, int rows)
{
    problem p = {K_F32, rows, 96, 130, KC_NORMAL, K_STORE, K_F32, false, 0};
    int bad = kc_below(c, rows);
    if (!kc_case(c, "infinity in row %d of %d", bad, rows))
        return;
    operands o;
    make(c, &p, &o);
    const float *clean = call(c, &o, &o.gemm);
    ((float *)(uintptr_t)o.gemm.a)[(size_t)bad * o.gemm.a_stride + (size_t)kc_below(c, p.k)] = INFINITY;
    const float *out = call(c, &o, &o.gemm);
    for (int i = 0; i < rows; i++) {
        const float *row = out + (size_t)i * o.gemm.out_stride;
        if (i != bad)
            kc_same(c, "a row beside one with infinity", row, clean + (size_t)i * o.gemm.out_stride,
                    (size_t)p.n * sizeof *row);
        for (int j = 0; j < p.n && i == bad; j++) {
            if (isfinite(row[j]))
                kc_fail(c, "out[%d, %d] is %g", i, j, (double)row[j]);
        }
    }
}

/* Activations times a power of two give sums times that power, to the last bit. */
static void check_scaled(kc *c, int exponent)
{
    problem p = {K_F32, 20, 96, 200, KC_NORMAL, K_STORE, K_F32, false, 0};
    if (!kc_case(c, "activations times 2^%d", exponent))
        return;
    operands o;
    make(c, &p, &o);
    memset((float *)(uintptr_t)o.w.bias, 0, (size_t)o.w.n_pad * sizeof(float));
    const float *plain = call(c, &o, &o.gemm);
    for (int i = 0; i < p.rows; i++) {
        float *row = (float *)(uintptr_t)o.gemm.a + (size_t)i * o.gemm.a_stride;
        for (int j = 0; j < p.k; j++)
            row[j] = ldexpf(row[j], exponent);
    }
    const float *out = call(c, &o, &o.gemm);
    for (int i = 0; i < p.rows; i++) {
        for (int j = 0; j < p.n; j++) {
            const size_t at = (size_t)i * o.gemm.out_stride + (size_t)j;
            kc_near(c, "out", i, j, (double)out[at], (double)ldexpf(plain[at], exponent), 0.0);
        }
    }
}

static int8_t *weight_at(const k_weights *w, int n, int j)
{
    const size_t at = ((size_t)(n / 16) * (size_t)w->k_pad + (size_t)(j / 4 * 4)) * 16 + (size_t)(n % 16 * 4 + j % 4);
    return (int8_t *)(uintptr_t)w->panels + at;
}

/* Raises the last weight of each sign in each lane of a channel until the lane has the largest sum there may be. */
static void fill_lanes(kc *c, const k_weights *w, int n)
{
    for (int i = 0; i < w->k; i += 8) {
        int left[2][2] = {{K_I8_NARROW_SUM, K_I8_NARROW_SUM}, {K_I8_NARROW_SUM, K_I8_NARROW_SUM}};
        int8_t *last[2][2] = {{NULL}};
        for (int j = 0; j < 8 && i + j < w->k; j++) {
            int8_t *q = weight_at(w, n, i + j);
            const int sign = *q < 0, lane = j / 2 % 2;
            left[sign][lane] -= abs(*q);
            last[sign][lane] = *q != 0 ? q : last[sign][lane];
        }
        for (int sign = 0; sign < 2; sign++) {
            for (int lane = 0; lane < 2; lane++) {
                int8_t *q = last[sign][lane];
                const int more = left[sign][lane];
                if (more < 0)
                    kc_fail(c, "a lane of channel %d is packed with a sum of %d", n, K_I8_NARROW_SUM - more);
                if (q != NULL && abs(*q) + more <= K_I8_MAX)
                    *q = (int8_t)(sign ? *q - more : *q + more);
            }
        }
    }
}

/* Integer sums reach every level's widest intermediate and must still be exact: y is the sum itself. */
static void check_saturation(kc *c, int k)
{
    problem p = {K_I8, 40, 64, k, KC_NORMAL, K_STORE, K_F32, true, 0};
    if (!kc_case(c, "exact sums of 0 and %d by the largest weights, k %d", act_max(c), k))
        return;
    operands o;
    make(c, &p, &o);
    float *a_scale = (float *)(uintptr_t)o.gemm.a_scale, *a_offset = (float *)(uintptr_t)o.gemm.a_offset;
    float *bias = (float *)(uintptr_t)o.w.bias, *scale = (float *)(uintptr_t)o.w.scale;
    uint8_t *a = (uint8_t *)(uintptr_t)o.gemm.a;
    memset(bias, 0, 64 * sizeof *bias);
    for (int n = 0; n < 64; n++) {
        scale[n] = 1.0f;
        if (is_narrow(c))
            fill_lanes(c, &o.w, n);
    }
    for (int i = 0; i < p.rows; i++) {
        a_scale[i] = 1.0f;
        a_offset[i] = 0.0f;
        for (int j = 0; j < k && i < 2; j++)
            a[(size_t)i * o.gemm.a_stride + (size_t)j] = (uint8_t)act_max(c); /* the longest chains of one sign */
    }
    const float *out = call(c, &o, &o.gemm);
    for (int i = 0; i < p.rows; i++) {
        for (int n = 0; n < 64; n++) {
            int64_t sum = 0;
            for (int j = 0; j < k; j++)
                sum += (int64_t)a[(size_t)i * o.gemm.a_stride + (size_t)j] * *weight_at(&o.w, n, j);
            kc_near(c, "sum", i, n, (double)out[(size_t)i * o.gemm.out_stride + (size_t)n], (double)sum,
                    llabs(sum) < 1 << 24 ? 0.0 : KC_EPS * (double)llabs(sum));
        }
    }
}

/* Problems of other sizes take their data, epilogue and type of output in turn. */
static problem turn(kc *c, k_type type, int rows, int n, int k)
{
    problem p = {type, rows, n, k, KC_NORMAL, K_STORE, K_F32, false, 0};
    p.epilogue = (k_epilogue)kc_below(c, K_TANH + 1);
    p.out_type = kc_below(c, 2) != 0 ? K_BF16 : K_F32;
    p.data = p.epilogue == K_STORE || p.epilogue == K_ADD || p.epilogue == K_MUL ? (kc_data)kc_below(c, KC_DATA_COUNT)
                                                                                 : KC_NORMAL;
    p.saturate = type == K_I8 && kc_below(c, 3) == 0;
    return p;
}

void kc_check_gemm(kc *c)
{
    static const int shapes[][2] = {{384, 384},  {1152, 384}, {1536, 384},  {384, 1536},  {768, 768},
                                    {3072, 768}, {768, 3072}, {1024, 1024}, {4096, 1024}, {1024, 4096}};
    k_type type = type_of(c);
    for (int rows = 1; rows <= 66; rows++)
        check(c, turn(c, type, rows, 1 + kc_below(c, 129), 1 + kc_below(c, 200)));
    for (int k = 1; k <= 129; k += c->quick ? 7 : 1)
        check(c, turn(c, type, 1 + kc_below(c, 20), 1 + kc_below(c, 70), k));
    for (int n = 1; n <= 129; n += c->quick ? 9 : 1)
        check(c, turn(c, type, 1 + kc_below(c, 20), n, 1 + kc_below(c, 70)));
    for (int rows = 111; rows <= (c->quick ? 113 : 340); rows += kc_below(c, 3) == 0 ? 17 : 1)
        check(c, turn(c, type, rows, 64, 70));
    for (int data = 0; data < KC_DATA_COUNT; data++) {
        for (int epilogue = K_STORE; epilogue <= K_TANH; epilogue++) {
            check(c, (problem){type, 17, 70, 100, (kc_data)data, (k_epilogue)epilogue, K_F32, false, 0});
            check(c, (problem){type, 17, 70, 100, (kc_data)data, (k_epilogue)epilogue, K_BF16, false, 0});
        }
    }
    for (int rank = 1; rank <= 9; rank++) { /* epilogues in turn, every one more than once */
        for (int i = 0; i <= K_TANH; i++) {
            const k_epilogue epilogue = (k_epilogue)((i + rank) % (K_TANH + 1));
            check(c, (problem){type, 1 + kc_below(c, 70), 1 + kc_below(c, 129), 1 + kc_below(c, 200), KC_NORMAL, epilogue,
                               i % 2 != 0 ? K_BF16 : K_F32, false, rank});
        }
    }
    for (int i = 0; i < (int)(sizeof shapes / sizeof shapes[0]); i++) {
        problem p = turn(c, type, c->quick ? 3 : 37, shapes[i][0], shapes[i][1]);
        if (!c->quick || i < 4)
            check(c, p);
    }
    for (int epilogue = K_STORE; epilogue <= K_TANH; epilogue++) {
        check_nan(c, type, (k_epilogue)epilogue, 5);
        check_nan(c, type, (k_epilogue)epilogue, 40);
    }
    if (type == K_F32) {
        check_infinity(c, 5);
        check_infinity(c, 40);
        check_scaled(c, 70);
        check_scaled(c, -70);
    }
    for (int i = 0; i < 4 && type == K_I8; i++)
        check_saturation(c, (const int[]){61, 384, 1536, 4096}[i]);
}
