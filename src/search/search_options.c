/* search_options.c - what a search asks for: defaults, ranges, the query as models read it (searcher.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "search/searcher.h"
#include "search/snippet.h"

#define FIRST_LEGS ((uint32_t)(HD_LEG_BM25 | HD_LEG_DENSE | HD_LEG_SPARSE))
#define ALL_LEGS ((uint32_t)(HD_LEG_BM25 | HD_LEG_DENSE | HD_LEG_SPARSE | HD_LEG_MULTI | HD_LEG_RERANK))

static hd_status check_count(const char *name, uint64_t value, uint32_t most, hd_error *err)
{
    return value <= most
               ? HD_OK
               : hd__fail(err, HD_ERR_LIMIT, "search: %s is %llu: at most %u", name, (unsigned long long)value, most);
}

/* NaN is in no range. */
static hd_status check_real(const char *name, float value, float least, float most, hd_error *err)
{
    return value >= least && value <= most ? HD_OK
                                           : hd__fail(err, HD_ERR_ARG, "search: %s is %g: from %g to %g", name,
                                                      (double)value, (double)least, (double)most);
}

static hd_status check_query(hd_text query, hd_error *err)
{
    HD_TRY(check_count("the query's length", query.len, HD_LIMIT_QUERY_BYTES, err));
    for (size_t i = 0; i < query.len; i++)
        if (strchr(" \t\r\n", query.ptr[i]) == NULL)
            return HD_OK;
    return hd__fail(err, HD_ERR_ARG, "search: the query is empty");
}

static hd_status check_numbers(const hd_search *w, hd_error *err)
{
    HD_TRY(check_count("offset + limit", (uint64_t)w->offset + w->limit, HD_LIMIT_SEARCH_HITS, err));
    HD_TRY(check_count("the number of candidates", w->n_candidates, HD_LIMIT_SEARCH_HITS, err));
    HD_TRY(check_count("the number of candidates by words", w->n_keyword, HD_LIMIT_SEARCH_HITS, err));
    HD_TRY(check_count("the number of reranked hits", w->n_rerank, HD_LIMIT_SEARCH_RERANKED, err));
    HD_TRY(check_count("the number of facets", w->n_facets, HD_LIMIT_SEARCH_FACETS, err));
    HD_TRY(check_count("the length of snippets", w->snippet_bytes, HD_LIMIT_SNIPPET_BYTES, err));
    if (w->snippet_bytes < HD_SNIPPET_LEAST_BYTES)
        return hd__fail(err, HD_ERR_ARG, "search: snippets of %u bytes: at least %u", w->snippet_bytes,
                        HD_SNIPPET_LEAST_BYTES);
    HD_TRY(check_real("rrf_k", w->rrf_k, 0, 1e6f, err));
    HD_TRY(check_real("the blend of reranked scores", w->rerank_blend, 0, 1, err));
    HD_TRY(check_real("mmr", w->mmr, 0, 1, err));
    if (w->has_min_score)
        HD_TRY(check_real("the least score", w->min_score, -3e38f, 3e38f, err));
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        HD_TRY(check_real("a weight", w->weights[leg], 0, 1e6f, err));
    return HD_OK;
}

static hd_status check_kinds(const hd_search *w, hd_error *err)
{
    if ((w->legs & ~ALL_LEGS) != 0 || (w->legs & FIRST_LEGS) == 0)
        return hd__fail(err, HD_ERR_ARG, "search: legs are %u: bits of hd_leg, at least one of BM25, DENSE and SPARSE",
                        w->legs);
    if ((uint32_t)w->fusion > HD_FUSION_DBSF)
        return hd__fail(err, HD_ERR_ARG, "search: no fusion of number %d", (int)w->fusion);
    if ((uint32_t)w->order > HD_ORDER_SANDWICH)
        return hd__fail(err, HD_ERR_ARG, "search: no order of number %d", (int)w->order);
    const uint32_t leg = w->min_score_leg;
    if ((leg & ~ALL_LEGS) != 0 || (leg & (leg - 1)) != 0)
        return hd__fail(err, HD_ERR_ARG, "search: the least score is of one leg, not of %u", leg);
    return HD_OK;
}

/* ---- what the index keeps ---- */

const char *hd__search_setting_text(const hd_search *search, hd_arena *arena)
{
    const char *text =
        hd__arena_printf(arena, "fusion=%s rrf_k=%g", hd__fusion_names[search->fusion], (double)search->rrf_k);
    for (size_t leg = 0; leg < HD_N_LEGS && text != NULL; leg++)
        if (search->weights[leg] > 0)
            text = hd__arena_printf(arena, "%s %s=%g", text, hd__leg_names[leg], (double)search->weights[leg]);
    return text;
}

