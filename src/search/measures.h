/* measures.h - how good a ranking is, by relevance judgements; the figures of trec_eval.
 *
 *   nDCG@k    sum over ranks of grade / log2(rank + 1), over that of the best order there is (Järvelin and Kekäläinen 2002)
 *   MRR@k     1 / rank of the first relevant one, 0 past k
 *   recall@k  relevant ones among the first k, of all that are relevant
 *
 * Relevant is what has a grade of 1 and more; grades below 0 count as 0.
 */
#ifndef HD_SEARCH_MEASURES_H
#define HD_SEARCH_MEASURES_H

#include "base/status.h"

typedef struct hd_measures {
    double ndcg_10, mrr_10, recall_10, recall_100;
} hd_measures;

/* ranked: grades of what was found, best first, 0 for what nobody judged. judged: grades of all that was judged, in any
 * order; sorted by this. All zero when nothing is relevant. */
hd_measures hd__measures_of(const int32_t *ranked, size_t n_ranked, int32_t *judged, size_t n_judged);

#endif
