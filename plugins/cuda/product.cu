/* product.cu - products that cuBLASLt does not take, in 64 x 64 tiles of f32 or int32 sums, and the epilogue of all
 * products: bias, low-rank change, activation, and the rounding to what is stored. A block of 16 x 16 threads brings 16
 * inputs of 64 rows and 64 channels to shared memory, and each thread sums 4 x 4 of the products. Tensor cores are
 * cuBLASLt's business. A thread of the epilogue has 8 values of a row, which it reads and writes 16 bytes at a time where
 * their addresses are multiples of that.
 */
#include "kernels.h"
#include "numbers.h"

enum { DEPTH = 16, SIDE = PRODUCT_SIDE, EACH_SIDE = PRODUCT_TILE / SIDE, EACH = EPILOGUE_EACH };

struct bf16 {
    uint16_t bits;
};

struct f16 {
    uint16_t bits;
};

struct f8 {
    uint8_t bits;
};

static __device__ float wide(float x)
{
    return x;
}

static __device__ float wide(bf16 x)
{
    return f32_of_bf16(x.bits);
}

static __device__ float wide(f16 x)
{
    return f32_of_f16(x.bits);
}

static __device__ float wide(f8 x)
{
    return f32_of_f8(x.bits);
}

static __device__ int32_t wide(int8_t x)
{
    return x;
}

/* Inputs [first_k, first_k + DEPTH) of PRODUCT_TILE rows from `first` on; zeros where there are none. */
template <typename T, typename S>
static __device__ void bring(S to[DEPTH][PRODUCT_TILE + 1], const T *from, size_t stride, int32_t first, int32_t n,
                             int32_t first_k, int32_t k)
{
    for (int32_t e = (int32_t)(threadIdx.y * SIDE + threadIdx.x); e < PRODUCT_TILE * DEPTH; e += SIDE * SIDE) {
        const int32_t row = e / DEPTH, i = e % DEPTH;
        const bool is_there = first + row < n && first_k + i < k;
        to[i][row] = is_there ? wide(from[(size_t)(first + row) * stride + (size_t)(first_k + i)]) : S(0);
    }
}

static __device__ void store_sum(const product_part &p, size_t at, float sum)
{
    store_number(p.sums_type, p.sums, at, sum);
}

static __device__ void store_sum(const product_part &p, size_t at, int32_t sum)
{
    ((int32_t *)p.sums)[at] = sum;
}

template <typename T, typename S> static __device__ void multiply(const product_part &p)
{
    __shared__ S rows[DEPTH][PRODUCT_TILE + 1], channels[DEPTH][PRODUCT_TILE + 1];
    const hd_plugin_linear &t = p.linear;
    const T *a = (const T *)t.in.data + (size_t)p.first_row * t.in.stride;
    const T *w = (const T *)t.weights.rows + (size_t)t.first * t.weights.stride;
    const int32_t n_channels = t.end - t.first, k = t.weights.k;
    const int32_t first_row = (int32_t)blockIdx.x * PRODUCT_TILE, first_channel = (int32_t)blockIdx.y * PRODUCT_TILE;
    S sums[EACH_SIDE][EACH_SIDE] = {};
    for (int32_t first_k = 0; first_k < k; first_k += DEPTH) {
        bring(rows, a, t.in.stride, first_row, p.n_rows, first_k, k);
        bring(channels, w, t.weights.stride, first_channel, n_channels, first_k, k);
        __syncthreads();
        for (int32_t i = 0; i < DEPTH; i++) {
            for (int32_t r = 0; r < EACH_SIDE; r++) {
                for (int32_t c = 0; c < EACH_SIDE; c++)
                    sums[r][c] += rows[i][threadIdx.y + r * SIDE] * channels[i][threadIdx.x + c * SIDE];
            }
        }
        __syncthreads();
    }
    for (int32_t r = 0; r < EACH_SIDE; r++) {
        for (int32_t c = 0; c < EACH_SIDE; c++) {
            const int32_t row = first_row + (int32_t)threadIdx.y + r * SIDE;
            const int32_t channel = first_channel + (int32_t)threadIdx.x + c * SIDE;
            if (row < p.n_rows && channel < n_channels)
                store_sum(p, (size_t)row * p.sums_stride + (size_t)channel, sums[r][c]);
        }
    }
}

