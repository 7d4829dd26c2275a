/* llamacpp.c: what requests come to, and transcripts of what is answered, for every route. */
#include "wire_transcript.h"

static const float rows[] = {3.0f, 4.0f, -1.0f, 0.0f};

static const hd_model_card card = {
    .name = "minilm",
    .info = {.path = "/models/minilm", .architecture = "bert", .n_dimensions = 384, .max_length = 256, .normalizes = true},
    .state = HD_MODEL_LOADED,
    .created_s = 1755943200,
    .weights_bytes = 45000000,
    .vocab_size = 30522};
static const hd_model_card raw_card = {.name = "raw", .state = HD_MODEL_UNLOADED, .info = {.path = "/models/raw"}};

#define ERROR(code, text, type) "{'error':{'code':" #code ",'message':'" text "','type':'" type "'}}"

static hd_result two_rows(const hd_model_card *model)
{
    return (hd_result){.model = model, .echo = "m", .vectors = rows, .n_dimensions = 2, .n_tokens_total = 9};
}

static void test_embedding(void **state)
{
    (void)state;
    const hd_result unit = two_rows(&card), raw = two_rows(&raw_card);
    assert_int_equal(ask("POST /embedding", "{'content':'one'}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_DEFAULT);
    assert_answer(&unit, "[{'index':0,'embedding':[[3.0,4.0]]}]");
    assert_int_equal(ask("POST /embedding", "{'input':['one',[1,2]]}"), HD_OK);
    assert_int_equal(t.call.inputs[1].ids.n, 2);
    assert_answer(&raw, "[{'index':0,'embedding':[[0.6,0.8]]},{'index':1,'embedding':[[-1.0,0.0]]}]");
    assert_int_equal(ask("POST /embedding", "{'content':[101,102]}"), HD_OK);
    assert_int_equal(t.call.n_inputs, 1);
    assert_int_equal(t.call.inputs[0].ids.ids[1], 102);
    assert_int_equal(ask("POST /embedding", "{'content':'one','dimensions':2,'prompt':'p: ','prompt_name':'q',"
                                            "'truncate':'START','output_dtype':'ubinary','timeout_ms':9,'model':'m'}"),
                     HD_OK);
    assert_int_equal(t.call.dimensions, 2);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_START);
    assert_answer(&unit, "[{'index':0,'embedding':[[192]]}]");
}

/* What llama-server calls a prompt: text among ids, and objects. */
static void assert_mixed(size_t i, const int32_t *ids, size_t n, const char *const *texts, size_t n_texts)
{
    const hd_token_ids *got = &t.call.inputs[i].ids;
    assert_int_equal(got->n, n);
    assert_memory_equal(got->ids, ids, n * sizeof *ids);
    assert_int_equal(got->n_texts, n_texts);
    for (size_t k = 0; k < n_texts; k++) {
        assert_int_equal(got->texts[k].len, strlen(texts[k]));
        assert_memory_equal(got->texts[k].ptr, texts[k], got->texts[k].len);
    }
}

static void test_mixed(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /embedding", "{'content':['one',7,'','two',8]}"), HD_OK);
    assert_int_equal(t.call.n_inputs, 1);
    assert_true(t.call.is_single);
    assert_mixed(0, (int32_t[]){-1, 7, -2, -3, 8}, 5, (const char *const[]){"one", "", "two"}, 3);
    assert_int_equal(ask("POST /embedding", "{'content':['one',[7,'two'],{'prompt_string':['a','b']},"
                                            "{'prompt_string':'c'}]}"),
                     HD_OK);
    assert_int_equal(t.call.n_inputs, 4);
    assert_null(t.call.inputs[0].ids.ids);
    assert_mixed(1, (int32_t[]){7, -1}, 2, (const char *const[]){"two"}, 1);
    assert_mixed(2, (int32_t[]){-1, -2}, 2, (const char *const[]){"a", "b"}, 2);
    assert_memory_equal(t.call.inputs[3].text.ptr, "c", 2);
    assert_int_equal(ask("POST /v1/embeddings", "{'input':{'prompt_string':'c'},'embd_normalize':2}"), HD_OK);
    assert_true(t.call.is_single);
    static const char *const wrong[] = {"{'content':[1,'a',1.5]}", "{'content':[['a','b']]}", "{'content':[1,['a']]}",
                                        "{'content':{'prompt':'a'}}", "{'content':[{'prompt_string':1}]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused("POST /embedding", wrong[i], HD_FAULT_TYPE, 400,
                       ERROR(400,
                             "`content` is not a string, a list of strings, a list of token ids, a list of lists of token "
                             "ids, or of both",
                             "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':[1,'a',-1]}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`content`: -1 is no token id", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':{'prompt_string':'a','multimodal_data':[]}}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`content`: models that embed text take no `multimodal_data`", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':{'prompt_string':[]}}", HD_FAULT_EMPTY, 400,
                   ERROR(400, "Input content cannot be empty", "invalid_request_error"));
    assert_int_equal(ask("POST /v1/embeddings", "{'input':[1,'a']}"), HD_ERR_ARG); /* OpenAI's, which has none of it */
    assert_string_equal(t.dialect->name, "openai");
}

static void test_norms(void **state)
{
    (void)state;
    const hd_result result = two_rows(&card);
    assert_int_equal(ask("POST /embedding", "{'content':'one','embd_normalize':2}"), HD_OK);
    assert_false(t.call.no_normalize);
    assert_int_equal(ask("POST /embedding", "{'content':'one','embd_normalize':-1}"), HD_OK);
    assert_true(t.call.no_normalize);
    assert_answer(&result, "[{'index':0,'embedding':[[3.0,4.0]]}]");
    assert_int_equal(ask("POST /embedding", "{'content':'one','embd_normalize':0}"), HD_OK);
    assert_true(t.call.no_normalize);
    assert_answer(&result, "[{'index':0,'embedding':[[24570.0,32760.0]]}]");
    assert_int_equal(ask("POST /embedding", "{'content':'one','embd_normalize':1}"), HD_OK);
    assert_answer(&result, "[{'index':0,'embedding':[[0.42857143,0.5714286]]}]");
}

/* Shared paths: "content" is llama.cpp's, "input" OpenAI's unless a field says otherwise. */
static void test_claims(void **state)
{
    (void)state;
    const hd_result result = two_rows(&card);
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'one'}"), HD_OK);
    assert_string_equal(t.dialect->name, "openai");
    assert_int_equal(ask("POST /embeddings", "{'input':'one'}"), HD_OK);
    assert_string_equal(t.dialect->name, "openai");
    assert_int_equal(ask("POST /v1/embeddings", "{'content':'one','encoding_format':'base64'}"), HD_OK);
    assert_string_equal(t.dialect->name, "llamacpp");
    assert_answer(&result, "[{'index':0,'embedding':[[3.0,4.0]]}]");
    assert_int_equal(ask("POST /embeddings", "{'content':'one'}"), HD_OK);
    assert_string_equal(t.dialect->name, "llamacpp");
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'one','embd_normalize':-1}"), HD_OK);
    assert_string_equal(t.dialect->name, "llamacpp");
    assert_answer(&result, "{'model':'m','object':'list','usage':{'prompt_tokens':9,'total_tokens':9},"
                           "'data':[{'index':0,'embedding':[3.0,4.0],'object':'embedding'}]}");
    assert_int_equal(ask("POST /v1/embeddings", "{'input':['one','b'],'embd_normalize':-1,'encoding_format':'base64'}"),
                     HD_OK);
    assert_answer(&result, "{'model':'m','object':'list','usage':{'prompt_tokens':9,'total_tokens':9},'data':["
                           "{'index':0,'embedding':'AABAQAAAgEA=','encoding_format':'base64','object':'embedding'},"
                           "{'index':1,'embedding':'AACAvwAAAAA=','encoding_format':'base64','object':'embedding'}]}");
}

