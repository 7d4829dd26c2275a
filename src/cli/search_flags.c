/* search_flags.c - see search_flags.h. */
#include "cli/search_flags.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "search/fusion.h"

#define MAX_FACETS 64

static const char *flag_db, *flag_mode, *flag_filter, *flag_fusion, *flag_weights, *flag_rrf_k, *flag_min_score, *flag_mmr,
    *flag_profile, *flag_reranker, *flag_facets, *flag_blend;
static bool flag_rerank, flag_group, flag_sandwich;
static uint32_t flag_limit, flag_offset, flag_candidates;

const cli_option cli_search_page_options[] = {
    {.letter = 'n',
     .name = "limit",
     .value = "N",
     .number = &flag_limit,
     .min = 1,
     .max = 10000,
     .help = "so many hits (default: 10)"},
    {.name = "offset", .value = "N", .number = &flag_offset, .min = 0, .max = 10000, .help = "leave out the first N hits"},
    {0},
};

const cli_option cli_search_options[] = {
    {.name = "db",
     .value = "FILE",
     .text = &flag_db,
     .help = "the index (default: HEDDLE_DB, else .heddle.db here or in a folder above)"},
    {.name = "mode",
     .value = "NAME",
     .text = &flag_mode,
     .help = "hybrid, dense, sparse or bm25 (default: hybrid: all that the index keeps)"},
    {.letter = 'f',
     .name = "filter",
     .value = "TEXT",
     .text = &flag_filter,
     .help = "only documents for which it holds: 'source = docs AND created_at >= 2024'"},
    {.name = "rerank",
     .flag = &flag_rerank,
     .help = "read the best hits again, with a model that reads query and text at once"},
    {.name = "reranker",
     .value = "NAME|DIR",
     .text = &flag_reranker,
     .help = "that model (default: the index's token vectors, else " CLI_DEFAULT_RERANKER ")"},
    {.name = "rerank-blend",
     .value = "X",
     .text = &flag_blend,
     .help = "weight of its score against the one before, above 0, at most 1 (default: 1)"},
    {.name = "fusion",
     .value = "NAME",
     .text = &flag_fusion,
     .help = "how lists become one: rrf, minmax, zscore or dbsf (default: the index's own, else rrf)"},
    {.name = "weights", .value = "LEG=X,...", .text = &flag_weights, .help = "bm25=0.3,dense=0.7; legs not named weigh 0"},
    {.name = "rrf-k", .value = "X", .text = &flag_rrf_k, .help = "of rrf: weight / (X + rank) (default: 60)"},
    {.name = "candidates",
     .value = "N",
     .number = &flag_candidates,
     .min = 1,
     .max = 10000,
     .help = "of each leg (default: 100)"},
    {.name = "min-score",
     .value = "[LEG=]X",
     .text = &flag_min_score,
     .help = "leave out hits whose score is less: the one that orders, or a leg's (dense=0.4)"},
    {.name = "group", .flag = &flag_group, .help = "one hit for each document, its best"},
    {.name = "mmr",
     .value = "X",
     .text = &flag_mmr,
     .help = "different hits: weight of relevance against novelty, 0 to 1 (default: off)"},
    {.name = "sandwich", .flag = &flag_sandwich, .help = "the best hits first and last: 1, 2, 5, 6, ..., 3, 4"},
    {.name = "facets",
     .value = "FIELD,...",
     .text = &flag_facets,
     .help = "count the values of fields among all that match"},
    {.name = "profile",
     .value = "NAME",
     .text = &flag_profile,
     .help = "a set of these options: fast, default, gpu or elastic; others given change it"},
    {0},
};

static hd_status parse_real(const char *text, const char *option, float least, float most, float *value, hd_error *err)
{
    char *end;
    const double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || !(parsed >= (double)least && parsed <= (double)most))
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a number from %g to %g", option, text, (double)least,
                        (double)most);
    *value = (float)parsed;
    return HD_OK;
}

hd_status cli_weights_parse(const char *text, const char *source, float weights[HD_N_LEGS], hd_error *err)
{
    float sum = 0;
    memset(weights, 0, HD_N_LEGS * sizeof *weights);
    for (const char *at = text; *at != '\0';) {
        const size_t n = strcspn(at, ","), n_name = strcspn(at, "=,");
        const size_t leg = hd__leg_find(at, n_name);
        char value[32] = "";
        if (leg == HD_N_LEGS || leg >= 4 || at[n_name] != '=' || n - n_name - 1 >= sizeof value)
            return hd__fail(err, HD_ERR_ARG, "%s: '%.*s': LEG=X, where LEG is bm25, dense, sparse or multi", source, (int)n,
                            at);
        memcpy(value, at + n_name + 1, n - n_name - 1);
        HD_TRY(parse_real(value, source, 0, 1e6f, &weights[leg], err));
        sum += weights[leg];
        at += n + (at[n] == ',');
    }
    return sum > 0 ? HD_OK : hd__fail(err, HD_ERR_ARG, "%s: '%s': one weight at least is above 0", source, text);
}

static hd_status parse_mode(hd_search *search, hd_error *err)
{
    static const struct {
        const char *name;
        uint32_t legs;
    } modes[] = {{"hybrid", 0}, {"dense", HD_LEG_DENSE}, {"sparse", HD_LEG_SPARSE}, {"bm25", HD_LEG_BM25}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(modes[i].name, flag_mode) == 0) {
            search->legs = modes[i].legs;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_ARG, "--mode: '%s' is none of hybrid, dense, sparse and bm25", flag_mode);
}

