/* cohere.c: what requests come to, and transcripts of what is answered, for every route. */
#include "wire_transcript.h"

#include "wire/extras.h"

static const float rows[] = {0.5f, -1.0f, 0.25f, 0.0f, 0.0f, 0.0f};
static const hd_model_card card = {.name = "embed-v4", .info = {.n_dimensions = 3, .normalizes = true}};
static const hd_result two_rows = {
    .model = &card, .echo = "embed-v4", .vectors = rows, .n_dimensions = 3, .n_tokens_total = 9};

#define META(version) "'meta':{'api_version':{'version':'" version "'},'billed_units':{'input_tokens':9}}"
#define REFUSED(text) "{'id':'req-1','message':'invalid request: " text "'}"

static void test_embed_reads(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v2/embed", "{'model':'embed-v4','texts':['one','two'],'input_type':'search_query',"
                                           "'embedding_types':['float','int8'],'truncate':'START','max_tokens':64,"
                                           "'output_dimension':2,'priority':3}"),
                     HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_string_equal(t.call.model, "embed-v4");
    assert_int_equal(t.call.n_inputs, 2);
    assert_ptr_equal(t.call.prompt_names, hd__query_prompt_names);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_START);
    assert_int_equal(t.call.max_length, 64);
    assert_int_equal(t.call.dimensions, 2);
    assert_int_equal(ask("POST /v2/embed", "{'texts':['one'],'input_type':'search_document','images':[]}"), HD_OK);
    assert_ptr_equal(t.call.prompt_names, hd__document_prompt_names);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_END);
    assert_int_equal(ask("POST /v2/embed", "{'texts':['one'],'input_type':'clustering','truncate':'NONE'}"), HD_OK);
    assert_string_equal(t.call.prompt_names[0], "clustering");
    assert_int_equal(t.call.truncate, HD_TRUNCATE_NONE);
    assert_int_equal(ask("POST /v2/embed", "{'texts':['one'],'prompt':'p: ','prompt_name':'q','normalize':false,"
                                           "'timeout_ms':7}"),
                     HD_OK);
    assert_null(t.call.prompt_names);
    assert_string_equal(t.call.prompt, "p: ");
    assert_true(t.call.no_normalize);
    assert_int_equal(ask("POST /v2/embed", "{'inputs':[{'content':[{'type':'text','text':'one'}]},"
                                           "{'content':[{'type':'text','text':''}]}]}"),
                     HD_OK);
    assert_int_equal(t.call.n_inputs, 2);
    assert_memory_equal(t.call.inputs[0].text.ptr, "one", 3);
}

static void test_embed_answers(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v2/embed", "{'texts':['one','two']}"), HD_OK);
    assert_answer(&two_rows,
                  "{'id':'req-1','embeddings':{'float':[[0.5,-1.0,0.25],[0.0,0.0,0.0]]},'texts':['one','two']," META(
                      "2") ",'response_type':'embeddings_by_type'}");
    assert_int_equal(ask("POST /v1/embed", "{'texts':['one','two']}"), HD_OK);
    assert_answer(&two_rows, "{'id':'req-1','embeddings':[[0.5,-1.0,0.25],[0.0,0.0,0.0]],'texts':['one','two']," META(
                                 "1") ",'response_type':'embeddings_floats'}");
    assert_int_equal(ask("POST /v1/embed", "{'texts':['one'],'embedding_types':['int8']}"), HD_OK);
    assert_answer(&two_rows, "{'id':'req-1','embeddings':{'int8':[[64,-127,32]]},'texts':['one']," META(
                                 "1") ",'response_type':'embeddings_by_type'}");
}

/* All types of one answer, whatever order they are asked for in. */
static void test_types(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v2/embed", "{'texts':['one','two'],'embedding_types':"
                                           "['float16','base64','ubinary','binary','uint8','int8','float','int8']}"),
                     HD_OK);
    assert_answer(&two_rows, "{'id':'req-1','embeddings':{'float':[[0.5,-1.0,0.25],[0.0,0.0,0.0]],"
                             "'int8':[[64,-127,32],[0,0,0]],'uint8':[[192,1,160],[128,128,128]],"
                             "'binary':[[32],[-128]],'ubinary':[[160],[0]],"
                             "'base64':['AAAAPwAAgL8AAIA+','AAAAAAAAAAAAAAAA'],"
                             "'float16':[[0.5,-1.0,0.25],[0.0,0.0,0.0]]},'texts':['one','two']," META(
                                 "2") ",'response_type':'embeddings_by_type'}");
}

