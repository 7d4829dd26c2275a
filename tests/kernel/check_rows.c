/* check_rows.c - the rows family against its formulas (rows.h). */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kcheck.h"

static const int sizes[] = {1,  2,   7,   8,   15,  16,  17,  31,  32,   33,   63,   64,
                            65, 100, 127, 128, 129, 384, 385, 768, 1000, 1024, 1536, 4096};
#define N_SIZES ((int)(sizeof sizes / sizeof sizes[0]))

/* Rows of `n` values, NaN in the padding up to the stride; the last row ends with the buffer. */
static float *make_rows(kc *c, kc_data data, int n_rows, int n, size_t stride)
{
    size_t count = n_rows == 0 ? 0 : (size_t)(n_rows - 1) * stride + (size_t)n;
    float *x = kc_buffer(c, count * sizeof *x, 64);
    for (int i = 0; i < n_rows; i++)
        kc_fill(c, data, x + (size_t)i * stride, (size_t)n);
    return x;
}

static k_act make_act(kc *c, k_type type, int act_max, int n_rows, int n)
{
    size_t element = k_type_bytes(type), stride = (size_t)k_padded(n) + 64 / element * (size_t)kc_below(c, 3);
    size_t count = n_rows == 0 ? 0 : (size_t)(n_rows - 1) * stride + (size_t)k_padded(n);
    k_act act = {.type = type, .act_max = act_max, .stride = stride};
    act.data = kc_buffer(c, count * element, 64);
    if (type == K_I8) {
        act.scale = kc_buffer(c, (size_t)n_rows * sizeof(float), 4);
        act.offset = kc_buffer(c, (size_t)n_rows * sizeof(float), 4);
    }
    return act;
}

static void compare_bf16(kc *c, const k_act *act, const float *x, int row, int n)
{
    const uint16_t *out = (const uint16_t *)act->data + (size_t)row * act->stride;
    for (int j = 0; j < k_padded(n); j++) {
        float want = j < n ? k_f32_from_bf16(k_bf16_from_f32(x[j])) : 0.0f;
        bool tiny = j < n && fabsf(x[j]) < FLT_MIN; /* the native conversion flushes denormals */
        kc_near(c, "bf16", row, j, (double)k_f32_from_bf16(out[j]), (double)want, tiny ? (double)FLT_MIN : 0.0);
    }
}

static void compare_u8(kc *c, const k_act *act, const float *x, int row, int n)
{
    const uint8_t *out = (const uint8_t *)act->data + (size_t)row * act->stride;
    double min = INFINITY, max = -INFINITY, scale = (double)act->scale[row], offset = (double)act->offset[row];
    bool bad = false;
    for (int j = 0; j < n; j++) {
        min = fmin(min, (double)x[j]);
        max = fmax(max, (double)x[j]);
        bad = bad || !isfinite(x[j]);
    }
    bad = bad || !isfinite((float)max - (float)min);
    bool constant = !bad && max - min < (double)K_ACT_RANGE_MIN;
    double want = bad ? NAN : constant ? 1.0 : (max - min) / act->act_max;
    kc_near(c, "scale", row, 0, scale, want, 4.0 * KC_EPS * fabs(want));
    kc_near(c, "offset", row, 0, offset, bad ? NAN : min, 0.0);
    double most = fmax(fabs(min), fabs(max));
    for (int j = 0; j < k_padded(n); j++) {
        if (out[j] > act->act_max)
            kc_fail(c, "u8[%d, %d] is %d, the limit is %d", row, j, out[j], act->act_max);
        if (bad || constant || j >= n)
            kc_near(c, "u8", row, j, (double)out[j], 0.0, 0.0);
        else
            kc_near(c, "scale u + offset", row, j, scale * out[j] + offset, (double)x[j], scale * 0.5001 + 0x1p-23 * most);
    }
}

static void compare_act(kc *c, const k_act *act, const float *x, int row, int n)
{
    if (act->type == K_BF16)
        compare_bf16(c, act, x, row, n);
    if (act->type == K_I8 && act->hadamard > 1) {
        float by_h[K_HADAMARD_MAX];
        memcpy(by_h, x, (size_t)n * sizeof *x);
        k_hadamard(by_h, n, act->hadamard);
        compare_u8(c, act, by_h, row, n);
    } else if (act->type == K_I8) {
        compare_u8(c, act, x, row, n);
    }
}

