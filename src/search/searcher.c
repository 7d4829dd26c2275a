/* searcher.c - hd_index_search: every leg ranks chunks, the lists are fused, the best are reranked, and so on:
 *
 *   filter → words, and at the same time the query's vectors → other legs → fusion → quotes → rerank → least score →
 *   one hit for each document → diversity → page → order
 *
 * Between the steps, and within those that may take long (rows that are read, quotes, reranking, diversity, snippets), the
 * caller is asked whether the search is wanted still. A leg that cannot take part is told in `warning` while another one
 * answers; else its error is the search's.
 */
#include "search/searcher.h"

#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "search/mmr.h"
#include "search/ranking.h"

#define ASK_EVERY_NS 10000000 /* whether the search is wanted still, while the reranker reads */

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

hd_status hd__search_keep_going(const hd_searching *s, hd_error *err)
{
    const hd_search *w = &s->wanted;
    return w->keep_going == NULL || w->keep_going(w->data) ? HD_OK
                                                           : hd__fail(err, HD_ERR_CANCELLED, "the search was cancelled");
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
        HD_TRY(hd__search_keep_going(s, err));
        HD_TRY(hd__leg_admits(s->snapshot, s->query, texts, 3, &admits, err));
        if (admits)
            s->candidates[n_kept++] = s->candidates[i];
    }
    s->n = n_kept;
    return HD_OK;
}

static void job_is_done(hd_job *job, void *data)
{
    (void)job;
    sem_post(data);
}

/* hd_rerank, given up when nobody wants the search any more. */
static hd_status read_pairs(hd_searching *s, const hd_text *texts, size_t n, float *scores, hd_error *err)
{
    sem_t done;
    hd_job *job;
    sem_init(&done, 0, 0);
    const hd_job_options options = {.done = job_is_done, .data = &done};
    hd_status status = hd_rerank_submit(s->reranker, s->plain_query, texts, n, NULL, &options, scores, &job, err);
    if (status == HD_OK) {
        struct timespec until;
        do {
            if (hd__search_keep_going(s, NULL) != HD_OK)
                hd_job_cancel(job);
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += ASK_EVERY_NS;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
        } while (sem_timedwait(&done, &until) != 0);
        status = hd_job_wait(job, NULL, err);
    }
    sem_destroy(&done);
    return status;
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
        const size_t n_title = strlen(title);
        char *joined = hd__arena_alloc(s->arena, n_title + 1 + text.len);
        if (joined == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu texts to rerank", n);
        memcpy(joined, title, n_title);
        joined[n_title] = '\n';
        memcpy(joined + n_title + 1, text.ptr, text.len);
        texts[i] = (hd_text){joined, n_title + 1 + text.len};
    }
    HD_TRY(read_pairs(s, texts, n, scores, err));
    HD_TRY(hd__search_take_scores(s, HD_AT_RERANK, scores, n, err));
    s->results->leg_ms[HD_AT_RERANK] = hd__seconds_since(start) * 1e3;
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
    if (s->reranker != NULL) {
        status = score_pairs(s, n, &why);
    } else if (s->identity->n_token_dimensions > 0 && s->vectors.n_token_vectors > 0) {
        leg = HD_AT_MULTI;
        status = hd__search_has(s, leg) ? HD_OK : hd__search_score_multi(s, n, &why);
    } else {
        status = hd__fail(&why, HD_ERR_UNSUPPORTED, "no reranker is open, and the index keeps no token vectors");
    }
    if (status == HD_ERR_MEMORY || status == HD_ERR_CANCELLED)
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
    if (leg != 0 && !hd__search_has(s, at))
        hd__search_warn(s, "the least score of %s was not asked for: it took no part", hd__leg_names[at]);
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
    HD_TRY(hd__mmr_pick(scores, vectors, s->n, width, s->wanted.mmr, n_picked, s->wanted.keep_going, s->wanted.data,
                        s->arena, picked, err));
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
        weighted |= hd__search_has(s, leg) && options.weights[leg] > 0;
    for (size_t leg = 0; leg < HD_N_LEGS && !weighted; leg++) /* those that had one could not take part */
        options.weights[leg] = 1;
    hd__fuse(s->candidates, s->n, &options);
    if (s->has_quotes)
        HD_TRY(keep_quoted(s, err));
    HD_TRY(hd__search_keep_going(s, err));
    if (s->wanted.rerank)
        HD_TRY(rerank(s, err));
    if (s->wanted.has_min_score)
        apply_floor(s);
    if (s->wanted.per_document)
        HD_TRY(group(s, s->wanted.mmr > 0 ? s->n : n_needed, err));
    HD_TRY(hd__search_keep_going(s, err));
    return s->wanted.mmr > 0 ? diversify(s, n_needed, err) : HD_OK;
}

