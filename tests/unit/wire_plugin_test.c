/* The retrieval plugin's API: transcripts as its own server and its clients write them, errors word for word. */
#include <math.h>
#include <time.h>

#include "base/limits.h"
#include "unit/wire_transcript.h"

static const hd_index_call *call_of(const char *line, const char *body, hd_task task)
{
    if (ask(line, body) != HD_OK)
        fail_msg("%s %s: %s", line, body, t.fault.text);
    assert_int_equal(t.call.task, task);
    return t.call.index;
}

static void upserts(void **state)
{
    (void)state;
    const hd_index_call *c =
        call_of("POST /upsert",
                "{'documents':[{'id':'doc1','text':'a','metadata':{'source':'email','source_id':'s','url':'u',"
                "'created_at':'2024-05-01T10:00:00Z','author':'Ann','other':[]}},{'id':7,'text':'b'},"
                "{'id':'','text':'c','metadata':null}]}",
                HD_TASK_PUT);
    const hd_document *d = c->documents;
    assert_int_equal(c->n_documents, 3);
    assert_string_equal(d[0].id, "doc1");
    assert_string_equal(d[0].source, "email");
    assert_string_equal(d[0].url, "u");
    assert_string_equal(d[0].author, "Ann");
    assert_int_equal(d[0].created_at, 1714557600);
    assert_string_equal(d[0].metadata, "{\"source_id\":\"s\",\"created_at\":\"2024-05-01T10:00:00Z\"}");
    assert_int_equal(d[0].chunking, HD_CHUNKING_PLUGIN);
    assert_string_equal(d[1].id, "7");
    assert_string_equal(d[1].metadata, "{}");
    assert_int_equal(d[1].created_at, 0);
    assert_null(d[2].id);
    hd_text ids[] = {{"doc1", 4}, {NULL, 0}, {"u", 1}};
    const hd_index_result index = {.ids = ids};
    assert_answer(&(hd_result){.index = &index}, "{'ids':['doc1','7','u']}");
    call_of("POST /upsert", "{'documents':[{'id':'doc1','text':''},{'text':' '}]}", HD_TASK_PUT);
    ids[0] = (hd_text){0};
    assert_answer(&(hd_result){.index = &index}, "{'ids':[]}");
    d = call_of("POST /upsert", "{'documents':[{'text':5},{'text':'a\\u0000b'}]}", HD_TASK_PUT)->documents;
    assert_string_equal(d[0].text.ptr, "5");
    assert_int_equal(d[1].text.len, 3);
    assert_int_equal(call_of("POST /upsert", "{'documents':[]}", HD_TASK_PUT)->n_documents, 0);
}

static void an_unreadable_date_is_now(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* 0: now */
    } dates[] = {
        {"2024-05-01", 1714521600}, {"1714521600", 1714521600}, {"-1.5", -1}, {"yesterday", 0}, {"nan", 0}, {"1e99", 0}};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        char body[128];
        snprintf(body, sizeof body, "{'documents':[{'text':'a','metadata':{'created_at':'%s'}}]}", dates[i].text);
        const int64_t before = (int64_t)time(NULL), got = call_of("POST /upsert", body, HD_TASK_PUT)->documents->created_at;
        if (dates[i].seconds != 0)
            assert_int_equal(got, dates[i].seconds);
        else
            assert_true(got >= before && got <= before + 10);
    }
}

#define FORM(metadata)                                                                                                      \
    "--xyz\r\nContent-Disposition: form-data; name=file; filename=a.md\r\nContent-Type: text/markdown\r\n\r\n# A\r\n"       \
    "--xyz\r\nContent-Disposition: form-data; name=metadata\r\n\r\n" metadata "\r\n--xyz--\r\n"

