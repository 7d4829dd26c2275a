/* POST /v1/search, GET /v1/search, GET /v1/index: what a body asks for, what is refused, what is answered. */
#include <math.h>

#include "base/limits.h"
#include "unit/wire_transcript.h"

static const hd_search *search_of(const char *line, const char *body)
{
    if (ask(line, body) != HD_OK)
        fail_msg("%s: %s", body, t.fault.text);
    assert_int_equal(t.call.task, HD_TASK_SEARCH);
    assert_int_equal(t.call.index->n_searches, 1);
    return t.call.index->searches;
}

static void reads_a_query(void **state)
{
    (void)state;
    const hd_search *s = search_of("POST /v1/search", "{'query':'warp'}");
    assert_int_equal(s->query.len, 4);
    assert_memory_equal(s->query.ptr, "warp", 4);
    const hd_search expected = {.query = s->query};
    assert_memory_equal(s, &expected, sizeof expected); /* all else is the index's to choose */
    assert_int_equal(t.call.timeout_ms, 0);
}

static void reads_every_field(void **state)
{
    (void)state;
    const hd_search *s = search_of(
        "POST /v1/search",
        "{'query':'a','limit':7,'offset':3,'legs':['bm25','multi'],'filter':'x = 1','fusion':'dbsf','rrf_k':10,"
        "'weights':{'bm25':0.25,'rerank':2},'n_candidates':50,'n_keyword':5,'rerank':true,'n_rerank':9,'rerank_blend':0.5,"
        "'min_score':-1.5,'min_score_leg':'sparse','per_document':true,'mmr':0.75,'order':'sandwich',"
        "'facets':['source','metadata.year'],'snippet_bytes':99,'snippets_by_meaning':true,'timeout_ms':1000}");
    assert_int_equal(s->limit, 7);
    assert_int_equal(s->offset, 3);
    assert_int_equal(s->legs, HD_LEG_BM25 | HD_LEG_MULTI);
    assert_string_equal(s->filter, "x = 1");
    assert_int_equal(s->fusion, HD_FUSION_DBSF);
    assert_true(s->rrf_k == 10.0f && s->weights[0] == 0.25f && s->weights[1] == 0.0f && s->weights[4] == 2.0f);
    assert_int_equal(s->n_candidates, 50);
    assert_int_equal(s->n_keyword, 5);
    assert_true(s->rerank && s->per_document && s->has_min_score);
    assert_int_equal(s->n_rerank, 9);
    assert_true(s->rerank_blend == 0.5f && s->min_score == -1.5f && s->mmr == 0.75f);
    assert_int_equal(s->min_score_leg, HD_LEG_SPARSE);
    assert_int_equal(s->order, HD_ORDER_SANDWICH);
    assert_int_equal(s->n_facets, 2);
    assert_string_equal(s->facets[1], "metadata.year");
    assert_int_equal(s->snippet_bytes, 99);
    assert_true(s->snippets_by_meaning);
    assert_int_equal(t.call.timeout_ms, 1000);
}

static void a_profile_is_what_is_not_said(void **state)
{
    (void)state;
    const hd_search *s = search_of("POST /v1/search", "{'query':'a','profile':'fast','n_rerank':3}");
    assert_true(s->rerank);
    assert_int_equal(s->n_rerank, 3);
    assert_int_equal(s->n_candidates, 50);
    s = search_of("POST /v1/search", "{'query':'a','profile':'elastic','mode':'dense'}");
    assert_int_equal(s->legs, HD_LEG_DENSE);
    s = search_of("POST /v1/search", "{'query':'a','profile':'elastic','mode':'hybrid','limit':null}");
    assert_int_equal(s->legs, 0);
}

static void refuses(const char *body, hd_fault_kind kind, const char *says)
{
    assert_int_equal(ask("POST /v1/search", body), HD_ERR_ARG);
    if (t.fault.kind != kind || strstr(t.fault.text, says) == NULL)
        fail_msg("%s: %d %s", body, t.fault.kind, t.fault.text);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    refuses("{}", HD_FAULT_MISSING, "`query` is missing");
    refuses("{'query':7}", HD_FAULT_TYPE, "`query` is not a string");
    refuses("{'query':''}", HD_FAULT_EMPTY, "empty");
    refuses("{'query':'a','filtre':'x'}", HD_FAULT_VALUE, "no field `filtre`");
    refuses("{'query':'a','limit':0}", HD_FAULT_VALUE, "`limit` is 0, allowed are 1 to 1000");
    refuses("{'query':'a','limit':1001}", HD_FAULT_VALUE, "`limit` is 1001");
    refuses("{'query':'a','limit':'5'}", HD_FAULT_TYPE, "`limit` is not an integer");
    refuses("{'query':'a','offset':-1}", HD_FAULT_VALUE, "`offset` is -1");
    refuses("{'query':'a','mode':'fuzzy'}", HD_FAULT_VALUE, "allowed are hybrid, bm25, dense, sparse");
    refuses("{'query':'a','legs':'bm25'}", HD_FAULT_TYPE, "`legs` is not a list");
    refuses("{'query':'a','legs':['rerank']}", HD_FAULT_VALUE, "`legs` has \"rerank\"");
    refuses("{'query':'a','legs':['bm25'],'mode':'bm25'}", HD_FAULT_VALUE, "the same thing");
    refuses("{'query':'a','weights':[1]}", HD_FAULT_TYPE, "`weights` is not an object");
    refuses("{'query':'a','weights':{'bm52':1}}", HD_FAULT_VALUE, "no field `bm52`");
    refuses("{'query':'a','weights':{'bm25':-1}}", HD_FAULT_VALUE, "`bm25` is -1");
    refuses("{'query':'a','weights':{'bm25':0}}", HD_FAULT_VALUE, "all 0");
    refuses("{'query':'a','mmr':1.5}", HD_FAULT_VALUE, "`mmr` is 1.5");
    refuses("{'query':'a','mmr':'high'}", HD_FAULT_TYPE, "`mmr` is not a number");
    refuses("{'query':'a','facets':[1]}", HD_FAULT_TYPE, "`facets` is not a list of strings");
    refuses("{'query':'a','filter':'a\\u0000b'}", HD_FAULT_VALUE, "NUL");
    refuses("{'query':'a','profile':'best'}", HD_FAULT_VALUE, "no search profile 'best'");
    assert_refused("POST /v1/search", "{'query':'a','rerank':1}", HD_FAULT_TYPE, 400,
                   "{'error':{'message':'`rerank` is not true or false','type':'invalid_request_error','param':'rerank',"
                   "'code':'invalid_type'}}");
    assert_all_faults("POST /v1/search", "{'query':'a'}");
}

