/* operations_test.c - every operation of a device's plugin on random shapes and values, beside host_operations.c. Sizes are
 * those at which kernels go wrong: 1, one more and one less than tiles, no rows at all; each array ends where its memory
 * does, so that a plugin whose memory is guarded ends with a fault where it reads on.
 *
 *   OPERATIONS_ROUNDS  shapes of each operation; 60
 *   OPERATIONS_SEED    which ones; 1
 *   OPERATIONS_TYPES   of products, 1 << HD_PLUGIN_F32 and so on; those that the device has
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/accelerator.h"
#include "device/device_library.h"
#include "host_operations.h"

enum { MOST_ARRAYS = 24, HERE = 0, THERE = 1 };

/* The same on both sides. */
typedef struct array {
    size_t bytes;
    void *at[2];
} array;

static hd_accelerator *accelerator;
static hd_error err;
static array arrays[MOST_ARRAYS];
static size_t n_arrays;
static uint64_t random_state = 1;
static char what[256]; /* the operation and its shape */

/* ---- random shapes and values ---- */

static uint32_t random_word(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
    return (uint32_t)(random_state >> 33);
}

static int below(int n)
{
    return (int)(random_word() % (uint32_t)n);
}

static bool maybe(void)
{
    return below(2) == 1;
}

/* 1 to most, often around a power of two. */
static int size_up_to(int most)
{
    const int power = 1 << below(10), around = power + below(3) - 1;
    const int n = maybe() ? around : 1 + below(most);
    return n < 1 ? 1 : n > most ? 1 + n % most : n;
}

static float value(void)
{
    return (float)((double)random_word() / 2147483648.0 * 2.0 - 1.0);
}

/* ---- arrays on both sides ---- */

static void *make(size_t bytes)
{
    assert_true(n_arrays < MOST_ARRAYS);
    array *a = &arrays[n_arrays++];
    char why[HD_PLUGIN_TEXT_BYTES] = "";
    a->bytes = bytes;
    a->at[HERE] = calloc(1, bytes + 1);
    assert_non_null(a->at[HERE]);
    if (accelerator->plugin->alloc(accelerator->device, bytes, &a->at[THERE], why) != HD_PLUGIN_OK)
        fail_msg("%s", why);
    return a->at[HERE];
}

