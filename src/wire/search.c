/* search.c - Heddle's own search: POST /v1/search, GET /v1/search?q=… for a quick look, GET /v1/index.
 *
 *   {"query": "…", "limit": 10, "offset": 0, "filter": "source = docs AND created_at >= 2024-05-01",
 *    "mode": "hybrid" | "bm25" | "dense" | "sparse", or "legs": ["bm25", "dense", "sparse", "multi"],
 *    "profile": "default" | "fast" | "gpu" | "elastic", "n_candidates": 100,
 *    "fusion": "rrf" | "minmax" | "zscore" | "dbsf", "rrf_k": 60, "weights": {"bm25": 0.3, "dense": 0.7},
 *    "rerank": true, "n_rerank": 50, "rerank_blend": 1, "min_score": 0.2, "min_score_leg": "dense",
 *    "per_document": true, "mmr": 0.5, "order": "score" | "sandwich", "facets": ["source"], "snippet_bytes": 240,
 *    "snippets_by_meaning": true}  →
 *   {"query", "hits": [{"id", "doc_id", "chunk_index", "text", "snippet", "highlights", "offsets", "source", "title",
 *    "section", "metadata", "score", "scores": {"dense": 0.7, …}, "ranks": {"dense": 1, …}, …}],
 *    "facets": {"source": [{"value", "n"}]}, "n_matching", "legs": {"dense": {"n", "ms"}}, "embed_ms", "total_ms",
 *    "warning"}
 *
 * All offsets are bytes of UTF-8: highlights in the snippet, offsets in the document's text. A leg that a hit is not in is
 * missing in its scores and ranks. What a field means is in include/heddle/index.h, the filter language in docs/SEARCH.md.
 * An unknown field is refused: a filter with a typing error in its name would be no filter.
 */
#include <math.h>
#include <stdlib.h>

#include "base/limits.h"
#include "search/fusion.h"
#include "wire/answer.h"
#include "wire/fields.h"
#include "wire/hits.h"
#include "wire/openai.h"

/* ---- the request ---- */

/* What `mode` may be, and the legs that it means: hybrid is all that the index keeps. */
static const char *const modes[] = {"hybrid", "bm25", "dense", "sparse", NULL};
static const uint32_t legs_of_mode[] = {0, HD_LEG_BM25, HD_LEG_DENSE, HD_LEG_SPARSE};

static hd_status read_legs(const json_t *body, hd_arena *arena, uint32_t *legs, hd_fault *fault)
{
    const char *const *names = NULL;
    uint32_t mode = 0;
    size_t n = 0;
    HD_TRY(hd__field_choice(body, "mode", modes, &mode, fault));
    HD_TRY(hd__field_texts(body, "legs", arena, &names, &n, fault));
    if (hd__field(body, "mode") != NULL) {
        if (names != NULL)
            return hd__fault(fault, HD_FAULT_VALUE, "legs", "`mode` and `legs` say the same thing: give one of them");
        *legs = legs_of_mode[mode];
    }
    for (size_t i = 0; i < n; i++) {
        const size_t leg = hd__leg_find(names[i], strlen(names[i]));
        if (leg >= HD_AT_RERANK)
            return hd__fault(fault, HD_FAULT_VALUE, "legs", "`legs` has \"%.64s\", allowed are bm25, dense, sparse, multi",
                             names[i]);
        *legs = (i > 0 ? *legs : 0) | 1u << leg;
    }
    return HD_OK;
}

static hd_status read_weights(const json_t *body, float weights[HD_N_LEGS], hd_fault *fault)
{
    const json_t *f = hd__field(body, "weights");
    float sum = 0.0f;
    if (f == NULL)
        return HD_OK;
    if (!json_is_object(f))
        return hd__fault(fault, HD_FAULT_TYPE, "weights", "`weights` is not an object of numbers by leg");
    HD_TRY(hd__fields_known(f, hd__leg_names, fault));
    for (size_t i = 0; i < HD_N_LEGS; i++) {
        weights[i] = 0.0f;
        HD_TRY(hd__field_real(f, hd__leg_names[i], 0.0, 1e6, &weights[i], fault));
        sum += weights[i];
    }
    return sum > 0.0f ? HD_OK : hd__fault(fault, HD_FAULT_VALUE, "weights", "`weights` are all 0");
}