static void upserts_files(void **state)
{
    (void)state;
    t.header = (hd_http_header){{"Content-Type", 12}, {"multipart/form-data; boundary=xyz", 33}};
    const hd_document *d = call_of("POST /upsert-file", FORM("{'source':'chat','author':'Ann'}"), HD_TASK_PUT)->documents;
    assert_string_equal(d->mime, "text/markdown");
    assert_int_equal(d->text.len, 3);
    assert_memory_equal(d->text.ptr, "# A", 3);
    assert_string_equal(d->source, "chat");
    assert_string_equal(d->author, "Ann");
    assert_string_equal(d->metadata, "{\"filename\":\"a.md\",\"filesize\":\"3\"}");
    assert_null(d->id);
    static const char *const unreadable[] = {FORM("{'source':"), FORM("[]"), FORM("{'source':'web'}"),
                                             FORM("{'author':[]}")};
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        d = call_of("POST /upsert-file", unreadable[i], HD_TASK_PUT)->documents;
        assert_string_equal(d->source, "file");
        assert_null(d->author);
    }
    assert_null(call_of("POST /upsert-file", FORM("{'author':'Ann'}"), HD_TASK_PUT)->documents->source);
    assert_refused("POST /upsert-file", "--xyz--", HD_FAULT_MISSING, 422,
                   "{'detail':[{'loc':['body','file'],'msg':'field required','type':'value_error.missing'}]}");
    assert_int_equal(ask("POST /upsert-file", "--xy"), HD_ERR_ARG);
    assert_int_equal(t.fault.kind, HD_FAULT_VALUE);
    assert_int_equal(ask("POST /upsert-file", FORM("{}")), HD_OK);
    assert_fault(&(hd_fault){.kind = HD_FAULT_VALUE, .text = "no such kind of file"}, 500,
                 "{'detail':'no such kind of file'}");
    t.header = (hd_http_header){0};
}

static void queries(void **state)
{
    (void)state;
    const hd_index_call *c =
        call_of("POST /query",
                "{'queries':[{'query':'a'},{'query':'b','top_k':7,'filter':{'document_id':'d\\\\\\\"1','source':'file','"
                "source_id':'s',"
                "'author':'x','start_date':'2024-05-01','end_date':1714521601}},{'query':'c','filter':{},'top_k':null}]}",
                HD_TASK_SEARCH);
    assert_int_equal(c->n_searches, 3);
    assert_int_equal(c->searches[0].limit, 3);
    assert_null(c->searches[0].filter);
    assert_false(c->searches[0].rerank);
    assert_int_equal(c->searches[1].limit, 7);
    assert_string_equal(c->searches[1].filter,
                        "id = \"d\\\\\\\"1\" AND source = \"file\" AND metadata.source_id = \"s\" AND author = \"x\" AND "
                        "created_at >= 1714521600 AND created_at <= 1714521601");
    assert_null(c->searches[2].filter);
    hd_hit hit = {.document_id = "doc1",
                  .chunk_id = "doc1_0",
                  .source = "email",
                  .url = "",
                  .author = "Ann",
                  .text = "t",
                  .metadata = "{\"source_id\":\"s\",\"created_at\":\"May\",\"filename\":\"f\"}",
                  .score = 0.75f,
                  .fused = 0.5f,
                  .scores = {NAN, 1, NAN, NAN, NAN}};
    hd_results results[] = {{.hits = &hit, .n = 1}, {0}, {0}};
    const hd_index_result index = {.searches = results};
    assert_answer(
        &(hd_result){.index = &index},
        "{'results':[{'query':'a','results':[{'id':'doc1_0','text':'t','metadata':{'document_id':'doc1','source':'email',"
        "'source_id':'s','url':null,'created_at':'May','author':'Ann','filename':'f'},'embedding':null,'score':0.75}]},"
        "{'query':'b','results':[]},{'query':'c','results':[]}]}");
    hit.source = "notes"; /* of no plugin's client */
    hit.url = "u";
    call_of("POST /query", "{'queries':[{'query':5,'top_k':'7'}]}", HD_TASK_SEARCH);
    assert_int_equal(t.call.index->searches->limit, 7);
    assert_answer(
        &(hd_result){.index = &index},
        "{'results':[{'query':'5','results':[{'id':'doc1_0','text':'t','metadata':{'document_id':'doc1','source':null,"
        "'source_id':'s','url':'u','created_at':'May','author':'Ann','filename':'f'},'embedding':null,'score':0.75}]}]}");
    assert_int_equal(call_of("POST /query", "{'queries':[{'query':'a','top_k':2.9}]}", HD_TASK_SEARCH)->searches->limit, 2);
    hit.source = "email";
    hit.url = "";
    hit.scores[4] = 0.75f;
    hit.metadata = "{}";
    hit.created_at = 86400;
    call_of("POST /sub/query", "{'queries':[{'query':'a'}]}", HD_TASK_SEARCH);
    assert_answer(
        &(hd_result){.index = &index},
        "{'results':[{'query':'a','results':[{'id':'doc1_0','text':'t','metadata':{'document_id':'doc1','source':'email',"
        "'source_id':null,'url':null,'created_at':'1970-01-02T00:00:00Z','author':'Ann'},'embedding':null,'score':0.5,"
        "'rerank_score':0.75}]}]}");
}