static float *make_floats(size_t n)
{
    float *values = make(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = value();
    return values;
}

static size_t width_of(hd_plugin_type type)
{
    return type == HD_PLUGIN_F32 ? 4 : type == HD_PLUGIN_I8 || type == HD_PLUGIN_F8 ? 1 : 2;
}

/* Any but I8; fewer bits more often. */
static hd_plugin_type number_type(void)
{
    return below(3) == 0 ? HD_PLUGIN_F32 : maybe() ? HD_PLUGIN_BF16 : HD_PLUGIN_F16;
}

/* Any that products have here, from `first` on. */
static hd_plugin_type product_type(hd_plugin_type first)
{
    hd_plugin_type type;
    do
        type = (hd_plugin_type)((int)first + below(HD_PLUGIN_F8 + 1 - (int)first));
    while ((accelerator->state.types & 1u << type) == 0);
    return type;
}

static void *make_numbers(hd_plugin_type type, size_t n)
{
    void *values = make(n * width_of(type));
    for (size_t i = 0; i < n; i++)
        host_store(type, values, i, value());
    return values;
}

static int32_t *make_indices(size_t n, int most)
{
    int32_t *values = make(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = below(most);
    return values;
}

/* n + 1 of them, from `first` on; the last is first + what all parts come to. Parts may be of nothing. */
static int32_t *make_begins(int n, int first, int least, int most)
{
    int32_t *begin = make(((size_t)n + 1) * sizeof *begin);
    begin[0] = first;
    for (int i = 0; i < n; i++)
        begin[i + 1] = begin[i] + least + below(most - least + 1);
    return begin;
}

/* What stands there for an address here, which may be in the middle of an array; NULL stays. */
static void *there(const void *here)
{
    const char *at = here;
    for (size_t i = 0; i < n_arrays && here != NULL; i++) {
        const char *begin = arrays[i].at[HERE];
        if (at >= begin && at <= begin + arrays[i].bytes)
            return (char *)arrays[i].at[THERE] + (at - begin);
    }
    assert_null(here);
    return NULL;
}

#define MOVE(field) (field) = there(field)

static void wait_for_all(void)
{
    if (hd__device_stream_wait(&accelerator->streams[0], &err) != HD_OK)
        fail_msg("%s: %s", what, err.text);
}

/* Arrays from `first` on, as they are now. */
static void upload_from(size_t first)
{
    for (size_t i = first; i < n_arrays; i++)
        accelerator->plugin->upload(accelerator->streams[0].stream, arrays[i].at[THERE], arrays[i].at[HERE],
                                    arrays[i].bytes);
    wait_for_all();
}

static void forget_all(void)
{
    for (size_t i = 0; i < n_arrays; i++) {
        free(arrays[i].at[HERE]);
        accelerator->plugin->free(accelerator->device, arrays[i].at[THERE]);
    }
    n_arrays = 0;
}

/* Columns [0, n) of rows of what was made at `here`, beside what is there now. A value may be off by `allowed`, and by that
 * share of itself. */
static void check(const char *name, hd_plugin_type type, const void *here, size_t n_rows, size_t n, size_t stride,
                  double allowed)
{
    const size_t width = width_of(type), bytes = n_rows > 0 ? ((n_rows - 1) * stride + n) * width : 0;
    char *got = calloc(1, bytes + 1);
    assert_non_null(got);
    for (size_t i = 0; i < n_rows; i++) /* what is between rows was perhaps never written */
        accelerator->plugin->download(accelerator->streams[0].stream, got + i * stride * width,
                                      (char *)there(here) + i * stride * width, n * width);
    wait_for_all();
    for (size_t i = 0; i < n_rows * n; i++) {
        const size_t at = i / n * stride + i % n;
        const double a = (double)host_load(type, got, at), b = (double)host_load(type, here, at);
        if (a != b && !(fabs(a - b) <= allowed * fmax(1.0, fabs(b))) && !(isnan(a) && isnan(b)))
            fail_msg("%s: %s[%zu, %zu] is %g, not %g", what, name, i / n, i % n, a, b);
    }
    free(got);
}

#define RUN(operation, t) accelerator->plugin->operation(accelerator->streams[0].stream, &(t))
#define SAY(...) snprintf(what, sizeof what, __VA_ARGS__)

/* ---- rows ---- */

static size_t wider(int n)
{
    return (size_t)n + (size_t)(maybe() ? below(5) : (64 - n % 64) % 64);
}

static void try_embed(void)
{
    const int n = size_up_to(600), n_rows = below(20), vocab = size_up_to(30), n_positions = size_up_to(20);
    hd_plugin_embed t = {.type = (hd_plugin_type)below(4), .n = n, .n_rows = n_rows};
    SAY("embed: type %d, %d rows of %d", (int)t.type, n_rows, n);
    t.word_stride = wider(n);
    t.stride = wider(n);
    if (t.type == HD_PLUGIN_I8) {
        int8_t *words = make((size_t)vocab * t.word_stride);
        for (size_t i = 0; i < (size_t)vocab * t.word_stride; i++)
            words[i] = (int8_t)(below(255) - 127);
        t.words = words;
        t.word_scale = make_floats((size_t)vocab);
    } else {
        t.words = make_numbers(t.type, (size_t)vocab * t.word_stride);
    }
    t.position_rows = maybe() ? make_floats((size_t)n_positions * (size_t)n) : NULL;
    t.type_rows = maybe() ? make_floats(2 * (size_t)n) : NULL;
    t.ids = make_indices((size_t)n_rows, vocab);
    t.positions = make_indices((size_t)n_rows, n_positions);
    t.types = maybe() ? make_indices((size_t)n_rows, 2) : NULL;
    t.x = make((size_t)n_rows * t.stride * sizeof(float));
    hd_plugin_embed u = t;
    upload_from(0);
    MOVE(u.words), MOVE(u.word_scale), MOVE(u.position_rows), MOVE(u.type_rows);
    MOVE(u.ids), MOVE(u.positions), MOVE(u.types), MOVE(u.x);
    host_embed(&t);
    RUN(embed, u);
    check("x", HD_PLUGIN_F32, t.x, (size_t)n_rows, (size_t)n, t.stride, 1e-5);
}

static void try_change_rows(void)
{
    const int n = size_up_to(600), n_rows = below(20), n_low = size_up_to(30);
    hd_plugin_change_rows t = {.n = n, .n_rows = n_rows, .rank = size_up_to(20), .stride = wider(n)};
    SAY("change_rows: %d rows of %d, rank %d", n_rows, n, t.rank);
    t.low = make_floats((size_t)n_low * (size_t)t.rank);
    t.lift = make_floats((size_t)t.rank * (size_t)n);
    t.ids = maybe() ? make_indices((size_t)n_rows, n_low) : NULL;
    t.x = make_floats((size_t)n_rows * t.stride);
    hd_plugin_change_rows u = t;
    upload_from(0);
    MOVE(u.low), MOVE(u.lift), MOVE(u.ids), MOVE(u.x);
    host_change_rows(&t);
    RUN(change_rows, u);
    check("x", HD_PLUGIN_F32, t.x, (size_t)n_rows, (size_t)n, t.stride, 1e-5);
}

/* ---- products and what they read ---- */

static hd_plugin_act make_act(hd_plugin_type type, int n_rows, int n)
{
    const size_t padded = ((size_t)n + 63) / 64 * 64;
    hd_plugin_act act = {
        .type = type, .act_max = maybe() ? 255 : 127, .stride = maybe() ? padded : (size_t)n + (size_t)below(4)};
    act.data = make((size_t)n_rows * act.stride * width_of(type));
    act.scale = type == HD_PLUGIN_I8 || type == HD_PLUGIN_F8 ? make((size_t)n_rows * sizeof(float)) : NULL;
    act.offset = type == HD_PLUGIN_I8 ? make((size_t)n_rows * sizeof(float)) : NULL;
    return act;
}

static hd_plugin_act act_there(hd_plugin_act act)
{
    MOVE(act.data), MOVE(act.scale), MOVE(act.offset);
    return act;
}

/* Any codes but NaNs. */
static void fill_f8(hd_plugin_weights *w, int channels)
{
    uint8_t *rows = make((size_t)channels * w->stride);
    for (size_t c = 0; c < (size_t)channels; c++) {
        for (size_t i = 0; i < (size_t)w->k; i++)
            rows[c * w->stride + i] = (uint8_t)(below(127) + 128 * below(2));
    }
    float *scale = make_floats((size_t)channels);
    for (size_t c = 0; c < (size_t)channels; c++)
        scale[c] *= 1.0f / 448.0f;
    w->rows = rows;
    w->scale = scale;
}

static hd_plugin_weights make_weights(hd_plugin_type type, int k, int channels)
{
    hd_plugin_weights w = {.type = type, .k = k, .stride = ((size_t)k + 63) / 64 * 64};
    w.bias = make_floats((size_t)channels);
    if (type == HD_PLUGIN_F8) {
        fill_f8(&w, channels);
        return w;
    }
    if ((type == HD_PLUGIN_BF16 || type == HD_PLUGIN_F16) && maybe()) {
        void *rounded = make((size_t)channels * width_of(type));
        for (size_t c = 0; c < (size_t)channels; c++)
            host_store(type, rounded, c, w.bias[c]);
        w.rounded_bias = rounded;
    }
    if (type != HD_PLUGIN_I8) {
        void *rows = make_numbers(type, (size_t)channels * w.stride);
        for (size_t c = 0; c < (size_t)channels; c++)
            memset((char *)rows + (c * w.stride + (size_t)k) * width_of(type), 0, (w.stride - (size_t)k) * width_of(type));
        w.rows = rows;
        return w;
    }
    int8_t *rows = make((size_t)channels * w.stride);
    float *scale = make((size_t)channels * sizeof *scale), *sum = make((size_t)channels * sizeof *sum);
    for (size_t c = 0; c < (size_t)channels; c++) {
        int whole = 0;
        scale[c] = below(20) == 0 ? 0.0f : 0.01f + 0.01f * fabsf(value());
        for (size_t i = 0; i < (size_t)k; i++)
            whole += rows[c * w.stride + i] = (int8_t)(scale[c] > 0.0f ? below(255) - 127 : 0);
        sum[c] = scale[c] * (float)whole;
    }
    w.rows = rows;
    w.scale = scale;
    w.channel_sum = sum;
    return w;
}

static hd_plugin_weights weights_there(hd_plugin_weights w)
{
    MOVE(w.rows), MOVE(w.bias), MOVE(w.rounded_bias), MOVE(w.scale), MOVE(w.channel_sum);
    return w;
}

/* What a value may be off by, of itself, that is rounded to a type: its last bit, and a little. */
static double rounding_of(hd_plugin_type type)
{
    return type == HD_PLUGIN_BF16 ? 0.01 : type == HD_PLUGIN_F16 ? 0.01 / 8.0 : 0.0;
}

/* Bytes may be off by one where a half is rounded, and 16 bits by one: what a product of k of them may differ by. A product
 * of 16 bits may be rounded once more before its epilogue: by 0.4 of this where the sum is sqrt(k), which is three times
 * what sums of k of these products deviate by. So may its bias, which is below 1. No epilogue makes a difference larger by
 * more than an eighth. E4M3 of the same values is the same. */
static double allowed_of(hd_plugin_type type, int k)
{
    return type == HD_PLUGIN_I8 ? 0.06 : (2e-5 + rounding_of(type)) * sqrt((double)k + 1.0);
}

/* The act is there on both sides: what a product makes of it is the same, or off by as much as `more`. */
static void check_act(const hd_plugin_act *act, int n_rows, int k, double more)
{
    enum { CHANNELS = 5 };
    const size_t before = n_arrays;
    hd_plugin_linear t = {.weights = make_weights(act->type, k, CHANNELS), .in = *act, .n_rows = n_rows, .end = CHANNELS};
    t.out_stride = CHANNELS;
    t.out = make((size_t)n_rows * CHANNELS * sizeof(float));
    upload_from(before);
    hd_plugin_linear u = t;
    u.weights = weights_there(t.weights);
    u.in = act_there(t.in);
    MOVE(u.out);
    host_linear(&t);
    RUN(linear, u);
    check("a product of it", HD_PLUGIN_F32, t.out, (size_t)n_rows, CHANNELS, CHANNELS, allowed_of(act->type, k) + more);
}

static void try_norm(void)
{
    const hd_plugin_type type = product_type(HD_PLUGIN_F32);
    const int order = type == HD_PLUGIN_I8 && maybe() ? 2 << below(8) : 1;
    const int most = order > 1 && (order >= 128 || below(10) == 0) ? 4096 : 1100;
    const int any = order == 256 ? most : order * size_up_to(most / order);
    const int n = order > 1 || maybe() ? any : (any + 3) / 4 * 4, n_rows = below(12);
    hd_plugin_norm t = {.eps = 1e-5f, .rms = maybe(), .keep = maybe(), .n_rows = n_rows, .n = n, .stride = wider(n)};
    SAY("norm: to type %d, %d rows of %d, H of %d, rms %d, keep %d", (int)type, n_rows, n, order, t.rms, t.keep);
    t.gamma = make_floats((size_t)n);
    t.beta = maybe() ? make_floats((size_t)n) : NULL;
    t.x = make_floats((size_t)n_rows * t.stride);
    t.act = make_act(type, n_rows, n);
    t.act.hadamard = order;
    hd_plugin_norm u = t;
    upload_from(0);
    MOVE(u.gamma), MOVE(u.beta), MOVE(u.x);
    u.act = act_there(t.act);
    host_norm(&t);
    RUN(norm, u);
    check("x", HD_PLUGIN_F32, t.x, (size_t)n_rows, (size_t)n, t.stride, 1e-4);
    if (t.keep || type != HD_PLUGIN_F32)
        check_act(&t.act, n_rows, n, type == HD_PLUGIN_F8 ? 0.1 : 0.0); /* one is rounded the other way */
}

/* Also rows of one value, of a NaN, of an infinity. */
static void spoil_rows(float *x, int n_rows, int n, size_t stride)
{
    for (int i = 0; i < n_rows; i++) {
        float *row = x + (size_t)i * stride;
        const int kind = below(8);
        for (int j = 0; j < n && kind == 0; j++)
            row[j] = -0.25f;
        if (kind == 1 || kind == 2)
            row[below(n)] = kind == 1 ? NAN : INFINITY;
    }
}

static void try_convert(void)
{
    const int n = size_up_to(700), n_rows = below(12);
    hd_plugin_convert t = {.n_rows = n_rows, .n = n, .stride = wider(n)};
    const hd_plugin_type type = product_type(HD_PLUGIN_BF16);
    float *x = make_floats((size_t)n_rows * t.stride);
    SAY("convert: to type %d, %d rows of %d", (int)type, n_rows, n);
    spoil_rows(x, type != HD_PLUGIN_BF16 ? n_rows : 0, n, t.stride);
    if (type == HD_PLUGIN_F16 && n_rows > 0)
        x[below(n)] = maybe() ? -65520.0f : 65519.0f; /* past its range, and not */
    t.x = x;
    t.act = make_act(type, n_rows, n);
    hd_plugin_convert u = t;
    upload_from(0);
    MOVE(u.x);
    u.act = act_there(t.act);
    host_convert(&t);
    RUN(convert, u);
    check_act(&t.act, n_rows, n, 0.0);
}

static void try_linear(void)
{
    const hd_plugin_type type = product_type(HD_PLUGIN_F32);
    const int k = size_up_to(200), n_rows = below(4) == 0 ? 0 : size_up_to(150), channels = size_up_to(200);
    hd_plugin_convert c = {.n_rows = n_rows, .n = k, .stride = wider(k)};
    hd_plugin_linear t = {.n_rows = n_rows, .epilogue = (hd_plugin_epilogue)below(8)};
    t.first = below(channels);
    t.end = t.first + below(channels - t.first + 1);
    t.out_type = t.epilogue != HD_PLUGIN_ADD ? number_type() : HD_PLUGIN_F32;
    t.rank = below(3) == 0 ? size_up_to(12) : 0;
    SAY("linear: type %d, %d rows, k %d, channels [%d, %d), rank %d, epilogue %d, to type %d", (int)type, n_rows, k, t.first,
        t.end, t.rank, (int)t.epilogue, (int)t.out_type);
    c.x = make_floats((size_t)n_rows * c.stride);
    c.act = make_act(type, n_rows, k);
    if (type == HD_PLUGIN_F32) {
        for (int i = 0; i < n_rows; i++)
            memcpy((float *)c.act.data + (size_t)i * c.act.stride, c.x + (size_t)i * c.stride, (size_t)k * sizeof(float));
    }
    t.weights = make_weights(type, k, channels);
    t.in = c.act;
    t.low_stride = (size_t)t.rank + (size_t)below(3);
    t.lift_stride = (size_t)channels;
    t.low = t.rank > 0 ? make_floats((size_t)n_rows * t.low_stride) : NULL;
    t.lift = t.rank > 0 ? make_floats((size_t)t.rank * t.lift_stride) : NULL;
    t.out_stride = wider(channels);
    t.out = make_numbers(t.out_type, (size_t)n_rows * t.out_stride);
    hd_plugin_convert d = c;
    hd_plugin_linear u = t;
    upload_from(0);
    MOVE(d.x);
    d.act = act_there(c.act);
    u.weights = weights_there(t.weights);
    u.in = d.act;
    MOVE(u.low), MOVE(u.lift), MOVE(u.out);
    if (type != HD_PLUGIN_F32) {
        host_convert(&c);
        RUN(convert, d);
    }
    host_linear(&t);
    RUN(linear, u);
    const double allowed = allowed_of(type, k) + rounding_of(t.out_type);
    check("out", t.out_type, t.out, (size_t)n_rows, (size_t)channels, t.out_stride, allowed);
}

/* Sums around the end of the range of f16: what is past it is noticed. On their way all are past it. */
static void try_range(void)
{
    enum { K = 64, CHANNELS = 8 };
    static const float sums[CHANNELS] = {65504.0f, 65519.0f, 65520.0f, 1e6f, -65504.0f, -65520.0f, -1e6f, 1.0f};
    static const float factors[K] = {8192.0f, 16.0f, 1.0f, 8192.0f, [K - 1] = -8192.0f};
    static const hd_plugin_epilogue epilogues[] = {HD_PLUGIN_STORE, HD_PLUGIN_MUL, HD_PLUGIN_GELU};
    hd_plugin_linear t = {.in = {.type = HD_PLUGIN_F16, .data = make(sizeof factors / 2), .stride = K},
                          .weights = make_weights(HD_PLUGIN_F16, K, CHANNELS),
                          .n_rows = 1,
                          .end = CHANNELS,
                          .epilogue = epilogues[below(3)],
                          .out_type = HD_PLUGIN_F16,
                          .out = make(CHANNELS * sizeof(uint16_t)),
                          .out_stride = CHANNELS};
    uint16_t *rows = (void *)(uintptr_t)t.weights.rows;
    SAY("range: epilogue %d, rounded bias %d", (int)t.epilogue, t.weights.rounded_bias != NULL);
    for (size_t i = 0; i < K; i++)
        host_store(HD_PLUGIN_F16, t.in.data, i, factors[i]);
    memset(rows, 0, CHANNELS * t.weights.stride * sizeof *rows);
    memset((void *)(uintptr_t)t.weights.bias, 0, CHANNELS * sizeof(float));
    if (t.weights.rounded_bias != NULL)
        memset((void *)(uintptr_t)t.weights.rounded_bias, 0, CHANNELS * sizeof(uint16_t));
    for (size_t c = 0; c < CHANNELS; c++) {
        float left = t.epilogue == HD_PLUGIN_GELU ? fabsf(sums[c]) : sums[c]; /* below 0 it is 0, or a NaN as well */
        for (size_t i = 0; i < 3; i++) {
            const float weight = truncf(left / factors[i]);
            host_store(HD_PLUGIN_F16, rows, c * t.weights.stride + i, weight);
            left -= weight * factors[i];
        }
        host_store(HD_PLUGIN_F16, rows, c * t.weights.stride + 3, 256.0f);
        host_store(HD_PLUGIN_F16, rows, c * t.weights.stride + K - 1, 256.0f);
        host_store(HD_PLUGIN_F16, t.out, c, 1.0f);
    }
    hd_plugin_linear u = t;
    upload_from(0);
    u.weights = weights_there(t.weights);
    u.in = act_there(t.in);
    MOVE(u.out);
    host_linear(&t);
    RUN(linear, u);
    check("out", HD_PLUGIN_F16, t.out, 1, CHANNELS, CHANNELS, 0.0);
}

/* ---- attention ---- */

static void try_rotate(void)
{
    hd_plugin_rotate t = {.type = number_type(), .n_rows = below(12), .n_heads = size_up_to(9)};
    const int half = size_up_to(100), n_positions = size_up_to(40);
    t.head_dim = 2 * half;
    t.eps = 1e-6f;
    t.stride = wider(t.n_heads * t.head_dim);
    SAY("rotate: type %d, %d rows, %d heads of %d", (int)t.type, t.n_rows, t.n_heads, t.head_dim);
    t.x = make_numbers(t.type, (size_t)t.n_rows * t.stride);
    t.cos = make_floats((size_t)n_positions * (size_t)half);
    t.sin = make_floats((size_t)n_positions * (size_t)half);
    t.positions = make_indices((size_t)t.n_rows, n_positions);
    t.gamma = maybe() ? make_floats((size_t)t.head_dim) : NULL;
    hd_plugin_rotate u = t;
    upload_from(0);
    MOVE(u.x), MOVE(u.cos), MOVE(u.sin), MOVE(u.positions), MOVE(u.gamma);
    host_rotate(&t);
    RUN(rotate, u);
    check("x", t.type, t.x, (size_t)t.n_rows, (size_t)(t.n_heads * t.head_dim), t.stride, 1e-4 + 2.0 * rounding_of(t.type));
}

static void fill_attention(hd_plugin_attention *t, int32_t *q_begin, int32_t *kv_begin)
{
    const int width = t->n_heads * t->head_dim, kv_width = t->n_kv_heads * t->head_dim;
    int32_t *seen = maybe() ? make((size_t)t->n_sequences * sizeof *seen) : NULL;
    for (int i = 0; seen != NULL && i < t->n_sequences; i++)
        seen[i] = 1 + below(kv_begin[i + 1] - kv_begin[i]);
    t->n_seen = seen;
    t->q_begin = q_begin;
    t->kv_begin = kv_begin;
    t->q_first = maybe() ? make_indices((size_t)t->n_sequences, 40) : NULL;
    t->n_q = q_begin[t->n_sequences] - q_begin[0];
    const bool is_aligned = below(4) > 0; /* to 16 bytes: tensor cores want it */
    t->q_stride = is_aligned ? (size_t)(width + 7) / 8 * 8 : wider(width);
    t->kv_stride = is_aligned ? (size_t)(kv_width + 15) / 8 * 8 : wider(kv_width);
    t->q = make_numbers(t->type, (size_t)q_begin[t->n_sequences] * t->q_stride);
    t->k = make_numbers(t->type, (size_t)kv_begin[t->n_sequences] * t->kv_stride);
    t->v = make_numbers(t->type, (size_t)kv_begin[t->n_sequences] * t->kv_stride);
    t->out_stride = wider(width);
    t->out_type = maybe() ? t->type : HD_PLUGIN_F32;
    t->out = make((size_t)q_begin[t->n_sequences] * t->out_stride * sizeof(float));
}

/* What a product left that was past its range: a NaN for all that see it. Weights of 0 times a value are one, too, or none:
 * values are left alone. */
static void put_infinity(const hd_plugin_attention *t, int n_rows)
{
    const bool is_query = maybe();
    const size_t rows = (size_t)(is_query ? t->n_q : n_rows), stride = is_query ? t->q_stride : t->kv_stride;
    const int width = (is_query ? t->n_heads : t->n_kv_heads) * t->head_dim;
    uint16_t *to = (void *)(uintptr_t)(is_query ? t->q : t->k);
    if (rows > 0)
        to[(size_t)below((int)rows) * stride + (size_t)below(width)] = maybe() ? 0x7c00 : 0xfc00;
}

static void attend(hd_plugin_type type, bool has_infinity)
{
    static const int dims[] = {32, 64, 128, 16, 2, 80, 256};
    enum { REACH = 200 }; /* of biases: more than any distance here */
    hd_plugin_attention t = {.type = type,
                             .n_sequences = below(5),
                             .n_kv_heads = 1 + below(3),
                             .head_dim = dims[below(has_infinity || maybe() ? 3 : 7)],
                             .scale = 0.2f,
                             .reach_back = maybe() ? INT32_MAX : below(50),
                             .reach_ahead = maybe() ? INT32_MAX : below(3) * below(20)};
    t.n_heads = t.n_kv_heads * (1 + below(3));
    int32_t *q_begin = make_begins(t.n_sequences, 0, 0, 70), *kv_begin = make_begins(t.n_sequences, 0, 1, 110);
    SAY("attention: type %d, %d sequences, %d heads (%d) of %d, reach %d and %d", (int)t.type, t.n_sequences, t.n_heads,
        t.n_kv_heads, t.head_dim, t.reach_back, t.reach_ahead);
    fill_attention(&t, q_begin, kv_begin);
    if (has_infinity)
        put_infinity(&t, kv_begin[t.n_sequences]);
    t.bias_stride = 2 * REACH + 1;
    t.bias = maybe() ? make_floats((size_t)t.n_heads * t.bias_stride) + REACH : NULL;
    hd_plugin_attention u = t;
    upload_from(0);
    MOVE(u.q), MOVE(u.k), MOVE(u.v), MOVE(u.q_begin), MOVE(u.kv_begin), MOVE(u.q_first), MOVE(u.n_seen), MOVE(u.bias);
    MOVE(u.out);
    host_attention(&t);
    RUN(attention, u);
    check("out", t.out_type, t.out, (size_t)t.n_q, (size_t)(t.n_heads * t.head_dim), t.out_stride,
          1e-5 + rounding_of(t.type) + rounding_of(t.out_type));
}

static void try_attention(void)
{
    attend(number_type(), false);
}

static void try_infinity(void)
{
    attend(HD_PLUGIN_F16, true);
}

/* ---- heads ---- */

static void try_pick(void)
{
    const int n_sequences = below(9), n = size_up_to(300);
    hd_plugin_pick t = {.n_sequences = n_sequences, .stride = wider(n)};
    const hd_plugin_type type = product_type(HD_PLUGIN_F32);
    int32_t *begin = make_begins(n_sequences, 0, 1, 9), *skip = maybe() ? make((size_t)n_sequences * sizeof *skip) : NULL;
    const int n_rows = begin[n_sequences];
    const bool with_in = maybe();
    hd_plugin_convert c = {.n_rows = n_rows, .n = n, .stride = t.stride}, d;
    SAY("pick: %d sequences, rows of %d, type %d", n_sequences, n, (int)type);
    for (int i = 0; skip != NULL && i < n_sequences; i++)
        skip[i] = below(begin[i + 1] - begin[i]);
    t.begin = begin;
    t.skip = skip;
    t.positions = make_indices((size_t)n_rows, 100);
    c.x = t.x = make_floats((size_t)n_rows * t.stride);
    t.picked_x = make((size_t)n_sequences * t.stride * sizeof(float));
    t.picked_begin = make(((size_t)n_sequences + 1) * sizeof(int32_t));
    t.picked_positions = make((size_t)n_sequences * sizeof(int32_t));
    if (with_in) {
        c.act = t.in = make_act(type, n_rows, n);
        t.picked_in = make_act(type, n_sequences, n);
        if (t.picked_in.stride != t.in.stride)
            t.picked_in.data = make((size_t)n_sequences * t.in.stride * sizeof(float));
        t.picked_in.stride = t.in.stride;
        t.picked_in.act_max = t.in.act_max;
    }
    hd_plugin_pick u = t;
    upload_from(0);
    d = c;
    MOVE(u.begin), MOVE(u.skip), MOVE(u.positions), MOVE(u.x), MOVE(u.picked_x), MOVE(u.picked_begin);
    MOVE(u.picked_positions), MOVE(d.x);
    d.act = u.in = act_there(t.in);
    u.picked_in = act_there(t.picked_in);
    if (with_in && type != HD_PLUGIN_F32) {
        host_convert(&c);
        RUN(convert, d);
    }
    host_pick(&t);
    RUN(pick, u);
    check("picked_x", HD_PLUGIN_F32, t.picked_x, (size_t)n_sequences, t.stride, t.stride, 0.0);
    check("picked_begin", HD_PLUGIN_F32, t.picked_begin, 1, (size_t)n_sequences + 1, 1, 0.0);
    check("picked_positions", HD_PLUGIN_F32, t.picked_positions, 1, (size_t)n_sequences, 1, 0.0);
    if (with_in)
        check_act(&t.picked_in, n_sequences, n, 0.0);
}

static void try_copy(void)
{
    hd_plugin_copy t = {.n = size_up_to(600), .n_rows = below(12), .add = maybe()};
    t.from_stride = wider(t.n);
    t.to_stride = wider(t.n);
    SAY("copy: %d rows of %d", t.n_rows, t.n);
    t.from = make_floats((size_t)t.n_rows * t.from_stride);
    t.to = make_floats((size_t)t.n_rows * t.to_stride);
    hd_plugin_copy u = t;
    upload_from(0);
    MOVE(u.from), MOVE(u.to);
    host_copy(&t);
    RUN(copy, u);
    check("to", HD_PLUGIN_F32, t.to, (size_t)t.n_rows, (size_t)t.n, t.to_stride, 0.0);
}

static void try_pool(void)
{
    hd_plugin_pool t = {.kind = (hd_plugin_pool_kind)below(6), .n = size_up_to(300), .n_rows = below(9)};
    const int32_t *begin = make_begins(t.n_rows, 0, 1, 40);
    int32_t *end = make((size_t)t.n_rows * sizeof *end), *skip = maybe() ? make((size_t)t.n_rows * sizeof *skip) : NULL;
    SAY("pool: kind %d, %d rows of %d", (int)t.kind, t.n_rows, t.n);
    for (int i = 0; i < t.n_rows; i++) {
        const int there_are = begin[i + 1] - begin[i], taken = 1 + below(there_are);
        end[i] = begin[i] + taken;
        if (skip != NULL)
            skip[i] = below(taken);
    }
    t.stride = wider(t.n);
    t.out_stride = wider(t.n);
    float *x = make_floats((size_t)begin[t.n_rows] * t.stride);
    if (t.kind == HD_PLUGIN_POOL_MAX)
        spoil_rows(x, begin[t.n_rows], t.n, t.stride);
    t.x = x;
    t.begin = begin;
    t.end = end;
    t.skip = skip;
    t.out = make((size_t)t.n_rows * t.out_stride * sizeof(float));
    hd_plugin_pool u = t;
    upload_from(0);
    MOVE(u.x), MOVE(u.begin), MOVE(u.end), MOVE(u.skip), MOVE(u.out);
    host_pool(&t);
    RUN(pool, u);
    check("out", HD_PLUGIN_F32, t.out, (size_t)t.n_rows, (size_t)t.n, t.out_stride, 1e-5);
}

static void try_unit(void)
{
    hd_plugin_unit t = {.n = size_up_to(700), .n_rows = below(12)};
    t.from_stride = wider(t.n);
    t.to_stride = wider(t.n);
    SAY("unit: %d rows of %d", t.n_rows, t.n);
    float *from = make_floats((size_t)t.n_rows * t.from_stride);
    if (t.n_rows > 0)
        memset(from, 0, (size_t)t.n * sizeof *from);
    t.from = from;
    t.to = make((size_t)t.n_rows * t.to_stride * sizeof(float));
    hd_plugin_unit u = t;
    upload_from(0);
    MOVE(u.from), MOVE(u.to);
    host_unit(&t);
    RUN(unit, u);
    check("to", HD_PLUGIN_F32, t.to, (size_t)t.n_rows, (size_t)t.n, t.to_stride, 1e-5);
}

/* Tokens come in parts, as many at a time as fit. */
static void try_vocab_pool(void)
{
    const int n_sequences = below(6), vocab = size_up_to(600);
    const int32_t *begin = make_begins(n_sequences, 0, 1, 12);
    hd_plugin_vocab_pool t = {.n_sequences = n_sequences, .vocab = vocab, .sums = maybe(), .log_twice = maybe()};
    SAY("vocab_pool: %d sequences, %d ids, sums %d", n_sequences, vocab, t.sums);
    t.stride = wider(vocab);
    const int n_tokens = begin[n_sequences];
    float *logits = make_floats((size_t)n_tokens * t.stride);
    t.begin = begin;
    t.weights = make((size_t)n_sequences * (size_t)vocab * sizeof(float));
    upload_from(0);
    for (int first = 0, n; first < n_tokens; first += n) {
        n = 1 + below(n_tokens - first);
        t.first = first;
        t.n_rows = n;
        t.logits = logits + (size_t)first * t.stride;
        hd_plugin_vocab_pool u = t;
        MOVE(u.logits), MOVE(u.begin), MOVE(u.weights);
        host_collect(&t);
        RUN(collect, u);
    }
    hd_plugin_vocab_pool u = t;
    MOVE(u.begin), MOVE(u.weights);
    host_weigh(&t);
    RUN(weigh, u);
    check("weights", HD_PLUGIN_F32, t.weights, (size_t)n_sequences, (size_t)vocab, (size_t)vocab, 1e-5);
}

/* ---- all of them ---- */

static void test_operation(void **state)
{
    void (*try)(void);
    const char *rounds = getenv("OPERATIONS_ROUNDS"), *seed = getenv("OPERATIONS_SEED");
    memcpy(&try, state, sizeof try); /* ISO C has no cast from data to function */
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    for (int i = rounds != NULL ? atoi(rounds) : 60; i > 0; i--) {
        try();
        wait_for_all();
        forget_all();
    }
}

/* A device that was closed and opened again, as after a failure, does what it did: what it stands on has forgotten the one
 * before. */
static void test_renewed(void **state)
{
    (void)state;
    const uint32_t types = accelerator->state.types;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hd__accelerator_renew(accelerator, &err), HD_OK);
        accelerator->state.types = types;
        for (int k = 0; k < 5; k++) {
            try_linear();
            wait_for_all();
            forget_all();
            try_attention();
            wait_for_all();
            forget_all();
        }
    }
}

static int set_up(void **state)
{
    const hd_plugin *plugin;
    (void)state;
    if (hd__device_library_open("cuda", &plugin, &err) != HD_OK ||
        hd__accelerator_open(plugin, 0, 0.8, 0, &accelerator, &err) != HD_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    const char *types = getenv("OPERATIONS_TYPES"); /* F32 and another that the device has are among them */
    accelerator->state.types &= types != NULL ? (uint32_t)strtoul(types, NULL, 10) : UINT32_MAX;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hd__accelerator_close(accelerator);
    return 0;
}

#define OPERATION(noun)                                                                                                     \
    {                                                                                                                       \
        .name = #noun, .test_func = test_operation, .initial_state = (void *)(uintptr_t)(try_##noun)                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPERATION(embed),   OPERATION(change_rows), OPERATION(norm),
        OPERATION(convert), OPERATION(linear),      OPERATION(range),
        OPERATION(rotate),  OPERATION(attention),   OPERATION(infinity),
        OPERATION(pick),    OPERATION(copy),        OPERATION(pool),
        OPERATION(unit),    OPERATION(vocab_pool),  cmocka_unit_test(test_renewed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
