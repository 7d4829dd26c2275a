/* rows.cu - operations on rows: embed, change_rows, norm, convert, rotate, copy, unit. A block has a row (rotate: a warp has
 * a head of a row) and its threads take values next to each other, so that reads and writes are whole. What each computes
 * is said in heddle/plugin.h. Sums are in f32, over 256 partial sums.
 *
 * norm has two kernels: where a row is up to 1,024 values in whole words of 16 bytes, and not to be multiplied by H, a warp
 * has it, reads it once, and waits for no other.
 */
#include "lanes.h"

extern "C" __global__ void k_embed(const hd_plugin_embed t)
{
    const size_t i = blockIdx.x, id = (size_t)t.ids[i], n = (size_t)t.n;
    const float *position = t.position_rows != NULL ? t.position_rows + (size_t)t.positions[i] * n : NULL;
    const float *type = t.type_rows != NULL ? t.type_rows + (t.types != NULL ? (size_t)t.types[i] : 0) * n : NULL;
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS) {
        const size_t at = id * t.word_stride + (size_t)j;
        float x = t.type == HD_PLUGIN_I8 ? t.word_scale[id] * (float)((const int8_t *)t.words)[at]
                                         : load_number(t.type, t.words, at);
        x += position != NULL ? position[j] : 0.0f;
        x += type != NULL ? type[j] : 0.0f;
        t.x[i * t.stride + (size_t)j] = x;
    }
}

extern "C" __global__ void k_change_rows(const hd_plugin_change_rows t)
{
    const size_t i = blockIdx.x;
    const float *low = t.low + (t.ids != NULL ? (size_t)t.ids[i] : 0) * (size_t)t.rank;
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS) {
        float sum = 0.0f;
        for (int32_t r = 0; r < t.rank; r++)
            sum += low[r] * t.lift[(size_t)r * (size_t)t.n + (size_t)j];
        t.x[i * t.stride + (size_t)j] += sum;
    }
}

/* ---- to fewer bits ---- */

template <typename Value> __device__ void convert_row_to_f8(const hd_plugin_act &act, size_t i, int32_t n, Value value)
{
    float most = 0.0f;
    bool finite = true;
    for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS) {
        const float size = fabsf(value(j));
        finite = finite && size < INFINITY; /* false for a NaN */
        most = fmaxf(most, size);
    }
    most = over_block<Most>(most);
    finite = __syncthreads_and(finite) != 0;
    const float scale = f8_scale(most, finite);
    if (threadIdx.x == 0)
        act.scale[i] = scale;
    for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS)
        ((uint8_t *)act.data)[i * act.stride + (size_t)j] = f8_of_f32(value(j) / scale);
}

template <typename Value> __device__ void convert_row_to_i8(const hd_plugin_act &act, size_t i, int32_t n, Value value)
{
    float least = INFINITY, most = -INFINITY, scale, offset;
    bool finite = true;
    for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS) {
        const float x = value(j);
        finite = finite && fabsf(x) < INFINITY; /* false for a NaN */
        least = fminf(least, x);
        most = fmaxf(most, x);
    }
    least = over_block<Least>(least);
    most = over_block<Most>(most);
    finite = __syncthreads_and(finite) != 0;
    byte_range(least, most, finite, act.act_max, &scale, &offset);
    if (threadIdx.x == 0) {
        act.scale[i] = scale;
        act.offset[i] = offset;
    }
    for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS)
        ((int8_t *)act.data)[i * act.stride + (size_t)j] = byte_of_f32(value(j), scale, offset, act.act_max);
}

/* Row i of an act from what value(j) gives, which is asked up to twice for each j, by one and the same thread. */
template <typename Value> __device__ void convert_row(const hd_plugin_act &act, size_t i, int32_t n, Value value)
{
    if (act.type == HD_PLUGIN_I8) {
        convert_row_to_i8(act, i, n, value);
    } else if (act.type == HD_PLUGIN_F8) {
        convert_row_to_f8(act, i, n, value);
    } else {
        for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS)
            store_number(act.type, act.data, i * act.stride + (size_t)j, value(j));
    }
}

/* The same to I8, multiplied by H: stage by stage, as on the CPU. */
template <typename Value> __device__ void convert_row_by_h(const hd_plugin_act &act, size_t i, int32_t n, Value value)
{
    __shared__ float row[MOST_HADAMARD];
    for (int32_t j = (int32_t)threadIdx.x; j < n; j += ROW_THREADS)
        row[j] = value(j);
    for (int32_t half = n / 2; half >= n / act.hadamard; half /= 2) {
        __syncthreads();
        for (int32_t pair = (int32_t)threadIdx.x; pair < n / 2; pair += ROW_THREADS) {
            const int32_t j = pair / half * 2 * half + pair % half;
            const float a = row[j], b = row[j + half];
            row[j] = a + b;
            row[j + half] = a - b;
        }
    }
    __syncthreads();
    convert_row_to_i8(act, i, n, [](int32_t j) { return row[j]; });
}