static hd_status read_min_score(const json_t *body, hd_search *search, hd_fault *fault)
{
    uint32_t leg = HD_N_LEGS;
    HD_TRY(hd__field_real(body, "min_score", -1e30, 1e30, &search->min_score, fault));
    HD_TRY(hd__field_choice(body, "min_score_leg", hd__leg_names, &leg, fault));
    search->has_min_score |= hd__field(body, "min_score") != NULL;
    if (leg < HD_N_LEGS)
        search->min_score_leg = (hd_leg)(1 << leg);
    return HD_OK;
}

static hd_status read_profile(const json_t *body, hd_search *search, hd_fault *fault)
{
    const char *profile = NULL;
    hd_error error = {0};
    HD_TRY(hd__field_text(body, "profile", &profile, fault));
    if (profile != NULL && hd_search_profile(profile, search, &error) != HD_OK)
        return hd__fault(fault, HD_FAULT_VALUE, "profile", "%s", error.text);
    return HD_OK;
}

static hd_status read_ranking(const json_t *body, hd_search *search, hd_fault *fault)
{
    static const char *const orders[] = {"score", "sandwich", NULL};
    uint32_t fusion = (uint32_t)search->fusion, order = (uint32_t)search->order;
    HD_TRY(hd__field_choice(body, "fusion", hd__fusion_names, &fusion, fault));
    HD_TRY(hd__field_choice(body, "order", orders, &order, fault));
    search->fusion = (hd_fusion)fusion;
    search->order = (hd_order)order;
    HD_TRY(hd__field_uint(body, "n_candidates", 1, UINT32_MAX, &search->n_candidates, fault));
    HD_TRY(hd__field_uint(body, "n_keyword", 1, UINT32_MAX, &search->n_keyword, fault));
    HD_TRY(hd__field_real(body, "rrf_k", 1e-3, 1e6, &search->rrf_k, fault));
    HD_TRY(read_weights(body, search->weights, fault));
    HD_TRY(hd__field_bool(body, "rerank", &search->rerank, fault));
    HD_TRY(hd__field_uint(body, "n_rerank", 1, UINT32_MAX, &search->n_rerank, fault));
    HD_TRY(hd__field_real(body, "rerank_blend", 1e-3, 1.0, &search->rerank_blend, fault));
    HD_TRY(read_min_score(body, search, fault));
    HD_TRY(hd__field_bool(body, "per_document", &search->per_document, fault));
    return hd__field_real(body, "mmr", 0.0, 1.0, &search->mmr, fault);
}

static hd_status check_query(hd_text query, hd_fault *fault)
{
    return query.ptr == NULL ? hd__fault(fault, HD_FAULT_MISSING, "query", "`query` is missing")
           : query.len == 0  ? hd__fault(fault, HD_FAULT_EMPTY, "query", "`query` cannot be an empty string")
                             : HD_OK;
}

/* A call with one zeroed search. */
static hd_status new_search(const hd_wire_request *request, hd_call *call, hd_search **search, hd_fault *fault)
{
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_SEARCH, call, &c, fault));
    *search = hd__arena_calloc(request->arena, 1, sizeof **search);
    c->searches = *search;
    c->n_searches = 1;
    return *search != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for a search");
}

