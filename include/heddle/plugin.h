/* plugin.h - what a device plugin implements: a shared library "heddle-<name>.so" that runs encoders on other
 * processors than this machine's own. Heddle opens it at run time; a machine without it, or without its devices, runs on
 * the CPU. Nothing of any vendor's is seen here.
 *
 * The library exports one function, hd_plugin_begin, and does nothing when it is loaded: no constructors. It opens what it
 * stands on (drivers, libraries of products) itself, at run time, so that it can say what is missing.
 *
 * Threads: hd_plugin_begin, open, close, look, alloc, free, pin, unpin, stream_open and stream_close may be called from any
 * thread, also at once; a stream is one thread's at a time, and streams of a device run beside each other.
 *
 * Addresses: what alloc gives, and what Heddle counts up from there, is an address of the device, even where its type is a
 * pointer. Only upload, download, pin and unpin take addresses of the host, which are always said to be such.
 *
 * Failures: what is called on a stream returns nothing and need not have happened when it returns. The first thing that
 * fails is kept; what follows does nothing; wait says it. Bytes of a pass that failed are not looked at.
 *
 * Batches are ragged: rows of all sequences one after the other, no padding; sequence i is rows [begin[i], begin[i + 1]).
 * Rows are "[n, stride]" in elements. Values in a row behind its width are the plugin's to overwrite, and may be anything,
 * but never trap. Counts may be 0 unless it is said otherwise. Reductions are summed in 32 bits or better.
 */
#ifndef HEDDLE_PLUGIN_H
#define HEDDLE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when anything below changes but for what is added at the end of hd_plugin, and for types, which devices name. */
#define HD_PLUGIN_VERSION 5

#define HD_PLUGIN_TEXT_BYTES 256

typedef enum hd_plugin_status {
    HD_PLUGIN_OK = 0,
    HD_PLUGIN_NO_DEVICE, /* there is none of that number, or what it needs is missing or too old */
    HD_PLUGIN_NO_MEMORY, /* the device has not so much left; what is on it stays as it is */
    HD_PLUGIN_FAILED,    /* an operation did not run or did not end well: the device has to be closed and opened again */
    HD_PLUGIN_LOST       /* the device is gone: it may come back when it is opened again */
} hd_plugin_status;

typedef enum hd_plugin_type {
    HD_PLUGIN_F32 = 0,
    HD_PLUGIN_BF16 = 1, /* rounded to nearest even */
    HD_PLUGIN_I8 = 2,
    HD_PLUGIN_F16 = 3, /* IEEE 754's half, rounded to nearest even. What is past 65504, infinities too, becomes a NaN or an
                       * infinity, which is read as a NaN, so that no result hides it: Heddle computes such a batch again,
                       * in another type */
    HD_PLUGIN_F8 = 4 /* E4M3: 4 bits of exponent, 3 of fraction, up to 448, no infinities, rounded to nearest even (OCP 8-bit
                      * Floating Point Specification 1.0). Of factors of products alone, with f32 that scale rows of them */
} hd_plugin_type;

/* What happens to a product y on its way to where it is stored. */
typedef enum hd_plugin_epilogue {
    HD_PLUGIN_STORE = 0,
    HD_PLUGIN_ADD = 1,  /* out += y; f32 only */
    HD_PLUGIN_MUL = 2,  /* out *= y */
    HD_PLUGIN_GELU = 3, /* y Phi(y), with the normal distribution's Phi */
    HD_PLUGIN_GELU_TANH = 4,
    HD_PLUGIN_RELU = 5,
    HD_PLUGIN_SILU = 6,
    HD_PLUGIN_TANH = 7
} hd_plugin_epilogue;

/* ---- rows and weights ---- */