static void reads_an_address(void **state)
{
    (void)state;
    const hd_search *s = search_of("GET /v1/search?q=a%20b+c&limit=1000&mode=bm25&filter=source%3Ddocs", "");
    assert_memory_equal(s->query.ptr, "a b c", 5);
    assert_int_equal(s->limit, 1000);
    assert_int_equal(s->legs, HD_LEG_BM25);
    assert_string_equal(s->filter, "source=docs");
    static const char *const wrong[] = {"GET /v1/search",
                                        "GET /v1/search?q=",
                                        "GET /v1/search?q=a&limit=0",
                                        "GET /v1/search?q=a&limit=1001",
                                        "GET /v1/search?q=a&limit=",
                                        "GET /v1/search?q=a&limit=1e3",
                                        "GET /v1/search?q=a&limit=99999999999999999999999",
                                        "GET /v1/search?q=a&mode=",
                                        "GET /v1/search?q=a&filter=%00"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (ask(wrong[i], "") != HD_ERR_ARG)
            fail_msg("%s is taken", wrong[i]);
}

static void answers(void **state)
{
    (void)state;
    const hd_span32 highlights[] = {{2, 6}};
    hd_hit hit = {.document_id = "a/b.md",
                  .chunk_id = "a/b.md#1",
                  .ordinal = 1,
                  .source = "docs",
                  .path = "/home/a/b.md",
                  .url = "",
                  .author = "",
                  .mime = "text/markdown",
                  .title = "Looms",
                  .section = "A > B",
                  .text = "A warp.",
                  .snippet = "A warp.",
                  .metadata = "{\"year\":2024}",
                  .created_at = 86400,
                  .span = {10, 17},
                  .line = 3,
                  .highlights = highlights,
                  .n_highlights = 1,
                  .score = 0.5f,
                  .scores = {1.5f, NAN, NAN, NAN, 0.5f},
                  .ranks = {2, 0, 0, 0, 1},
                  .fused = 0.25f,
                  .fused_rank = 4};
    const hd_facet_value values[] = {{"docs", 3}};
    const hd_facet facet = {"source", values, 1};
    hd_results results = {.hits = &hit,
                          .n = 1,
                          .facets = &facet,
                          .n_facets = 1,
                          .n_matching = 12,
                          .n_in_leg = {5},
                          .leg_ms = {0.5},
                          .embed_ms = 2,
                          .total_ms = 3.25,
                          .warning = "no vectors"};
    const hd_index_result index = {.searches = &results};
    search_of("POST /v1/search", "{'query':'war\\\\p'}");
    assert_answer(&(hd_result){.index = &index},
                  "{'query':'war\\\\p','hits':[{'id':'a/b.md#1','doc_id':'a/b.md','chunk_index':1,'score':0.5,"
                  "'scores':{'fused':0.25,'bm25':1.5,'rerank':0.5},'ranks':{'fused':4,'bm25':2,'rerank':1},'text':'A warp.',"
                  "'snippet':'A warp.','highlights':[{'start':2,'end':6}],'offsets':{'start':10,'end':17},'line':3,'page':0,"
                  "'source':'docs','path':'/home/a/b.md','url':null,'author':null,'mime':'text/markdown','title':'Looms',"
                  "'section':'A > B','created_at':'1970-01-02T00:00:00Z','metadata':{'year':2024}}],"
                  "'facets':{'source':[{'value':'docs','n':3}]},'n_matching':12,'legs':{'bm25':{'n':5,'ms':0.500}},"
                  "'embed_ms':2.000,'total_ms':3.250,'warning':'no vectors'}");
    results = (hd_results){.warning = ""};
    search_of("GET /v1/search?q=a", "");
    assert_answer(&(hd_result){.index = &index},
                  "{'query':'a','hits':[],'facets':{},'n_matching':0,'legs':{},'embed_ms':0.000,'total_ms':0.000,"
                  "'warning':null}");
}

static void tells_of_the_index(void **state)
{
    (void)state;
    const hd_index_result index = {
        .stats = {.path = "notes.db", .model = "", .n_dimensions = 4, .legs = 3, .n_documents = 2}};
    assert_int_equal(ask("GET /v1/index", ""), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_STATS);
    assert_answer(
        &(hd_result){.index = &index},
        "{'path':'notes.db','model':null,'n_dimensions':4,'n_documents':2,'n_chunks':0,'n_dead_chunks':0,'n_terms':0,"
        "'n_graph':0,'file_bytes':0,'memory_bytes':0,'legs':['bm25','dense']}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_query),
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(a_profile_is_what_is_not_said),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(reads_an_address),
        cmocka_unit_test(answers),
        cmocka_unit_test(tells_of_the_index),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