static hd_status read_search(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    static const char *const known[] = {"query",
                                        "limit",
                                        "offset",
                                        "mode",
                                        "legs",
                                        "profile",
                                        "filter",
                                        "fusion",
                                        "rrf_k",
                                        "weights",
                                        "n_candidates",
                                        "n_keyword",
                                        "rerank",
                                        "n_rerank",
                                        "rerank_blend",
                                        "min_score",
                                        "min_score_leg",
                                        "per_document",
                                        "mmr",
                                        "order",
                                        "facets",
                                        "snippet_bytes",
                                        "snippets_by_meaning",
                                        "timeout_ms",
                                        NULL};
    const json_t *body = request->body, *query = hd__field(body, "query");
    hd_search *search;
    HD_TRY(hd__fields_known(body, known, fault));
    HD_TRY(new_search(request, call, &search, fault));
    HD_TRY(read_profile(body, search, fault));
    if (query != NULL && !json_is_string(query))
        return hd__fault(fault, HD_FAULT_TYPE, "query", "`query` is not a string");
    if (query != NULL)
        search->query = hd__json_string(query);
    HD_TRY(check_query(search->query, fault));
    HD_TRY(hd__field_uint(body, "limit", 1, HD_LIMIT_ANSWERED_HITS, &search->limit, fault));
    HD_TRY(hd__field_uint(body, "offset", 0, UINT32_MAX, &search->offset, fault));
    HD_TRY(hd__field_text(body, "filter", &search->filter, fault));
    HD_TRY(read_legs(body, request->arena, &search->legs, fault));
    HD_TRY(read_ranking(body, search, fault));
    HD_TRY(hd__field_texts(body, "facets", request->arena, &search->facets, &search->n_facets, fault));
    HD_TRY(hd__field_uint(body, "snippet_bytes", 1, UINT32_MAX, &search->snippet_bytes, fault));
    HD_TRY(hd__field_bool(body, "snippets_by_meaning", &search->snippets_by_meaning, fault));
    return hd__field_uint(body, "timeout_ms", 1, UINT32_MAX, &call->timeout_ms, fault);
}

/* ?q=…&limit=…&mode=…&filter=… */
static hd_status read_quick(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const hd_span query = hd__http_query(request->http, "q", request->arena);
    const hd_span limit = hd__http_query(request->http, "limit", request->arena);
    const char *mode;
    size_t at = 0;
    hd_search *search;
    HD_TRY(new_search(request, call, &search, fault));
    if (query.len == 0)
        return hd__fault(fault, query.ptr == NULL ? HD_FAULT_MISSING : HD_FAULT_EMPTY, "q", "`q` is missing: ?q=some+words");
    search->query = (hd_text){query.ptr, query.len};
    if (limit.ptr != NULL)
        HD_TRY(hd__query_uint(limit, "limit", 1, HD_LIMIT_ANSWERED_HITS, &search->limit, fault));
    HD_TRY(hd__query_text(request, "mode", &mode, fault));
    while (mode != NULL && modes[at] != NULL && strcmp(modes[at], mode) != 0)
        at++;
    if (modes[at] == NULL)
        return hd__fault(fault, HD_FAULT_VALUE, "mode", "`mode` is \"%.64s\", allowed are hybrid, bm25, dense, sparse",
                         mode);
    search->legs = legs_of_mode[at];
    return hd__query_text(request, "filter", &search->filter, fault);
}

/* ---- the answer ---- */

/* {"bm25":7.1,"fused":0.03} */
static void write_scores(hd_buffer *b, const hd_hit *hit)
{
    hd__buffer_append_text(b, ",\"scores\":{\"fused\":");
    hd__write_float(b, hit->fused);
    for (size_t i = 0; i < HD_N_LEGS; i++) {
        if (!isfinite(hit->scores[i]))
            continue;
        hd__buffer_printf(b, ",\"%s\":", hd__leg_names[i]);
        hd__write_float(b, hit->scores[i]);
    }
    hd__buffer_printf(b, "},\"ranks\":{\"fused\":%u", hit->fused_rank);
    for (size_t i = 0; i < HD_N_LEGS; i++)
        if (hit->ranks[i] != 0)
            hd__buffer_printf(b, ",\"%s\":%u", hd__leg_names[i], hit->ranks[i]);
    hd__buffer_append_char(b, '}');
}