extern "C" __global__ void k_convert(const hd_plugin_convert t)
{
    const float *x = t.x + (size_t)blockIdx.x * t.stride;
    convert_row(t.act, blockIdx.x, t.n, [=](int32_t j) { return x[j]; });
}

/* y is computed anew wherever it is needed, and takes x's place at the end: no thread reads another's values. */
extern "C" __global__ void k_norm(const hd_plugin_norm t)
{
    float *x = t.x + (size_t)blockIdx.x * t.stride;
    float mean = 0.0f, squares = 0.0f;
    if (!t.rms) {
        for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
            mean += x[j];
        mean = over_block<Sum>(mean) / (float)t.n;
    }
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
        squares += (x[j] - mean) * (x[j] - mean);
    const float scale = 1.0f / sqrtf(over_block<Sum>(squares) / (float)t.n + t.eps);
    const auto y = [=](int32_t j) { return (x[j] - mean) * scale * t.gamma[j] + (t.beta != NULL ? t.beta[j] : 0.0f); };
    if (t.act.hadamard > 1)
        convert_row_by_h(t.act, blockIdx.x, t.n, y);
    else if (t.keep || t.act.type != HD_PLUGIN_F32)
        convert_row(t.act, blockIdx.x, t.n, y);
    if (t.keep)
        return;
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
        x[j] = y(j);
}

/* ---- norms of rows that a warp keeps ---- */

enum { EACH_WORD = 4, WORDS = MOST_NORM_OF_WARP / EACH_WORD / LANES };

/* Values as they are read and written at once. */
template <typename T> struct alignas(EACH_WORD * sizeof(T)) word_of {
    T values[EACH_WORD];
};

/* A lane's words of a row: number i * LANES + lane of n_words. */
typedef word_of<float> row_part[WORDS];

template <typename Value> static __device__ __forceinline__ void for_each(row_part part, int32_t n_words, Value value)
{
#pragma unroll
    for (int32_t i = 0; i < WORDS; i++) {
        if (i * LANES + (int32_t)(threadIdx.x % LANES) >= n_words)
            continue; /* no lane waits within */
#pragma unroll
        for (int32_t j = 0; j < EACH_WORD; j++)
            value(&part[i].values[j]);
    }
}

/* Zeros where there is nothing. */
static __device__ __forceinline__ void load_part(row_part part, const float *row, int32_t n_words)
{
#pragma unroll
    for (int32_t i = 0; i < WORDS; i++) {
        const int32_t word = i * LANES + (int32_t)(threadIdx.x % LANES);
        part[i] = row != NULL && word < n_words ? ((const word_of<float> *)row)[word] : word_of<float>{};
    }
}

template <typename T, typename Narrow>
static __device__ __forceinline__ void store_part(T *row, const row_part part, int32_t n_words, Narrow narrow)
{
#pragma unroll
    for (int32_t i = 0; i < WORDS; i++) {
        const int32_t word = i * LANES + (int32_t)(threadIdx.x % LANES);
        word_of<T> narrowed;
#pragma unroll
        for (int32_t j = 0; j < EACH_WORD; j++)
            narrowed.values[j] = narrow(part[i].values[j]);
        if (word < n_words)
            ((word_of<T> *)row)[word] = narrowed;
    }
}

static __device__ void store_act_of_8_bits(const hd_plugin_act &act, size_t row, row_part part, int32_t n_words)
{
    const bool is_f8 = act.type == HD_PLUGIN_F8;
    float least = INFINITY, most = -INFINITY, finite = 1.0f, scale, offset = 0.0f;
    for_each(part, n_words, [&](float *x) {
        finite = fabsf(*x) < INFINITY ? finite : 0.0f; /* 0 for a NaN */
        least = fminf(least, *x);
        most = fmaxf(most, is_f8 ? fabsf(*x) : *x);
    });
    least = over_warp<Least>(least);
    most = over_warp<Most>(most);
    finite = over_warp<Least>(finite);
    if (is_f8)
        scale = f8_scale(most, finite > 0.0f);
    else
        byte_range(least, most, finite > 0.0f, act.act_max, &scale, &offset);
    if (threadIdx.x % LANES == 0) {
        act.scale[row] = scale;
        if (!is_f8)
            act.offset[row] = offset;
    }
    uint8_t *to = (uint8_t *)act.data + row * act.stride;
    if (is_f8)
        store_part(to, part, n_words, [=](float x) { return f8_of_f32(x / scale); });
    else
        store_part(to, part, n_words, [=](float x) { return (uint8_t)byte_of_f32(x, scale, offset, act.act_max); });
}