static void test_embedding_refusals(void **state)
{
    (void)state;
    assert_refused("POST /embedding", "{}", HD_FAULT_MISSING, 400,
                   ERROR(400, "\\'input\\' or \\'content\\' must be provided", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':''}", HD_FAULT_EMPTY, 400,
                   ERROR(400, "Input content cannot be empty", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':['a','']}", HD_FAULT_EMPTY, 400,
                   ERROR(400, "Input content cannot be empty", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':[]}", HD_FAULT_EMPTY, 400,
                   ERROR(400, "Input content cannot be empty", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':[1.5]}", HD_FAULT_TYPE, 400,
                   ERROR(400,
                         "`content` is not a string, a list of strings, a list of token ids, a list of lists of token ids, "
                         "or of both",
                         "invalid_request_error"));
    assert_refused(
        "POST /embedding", "{'content':'a','encoding_format':'hex'}", HD_FAULT_VALUE, 400,
        ERROR(400, "The format to return the embeddings in. Can be either float or base64", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':'a','embd_normalize':-2}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`embd_normalize` is -2, allowed are -1 to 32767", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':'a','embd_normalize':32768}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`embd_normalize` is 32768, allowed are -1 to 32767", "invalid_request_error"));
    assert_refused("POST /embedding", "{'content':'a','embd_normalize':2.0}", HD_FAULT_TYPE, 400,
                   ERROR(400, "`embd_normalize` is not an integer", "invalid_request_error"));
    assert_int_equal(ask("POST /embedding", "{'content':'a','embd_normalize':32767}"), HD_OK);
}

static void test_faults(void **state)
{
    (void)state;
    hd_fault fault;
    assert_int_equal(ask("POST /embedding", "{'content':'a'}"), HD_OK);
    HD_IGNORE(hd__fault(&fault, HD_FAULT_TOKENS, "input", "too long"));
    fault.n = 600;
    fault.limit = 512;
    assert_fault(&fault, 400,
                 "{'error':{'code':400,'message':'too long','type':'exceed_context_size_error',"
                 "'n_prompt_tokens':600,'n_ctx':512}}");
    HD_IGNORE(hd__fault(&fault, HD_FAULT_ROUTE, NULL, "no such path"));
    assert_fault(&fault, 404, ERROR(404, "File Not Found", "not_found_error"));
    HD_IGNORE(hd__fault(&fault, HD_FAULT_KEY, NULL, "no key"));
    assert_fault(&fault, 401, ERROR(401, "Invalid API Key", "authentication_error"));
    HD_IGNORE(hd__fault(&fault, HD_FAULT_UNSUPPORTED, NULL, "the model minilm cannot rerank"));
    assert_fault(&fault, 501, ERROR(501, "the model minilm cannot rerank", "not_supported_error"));
    assert_all_faults("POST /embedding", "{'content':'a'}");
}

static const hd_score scores[] = {{.index = 1, .score = 5.5f}, {.index = 0, .score = -11.25f}};

static void test_rerank(void **state)
{
    (void)state;
    const hd_result result = {.model = &card, .echo = "m", .scores = scores, .n_scores = 2, .n_tokens_total = 21};
    static const char *const paths[] = {"POST /rerank", "POST /reranking", "POST /v1/reranking"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(paths[i], "{'query':'q','documents':['a','b'],'top_n':2,'return_text':true}"), HD_OK);
        assert_string_equal(t.dialect->name, "llamacpp");
        assert_int_equal(t.call.task, HD_TASK_RERANK);
        assert_int_equal(t.call.query.len, 1);
        assert_int_equal(t.call.n_inputs, 2);
        assert_int_equal(t.call.top_n, 2);
        assert_true(t.call.raw_scores);
        assert_answer(&result, "{'model':'m','object':'list','usage':{'prompt_tokens':21,'total_tokens':21},"
                               "'results':[{'index':1,'relevance_score':5.5},{'index':0,'relevance_score':-11.25}]}");
    }
    assert_int_equal(ask("POST /reranking", "{'query':'q','texts':['a','b'],'raw_scores':false}"), HD_OK);
    assert_false(t.call.raw_scores);
    assert_answer(&result, "[{'index':1,'score':5.5},{'index':0,'score':-11.25}]");
    assert_int_equal(ask("POST /reranking", "{'query':'q','texts':['a','b'],'return_text':true}"), HD_OK);
    assert_answer(&result, "[{'index':1,'text':'b','score':5.5},{'index':0,'text':'a','score':-11.25}]");
}

static void test_rerank_refusals(void **state)
{
    (void)state;
    assert_refused("POST /reranking", "{'documents':['a']}", HD_FAULT_MISSING, 400,
                   ERROR(400, "\\'query\\' must be provided", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':'q'}", HD_FAULT_MISSING, 400,
                   ERROR(400, "\\'documents\\' must be a non-empty string array", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':'q','documents':[]}", HD_FAULT_TYPE, 400,
                   ERROR(400, "\\'documents\\' must be a non-empty string array", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':5,'documents':['a']}", HD_FAULT_TYPE, 400,
                   ERROR(400, "`query` is not a string", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':'','documents':['a']}", HD_FAULT_EMPTY, 400,
                   ERROR(400, "`query` cannot be an empty string", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':'q','documents':[5]}", HD_FAULT_TYPE, 400,
                   ERROR(400, "`documents` is not a string, a list of strings", "invalid_request_error"));
    assert_refused("POST /reranking", "{'query':'q','documents':['a'],'top_n':-1}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`top_n` is -1, allowed are 0 to 4294967295", "invalid_request_error"));
}

static void test_tokenize(void **state)
{
    (void)state;
    hd_token found[] = {{.id = 7592}, {.id = 2088}, {.id = -1}};
    const hd_tokens tokens = {found, 3, false};
    static const char *const pieces[] = {"hello", "##world", "\xE4\xBD"};
    hd_result result = {.model = &card, .tokens = &tokens, .token_texts = pieces};
    assert_int_equal(ask("POST /tokenize", "{'content':'hello world'}"), HD_OK);
    assert_string_equal(t.dialect->name, "llamacpp");
    assert_int_equal(t.call.task, HD_TASK_TOKENIZE);
    assert_true(t.call.no_specials);
    assert_string_equal(t.call.prompt, "");
    assert_answer(&result, "{'tokens':[7592,2088,-1]}");
    assert_int_equal(ask("POST /tokenize", "{'content':'x','add_special':true,'with_pieces':true,'parse_special':true}"),
                     HD_OK);
    assert_false(t.call.no_specials);
    assert_answer(&result, "{'tokens':[{'id':7592,'piece':'hello'},{'id':2088,'piece':'##world'},"
                           "{'id':-1,'piece':[228,189]}]}");
    assert_int_equal(ask("POST /tokenize", "{'content':''}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_TOKENIZE);
    assert_refused("POST /tokenize", "{'content':['a']}", HD_FAULT_TYPE, 400,
                   ERROR(400, "`content` is not a string", "invalid_request_error"));
    assert_refused("POST /tokenize", "{'content':'a','parse_special':false}", HD_FAULT_UNSUPPORTED, 501,
                   ERROR(501, "special tokens in text are always read as such: `parse_special` cannot be false",
                         "not_supported_error"));
    /* Tokens that were cut off are not left out silently. */
    const hd_tokens cut = {found, 3, true};
    result.tokens = &cut;
    assert_int_equal(ask("POST /tokenize", "{'content':'long'}"), HD_OK);
    assert_answer(&result, "{'error':{'code':400,'message':'the text has more tokens than the model takes',"
                           "'type':'exceed_context_size_error','n_ctx':256}}");
    assert_int_equal(t.response.status, 400);
}

static void test_detokenize(void **state)
{
    (void)state;
    const hd_text text = {"hello \"world\"", 13};
    const hd_result result = {.model = &card, .texts = &text};
    assert_int_equal(ask("POST /detokenize", "{'tokens':[7592,2088]}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_DETOKENIZE);
    assert_int_equal(t.call.n_inputs, 1);
    assert_int_equal(t.call.inputs[0].ids.ids[0], 7592);
    assert_answer(&result, "{'content':'hello \\'world\\''}");
    assert_int_equal(ask("POST /detokenize", "{'tokens':[]}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_REPLY);
    assert_answer(&result, "{'content':''}");
    assert_refused("POST /detokenize", "{'tokens':'abc'}", HD_FAULT_TYPE, 400,
                   ERROR(400, "`tokens` is not a string, a list of token ids", "invalid_request_error"));
    assert_refused("POST /detokenize", "{'tokens':[-1]}", HD_FAULT_VALUE, 400,
                   ERROR(400, "`tokens`: -1 is no token id", "invalid_request_error"));
}

#define SLOT(id, n_ctx, busy)                                                                                               \
    "{'id':" #id ",'id_task':-1,'n_ctx':" #n_ctx ",'speculative':false,'is_processing':" busy ",'params':{},'next_token':[" \
    "]}"

static void test_facts(void **state)
{
    (void)state;
    hd_result result = {.model = &card, .models = &card, .n_models = 1, .n_in_flight = 2};
    assert_int_equal(ask("GET /props?model=a%20b", ""), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_MODEL);
    assert_string_equal(t.call.model, "a b");
    assert_int_equal(ask("GET /props", ""), HD_OK);
    assert_null(t.call.model);
    assert_answer(
        &result,
        "{'default_generation_settings':" SLOT(
            0, 256, "false") ",'total_slots':2,'model_alias':'minilm',"
                             "'model_path':'/models/minilm','modalities':{'vision':false,'audio':false},'chat_template':'',"
                             "'build_info':'heddle 0.1.0','is_sleeping':false}");
    assert_int_equal(ask("GET /slots?fail_on_no_slot=1", ""), HD_OK);
    assert_answer(&result, "[" SLOT(0, 256, "true") "," SLOT(1, 256, "false") "]");
    result.n_in_flight = 3; /* this request, and two that take both slots */
    assert_int_equal(ask("GET /slots", ""), HD_OK);
    assert_answer(&result, "[" SLOT(0, 256, "true") "," SLOT(1, 256, "true") "]");
    assert_int_equal(ask("GET /slots?fail_on_no_slot=1", ""), HD_OK);
    assert_answer(&result, ERROR(503, "no slot available", "unavailable_error"));
    assert_int_equal(t.response.status, 503);
    assert_int_equal(ask("GET /models", ""), HD_OK);
    assert_answer(&result, "{'object':'list','data':[{'id':'minilm','object':'model','created':1755943200,"
                           "'owned_by':'llamacpp','meta':{'n_vocab':30522,'n_ctx_train':256,'n_embd':384,"
                           "'size':45000000}}]}");
}

static void test_refused_routes(void **state)
{
    (void)state;
    assert_refused("POST /props", "{}", HD_FAULT_UNSUPPORTED, 501,
                   ERROR(501, "This server does not support changing global properties.", "not_supported_error"));
    assert_refused("POST /apply-template", "{'messages':[]}", HD_FAULT_UNSUPPORTED, 501,
                   ERROR(501, "Models that embed text have no chat template.", "not_supported_error"));
}

static void test_memory(void **state)
{
    (void)state;
    hd_token found[] = {{.id = 7592}};
    const hd_tokens tokens = {found, 1, false};
    static const char *const pieces[] = {"hello"};
    const hd_text text = {"hello", 5};
    const hd_result vectors = two_rows(&raw_card), ranking = {.model = &card, .echo = "m", .scores = scores, .n_scores = 2},
                    facts = {.model = &card, .models = &card, .n_models = 1, .n_in_flight = 1},
                    words = {.model = &card, .tokens = &tokens, .token_texts = pieces, .texts = &text};
    assert_survives_no_memory("POST /embedding", "{'content':['one','two']}", &vectors);
    assert_survives_no_memory("POST /reranking", "{'query':'q','texts':['a','b'],'return_text':true}", &ranking);
    assert_survives_no_memory("POST /tokenize", "{'content':'hello','with_pieces':true}", &words);
    assert_survives_no_memory("POST /detokenize", "{'tokens':[7592]}", &words);
    assert_survives_no_memory("GET /slots?fail_on_no_slot=1&model=m", "", &facts);
    assert_survives_no_memory("GET /props", "", &facts);
    assert_survives_no_memory("GET /models", "", &facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_embedding_refusals),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_rerank),
        cmocka_unit_test(test_rerank_refusals),
        cmocka_unit_test(test_tokenize),
        cmocka_unit_test(test_detokenize),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_refused_routes),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
