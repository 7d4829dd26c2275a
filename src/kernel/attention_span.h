/* attention_span.h - the order of the work in attention, the same for all levels: which queries are taken together, which
 * keys they see, and when.
 *
 * Queries are taken in blocks, one a lane. Where reach limits what they see, a block is the queries that stand at
 * positions [width * i, width * (i + 1)), so that a query's keys, the blocks these are taken in, and with them its bits,
 * depend on its position alone. The keys of a block of queries begin at a multiple of K_SPAN_STEP.
 *
 * Blocks of queries form groups: a block of keys, once it is in L2 or nearer, is used by all of a group. With 8,192 keys
 * of 64 values k and v are 2 to 4 MB, which each block of queries alone would fetch from L3.
 */
#ifndef HD_KERNEL_ATTENTION_SPAN_H
#define HD_KERNEL_ATTENTION_SPAN_H

#include "kernel/attention.h"

#define K_SPAN_STEP 32
#define K_SPAN_QUERIES 256  /* of a group */
#define K_SPAN_WIDTH_MAX 32 /* queries in a block, the least is 8 */

/* A block of queries and the keys at hand. */
typedef struct k_span {
    int head, block;      /* query head; place in the group: the block's memory */
    int row, n;           /* queries: rows [row, row + n) of q */
    int first;            /* position of the first of them */
    int begin, end;       /* keys that any query of the block may see */
    int all_from, all_to; /* keys [all_from, all_to) are seen by all of them */
    int back, ahead;      /* reach, at most all positions */
    int key, n_keys;      /* the keys at hand: [key, key + n_keys) */
} k_span;

typedef void k_span_fn(void *state, const k_span *span);

static inline k_span k_span_at(const k_attention *t, int head, int row, int width)
{
    const int left = t->n_q - row, first = t->q_first + row;
    const int behind = t->q_first + t->n_q, n = behind > t->n_k ? behind : t->n_k; /* positions */
    k_span s = {.head = head, .row = row, .n = left < width ? left : width, .first = first, .end = t->n_k, .all_to = t->n_k};
    if (t->reach_back >= n && t->reach_ahead >= n)
        return s;
    s.back = t->reach_back < n ? t->reach_back : n;
    s.ahead = t->reach_ahead < n ? t->reach_ahead : n;
    const int low = first / width * width, high = low + width - 1; /* the whole block, present or not */
    s.n = left < high + 1 - first ? left : high + 1 - first;
    s.begin = low > s.back ? (low - s.back) / K_SPAN_STEP * K_SPAN_STEP : 0;
    s.end = s.ahead < t->n_k - 1 - high ? high + s.ahead + 1 : t->n_k;
    s.all_from = high - s.back;
    s.all_to = low + s.ahead + 1;
    return s;
}

/* Whether some query does not see some of the keys at hand. */
static inline bool k_span_cuts(const k_span *s)
{
    return s->key < s->all_from || s->key + s->n_keys > s->all_to;
}

static inline bool k_span_is_first(const k_span *s)
{
    return s->key == s->begin;
}

static inline bool k_span_is_last(const k_span *s)
{
    return s->key + s->n_keys == s->end;
}

/* The bias of the block's head at distance 0, or NULL. */
static inline const float *k_span_bias(const k_attention *t, const k_span *s)
{
    return t->bias != NULL ? t->bias + (size_t)s->head * t->bias_stride : NULL;
}

/* For each block of queries: begin, then keys for at most `most` keys at a time, ascending, then end. */
static inline __attribute__((always_inline)) void k_span_visit(const k_attention *t, const int width, const int most,
                                                               void *state, k_span_fn *begin, k_span_fn *keys,
                                                               k_span_fn *end)
{
    const int blocks = t->n_k <= most ? 1 : K_SPAN_QUERIES / width; /* keys used once make no group: memory is warm then */
    for (int head = 0; head < t->n_heads; head++) {
        for (int row = 0; row < t->n_q;) {
            k_span group[K_SPAN_QUERIES / 8];
            int n = 0;
            for (; n < blocks && row < t->n_q; row += group[n++].n) {
                group[n] = k_span_at(t, head, row, width);
                group[n].block = n;
                group[n].key = group[n].begin;
                begin(state, &group[n]);
            }
            for (bool more = true; more;) {
                more = false;
                for (k_span *s = group; s < group + n; s++) {
                    s->n_keys = s->end - s->key < most ? s->end - s->key : most;
                    if (s->n_keys > 0)
                        keys(state, s);
                    s->key += s->n_keys;
                    more = more || s->key < s->end;
                }
            }
            for (const k_span *s = group; s < group + n; s++)
                end(state, s);
        }
    }
}

/* What a group keeps at the start of the scratch: for each query head_dim values of q and as many of the output. */
static inline size_t k_span_floats(int head_dim)
{
    return (size_t)2 * K_SPAN_QUERIES * (size_t)head_dim;
}

/* The block's part of that, [head_dim][width] f32 or less, twice. */
static inline float *k_span_memory(const k_attention *t, const k_span *s, int width)
{
    return (float *)t->scratch + (size_t)s->block * 2 * (size_t)width * (size_t)t->head_dim;
}

#endif
