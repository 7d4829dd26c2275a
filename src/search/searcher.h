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
    hd_model *reranker; /* the index's when the search began */
    hd_snapshot *snapshot;
    const hd_identity *identity;
    hd_search wanted; /* with every default filled in; keep_going asks `asked` and remembers */
    const hd_search *asked;
    bool is_unwanted;    /* it was asked, and said no */
    hd_span query;       /* as it was given, for words and quotes */
    hd_text plain_query; /* without quotes, for models */
    uint32_t legs;       /* that take part: hd_leg bits; those that fail are taken out */
    bool has_quotes;
    const hd_filter *filter;  /* NULL: none */
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

/* What is to be done with a search that has begun: its snapshot, options and results are there. */
typedef hd_status hd_search_step(hd_searching *s, void *data, hd_error *err);

/* One search from its options to what `step` makes of it; *results is freed by hd_results_free after success. */
HD_MUST_USE hd_status hd__search_run(hd_index *index, const hd_search *search, hd_search_step *step, void *data,
                                     hd_results *results, hd_error *err);

/* Every default, and the legs that a search of this index has. HD_ERR_ARG, HD_ERR_LIMIT. */
HD_MUST_USE hd_status hd__search_options(const hd_search *search, const hd_identity *identity, hd_snapshot *snapshot,
                                         hd_arena *arena, hd_search *wanted, hd_error *err);

/* How lists become one where nothing is asked for, as `heddle tune --search` keeps it in the index: legs' weights, the
 * fusion and its k ("fusion=minmax rrf_k=60 bm25=0.3 dense=0.7"). */
#define HD_SEARCH_SETTING "search.fusion"
const char *hd__search_setting_text(const hd_search *search, hd_arena *arena); /* NULL: no memory */
bool hd__search_setting_read(const char *text, hd_search *search); /* false: nothing that can be read; *search as it was */

/* The query without what its quotes mean: what stands in "…" without the quotes, what stands in -"…" not at all. On the
 * arena; *plain.ptr NULL when there is no memory. */
hd_text hd__search_plain_query(hd_span query, hd_arena *arena);

/* Candidates, with the scores and ranks of every leg that could take part; not in order yet. *filtered is what the filter
 * alone lets through. */
HD_MUST_USE hd_status hd__search_run_legs(hd_searching *s, hd_error *err);

/* MaxSim of candidates [0, n). */
HD_MUST_USE hd_status hd__search_score_multi(hd_searching *s, size_t n, hd_error *err);

/* Scores of candidates [0, n) in a leg that scores what it is given (NaN: not): they get them, and ranks. */
HD_MUST_USE hd_status hd__search_take_scores(hd_searching *s, size_t leg, const float *scores, size_t n, hd_error *err);

static inline bool hd__search_has(const hd_searching *s, size_t leg)
{
    return (s->legs >> leg & 1) != 0;
}

/* What a chunk is called: its own id, else "<document id>#<ordinal>", on the arena; NULL when there is no memory. */
const char *hd__search_chunk_id(const char *document_id, const hd_chunk_row *chunk, hd_arena *arena);

/* Reads the rows of candidates [begin, end) that have none yet. */
HD_MUST_USE hd_status hd__search_read_rows(hd_searching *s, size_t begin, size_t end, hd_error *err);

/* The hits of candidates [first, first + n), in the order that was asked for, with snippets. */
HD_MUST_USE hd_status hd__search_make_hits(hd_searching *s, size_t first, size_t n, hd_error *err);

/* Facets over what the filter lets through. */
HD_MUST_USE hd_status hd__search_make_facets(hd_searching *s, hd_error *err);

/* Between steps: HD_ERR_CANCELLED when nobody wants the search any more. */
HD_MUST_USE hd_status hd__search_keep_going(const hd_searching *s, hd_error *err);

/* Adds a sentence to the results' warning. */
void hd__search_warn(hd_searching *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
