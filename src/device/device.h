/* device.h - where tensors live and run: the operations an encoder is written in.
 *
 * An encoder calls these in order, for one batch; the device decides how. Batches are ragged: rows of all
 * sequences one after the other, [n_tokens, hidden], sequence i being rows [begin[i], begin[i + 1]).
 * Every pointer to rows, weights or indices is an address of the device: the encoder counts with them and never reads
 * behind them. On the CPU every member of a team makes the same calls (run.h), and an operation returns when all of it is
 * done. Nothing here allocates: buffers are the caller's, planned beforehand.
 */
#ifndef HD_DEVICE_DEVICE_H
#define HD_DEVICE_DEVICE_H

#include "device/run.h"
#include "kernel/kernels.h"

/* ---- weights: views of packed blobs ---- */

typedef struct hd_norm {
    const float *gamma, *beta; /* [n]; beta NULL: zero */
    int n;
    float eps;
    bool rms; /* no mean */
} hd_norm;

typedef struct hd_embedding {
    k_type type;       /* of the words */
    const void *words; /* [vocab, stride], or NULL: they are the channels of `tied`, */
    const k_weights *tied;
    bool is_gathered; /* or the device does not have them: x begins with those of its rows, and ids are 0, 1, 2, … */
    const float *word_scale; /* [vocab], K_I8 */
    const float *positions;  /* [n_positions, n], or NULL */
    const float *types;      /* [n_types, n], or NULL */
    size_t word_stride;
    int n;
} hd_embedding;

/* Low-rank changes of a product's weights (kernel/gemm.h), one for each task; rank 0: none. */
typedef struct hd_adapter {
    int rank;
    k_weights down;    /* A: [n_tasks * rank, k] */
    const float *lift; /* B transposed and scaled: [n_tasks * rank, n_pad] */
} hd_adapter;

/* Low-rank changes of a table's rows, one for each task: row i + sum_r low[task, i, r] * lift[task, r]. */
typedef struct hd_table_adapter {
    const float *low;  /* [n_tasks, n_rows, rank], or NULL: none */
    const float *lift; /* [n_tasks, rank, n] */
    int n_rows, rank;
} hd_table_adapter;

/* The one of them that a pass is for. */
typedef struct hd_change {
    const hd_adapter *adapter; /* NULL: none */
    int task;
    float *low; /* [n_rows, stride]: room for what `down` makes of the rows */
    size_t stride;
} hd_change;

/* ---- activations ---- */

/* Hidden states as the next matrix product reads them (kernel/rows.h). */
typedef k_act hd_act;

/* Its rows from `first` on. */
hd_act hd__act_from(const hd_act *act, size_t first);

/* A part of a batch's attention: queries of sequence i are q rows [q_begin[i], q_begin[i + 1]) over keys
 * [kv_begin[i], kv_begin[i + 1]). Query head h reads head h / (n_heads / n_kv_heads) of keys and values. */
typedef struct hd_attention {
    k_type type;           /* of q, k, v: all but K_I8 */
    const void *q, *k, *v; /* [.., stride], head h at column h * head_dim */
    size_t q_stride, kv_stride;
    const int32_t *q_begin, *kv_begin; /* [n_sequences + 1] */
    const int32_t *q_first;            /* [n_sequences]: where in its sequence the first query stands, or NULL: all 0 */
    const int32_t *n_seen;             /* [n_sequences]: only so many of its keys are there, the first; NULL: all */
    int n_sequences, n_q;              /* n_q: rows of q, of all of them together */
    int n_heads, n_kv_heads, head_dim;
    float scale;
    int reach_back, reach_ahead; /* kernel/attention.h; K_REACH_ALL as a rule */
    const float *bias;           /* NULL, or by distance, of the first head; bias_stride elements to the next */
    size_t bias_stride;
    k_type out_type; /* K_F32, or q's where that has 16 bits */
    void *out;       /* [n q rows, out_stride]; zeros for a query that sees no key */
    size_t out_stride;
    char *scratch; /* scratch_bytes for each member */
    size_t scratch_bytes;
} hd_attention;

/* Two matrix products with an activation between, added to the residual stream:
 *   x += down(activation(up(act)))   or, gated (Shazeer 2020, "GLU Variants"),   x += down(activation(gate(act)) * up(act))
 * in blocks of rows, so that the wide middle stays in cache, or takes no more memory than there is. */
typedef struct hd_ffn {
    const k_weights *gate; /* NULL: not gated */
    const k_weights *up, *down;
    hd_change up_change, down_change;
    k_epilogue activation;
    hd_act act;  /* input rows */
    bool stores; /* x = …, not x += … */
    float *x;    /* [n_rows, x_stride] */
    size_t x_stride;
    int n_rows;
    hd_act middle_act; /* the middle as `down` reads it, [block_rows, ..]; all but K_I8 are written there at once, */
    hd_act middle;     /* that here, as K_F32 or, on the CPU, K_BF16, to be converted */
    int block_rows;
} hd_ffn;

/* The rows that go on alone, one of each sequence: those of x and of what the next product reads, and where they stood. */
typedef struct hd_pick {
    int n_sequences;
    const int32_t *begin;     /* [n_sequences + 1] */
    const int32_t *skip;      /* [n_sequences]: row begin[i] + skip[i] is picked; NULL: row begin[i + 1] - 1 */
    const int32_t *positions; /* of all rows */
    const float *x;
    float *picked_x;
    size_t stride;                /* of both: rows are copied whole */
    const hd_act *in, *picked_in; /* NULL: x is what the next product reads */
    int32_t *picked_begin;        /* [n_sequences + 1]: 0, 1, 2, …; the 0 is there already */
    int32_t *picked_positions;    /* [n_sequences] */
} hd_pick;