static void test_embed_refusals(void **state)
{
    (void)state;
    assert_refused("POST /v2/embed", "{}", HD_FAULT_MISSING, 400, REFUSED("`texts` is missing"));
    assert_refused("POST /v1/embed", "{'inputs':[]}", HD_FAULT_MISSING, 400, REFUSED("`texts` is missing"));
    assert_refused("POST /v2/embed", "{'texts':[]}", HD_FAULT_EMPTY, 400, REFUSED("`texts` cannot be an empty list"));
    assert_refused("POST /v2/embed", "{'texts':'one'}", HD_FAULT_TYPE, 400,
                   REFUSED("`texts` is not a string, a list of strings"));
    assert_refused("POST /v2/embed", "{'texts':['1','2','3','4','5']}", HD_FAULT_INPUTS, 400,
                   REFUSED("`texts` holds 5 inputs, the limit is 4"));
    assert_int_equal(ask("POST /v2/embed", "{'texts':['1','2','3','4']}"), HD_OK);
    assert_refused("POST /v2/embed", "{'texts':['a'],'embedding_types':['int4']}", HD_FAULT_VALUE, 400,
                   REFUSED("`embedding_types` holds \\'int4\\', allowed are float, int8, uint8, binary, ubinary, base64, "
                           "float16"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'embedding_types':'float'}", HD_FAULT_TYPE, 400,
                   REFUSED("`embedding_types` is not a list of strings"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'embedding_types':[5]}", HD_FAULT_TYPE, 400,
                   REFUSED("`embedding_types` is not a list of strings"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'input_type':'query'}", HD_FAULT_VALUE, 400,
                   REFUSED("`input_type` is \\'query\\', allowed are search_document, search_query, classification, "
                           "clustering, image"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'input_type':'image'}", HD_FAULT_UNSUPPORTED, 422,
                   REFUSED("images are not embedded here"));
    assert_refused("POST /v2/embed", "{'images':['data:']}", HD_FAULT_UNSUPPORTED, 422,
                   REFUSED("images are not embedded here"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'truncate':true}", HD_FAULT_TYPE, 400,
                   REFUSED("`truncate` is not a string"));
    assert_refused("POST /v2/embed", "{'texts':['a'],'output_dimension':0}", HD_FAULT_VALUE, 400,
                   REFUSED("`output_dimension` is 0, allowed are 1 to 4294967295"));
}

static void test_inputs_refusals(void **state)
{
    (void)state;
    assert_refused("POST /v2/embed", "{'inputs':5}", HD_FAULT_TYPE, 400,
                   REFUSED("`inputs` is not a list of one object or more"));
    assert_refused("POST /v2/embed", "{'inputs':[]}", HD_FAULT_EMPTY, 400,
                   REFUSED("`inputs` is not a list of one object or more"));
    assert_refused("POST /v2/embed", "{'inputs':[1,2,3,4,5]}", HD_FAULT_INPUTS, 400,
                   REFUSED("`inputs` holds 5 inputs, the limit is 4"));
    assert_refused("POST /v2/embed", "{'inputs':[{'content':[{'type':'image_url','image_url':{}}]}]}", HD_FAULT_UNSUPPORTED,
                   422, REFUSED("`content` of input 0 is not one part of type text: nothing else is embedded here"));
    assert_refused("POST /v2/embed", "{'inputs':[5]}", HD_FAULT_UNSUPPORTED, 422,
                   REFUSED("`content` of input 0 is not one part of type text: nothing else is embedded here"));
    assert_refused("POST /v2/embed", "{'inputs':[{'content':[{'type':'text','text':5}]}]}", HD_FAULT_TYPE, 400,
                   REFUSED("`text` of input 0 is not a string"));
}

static const hd_score scores[] = {{.index = 1, .score = 0.875f}, {.index = 0, .score = 0.125f}};
static const hd_result ranking = {.model = &card, .echo = "m", .scores = scores, .n_scores = 2, .n_tokens_total = 21};
#define RANKING_META(version) "'meta':{'api_version':{'version':'" version "'},'billed_units':{'search_units':1}}"

static void test_rerank(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v2/rerank", "{'model':'m','query':'q','documents':['a','b'],'top_n':2,"
                                            "'max_tokens_per_doc':100,'return_documents':true}"),
                     HD_OK);
    assert_int_equal(t.call.task, HD_TASK_RERANK);
    assert_int_equal(t.call.top_n, 2);
    assert_false(t.call.raw_scores);
    assert_answer(&ranking, "{'id':'req-1','results':[{'index':1,'relevance_score':0.875},"
                            "{'index':0,'relevance_score':0.125}]," RANKING_META("2") "}");
    t.header = (hd_http_header){hd__span_of("x-fern-language"), hd__span_of("Python")};
    assert_int_equal(ask("POST /v1/rerank", "{'query':'q','documents':['a',{'text':'b','n':'5'}]}"), HD_OK);
    assert_string_equal(t.dialect->name, "cohere");
    assert_answer(&ranking, "{'id':'req-1','results':[{'index':1,'relevance_score':0.875},"
                            "{'index':0,'relevance_score':0.125}]," RANKING_META("1") "}");
    assert_int_equal(ask("POST /v1/rerank", "{'query':'q','documents':['a',{'text':'b','n':'5'}],'return_documents':true}"),
                     HD_OK);
    assert_answer(&ranking, "{'id':'req-1','results':[{'index':1,'relevance_score':0.875,'document':{'text':'b','n':'5'}},"
                            "{'index':0,'relevance_score':0.125,'document':{'text':'a'}}]," RANKING_META("1") "}");
    t.header = (hd_http_header){0};
}