/* The first rerank_k are reranked, rerank_n of them answered: never more than asked for. */
static void reranks_the_first(void **state)
{
    (void)state;
    const hd_wire_settings settings = {.max_inputs = 4, .plugin_reranks = true, .rerank_k = 5, .rerank_n = 3};
    static const uint32_t cases[][3] = {{1, 1, 1}, {2, 2, 2}, {4, 4, 3}, {10, 5, 3}}; /* top_k → n_rerank, limit */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[64];
        snprintf(body, sizeof body, "{'queries':[{'query':'a','top_k':%u}]}", cases[i][0]);
        transcript_open("POST /query", body);
        t.request.settings = &settings;
        assert_int_equal(t.route->read(&t.request, &t.call, &t.fault), HD_OK);
        const hd_search *s = t.call.index->searches;
        assert_true(s->rerank);
        assert_int_equal(s->n_rerank, cases[i][1]);
        assert_int_equal(s->limit, cases[i][2]);
    }
}

static void lists(void **state)
{
    (void)state;
    const hd_index_call *c = call_of("POST /list", "{}", HD_TASK_LIST);
    assert_int_equal(c->limit, 100);
    assert_int_equal(c->offset, 0);
    assert_null(c->filter);
    c = call_of("POST /list", "{'limit':2,'offset':4,'filter':{'source':'chat'}}", HD_TASK_LIST);
    assert_int_equal(c->limit, 2);
    assert_int_equal(c->offset, 4);
    assert_string_equal(c->filter, "source = \"chat\"");
    char sample[1024] = "";
    for (size_t i = 0; i < 300; i++)
        strcat(sample, "é");
    const hd_stored_document document = {
        .id = "a", .source = "chat", .url = "", .author = "", .metadata = "{}", .n_chunks = 2, .sample = sample};
    const hd_index_result index = {.listing = {.documents = &document, .n = 1, .n_matching = 9}};
    const char *text = answer(&(hd_result){.index = &index});
    json_t *parsed = json_loads(text, 0, NULL), *shown = json_array_get(json_object_get(parsed, "documents"), 0);
    assert_int_equal(json_integer_value(json_object_get(parsed, "total")), 9);
    assert_int_equal(json_integer_value(json_object_get(shown, "chunk_count")), 2);
    assert_int_equal(json_string_length(json_object_get(shown, "sample_text")), 400); /* 200 characters of two bytes */
    json_decref(parsed);
}

static void deletes(void **state)
{
    (void)state;
    const hd_index_call *c = call_of("DELETE /delete", "{'ids':['a'],'filter':{'author':'x'}}", HD_TASK_REMOVE);
    assert_int_equal(c->n_ids, 1);
    assert_string_equal(c->filter, "author = \"x\"");
    assert_answer(&(hd_result){.index = &(hd_index_result){0}}, "{'success':true}");
    assert_string_equal(call_of("DELETE /delete", "{'delete_all':true}", HD_TASK_REMOVE)->filter, "id EXISTS");
    assert_string_equal(call_of("DELETE /delete", "{'ids':['a',7]}", HD_TASK_REMOVE)->ids[1], "7");
    static const char *const nothing[] = {"{}", "{'ids':[]}", "{'filter':{}}", "{'delete_all':false}",
                                          "{'ids':null,'filter':null}"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_refused("DELETE /delete", nothing[i], HD_FAULT_EMPTY, 400,
                       "{'detail':'One of ids, filter, or delete_all is required'}");
}

static void assert_invalid(const char *line, const char *body, const char *place, const char *message, const char *type)
{
    assert_int_equal(ask(line, body), HD_ERR_ARG);
    t.dialect->write_fault(&t.fault, &t.http, &t.arena, &t.response);
    assert_int_equal(t.response.status, 422);
    json_t *got = json_loads(transcript_text(), 0, NULL), *first = json_array_get(json_object_get(got, "detail"), 0);
    char *where = json_dumps(json_object_get(first, "loc"), JSON_COMPACT);
    assert_string_equal(json_string_value(json_object_get(first, "msg")), message);
    assert_string_equal(json_string_value(json_object_get(first, "type")), type);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "[\"body\",%s]", place);
    assert_string_equal(where, wanted);
    free(where);
    json_decref(got);
}