static void write_hit(hd_buffer *b, const hd_hit *hit)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, hit->chunk_id);
    hd__write_member(b, "doc_id", hit->document_id);
    hd__write_member_uint(b, "chunk_index", hit->ordinal);
    hd__buffer_append_text(b, ",\"score\":");
    hd__write_float(b, hit->score);
    write_scores(b, hit);
    hd__write_member(b, "text", hit->text);
    hd__write_member(b, "snippet", hit->snippet);
    hd__buffer_append_text(b, ",\"highlights\":[");
    for (size_t i = 0; i < hit->n_highlights; i++)
        hd__buffer_printf(b, "%s{\"start\":%u,\"end\":%u}", i > 0 ? "," : "", hit->highlights[i].begin,
                          hit->highlights[i].end);
    hd__buffer_append_char(b, ']');
    hd__write_member_span(b, "offsets", hit->span);
    hd__write_member_uint(b, "line", hit->line);
    hd__write_member_uint(b, "page", hit->page);
    hd__write_member(b, "source", hit->source);
    hd__write_member_or_null(b, "path", hit->path);
    hd__write_member_or_null(b, "url", hit->url);
    hd__write_member_or_null(b, "author", hit->author);
    hd__write_member_or_null(b, "mime", hit->mime);
    hd__write_member(b, "title", hit->title);
    hd__write_member(b, "section", hit->section);
    hd__write_member_date(b, "created_at", hit->created_at);
    hd__write_member_metadata(b, hit->metadata);
    hd__buffer_append_char(b, '}');
}

static void write_facets(hd_buffer *b, const hd_results *r)
{
    hd__buffer_append_text(b, ",\"facets\":{");
    for (size_t f = 0; f < r->n_facets; f++) {
        if (f > 0)
            hd__buffer_append_char(b, ',');
        hd__write_cstr(b, r->facets[f].field);
        hd__buffer_append_text(b, ":[");
        for (size_t i = 0; i < r->facets[f].n; i++) {
            hd__buffer_append_text(b, i > 0 ? ",{\"value\":" : "{\"value\":");
            hd__write_cstr(b, r->facets[f].values[i].value);
            hd__write_member_uint(b, "n", r->facets[f].values[i].n);
            hd__buffer_append_char(b, '}');
        }
        hd__buffer_append_char(b, ']');
    }
    hd__buffer_append_char(b, '}');
}

static void write_legs(hd_buffer *b, const hd_results *r)
{
    const char *separator = "";
    hd__buffer_append_text(b, ",\"legs\":{");
    for (size_t i = 0; i < HD_N_LEGS; i++) {
        if (r->n_in_leg[i] == 0 && r->leg_ms[i] <= 0.0)
            continue;
        hd__buffer_printf(b, "%s\"%s\":{\"n\":%u,\"ms\":%.3f}", separator, hd__leg_names[i], r->n_in_leg[i], r->leg_ms[i]);
        separator = ",";
    }
    hd__buffer_printf(b, "},\"embed_ms\":%.3f,\"total_ms\":%.3f", r->embed_ms, r->total_ms);
}

static void write_search(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    const hd_search *search = &call->index->searches[0];
    const hd_results *r = &result->index->searches[0];
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"query\":");
    hd__buffer_append_json(b, hd__span(search->query.ptr, search->query.len));
    hd__buffer_append_text(b, ",\"hits\":[");
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_hit(b, &r->hits[i]);
    }
    hd__buffer_append_char(b, ']');
    write_facets(b, r);
    hd__write_member_uint(b, "n_matching", r->n_matching);
    write_legs(b, r);
    hd__write_member_or_null(b, "warning", r->warning);
    hd__buffer_append_char(b, '}');
}

/* ---- the index ---- */

static hd_status read_stats(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    hd_index_call *c;
    return hd__index_call(request, HD_TASK_STATS, call, &c, fault);
}