/* The row `a` of one conversion and the row `b` of another have the same bits. */
static void compare_acts(kc *c, const k_act *one, int a, const k_act *other, int b, int n)
{
    size_t element = one->type == K_BF16 ? 2 : 1;
    if (one->type != K_F32)
        kc_same(c, "a converted row", (const char *)one->data + (size_t)a * one->stride * element,
                (const char *)other->data + (size_t)b * other->stride * element, (size_t)k_padded(n) * element);
    if (one->type == K_I8) {
        kc_same(c, "scale", one->scale + a, other->scale + b, sizeof(float));
        kc_same(c, "offset", one->offset + a, other->offset + b, sizeof(float));
    }
}

/* ---- convert ---- */

/* Rows of f32 as bf16, and x as they then are. */
static k_act narrow_rows(kc *c, float *x, int n_rows, int n, size_t stride)
{
    k_act rows = {.type = K_BF16, .stride = (stride + 31) / 32 * 32};
    const size_t count = n_rows == 0 ? 0 : (size_t)(n_rows - 1) * rows.stride + (size_t)n;
    uint16_t *half = rows.data = kc_buffer(c, count * sizeof *half, 64);
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < n; j++) {
            float *value = x + (size_t)i * stride + (size_t)j;
            uint16_t *bits = half + (size_t)i * rows.stride + (size_t)j;
            *bits = k_bf16_from_f32(*value);
            *value = k_f32_from_bf16(*bits);
        }
    }
    return rows;
}

static k_act row_alone(const k_act *rows, int row)
{
    k_act alone = *rows;
    alone.data = (char *)rows->data + (size_t)row * rows->stride * k_type_bytes(rows->type);
    return alone;
}

static void check_convert_of(kc *c, kc_data data, k_type from, k_type type, int act_max, int n_rows, int n, float shift,
                             float poison)
{
    if (!kc_case(c, "convert %d rows of %d from %s to %s, act_max %d, %s, shift %g, poison %g", n_rows, n,
                 from == K_BF16 ? "bf16" : "f32", type == K_BF16 ? "bf16" : "u8", act_max, kc_data_names[data],
                 (double)shift, (double)poison))
        return;
    k_convert_fn *convert = (k_convert_fn *)c->row->function;
    size_t stride = (size_t)(n + 15) / 16 * 16 + 16 * (size_t)kc_below(c, 2);
    float *x = make_rows(c, data, n_rows, n, stride);
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < n; j++)
            x[(size_t)i * stride + (size_t)j] += shift;
    }
    if (poison != 0.0f)
        x[(size_t)(n_rows / 2) * stride + (size_t)kc_below(c, n)] = poison;
    const k_act wide = {.type = K_F32, .data = x, .stride = stride};
    const k_act rows = from == K_BF16 ? narrow_rows(c, x, n_rows, n, stride) : wide;
    k_act act = make_act(c, type, act_max, n_rows, n);
    convert(&rows, n_rows, n, &act);
    for (int i = 0; i < n_rows; i++)
        compare_act(c, &act, x + (size_t)i * stride, i, n);
    for (int i = 0; i < n_rows; i += 1 + n_rows / 3) {
        const k_act row = row_alone(&rows, i);
        k_act alone = make_act(c, type, act_max, 1, n);
        convert(&row, 1, n, &alone);
        compare_acts(c, &alone, 0, &act, i, n);
    }
}

static void check_convert(kc *c, kc_data data, k_type type, int act_max, int n_rows, int n, float shift, float poison)
{
    check_convert_of(c, data, K_F32, type, act_max, n_rows, n, shift, poison);
    if (type == K_I8)
        check_convert_of(c, data, K_BF16, type, act_max, n_rows, n, shift, poison);
}

