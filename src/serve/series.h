/* series.h - numbers that any thread may add to without a lock: counters, histograms, and tables of them by labels.
 *
 * Additions are relaxed atomics and never wait; whoever reads sees each number as it was at some moment of the reading.
 * Histograms count integers (nanoseconds, tokens, texts), so that sums are exact.
 */
#ifndef HD_SERVE_SERIES_H
#define HD_SERVE_SERIES_H

#include <stdatomic.h>

#include "base/status.h"

typedef _Atomic uint64_t hd_counter; /* zero is a counter of nothing */

static inline void hd__counter_add(hd_counter *counter, uint64_t n)
{
    if (n != 0) /* much of what is counted mostly does not happen */
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t hd__counter_get(const hd_counter *counter)
{
    return atomic_load_explicit((hd_counter *)counter, memory_order_relaxed); /* C17 loads take no const */
}

/* ---- histograms ---- */

#define HD_HISTOGRAM_BOUNDS 36
#define HD_BOUND_TEXT_BYTES 16

/* Upper bounds, inclusive, ascending; what is above the last has a bucket of its own. */
typedef struct hd_buckets {
    size_t n;
    uint64_t bounds[HD_HISTOGRAM_BOUNDS];
    double unit; /* what one is when it is shown: 1e-9 for nanoseconds shown as seconds */
    char texts[HD_HISTOGRAM_BOUNDS][HD_BOUND_TEXT_BYTES]; /* bounds as they are shown: hd__buckets_init's */
} hd_buckets;

/* After n, bounds and unit are set. */
void hd__buckets_init(hd_buckets *buckets);

typedef struct hd_histogram { /* zero is an empty one */
    hd_counter counts[HD_HISTOGRAM_BOUNDS + 1];
    hd_counter sum;
} hd_histogram;

/* n observations of one value. */
void hd__histogram_add(hd_histogram *histogram, const hd_buckets *buckets, uint64_t value, uint64_t n);

/* ---- tables ---- */

#define HD_SERIES_LABELS 4
#define HD_SERIES_LABEL_BYTES 256 /* longer values are cut */

typedef struct hd_series_table hd_series_table;

/* A table of at most max_series values of value_bytes, zeroed at first, by n_labels label values. */
HD_MUST_USE hd_status hd__series_open(size_t n_labels, size_t value_bytes, size_t max_series, hd_series_table **table,
                                      hd_error *err);
void hd__series_close(hd_series_table *table); /* NULL allowed */

/* The value of these labels (NULL counts as ""), made when there is none yet. Never NULL: when the table is full, or
 * memory is, all further labels share one value whose labels are "other". */
void *hd__series_at(hd_series_table *table, const char *const *labels);

/* Walks the values: the first at or after *place, which is set past it; NULL after the last. Labels live as long as the
 * table. */
void *hd__series_next(const hd_series_table *table, size_t *place, const char *const **labels);

#endif
