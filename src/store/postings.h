/* postings.h - which chunks have a term, and how much of it: one inverted index for words (BM25) and one for the weights of
 * learned sparse heads. A part of the store (store.c is its only caller but for tests); docs/STORE.md has its tables.
 *
 * Chunk numbers only grow, so that lists only grow at their ends: a list is blocks of postings, each with the bounds
 * that let a search pass it by (Ding and Suel 2011, block-max indexes). Searches are exact: the k best by score,
 * whatever is passed by. Dead chunks stay in lists until compaction; a search leaves out what is not in `allowed`.
 *
 * Threads: as vectors.h.
 */
#ifndef HD_STORE_POSTINGS_H
#define HD_STORE_POSTINGS_H

#include <sqlite3.h>

#include "store/legs.h"

typedef struct hd_postings hd_postings;

/* The tables of both indexes, in a write transaction. language: of the stemmer ("english", "none", Snowball's names). */
HD_MUST_USE hd_status hd__postings_create(sqlite3 *db, const char *language, hd_error *err);
HD_MUST_USE hd_status hd__postings_open(sqlite3 *db, hd_postings **postings, hd_error *err);
void hd__postings_close(hd_postings *postings);
HD_MUST_USE hd_status hd__postings_refresh(hd_postings *postings, sqlite3 *db, hd_error *err);

/* A chunk's words. The text's count once, the title's and section's as given by their weight. Kept in memory until `flush`,
 * which the store calls before it commits. Ids ascend. */
HD_MUST_USE hd_status hd__postings_add_text(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_span title,
                                            hd_span section, hd_span text, hd_error *err);
HD_MUST_USE hd_status hd__postings_add_sparse(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_sparse_vector weights,
                                              hd_error *err);
/* A chunk goes: the counts that BM25's weights come from go down; its postings stay. */
HD_MUST_USE hd_status hd__postings_remove_text(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_span title,
                                               hd_span section, hd_span text, hd_error *err);
HD_MUST_USE hd_status hd__postings_flush(hd_postings *postings, sqlite3 *db, hd_error *err);
void hd__postings_commit(hd_postings *postings);
void hd__postings_rollback(hd_postings *postings);

/* allowed is never NULL. */
HD_MUST_USE hd_status hd__postings_bm25(hd_postings *postings, sqlite3 *db, hd_span query, size_t k,
                                        const hd_bitmap *allowed, hd_ranked *out, size_t *n, hd_error *err);
HD_MUST_USE hd_status hd__postings_sparse(hd_postings *postings, sqlite3 *db, hd_sparse_vector query, size_t k,
                                          const hd_bitmap *allowed, hd_ranked *out, size_t *n, hd_error *err);

/* As hd__leg_matches. */
HD_MUST_USE hd_status hd__postings_matches(hd_postings *postings, sqlite3 *db, hd_span query, hd_span text,
                                           hd_match *matches, size_t max, size_t *n, hd_error *err);

uint64_t hd__postings_memory(hd_postings *postings);
HD_MUST_USE hd_status hd__postings_check(sqlite3 *db, uint32_t n_chunks, void (*found)(const char *what, void *data),
                                         void *data, hd_error *err);
HD_MUST_USE hd_status hd__postings_compact(sqlite3 *from, sqlite3 *to, const hd_bitmap *live, hd_error *err);

#endif
