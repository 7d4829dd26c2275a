/* postings_query.h - what a query's text asks of the words: see postings.h.
 *
 *   query  = { stretch | quote }
 *   quote  = ["-"] '"' text without '"' '"'      a minus counts at the beginning or after a blank alone
 *
 * Words outside of quotes and in quotes without a minus are the terms that chunks are ranked by.
 */
#ifndef HD_STORE_POSTINGS_QUERY_H
#define HD_STORE_POSTINGS_QUERY_H

#include "store/postings_search.h"
#include "store/words.h"

typedef struct hd_query_quote {
    bool is_excluded;
    size_t first, n; /* of its words in `quoted` */
} hd_query_quote;

typedef struct hd_query {
    hd_search_term *terms; /* [n_terms] different ones, weighed by how often they are there */
    size_t n_terms;
    hd_query_quote *quotes; /* [n_quotes] those that have words */
    size_t n_quotes;
    hd_span *quoted; /* [n_quoted] their words in their order */
    size_t n_quoted;
    hd_arena memory;
} hd_query;

bool hd__query_has_quotes(hd_span query);

/* words: one of the index's language, free again afterwards. Of more than HD_LIMIT_QUERY_TERMS different words the first
 * count. `clear` after failure, too. */
HD_MUST_USE hd_status hd__query_parse(hd_span text, hd_words *words, hd_query *query, hd_error *err);
void hd__query_clear(hd_query *query);

/* The number of a term. */
bool hd__query_find(const hd_query *query, hd_span text, size_t *term);

/* As hd__postings_admits. */
HD_MUST_USE hd_status hd__query_admits(const hd_query *query, hd_words *words, const hd_span *texts, size_t n_texts,
                                       bool *admits, hd_error *err);

#endif
