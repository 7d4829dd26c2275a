/* evaluation.h - how well an index answers queries with judgements, for many ways of making one list of the legs' at once:
 * each query is searched once, its candidates are kept, and fused as often as wanted.
 *
 * A judgement is of a document, by its id, or of a chunk, by its own. Of each document the best chunk counts.
 */
#ifndef HD_SEARCH_EVALUATION_H
#define HD_SEARCH_EVALUATION_H

#include "search/fusion.h"
#include "search/judgements.h"
#include "search/measures.h"

#define HD_EVALUATION_DEPTH 100u /* hits that measures look at */

/* What the legs found for one query. */
typedef struct hd_evaluated_query {
    const hd_judged_query *judged;
    hd_candidate *candidates; /* [n] `found` is NULL */
    const char **documents;   /* [n] what is told of candidate i: the document's id, or the chunk's where that was judged */
    int32_t *grades;          /* [n] */
    size_t n;
    bool held_out; /* not looked at when weights are chosen */
} hd_evaluated_query;

typedef struct hd_evaluation {
    hd_evaluated_query *queries; /* [n] */
    size_t n;
    uint32_t legs;       /* that took part in every query */
    const char *warning; /* of the first search that had one; "" */
    hd_arena arena;
} hd_evaluation;

/* Runs all queries with the legs, candidates and filter of `search`. `progress` (may be NULL) is asked before each; false is
 * HD_ERR_CANCELLED. */
HD_MUST_USE hd_status hd__evaluation_run(hd_index *index, const hd_search *search, const hd_judged_query *judged, size_t n,
                                         bool (*progress)(size_t done, void *data), void *data, hd_evaluation *evaluation,
                                         hd_error *err);
void hd__evaluation_clear(hd_evaluation *evaluation);

typedef enum hd_evaluation_part { HD_EVALUATION_ALL, HD_EVALUATION_TRAIN, HD_EVALUATION_HELD_OUT } hd_evaluation_part;

/* Means over the queries of a part. `ranked` (may be NULL) is called for each document in order. */
typedef void hd_ranked_document_fn(const hd_judged_query *query, const char *document, size_t rank, float score, void *data);
HD_MUST_USE hd_status hd__evaluation_measure(const hd_evaluation *evaluation, const hd_fuse_options *options,
                                             hd_evaluation_part part, hd_ranked_document_fn *ranked, void *data,
                                             hd_measures *means, hd_error *err);

/* The fusion and weights with the best nDCG@10 on the queries that are not held out: every fusion, and for it weights
 * changed one after the other, by tenths of their sum, as long as that helps. */
HD_MUST_USE hd_status hd__evaluation_tune(const hd_evaluation *evaluation, hd_fuse_options *best, hd_error *err);

#endif
