/* mmr.h - maximal marginal relevance (Carbonell and Goldstein 1998): hits that are relevant and not what was shown before.
 *
 * Each pick is the candidate with the greatest
 *
 *   lambda * relevance - (1 - lambda) * (greatest cosine to a picked one)
 *
 * where relevance is the score scaled to [0, 1] over the candidates (all equal: 1). Of equal values the earlier one.
 */
#ifndef HD_SEARCH_MMR_H
#define HD_SEARCH_MMR_H

#include "base/arena.h"
#include "base/status.h"

/* Whether the search is wanted still; NULL: it is. */
typedef bool hd_mmr_wanted(void *data);

/* Numbers of the n_picked (at most n) picked of n candidates, in the order of picking. vectors is [n, n_dimensions], of any
 * length; scores [n] descend. HD_ERR_CANCELLED when it is no longer wanted, which is asked before each pick. */
HD_MUST_USE hd_status hd__mmr_pick(const float *scores, const float *vectors, size_t n, size_t n_dimensions, float lambda,
                                   size_t n_picked, hd_mmr_wanted *wanted, void *data, hd_arena *arena, uint32_t *picked,
                                   hd_error *err);

#endif
