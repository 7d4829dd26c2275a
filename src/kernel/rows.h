/* rows.h - what happens to rows of hidden states between matrix products: the contract of the rows family.
 *
 * All rows are f32 unless said, with a stride in elements that is a multiple of 16 and at least n; rows start at 64-byte
 * boundaries. n is any size from 1. Sums of norm run over ascending lanes and are folded in a fixed order, so
 * a row's bits depend on that row and the level alone.
 */
#ifndef HD_KERNEL_ROWS_H
#define HD_KERNEL_ROWS_H

#include "kernel/gemm.h"
#include "kernel/hadamard.h"

/* A row as the next matrix product reads it. Exactly one of the three destinations is used, by type:
 * K_F32: nothing is written. K_BF16: bf16 [n_rows, stride], rounded to nearest even. K_I8: uint8_t
 * [n_rows, stride] with x ~ scale * u + offset, u in [0, act_max], offset = min(row),
 * scale = (max(row) - min(row)) / act_max, |error| <= scale / 2 + 2^-23 max |x|. A row whose range is below
 * K_ACT_RANGE_MIN is constant: u = 0, scale = 1. When the row holds a NaN or an infinity, or its range
 * overflows, u = 0 and scale and offset are NaN. With a hadamard above 1, which norm alone knows, x is the row multiplied
 * by H of so many rows (hadamard.h), k_hadamard_order(n). Elements in [n, k_padded(n)) are written as zero. */
#define K_ACT_RANGE_MIN 1e-30f
typedef struct k_act {
    k_type type;
    int act_max;   /* K_I8: the gemm level's (gemm.h) */
    int hadamard;  /* K_I8: see above */
    void *data;    /* [n_rows, stride] */
    size_t stride; /* elements: whole cache lines, at least k_padded(n) */
    float *scale;  /* [n_rows], K_I8 */
    float *offset; /* [n_rows], K_I8 */
} k_act;

/* Layer normalisation, then conversion:
 *   y = (x - mean) / sqrt(variance + eps) * gamma + beta,   act = convert(y),   x = y unless x is kept
 * variance is the mean of (x - mean)^2; gamma and beta are finite. RMS normalisation (Zhang & Sennrich 2019) takes zero for
 * the mean. Padding columns of x in [n, k_padded(n)) that lie within the stride are left as they are. When x is kept, y
 * of K_F32 is written to act.data, its padding as zero. Tolerance class: reduction (mean, variance), then elementwise. */
typedef struct k_norm {
    float *x; /* [n_rows, stride] */
    size_t stride;
    int n_rows, n;
    const float *gamma, *beta; /* [n], 64-byte aligned; beta NULL: zero */
    float eps;
    bool rms, keep; /* see above */
    k_act act;
} k_norm;
typedef void k_norm_fn(const k_norm *norm);

/* Conversion alone: act = convert(x). x is K_F32 or, where act is K_I8, also K_BF16; its padding is not read. */
typedef void k_convert_fn(const k_act *x, int n_rows, int n, const k_act *act);

/* Embedding sum: out[i] = words[ids[i]] + positions[pos[i]] + types[type_ids[i]]; words in f32, bf16, or int8 with
 * a scale for each row. Ids were checked by the caller. A word in f32 may lie where its sum will. Tolerance class:
 * elementwise. */
typedef struct k_embed {
    k_type type;             /* of words */
    const void *words;       /* [vocab, word_stride] */
    size_t word_stride;      /* elements */
    const float *word_scale; /* [vocab], K_I8: word = scale * int8_t */
    const float *positions;  /* [n_positions, n] f32, rows 4-byte aligned, or NULL */
    const float *types;      /* [n_types, n], or NULL */
    const int32_t *ids;      /* [n_rows] */
    const int32_t *pos;      /* [n_rows]; unused without positions */
    const int32_t *type_ids; /* [n_rows], or NULL: all 0 */
    int n_rows, n;
    float *out; /* [n_rows, stride] */
    size_t stride;
} k_embed;
typedef void k_embed_fn(const k_embed *embed);

/* The row of n values as number `at` of such a table of words, in f32, bf16, or int8 with its scale (embed_pack.c). */
void k_embed_pack(k_type type, const float *row, int n, size_t word_stride, size_t at, void *words, float *word_scale);

/* Pooling over the rows of one sequence, f32 in and out:
 *   k_pool_sum: out[j] = sum_i weight_i * x[i, j], weight_i = 1 or, when linear, i + 1;
 *   k_pool_max: out[j] = max_i x[i, j] (NaN if any is NaN). */
typedef void k_pool_sum_fn(const float *x, size_t stride, int n_rows, int n, bool linear, float *out /* [n] */);
typedef void k_pool_max_fn(const float *x, size_t stride, int n_rows, int n, float *out /* [n] */);

/* Rotary position embedding (Su et al. 2021) of the heads of queries or keys, in place, each head after RMS normalisation
 * when gamma is there (Qwen3). With h = rotary_dim / 2, c = cos[pos, j] and s = sin[pos, j], for j in [0, h):
 *   y[j] = x[j] c - x[j + h] s,   y[j + h] = x[j + h] c + x[j] s
 * Values from rotary_dim on only take part in the normalisation. K_BF16: read, computed in f32, rounded to nearest even.
 * Tolerance class: reduction (the mean square), then elementwise. */
typedef struct k_rotary {
    k_type type; /* K_F32 or K_BF16 */
    void *x;     /* [n_rows, stride], head h at column h * head_dim; any alignment of the element */
    size_t stride;
    int n_rows, n_heads, head_dim; /* head_dim up to K_HEAD_DIM_MAX */
    int rotary_dim;                /* even, 2 to head_dim */
    const float *cos, *sin;        /* [n_positions, rotary_dim / 2] */
    const int32_t *pos;            /* [n_rows] */
    const float *gamma;            /* [head_dim], or NULL */
    float eps;
} k_rotary;
typedef void k_rotary_fn(const k_rotary *rotary);

/* sum_j a[j] * b[j]; rows of any alignment. Tolerance class: reduction. */
typedef float k_dot_fn(const float *a, const float *b, size_t n);

#endif