static void check_converts(kc *c)
{
    static const float shifts[] = {0.0f, 0.1f, -3.0f, 1000.0f, 1e6f};
    static const float poisons[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX};
    for (int type = K_BF16; type <= K_I8; type++) {
        for (int n = 1; n <= 200; n += c->quick ? 3 : 1)
            check_convert(c, KC_NORMAL, (k_type)type, n % 2 ? 255 : 127, 1 + kc_below(c, 6), n, 0.0f, 0.0f);
        for (int i = 0; i < N_SIZES; i++) {
            for (int data = 0; data < KC_DATA_COUNT; data++) {
                for (int shift = c->quick ? kc_below(c, 4) : 0, n_shifts = c->quick ? 2 : 5; n_shifts > 0;
                     n_shifts--, shift++)
                    check_convert(c, (kc_data)data, (k_type)type, kc_below(c, 2) ? 127 : 255, 3, sizes[i], shifts[shift],
                                  0.0f);
            }
            for (int p = 0; p < 5; p++)
                check_convert(c, KC_NORMAL, (k_type)type, 255, 5, sizes[i], 0.0f, poisons[p]);
        }
        for (int i = 0; i < 3; i++) /* both ends of f32: the range overflows; nothing but NaN */
            check_convert(c, KC_CONSTANT, (k_type)type, 255, 1, (const int[]){16, 384, 33}[i], i == 1 ? NAN : 3e38f, -3e38f);
        check_convert(c, KC_NORMAL, (k_type)type, 255, 0, 64, 0.0f, 0.0f);
    }
}

/* ---- norm ---- */

static void expect_norm(kc *c, const k_norm *norm, const float *x, const float *got, int row)
{
    int n = norm->n;
    double mean = 0.0, size = 0.0, variance = 0.0;
    for (int j = 0; j < n && !norm->rms; j++) {
        mean += (double)x[j] / n;
        size += fabs((double)x[j]) / n;
    }
    for (int j = 0; j < n; j++)
        variance += ((double)x[j] - mean) * ((double)x[j] - mean) / n;
    double inverse = 1.0 / sqrt(variance + (double)norm->eps);
    double rounding = (8.0 + 2.0 * sqrt(n)) * KC_EPS, mean_error = rounding * size;
    double inverse_error = rounding + mean_error * mean_error * inverse * inverse;
    for (int j = 0; j < n; j++) {
        double unit = ((double)x[j] - mean) * inverse, gamma = (double)norm->gamma[j];
        double beta = norm->beta != NULL ? (double)norm->beta[j] : 0.0;
        double bound =
            fabs(gamma) * (mean_error * inverse + 4.0 * KC_EPS * fabs((double)x[j]) * inverse + inverse_error * fabs(unit));
        kc_near(c, "norm", row, j, (double)got[j], unit * gamma + beta,
                bound + 4.0 * KC_EPS * (fabs(unit * gamma) + fabs(beta)) + 1e-37);
    }
}

/* The same rows with x kept: x stays, and act is what it was, or y itself. */
static void check_kept(kc *c, const k_norm *norm, const float *before, const float *y)
{
    const int n = norm->n, n_rows = norm->n_rows;
    k_norm kept = *norm;
    kept.keep = true;
    kept.act = make_act(c, norm->act.type, norm->act.act_max, n_rows, n);
    kept.act.hadamard = norm->act.hadamard;
    size_t bytes = n_rows == 0 ? 0 : ((size_t)(n_rows - 1) * norm->stride + (size_t)n) * sizeof(float);
    kept.x = kc_buffer(c, bytes, 64);
    memcpy(kept.x, before, bytes);
    ((k_norm_fn *)c->row->function)(&kept);
    kc_same(c, "x that is kept", kept.x, before, bytes);
    for (int i = 0; i < n_rows; i++) {
        compare_acts(c, &kept.act, i, &norm->act, i, n);
        const float *out = (const float *)kept.act.data + (size_t)i * kept.act.stride;
        if (kept.act.type != K_F32)
            continue;
        kc_same(c, "y beside x", out, y + (size_t)i * norm->stride, (size_t)n * sizeof *out);
        for (int j = n; j < k_padded(n); j++)
            kc_near(c, "padding of y", i, j, (double)out[j], 0.0, 0.0);
    }
}