static void says_what_pydantic_says(void **state)
{
    (void)state;
    assert_invalid("POST /query", "{}", "\"queries\"", "field required", "value_error.missing");
    assert_invalid("POST /query", "{'queries':null}", "\"queries\"", "none is not an allowed value",
                   "type_error.none.not_allowed");
    assert_invalid("POST /upsert", "{'documents':[{'text':null}]}", "\"documents\",0,\"text\"",
                   "none is not an allowed value", "type_error.none.not_allowed");
    assert_invalid("POST /query", "{'queries':[{'query':true}]}", "\"queries\",0,\"query\"", "str type expected",
                   "type_error.str");
    assert_invalid("POST /query", "{'queries':[{'query':'a','top_k':'5 '}]}", "\"queries\",0,\"top_k\"",
                   "value is not a valid integer", "type_error.integer");
    assert_invalid("DELETE /delete", "{'ids':7}", "\"ids\"", "value is not a valid list", "type_error.list");
    assert_invalid("DELETE /delete", "{'ids':['a',[]]}", "\"ids\",1", "str type expected", "type_error.str");
    assert_invalid("POST /query", "{'queries':7}", "\"queries\"", "value is not a valid list", "type_error.list");
    assert_invalid("POST /query", "{'queries':[7]}", "\"queries\",0", "value is not a valid dict", "type_error.dict");
    assert_invalid("POST /query", "{'queries':[{'query':'a'},{}]}", "\"queries\",1,\"query\"", "field required",
                   "value_error.missing");
    assert_invalid("POST /query", "{'queries':[{'query':[]}]}", "\"queries\",0,\"query\"", "str type expected",
                   "type_error.str");
    assert_invalid("POST /query", "{'queries':[{'query':'a','top_k':'many'}]}", "\"queries\",0,\"top_k\"",
                   "value is not a valid integer", "type_error.integer");
    assert_invalid("POST /query", "{'queries':[{'query':'a','filter':{'source':'web'}}]}",
                   "\"queries\",0,\"filter\",\"source\"",
                   "value is not a valid enumeration member; permitted: 'email', 'file', 'chat'", "type_error.enum");
    assert_invalid("POST /upsert", "{'documents':[{'id':'a'}]}", "\"documents\",0,\"text\"", "field required",
                   "value_error.missing");
    assert_invalid("POST /upsert", "{'documents':[{'text':'a','metadata':{'author':{}}}]}",
                   "\"documents\",0,\"metadata\",\"author\"", "str type expected", "type_error.str");
    assert_invalid("DELETE /delete", "{'delete_all':'perhaps'}", "\"delete_all\"", "value could not be parsed to a boolean",
                   "type_error.bool");
    assert_int_equal(ask("POST /query", "{'queries':[{'query':'a','top_k':0}]}"), HD_ERR_ARG);
    assert_int_equal(ask("POST /query", "{'queries':[{'query':'a','top_k':1001}]}"), HD_ERR_ARG);
    assert_int_equal(ask("POST /query", "{'queries':[{'query':'a','top_k':1000.5}]}"), HD_ERR_ARG);
    assert_int_equal(ask("POST /list", "{'limit':-0.5}"), HD_ERR_ARG);
    assert_int_equal(ask("POST /query", "{'queries':[{'query':'a','top_k':1000}]}"), HD_OK);
    assert_int_equal(ask("POST /list", "{'limit':1001}"), HD_ERR_ARG);
    assert_int_equal(ask("POST /upsert", "{'documents':[{'text':''},{'text':''},{'text':''},{'text':''},{'text':''}]}"),
                     HD_ERR_ARG);
}

static void a_request_has_few_queries(void **state)
{
    (void)state;
    static char body[8192];
    for (size_t n = HD_LIMIT_QUERIES; n <= HD_LIMIT_QUERIES + 1; n++) {
        strcpy(body, "{'queries':[");
        for (size_t i = 0; i < n; i++)
            strcat(body, i > 0 ? ",{'query':'a'}" : "{'query':'a'}");
        strcat(body, "]}");
        assert_int_equal(ask("POST /query", body), n == HD_LIMIT_QUERIES ? HD_OK : HD_ERR_ARG);
    }
}

