/* attention.h - softmax(q k^T * scale + bias) v for one sequence: the contract of the attention family.
 *
 *   out[i, :] = sum_j p[i, j] v[j, :],   p[i, j] = exp(s[i, j]) / sum_j exp(s[i, j]),
 *   s[i, j] = scale * q[i] . k[j] + bias[pos(i) - j],   pos(i) = q_first + i,   pos(i) - reach_back <= j <= pos(i) +
 * reach_ahead
 *
 * One call is one head of keys and values and the query heads that share it (Ainslie et al. 2023, "GQA").
 * Computed block by block over keys with a running maximum and sum (Milakov & Gimelshein 2018,
 * "Online normalizer calculation for softmax"; Dao et al. 2022, "FlashAttention"), so memory is linear in
 * the length. Keys that no query of a block sees are not computed. Scores are kept transposed, keys down and queries across
 * the vector lanes: maximum and sum are then vertical, k is read as it lies, and only q (and, for 16-bit types, v) is
 * rearranged.
 *
 * Scores must lie within +-2^29: beyond, what rounds off a score may itself overflow exp, and the output be NaN.
 *
 * A query's bits depend on its q, all k and v of the sequence, its position where reach or bias make that matter, and the
 * level, not on the other queries; where some stand behind the last key, on how many they are. NaN or infinity in k or v may
 * show in queries that do not see that key, too. Tolerance class: reduction + softmax.
 */
#ifndef HD_KERNEL_ATTENTION_H
#define HD_KERNEL_ATTENTION_H

#include <limits.h>

#include "kernel/gemm.h"

#define K_HEAD_DIM_MAX 256
#define K_REACH_ALL INT_MAX

typedef struct k_attention {
    const void *q, *k, *v;       /* f32 or bf16: q [n_q, stride], k and v [n_k, stride]; any alignment of the element */
    size_t q_stride, kv_stride;  /* elements */
    int n_q, n_k;                /* at least 1 */
    int n_heads;                 /* query heads on these keys, at least 1; head h at column h * head_dim of q and out */
    int head_dim;                /* a multiple of 2, 2 to K_HEAD_DIM_MAX; a multiple of 32 is fastest */
    float scale;                 /* usually 1 / sqrt(head_dim); positive */
    int q_first;                 /* position of the first query. Queries may stand behind the last key, as long as each sees
                                  * one. Unused without reach and bias */
    int reach_back, reach_ahead; /* 0 to K_REACH_ALL */
    const float *bias;           /* NULL, or of the first head, by distance: for all of query and key, finite */
    size_t bias_stride;          /* elements from one head's to the next's */
    k_type out_type;             /* K_F32, or of q, k and v in bf16 also K_BF16, rounded to nearest even */
    void *out;                   /* [n_q, out_stride]; n_heads * head_dim values of each row are written */
    size_t out_stride;           /* elements */
    void *scratch;               /* k_attention_scratch_bytes(n_k, head_dim), 64-byte aligned */
} k_attention;

typedef void k_attention_fn(const k_attention *attention);

/* Enough for every level and type. Linear in n_k. */
size_t k_attention_scratch_bytes(int n_k, int head_dim);

#endif
