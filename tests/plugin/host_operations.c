/* host_operations.c - see host_operations.h. */
#include "host_operations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static float f32_of(uint16_t value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Rounded to nearest even. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float f16_values[1 << 16],
    f8_values[1 << 8]; /* of each code as it is read: made once, for one is looked at very often */

__attribute__((constructor)) static void list_values(void)
{
    for (int value = 0; value < 1 << 8; value++) {
        const int exponent = value >> 3 & 15, fraction = value & 7;
        const double size = ldexp(exponent > 0 ? fraction + 8 : fraction, (exponent > 0 ? exponent : 1) - 10);
        f8_values[value] = (value & 127) == 127 ? NAN : (float)(value >> 7 != 0 ? -size : size);
    }
    for (int value = 0; value < 1 << 16; value++) {
        const int exponent = value >> 10 & 31, fraction = value & 1023;
        const double size = exponent == 31
                                ? (double)NAN
                                : ldexp(exponent > 0 ? fraction + 1024 : fraction, (exponent > 0 ? exponent : 1) - 25);
        f16_values[value] = (float)(value >> 15 != 0 ? -size : size);
    }
}

/* Whole steps of 2^-24 up to 2^-13, and of twice as much for each power of two from there on; past the range a NaN. */
static uint16_t f16_of(float value)
{
    const double size = fabs((double)value);
    int exponent;
    if (!(size < 65520.0))
        return 0x7fff;
    frexp(size, &exponent);
    exponent = size >= 0x1p-13 ? exponent - 1 : -14;
    const int steps = (int)nearbyint(ldexp(size, 10 - exponent));
    return (uint16_t)((signbit(value) ? 0x8000 : 0) + (exponent + 14) * 1024 + steps);
}

/* The nearest of 127 sizes; of two, the even one. */
static uint8_t f8_of(double value)
{
    const double size = fabs(value);
    int below = 0, above = 126;
    if (value != value)
        return 127;
    while (above - below > 1) {
        const int middle = (below + above) / 2;
        if ((double)f8_values[middle] <= size)
            below = middle;
        else
            above = middle;
    }
    const double down = size - (double)f8_values[below], up = (double)f8_values[above] - size;
    return (uint8_t)((signbit(value) ? 128 : 0) + (up < down || (up == down && above % 2 == 0) ? above : below));
}

float host_load(hd_plugin_type type, const void *values, size_t i)
{
    const uint16_t *halves = values;
    return type == HD_PLUGIN_F32   ? ((const float *)values)[i]
           : type == HD_PLUGIN_F16 ? f16_values[halves[i]]
                                   : f32_of(halves[i]);
}

void host_store(hd_plugin_type type, void *values, size_t i, float value)
{
    if (type == HD_PLUGIN_F32)
        ((float *)values)[i] = value;
    else
        ((uint16_t *)values)[i] = type == HD_PLUGIN_F16 ? f16_of(value) : bf16_of(value);
}

/* ---- rows ---- */

void host_embed(const hd_plugin_embed *t)
{
    const size_t n = (size_t)t->n;
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        const size_t id = (size_t)t->ids[i];
        float *x = t->x + i * t->stride;
        for (size_t j = 0; j < n; j++) {
            const size_t at = id * t->word_stride + j;
            x[j] = t->type == HD_PLUGIN_I8 ? t->word_scale[id] * (float)((const int8_t *)t->words)[at]
                                           : host_load(t->type, t->words, at);
            x[j] += t->position_rows != NULL ? t->position_rows[(size_t)t->positions[i] * n + j] : 0.0f;
            x[j] += t->type_rows != NULL ? t->type_rows[(t->types != NULL ? (size_t)t->types[i] : 0) * n + j] : 0.0f;
        }
    }
}

void host_change_rows(const hd_plugin_change_rows *t)
{
    const size_t n = (size_t)t->n, rank = (size_t)t->rank;
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        const float *low = t->low + (t->ids != NULL ? (size_t)t->ids[i] : 0) * rank;
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t r = 0; r < rank; r++)
                sum += (double)low[r] * (double)t->lift[r * n + j];
            t->x[i * t->stride + j] += (float)sum;
        }
    }
}