static void check_norm(kc *c, kc_data data, k_type type, int n_rows, int n, float shift, float poison)
{
    const bool rms = kc_below(c, 2), has_beta = kc_below(c, 2);
    const int order = type == K_I8 && kc_below(c, 2) ? k_hadamard_order(n) : 0;
    if (!kc_case(c, "%snorm %d rows of %d, %s, type %d, H of %d, shift %g, poison %g%s", rms ? "RMS " : "", n_rows, n,
                 kc_data_names[data], (int)type, order, (double)shift, (double)poison, has_beta ? ", beta" : ""))
        return;
    size_t stride = (size_t)(n + 15) / 16 * 16 + 16 * (size_t)kc_below(c, 3);
    size_t bytes = n_rows == 0 ? 0 : ((size_t)(n_rows - 1) * stride + (size_t)n) * sizeof(float);
    float *before = make_rows(c, data, n_rows, n, stride), *gamma = kc_buffer(c, (size_t)n * sizeof *gamma, 64);
    float *beta = kc_buffer(c, (size_t)n * sizeof *beta, 64), *x = kc_buffer(c, bytes, 64);
    kc_fill(c, KC_NORMAL, gamma, (size_t)n);
    kc_fill(c, KC_NORMAL, beta, (size_t)n);
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < n; j++)
            before[(size_t)i * stride + (size_t)j] += shift;
    }
    if (poison != 0.0f)
        before[(size_t)(n_rows / 2) * stride + (size_t)kc_below(c, n)] = poison;
    memcpy(x, before, bytes);
    k_norm norm = {.x = x, .stride = stride, .n_rows = n_rows, .n = n, .gamma = gamma, .eps = 1e-12f, .rms = rms};
    norm.beta = has_beta ? beta : NULL;
    norm.act = make_act(c, type, kc_below(c, 2) ? 255 : 127, n_rows, n);
    norm.act.hadamard = order;
    ((k_norm_fn *)c->row->function)(&norm);
    check_kept(c, &norm, before, x);
    for (int i = 0; i < n_rows; i++) {
        const float *row = x + (size_t)i * stride;
        if (poison != 0.0f && i == n_rows / 2) {
            for (int j = 0; j < n; j++)
                kc_near(c, "norm of a row with NaN or infinity", i, j, (double)row[j], NAN, 0.0);
        } else {
            expect_norm(c, &norm, before + (size_t)i * stride, row, i);
        }
        compare_act(c, &norm.act, row, i, n);
        if (i + 1 < n_rows)
            kc_same(c, "padding of x", row + n, before + (size_t)i * stride + n, (stride - (size_t)n) * sizeof *row);
    }
    for (int i = 0; i < n_rows; i += 1 + n_rows / 3) {
        k_norm alone = norm;
        alone.x = kc_buffer(c, (size_t)n * sizeof(float), 64);
        memcpy(alone.x, before + (size_t)i * stride, (size_t)n * sizeof(float));
        alone.n_rows = 1;
        alone.act = make_act(c, type, norm.act.act_max, 1, n);
        alone.act.hadamard = order;
        ((k_norm_fn *)c->row->function)(&alone);
        kc_same(c, "a row alone", alone.x, x + (size_t)i * stride, (size_t)n * sizeof(float));
        compare_acts(c, &alone.act, 0, &norm.act, i, n);
    }
}

static void check_norms(kc *c)
{
    static const float shifts[] = {0.0f, 3.0f, -1000.0f};
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (int n = 1; n <= 200; n += c->quick ? 3 : 1)
        check_norm(c, KC_NORMAL, (k_type)(n % 3), 1 + kc_below(c, 6), n, 0.0f, 0.0f);
    for (int n = 32; n <= K_HADAMARD_MAX + 256; n = n < 256 ? n + 16 : n + 256) /* H of every order */
        check_norm(c, KC_NORMAL, K_I8, 2, n, 0.0f, 0.0f);
    for (int rows = 0; rows <= 19; rows++)
        check_norm(c, KC_NORMAL, (k_type)(rows % 3), rows, 384, 0.0f, 0.0f);
    for (int i = 0; i < N_SIZES; i++) {
        for (int type = K_F32; type <= K_I8; type++) {
            for (int data = 0; data < KC_DATA_COUNT; data++) {
                for (int s = 0; s < (c->quick ? 1 : 3); s++)
                    check_norm(c, (kc_data)data, (k_type)type, 3, sizes[i], shifts[s], 0.0f);
            }
            for (int p = 0; p < 3; p++)
                check_norm(c, KC_NORMAL, (k_type)type, 6, sizes[i], 0.0f, poisons[p]);
        }
    }
}

