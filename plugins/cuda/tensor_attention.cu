/* tensor_attention.cu - attention of bf16 and f16 heads of 32, 64 and 128 on tensor cores, for devices of sm_80 and later:
 * the arithmetic of attention.cu, tiled as in Dao 2023 ("FlashAttention-2").
 *
 * A block has one head of up to 64 queries of one sequence, each of its four warps 16 of them, in registers, as are their
 * scores and what comes out. 64 keys and values at a time are in shared memory, rows 16 bytes longer than they need to be,
 * so that eight rows of a tile lie in different banks. Sums of scores are where the product with the values reads its first
 * factor: they are rounded to the values' type and stay where they are. Powers are of 2: scores are scaled by log2 e.
 *
 * Infinities among f16 are read as NaNs: a score of -inf would be one of a key that is not seen.
 *
 * A key that a query does not see has weight 0, and its value is multiplied by that: a NaN among a sequence's values reaches
 * queries of the same sequence that do not see it. Their sequence fails anyway, having a token with a NaN.
 */
#include "attention_tile.h"
#include "lanes.h"
#include "tensor_cores.h"

enum { QUERIES = TENSOR_QUERIES, KEYS = 64, WARPS = TENSOR_WARPS, THREADS = WARPS * LANES, PAD = 8, OF_WARP = 16 };

/* Blocks that a multiprocessor's registers are to have room for: while one waits for keys and values, others compute. */
enum { BLOCKS = 4, BLOCKS_OF_128 = 3 };

#define LOG2_E 1.44269504f

/* What a lane knows of its two queries, rows g and g + 8 of its warp's, so far. */
template <int DIM> struct running {
    uint32_t queries[DIM / 16][4];
    float out[DIM / 8][4];
    float most[2], sum[2]; /* of scores; of this lane's columns of exp(score - most) */
};

/* Two values as they are read. */
template <hd_plugin_type TYPE> static __device__ uint32_t read_pair(uint32_t pair)
{
    return TYPE == HD_PLUGIN_F16 ? without_infinities(pair) : pair;
}

/* Rows of one head to shared memory, 16 bytes at a time, the last ones zeros. */
template <hd_plugin_type TYPE, int DIM>
static __device__ void bring(uint16_t *to, const void *from, size_t at, size_t stride, int32_t n_there)
{
    enum { PIECES = DIM / 8 };
    const uint16_t *rows = (const uint16_t *)from + at;
    for (int32_t i = (int32_t)threadIdx.x; i < KEYS * PIECES; i += THREADS) {
        const int32_t row = i / PIECES, column = i % PIECES * 8;
        uint4 piece = {0, 0, 0, 0};
        if (row < n_there)
            piece = *(const uint4 *)(rows + (size_t)row * stride + (size_t)column);
        *(uint4 *)(to + row * (DIM + PAD) + column) = {read_pair<TYPE>(piece.x), read_pair<TYPE>(piece.y),
                                                       read_pair<TYPE>(piece.z), read_pair<TYPE>(piece.w)};
    }
}

/* The warp's rows of q as a product reads them; zeros where there are none. */
template <hd_plugin_type TYPE, int DIM>
static __device__ void bring_queries(const hd_plugin_attention &t, const tile &s, int32_t head, running<DIM> *known)
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES), first = (int32_t)(threadIdx.x / LANES) * OF_WARP + lane / 4;
#pragma unroll
    for (int32_t step = 0; step < DIM / 16; step++) {
#pragma unroll
        for (int32_t i = 0; i < 4; i++) {
            const int32_t row = first + i % 2 * 8, column = step * 16 + lane % 4 * 2 + i / 2 * 8;
            const uint16_t *q =
                (const uint16_t *)t.q + (size_t)(s.first_row + row) * t.q_stride + (size_t)(head * DIM + column);
            known->queries[step][i] = row < s.n_rows ? read_pair<TYPE>(*(const uint32_t *)q) : 0;
        }
    }
}

