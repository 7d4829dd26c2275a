/* /v1/documents: what is put, listed, looked at and deleted, and what is refused. */
#include "base/limits.h"
#include "unit/wire_transcript.h"

static const hd_index_call *call_of(const char *line, const char *body, hd_task task)
{
    if (ask(line, body) != HD_OK)
        fail_msg("%s %s: %s", line, body, t.fault.text);
    assert_int_equal(t.call.task, task);
    return t.call.index;
}

static void puts_documents(void **state)
{
    (void)state;
    const hd_index_call *c = call_of(
        "POST /v1/documents",
        "{'documents':[{'id':'a','text':'b\\u0000c','source':'s','title':'t','url':'u','author':'x','mime':'text/plain',"
        "'created_at':'2024-05-01','metadata':{'k':[1]},'chunking':'plugin'},{'file':'YWJj','created_at':-5}]}",
        HD_TASK_PUT);
    assert_int_equal(c->n_documents, 2);
    const hd_document *d = c->documents;
    assert_string_equal(d[0].id, "a");
    assert_int_equal(d[0].text.len, 3);
    assert_memory_equal(d[0].text.ptr, "b\0c", 3);
    assert_string_equal(d[0].source, "s");
    assert_string_equal(d[0].title, "t");
    assert_string_equal(d[0].url, "u");
    assert_string_equal(d[0].author, "x");
    assert_string_equal(d[0].mime, "text/plain");
    assert_string_equal(d[0].metadata, "{\"k\":[1]}");
    assert_int_equal(d[0].created_at, 1714521600);
    assert_int_equal(d[0].chunking, HD_CHUNKING_PLUGIN);
    assert_null(d[1].id);
    assert_int_equal(d[1].text.len, 3);
    assert_memory_equal(d[1].text.ptr, "abc", 3);
    assert_int_equal(d[1].created_at, -5);
    assert_int_equal(d[1].chunking, HD_CHUNKING_AUTO);
    hd_text ids[] = {{"a\"", 2}, {NULL, 0}};
    const hd_index_result index = {.ids = ids};
    assert_string_equal(answer(&(hd_result){.index = &index}), "{\"ids\":[\"a\\\"\",null]}");
    assert_int_equal(call_of("POST /v1/documents", "{'text':''}", HD_TASK_PUT)->n_documents, 1);
}

static void refuses(const char *line, const char *body, hd_fault_kind kind, const char *says)
{
    assert_int_equal(ask(line, body), HD_ERR_ARG);
    if (t.fault.kind != kind || strstr(t.fault.text, says) == NULL)
        fail_msg("%s %s: %d %s", line, body, t.fault.kind, t.fault.text);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const char put[] = "POST /v1/documents", remove[] = "DELETE /v1/documents";
    refuses(put, "{}", HD_FAULT_MISSING, "a `text` or a `file`: this one has none");
    refuses(put, "{'text':'a','file':'YQ=='}", HD_FAULT_VALUE, "this one has both");
    refuses(put, "{'text':1}", HD_FAULT_TYPE, "`text` is not a string");
    refuses(put, "{'file':'Y'}", HD_FAULT_VALUE, "`file` is not base64");
    refuses(put, "{'text':'a','id':''}", HD_FAULT_EMPTY, "`id` cannot be an empty string");
    refuses(put, "{'text':'a','id':'a\\u0000'}", HD_FAULT_VALUE, "NUL");
    refuses(put, "{'text':'a','tags':[]}", HD_FAULT_VALUE, "no field `tags`");
    refuses(put, "{'text':'a','metadata':[]}", HD_FAULT_TYPE, "`metadata` is not an object");
    refuses(put, "{'text':'a','created_at':1.5}", HD_FAULT_TYPE, "neither Unix seconds nor a date");
    refuses(put, "{'text':'a','created_at':'soon'}", HD_FAULT_VALUE, "\"soon\"");
    refuses(put, "{'text':'a','chunking':'fine'}", HD_FAULT_VALUE, "allowed are auto, tokens, anyloom, plugin");
    refuses(put, "{'documents':{}}", HD_FAULT_TYPE, "`documents` is not a list");
    refuses(put, "{'documents':[]}", HD_FAULT_EMPTY, "empty list");
    refuses(put, "{'documents':['a']}", HD_FAULT_TYPE, "document 0 is not an object");
    refuses(put, "{'documents':[{'text':'a'}],'text':'b'}", HD_FAULT_VALUE, "no field `text`");
    refuses(put, "{'documents':[{},{},{},{},{}]}", HD_FAULT_INPUTS, "holds 5 documents, the limit is 4");
    refuses("GET /v1/documents?limit=1001", "", HD_FAULT_VALUE, "`limit` is '1001', allowed are 0 to 1000");
    refuses("GET /v1/documents?offset=-1", "", HD_FAULT_VALUE, "`offset`");
    refuses("GET /v1/documents?filter=%00", "", HD_FAULT_VALUE, "NUL");
    refuses(remove, "{}", HD_FAULT_MISSING, "one of `ids`, `filter` and `all`");
    refuses(remove, "{'ids':[]}", HD_FAULT_MISSING, "one of");
    refuses(remove, "{'all':false}", HD_FAULT_MISSING, "one of");
    refuses(remove, "{'filter':''}", HD_FAULT_EMPTY, "`filter` cannot be empty");
    refuses(remove, "{'all':true,'ids':['a']}", HD_FAULT_VALUE, "`all` goes neither");
    refuses(remove, "{'id':'a'}", HD_FAULT_VALUE, "no field `id`");
    refuses(remove, "{'ids':[1]}", HD_FAULT_TYPE, "`ids` is not a list of strings");
    refuses("GET /v1/documents/", "", HD_FAULT_VALUE, "no document's id");
}