static void convert_i8(const hd_plugin_act *act, size_t i, const float *row, size_t n)
{
    uint8_t *to = (uint8_t *)act->data + i * act->stride;
    float least = row[0], most = row[0];
    bool finite = true;
    for (size_t j = 0; j < n; j++) {
        finite &= isfinite(row[j]) != 0;
        least = fminf(least, row[j]);
        most = fmaxf(most, row[j]);
    }
    const float range = most - least;
    const bool flat = range < 1e-30f;
    finite &= isfinite(range) != 0;
    act->offset[i] = finite ? least : NAN;
    act->scale[i] = !finite ? NAN : flat ? 1.0f : range / (float)act->act_max;
    for (size_t j = 0; j < n; j++)
        to[j] =
            !finite || flat ? 0 : (uint8_t)fmin(nearbyint((double)(row[j] - least) / (double)act->scale[i]), act->act_max);
}

static void convert_f8(const hd_plugin_act *act, size_t i, const float *row, size_t n)
{
    uint8_t *to = (uint8_t *)act->data + i * act->stride;
    float most = 0.0f;
    for (size_t j = 0; j < n; j++)
        most = isfinite(row[j]) && isfinite(most) ? fmaxf(most, fabsf(row[j])) : NAN;
    act->scale[i] = most < 1e-30f ? 1.0f : most / 448.0f;
    for (size_t j = 0; j < n; j++)
        to[j] = f8_of((double)(row[j] / act->scale[i]));
}

static void convert_row(const hd_plugin_act *act, size_t i, const float *row, size_t n)
{
    if (act->type == HD_PLUGIN_I8 || act->type == HD_PLUGIN_F8) {
        (act->type == HD_PLUGIN_I8 ? convert_i8 : convert_f8)(act, i, row, n);
        return;
    }
    for (size_t j = 0; j < n; j++)
        host_store(act->type, act->data, i * act->stride + j, row[j]);
}

/* H times a row, by its definition. */
static void multiply_by_h(const float *x, size_t n, size_t order, float *y)
{
    const size_t m = n / order;
    for (size_t at = 0; at < n; at++) {
        double sum = 0.0;
        for (size_t j = 0; j < order; j++)
            sum += (__builtin_popcountll(at / m & j) % 2 != 0 ? -1.0 : 1.0) * (double)x[j * m + at % m];
        y[at] = (float)sum;
    }
}

void host_convert(const hd_plugin_convert *t)
{
    for (size_t i = 0; i < (size_t)t->n_rows; i++)
        convert_row(&t->act, i, t->x + i * t->stride, (size_t)t->n);
}

void host_norm(const hd_plugin_norm *t)
{
    const size_t n = (size_t)t->n;
    float *y = malloc(n * sizeof *y), *by_h = malloc(n * sizeof *by_h);
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        float *x = t->x + i * t->stride;
        double sum = 0.0, squares = 0.0;
        for (size_t j = 0; j < n; j++)
            sum += (double)x[j];
        const double mean = t->rms ? 0.0 : sum / (double)n;
        for (size_t j = 0; j < n; j++)
            squares += ((double)x[j] - mean) * ((double)x[j] - mean);
        const double scale = 1.0 / sqrt(squares / (double)n + (double)t->eps);
        for (size_t j = 0; j < n; j++)
            y[j] =
                (float)(((double)x[j] - mean) * scale * (double)t->gamma[j] + (t->beta != NULL ? (double)t->beta[j] : 0.0));
        if (!t->keep)
            memcpy(x, y, n * sizeof *x);
        if (t->act.hadamard > 1)
            multiply_by_h(y, n, (size_t)t->act.hadamard, by_h);
        if (t->keep || t->act.type != HD_PLUGIN_F32)
            convert_row(&t->act, i, t->act.hadamard > 1 ? by_h : y, n);
    }
    free(by_h);
    free(y);
}