extern "C" __global__ void k_product_f32(const product_part p)
{
    multiply<float, float>(p);
}

extern "C" __global__ void k_product_bf16(const product_part p)
{
    multiply<bf16, float>(p);
}

extern "C" __global__ void k_product_i8(const product_part p)
{
    multiply<int8_t, int32_t>(p);
}

extern "C" __global__ void k_product_f16(const product_part p)
{
    multiply<f16, float>(p);
}

extern "C" __global__ void k_product_f8(const product_part p)
{
    multiply<f8, float>(p);
}

/* ---- after products ---- */

static __device__ size_t width_of(hd_plugin_type type)
{
    return type == HD_PLUGIN_BF16 || type == HD_PLUGIN_F16 ? 2 : 4; /* I8: of sums */
}

static __device__ bool is_whole(const void *address, int32_t n)
{
    return n == EACH && (uintptr_t)address % sizeof(uint4) == 0;
}

/* Values [at, at + n) of an array, a word for each. */
static __device__ void load_words(hd_plugin_type type, const void *values, size_t at, int32_t n, uint32_t words[EACH])
{
    const void *from = (const char *)values + at * width_of(type);
    if (!is_whole(from, n)) {
#pragma unroll
        for (int32_t i = 0; i < EACH; i++)
            words[i] = i >= n ? 0 : width_of(type) == 4 ? ((const uint32_t *)from)[i] : ((const uint16_t *)from)[i];
        return;
    }
    const uint4 first = ((const uint4 *)from)[0];
    const uint32_t halves[EACH / 2] = {first.x, first.y, first.z, first.w};
    if (width_of(type) == 2) {
#pragma unroll
        for (int32_t i = 0; i < EACH; i++)
            words[i] = i % 2 == 0 ? halves[i / 2] & 0xffff : halves[i / 2] >> 16;
        return;
    }
    const uint4 second = ((const uint4 *)from)[1];
    const uint32_t rest[EACH / 2] = {second.x, second.y, second.z, second.w};
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        words[i] = i < EACH / 2 ? halves[i] : rest[i - EACH / 2];
}

static __device__ void store_words(hd_plugin_type type, void *values, size_t at, int32_t n, const uint32_t words[EACH])
{
    void *to = (char *)values + at * width_of(type);
    if (!is_whole(to, n)) {
#pragma unroll
        for (int32_t i = 0; i < EACH; i++) {
            if (i < n && width_of(type) == 4)
                ((uint32_t *)to)[i] = words[i];
            else if (i < n)
                ((uint16_t *)to)[i] = (uint16_t)words[i];
        }
    } else if (width_of(type) == 2) {
        *(uint4 *)to = {words[0] | words[1] << 16, words[2] | words[3] << 16, words[4] | words[5] << 16,
                        words[6] | words[7] << 16};
    } else {
        ((uint4 *)to)[0] = {words[0], words[1], words[2], words[3]};
        ((uint4 *)to)[1] = {words[4], words[5], words[6], words[7]};
    }
}

/* What is the same for all values is asked once: types, and below, epilogues. */
template <hd_plugin_type TYPE> static __device__ void to_numbers(const uint32_t words[EACH], float numbers[EACH])
{
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        numbers[i] = number_of_bits(TYPE, words[i]);
}

template <hd_plugin_type TYPE> static __device__ void to_words(const float numbers[EACH], uint32_t words[EACH])
{
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        words[i] = bits_of_number(TYPE, numbers[i]);
}

static __device__ void load_numbers(hd_plugin_type type, const void *values, size_t at, int32_t n, float numbers[EACH])
{
    uint32_t words[EACH];
    load_words(type, values, at, n, words);
    if (type == HD_PLUGIN_F16)
        to_numbers<HD_PLUGIN_F16>(words, numbers);
    else if (type == HD_PLUGIN_BF16)
        to_numbers<HD_PLUGIN_BF16>(words, numbers);
    else
        to_numbers<HD_PLUGIN_F32>(words, numbers);
}

static __device__ void store_numbers(hd_plugin_type type, void *values, size_t at, int32_t n, const float numbers[EACH])
{
    uint32_t words[EACH];
    if (type == HD_PLUGIN_F16)
        to_words<HD_PLUGIN_F16>(numbers, words);
    else if (type == HD_PLUGIN_BF16)
        to_words<HD_PLUGIN_BF16>(numbers, words);
    else
        to_words<HD_PLUGIN_F32>(numbers, words);
    store_words(type, values, at, n, words);
}

