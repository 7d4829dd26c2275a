/* ranking.h - what becomes of the fused list: reranked scores blended in, one hit for each document, another order.
 */
#ifndef HD_SEARCH_RANKING_H
#define HD_SEARCH_RANKING_H

#include "search/fusion.h"

/* The score of n candidates that all have been reranked (scores[leg]; NaN counts as 0), and their order by it: the
 * reranker's own where blend is 1, else blend * reranked + (1 - blend) * fused, both scaled to [0, 1] over the n (all equal:
 * 1).
 */
void hd__ranking_blend(hd_candidate *candidates, size_t n, size_t leg, float blend);

/* Keeps those whose score of a leg (HD_N_LEGS: the one that orders) is at least `least`; a candidate without one goes.
 * Returns how many there are left. */
size_t hd__ranking_floor(hd_candidate *candidates, size_t n, size_t leg, float least);

/* Keeps the first candidate of each document; documents[i] is any text that tells candidate i's from others, and is
 * moved along. Returns how many there are left. */
size_t hd__ranking_group(hd_candidate *candidates, const char **documents, size_t n);

/* order[i]: which of n hits, best first, stands at place i: of 4 and more 0, 1, 4, 5, …, 2, 3 (AnyLoom's "sandwich", after
 * Liu et al. 2024, "Lost in the Middle": readers use what stands first and last). */
void hd__ranking_sandwich(uint32_t *order, size_t n);

#endif
