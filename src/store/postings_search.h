/* postings_search.h - the k best chunks by a weighted sum over terms, exactly: one engine for BM25 and for sparse weights.
 *
 * Window by window of chunk numbers (HD_SEARCH_WINDOW), each term has a bound: the best that its blocks there can give
 * (Ding and Suel 2011: block-max indexes). The terms with the least bounds that together cannot lift a chunk over the k-th
 * best so far are "not essential" (MaxScore: Turtle and Flood 1995): all postings of the others are summed up in an array,
 * and only for the sums that can still be among the best the rest is looked up, the greatest bounds first. A window in which
 * no term is essential is passed by. This is the order of work of Lucene's MaxScoreBulkScorer. Where few chunks of a window
 * are allowed, nothing is summed up and all terms are looked up for those.
 *
 * Scores are integers while they are summed, in units of the sum of all terms' bounds / 2^30: sums do not depend on their
 * order, so equal chunks have equal scores and no bound is off by a rounding. A posting gives at least one unit.
 */
#ifndef HD_STORE_POSTINGS_SEARCH_H
#define HD_STORE_POSTINGS_SEARCH_H

#include "store/legs.h"
#include "store/postings_view.h"

typedef struct hd_search_term {
    hd_span text;
    float weight; /* BM25: how often the query has it; sparse: its weight */
} hd_search_term;

/* Terms are different ones, at most HD_LIMIT_QUERY_TERMS. */
HD_MUST_USE hd_status hd__postings_rank(hd_view_reader *reader, hd_segment_kind kind, const hd_search_term *terms,
                                        size_t n_terms, size_t k, const hd_bitmap *allowed, hd_ranked *out, size_t *n,
                                        hd_error *err);

/* idf of a term that df of n chunks have. */
float hd__bm25_idf(uint64_t n, uint64_t df);

#endif
