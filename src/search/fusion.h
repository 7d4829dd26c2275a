/* fusion.h - one list from several: the legs' lists of chunks, each with scores of its own scale, become candidates in one
 * order.
 *
 *   RRF     sum of weight / (k + rank), ranks from 1 (Cormack, Clarke and Büttcher 2009): scores do not count
 *   MINMAX  weighted sum of scores scaled to [0, 1]; all equal: 1 (OpenSearch's normalisation of a single hit)
 *   ZSCORE  weighted sum of (score - mean) / standard deviation; all equal: 0
 *   DBSF    weighted sum of scores scaled from [mean - 3 sd, mean + 3 sd] to [0, 1], sd of a sample; all equal: 0.5
 *           (Qdrant's distribution-based score fusion)
 *
 * Scores are scaled over all candidates that have one in the leg. What a candidate without a score gets from a leg is never
 * more than what one with a score gets: 0 of RRF, MINMAX and DBSF; of ZSCORE the least that any has, -1 where all are equal.
 *
 * The order is total: score, then dense rank, then id.
 */
#ifndef HD_SEARCH_FUSION_H
#define HD_SEARCH_FUSION_H

#include "base/arena.h"
#include "heddle/index.h"
#include "store/document.h"
#include "store/legs.h"

/* Places of the legs in arrays of HD_N_LEGS. */
enum { HD_AT_BM25, HD_AT_DENSE, HD_AT_SPARSE, HD_AT_MULTI, HD_AT_RERANK };

/* By place, and by number; NULL at the end. */
extern const char *const hd__leg_names[HD_N_LEGS + 1];         /* "bm25", "dense", "sparse", "multi", "rerank" */
extern const char *const hd__fusion_names[HD_FUSION_DBSF + 2]; /* "rrf", "minmax", "zscore", "dbsf" */

/* What a name of n bytes means; HD_N_LEGS, or false, when nothing. */
size_t hd__leg_find(const char *name, size_t n);
bool hd__fusion_find(const char *name, size_t n, hd_fusion *fusion);

typedef struct hd_candidate {
    hd_chunk_id id;
    float scores[HD_N_LEGS];   /* as the leg gives them; NaN: none */
    uint32_t ranks[HD_N_LEGS]; /* from 1; 0: not in the leg's list */
    float fused;
    uint32_t fused_rank;         /* from 1 */
    float score;                 /* that orders: fused, until something better is known */
    uint32_t place;              /* the caller's, which sorting moves along */
    const hd_chunk_found *found; /* its row and its document's; NULL until somebody needs them */
} hd_candidate;

typedef struct hd_ranked_list {
    const hd_ranked *items; /* [n] best first, no id twice */
    size_t n;
} hd_ranked_list;

/* Each id of the lists once, ascending, with its scores and ranks; on the arena. */
HD_MUST_USE hd_status hd__candidates_collect(const hd_ranked_list lists[HD_N_LEGS], hd_arena *arena,
                                             hd_candidate **candidates, size_t *n, hd_error *err);

typedef struct hd_fuse_options {
    uint32_t legs; /* hd_leg bits that take part; of one alone the fused score is its own */
    hd_fusion fusion;
    float rrf_k;              /* above 0 */
    float weights[HD_N_LEGS]; /* 0 and more */
} hd_fuse_options;

/* Sets fused, fused_rank and score, and puts candidates in order. */
void hd__fuse(hd_candidate *candidates, size_t n, const hd_fuse_options *options);

/* Puts candidates in the order of `score`; of equal ones as above. */
void hd__candidates_sort(hd_candidate *candidates, size_t n);

#endif
