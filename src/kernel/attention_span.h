/* attention_span.h - which queries are taken together and which keys they see, the same for all levels.
 *
 * Queries are taken in blocks, one a lane. Where reach limits what they see, a block is the queries that stand at
 * positions [width * i, width * (i + 1)), so that a query's keys, the blocks these are taken in, and with them its bits,
 * depend on its position alone. The keys of a block begin at a multiple of K_SPAN_STEP.
 */
#ifndef HD_KERNEL_ATTENTION_SPAN_H
#define HD_KERNEL_ATTENTION_SPAN_H

#include "kernel/attention.h"

#define K_SPAN_STEP 32

typedef struct k_span {
    int row, n;           /* queries: rows [row, row + n) of q */
    int first;            /* position of the first of them */
    int begin, end;       /* keys that any query of the block may see */
    int all_from, all_to; /* keys [all_from, all_to) are seen by all of them */
    int back, ahead;
} k_span;

static inline bool k_attention_limited(const k_attention *t)
{
    return t->reach_back < t->n_k || t->reach_ahead < t->n_k;
}

/* The block that begins at a row of q; n is 0 when there are no more rows. */
static inline k_span k_span_at(const k_attention *t, int row, int width)
{
    const int left = t->n_q - row, first = t->q_first + row;
    k_span s = {.row = row, .n = left < width ? left : width, .first = first, .end = t->n_k, .all_to = t->n_k};
    if (left <= 0 || !k_attention_limited(t))
        return s;
    s.back = t->reach_back < t->n_k ? t->reach_back : t->n_k;
    s.ahead = t->reach_ahead < t->n_k ? t->reach_ahead : t->n_k;
    const int low = first / width * width, high = low + width - 1; /* the whole block, present or not */
    s.n = left < high + 1 - first ? left : high + 1 - first;
    s.begin = low > s.back ? (low - s.back) / K_SPAN_STEP * K_SPAN_STEP : 0;
    s.end = s.ahead < t->n_k - 1 - high ? high + s.ahead + 1 : t->n_k;
    s.all_from = high - s.back;
    s.all_to = low + s.ahead + 1;
    return s;
}

/* Whether scores of keys [j, j + n_keys) need k_span_scores. */
static inline bool k_span_cuts(const k_span *s, int j, int n_keys)
{
    return j < s->all_from || j + n_keys > s->all_to;
}

#endif
