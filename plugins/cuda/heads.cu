/* heads.cu - what is behind the layers: pick, pool, and the sparse heads' collect and weigh. What each computes is said in
 * heddle/plugin.h.
 */
#include "lanes.h"

extern "C" __global__ void k_pick(const hd_plugin_pick t)
{
    const size_t i = blockIdx.x;
    if (i == 0 && threadIdx.x == 0)
        t.picked_begin[0] = 0;
    if (i >= (size_t)t.n_sequences)
        return;
    const size_t row = (size_t)(t.skip != NULL ? t.begin[i] + t.skip[i] : t.begin[i + 1] - 1);
    for (size_t j = threadIdx.x; j < t.stride; j += ROW_THREADS)
        t.picked_x[i * t.stride + j] = t.x[row * t.stride + j];
    if (threadIdx.x == 0) {
        t.picked_positions[i] = t.positions[row];
        t.picked_begin[i + 1] = (int32_t)i + 1;
    }
    if (t.in.data == NULL)
        return;
    const bool is_scaled = t.in.type == HD_PLUGIN_I8 || t.in.type == HD_PLUGIN_F8;
    const size_t bytes = t.in.stride * (t.in.type == HD_PLUGIN_F32 ? 4 : is_scaled ? 1 : 2);
    for (size_t j = threadIdx.x; j < bytes; j += ROW_THREADS)
        ((char *)t.picked_in.data)[i * bytes + j] = ((const char *)t.in.data)[row * bytes + j];
    if (is_scaled && threadIdx.x == 0)
        t.picked_in.scale[i] = t.in.scale[row];
    if (t.in.type == HD_PLUGIN_I8 && threadIdx.x == 0)
        t.picked_in.offset[i] = t.in.offset[row];
}

/* ---- pooling ---- */

/* A block has 32 columns of a row that comes out; 8 threads share a column's rows. */
extern "C" __global__ void k_pool(const hd_plugin_pool t)
{
    __shared__ float sums[POOL_LANES][POOL_COLUMNS], greatest[POOL_LANES][POOL_COLUMNS];
    const size_t i = blockIdx.x;
    const int32_t column = (int32_t)(blockIdx.y * POOL_COLUMNS + threadIdx.x), lane = (int32_t)threadIdx.y;
    const int32_t begin = t.begin[i], end = t.end[i], skip = t.skip != NULL ? t.skip[i] : 0;
    const int32_t first = t.kind == HD_PLUGIN_POOL_LAST ? end - 1 : begin + skip;
    const int32_t last = t.kind == HD_PLUGIN_POOL_FIRST ? first : end - 1;
    float sum = 0.0f, most = -INFINITY;
    for (int32_t row = first + lane; column < t.n && row <= last; row += POOL_LANES) {
        const float x = t.x[(size_t)row * t.stride + (size_t)column];
        sum += t.kind == HD_PLUGIN_POOL_WEIGHTED_MEAN ? (float)(row - begin + 1) * x : x;
        most = greater_number(most, x);
    }
    sums[lane][threadIdx.x] = sum;
    greatest[lane][threadIdx.x] = most;
    __syncthreads();
    if (lane != 0 || column >= t.n)
        return;
    for (int32_t other = 1; other < POOL_LANES; other++) {
        sum += sums[other][threadIdx.x];
        most = greater_number(most, greatest[other][threadIdx.x]);
    }
    const float n = (float)(end - begin - skip), to_end = (float)(end - begin), before = (float)skip;
    if (t.kind == HD_PLUGIN_POOL_MEAN)
        sum /= n;
    else if (t.kind == HD_PLUGIN_POOL_MEAN_SQRT)
        sum /= sqrtf(n);
    else if (t.kind == HD_PLUGIN_POOL_WEIGHTED_MEAN) /* 1 + .. + to_end, without the first ones */
        sum /= (to_end * (to_end + 1.0f) - before * (before + 1.0f)) * 0.5f;
    t.out[i * t.out_stride + (size_t)column] = t.kind == HD_PLUGIN_POOL_MAX ? most : sum;
}

/* ---- sparse weights of the vocabulary ---- */

/* A thread has an id of a sequence. Weights grow with logits, so that of the greatest weight only the logit is kept here. */
extern "C" __global__ void k_collect(const hd_plugin_vocab_pool t)
{
    const int32_t id = (int32_t)(blockIdx.y * ROW_THREADS + threadIdx.x), begin = t.begin[blockIdx.x];
    const int32_t end = min(t.begin[blockIdx.x + 1], t.first + t.n_rows), first = max(begin, t.first);
    if (id >= t.vocab || first >= end)
        return;
    float *weight = t.weights + (size_t)blockIdx.x * (size_t)t.vocab + (size_t)id;
    float value = first == begin ? 0.0f : *weight;
    for (int32_t row = first; row < end; row++) {
        const float logit = t.logits[(size_t)(row - t.first) * t.stride + (size_t)id];
        value = t.sums ? value + weight_of_logit(logit, t.log_twice) : greater_number(value, logit);
    }
    *weight = value;
}

/* Of greatest logits: sums are weighed already. */
extern "C" __global__ void k_weigh(const hd_plugin_vocab_pool t)
{
    const int32_t id = (int32_t)(blockIdx.y * ROW_THREADS + threadIdx.x);
    float *weight = t.weights + (size_t)blockIdx.x * (size_t)t.vocab + (size_t)id;
    if (id < t.vocab)
        *weight = weight_of_logit(*weight, t.log_twice);
}
