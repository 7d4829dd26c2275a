/* attention.cu - softmax(scale q k + bias) v over ragged sequences, in one pass over the keys and memory that does not grow
 * with them: the running maximum and sum of Milakov & Gimelshein 2018 ("Online normalizer calculation for softmax"), tiled
 * as in Dao et al. 2022 ("FlashAttention").
 *
 * A block has one head of up to 16 queries of one sequence, each of its four warps four of them. 32 keys at a time are in
 * shared memory: a lane has a key's scores, then, with the values in the keys' place, every 32nd column of what comes out.
 * f32 throughout, on ordinary cores: for f32, for heads and devices that tensor_attention.cu is not for.
 */
#include "attention_tile.h"
#include "lanes.h"

enum {
    THREADS = ATTENTION_WARPS * LANES,
    EACH_WARP = ATTENTION_QUERIES / ATTENTION_WARPS,
    EACH_LANE = MOST_HEAD_DIM / LANES /* columns */
};

/* Rows of one head to shared memory, the last ones zeros. */
static __device__ void bring(float *to, int32_t to_stride, hd_plugin_type type, const void *from, size_t from_at,
                             size_t from_stride, int32_t n_there, int32_t n_rows, int32_t dim)
{
    for (int32_t row = (int32_t)threadIdx.x / LANES; row < n_rows; row += ATTENTION_WARPS) {
        for (int32_t j = (int32_t)threadIdx.x % LANES; j < dim; j += LANES)
            to[row * to_stride + j] =
                row < n_there ? load_number(type, from, from_at + (size_t)row * from_stride + (size_t)j) : 0.0f;
    }
}

/* What a warp knows of its queries so far. */
typedef struct running {
    float most[EACH_WARP], sum[EACH_WARP]; /* of scores, of exp(score - most) */
    float seen[EACH_WARP];                 /* this lane's key: exp(score - most), 0 when it is not seen */
    float out[EACH_WARP][EACH_LANE];       /* this lane's columns */
} running;

/* Takes in the scores of this lane's key, number `key` of its sequence. */
static __device__ void take_scores(const hd_plugin_attention &t, const tile &s, int32_t head, int64_t key,
                                   const float *queries, const float *keys, running *known)
{
    const int32_t first = (int32_t)(threadIdx.x / LANES) * EACH_WARP, dim = t.head_dim;
    const float *k = keys + (threadIdx.x % LANES) * (unsigned)(dim + 1);
    float dots[EACH_WARP] = {};
    for (int32_t j = 0; j < dim; j++) {
#pragma unroll
        for (int32_t r = 0; r < EACH_WARP; r++)
            dots[r] += queries[(first + r) * dim + j] * k[j];
    }
#pragma unroll
    for (int32_t r = 0; r < EACH_WARP; r++) {
        const int64_t place = s.place + first + r;
        const bool sees =
            first + r < s.n_rows && key <= s.last_key && place - key <= t.reach_back && key - place <= t.reach_ahead;
        float score = -INFINITY;
        if (sees) {
            score = t.scale * dots[r];
            score += t.bias != NULL ? *(t.bias + (ptrdiff_t)((size_t)head * t.bias_stride) + (place - key)) : 0.0f;
        }
        const float most = fmaxf(known->most[r], over_warp<Most>(score));
        const float shrink = most == known->most[r] ? 1.0f : expf(known->most[r] - most); /* also when both are -inf */
        known->seen[r] = sees ? expf(score - most) : 0.0f;
        known->sum[r] = known->sum[r] * shrink + over_warp<Sum>(known->seen[r]);
        known->most[r] = most;
#pragma unroll
        for (int32_t c = 0; c < EACH_LANE; c++)
            known->out[r][c] *= shrink;
    }
}