/* ---- one search ---- */

/* Once nobody wants it, a step that failed for that is not taken for one that could be done without. */
static bool is_wanted(void *data)
{
    hd_searching *s = data;
    s->is_unwanted = s->is_unwanted || !s->asked->keep_going(s->asked->data);
    return !s->is_unwanted;
}

static hd_status run_search(hd_searching *s, void *data, hd_error *err)
{
    (void)data;
    HD_TRY(hd__search_run_legs(s, err));
    HD_TRY(order_candidates(s, err));
    const size_t first = s->wanted.offset < s->n ? s->wanted.offset : s->n;
    const size_t n = s->n - first < s->wanted.limit ? s->n - first : s->wanted.limit;
    HD_TRY(hd__search_keep_going(s, err));
    HD_TRY(hd__search_make_hits(s, first, n, err));
    HD_TRY(hd__search_make_facets(s, err));
    hd__buffer_append_char(&s->warning, '\0');
    if (!s->warning.failed)
        s->results->warning = hd__arena_strndup(s->arena, s->warning.ptr, s->warning.len);
    return s->results->warning != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for a warning");
}

hd_status hd__search_run(hd_index *index, const hd_search *search, hd_search_step *step, void *data, hd_results *results,
                         hd_error *err)
{
    const uint64_t start = hd__now_ns();
    hd_results found = {0};
    hd_searching s = {.index = index,
                      .reranker = atomic_load(&index->reranker),
                      .identity = hd__store_identity(index->store),
                      .results = &found};
    hd_status status;
    s.arena = hd__malloc(sizeof *s.arena);
    if (s.arena == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a search");
    hd__arena_init(s.arena);
    hd__buffer_init(&s.warning);
    found.memory = s.arena;
    HD_TRY_OUT(hd__snapshot_begin(index->store, &s.snapshot, err));
    HD_TRY_OUT(hd__search_options(search, s.identity, s.snapshot, s.arena, &s.wanted, err));
    s.query = hd__span(s.wanted.query.ptr, s.wanted.query.len);
    s.legs = s.wanted.legs;
    if (search->keep_going != NULL) {
        s.asked = search;
        s.wanted.keep_going = is_wanted;
        s.wanted.data = &s;
        hd__snapshot_ask(s.snapshot, is_wanted, &s);
    }
    HD_TRY_OUT(step(&s, data, err));
out:
    if (s.snapshot != NULL)
        hd__snapshot_end(s.snapshot);
    if (s.vectors_memory != NULL)
        index->embedder->release(s.vectors_memory);
    hd__bitmap_clear(&s.narrowed);
    hd__buffer_clear(&s.warning);
    if (status != HD_OK) {
        hd_results_free(&found);
        return s.is_unwanted ? hd__fail(err, HD_ERR_CANCELLED, "the search was cancelled") : status;
    }
    found.total_ms = hd__seconds_since(start) * 1e3;
    *results = found;
    return HD_OK;
}

hd_status hd_index_search(hd_index *index, const hd_search *search, hd_results *results, hd_error *err)
{
    return hd__search_run(index, search, run_search, NULL, results, err);
}

void hd_results_free(hd_results *results)
{
    if (results->memory != NULL) {
        hd__arena_clear(results->memory);
        hd__free(results->memory);
    }
    *results = (hd_results){0};
}