/* Products of the warp's queries with all keys in shared memory. */
template <hd_plugin_type TYPE, int DIM>
static __device__ void multiply_keys(float scores[KEYS / 8][4], const running<DIM> *known, const uint16_t *keys)
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES);
#pragma unroll
    for (int32_t n = 0; n < KEYS / 8; n++) {
        const uint16_t *row = keys + (n * 8 + lane % 8) * (DIM + PAD) + lane / 8 * 8;
#pragma unroll
        for (int32_t i = 0; i < 4; i++)
            scores[n][i] = 0.0f;
#pragma unroll
        for (int32_t step = 0; step < DIM / 16; step += 2) {
            uint32_t tiles[4];
            load_tiles<false>(tiles, row + step * 16);
            multiply_tiles<TYPE>(scores[n], known->queries[step], tiles);
            multiply_tiles<TYPE>(scores[n], known->queries[step + 1], tiles + 2);
        }
    }
}

/* Which of a tile's columns a row sees: those below n with column - row in [low, high]. */
typedef struct sight {
    int32_t n, low, high;
} sight;

/* No column is farther from a row than this, which stands for all that is farther. */
static __device__ int32_t near(int64_t distance)
{
    const int64_t most = KEYS;
    return (int32_t)(distance < -most ? -most : distance > most ? most : distance);
}

static __device__ sight sight_of(const hd_plugin_attention &t, const tile &s, int64_t key)
{
    const int64_t left = s.last_key - key + 1;
    sight see;
    see.n = left < KEYS ? (int32_t)left : (int32_t)KEYS;
    see.low = near(s.place - key - t.reach_back);
    see.high = near(s.place - key + t.reach_ahead);
    return see;
}

/* Scales scores, adds biases, and hides keys that are not seen. `key` is the first of the keys. */
static __device__ void finish_scores(const hd_plugin_attention &t, const tile &s, int32_t head, int64_t key,
                                     float scores[KEYS / 8][4])
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES), first = (int32_t)(threadIdx.x / LANES) * OF_WARP + lane / 4;
    const sight see = sight_of(t, s, key);
    const bool is_whole = t.bias == NULL && see.n == KEYS && see.low <= 1 - s.n_rows && see.high >= KEYS - 1;
    const float *bias = t.bias != NULL ? t.bias + (ptrdiff_t)((size_t)head * t.bias_stride) + (s.place - key) : NULL;
    const float scale = t.scale * LOG2_E;
#pragma unroll
    for (int32_t n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int32_t i = 0; i < 4; i++) {
            const int32_t row = first + i / 2 * 8, column = n * 8 + lane % 4 * 2 + i % 2, ahead = column - row;
            float score = scale * scores[n][i];
            if (!is_whole) {
                const bool sees = row < s.n_rows && column < see.n && ahead >= see.low && ahead <= see.high;
                score = sees ? score + (bias != NULL ? bias[-ahead] * LOG2_E : 0.0f) : -INFINITY;
            }
            scores[n][i] = score;
        }
    }
}

/* Takes in scores, which become weights. A query that has seen no key yet has -inf for the greatest. */
template <int DIM> static __device__ void weigh_scores(float scores[KEYS / 8][4], running<DIM> *known)
{
#pragma unroll
    for (int32_t r = 0; r < 2; r++) {
        float most = known->most[r];
#pragma unroll
        for (int32_t n = 0; n < KEYS / 8; n++)
            most = fmaxf(most, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
        most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1)); /* the row's four lanes */
        most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
        const float base = most == -INFINITY ? 0.0f : most, shrink = fast_power_of_2(known->most[r] - base);
        known->most[r] = most;
        known->sum[r] *= shrink;
#pragma unroll
        for (int32_t n = 0; n < KEYS / 8; n++) {
            scores[n][2 * r] = fast_power_of_2(scores[n][2 * r] - base);
            scores[n][2 * r + 1] = fast_power_of_2(scores[n][2 * r + 1] - base);
            known->sum[r] += scores[n][2 * r] + scores[n][2 * r + 1];
        }
#pragma unroll
        for (int32_t n = 0; n < DIM / 8; n++) {
            known->out[n][2 * r] *= shrink;
            known->out[n][2 * r + 1] *= shrink;
        }
    }
}