static void asks_for_tokens(void **state)
{
    (void)state;
    const hd_fault fault = {.kind = HD_FAULT_KEY, .text = "words"};
    static const struct {
        const char *header;
        int status;
        const char *says;
    } cases[] = {{NULL, 403, "{'detail':'Not authenticated'}"},
                 {"Bearer", 403, "{'detail':'Not authenticated'}"},
                 {"Bearer ", 403, "{'detail':'Not authenticated'}"},
                 {"Basic abc", 403, "{'detail':'Invalid authentication credentials'}"},
                 {"Bearer wrong", 401, "{'detail':'Invalid or missing token'}"},
                 {"bearer wrong", 401, "{'detail':'Invalid or missing token'}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        t.header = (hd_http_header){0};
        if (cases[i].header != NULL)
            t.header = (hd_http_header){{"Authorization", 13}, hd__span_of(cases[i].header)};
        assert_int_equal(ask("POST /query", "{'queries':[]}"), HD_OK);
        assert_fault(&fault, cases[i].status, cases[i].says);
    }
    t.header = (hd_http_header){0};
}

static void other_faults(void **state)
{
    (void)state;
    assert_all_faults("POST /query", "{'queries':[]}");
    assert_int_equal(ask("POST /query", "{'queries':[]}"), HD_OK);
    assert_fault(&(hd_fault){.kind = HD_FAULT_INTERNAL, .text = "disk full"}, 500, "{'detail':'Internal Service Error'}");
    assert_fault(&(hd_fault){.kind = HD_FAULT_OVERLOADED, .text = "busy", .retry_after_s = 2}, 429, "{'detail':'busy'}");
    assert_fault(&(hd_fault){.kind = HD_FAULT_JSON, .text = "no JSON"}, 422,
                 "{'detail':[{'loc':['body'],'msg':'no JSON','type':'value_error.jsondecode'}]}");
    assert_fault(&(hd_fault){.kind = HD_FAULT_JSON, .text = "the request has no body"}, 422,
                 "{'detail':[{'loc':['body'],'msg':'the request has no body','type':'value_error.missing'}]}");
    assert_fault(&(hd_fault){.kind = HD_FAULT_JSON, .text = "the body is not a JSON object"}, 422,
                 "{'detail':[{'loc':['body'],'msg':'the body is not a JSON object','type':'type_error.dict'}]}");
}

static void has_a_manifest(void **state)
{
    (void)state;
    t.header = (hd_http_header){{"Host", 4}, {"search.example:8080", 19}};
    assert_int_equal(ask("GET /.well-known/ai-plugin.json", ""), HD_OK);
    const char *text = answer(&(hd_result){0});
    assert_non_null(strstr(text, "\"schema_version\":\"v1\""));
    assert_non_null(strstr(text, "\"url\":\"http://search.example:8080/.well-known/openapi.yaml\""));
    assert_int_equal(ask("GET /.well-known/openapi.yaml", ""), HD_OK);
    text = answer(&(hd_result){0});
    assert_string_equal(t.response.content_type, "text/yaml");
    assert_non_null(strstr(text, "\"servers\":[{\"url\":\"http://search.example:8080\"}]"));
    assert_non_null(strstr(text, "\"operationId\":\"query_query_post\""));
    assert_int_equal(ask("GET /sub/openapi.json", ""), HD_OK);
    assert_non_null(strstr(answer(&(hd_result){0}), "\"servers\":[{\"url\":\"http://search.example:8080/sub\"}]"));
    t.header = (hd_http_header){{"X-Forwarded-Proto", 17}, {"https", 5}};
    assert_int_equal(ask("GET /.well-known/ai-plugin.json", ""), HD_OK);
    assert_non_null(strstr(answer(&(hd_result){0}), "\"url\":\"https://localhost/.well-known/openapi.yaml\""));
    t.header = (hd_http_header){0};
    assert_int_equal(ask("GET /.well-known/logo.png", ""), HD_OK);
    t.route->write(&t.request, &t.call, &(hd_result){0}, &t.response);
    assert_string_equal(t.response.content_type, "image/png");
    assert_memory_equal(t.response.body.ptr, "\x89PNG\r\n\x1a\n", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upserts),
        cmocka_unit_test(an_unreadable_date_is_now),
        cmocka_unit_test(upserts_files),
        cmocka_unit_test(queries),
        cmocka_unit_test(reranks_the_first),
        cmocka_unit_test(lists),
        cmocka_unit_test(deletes),
        cmocka_unit_test(says_what_pydantic_says),
        cmocka_unit_test(a_request_has_few_queries),
        cmocka_unit_test(asks_for_tokens),
        cmocka_unit_test(other_faults),
        cmocka_unit_test(has_a_manifest),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