/* Rows as products read them.
 * I8: unsigned bytes, x ~ scale[row] * u + offset[row], u in [0, act_max], offset the row's least value and scale its range
 * over act_max; a row whose range is below 1e-30 is constant: u = 0, scale = 1. A row with a NaN or an infinity has NaN for
 * scale and offset. Where norm is asked for a hadamard of r > 1, a power of two that divides n, and n is up to 4096, what is
 * converted is x multiplied by H: y[i m + c] = sum_j (-1)^popcount(i & j) x[j m + c], m = n / r; i, j < r; c < m.
 * F8: x ~ scale[row] * v, scale the row's greatest |x| over 448; a row whose greatest is below 1e-30 has v = 0, scale = 1,
 * one with a NaN or an infinity has NaN for scale. */
typedef struct hd_plugin_act {
    hd_plugin_type type;
    int32_t act_max;
    void *data; /* [n_rows, stride] */
    size_t stride;
    float *scale;     /* [n_rows], I8 and F8 */
    float *offset;    /* [n_rows], I8 */
    int32_t hadamard; /* I8: see above */
} hd_plugin_act;

/* Weights of a product, output channels down. I8: signed bytes, w = scale[channel] * q, and channel_sum the sum of a
 * channel's weights: with u as above, a . w = a_scale * scale * sum(u q) + a_offset * channel_sum.
 * F8: w = scale[channel] * q, and a . w = a_scale * scale * sum(v q). */
typedef struct hd_plugin_weights {
    hd_plugin_type type;
    int32_t k;        /* inputs */
    const void *rows; /* [channels, stride] */
    size_t stride;    /* at least k, a multiple of 64; zeros from k on */
    const float *bias;
    const void *rounded_bias; /* the same in BF16 or F16, for products of that type that are stored in it; NULL: none */
    const float *scale;       /* I8 and F8 */
    const float *channel_sum; /* I8 */
} hd_plugin_weights;

/* out[m, c] = epilogue(sum_k a[m, k] w[c, k] + bias[c] + sum_r low[m, r] lift[r, c]) for channels [first, end). */
typedef struct hd_plugin_linear {
    hd_plugin_weights weights;
    hd_plugin_act in; /* of the weights' type */
    int32_t n_rows, first, end;
    int32_t rank;     /* 0: no low-rank change */
    const float *low; /* [n_rows, low_stride] */
    size_t low_stride;
    const float *lift; /* [rank, lift_stride] */
    size_t lift_stride;
    hd_plugin_epilogue epilogue;
    hd_plugin_type out_type; /* F32, BF16 or F16 */
    void *out;               /* [n_rows, out_stride] */
    size_t out_stride;
} hd_plugin_linear;

/* x[i] = words[ids[i]] + position_rows[positions[i]] + type_rows[types[i]]. Words may be x itself, of ids 0, 1, 2, … */
typedef struct hd_plugin_embed {
    hd_plugin_type type; /* of the words, but for F8 */
    const void *words;   /* [.., word_stride] */
    size_t word_stride;
    const float *word_scale;                /* of each word, I8: word = scale * q, q signed */
    const float *position_rows, *type_rows; /* [.., n], or NULL */
    const int32_t *ids, *positions, *types; /* [n_rows]; types NULL: all 0 */
    int32_t n_rows, n;
    float *x; /* [n_rows, stride] */
    size_t stride;
} hd_plugin_embed;

/* x[i] += sum_r low[ids[i], r] lift[r]; ids NULL: all 0. */
typedef struct hd_plugin_change_rows {
    const float *low;  /* [.., rank] */
    const float *lift; /* [rank, n] */
    int32_t rank;
    const int32_t *ids;
    int32_t n_rows, n;
    float *x; /* [n_rows, stride] */
    size_t stride;
} hd_plugin_change_rows;

/* y = (x - mean) / sqrt(variance + eps) * gamma + beta, or with rms, x / sqrt(mean of x^2 + eps) * gamma + beta; then x = y,
 * unless it is kept, and act = convert(y). Type F32: act is written only when x is kept. */