void host_rotate(const hd_plugin_rotate *t)
{
    const size_t dim = (size_t)t->head_dim, half = dim / 2;
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        const float *cosines = t->cos + (size_t)t->positions[i] * half, *sines = t->sin + (size_t)t->positions[i] * half;
        for (size_t head = 0; head < (size_t)t->n_heads; head++) {
            const size_t at = i * t->stride + head * dim;
            double x[256], squares = 0.0;
            for (size_t j = 0; j < dim; j++) {
                x[j] = (double)host_load(t->type, t->x, at + j);
                squares += x[j] * x[j];
            }
            for (size_t j = 0; j < dim && t->gamma != NULL; j++)
                x[j] *= (double)t->gamma[j] / sqrt(squares / (double)dim + (double)t->eps);
            for (size_t j = 0; j < half; j++) {
                const double c = (double)cosines[j], s = (double)sines[j];
                host_store(t->type, t->x, at + j, (float)(x[j] * c - x[j + half] * s));
                host_store(t->type, t->x, at + j + half, (float)(x[j + half] * c + x[j] * s));
            }
        }
    }
}

/* ---- products ---- */

/* Values from `at` on, whichever type they are of; the weights of int8 have signs, their activations none. */
static void unpack(hd_plugin_type type, bool is_signed, const void *values, size_t at, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++) {
        if (type == HD_PLUGIN_I8)
            to[i] = is_signed ? (float)((const int8_t *)values)[at + i] : (float)((const uint8_t *)values)[at + i];
        else if (type == HD_PLUGIN_F8)
            to[i] = f8_values[((const uint8_t *)values)[at + i]];
        else
            to[i] = host_load(type, values, at + i);
    }
}

static double product(const hd_plugin_linear *t, size_t m, size_t c, const float *a, const float *row)
{
    const hd_plugin_weights *w = &t->weights;
    double sum = 0.0;
    for (size_t i = 0; i < (size_t)w->k; i++)
        sum += (double)a[i] * (double)row[i];
    if (w->type == HD_PLUGIN_F8)
        return (double)t->in.scale[m] * (double)w->scale[c] * sum;
    if (w->type != HD_PLUGIN_I8)
        return sum;
    return (double)t->in.scale[m] * (double)w->scale[c] * sum + (double)t->in.offset[m] * (double)w->channel_sum[c];
}

static double activate(hd_plugin_epilogue epilogue, double y, double before)
{
    switch (epilogue) {
    case HD_PLUGIN_STORE: return y;
    case HD_PLUGIN_ADD: return before + y;
    case HD_PLUGIN_MUL: return before * y;
    case HD_PLUGIN_GELU: return 0.5 * y * erfc(-y * M_SQRT1_2);
    case HD_PLUGIN_GELU_TANH: return 0.5 * y * (1.0 + tanh(M_2_SQRTPI * M_SQRT1_2 * (y + 0.044715 * y * y * y)));
    case HD_PLUGIN_RELU: return y > 0.0 || y != y ? y : 0.0;
    case HD_PLUGIN_SILU: return y / (1.0 + exp(-y));
    case HD_PLUGIN_TANH: return tanh(y);
    }
    return y;
}

void host_linear(const hd_plugin_linear *t)
{
    const hd_plugin_weights *w = &t->weights;
    const bool reads = t->epilogue == HD_PLUGIN_ADD || t->epilogue == HD_PLUGIN_MUL;
    const size_t k = (size_t)w->k, first = (size_t)t->first, end = (size_t)t->end;
    float *a = malloc((k + (end - first) * k) * sizeof *a), *rows = a + k;
    for (size_t c = first; c < end; c++)
        unpack(w->type, true, w->rows, c * w->stride, k, rows + (c - first) * k);
    for (size_t m = 0; m < (size_t)t->n_rows; m++) {
        unpack(w->type, false, t->in.data, m * t->in.stride, k, a);
        for (size_t c = first; c < end; c++) {
            const size_t at = m * t->out_stride + c;
            double y = product(t, m, c, a, rows + (c - first) * k) + (double)w->bias[c];
            for (size_t r = 0; r < (size_t)t->rank; r++)
                y += (double)t->low[m * t->low_stride + r] * (double)t->lift[r * t->lift_stride + c];
            y = activate(t->epilogue, y, reads ? (double)host_load(t->out_type, t->out, at) : 0.0);
            host_store(t->out_type, t->out, at, (float)y);
        }
    }
    free(a);
}