static void write_stats(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)call;
    const hd_index_stats *s = &result->index->stats;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"n_dimensions", s->n_dimensions},   {"n_documents", s->n_documents},   {"n_chunks", s->n_chunks},
        {"n_dead_chunks", s->n_dead_chunks}, {"n_terms", s->n_terms},           {"n_graph", s->n_graph},
        {"file_bytes", s->file_bytes},       {"memory_bytes", s->memory_bytes},
    };
    hd_buffer *b = &response->body;
    const char *separator = "";
    hd__buffer_append_text(b, "{\"path\":");
    hd__write_cstr(b, s->path);
    hd__write_member_or_null(b, "model", s->model);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        hd__write_member_uint(b, numbers[i].name, numbers[i].value);
    hd__buffer_append_text(b, ",\"legs\":[");
    for (size_t i = 0; i < HD_N_LEGS; i++) {
        const bool can = i == HD_N_LEGS - 1 ? request->settings->has_reranker : (s->legs >> i & 1) != 0;
        if (!can)
            continue;
        hd__buffer_printf(b, "%s\"%s\"", separator, hd__leg_names[i]);
        separator = ",";
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- the table ---- */

#define QUERY(name, schema) "{\"name\":\"" name "\",\"in\":\"query\",\"schema\":" schema "}"

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/v1/search",
     .has_body = true,
     .read = read_search,
     .write = write_search,
     .summary = "Passages that answer a query, best first.",
     .request_schema = "SearchRequest",
     .response_schema = "SearchResponse"},
    {.method = HD_HTTP_GET,
     .path = "/v1/search",
     .read = read_quick,
     .write = write_search,
     .summary = "The same, for a quick look.",
     .parameters =
         "{\"name\":\"q\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\",\"minLength\":1}}"
         "," QUERY("limit", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}") "," QUERY(
             "mode", "{\"type\":\"string\",\"enum\":[\"hybrid\",\"bm25\",\"dense\",\"sparse\"]}") "," QUERY("filter",
                                                                                                            "{\"type\":"
                                                                                                            "\"string\"}"),
     .response_schema = "SearchResponse"},
    {.method = HD_HTTP_GET,
     .path = "/v1/index",
     .read = read_stats,
     .write = write_stats,
     .summary = "How large the index is, whose vectors it has, what it can answer.",
     .response_schema = "Index"},
};