/* ---- embed ---- */

static double word_of(const k_embed *e, int id, int j)
{
    size_t at = (size_t)id * e->word_stride + (size_t)j;
    if (e->type == K_F32)
        return (double)((const float *)e->words)[at];
    if (e->type == K_BF16)
        return (double)k_f32_from_bf16(((const uint16_t *)e->words)[at]);
    return (double)e->word_scale[id] * ((const int8_t *)e->words)[at];
}

static void check_embed(kc *c, kc_data data, k_type type, int n_rows, int n)
{
    enum { VOCAB = 11, POSITIONS = 5, TYPES = 3 };
    if (!kc_case(c, "embed %d rows of %d, %s, type %d", n_rows, n, kc_data_names[data], (int)type))
        return;
    size_t word_stride = (size_t)(n + kc_below(c, 3)), words = (VOCAB - 1) * word_stride + (size_t)n;
    char *table = kc_buffer(c, words * k_type_bytes(type), type == K_I8 ? 1 : k_type_bytes(type));
    float *scale = kc_buffer(c, VOCAB * sizeof *scale, 4),
          *positions = kc_buffer(c, (size_t)(POSITIONS * n) * sizeof *positions, 4);
    float *types = kc_buffer(c, (size_t)(TYPES * n) * sizeof *types, 4);
    int32_t *ids = kc_buffer(c, (size_t)n_rows * sizeof *ids, 4), *pos = kc_buffer(c, (size_t)n_rows * sizeof *pos, 4);
    int32_t *type_ids = kc_buffer(c, (size_t)n_rows * sizeof *type_ids, 4);
    for (size_t i = 0; i < words; i++) {
        float value = kc_value(c, data);
        if (type == K_F32)
            ((float *)(void *)table)[i] = value;
        else if (type == K_BF16)
            ((uint16_t *)(void *)table)[i] = k_bf16_from_f32(value);
        else
            ((int8_t *)table)[i] = (int8_t)(kc_below(c, 255) - 127);
    }
    kc_fill(c, KC_NORMAL, scale, VOCAB);
    kc_fill(c, data, positions, (size_t)(POSITIONS * n));
    kc_fill(c, data, types, (size_t)(TYPES * n));
    for (int i = 0; i < n_rows; i++) {
        ids[i] = i == 0 ? VOCAB - 1 : kc_below(c, VOCAB);
        pos[i] = i == 0 ? POSITIONS - 1 : kc_below(c, POSITIONS);
        type_ids[i] = i == 0 ? TYPES - 1 : kc_below(c, TYPES);
    }
    size_t stride = (size_t)(n + 15) / 16 * 16 + 16 * (size_t)kc_below(c, 2);
    k_embed e = {.type = type, .words = table, .word_stride = word_stride, .word_scale = scale, .ids = ids};
    e.positions = kc_below(c, 4) != 0 ? positions : NULL;
    e.pos = e.positions != NULL ? pos : NULL;
    e.types = kc_below(c, 4) != 0 ? types : NULL;
    e.type_ids = kc_below(c, 2) ? type_ids : NULL;
    e.n_rows = n_rows;
    e.n = n;
    e.out = kc_buffer(c, n_rows == 0 ? 0 : ((size_t)(n_rows - 1) * stride + (size_t)n) * sizeof(float), 64);
    e.stride = stride;
    ((k_embed_fn *)c->row->function)(&e);
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < n; j++) {
            double word = word_of(&e, ids[i], j), position = e.positions != NULL ? (double)positions[pos[i] * n + j] : 0.0;
            int type_id = e.type_ids != NULL ? type_ids[i] : 0;
            double kind = e.types != NULL ? (double)types[type_id * n + j] : 0.0;
            kc_near(c, "embed", i, j, (double)e.out[(size_t)i * stride + (size_t)j], word + position + kind,
                    4.0 * KC_EPS * (fabs(word) + fabs(position) + fabs(kind)) + 0x1p-148);
        }
        for (size_t j = (size_t)n; j < stride && i + 1 < n_rows; j++)
            kc_near(c, "padding", i, (int)j, (double)e.out[(size_t)i * stride + j], NAN, 0.0);
    }
}

