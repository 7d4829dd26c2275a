/* searcher.c - hd_index_search: every leg ranks chunks, the lists are fused, the best are reranked, and so on:
 *
 *   filter → words, and at the same time the query's vectors → other legs → fusion → quotes → rerank → least score →
 *   one hit for each document → diversity → page → order
 *
 * A leg that cannot take part is told in `warning` while another one answers; else its error is the search's.
 */
#include "search/searcher.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "search/mmr.h"
#include "search/ranking.h"

/* From so many chunks on the words are looked up while the query is embedded: starting a thread takes about as long as
 * a search of fewer. */
#define PARALLEL_CHUNKS 50000u

void hd__search_warn(hd_searching *s, const char *format, ...)
{
    char text[HD_ERROR_TEXT_BYTES + 64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hd__buffer_append_text(&s->warning, s->warning.len > 0 ? "; " : "");
    hd__buffer_append_text(&s->warning, text);
}

static double ms_since(uint64_t start_ns)
{
    return hd__seconds_since(start_ns) * 1e3;
}

static const char *leg_name(size_t leg)
{
    static const char *const names[HD_N_LEGS] = {"bm25", "dense", "sparse", "multi", "rerank"};
    return names[leg];
}

static void drop_leg(hd_searching *s, size_t leg, const hd_error *why)
{
    s->legs &= ~(1u << leg);
    if (s->failure.status == HD_OK)
        s->failure = *why;
    hd__search_warn(s, "%s: %s", leg_name(leg), why->text);
}

static bool wants(const hd_searching *s, size_t leg)
{
    return (s->legs >> leg & 1) != 0;
}

/* ---- legs ---- */

static hd_status rank_words(hd_searching *s, hd_ranked *items, hd_ranked_list *list)
{
    const uint64_t start = hd__now_ns();
    hd_error err = {0};
    size_t n = 0;
    const hd_status status = hd__leg_bm25(s->snapshot, s->query, s->wanted.n_keyword, s->allowed, items, &n, &err);
    if (status != HD_OK)
        drop_leg(s, HD_AT_BM25, &err);
    *list = (hd_ranked_list){items, status == HD_OK ? n : 0};
    s->results->leg_ms[HD_AT_BM25] = ms_since(start);
    return HD_OK;
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
    s->results->embed_ms = ms_since(start);
}

static void drop_unembedded(hd_searching *s, const hd_error *embed_error)
{
    const bool has[HD_N_LEGS] = {true, s->vectors.dense != NULL, s->vectors.sparse.n > 0, s->vectors.n_token_vectors > 0};
    const bool keeps[HD_N_LEGS] = {true, s->identity->n_dimensions > 0, s->identity->has_sparse,
                                   s->identity->n_token_dimensions > 0};
    for (size_t leg = HD_AT_DENSE; leg <= HD_AT_MULTI; leg++) {
        hd_error err = *embed_error;
        if (!wants(s, leg) || (has[leg] && keeps[leg]))
            continue;
        if (!keeps[leg])
            HD_IGNORE(hd__fail(&err, HD_ERR_UNSUPPORTED, "the index keeps none of its vectors"));
        else if (embed_error->status == HD_OK && leg == HD_AT_SPARSE && s->vectors.dense != NULL) {
            s->legs &= ~(1u << leg); /* a query without a token of weight: an empty list */
            continue;
        } else if (embed_error->status == HD_OK)
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
        return rank_words(step->s, step->items, step->list);
    return HD_OK;
}

/* Words and the query's vectors; both at once where there is enough to do. */
static hd_status run_words_and_model(hd_searching *s, hd_ranked *items, hd_ranked_list lists[HD_N_LEGS], hd_error *err)
{
    first_step step = {.s = s, .items = items, .list = &lists[HD_AT_BM25]};
    const bool words = wants(s, HD_AT_BM25);
    const bool model = wants(s, HD_AT_DENSE) || wants(s, HD_AT_SPARSE) || wants(s, HD_AT_MULTI) ||
                       (s->wanted.rerank && s->index->reranker == NULL && s->identity->n_token_dimensions > 0);
    if (words && model && s->index->embedder != NULL && s->allowed->n >= PARALLEL_CHUNKS) {
        HD_TRY(hd__parallel(2, 2, run_first, &step, err));
    } else {
        if (words)
            HD_TRY(rank_words(s, items, &lists[HD_AT_BM25]));
        if (model)
            embed(s, &step.embed_error);
    }
    drop_unembedded(s, &step.embed_error);
    return HD_OK;
}

static void run_vector_legs(hd_searching *s, hd_ranked *dense, hd_ranked *sparse, hd_ranked_list lists[HD_N_LEGS])
{
    for (size_t leg = HD_AT_DENSE; leg <= HD_AT_SPARSE; leg++) {
        if (!wants(s, leg))
            continue;
        const uint64_t start = hd__now_ns();
        hd_error err = {0};
        hd_ranked *items = leg == HD_AT_DENSE ? dense : sparse;
        size_t n = 0;
        const hd_status status =
            leg == HD_AT_DENSE
                ? hd__leg_dense(s->snapshot, s->vectors.dense, s->wanted.n_candidates, s->allowed, false, items, &n, &err)
                : hd__leg_sparse(s->snapshot, s->vectors.sparse, s->wanted.n_candidates, s->allowed, items, &n, &err);
        if (status != HD_OK)
            drop_leg(s, leg, &err);
        lists[leg] = (hd_ranked_list){items, status == HD_OK ? n : 0};
        s->results->leg_ms[leg] = ms_since(start);
    }
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
    s->results->leg_ms[HD_AT_DENSE] += ms_since(start);
    return HD_OK;
}

static int compare_ranked(const void *a, const void *b)
{
    const hd_ranked *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

/* Scores of candidates [0, n) in a leg that scores what it is given: they get them, and ranks. */
static hd_status take_scores(hd_searching *s, size_t leg, const float *scores, size_t n, hd_error *err)
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

/* MaxSim of candidates [0, n). */
static hd_status score_multi(hd_searching *s, size_t n, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_chunk_id *ids = hd__arena_alloc(s->arena, (n + 1) * sizeof *ids);
    float *scores = hd__arena_alloc(s->arena, (n + 1) * sizeof *scores);
    if (ids == NULL || scores == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = s->candidates[i].id;
    HD_TRY(hd__leg_multi(s->snapshot, s->vectors.token_vectors, s->vectors.n_token_vectors, ids, n, scores, err));
    HD_TRY(take_scores(s, HD_AT_MULTI, scores, n, err));
    s->results->leg_ms[HD_AT_MULTI] = ms_since(start);
    return HD_OK;
}

static hd_status run_legs(hd_searching *s, hd_error *err)
{
    hd_ranked_list lists[HD_N_LEGS] = {{0}};
    hd_ranked *words = hd__arena_alloc(s->arena, s->wanted.n_keyword * sizeof *words);
    hd_ranked *dense = hd__arena_alloc(s->arena, s->wanted.n_candidates * sizeof *dense);
    hd_ranked *sparse = hd__arena_alloc(s->arena, s->wanted.n_candidates * sizeof *sparse);
    hd_error late = {0};
    if (words == NULL || dense == NULL || sparse == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %u candidates", s->wanted.n_candidates);
    HD_TRY(run_words_and_model(s, words, lists, err));
    run_vector_legs(s, dense, sparse, lists);
    if ((s->legs & (HD_LEG_BM25 | HD_LEG_DENSE | HD_LEG_SPARSE)) == 0 && s->failure.status != HD_OK)
        return hd__fail(err, s->failure.status, "%s", s->failure.text);
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        s->results->n_in_leg[leg] = (uint32_t)lists[leg].n;
    HD_TRY(hd__candidates_collect(lists, s->arena, &s->candidates, &s->n, err));
    if (wants(s, HD_AT_DENSE))
        HD_TRY(score_dense(s, err));
    if (wants(s, HD_AT_MULTI) && score_multi(s, s->n, &late) != HD_OK)
        drop_leg(s, HD_AT_MULTI, &late);
    return HD_OK;
}

/* ---- order ---- */

/* Candidates that lack what the query has in quotes go. */
static hd_status keep_quoted(hd_searching *s, hd_error *err)
{
    size_t n_kept = 0;
    HD_TRY(hd__search_read_rows(s, 0, s->n, err));
    for (size_t i = 0; i < s->n; i++) {
        const hd_chunk_found *found = s->candidates[i].found;
        const hd_span texts[] = {hd__span_of(found->document->title), hd__span_of(found->chunk.section), found->chunk.text};
        bool admits;
        HD_TRY(hd__leg_admits(s->snapshot, s->query, texts, 3, &admits, err));
        if (admits)
            s->candidates[n_kept++] = s->candidates[i];
    }
    s->n = n_kept;
    return HD_OK;
}

/* Reranked scores of the first n candidates, by the model that reads query and text: the title, then the text. */
static hd_status score_pairs(hd_searching *s, size_t n, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_text *texts = hd__arena_alloc(s->arena, (n + 1) * sizeof *texts);
    float *scores = hd__arena_alloc(s->arena, (n + 1) * sizeof *scores);
    if (texts == NULL || scores == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu texts to rerank", n);
    HD_TRY(hd__search_read_rows(s, 0, n, err));
    for (size_t i = 0; i < n; i++) {
        const hd_chunk_found *found = s->candidates[i].found;
        const char *title = found->document->title;
        const hd_span text = found->chunk.text;
        texts[i] = (hd_text){text.ptr, text.len};
        if (title[0] == '\0')
            continue;
        const char *joined = hd__arena_printf(s->arena, "%s\n%.*s", title, (int)text.len, text.ptr);
        if (joined == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu texts to rerank", n);
        texts[i] = (hd_text){joined, strlen(joined)};
    }
    HD_TRY(hd_rerank(s->index->reranker, s->plain_query, texts, n, NULL, scores, NULL, err));
    HD_TRY(take_scores(s, HD_AT_RERANK, scores, n, err));
    s->results->leg_ms[HD_AT_RERANK] = ms_since(start);
    return HD_OK;
}

/* The first n_rerank, and no others, in the order of what reads them more closely. */
static hd_status rerank(hd_searching *s, hd_error *err)
{
    const uint32_t shown = s->wanted.offset + s->wanted.limit;
    const size_t most = s->wanted.n_rerank > shown ? s->wanted.n_rerank : shown, n = s->n < most ? s->n : most;
    size_t leg = HD_AT_RERANK;
    hd_error why = {0};
    hd_status status;
    if (s->index->reranker != NULL) {
        status = score_pairs(s, n, &why);
    } else if (s->identity->n_token_dimensions > 0 && s->vectors.n_token_vectors > 0) {
        leg = HD_AT_MULTI;
        status = wants(s, leg) ? HD_OK : score_multi(s, n, &why);
    } else {
        status = hd__fail(&why, HD_ERR_UNSUPPORTED, "no reranker is open, and the index keeps no token vectors");
    }
    if (status == HD_ERR_MEMORY)
        return hd__fail(err, status, "%s", why.text);
    if (status != HD_OK) {
        hd__search_warn(s, "rerank: %s", why.text);
        return HD_OK;
    }
    s->legs |= 1u << leg;
    s->n = n;
    hd__ranking_blend(s->candidates, n, leg, s->wanted.rerank_blend);
    return HD_OK;
}

static void apply_floor(hd_searching *s)
{
    const uint32_t leg = s->wanted.min_score_leg;
    const size_t at = leg == 0 ? HD_N_LEGS : (size_t)__builtin_ctz(leg);
    if (leg != 0 && !wants(s, at))
        hd__search_warn(s, "the least score of %s was not asked for: it took no part", leg_name(at));
    else
        s->n = hd__ranking_floor(s->candidates, s->n, at, s->wanted.min_score);
}

/* The best candidate of each document, as many as are needed: rows are read little by little. */
static hd_status group(hd_searching *s, size_t n_needed, hd_error *err)
{
    const char **documents = hd__arena_alloc(s->arena, (s->n + 1) * sizeof *documents);
    size_t n_kept = 0, at = 0;
    if (documents == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", s->n);
    while (at < s->n && n_kept < n_needed) {
        const size_t end = s->n - at > 2 * n_needed ? at + 2 * n_needed : s->n;
        HD_TRY(hd__search_read_rows(s, at, end, err));
        for (size_t i = at; i < end; i++) {
            s->candidates[n_kept + i - at] = s->candidates[i];
            documents[n_kept + i - at] = s->candidates[i].found->document->id;
        }
        n_kept = hd__ranking_group(s->candidates, documents, n_kept + end - at);
        at = end;
    }
    s->n = n_kept;
    return HD_OK;
}

static hd_status diversify(hd_searching *s, size_t n_needed, hd_error *err)
{
    const size_t width = s->identity->n_dimensions, n_picked = s->n < n_needed ? s->n : n_needed;
    if (width == 0) {
        hd__search_warn(s, "mmr: the index keeps no dense vectors");
        return HD_OK;
    }
    hd_chunk_id *ids = hd__arena_alloc(s->arena, (s->n + 1) * sizeof *ids);
    float *scores = hd__arena_alloc(s->arena, (s->n + 1) * sizeof *scores);
    float *vectors = hd__arena_alloc(s->arena, hd__mul((s->n + 1) * sizeof *vectors, width));
    uint32_t *picked = hd__arena_alloc(s->arena, (n_picked + 1) * sizeof *picked);
    hd_candidate *chosen = hd__arena_alloc(s->arena, (n_picked + 1) * sizeof *chosen);
    if (ids == NULL || scores == NULL || vectors == NULL || picked == NULL || chosen == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the diversity of %zu hits", s->n);
    for (size_t i = 0; i < s->n; i++) {
        ids[i] = s->candidates[i].id;
        scores[i] = s->candidates[i].score;
    }
    HD_TRY(hd__leg_vectors(s->snapshot, ids, s->n, vectors, err));
    HD_TRY(hd__mmr_pick(scores, vectors, s->n, width, s->wanted.mmr, n_picked, s->arena, picked, err));
    for (size_t i = 0; i < n_picked; i++)
        chosen[i] = s->candidates[picked[i]];
    s->candidates = chosen;
    s->n = n_picked;
    return HD_OK;
}

static hd_status order_candidates(hd_searching *s, hd_error *err)
{
    const size_t n_needed = (size_t)s->wanted.offset + s->wanted.limit;
    hd_fuse_options options = {.legs = s->legs, .fusion = s->wanted.fusion, .rrf_k = s->wanted.rrf_k};
    memcpy(options.weights, s->wanted.weights, sizeof options.weights);
    bool weighted = false;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        weighted |= wants(s, leg) && options.weights[leg] > 0;
    for (size_t leg = 0; leg < HD_N_LEGS && !weighted; leg++) /* those that had one could not take part */
        options.weights[leg] = 1;
    hd__fuse(s->candidates, s->n, &options);
    if (s->has_quotes)
        HD_TRY(keep_quoted(s, err));
    if (s->wanted.rerank)
        HD_TRY(rerank(s, err));
    if (s->wanted.has_min_score)
        apply_floor(s);
    if (s->wanted.per_document)
        HD_TRY(group(s, s->wanted.mmr > 0 ? s->n : n_needed, err));
    if (s->wanted.mmr > 0)
        HD_TRY(diversify(s, n_needed, err));
    return HD_OK;
}

/* ---- one search ---- */

/* What the filter lets through, and of that what the quotes do not rule out. */
static hd_status choose_chunks(hd_searching *s, const hd_bitmap **filtered, hd_error *err)
{
    const hd_filter *filter = NULL;
    if (s->wanted.filter != NULL && s->wanted.filter[0] != '\0')
        HD_TRY(hd__filter_parse(hd__span_of(s->wanted.filter), s->arena, &filter, err));
    HD_TRY(hd__filter_chunks(s->snapshot, filter, filtered, err));
    s->results->n_matching = (*filtered)->n_set;
    s->allowed = *filtered;
    s->has_quotes = hd__leg_has_quotes(s->query);
    if (!s->has_quotes)
        return HD_OK;
    HD_TRY(hd__bitmap_copy(&s->narrowed, *filtered, err));
    s->allowed = &s->narrowed;
    return hd__leg_narrow(s->snapshot, s->query, &s->narrowed, err);
}

static hd_status run_search(hd_searching *s, hd_error *err)
{
    const hd_bitmap *filtered;
    HD_TRY(choose_chunks(s, &filtered, err));
    s->plain_query = s->has_quotes ? hd__search_plain_query(s->query, s->arena) : s->wanted.query;
    if (s->plain_query.ptr == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a query of %zu bytes", s->query.len);
    HD_TRY(run_legs(s, err));
    HD_TRY(order_candidates(s, err));
    const size_t first = s->wanted.offset < s->n ? s->wanted.offset : s->n;
    const size_t n = s->n - first < s->wanted.limit ? s->n - first : s->wanted.limit;
    HD_TRY(hd__search_make_hits(s, first, n, err));
    HD_TRY(hd__search_make_facets(s, filtered, err));
    hd__buffer_append_char(&s->warning, '\0');
    if (!s->warning.failed)
        s->results->warning = hd__arena_strndup(s->arena, s->warning.ptr, s->warning.len);
    return s->results->warning != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for a warning");
}

hd_status hd_index_search(hd_index *index, const hd_search *search, hd_results *results, hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_results found = {0};
    hd_searching s = {.index = index, .identity = hd__store_identity(index->store), .results = &found};
    hd_status status = hd__search_options(search, s.identity, &s.wanted, err);
    if (status != HD_OK)
        return status;
    s.query = hd__span(s.wanted.query.ptr, s.wanted.query.len);
    s.legs = s.wanted.legs;
    s.arena = hd__malloc(sizeof *s.arena);
    if (s.arena == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a search");
    hd__arena_init(s.arena);
    hd__buffer_init(&s.warning);
    found.memory = s.arena;
    status = hd__snapshot_begin(index->store, &s.snapshot, err);
    if (status == HD_OK) {
        status = run_search(&s, err);
        hd__snapshot_end(s.snapshot);
    }
    if (s.vectors_memory != NULL)
        index->embedder->release(s.vectors_memory);
    hd__bitmap_clear(&s.narrowed);
    hd__buffer_clear(&s.warning);
    if (status != HD_OK) {
        hd_results_free(&found);
        return status;
    }
    found.total_ms = ms_since(start);
    *results = found;
    return HD_OK;
}

void hd_results_free(hd_results *results)
{
    if (results->memory != NULL) {
        hd__arena_clear(results->memory);
        hd__free(results->memory);
    }
    *results = (hd_results){0};
}