bool hd__search_setting_read(const char *text, hd_search *search)
{
    hd_search read = *search;
    bool weighted = false;
    for (const char *at = text; *at != '\0';) {
        const size_t n = strcspn(at, " "), n_name = strcspn(at, "= ");
        const size_t leg = hd__leg_find(at, n_name);
        const float value = at[n_name] == '=' ? strtof(at + n_name + 1, NULL) : NAN;
        if (n_name == 6 && memcmp(at, "fusion", 6) == 0) {
            if (at[n_name] != '=' || !hd__fusion_find(at + 7, n - 7, &read.fusion))
                return false;
        } else if (!(value >= 0 && value <= 1e6f)) {
            return false;
        } else if (leg < HD_N_LEGS) {
            read.weights[leg] = value;
            weighted |= value > 0;
        } else if (n_name == 5 && memcmp(at, "rrf_k", 5) == 0) {
            read.rrf_k = value;
        }
        at += n;
        at += strspn(at, " ");
    }
    if (weighted)
        *search = read;
    return weighted;
}

/* Where a search leaves open how lists become one, the index says it. */
static hd_status apply_setting(hd_search *w, hd_snapshot *snapshot, hd_arena *arena, hd_error *err)
{
    const char *text;
    bool open = w->legs == 0 && w->fusion == HD_FUSION_RRF && w->rrf_k == 0;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        open &= w->weights[leg] == 0;
    if (!open)
        return HD_OK;
    HD_TRY(hd__store_get(snapshot, HD_SEARCH_SETTING, arena, &text, err));
    if (text != NULL && !hd__search_setting_read(text, w))
        return hd__fail(err, HD_ERR_FORMAT, "the index's setting " HD_SEARCH_SETTING " cannot be read: '%s'", text);
    return HD_OK;
}

hd_status hd__search_options(const hd_search *search, const hd_identity *identity, hd_snapshot *snapshot, hd_arena *arena,
                             hd_search *wanted, hd_error *err)
{
    hd_search w = *search;
    HD_TRY(check_query(w.query, err));
    HD_TRY(apply_setting(&w, snapshot, arena, err));
    if (w.legs == 0)
        w.legs = (uint32_t)HD_LEG_BM25 | (identity->n_dimensions > 0 ? (uint32_t)HD_LEG_DENSE : 0) |
                 (identity->has_sparse ? (uint32_t)HD_LEG_SPARSE : 0);
    w.limit = w.limit > 0 ? w.limit : HD_DEFAULT_SEARCH_HITS;
    w.rrf_k = w.rrf_k != 0 ? w.rrf_k : 60; /* NaN, too, is not 0 */
    w.n_rerank = w.n_rerank > 0 ? w.n_rerank : 50;
    w.rerank_blend = w.rerank_blend != 0 ? w.rerank_blend : 1;
    w.snippet_bytes = w.snippet_bytes > 0 ? w.snippet_bytes : 240;
    bool weighted = false;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        weighted |= w.weights[leg] != 0;
    for (size_t leg = 0; leg < HD_N_LEGS && !weighted; leg++)
        w.weights[leg] = 1;
    HD_TRY(check_kinds(&w, err));
    HD_TRY(check_numbers(&w, err));
    const uint32_t n_shown = w.offset + w.limit;
    w.n_candidates = w.n_candidates > 0 ? w.n_candidates : 100;
    if (w.n_candidates < 2 * n_shown)
        w.n_candidates = 2 * n_shown;
    w.n_keyword = w.n_keyword > 0 ? w.n_keyword : w.n_candidates;
    w.rerank |= (w.legs & HD_LEG_RERANK) != 0;
    w.legs &= ~(uint32_t)HD_LEG_RERANK; /* a step, not a list */
    *wanted = w;
    return HD_OK;
}

hd_text hd__search_plain_query(hd_span query, hd_arena *arena)
{
    char *out = hd__arena_alloc(arena, query.len + 1);
    size_t n = 0;
    for (size_t at = 0; at < query.len && out != NULL; at++) {
        const bool minus = query.ptr[at] == '-' && at + 1 < query.len && query.ptr[at + 1] == '"';
        const size_t quote = minus ? at + 1 : at;
        const char *end = query.ptr[quote] == '"' ? memchr(query.ptr + quote + 1, '"', query.len - quote - 1) : NULL;
        if (end == NULL) {
            out[n++] = query.ptr[at];
            continue;
        }
        const size_t len = (size_t)(end - query.ptr) - quote - 1;
        if (!minus) {
            memcpy(out + n, query.ptr + quote + 1, len);
            n += len;
        }
        at = (size_t)(end - query.ptr);
    }
    return (hd_text){out, n};
}