/* Adds weights times values. */
template <hd_plugin_type TYPE, int DIM>
static __device__ void multiply_values(const float weights[KEYS / 8][4], const uint16_t *values, running<DIM> *known)
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES);
#pragma unroll
    for (int32_t step = 0; step < KEYS / 16; step++) {
        const float *low = weights[2 * step], *high = weights[2 * step + 1];
        const uint32_t a[4] = {pair_of<TYPE>(low[0], low[1]), pair_of<TYPE>(low[2], low[3]), pair_of<TYPE>(high[0], high[1]),
                               pair_of<TYPE>(high[2], high[3])};
        const uint16_t *row = values + (step * 16 + lane % 16) * (DIM + PAD) + lane / 16 * 8;
#pragma unroll
        for (int32_t n = 0; n < DIM / 8; n += 2) {
            uint32_t tiles[4];
            load_tiles<true>(tiles, row + n * 8);
            multiply_tiles<TYPE>(known->out[n], a, tiles);
            multiply_tiles<TYPE>(known->out[n + 1], a, tiles + 2);
        }
    }
}

template <int DIM>
static __device__ void write_out(const hd_plugin_attention &t, const tile &s, int32_t head, const running<DIM> *known)
{
    const int32_t lane = (int32_t)(threadIdx.x % LANES), first = (int32_t)(threadIdx.x / LANES) * OF_WARP + lane / 4;
#pragma unroll
    for (int32_t r = 0; r < 2; r++) {
        float sum = known->sum[r];
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        const int32_t row = first + r * 8;
        if (row >= s.n_rows)
            continue; /* no lane waits below */
        const size_t at = (size_t)(s.first_row + row) * t.out_stride + (size_t)(head * DIM + lane % 4 * 2);
#pragma unroll
        for (int32_t n = 0; n < DIM / 8; n++) {
            const size_t column = at + (size_t)(n * 8);
            store_number(t.out_type, t.out, column, sum == 0.0f ? 0.0f : known->out[n][2 * r] / sum);
            store_number(t.out_type, t.out, column + 1, sum == 0.0f ? 0.0f : known->out[n][2 * r + 1] / sum);
        }
    }
}

template <hd_plugin_type TYPE, int DIM> static __device__ void attend(const hd_plugin_attention &t)
{
    __shared__ uint4 keys_memory[KEYS * (DIM + PAD) / 8], values_memory[KEYS * (DIM + PAD) / 8]; /* rows are whole uint4 */
    uint16_t *keys = (uint16_t *)keys_memory, *values = (uint16_t *)values_memory;
    const int32_t head = (int32_t)blockIdx.y, kv_head = head / (t.n_heads / t.n_kv_heads);
    const tile s = find_tile<QUERIES>(t, (int32_t)blockIdx.x);
    const bool has_queries = (int32_t)(threadIdx.x / LANES) * OF_WARP < s.n_rows; /* the warp, all of it */
    running<DIM> known = {};
    if (s.n_rows <= 0)
        return; /* the whole block */
    known.most[0] = known.most[1] = -INFINITY;
    bring_queries<TYPE, DIM>(t, s, head, &known);
    for (int64_t key = s.first_key; key <= s.last_key; key += KEYS) {
        const size_t at = (s.kv_row + (size_t)key) * t.kv_stride + (size_t)(kv_head * DIM);
        const int64_t left = s.last_key - key + 1;
        const int32_t n = left < KEYS ? (int32_t)left : KEYS;
        float scores[KEYS / 8][4];
        bring<TYPE, DIM>(keys, t.k, at, t.kv_stride, n);
        bring<TYPE, DIM>(values, t.v, at, t.kv_stride, n);
        __syncthreads();
        if (has_queries) {
            multiply_keys<TYPE, DIM>(scores, &known, keys);
            finish_scores(t, s, head, key, scores);
            weigh_scores<DIM>(scores, &known);
            multiply_values<TYPE, DIM>(scores, values, &known);
        }
        __syncthreads();
    }
    write_out<DIM>(t, s, head, &known);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) k_tensor_attention_bf16_32(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_BF16, 32>(t);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) k_tensor_attention_bf16_64(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_BF16, 64>(t);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_OF_128) k_tensor_attention_bf16_128(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_BF16, 128>(t);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) k_tensor_attention_f16_32(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_F16, 32>(t);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) k_tensor_attention_f16_64(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_F16, 64>(t);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_OF_128) k_tensor_attention_f16_128(const hd_plugin_attention t)
{
    attend<HD_PLUGIN_F16, 128>(t);
}
