/* product.cu - products that cuBLASLt does not take, in 64 x 64 tiles of f32 or int32 sums, and the epilogue of all
 * products: bias, low-rank change, activation, and the rounding to what is stored. A block of 16 x 16 threads brings 16
 * inputs of 64 rows and 64 channels to shared memory, and each thread sums 4 x 4 of the products. Tensor cores are
 * cuBLASLt's business.
 */
#include "kernels.h"
#include "numbers.h"

enum { DEPTH = 16, SIDE = PRODUCT_SIDE, EACH_SIDE = PRODUCT_TILE / SIDE };

struct bf16 {
    uint16_t bits;
};

struct f16 {
    uint16_t bits;
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
                ((S *)p.sums)[(size_t)row * p.sums_stride + (size_t)channel] = sums[r][c];
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

/* Sums may lie where they are stored: each is read and written by one thread, and by no other. */
extern "C" __global__ void k_epilogue(const product_part p)
{
    const hd_plugin_linear &t = p.linear;
    const int32_t column = (int32_t)(blockIdx.y * ROW_THREADS + threadIdx.x), c = t.first + column;
    const size_t row = (size_t)p.first_row + blockIdx.x, from = (size_t)blockIdx.x * p.sums_stride + (size_t)column;
    if (c >= t.end)
        return;
    float y;
    if (t.weights.type == HD_PLUGIN_I8)
        y = product_of_bytes(((const int32_t *)p.sums)[from], t.in.scale[row], t.in.offset[row], t.weights.scale[c],
                             t.weights.channel_sum[c]);
    else
        y = ((const float *)p.sums)[from];
    y += t.weights.bias[c];
    for (int32_t r = 0; r < t.rank; r++)
        y += t.low[row * t.low_stride + (size_t)r] * t.lift[(size_t)r * t.lift_stride + (size_t)c];
    const size_t at = row * t.out_stride + (size_t)c;
    const bool reads = t.epilogue == HD_PLUGIN_ADD || t.epilogue == HD_PLUGIN_MUL;
    store_number(t.out_type, t.out, at, epilogue_of(t.epilogue, y, reads ? load_number(t.out_type, t.out, at) : 0.0f));
}