static hd_status parse_fusion(hd_search *search, hd_error *err)
{
    if (!hd__fusion_find(flag_fusion, strlen(flag_fusion), &search->fusion))
        return hd__fail(err, HD_ERR_ARG, "--fusion: '%s' is none of rrf, minmax, zscore and dbsf", flag_fusion);
    search->rrf_k = search->rrf_k != 0 ? search->rrf_k : 60; /* asked for, not left to the index */
    return HD_OK;
}

static hd_status parse_min_score(hd_search *search, hd_error *err)
{
    const char *value = flag_min_score, *equals = strchr(flag_min_score, '=');
    search->min_score_leg = 0;
    if (equals != NULL) {
        const size_t leg = hd__leg_find(flag_min_score, (size_t)(equals - flag_min_score));
        if (leg == HD_N_LEGS)
            return hd__fail(err, HD_ERR_ARG,
                            "--min-score: '%s': X or LEG=X, where LEG is bm25, dense, sparse, multi or rerank",
                            flag_min_score);
        search->min_score_leg = (hd_leg)(1u << leg);
        value = equals + 1;
    }
    search->has_min_score = true;
    return parse_real(value, "--min-score", -1e9f, 1e9f, &search->min_score, err);
}

static hd_status parse_facets(hd_search *search, hd_error *err)
{
    static const char *fields[MAX_FACETS];
    static char texts[4096];
    if (strlen(flag_facets) >= sizeof texts)
        return hd__fail(err, HD_ERR_ARG, "--facets: %zu bytes: at most %zu", strlen(flag_facets), sizeof texts - 1);
    memcpy(texts, flag_facets, strlen(flag_facets) + 1);
    search->facets = fields;
    search->n_facets = 0;
    for (char *field = texts, *end; *field != '\0'; field = end) {
        const size_t n = strcspn(field, ",");
        end = field + n + (field[n] == ',');
        field[n] = '\0';
        if (n == 0)
            continue;
        if (search->n_facets == MAX_FACETS)
            return hd__fail(err, HD_ERR_ARG, "--facets: more than %d fields", MAX_FACETS);
        fields[search->n_facets++] = field;
    }
    return HD_OK;
}

static hd_status parse_numbers(hd_search *search, hd_error *err)
{
    if (flag_rrf_k != NULL)
        HD_TRY(parse_real(flag_rrf_k, "--rrf-k", 1e-3f, 1e6f, &search->rrf_k, err));
    if (flag_mmr != NULL)
        HD_TRY(parse_real(flag_mmr, "--mmr", 0, 1, &search->mmr, err));
    if (flag_blend != NULL)
        HD_TRY(parse_real(flag_blend, "--rerank-blend", 1e-3f, 1, &search->rerank_blend, err));
    if (flag_weights != NULL)
        HD_TRY(cli_weights_parse(flag_weights, "--weights", search->weights, err));
    search->limit = flag_limit > 0 ? flag_limit : search->limit;
    search->offset = flag_offset;
    search->n_candidates = flag_candidates > 0 ? flag_candidates : search->n_candidates;
    const uint32_t shown = search->limit > 0 ? search->limit : HD_DEFAULT_SEARCH_HITS;
    if (search->offset + shown > HD_LIMIT_SEARCH_HITS)
        return hd__fail(err, HD_ERR_ARG, "--offset and --limit: %u and %u are together more than %u", search->offset, shown,
                        HD_LIMIT_SEARCH_HITS);
    return HD_OK;
}

hd_status cli_search_flags(hd_search *search, cli_index_options *options, hd_error *err)
{
    *search = (hd_search){0};
    if (flag_profile != NULL && hd_search_profile(flag_profile, search, NULL) != HD_OK)
        return hd__fail(err, HD_ERR_ARG, "--profile: '%s' is none of fast, default, gpu and elastic", flag_profile);
    if (flag_mode != NULL)
        HD_TRY(parse_mode(search, err));
    HD_TRY(parse_numbers(search, err));
    if (flag_fusion != NULL)
        HD_TRY(parse_fusion(search, err));
    if (flag_min_score != NULL)
        HD_TRY(parse_min_score(search, err));
    if (flag_facets != NULL)
        HD_TRY(parse_facets(search, err));
    search->filter = flag_filter;
    search->rerank |= flag_rerank || flag_reranker != NULL;
    search->per_document |= flag_group;
    search->order = flag_sandwich ? HD_ORDER_SANDWICH : HD_ORDER_SCORE;
    *options = (cli_index_options){.db = flag_db,
                                   .no_model = search->legs == HD_LEG_BM25 && !search->rerank,
                                   .needs_model = search->legs != 0 && (search->legs & HD_LEG_BM25) == 0,
                                   .rerank = search->rerank,
                                   .reranker = flag_reranker};
    return HD_OK;
}

bool cli_search_is_asked(const hd_search *search)
{
    bool asked = search->rerank || search->has_min_score || search->mmr > 0 || search->per_document || search->rrf_k != 0 ||
                 search->fusion != HD_FUSION_RRF;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        asked |= search->weights[leg] != 0;
    return asked;
}