/* ---- attention ---- */

typedef struct query {
    const hd_plugin_attention *t;
    size_t row, kv_row, head; /* row of q, first row of k and v, head of q */
    int64_t place, n_keys;    /* in its sequence */
    double *scores;           /* [n_keys] */
} query;

static void attend(const query *q)
{
    const hd_plugin_attention *t = q->t;
    const size_t dim = (size_t)t->head_dim, kv_head = q->head / (size_t)(t->n_heads / t->n_kv_heads);
    const size_t q_at = q->row * t->q_stride + q->head * dim;
    const int64_t first = q->place > t->reach_back ? q->place - t->reach_back : 0;
    const int64_t last = q->place + t->reach_ahead < q->n_keys - 1 ? q->place + t->reach_ahead : q->n_keys - 1;
    double most = -INFINITY, sum = 0.0;
    for (int64_t j = first; j <= last; j++) {
        const size_t k_at = (q->kv_row + (size_t)j) * t->kv_stride + kv_head * dim;
        double dot = 0.0;
        for (size_t i = 0; i < dim; i++)
            dot += (double)host_load(t->type, t->q, q_at + i) * (double)host_load(t->type, t->k, k_at + i);
        q->scores[j] = (double)t->scale * dot;
        if (t->bias != NULL)
            q->scores[j] += (double)*(t->bias + (ptrdiff_t)(q->head * t->bias_stride) + (q->place - j));
        most = fmax(most, q->scores[j]);
    }
    for (int64_t j = first; j <= last; j++)
        sum += q->scores[j] = exp(q->scores[j] - most);
    for (size_t i = 0; i < dim; i++) {
        double value = 0.0;
        for (int64_t j = first; j <= last; j++)
            value +=
                q->scores[j] * (double)host_load(t->type, t->v, (q->kv_row + (size_t)j) * t->kv_stride + kv_head * dim + i);
        host_store(t->out_type, t->out, q->row * t->out_stride + q->head * dim + i,
                   last < first ? 0.0f : (float)(value / sum));
    }
}

void host_attention(const hd_plugin_attention *t)
{
    for (int32_t i = 0; i < t->n_sequences; i++) {
        const int32_t n_keys = t->n_seen != NULL ? t->n_seen[i] : t->kv_begin[i + 1] - t->kv_begin[i];
        query q = {.t = t, .kv_row = (size_t)t->kv_begin[i], .n_keys = n_keys};
        q.scores = malloc((size_t)n_keys * sizeof *q.scores);
        for (int32_t row = t->q_begin[i]; row < t->q_begin[i + 1]; row++) {
            q.row = (size_t)row;
            q.place = row - t->q_begin[i] + (t->q_first != NULL ? t->q_first[i] : 0);
            for (q.head = 0; q.head < (size_t)t->n_heads; q.head++)
                attend(&q);
        }
        free(q.scores);
    }
}

/* ---- behind the layers ---- */

void host_pick(const hd_plugin_pick *t)
{
    static const size_t bytes[] = {
        [HD_PLUGIN_F32] = 4, [HD_PLUGIN_BF16] = 2, [HD_PLUGIN_I8] = 1, [HD_PLUGIN_F16] = 2, [HD_PLUGIN_F8] = 1};
    t->picked_begin[0] = 0;
    for (size_t i = 0; i < (size_t)t->n_sequences; i++) {
        const size_t row = (size_t)(t->skip != NULL ? t->begin[i] + t->skip[i] : t->begin[i + 1] - 1);
        memcpy(t->picked_x + i * t->stride, t->x + row * t->stride, t->stride * sizeof(float));
        t->picked_positions[i] = t->positions[row];
        t->picked_begin[i + 1] = (int32_t)i + 1;
        if (t->in.data == NULL)
            continue;
        const size_t row_bytes = t->in.stride * bytes[t->in.type];
        memcpy((char *)t->picked_in.data + i * row_bytes, (const char *)t->in.data + row * row_bytes, row_bytes);
        if (t->in.type == HD_PLUGIN_I8 || t->in.type == HD_PLUGIN_F8)
            t->picked_in.scale[i] = t->in.scale[row];
        if (t->in.type == HD_PLUGIN_I8)
            t->picked_in.offset[i] = t->in.offset[row];
    }
}