static const char schemas[] =
    "{\"SearchRequest\":{\"type\":\"object\",\"required\":[\"query\"],\"additionalProperties\":false,"
    "\"properties\":{\"query\":{\"type\":\"string\",\"minLength\":1},\"limit\":{\"type\":[\"integer\",\"null\"],"
    "\"minimum\":1,\"maximum\":1000,\"default\":10},\"offset\":{\"type\":[\"integer\",\"null\"],\"minimum\":0,"
    "\"maximum\":4294967295},\"mode\":{\"type\":[\"string\",\"null\"],\"enum\":[\"hybrid\",\"bm25\",\"dense\","
    "\"sparse\",null]},\"legs\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\",\"enum\":[\"bm25\","
    "\"dense\",\"sparse\",\"multi\"]}},\"profile\":{\"type\":[\"string\",\"null\"],\"enum\":[\"fast\",\"default\","
    "\"gpu\",\"elastic\",null]},\"filter\":{\"type\":[\"string\",\"null\"]},\"n_candidates\":{\"type\":[\"integer\","
    "\"null\"],\"minimum\":1},\"fusion\":{\"type\":[\"string\",\"null\"],\"enum\":[\"rrf\",\"minmax\",\"zscore\","
    "\"dbsf\",null]},\"rrf_k\":{\"type\":[\"number\",\"null\"],\"minimum\":0.001,\"maximum\":1000000},"
    "\"weights\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
    "\"properties\":{\"bm25\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1000000},"
    "\"dense\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1000000},\"sparse\":{\"type\":[\"number\","
    "\"null\"],\"minimum\":0,\"maximum\":1000000},\"multi\":{\"type\":[\"number\",\"null\"],\"minimum\":0,"
    "\"maximum\":1000000},\"rerank\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1000000}}},"
    "\"rerank\":{\"type\":[\"boolean\",\"null\"]},\"n_rerank\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"
    "\"rerank_blend\":{\"type\":[\"number\",\"null\"],\"minimum\":0.001,\"maximum\":1},"
    "\"min_score\":{\"type\":[\"number\",\"null\"]},\"min_score_leg\":{\"type\":[\"string\",\"null\"],"
    "\"enum\":[\"bm25\",\"dense\",\"sparse\",\"multi\",\"rerank\",null]},\"per_document\":{\"type\":[\"boolean\","
    "\"null\"]},\"mmr\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1},\"order\":{\"type\":[\"string\","
    "\"null\"],\"enum\":[\"score\",\"sandwich\",null]},\"facets\":{\"type\":[\"array\",\"null\"],"
    "\"items\":{\"type\":\"string\"}},\"snippets_by_meaning\":{\"type\":[\"boolean\",\"null\"]},"
    "\"snippet_bytes\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},\"Hit\":{\"type\":\"object\","
    "\"required\":[\"id\",\"doc_id\",\"chunk_index\",\"score\",\"scores\",\"ranks\",\"text\",\"snippet\","
    "\"highlights\",\"offsets\",\"source\",\"title\",\"section\",\"metadata\"],"
    "\"properties\":{\"id\":{\"type\":\"string\"},\"doc_id\":{\"type\":\"string\"},"
    "\"chunk_index\":{\"type\":\"integer\"},\"score\":{\"type\":\"number\"},\"scores\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"number\"}},\"ranks\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"integer\"}},\"text\":{\"type\":\"string\"},"
    "\"snippet\":{\"type\":\"string\"},\"highlights\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"start\",\"end\"],\"properties\":{\"start\":{\"type\":\"integer\"},"
    "\"end\":{\"type\":\"integer\"}}}},\"offsets\":{\"type\":\"object\",\"required\":[\"start\",\"end\"],"
    "\"properties\":{\"start\":{\"type\":\"integer\"},\"end\":{\"type\":\"integer\"}}},"
    "\"line\":{\"type\":\"integer\"},\"page\":{\"type\":\"integer\"},\"source\":{\"type\":\"string\"},"
    "\"path\":{\"type\":[\"string\",\"null\"]},\"url\":{\"type\":[\"string\",\"null\"]},"
    "\"author\":{\"type\":[\"string\",\"null\"]},\"mime\":{\"type\":[\"string\",\"null\"]},"
    "\"title\":{\"type\":\"string\"},\"section\":{\"type\":\"string\"},\"created_at\":{\"type\":[\"string\","
    "\"null\"]},\"metadata\":{\"type\":\"object\"}}},\"SearchResponse\":{\"type\":\"object\",\"required\":[\"query\","
    "\"hits\",\"facets\",\"n_matching\",\"legs\",\"embed_ms\",\"total_ms\",\"warning\"],"
    "\"properties\":{\"query\":{\"type\":\"string\"},\"hits\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/Hit\"}},\"facets\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"value\",\"n\"],"
    "\"properties\":{\"value\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}}}},"
    "\"n_matching\":{\"type\":\"integer\"},\"legs\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"object\",\"required\":[\"n\",\"ms\"]}},\"embed_ms\":{\"type\":\"number\"},"
    "\"total_ms\":{\"type\":\"number\"},\"warning\":{\"type\":[\"string\",\"null\"]}}},"
    "\"Index\":{\"type\":\"object\",\"required\":[\"path\",\"model\",\"n_documents\",\"n_chunks\",\"legs\"],"
    "\"properties\":{\"path\":{\"type\":\"string\"},\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"n_dimensions\":{\"type\":\"integer\"},\"n_documents\":{\"type\":\"integer\"},"
    "\"n_chunks\":{\"type\":\"integer\"},\"file_bytes\":{\"type\":\"integer\"},\"legs\":{\"type\":\"array\","
    "\"items\":{\"type\":\"string\"}}}}}";

const hd_protocol hd__protocol_search = {
    .name = "Search",
    .dialect = &hd__dialect_openai,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