static const hd_stored_chunk chunks[] = {
    {.id = "a#0", .section = "S", .text = "one", .span = {0, 3}, .line = 1},
    {.id = "a#1", .section = "", .text = "two", .ordinal = 1, .span = {5, 8}, .page = 2, .is_code = true}};
static const hd_stored_document stored = {.id = "a",
                                          .source = "docs",
                                          .path = "/a",
                                          .title = "T",
                                          .url = "",
                                          .author = "",
                                          .mime = "text/plain",
                                          .metadata = "{}",
                                          .size = 8,
                                          .n_chunks = 2,
                                          .sample = "one",
                                          .chunks = chunks};
#define SHOWN                                                                                                               \
    "'id':'a','source':'docs','title':'T','path':'/a','url':null,'author':null,'mime':'text/plain','created_at':null,"      \
    "'size':8,'n_chunks':2,'metadata':{}"

static void lists_documents(void **state)
{
    (void)state;
    const hd_index_call *c = call_of("GET /v1/documents", "", HD_TASK_LIST);
    assert_int_equal(c->limit, 100);
    assert_null(c->filter);
    c = call_of("GET /v1/documents?limit=1000&offset=7&filter=a+%3D+1", "", HD_TASK_LIST);
    assert_int_equal(c->limit, 1000);
    assert_int_equal(c->offset, 7);
    assert_string_equal(c->filter, "a = 1");
    const hd_index_result index = {.listing = {.documents = &stored, .n = 1, .n_matching = 9}};
    assert_answer(&(hd_result){.index = &index},
                  "{'documents':[{" SHOWN ",'sample':'one'}],'total':9,'offset':7,'limit':1000}");
}

static void shows_one(void **state)
{
    (void)state;
    const hd_index_call *c = call_of("GET /v1/documents/a/b#c", "", HD_TASK_GET);
    assert_string_equal(c->ids[0], "a/b#c");
    hd_index_result index = {.listing = {.documents = &stored, .n = 1}};
    assert_answer(&(hd_result){.index = &index},
                  "{" SHOWN
                  ",'chunks':[{'id':'a#0','index':0,'section':'S','text':'one','offsets':{'start':0,'end':3},'line':1,"
                  "'page':0,'is_code':false},{'id':'a#1','index':1,'section':'','text':'two','offsets':{'start':5,'end':8},"
                  "'line':0,'page':2,'is_code':true}]}");
    index.listing.n = 0;
    call_of("GET /v1/documents/b", "", HD_TASK_GET);
    answer(&(hd_result){.index = &index});
    assert_int_equal(t.response.status, 404);
    assert_non_null(strstr(t.response.body.ptr, "there is no document 'b'"));
}

static void deletes(void **state)
{
    (void)state;
    hd_index_result index = {.n_removed = 3};
    const hd_index_call *c = call_of("DELETE /v1/documents", "{'ids':['a','b'],'filter':'x = 1'}", HD_TASK_REMOVE);
    assert_int_equal(c->n_ids, 2);
    assert_string_equal(c->ids[1], "b");
    assert_string_equal(c->filter, "x = 1");
    assert_answer(&(hd_result){.index = &index}, "{'deleted':3}");
    assert_string_equal(call_of("DELETE /v1/documents", "{'all':true}", HD_TASK_REMOVE)->filter, "id EXISTS");
    assert_string_equal(call_of("DELETE /v1/documents/a", "", HD_TASK_REMOVE)->ids[0], "a");
    assert_answer(&(hd_result){.index = &index}, "{'deleted':3}");
    index.n_removed = 0;
    call_of("DELETE /v1/documents/a", "", HD_TASK_REMOVE);
    answer(&(hd_result){.index = &index});
    assert_int_equal(t.response.status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_documents),  cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(lists_documents), cmocka_unit_test(shows_one),
        cmocka_unit_test(deletes),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
