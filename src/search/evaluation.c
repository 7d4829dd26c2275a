/* evaluation.c - see evaluation.h. */
#include "search/evaluation.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "search/searcher.h"

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to keep what was found");
}

/* ---- what the legs find ---- */

typedef struct keeping {
    hd_evaluation *evaluation;
    hd_evaluated_query *query;
} keeping;

static hd_status keep_candidate(hd_evaluation *e, hd_evaluated_query *q, const hd_candidate *c, size_t at, hd_arena *scratch,
                                hd_error *err)
{
    const char *chunk = hd__search_chunk_id(c->found->document->id, &c->found->chunk, scratch), *judged;
    if (chunk == NULL)
        return no_memory(err);
    q->candidates[at] = *c;
    q->candidates[at].found = NULL;
    q->candidates[at].place = (uint32_t)at;
    q->grades[at] = hd__judgements_grade(q->judged, c->found->document->id, chunk, &judged);
    q->documents[at] = hd__arena_strndup(&e->arena, judged, strlen(judged));
    return q->documents[at] != NULL ? HD_OK : no_memory(err);
}

static hd_status keep_candidates(hd_searching *s, void *data, hd_error *err)
{
    keeping *k = data;
    hd_evaluation *e = k->evaluation;
    hd_evaluated_query *q = k->query;
    HD_TRY(hd__search_run_legs(s, err));
    HD_TRY(hd__search_read_rows(s, 0, s->n, err));
    e->legs &= s->legs;
    q->candidates = hd__arena_alloc(&e->arena, (s->n + 1) * sizeof *q->candidates);
    q->documents = hd__arena_alloc(&e->arena, (s->n + 1) * sizeof *q->documents);
    q->grades = hd__arena_alloc(&e->arena, (s->n + 1) * sizeof *q->grades);
    if (q->candidates == NULL || q->documents == NULL || q->grades == NULL)
        return no_memory(err);
    for (size_t i = 0; i < s->n; i++)
        HD_TRY(keep_candidate(e, q, &s->candidates[i], i, s->arena, err));
    q->n = s->n;
    if (s->warning.len > 0 && e->warning[0] == '\0')
        e->warning = hd__arena_strndup(&e->arena, s->warning.ptr, s->warning.len);
    return e->warning != NULL ? HD_OK : no_memory(err);
}

static hd_status run_queries(hd_index *index, const hd_search *search, const hd_judged_query *judged, size_t n,
                             bool (*progress)(size_t done, void *data), void *data, hd_evaluation *e, hd_error *err)
{
    e->queries = hd__arena_calloc(&e->arena, n + 1, sizeof *e->queries);
    if (e->queries == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        hd_evaluated_query *q = &e->queries[i];
        hd_search w = *search;
        hd_results results;
        if (progress != NULL && !progress(i, data))
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted after %zu of %zu queries", i, n);
        q->judged = &judged[i];
        q->held_out = (hd__hash64(hd__span_of(judged[i].id), 0) & 1) != 0;
        w.query = (hd_text){judged[i].text, strlen(judged[i].text)};
        HD_TRY(hd__search_run(index, &w, keep_candidates, &(keeping){e, q}, &results, err));
        hd_results_free(&results);
        e->n++;
    }
    return HD_OK;
}

hd_status hd__evaluation_run(hd_index *index, const hd_search *search, const hd_judged_query *judged, size_t n,
                             bool (*progress)(size_t done, void *data), void *data, hd_evaluation *evaluation, hd_error *err)
{
    *evaluation = (hd_evaluation){.legs = UINT32_MAX, .warning = ""};
    hd__arena_init(&evaluation->arena);
    const hd_status status = run_queries(index, search, judged, n, progress, data, evaluation, err);
    if (status != HD_OK)
        hd__evaluation_clear(evaluation);
    return status;
}

void hd__evaluation_clear(hd_evaluation *evaluation)
{
    hd__arena_clear(&evaluation->arena);
    *evaluation = (hd_evaluation){0};
}

/* ---- one way of fusing ---- */

/* For one query at a time. */
typedef struct room {
    hd_candidate *candidates;
    int32_t *ranked, *judged;
    const char **documents;
} room;

static hd_status make_room(const hd_evaluation *e, hd_arena *arena, room *r, hd_error *err)
{
    size_t n = 0, n_judged = 0;
    for (size_t i = 0; i < e->n; i++) {
        n = e->queries[i].n > n ? e->queries[i].n : n;
        n_judged = e->queries[i].judged->n_judgements > n_judged ? e->queries[i].judged->n_judgements : n_judged;
    }
    r->candidates = hd__arena_alloc(arena, (n + 1) * sizeof *r->candidates);
    r->ranked = hd__arena_alloc(arena, HD_EVALUATION_DEPTH * sizeof *r->ranked);
    r->judged = hd__arena_alloc(arena, (n_judged + 1) * sizeof *r->judged);
    r->documents = hd__arena_alloc(arena, HD_EVALUATION_DEPTH * sizeof *r->documents);
    return r->candidates != NULL && r->ranked != NULL && r->judged != NULL && r->documents != NULL ? HD_OK : no_memory(err);
}

static bool is_known(const room *r, size_t n, const char *document)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(r->documents[i], document) == 0)
            return true;
    return false;
}

/* Whether a leg that takes part has the candidate in its list: what others found only is none of its hits. */
static bool is_listed(const hd_candidate *c, uint32_t legs)
{
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        if ((legs >> leg & 1) != 0 && c->ranks[leg] > 0)
            return true;
    return false;
}