typedef struct hd_plugin_norm {
    const float *gamma, *beta; /* [n]; beta NULL: 0 */
    float eps;
    bool rms, keep;
    float *x; /* [n_rows, stride] */
    size_t stride;
    int32_t n_rows, n;
    hd_plugin_act act;
} hd_plugin_norm;

/* act = convert(x), never to F32. */
typedef struct hd_plugin_convert {
    const float *x; /* [n_rows, stride] */
    size_t stride;
    int32_t n_rows, n;
    hd_plugin_act act;
} hd_plugin_convert;

/* Rotary positions (Su et al. 2021) of n_heads heads, in place, each after RMS normalisation when gamma is there. With
 * h = head_dim / 2, c = cos[position, j] and s = sin[position, j], for j in [0, h):
 *   y[j] = x[j] c - x[j + h] s,   y[j + h] = x[j + h] c + x[j] s */
typedef struct hd_plugin_rotate {
    hd_plugin_type type; /* F32, BF16 or F16 */
    void *x;             /* [n_rows, stride], head i at column i * head_dim */
    size_t stride;
    int32_t n_rows, n_heads, head_dim;
    const float *cos, *sin;   /* [.., h] */
    const int32_t *positions; /* [n_rows] */
    const float *gamma;       /* [head_dim], or NULL */
    float eps;
} hd_plugin_rotate;

/* out = softmax(scale q . k + bias[p - j]) v for each query, over those keys j of its sequence with
 * p - reach_back <= j <= p + reach_ahead and j < n_seen, p = q_first[i] + the query's number among those of its sequence.
 * Queries of sequence i are rows [q_begin[i], q_begin[i + 1]) of q and out, keys rows [kv_begin[i], kv_begin[i + 1]) of k
 * and v. Query head h reads head h / (n_heads / n_kv_heads) of k and v. A query that sees no key gets zeros. */
typedef struct hd_plugin_attention {
    hd_plugin_type type;         /* of q, k, v: F32, BF16 or F16 */
    const void *q, *k, *v;       /* [.., stride], head h at column h * head_dim */
    size_t q_stride, kv_stride;  /* elements */
    const int32_t *q_begin;      /* [n_sequences + 1] */
    const int32_t *kv_begin;     /* [n_sequences + 1] */
    const int32_t *q_first;      /* [n_sequences], or NULL: all 0 */
    const int32_t *n_seen;       /* [n_sequences]: keys that are there, at least 1, or NULL: all */
    int32_t n_sequences, n_q;    /* n_q: rows of q, of all sequences together */
    int32_t n_heads, n_kv_heads; /* n_kv_heads divides n_heads */
    int32_t head_dim;            /* a multiple of 2, up to 256 */
    int32_t reach_back;          /* 0 to INT32_MAX: all */
    int32_t reach_ahead;         /* the same */
    float scale;                 /* positive */
    const float *bias;           /* NULL, or by distance, of the first head, bias[0] in the middle */
    size_t bias_stride;          /* elements from one head's to the next's */
    hd_plugin_type out_type;     /* F32, or that of q */
    void *out;                   /* [n_q, out_stride] */
    size_t out_stride;
} hd_plugin_attention;

/* One row of each sequence: row begin[i] + skip[i], or with skip NULL begin[i + 1] - 1. picked_x[i] = x[row], all of its
 * stride; picked_in[i] = in[row], unless their data is NULL; picked_positions[i] = positions[row]; picked_begin[i] = i. */
typedef struct hd_plugin_pick {
    int32_t n_sequences;
    const int32_t *begin, *skip, *positions;
    const float *x;
    float *picked_x;
    size_t stride;
    hd_plugin_act in, picked_in;
    int32_t *picked_begin; /* [n_sequences + 1] */
    int32_t *picked_positions;
} hd_plugin_pick;