/* y += factor * values. */
static __device__ void add_floats(const float *values, size_t at, int32_t n, float factor, float y[EACH])
{
    float more[EACH];
    load_numbers(HD_PLUGIN_F32, values, at, n, more);
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        y[i] += factor * more[i];
}

/* Sums of bytes, of one row, from channel c on. */
static __device__ void load_sums_of_bytes(const product_part &p, size_t at, size_t row, int32_t c, int32_t n, float y[EACH])
{
    const hd_plugin_linear &t = p.linear;
    uint32_t words[EACH];
    load_words(HD_PLUGIN_I8, p.sums, at, n, words);
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        y[i] = i < n ? product_of_bytes((int32_t)words[i], t.in.scale[row], t.in.offset[row], t.weights.scale[c + i],
                                        t.weights.channel_sum[c + i])
                     : 0.0f;
}

/* Sums of E4M3, likewise. */
static __device__ void scale_sums(float of_row, const float *scales, size_t at, int32_t n, float y[EACH])
{
    float of_channels[EACH];
    load_numbers(HD_PLUGIN_F32, scales, at, n, of_channels);
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        y[i] *= of_row * of_channels[i];
}

template <hd_plugin_epilogue EPILOGUE> static __device__ void finish(const float before[EACH], float y[EACH])
{
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        y[i] = epilogue_of(EPILOGUE, y[i], before[i]);
}

static __device__ void gelu(hd_plugin_type out_type, float y[EACH])
{
    if (out_type == HD_PLUGIN_F32)
        return finish<HD_PLUGIN_GELU>(y, y);
#pragma unroll
    for (int32_t i = 0; i < EACH; i++)
        y[i] = gelu_for_16_bits(y[i]);
}

static __device__ void finish(hd_plugin_epilogue epilogue, hd_plugin_type out_type, const float before[EACH], float y[EACH])
{
    switch (epilogue) {
    case HD_PLUGIN_STORE: return;
    case HD_PLUGIN_ADD: return finish<HD_PLUGIN_ADD>(before, y);
    case HD_PLUGIN_MUL: return finish<HD_PLUGIN_MUL>(before, y);
    case HD_PLUGIN_GELU: return gelu(out_type, y);
    case HD_PLUGIN_GELU_TANH: return finish<HD_PLUGIN_GELU_TANH>(before, y);
    case HD_PLUGIN_RELU: return finish<HD_PLUGIN_RELU>(before, y);
    case HD_PLUGIN_SILU: return finish<HD_PLUGIN_SILU>(before, y);
    case HD_PLUGIN_TANH: return finish<HD_PLUGIN_TANH>(before, y);
    }
}

/* Sums may lie where they are stored: each is read and written by one thread, and by no other. */
extern "C" __global__ void k_epilogue(const product_part p)
{
    const hd_plugin_linear &t = p.linear;
    const int32_t column = (int32_t)(blockIdx.y * blockDim.x + threadIdx.x) * EACH, c = t.first + column;
    const int32_t n = t.end - c < EACH ? t.end - c : EACH;
    const size_t row = (size_t)p.first_row + blockIdx.x, from = (size_t)blockIdx.x * p.sums_stride + (size_t)column;
    const size_t at = row * t.out_stride + (size_t)c;
    float y[EACH], before[EACH] = {};
    if (n <= 0)
        return;
    if (p.sums_type == HD_PLUGIN_I8)
        load_sums_of_bytes(p, from, row, c, n, y);
    else
        load_numbers(p.sums_type, p.sums, from, n, y);
    if (t.weights.type == HD_PLUGIN_F8)
        scale_sums(t.in.scale[row], t.weights.scale, (size_t)c, n, y);
    add_floats(t.weights.bias, (size_t)c, n, 1.0f, y);
    for (int32_t r = 0; r < t.rank; r++)
        add_floats(t.lift, (size_t)r * t.lift_stride + (size_t)c, n, t.low[row * t.low_stride + (size_t)r], y);
    if (t.epilogue == HD_PLUGIN_ADD || t.epilogue == HD_PLUGIN_MUL)
        load_numbers(t.out_type, t.out, at, n, before);
    finish(t.epilogue, t.out_type, before, y);
    store_numbers(t.out_type, t.out, at, n, y);
}
