/* postings.h - which chunks have a term, and how much of it: one inverted index for words (BM25) and one for the weights of
 * learned sparse heads. A part of the store (store.c is its only caller but for tests); docs/STORE.md has its tables.
 *
 * What is committed is a row of segments (segment.h), each of a stretch of chunk numbers and never changed: a commit writes
 * one of its own, and when there are several of about the same size at the end, one of all of them in their place. So a
 * commit of one chunk writes a few rows, and a chunk is written again as often as the logarithm of their number. A segment's
 * posting lists are blocks with bounds that let a search pass them by. Searches are exact: the k best by score,
 * whatever is passed by.
 *
 * BM25 is score(q, d) = sum over t in q of n(t, q) * idf(t) * tf / (tf + k1 * (1 - b + b * length / mean length)),
 * idf(t) = ln(1 + (N - df + 0.5) / (df + 0.5)), k1 = 1.2, b = 0.75 (Robertson and Zaragoza 2009, with Lucene's idf and
 * without the factor k1 + 1, which changes no order). Fields are weighed as in BM25F with one length: a chunk's title and
 * section count as if they stood HD_BM25_HEADING_WEIGHT times in its text. N, df and lengths are those of the chunks that
 * were added and not removed. A sparse score is the sum of products of the query's weights with the chunk's, which are kept
 * as halves.
 *
 * A query is text: every word of it counts, none is required. What is in double quotes must be in a chunk, word for word;
 * what is in double quotes with a minus before must not be. (A minus before a bare word means nothing: "grep -r" and
 * "find -name" are questions, too.) A quote without an end is no quote. Nothing in a query is an error.
 *
 * Threads: searches from any thread, each with a connection of its own; add, remove, flush and rollback by the one writer.
 * The lock in postings.c is held for moments.
 */
#ifndef HD_STORE_POSTINGS_H
#define HD_STORE_POSTINGS_H

#include <sqlite3.h>

#include "store/legs.h"

#define HD_BM25_K1 1.2
#define HD_BM25_B 0.75
#define HD_BM25_HEADING_WEIGHT 2

typedef struct hd_postings hd_postings;

/* The tables of both indexes, in a write transaction. language: of the stemmer ("english", "none", Snowball's names);
 * HD_ERR_ARG lists them. */
HD_MUST_USE hd_status hd__postings_create(sqlite3 *db, const char *language, hd_error *err);

/* Reads the language and nothing else. What other processes commit is noticed by each search: nothing has to be told. */
HD_MUST_USE hd_status hd__postings_open(sqlite3 *db, hd_postings **postings, hd_error *err);
void hd__postings_close(hd_postings *postings);

/* A chunk's words. Kept in memory until `flush`, which the store calls before it commits. Ids ascend. */
HD_MUST_USE hd_status hd__postings_add_text(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_span title,
                                            hd_span section, hd_span text, hd_error *err);

/* Weights that are not positive are left out; HD_ERR_ARG for those that are not finite. */
HD_MUST_USE hd_status hd__postings_add_sparse(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_sparse_vector weights,
                                              hd_error *err);

/* A chunk goes: the counts that BM25's weights come from go down as if it had never been there; its postings stay. The
 * texts are those it was added with. */
HD_MUST_USE hd_status hd__postings_remove_text(hd_postings *postings, hd_span title, hd_span section, hd_span text,
                                               hd_error *err);

/* Writes what was added and removed; may be called more than once in a transaction. */
HD_MUST_USE hd_status hd__postings_flush(hd_postings *postings, sqlite3 *db, hd_error *err);

/* Forgets what was added and removed since the last flush; what that wrote goes with the transaction. */
void hd__postings_rollback(hd_postings *postings);

/* allowed is never NULL. Every list is of positive scores. */
HD_MUST_USE hd_status hd__postings_bm25(hd_postings *postings, sqlite3 *db, hd_span query, size_t k,
                                        const hd_bitmap *allowed, hd_ranked *out, size_t *n, hd_error *err);
HD_MUST_USE hd_status hd__postings_sparse(hd_postings *postings, sqlite3 *db, hd_sparse_vector query, size_t k,
                                          const hd_bitmap *allowed, hd_ranked *out, size_t *n, hd_error *err);

/* As hd__leg_matches. */
HD_MUST_USE hd_status hd__postings_matches(hd_postings *postings, sqlite3 *db, hd_span query, hd_span text,
                                           hd_match *matches, size_t max, size_t *n, hd_error *err);

/* Whether the query has quotes that say something: only then is there need for `narrow` and `admits`. */
bool hd__postings_has_quotes(hd_span query);

/* Takes from `chunks` those that lack a word that the query has in quotes, or have one that stands alone in quotes with a
 * minus: what remains is a superset of what `admits`, for any leg to search. */
HD_MUST_USE hd_status hd__postings_narrow(hd_postings *postings, sqlite3 *db, hd_span query, hd_bitmap *chunks,
                                          hd_error *err);

/* Whether one of the texts (a chunk's title, section and text) has each quote, and none has one with a minus. */
HD_MUST_USE hd_status hd__postings_admits(hd_postings *postings, hd_span query, const hd_span *texts, size_t n_texts,
                                          bool *admits, hd_error *err);

typedef struct hd_postings_stats {
    uint64_t n_terms; /* of words; those in several segments are counted in each */
    uint64_t n_segments, disk_bytes, memory_bytes;
} hd_postings_stats;
HD_MUST_USE hd_status hd__postings_get_stats(hd_postings *postings, sqlite3 *db, hd_postings_stats *stats, hd_error *err);

/* Reads all of it, and calls `found` for each fault. */
HD_MUST_USE hd_status hd__postings_check(sqlite3 *db, uint32_t n_chunks, void (*found)(const char *what, void *data),
                                         void *data, hd_error *err);

/* Writes the live chunks of one database's tables to another's empty ones, numbered anew in their order, as one segment. */
HD_MUST_USE hd_status hd__postings_compact(sqlite3 *from, sqlite3 *to, const hd_bitmap *live, hd_error *err);

#endif