/* ---- rotary positions ---- */

typedef struct rotary_case {
    k_type type;
    int n_rows, n_heads, head_dim, rotary_dim;
    kc_data data;
    bool normed;
    float poison;
} rotary_case;

static double element_of(k_type type, const void *x, size_t i)
{
    return type == K_F32 ? (double)((const float *)x)[i] : (double)k_f32_from_bf16(((const uint16_t *)x)[i]);
}

static void put_element(k_type type, void *x, size_t i, float value)
{
    uint16_t half = k_bf16_from_f32(value);
    memcpy((char *)x + i * k_type_bytes(type), type == K_F32 ? (void *)&value : (void *)&half, k_type_bytes(type));
}

/* One head of values x before and y after. */
static void expect_rotated(kc *c, const k_rotary *r, const void *before, size_t at, int row)
{
    const int dim = r->head_dim, half = r->rotary_dim / 2;
    double x[K_HEAD_DIM_MAX], square = 0.0, error[K_HEAD_DIM_MAX];
    for (int j = 0; j < dim; j++) {
        x[j] = element_of(r->type, before, at + (size_t)j);
        square += x[j] * x[j] / dim;
    }
    bool spoilt = r->gamma != NULL && !isfinite(square);
    for (int j = 0; j < dim; j++) {
        x[j] *= r->gamma != NULL ? (double)r->gamma[j] / sqrt(square + (double)r->eps) : 1.0;
        error[j] = (12.0 + sqrt(dim)) * KC_EPS * fabs(x[j]);
    }
    for (int j = 0; j < dim; j++) {
        size_t angle = (size_t)r->pos[row] * (size_t)half + (size_t)(j % half);
        double cosine = (double)r->cos[angle], sine = (double)r->sin[angle], want = x[j], bound = error[j];
        if (j < r->rotary_dim) {
            int other = j < half ? j + half : j - half;
            want = x[j] * cosine + (j < half ? -1.0 : 1.0) * x[other] * sine;
            bound = error[j] * fabs(cosine) + error[other] * fabs(sine);
        } else if (r->gamma == NULL) {
            bound = 0.0;
        }
        bound += bound > 0.0 ? 0x1p-148 + (r->type == K_BF16 ? 0x1p-8 * fabs(want) + 0x1p-126 : 0.0) : 0.0;
        kc_near(c, "rotated", row, (int)(at + (size_t)j), element_of(r->type, r->x, at + (size_t)j), spoilt ? NAN : want,
                bound);
    }
}