/* Adds values times what take_scores left. A key that is not seen adds nothing, whatever its value is. */
static __device__ void take_values(int32_t dim, const float *values, running *known)
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES);
    for (int32_t key = 0; key < ATTENTION_KEYS; key++) {
        float weights[EACH_WARP];
#pragma unroll
        for (int32_t r = 0; r < EACH_WARP; r++)
            weights[r] = __shfl_sync(ALL_LANES, known->seen[r], key);
#pragma unroll
        for (int32_t c = 0; c < EACH_LANE; c++) {
            if (c * LANES + lane >= dim)
                continue;
            const float value = values[key * (dim + 1) + c * LANES + lane];
#pragma unroll
            for (int32_t r = 0; r < EACH_WARP; r++)
                known->out[r][c] += weights[r] != 0.0f ? weights[r] * value : 0.0f;
        }
    }
}

static __device__ void write_out(const hd_plugin_attention &t, const tile &s, int32_t head, const running *known)
{
    const int32_t first = (int32_t)(threadIdx.x / LANES) * EACH_WARP, lane = (int32_t)(threadIdx.x % LANES);
#pragma unroll
    for (int32_t r = 0; r < EACH_WARP; r++) {
        if (first + r >= s.n_rows)
            continue;
        const float share = known->sum[r] == 0.0f ? 0.0f : 1.0f / known->sum[r];
        const size_t at = (size_t)(s.first_row + first + r) * t.out_stride + (size_t)head * (size_t)t.head_dim;
#pragma unroll
        for (int32_t c = 0; c < EACH_LANE; c++) {
            if (c * LANES + lane < t.head_dim)
                store_number(t.out_type, t.out, at + (size_t)(c * LANES + lane), known->out[r][c] * share);
        }
    }
}

static __device__ void attend(const hd_plugin_attention &t, hd_plugin_type type)
{
    extern __shared__ float shared[];
    const int32_t dim = t.head_dim, head = (int32_t)blockIdx.y, kv_head = head / (t.n_heads / t.n_kv_heads);
    const tile s = find_tile<ATTENTION_QUERIES>(t, (int32_t)blockIdx.x);
    float *queries = shared, *keys = shared + ATTENTION_QUERIES * dim; /* or values */
    running known = {};
    if (s.n_rows <= 0)
        return; /* the whole block */
#pragma unroll
    for (int32_t r = 0; r < EACH_WARP; r++)
        known.most[r] = -INFINITY;
    bring(queries, dim, type, t.q, (size_t)s.first_row * t.q_stride + (size_t)head * (size_t)dim, t.q_stride, s.n_rows,
          ATTENTION_QUERIES, dim);
    for (int64_t key = s.first_key; key <= s.last_key; key += ATTENTION_KEYS) {
        const size_t at = (s.kv_row + (size_t)key) * t.kv_stride + (size_t)kv_head * (size_t)dim;
        const int64_t left = s.last_key - key + 1;
        const int32_t n = left < ATTENTION_KEYS ? (int32_t)left : ATTENTION_KEYS;
        bring(keys, dim + 1, type, t.k, at, t.kv_stride, n, ATTENTION_KEYS, dim);
        __syncthreads();
        take_scores(t, s, head, key + threadIdx.x % LANES, queries, keys, &known);
        __syncthreads();
        bring(keys, dim + 1, type, t.v, at, t.kv_stride, n, ATTENTION_KEYS, dim);
        __syncthreads();
        take_values(dim, keys, &known);
        __syncthreads();
    }
    write_out(t, s, head, &known);
}

extern "C" __global__ void __launch_bounds__(THREADS) k_attention_f32(const hd_plugin_attention t)
{
    attend(t, HD_PLUGIN_F32);
}

extern "C" __global__ void __launch_bounds__(THREADS) k_attention_bf16(const hd_plugin_attention t)
{
    attend(t, HD_PLUGIN_BF16);
}

extern "C" __global__ void __launch_bounds__(THREADS) k_attention_f16(const hd_plugin_attention t)
{
    attend(t, HD_PLUGIN_F16);
}