void host_copy(const hd_plugin_copy *t)
{
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        for (size_t j = 0; j < (size_t)t->n; j++) {
            const float value = t->from[i * t->from_stride + j];
            t->to[i * t->to_stride + j] = t->add ? t->to[i * t->to_stride + j] + value : value;
        }
    }
}

/* What a kind makes of column j of the i-th rows. */
static double pooled(const hd_plugin_pool *t, size_t i, size_t j)
{
    const int32_t skip = t->skip != NULL ? t->skip[i] : 0, first = t->begin[i] + skip, end = t->end[i];
    double sum = 0.0, weights = 0.0, most = -INFINITY;
    for (int32_t row = first; row < end; row++) {
        const double x = (double)t->x[(size_t)row * t->stride + j];
        const double weight = t->kind == HD_PLUGIN_POOL_WEIGHTED_MEAN ? row - t->begin[i] + 1 : 1;
        sum += weight * x;
        weights += weight;
        most = x > most || x != x ? x : most;
    }
    switch (t->kind) {
    case HD_PLUGIN_POOL_FIRST: return (double)t->x[(size_t)first * t->stride + j];
    case HD_PLUGIN_POOL_LAST: return (double)t->x[(size_t)(end - 1) * t->stride + j];
    case HD_PLUGIN_POOL_MAX: return most;
    case HD_PLUGIN_POOL_MEAN_SQRT: return sum / sqrt(weights);
    case HD_PLUGIN_POOL_MEAN:
    case HD_PLUGIN_POOL_WEIGHTED_MEAN: return sum / weights;
    }
    return (double)NAN;
}

void host_pool(const hd_plugin_pool *t)
{
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        for (size_t j = 0; j < (size_t)t->n; j++)
            t->out[i * t->out_stride + j] = (float)pooled(t, i, j);
    }
}

void host_unit(const hd_plugin_unit *t)
{
    for (size_t i = 0; i < (size_t)t->n_rows; i++) {
        double squares = 0.0;
        for (size_t j = 0; j < (size_t)t->n; j++)
            squares += (double)t->from[i * t->from_stride + j] * (double)t->from[i * t->from_stride + j];
        for (size_t j = 0; j < (size_t)t->n; j++)
            t->to[i * t->to_stride + j] = (float)((double)t->from[i * t->from_stride + j] / fmax(sqrt(squares), 1e-12));
    }
}

static float weight_of(const hd_plugin_vocab_pool *t, float logit)
{
    const double once = log1p((double)logit);
    return logit <= 0.0f ? 0.0f : (float)(t->log_twice ? log1p(once) : once);
}

void host_collect(const hd_plugin_vocab_pool *t)
{
    const size_t vocab = (size_t)t->vocab;
    for (int32_t sequence = 0; sequence < t->n_sequences; sequence++) {
        float *weights = t->weights + (size_t)sequence * vocab;
        for (int32_t row = t->begin[sequence]; row < t->begin[sequence + 1]; row++) {
            if (row < t->first || row >= t->first + t->n_rows)
                continue;
            for (size_t id = 0; id < vocab; id++) {
                const float weight = weight_of(t, t->logits[(size_t)(row - t->first) * t->stride + id]);
                const float before = row == t->begin[sequence] ? 0.0f : weights[id];
                weights[id] = t->sums ? before + weight : weight > before || weight != weight ? weight : before;
            }
        }
    }
}

void host_weigh(const hd_plugin_vocab_pool *t)
{
    (void)t; /* collect has weighed them */
}