static void check_rotary(kc *c, rotary_case p)
{
    enum { POSITIONS = 7 };
    if (!kc_case(c, "rotary %s, %d rows of %d heads of %d, turned %d, %s%s, poison %g", p.type == K_F32 ? "f32" : "bf16",
                 p.n_rows, p.n_heads, p.head_dim, p.rotary_dim, kc_data_names[p.data], p.normed ? ", normed" : "",
                 (double)p.poison))
        return;
    const size_t element = k_type_bytes(p.type), width = (size_t)(p.n_heads * p.head_dim), half = (size_t)p.rotary_dim / 2;
    const size_t stride = width + (size_t)(24 * kc_below(c, 3)), count = (size_t)(p.n_rows - 1) * stride + width;
    float *cosine = kc_buffer(c, POSITIONS * half * sizeof *cosine, 4);
    float *sine = kc_buffer(c, POSITIONS * half * sizeof *sine, 4);
    float *gamma = kc_buffer(c, (size_t)p.head_dim * sizeof *gamma, 4);
    int32_t *pos = kc_buffer(c, (size_t)p.n_rows * sizeof *pos, 4);
    void *before = kc_buffer(c, count * element, element), *gap = kc_buffer(c, 64, 64);
    for (size_t i = 0; i < POSITIONS * half; i++) {
        double angle = 10.0 * kc_uniform(c);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    kc_fill(c, KC_NORMAL, gamma, (size_t)p.head_dim);
    for (int i = 0; i < p.n_rows; i++) {
        pos[i] = i == 0 ? POSITIONS - 1 : kc_below(c, POSITIONS);
        for (size_t j = 0; j < width; j++)
            put_element(p.type, before, (size_t)i * stride + j, kc_value(c, p.data));
    }
    if (p.poison != 0.0f)
        put_element(p.type, before, (size_t)(p.n_rows / 2) * stride + (size_t)kc_below(c, p.rotary_dim), p.poison);
    void *x = kc_buffer_skewed(c, count * element, element * (size_t)kc_below(c, 16));
    memcpy(x, before, count * element);
    k_rotary r = {.type = p.type, .x = x, .stride = stride, .n_rows = p.n_rows, .n_heads = p.n_heads, .pos = pos};
    r.head_dim = p.head_dim;
    r.rotary_dim = p.rotary_dim;
    r.cos = cosine;
    r.sin = sine;
    r.gamma = p.normed ? gamma : NULL;
    r.eps = 1e-6f;
    ((k_rotary_fn *)c->row->function)(&r);
    for (int i = 0; i < p.n_rows; i++) {
        for (int head = 0; head < p.n_heads && p.poison == 0.0f; head++)
            expect_rotated(c, &r, before, (size_t)i * stride + (size_t)(head * p.head_dim), i);
        size_t end = (size_t)i * stride + width;
        for (size_t j = end; j < end + stride - width && i + 1 < p.n_rows; j++)
            kc_same(c, "between rows", (char *)x + j * element, gap, element);
    }
    for (int head = 0; head < p.n_heads && p.poison != 0.0f && p.normed;
         head++) { /* the first head is spoilt, others are not */
        for (int j = 0; j < p.head_dim; j++) {
            size_t at = (size_t)(p.n_rows / 2) * stride + (size_t)(head * p.head_dim + j);
            if (isnan(element_of(p.type, x, at)) != (head == 0))
                kc_fail(c, "NaN of head 0 in head %d, value %d", head, j);
        }
    }
}

static void check_rotaries(kc *c)
{
    for (int type = K_F32; type <= K_BF16; type++) {
        for (int dim = 2; dim <= 130; dim += c->quick ? 6 : 2) {
            for (int normed = 0; normed < 2; normed++)
                check_rotary(c, (rotary_case){(k_type)type, 1 + kc_below(c, 4), 1 + kc_below(c, 3), dim,
                                              2 + 2 * kc_below(c, dim / 2), KC_NORMAL, normed != 0, 0.0f});
        }
        for (int i = 0; i < 4; i++) {
            const int dim = (const int[]){32, 64, 128, 256}[i];
            for (int data = 0; data < KC_DATA_COUNT; data++)
                check_rotary(c, (rotary_case){(k_type)type, 5, 4, dim, dim, (kc_data)data, data % 2 != 0, 0.0f});
            check_rotary(c, (rotary_case){(k_type)type, 3, 2, dim, dim / 2, KC_NORMAL, true, NAN});
            check_rotary(c, (rotary_case){(k_type)type, 3, 2, dim, dim / 2, KC_NORMAL, true, INFINITY});
        }
    }
}

/* ---- pooling and dot product ---- */

static void check_pool_sum(kc *c, kc_data data, int n_rows, int n, bool linear)
{
    if (!kc_case(c, "pool_sum %d rows of %d, %s%s", n_rows, n, kc_data_names[data], linear ? ", linear" : ""))
        return;
    size_t stride = (size_t)(n + 15) / 16 * 16;
    const float *x = make_rows(c, data, n_rows, n, stride);
    float *out = kc_buffer(c, (size_t)n * sizeof *out, 4);
    ((k_pool_sum_fn *)c->row->function)(x, stride, n_rows, n, linear, out);
    for (int j = 0; j < n; j++) {
        double sum = 0.0, size = 0.0;
        for (int i = 0; i < n_rows; i++) {
            double term = (linear ? i + 1.0 : 1.0) * (double)x[(size_t)i * stride + (size_t)j];
            sum += term;
            size += fabs(term);
        }
        kc_near(c, "sum", 0, j, (double)out[j], sum, (4.0 + 2.0 * sqrt(n_rows)) * KC_EPS * size + 0x1p-148);
    }
}

static void check_pool_max(kc *c, kc_data data, int n_rows, int n, float poison)
{
    if (!kc_case(c, "pool_max %d rows of %d, %s, poison %g", n_rows, n, kc_data_names[data], (double)poison))
        return;
    size_t stride = (size_t)(n + 15) / 16 * 16;
    float *x = make_rows(c, data, n_rows, n, stride), *out = kc_buffer(c, (size_t)n * sizeof *out, 4);
    if (poison != 0.0f)
        x[(size_t)kc_below(c, n_rows) * stride + (size_t)kc_below(c, n)] = poison;
    ((k_pool_max_fn *)c->row->function)(x, stride, n_rows, n, out);
    for (int j = 0; j < n; j++) {
        double max = -INFINITY;
        bool nan = false;
        for (int i = 0; i < n_rows; i++) {
            max = fmax(max, (double)x[(size_t)i * stride + (size_t)j]);
            nan = nan || isnan(x[(size_t)i * stride + (size_t)j]);
        }
        kc_near(c, "max", 0, j, (double)out[j], nan ? NAN : max, 0.0);
    }
}

static void check_dot(kc *c, kc_data data, int n)
{
    int skew_a = 4 * kc_below(c, 16), skew_b = 4 * kc_below(c, 16);
    if (!kc_case(c, "dot of %d, %s, %d and %d bytes past alignment", n, kc_data_names[data], skew_a, skew_b))
        return;
    float *a = kc_buffer_skewed(c, (size_t)n * sizeof *a, (size_t)skew_a);
    float *b = kc_buffer_skewed(c, (size_t)n * sizeof *b, (size_t)skew_b);
    kc_fill(c, data, a, (size_t)n);
    kc_fill(c, data, b, (size_t)n);
    double sum = 0.0, size = 0.0;
    for (int j = 0; j < n; j++) {
        sum += (double)a[j] * (double)b[j];
        size += fabs((double)a[j] * (double)b[j]);
    }
    float got = ((k_dot_fn *)c->row->function)(a, b, (size_t)n);
    kc_near(c, "dot", 0, 0, (double)got, sum, (4.0 + sqrt(n)) * KC_EPS * size + 0x1p-149 * (n + 1));
    float *aligned = kc_buffer(c, (size_t)n * sizeof *aligned, 64);
    memcpy(aligned, a, (size_t)n * sizeof *aligned);
    float again = ((k_dot_fn *)c->row->function)(aligned, b, (size_t)n);
    kc_same(c, "dot at another alignment", &again, &got, sizeof got);
}

static void check_small(kc *c, const char *entry, kc_data data, int n_rows, int n)
{
    if (strcmp(entry, "embed") == 0) {
        for (int type = K_F32; type <= K_I8; type++)
            check_embed(c, data, (k_type)type, n_rows, n);
    } else if (strcmp(entry, "pool_sum") == 0) {
        check_pool_sum(c, data, n_rows, n, false);
        check_pool_sum(c, data, n_rows, n, true);
    } else if (strcmp(entry, "pool_max") == 0) {
        check_pool_max(c, data, n_rows, n, 0.0f);
        check_pool_max(c, data, n_rows, n, NAN);
        check_pool_max(c, data, n_rows, n, n_rows % 2 ? INFINITY : -INFINITY);
    } else if (strcmp(entry, "dot") == 0) {
        check_dot(c, data, n);
    } else {
        kc_fail(c, "kcheck has no check for the entry %s", entry);
    }
}

void kc_check_rows(kc *c)
{
    const char *entry = c->row->entry;
    if (strcmp(entry, "norm") == 0) {
        check_norms(c);
        return;
    }
    if (strcmp(entry, "convert") == 0) {
        check_converts(c);
        return;
    }
    if (strcmp(entry, "rotary") == 0) {
        check_rotaries(c);
        return;
    }
    for (int n = 1; n <= 300; n += c->quick ? 3 : 1)
        check_small(c, entry, KC_NORMAL, 1 + kc_below(c, 9), n);
    for (int i = 0; i < N_SIZES; i++) {
        for (int data = 0; data < KC_DATA_COUNT; data++)
            check_small(c, entry, (kc_data)data, 1 + kc_below(c, 40), sizes[i]);
    }
    check_small(c, entry, KC_NORMAL, 512, 384);
}