static hd_measures measure_query(const hd_evaluated_query *q, const hd_fuse_options *options, room *r,
                                 hd_ranked_document_fn *ranked, void *data)
{
    size_t n = 0, n_ranked = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (!is_listed(&q->candidates[i], options->legs))
            continue;
        r->candidates[n++] = q->candidates[i];
    }
    hd__fuse(r->candidates, n, options);
    for (size_t i = 0; i < n && n_ranked < HD_EVALUATION_DEPTH; i++) {
        const uint32_t place = r->candidates[i].place;
        if (is_known(r, n_ranked, q->documents[place]))
            continue;
        r->documents[n_ranked] = q->documents[place];
        r->ranked[n_ranked++] = q->grades[place];
        if (ranked != NULL)
            ranked(q->judged, q->documents[place], n_ranked, r->candidates[i].score, data);
    }
    for (size_t i = 0; i < q->judged->n_judgements; i++)
        r->judged[i] = q->judged->judgements[i].grade;
    return hd__measures_of(r->ranked, n_ranked, r->judged, q->judged->n_judgements);
}

hd_status hd__evaluation_measure(const hd_evaluation *evaluation, const hd_fuse_options *options, hd_evaluation_part part,
                                 hd_ranked_document_fn *ranked, void *data, hd_measures *means, hd_error *err)
{
    hd_arena arena;
    room r;
    size_t n = 0;
    hd__arena_init(&arena);
    const hd_status status = make_room(evaluation, &arena, &r, err);
    *means = (hd_measures){0};
    for (size_t i = 0; i < evaluation->n && status == HD_OK; i++) {
        const hd_evaluated_query *q = &evaluation->queries[i];
        if (part != HD_EVALUATION_ALL && q->held_out != (part == HD_EVALUATION_HELD_OUT))
            continue;
        const hd_measures m = measure_query(q, options, &r, ranked, data);
        means->ndcg_10 += m.ndcg_10;
        means->mrr_10 += m.mrr_10;
        means->recall_10 += m.recall_10;
        means->recall_100 += m.recall_100;
        n++;
    }
    hd__arena_clear(&arena);
    const double share = n > 0 ? 1 / (double)n : 0;
    *means =
        (hd_measures){means->ndcg_10 * share, means->mrr_10 * share, means->recall_10 * share, means->recall_100 * share};
    return status;
}

/* ---- tuning ---- */

/* Keeps what is better. */
static hd_status try_options(const hd_evaluation *e, const hd_fuse_options *options, hd_fuse_options *best,
                             double *best_value, bool *better, hd_error *err)
{
    hd_measures m;
    HD_TRY(hd__evaluation_measure(e, options, HD_EVALUATION_TRAIN, NULL, NULL, &m, err));
    if (m.ndcg_10 > *best_value) {
        *best_value = m.ndcg_10;
        *best = *options;
        *better = true;
    }
    return HD_OK;
}

/* One leg's share of the weights from 0.1 to 0.9; the others keep what they are to each other. */
static hd_status try_shares(const hd_evaluation *e, size_t leg, hd_fuse_options *best, double *best_value, bool *better,
                            hd_error *err)
{
    const hd_fuse_options start = *best;
    float others = 0;
    for (size_t i = 0; i < HD_N_LEGS; i++)
        others += i != leg ? start.weights[i] : 0;
    if (!(others > 0))
        return HD_OK;
    for (uint8_t tenths = 1; tenths <= 9; tenths++) {
        hd_fuse_options options = start;
        const float share = 0.1f * (float)tenths;
        for (size_t i = 0; i < HD_N_LEGS; i++)
            options.weights[i] = roundf((i == leg ? share : start.weights[i] / others * (1 - share)) * 1000) / 1000;
        HD_TRY(try_options(e, &options, best, best_value, better, err));
    }
    return HD_OK;
}

hd_status hd__evaluation_tune(const hd_evaluation *evaluation, hd_fuse_options *best, hd_error *err)
{
    static const float rrf_ks[] = {5, 10, 20, 60, 100};
    double best_value = -1;
    for (int fusion = HD_FUSION_RRF; fusion <= HD_FUSION_DBSF; fusion++) {
        for (size_t k = 0; k < (fusion == HD_FUSION_RRF ? sizeof rrf_ks / sizeof *rrf_ks : 1); k++) {
            hd_fuse_options here = {.legs = evaluation->legs, .fusion = (hd_fusion)fusion, .rrf_k = 60};
            double here_value = -1;
            bool better = true;
            if (fusion == HD_FUSION_RRF)
                here.rrf_k = rrf_ks[k];
            for (size_t leg = 0; leg < HD_N_LEGS; leg++)
                here.weights[leg] = (evaluation->legs >> leg & 1) != 0 ? 1.0f : 0.0f;
            HD_TRY(try_options(evaluation, &here, &here, &here_value, &better, err));
            for (int round = 0; round < 4 && better; round++) {
                better = false;
                for (size_t leg = 0; leg < HD_N_LEGS; leg++)
                    if ((evaluation->legs >> leg & 1) != 0)
                        HD_TRY(try_shares(evaluation, leg, &here, &here_value, &better, err));
            }
            if (here_value > best_value) {
                best_value = here_value;
                *best = here;
            }
        }
    }
    return HD_OK;
}