/* to[i] = from[i], or to[i] += from[i]. */
typedef struct hd_plugin_copy {
    const float *from; /* [n_rows, from_stride] */
    size_t from_stride;
    float *to; /* [n_rows, to_stride] */
    size_t to_stride;
    int32_t n_rows, n;
    bool add;
} hd_plugin_copy;

typedef enum hd_plugin_pool_kind {
    HD_PLUGIN_POOL_FIRST = 0,
    HD_PLUGIN_POOL_MAX = 1, /* NaN where one is */
    HD_PLUGIN_POOL_MEAN = 2,
    HD_PLUGIN_POOL_MEAN_SQRT = 3,     /* sum over the square root of how many */
    HD_PLUGIN_POOL_WEIGHTED_MEAN = 4, /* row begin[i] + t weighs t + 1 */
    HD_PLUGIN_POOL_LAST = 5
} hd_plugin_pool_kind;

/* out[i] = what the kind makes of rows [begin[i] + skip[i], end[i]) of x, at least one; skip NULL: nothing is skipped. */
typedef struct hd_plugin_pool {
    hd_plugin_pool_kind kind;
    const float *x; /* [.., stride] */
    size_t stride;
    int32_t n, n_rows;
    const int32_t *begin, *end, *skip; /* [n_rows] */
    float *out;                        /* [n_rows, out_stride] */
    size_t out_stride;
} hd_plugin_pool;

/* to[i] = from[i] / max(|from[i]|, 1e-12). */
typedef struct hd_plugin_unit {
    const float *from; /* [n_rows, from_stride] */
    size_t from_stride;
    float *to; /* [n_rows, to_stride] */
    size_t to_stride;
    int32_t n_rows, n;
} hd_plugin_unit;

/* Learned sparse weights of each id of the vocabulary, of some tokens at a time: weights[i, id] is the sum, or the greatest,
 * of log(1 + max(logit, 0)), with log_twice of log(1 + that), over the tokens of sequence i. A NaN stays. collect takes in
 * tokens [first, first + n_rows) of the batch, and a sequence's first token finds zeros; it may leave the greatest logit
 * where weights are to be, for weigh, which follows the last tokens, to go over. */
typedef struct hd_plugin_vocab_pool {
    const float *logits; /* [n_rows, stride] */
    size_t stride;
    int32_t first, n_rows;
    const int32_t *begin; /* [n_sequences + 1] */
    int32_t n_sequences, vocab;
    bool sums, log_twice;
    float *weights; /* [n_sequences, vocab] */
} hd_plugin_vocab_pool;

/* ---- the two sides ---- */

/* What Heddle hands over. Lives as long as the process. */
typedef struct hd_plugin_host {
    uint32_t version, size; /* HD_PLUGIN_VERSION, bytes of this struct */
    void *(*alloc)(
        size_t bytes); /* memory of the host, NULL when there is none: what is counted and made to fail in tests */
    void (*free)(void *memory);
    void (*log)(bool is_warning, const char *line); /* one line for a person, no newline */
} hd_plugin_host;

typedef struct hd_plugin_device hd_plugin_device;
typedef struct hd_plugin_stream hd_plugin_stream;

/* What is known of an open device. Numbers below 0: not known. */
typedef struct hd_plugin_state {
    char name[64];   /* "NVIDIA H200" */
    char driver[64]; /* "driver 580.65, CUDA 13.0" */
    uint64_t memory_bytes, free_bytes;
    uint64_t stream_bytes; /* of the device's memory that a stream takes for itself */
    uint32_t types;        /* 1 << HD_PLUGIN_F32 and so on: of products */
    int32_t utilisation_percent, temperature_c, clock_mhz;
} hd_plugin_state;

/* Passes with equal keys make the same calls. */
typedef struct hd_plugin_key {
    uint64_t words[8];
} hd_plugin_key;