/* Fields are joined in the order of rank_fields; a document that lacks one has the others. */
static void test_rank_fields(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v1/rerank", "{'query':'q','rank_fields':['title','text'],'documents':["
                                            "{'text':'b','title':'T','n':'5'},{'text':'c'},'d']}"),
                     HD_OK);
    assert_string_equal(t.dialect->name, "cohere");
    assert_int_equal(t.call.n_inputs, 3);
    assert_string_equal(t.call.inputs[0].text.ptr, "T\nb");
    assert_int_equal(t.call.inputs[0].text.len, 3);
    assert_string_equal(t.call.inputs[1].text.ptr, "c");
    assert_string_equal(t.call.inputs[2].text.ptr, "d");
    assert_int_equal(ask("POST /v1/rerank", "{'query':'q','rank_fields':['none'],'documents':[{'text':'b'}]}"), HD_OK);
    assert_int_equal(t.call.inputs[0].text.len, 0);
    assert_refused("POST /v1/rerank", "{'query':'q','rank_fields':'text','documents':['a']}", HD_FAULT_TYPE, 400,
                   REFUSED("`rank_fields` is not a list of strings"));
    assert_refused("POST /v1/rerank", "{'query':'q','rank_fields':[5],'documents':['a']}", HD_FAULT_TYPE, 400,
                   REFUSED("`rank_fields` is not a list of strings"));
    assert_refused("POST /v1/rerank", "{'query':'q','rank_fields':['n'],'documents':[{'text':'a','n':5}]}", HD_FAULT_TYPE,
                   400, REFUSED("`n` of a document is not a string"));
}

static void test_rerank_refusals(void **state)
{
    (void)state;
    assert_refused("POST /v2/rerank", "{'documents':['a']}", HD_FAULT_MISSING, 400, REFUSED("`query` is missing"));
    assert_refused("POST /v2/rerank", "{'query':'q'}", HD_FAULT_MISSING, 400, REFUSED("`documents` is missing"));
    assert_refused("POST /v2/rerank", "{'query':'q','documents':[]}", HD_FAULT_EMPTY, 400,
                   REFUSED("`documents` cannot be an empty list"));
    assert_refused("POST /v2/rerank", "{'query':'q','documents':[{'text':'a'}]}", HD_FAULT_TYPE, 400,
                   REFUSED("`documents` is not a string, a list of strings"));
    assert_refused("POST /v2/rerank", "{'query':{'text':'q'},'documents':['a']}", HD_FAULT_TYPE, 400,
                   REFUSED("`query` is not a string"));
    assert_refused("POST /v1/rerank", "{'max_chunks_per_doc':1,'query':5,'documents':['a']}", HD_FAULT_TYPE, 400,
                   REFUSED("`query` is not a string or an object with a string `text`"));
}

static void test_faults(void **state)
{
    (void)state;
    hd_fault fault;
    assert_int_equal(ask("POST /v2/embed", "{'texts':['a']}"), HD_OK);
    HD_IGNORE(hd__fault(&fault, HD_FAULT_KEY, NULL, "no key"));
    assert_fault(&fault, 401, "{'id':'req-1','message':'invalid api token'}");
    HD_IGNORE(hd__fault(&fault, HD_FAULT_MODEL, "model", "The model `x` does not exist"));
    assert_fault(&fault, 404, "{'id':'req-1','message':'The model `x` does not exist'}");
    HD_IGNORE(hd__fault(&fault, HD_FAULT_UNSUPPORTED, NULL, "the model minilm cannot rerank"));
    assert_fault(&fault, 422, REFUSED("the model minilm cannot rerank"));
    assert_all_faults("POST /v2/embed", "{'texts':['a']}");
}

static void test_memory(void **state)
{
    (void)state;
    assert_survives_no_memory("POST /v2/embed", "{'texts':['one','two'],'embedding_types':['float','int8','base64']}",
                              &two_rows);
    assert_survives_no_memory("POST /v2/embed", "{'inputs':[{'content':[{'type':'text','text':'one'}]}]}", &two_rows);
    assert_survives_no_memory("POST /v1/rerank",
                              "{'query':'q','rank_fields':['title','text'],'return_documents':true,"
                              "'documents':[{'text':'b','title':'T'},{'text':'c'}]}",
                              &ranking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed_reads),    cmocka_unit_test(test_embed_answers),   cmocka_unit_test(test_types),
        cmocka_unit_test(test_embed_refusals), cmocka_unit_test(test_inputs_refusals), cmocka_unit_test(test_rerank),
        cmocka_unit_test(test_rank_fields),    cmocka_unit_test(test_rerank_refusals), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
