/* searcher.h - one search on its way from a query to hits: what its steps share. searcher.c is the pipeline, legs and all
 * that orders candidates; search_hits.c what is shown of them; search_options.c what was asked for.
 */
#ifndef HD_SEARCH_SEARCHER_H
#define HD_SEARCH_SEARCHER_H

#include "base/buffer.h"
#include "search/fusion.h"
#include "search/handle.h"
#include "store/filter.h"

typedef struct hd_searching {
    hd_index *index;
    hd_snapshot *snapshot;
    const hd_identity *identity;
    hd_search wanted;    /* with every default filled in */
    hd_span query;       /* as it was given, for words and quotes */
    hd_text plain_query; /* without quotes, for models */
    uint32_t legs;       /* that take part: hd_leg bits; those that fail are taken out */
    bool has_quotes;
    const hd_bitmap *allowed; /* what the filter lets through, less what the quotes rule out */
    hd_bitmap narrowed;       /* that, where there are quotes */
    hd_chunk_vectors vectors; /* of the query */
    void *vectors_memory;
    hd_candidate *candidates; /* [n] */
    size_t n;
    hd_arena *arena; /* of the results */
    hd_results *results;
    hd_buffer warning;
    hd_error failure; /* of the first leg that failed */
} hd_searching;

/* Every default, and the legs that a search of this index has. HD_ERR_ARG, HD_ERR_LIMIT. */
HD_MUST_USE hd_status hd__search_options(const hd_search *search, const hd_identity *identity, hd_search *wanted,
                                         hd_error *err);

/* The query without what its quotes mean: what stands in "…" without the quotes, what stands in -"…" not at all. On the
 * arena; *plain.ptr NULL when there is no memory. */
hd_text hd__search_plain_query(hd_span query, hd_arena *arena);

/* Reads the rows of candidates [begin, end) that have none yet. */
HD_MUST_USE hd_status hd__search_read_rows(hd_searching *s, size_t begin, size_t end, hd_error *err);

/* The hits of candidates [first, first + n), in the order that was asked for, with snippets. */
HD_MUST_USE hd_status hd__search_make_hits(hd_searching *s, size_t first, size_t n, hd_error *err);

/* Facets over what the filter lets through. */
HD_MUST_USE hd_status hd__search_make_facets(hd_searching *s, const hd_bitmap *chunks, hd_error *err);

/* Adds a sentence to the results' warning. */
void hd__search_warn(hd_searching *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
