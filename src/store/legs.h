/* legs.h - lists of chunks, best first: by words, by dense vectors, by sparse weights, by token vectors.
 *
 * All lists hold live chunks of the snapshot alone, `allowed` ones where it is not NULL; of equal scores the lower
 * number comes first. *n is at most k.
 */
#ifndef HD_STORE_LEGS_H
#define HD_STORE_LEGS_H

#include "heddle/heddle.h"
#include "store/bitmap.h"

typedef struct hd_ranked {
    hd_chunk_id id;
    float score; /* more is better */
} hd_ranked;

/* BM25 (Robertson and Zaragoza 2009; k1 1.2, b 0.75) over title, section and text, stemmed, case and accents folded.
 * `language` of the stemmer is a setting of the store. */
HD_MUST_USE hd_status hd__leg_bm25(hd_snapshot *snapshot, hd_span query, size_t k, const hd_bitmap *allowed, hd_ranked *out,
                                   size_t *n, hd_error *err);

/* Chunks of code that have the query's text as it stands, in letters of either case, as a word or a part of one: by how
 * often, against their length. Nothing in it has a meaning. None for fewer than three characters (trigram.h). */
HD_MUST_USE hd_status hd__leg_trigram(hd_snapshot *snapshot, hd_span query, size_t k, const hd_bitmap *allowed,
                                      hd_ranked *out, size_t *n, hd_error *err);

/* Cosine, or the product where the identity says so; exact below HD_STORE_SCAN_MAX chunks or allowed chunks, else by the
 * graph. `exact` asks for the scan at any size. Scores come from the vectors kept in 16 bits. */
HD_MUST_USE hd_status hd__leg_dense(hd_snapshot *snapshot, const float *query, size_t k, const hd_bitmap *allowed,
                                    bool exact, hd_ranked *out, size_t *n, hd_error *err);

/* Sum of products of weights with equal ids. */
HD_MUST_USE hd_status hd__leg_sparse(hd_snapshot *snapshot, hd_sparse_vector query, size_t k, const hd_bitmap *allowed,
                                     hd_ranked *out, size_t *n, hd_error *err);

/* hd_maxsim of given chunks, in their order; NaN where a chunk has no token vectors. */
HD_MUST_USE hd_status hd__leg_multi(hd_snapshot *snapshot, const float *query, size_t n_query_vectors,
                                    const hd_chunk_id *ids, size_t n, float *scores, hd_error *err);

/* The dense vectors of chunks as they are kept, [n, n_dimensions]; zeros for one that has none. */
HD_MUST_USE hd_status hd__leg_vectors(hd_snapshot *snapshot, const hd_chunk_id *ids, size_t n, float *vectors,
                                      hd_error *err);

/* Where in a text the query's words are, for highlights: spans ascending, at most max; and how rare each is (idf). */
typedef struct hd_match {
    uint32_t begin, end; /* bytes */
    float weight;
    uint32_t term; /* equal for equal words of the query */
} hd_match;
HD_MUST_USE hd_status hd__leg_matches(hd_snapshot *snapshot, hd_span query, hd_span text, hd_match *matches, size_t max,
                                      size_t *n, hd_error *err);

/* What a query's quotes ask of a chunk, whichever leg found it (postings.h). Only where has_quotes is there need for narrow,
 * which takes from `chunks` what lacks a word of them, and for admits, of a chunk's title, section and text. */
bool hd__leg_has_quotes(hd_span query);
HD_MUST_USE hd_status hd__leg_narrow(hd_snapshot *snapshot, hd_span query, hd_bitmap *chunks, hd_error *err);
HD_MUST_USE hd_status hd__leg_admits(hd_snapshot *snapshot, hd_span query, const hd_span *texts, size_t n_texts,
                                     bool *admits, hd_error *err);

#endif
