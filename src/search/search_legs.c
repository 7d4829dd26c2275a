/* search_legs.c - the legs of a search: who ranks, with what, over which chunks (searcher.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "search/searcher.h"

/* From so many chunks on the words are looked up while the query is embedded: starting a thread takes about as long as
 * a search of fewer. */
#define PARALLEL_CHUNKS 50000u

static void drop_leg(hd_searching *s, size_t leg, const hd_error *why)
{
    s->legs &= ~(1u << leg);
    if (s->failure.status == HD_OK)
        HD_IGNORE(hd__fail(&s->failure, why->status, "%s: %s", hd__leg_names[leg], why->text));
    hd__search_warn(s, "%s: %s", hd__leg_names[leg], why->text);
}

/* Code is also found by parts of its words, which come after what words find: below the least of their scores. */
static hd_status add_parts(hd_searching *s, hd_ranked *items, size_t *n, hd_error *err)
{
    const float least = *n > 0 ? items[*n - 1].score : 1;
    const size_t n_words = *n;
    size_t n_parts = 0;
    if (n_words == s->wanted.n_keyword)
        return HD_OK;
    hd_ranked *parts = hd__arena_alloc(s->arena, (s->wanted.n_keyword + 1) * sizeof *parts);
    if (parts == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %u candidates", s->wanted.n_keyword);
    HD_TRY(hd__leg_trigram(s->snapshot, s->query, s->wanted.n_keyword, s->allowed, parts, &n_parts, err));
    for (size_t i = 0; i < n_parts && *n < s->wanted.n_keyword; i++) {
        bool known = false;
        for (size_t k = 0; k < n_words && !known; k++)
            known = items[k].id == parts[i].id;
        if (!known)
            items[(*n)++] = (hd_ranked){parts[i].id, least * parts[i].score / (1 + parts[i].score)};
    }
    return HD_OK;
}

static void rank_words(hd_searching *s, hd_ranked *items, hd_ranked_list *list)
{
    const uint64_t start = hd__now_ns();
    hd_error err = {0};
    size_t n = 0;
    hd_status status = hd__leg_bm25(s->snapshot, s->query, s->wanted.n_keyword, s->allowed, items, &n, &err);
    if (status == HD_OK && !s->has_quotes)
        status = add_parts(s, items, &n, &err);
    if (status != HD_OK)
        drop_leg(s, HD_AT_BM25, &err);
    *list = (hd_ranked_list){items, status == HD_OK ? n : 0};
    s->results->leg_ms[HD_AT_BM25] = hd__seconds_since(start) * 1e3;
}

/* The query's vectors, for all legs that need any; those for which there is none are dropped. */
static void embed(hd_searching *s, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_status status = HD_OK;
    if (s->index->embedder == NULL)
        status = hd__fail(err, HD_ERR_UNSUPPORTED, "no model is open that makes vectors of queries");
    else
        status = s->index->embedder->query(s->index->embedder->data, s->plain_query, &s->vectors, &s->vectors_memory, err);
    if (status != HD_OK)
        s->vectors = (hd_chunk_vectors){0};
    s->results->embed_ms = hd__seconds_since(start) * 1e3;
}

static void drop_unembedded(hd_searching *s, const hd_error *embed_error)
{
    const bool embedded = embed_error->status == HD_OK; /* a query without a token of weight: an empty list */
    const bool has[HD_N_LEGS] = {true, s->vectors.dense != NULL, embedded, s->vectors.n_token_vectors > 0};
    const bool keeps[HD_N_LEGS] = {true, s->identity->n_dimensions > 0, s->identity->has_sparse,
                                   s->identity->n_token_dimensions > 0};
    for (size_t leg = HD_AT_DENSE; leg <= HD_AT_MULTI; leg++) {
        hd_error err = *embed_error;
        if (!hd__search_has(s, leg) || (has[leg] && keeps[leg]))
            continue;
        if (!keeps[leg])
            HD_IGNORE(hd__fail(&err, HD_ERR_UNSUPPORTED, "the index keeps none of its vectors"));
        else if (embedded)
            HD_IGNORE(hd__fail(&err, HD_ERR_UNSUPPORTED, "the model gives none of its vectors"));
        drop_leg(s, leg, &err);
    }
}

typedef struct first_step {
    hd_searching *s;
    hd_ranked *items;
    hd_ranked_list *list;
    hd_error embed_error;
} first_step;

static hd_status run_first(void *data, size_t piece, uint32_t worker, hd_error *err)
{
    first_step *step = data;
    (void)worker, (void)err;
    if (piece == 0)
        embed(step->s, &step->embed_error);
    else
        rank_words(step->s, step->items, step->list);
    return HD_OK;
}

/* Words and the query's vectors; both at once where there is enough to do. */
static hd_status run_words_and_model(hd_searching *s, hd_ranked *items, hd_ranked_list lists[HD_N_LEGS], hd_error *err)
{
    first_step step = {.s = s, .items = items, .list = &lists[HD_AT_BM25]};
    const bool words = hd__search_has(s, HD_AT_BM25);
    const bool model = hd__search_has(s, HD_AT_DENSE) || hd__search_has(s, HD_AT_SPARSE) || hd__search_has(s, HD_AT_MULTI) ||
                       (s->wanted.rerank && s->reranker == NULL && s->identity->n_token_dimensions > 0);
    if (words && model && s->index->embedder != NULL && s->allowed->n >= PARALLEL_CHUNKS) {
        HD_TRY(hd__parallel(2, 2, run_first, &step, err));
    } else {
        if (words)
            rank_words(s, items, &lists[HD_AT_BM25]);
        if (model)
            embed(s, &step.embed_error);
    }
    drop_unembedded(s, &step.embed_error);
    return HD_OK;
}

static hd_status run_vector_legs(hd_searching *s, hd_ranked *dense, hd_ranked *sparse, hd_ranked_list lists[HD_N_LEGS],
                                 hd_error *err)
{
    for (size_t leg = HD_AT_DENSE; leg <= HD_AT_SPARSE; leg++) {
        if (!hd__search_has(s, leg))
            continue;
        HD_TRY(hd__search_keep_going(s, err));
        const uint64_t start = hd__now_ns();
        hd_error why = {0};
        hd_ranked *items = leg == HD_AT_DENSE ? dense : sparse;
        size_t n = 0;
        const hd_status status =
            leg == HD_AT_DENSE
                ? hd__leg_dense(s->snapshot, s->vectors.dense, s->wanted.n_candidates, s->allowed, false, items, &n, &why)
                : hd__leg_sparse(s->snapshot, s->vectors.sparse, s->wanted.n_candidates, s->allowed, items, &n, &why);
        if (status != HD_OK)
            drop_leg(s, leg, &why);
        lists[leg] = (hd_ranked_list){items, status == HD_OK ? n : 0};
        s->results->leg_ms[leg] = hd__seconds_since(start) * 1e3;
    }
    return hd__search_keep_going(s, err);
}

/* The dense score of candidates that other legs found: thresholds on it then mean all hits, and fusion by scores knows what
 * those that stand in one list alone are worth in the other. */
static hd_status score_dense(hd_searching *s, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    const size_t width = s->identity->n_dimensions;
    const bool cosine = strcmp(s->identity->similarity, "dot") != 0;
    hd_chunk_id *ids = hd__arena_alloc(s->arena, (s->n + 1) * sizeof *ids);
    size_t n = 0;
    if (ids == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", s->n);
    for (size_t i = 0; i < s->n; i++)
        if (s->candidates[i].ranks[HD_AT_DENSE] == 0)
            ids[n++] = s->candidates[i].id;
    if (n == 0)
        return HD_OK;
    float *rows = hd__arena_alloc(s->arena, hd__mul(n * sizeof *rows, width));
    if (rows == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu vectors", n);
    HD_TRY(hd__leg_vectors(s->snapshot, ids, n, rows, err));
    for (size_t i = 0, at = 0; i < s->n; i++) {
        hd_candidate *c = &s->candidates[i];
        if (c->ranks[HD_AT_DENSE] != 0)
            continue;
        const float *row = rows + width * at++;
        float product = 0;
        for (size_t k = 0; k < width && !cosine; k++)
            product += row[k] * s->vectors.dense[k];
        c->scores[HD_AT_DENSE] = cosine ? hd_cosine(row, s->vectors.dense, width) : product;
    }
    s->results->leg_ms[HD_AT_DENSE] += hd__seconds_since(start) * 1e3;
    return HD_OK;
}

static int compare_ranked(const void *a, const void *b)
{
    const hd_ranked *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

hd_status hd__search_take_scores(hd_searching *s, size_t leg, const float *scores, size_t n, hd_error *err)
{
    hd_ranked *order = hd__arena_alloc(s->arena, (n + 1) * sizeof *order);
    size_t n_scored = 0;
    if (order == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", n);
    for (size_t i = 0; i < n; i++) {
        s->candidates[i].scores[leg] = scores[i];
        if (!isnan(scores[i]))
            order[n_scored++] = (hd_ranked){(hd_chunk_id)i, scores[i]};
    }
    qsort(order, n_scored, sizeof *order, compare_ranked);
    for (size_t i = 0; i < n_scored; i++)
        s->candidates[order[i].id].ranks[leg] = (uint32_t)i + 1;
    s->results->n_in_leg[leg] = (uint32_t)n_scored;
    return HD_OK;
}

hd_status hd__search_score_multi(hd_searching *s, size_t n, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_chunk_id *ids = hd__arena_alloc(s->arena, (n + 1) * sizeof *ids);
    float *scores = hd__arena_alloc(s->arena, (n + 1) * sizeof *scores);
    if (ids == NULL || scores == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = s->candidates[i].id;
    HD_TRY(hd__leg_multi(s->snapshot, s->vectors.token_vectors, s->vectors.n_token_vectors, ids, n, scores, err));
    HD_TRY(hd__search_take_scores(s, HD_AT_MULTI, scores, n, err));
    s->results->leg_ms[HD_AT_MULTI] = hd__seconds_since(start) * 1e3;
    return HD_OK;
}

static hd_status run_all(hd_searching *s, hd_error *err)
{
    hd_ranked_list lists[HD_N_LEGS] = {{0}};
    hd_ranked *words = hd__arena_alloc(s->arena, s->wanted.n_keyword * sizeof *words);
    hd_ranked *dense = hd__arena_alloc(s->arena, s->wanted.n_candidates * sizeof *dense);
    hd_ranked *sparse = hd__arena_alloc(s->arena, s->wanted.n_candidates * sizeof *sparse);
    hd_error late = {0};
    if (words == NULL || dense == NULL || sparse == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %u candidates", s->wanted.n_candidates);
    HD_TRY(run_words_and_model(s, words, lists, err));
    HD_TRY(run_vector_legs(s, dense, sparse, lists, err));
    if ((s->legs & (HD_LEG_BM25 | HD_LEG_DENSE | HD_LEG_SPARSE)) == 0 && s->failure.status != HD_OK)
        return hd__fail(err, s->failure.status, "%s", s->failure.text);
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        s->results->n_in_leg[leg] = (uint32_t)lists[leg].n;
    HD_TRY(hd__candidates_collect(lists, s->arena, &s->candidates, &s->n, err));
    if (hd__search_has(s, HD_AT_DENSE))
        HD_TRY(score_dense(s, err));
    if (hd__search_has(s, HD_AT_MULTI) && hd__search_score_multi(s, s->n, &late) != HD_OK)
        drop_leg(s, HD_AT_MULTI, &late);
    return HD_OK;
}

/* What the filter lets through, and of that what the quotes do not rule out. */
static hd_status choose_chunks(hd_searching *s, hd_error *err)
{
    const hd_bitmap *filtered;
    if (s->wanted.filter != NULL && s->wanted.filter[0] != '\0')
        HD_TRY(hd__filter_parse(hd__span_of(s->wanted.filter), s->arena, &s->filter, err));
    HD_TRY(hd__filter_chunks(s->snapshot, s->filter, &filtered, err));
    s->results->n_matching = filtered->n_set;
    s->allowed = filtered;
    s->has_quotes = hd__leg_has_quotes(s->query);
    if (!s->has_quotes)
        return HD_OK;
    HD_TRY(hd__bitmap_copy(&s->narrowed, filtered, err));
    s->allowed = &s->narrowed;
    return hd__leg_narrow(s->snapshot, s->query, &s->narrowed, err);
}

hd_status hd__search_run_legs(hd_searching *s, hd_error *err)
{
    HD_TRY(choose_chunks(s, err));
    HD_TRY(hd__search_keep_going(s, err));
    s->plain_query = s->has_quotes ? hd__search_plain_query(s->query, s->arena) : s->wanted.query;
    if (s->plain_query.ptr == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a query of %zu bytes", s->query.len);
    return run_all(s, err);
}