/* to[i] = from[i], or to[i] += from[i], rows of n values with n_zeros zeros behind them. */
typedef struct hd_copy {
    const float *from;
    size_t from_stride;
    float *to;
    size_t to_stride;
    int n_rows, n, n_zeros;
    bool add;
} hd_copy;

/* Several rows become one. */
typedef enum hd_pool_kind {
    HD_POOL_FIRST,
    HD_POOL_MAX,
    HD_POOL_MEAN,
    HD_POOL_MEAN_SQRT,     /* sum over the square root of how many */
    HD_POOL_WEIGHTED_MEAN, /* a sequence's row i weighs i + 1, skipped or not */
    HD_POOL_LAST
} hd_pool_kind;

typedef struct hd_pool {
    hd_pool_kind kind;
    const float *x; /* [.., stride] */
    size_t stride;
    int n;                      /* values of a row */
    const int32_t *begin, *end; /* [n_rows]: row i is of the rows [begin[i] + skip[i], end[i]) of x, at least one */
    const int32_t *skip;        /* NULL: none are */
    int n_rows;
    float *out; /* [n_rows, out_stride], n_zeros zeros behind each row */
    size_t out_stride;
    int n_zeros;
} hd_pool;

/* What the logits of a sequence's tokens come to for each id of the vocabulary: the sum, or the greatest, of what they
 * weigh, log(1 + max(logit, 0)), or log(1 + that). A NaN stays. */
typedef struct hd_vocab_pool {
    const float *logits; /* [n_rows, stride]: of the batch's tokens from `first` on */
    size_t stride;
    int first, n_rows;
    const int32_t *begin; /* [n_sequences + 1] */
    int n_sequences, vocab;
    bool sums, log_twice;
    float *weights; /* [n_sequences, vocab] */
} hd_vocab_pool;

typedef struct hd_device_ops {
    const char *name; /* "cpu" */
    bool overlays;    /* parts of scratch lie over each other where they are not needed at once */

    /* How many rows of row_bytes to work on at a time so that they stay close to the arithmetic. */
    int (*block_rows)(size_t row_bytes);

    /* How many columns of keys, and of values, are computed before they are attended, so that a batch's are still close
     * by then. 0: all. */
    int head_columns;

    /* x[i] = word + position + type, for rows [0, n_rows); types NULL: all 0. */
    void (*embed)(const hd_kernels *kernels, hd_run *run, const hd_embedding *embedding, const int32_t *ids,
                  const int32_t *positions, const int32_t *types, int n_rows, float *x, size_t stride);

    /* act = convert(norm(x)) and, unless it is kept, x = norm(x). K_F32 is written to act only when x is kept. */
    void (*norm)(const hd_kernels *kernels, hd_run *run, const hd_norm *norm, float *x, size_t stride, int n_rows, bool keep,
                 const hd_act *act);

    /* act = convert(x), x of K_F32 or, on the CPU, for an act of K_I8, K_BF16. */
    void (*convert)(const hd_kernels *kernels, hd_run *run, const hd_act *x, int n_rows, int n, const hd_act *act);

    /* out = epilogue(act . w + bias), output channels [16 * panel_begin, 16 * panel_end) into the same columns of out;
     * change NULL: w as it is. */
    void (*linear)(const hd_kernels *kernels, hd_run *run, const k_weights *w, const hd_change *change, const hd_act *act,
                   int n_rows, int panel_begin, int panel_end, k_epilogue epilogue, k_type out_type, void *out,
                   size_t out_stride);

    /* Turns the heads of queries or keys by their positions, in place. */
    void (*rotate)(const hd_kernels *kernels, hd_run *run, const k_rotary *rotary);

    void (*attention)(const hd_kernels *kernels, hd_run *run, const hd_attention *attention);

    /* x[i] += what a task's adapter adds to row ids[i] of a table, ids NULL: to row 0. */
    void (*change_rows)(const hd_kernels *kernels, hd_run *run, const hd_table_adapter *adapter, int task,
                        const int32_t *ids, int n_rows, int n, float *x, size_t stride);

    void (*pick)(const hd_kernels *kernels, hd_run *run, const hd_pick *pick);
    void (*copy)(const hd_kernels *kernels, hd_run *run, const hd_copy *copy);
    void (*pool)(const hd_kernels *kernels, hd_run *run, const hd_pool *pool);

    /* to[i] = from[i] / max(|from[i]|, 1e-12). */
    void (*unit)(const hd_kernels *kernels, hd_run *run, const float *from, size_t from_stride, int n_rows, int n, float *to,
                 size_t to_stride);

    /* Some tokens' logits into the weights; the first token of a sequence finds zeros. After the last of them, weigh. */
    void (*collect)(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *pool);
    void (*weigh)(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *pool);
} hd_device_ops;

/* The CPU, with the kernels chosen for it. */
const hd_device_ops *hd__device_cpu(void);

/* The feed-forward, by any device's products. */
void hd__device_ffn(const hd_device_ops *device, const hd_kernels *kernels, hd_run *run, const hd_ffn *ffn);

#endif