typedef struct hd_plugin {
    uint32_t version, size; /* HD_PLUGIN_VERSION, bytes of this struct; Heddle looks at nothing else before */
    uint32_t n_devices;

    /* Opens device [0, n_devices). `why`, [HD_PLUGIN_TEXT_BYTES], receives one line when it fails. Closing frees all that
     * was allocated on it; its streams were closed before. A device that failed or was lost is closed like any other. */
    hd_plugin_status (*open)(uint32_t index, hd_plugin_device **device, char *why);
    void (*close)(hd_plugin_device *device);
    void (*look)(hd_plugin_device *device, hd_plugin_state *state);

    /* Bytes at a multiple of 256. */
    hd_plugin_status (*alloc)(hd_plugin_device *device, size_t bytes, void **address, char *why);
    void (*free)(hd_plugin_device *device, void *address);

    /* Locks pages of the host's memory, so that copies from and to it need no other memory between and happen while the host
     * does something else. False: they stay as they are, and copies do the same. Memory is unpinned before it is freed, and
     * before the device is closed. */
    bool (*pin)(hd_plugin_device *device, void *host, size_t bytes);
    void (*unpin)(hd_plugin_device *device, void *host);

    hd_plugin_status (*stream_open)(hd_plugin_device *device, hd_plugin_stream **stream, char *why);
    void (*stream_close)(hd_plugin_stream *stream);

    /* Until all that was called on the stream is done; its first failure, with one line in `why`; then it is forgotten. */
    hd_plugin_status (*wait)(hd_plugin_stream *stream, char *why);

    /* The host's bytes are not touched by others until wait returns. */
    void (*upload)(hd_plugin_stream *stream, void *address, const void *host, size_t bytes);
    void (*download)(hd_plugin_stream *stream, void *host, const void *address, size_t bytes);
    void (*clear)(hd_plugin_stream *stream, void *address, size_t bytes); /* to zeros */

    /* The calls of a pass again, at once. A key stands for the same calls with the same arguments, of which none is wait,
     * upload or download; what they read may have changed. replay: true when it has called all that was recorded under the
     * key. False: they are to be called now, and then recorded, which is false when they were recorded and have not been
     * done: they are to be called and recorded once more. Whether anything is recorded is the plugin's to say. */
    bool (*replay)(hd_plugin_stream *stream, const hd_plugin_key *key);
    bool (*recorded)(hd_plugin_stream *stream);

    void (*embed)(hd_plugin_stream *stream, const hd_plugin_embed *embed);
    void (*change_rows)(hd_plugin_stream *stream, const hd_plugin_change_rows *change);
    void (*norm)(hd_plugin_stream *stream, const hd_plugin_norm *norm);
    void (*convert)(hd_plugin_stream *stream, const hd_plugin_convert *convert);
    void (*linear)(hd_plugin_stream *stream, const hd_plugin_linear *linear);
    void (*rotate)(hd_plugin_stream *stream, const hd_plugin_rotate *rotate);
    void (*attention)(hd_plugin_stream *stream, const hd_plugin_attention *attention);
    void (*pick)(hd_plugin_stream *stream, const hd_plugin_pick *pick);
    void (*copy)(hd_plugin_stream *stream, const hd_plugin_copy *copy);
    void (*pool)(hd_plugin_stream *stream, const hd_plugin_pool *pool);
    void (*unit)(hd_plugin_stream *stream, const hd_plugin_unit *unit);
    void (*collect)(hd_plugin_stream *stream, const hd_plugin_vocab_pool *pool);
    void (*weigh)(hd_plugin_stream *stream, const hd_plugin_vocab_pool *pool);
} hd_plugin;

/* The plugin, or NULL with one line in `why`, [HD_PLUGIN_TEXT_BYTES]: what was found and what is needed. It may be called
 * again, and answers the same or what holds by then. What it returns lives as long as the process. */
typedef const hd_plugin *hd_plugin_begin_fn(const hd_plugin_host *host, char *why);

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
hd_plugin_begin_fn hd_plugin_begin;

#ifdef __cplusplus
}
#endif

#endif