static __device__ void store_act(const hd_plugin_act &act, size_t row, row_part part, int32_t n_words)
{
    const size_t at = row * act.stride;
    if (act.type == HD_PLUGIN_F16)
        store_part((uint16_t *)act.data + at, part, n_words, [](float x) { return f16_of_f32(x); });
    else if (act.type == HD_PLUGIN_BF16)
        store_part((uint16_t *)act.data + at, part, n_words, [](float x) { return bf16_of_f32(x); });
    else if (act.type == HD_PLUGIN_F32)
        store_part((float *)act.data + at, part, n_words, [](float x) { return x; });
    else
        store_act_of_8_bits(act, row, part, n_words);
}

extern "C" __global__ void __launch_bounds__(NORM_WARPS *LANES) k_norm_of_warp(const hd_plugin_norm t)
{
    const size_t row = (size_t)blockIdx.x * NORM_WARPS + threadIdx.x / LANES;
    const int32_t n_words = t.n / EACH_WORD;
    if (row >= (size_t)t.n_rows)
        return; /* the whole warp */
    float *x = t.x + row * t.stride, mean = 0.0f, squares = 0.0f;
    row_part part, gamma, beta;
    load_part(part, x, n_words);
    load_part(gamma, t.gamma, n_words);
    load_part(beta, t.beta, n_words);
    if (!t.rms) {
        for_each(part, n_words, [&](const float *value) { mean += *value; });
        mean = over_warp<Sum>(mean) / (float)t.n;
    }
    for_each(part, n_words, [&](const float *value) { squares += (*value - mean) * (*value - mean); });
    const float scale = 1.0f / sqrtf(over_warp<Sum>(squares) / (float)t.n + t.eps);
#pragma unroll
    for (int32_t i = 0; i < WORDS; i++) {
#pragma unroll
        for (int32_t j = 0; j < EACH_WORD; j++)
            part[i].values[j] = (part[i].values[j] - mean) * scale * gamma[i].values[j] + beta[i].values[j];
    }
    if (t.keep || t.act.type != HD_PLUGIN_F32)
        store_act(t.act, row, part, n_words);
    if (!t.keep)
        store_part(x, part, n_words, [](float value) { return value; });
}

/* ---- the others ---- */

extern "C" __global__ void k_rotate(const hd_plugin_rotate t)
{
    const size_t index = (size_t)blockIdx.x * ROTATE_WARPS + threadIdx.x / LANES, row = index / (size_t)t.n_heads;
    const int32_t lane = (int32_t)(threadIdx.x % LANES), half = t.head_dim / 2;
    if (row >= (size_t)t.n_rows)
        return; /* the whole warp */
    const size_t at = row * t.stride + index % (size_t)t.n_heads * (size_t)t.head_dim;
    const float *cosines = t.cos + (size_t)t.positions[row] * (size_t)half;
    const float *sines = t.sin + (size_t)t.positions[row] * (size_t)half;
    float scale = 1.0f;
    if (t.gamma != NULL) {
        float squares = 0.0f;
        for (int32_t j = lane; j < t.head_dim; j += LANES) {
            const float x = load_number(t.type, t.x, at + (size_t)j);
            squares += x * x;
        }
        scale = 1.0f / sqrtf(over_warp<Sum>(squares) / (float)t.head_dim + t.eps);
        __syncwarp(); /* lanes have read what others write below */
    }
    for (int32_t j = lane; j < half; j += LANES) {
        float a = load_number(t.type, t.x, at + (size_t)j), b = load_number(t.type, t.x, at + (size_t)(j + half));
        if (t.gamma != NULL) {
            a *= scale * t.gamma[j];
            b *= scale * t.gamma[j + half];
        }
        store_number(t.type, t.x, at + (size_t)j, a * cosines[j] - b * sines[j]);
        store_number(t.type, t.x, at + (size_t)(j + half), b * cosines[j] + a * sines[j]);
    }
}

extern "C" __global__ void k_copy(const hd_plugin_copy t)
{
    const float *from = t.from + (size_t)blockIdx.x * t.from_stride;
    float *to = t.to + (size_t)blockIdx.x * t.to_stride;
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
        to[j] = t.add ? to[j] + from[j] : from[j];
}

extern "C" __global__ void k_unit(const hd_plugin_unit t)
{
    const float *from = t.from + (size_t)blockIdx.x * t.from_stride;
    float *to = t.to + (size_t)blockIdx.x * t.to_stride, squares = 0.0f;
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
        squares += from[j] * from[j];
    const float length = fmaxf(sqrtf(over_block<Sum>(squares)), 1e-12f);
    for (int32_t j = (int32_t)threadIdx.x; j < t.n; j += ROW_THREADS)
        to[j] = from[j] / length;
}
