/* openai.c: what requests come to, and transcripts of what is answered, for every route. */
#include "wire_transcript.h"

static const float rows[] = {0.5f, -2.0f, 1.0f, 0.0f};
static const hd_model_card cards[] = {
    {.name = "org/small", .info = {.n_dimensions = 2, .max_length = 128}, .created_s = 1755943200},
    {.name = "\"quoted\"", .info = {.n_dimensions = 3, .max_length = 9}, .created_s = 1},
};
static const hd_result two = {.model = &cards[0],
                              .echo = "m",
                              .vectors = rows,
                              .n_dimensions = 2,
                              .n_tokens_total = 9,
                              .models = cards,
                              .n_models = 2};

static void test_reads(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'one','model':'m','user':'u','other':[]}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_true(t.call.is_single && t.call.n_inputs == 1 && !t.call.base64 && t.call.dimensions == 0);
    assert_memory_equal(t.call.inputs[0].text.ptr, "one", 3);
    assert_string_equal(t.call.model, "m");
    assert_int_equal(t.call.truncate, HD_TRUNCATE_DEFAULT);

    assert_int_equal(ask("POST /v1/embeddings", "{'input':[5,6,7],'encoding_format':'base64','dimensions':2}"), HD_OK);
    assert_true(t.call.is_single && t.call.n_inputs == 1 && t.call.base64 && t.call.dimensions == 2);
    assert_int_equal(t.call.inputs[0].ids.n, 3);
    assert_int_equal(t.call.inputs[0].ids.ids[2], 7);

    assert_int_equal(ask("POST /v1/embeddings", "{'input':['a\\u0000b',[0],[2147483647]],'prompt_name':'q','prompt':'p',"
                                                "'normalize':false,'truncate':'START','output_dtype':'ubinary',"
                                                "'timeout_ms':7}"),
                     HD_OK);
    assert_true(!t.call.is_single && t.call.n_inputs == 3);
    assert_int_equal(t.call.inputs[0].text.len, 3);
    assert_int_equal(t.call.inputs[2].ids.ids[0], INT32_MAX);
    assert_string_equal(t.call.prompt_name, "q");
    assert_string_equal(t.call.prompt, "p");
    assert_true(t.call.no_normalize && t.call.timeout_ms == 7);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_START);
    assert_int_equal(t.call.vector_type, HD_VECTOR_UBINARY);
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'x','truncate':false,'dimensions':null}"), HD_OK);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_NONE);
}

/* What applications send, as their sources have it (2026-08): a model and dimensions that are not set go out as null, and
 * there are fields of their own. */
static void test_applications(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t n_inputs;
        bool base64;
    } all[] = {
        /* AnythingLLM: Generic OpenAI without a model, LocalAI without dimensions, LM Studio */
        {"{'model':null,'input':['a','b'],'encoding_format':'base64'}", 2, true},
        {"{'model':'m','input':['a','b'],'dimensions':null,'encoding_format':'float'}", 2, false},
        {"{'model':'m','input':'a','encoding_format':'base64'}", 1, true},
        /* Dify, OpenAI-API-compatible */
        {"{'input':['a'],'model':'m','user':'u','encoding_format':'float'}", 1, false},
        /* whatever is not set, as null */
        {"{'input':[[1,2],[3]],'model':'m','encoding_format':null,'dimensions':null,'user':null}", 2, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(ask("POST /v1/embeddings", all[i].body), HD_OK);
        assert_int_equal(t.call.n_inputs, all[i].n_inputs);
        assert_true(t.call.base64 == all[i].base64 && t.call.dimensions == 0);
    }
    /* Open WebUI, its RAG_EMBEDDING_PREFIX_FIELD_NAME set to "prompt" */
    assert_int_equal(ask("POST /v1/embeddings", "{'input':['a'],'model':'m','prompt':'query: '}"), HD_OK);
    assert_string_equal(t.call.prompt, "query: ");
}

static void test_answers(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v1/embeddings", "{'input':['a','b']}"), HD_OK);
    assert_answer(&two, "{'object':'list','data':[{'object':'embedding','index':0,'embedding':[0.5,-2.0]},"
                        "{'object':'embedding','index':1,'embedding':[1.0,0.0]}],'model':'m',"
                        "'usage':{'prompt_tokens':9,'total_tokens':9}}");
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'a','encoding_format':'base64'}"), HD_OK);
    assert_answer(&two, "{'object':'list','data':[{'object':'embedding','index':0,'embedding':'AAAAPwAAAMA='}],'model':'m',"
                        "'usage':{'prompt_tokens':9,'total_tokens':9}}");
    assert_int_equal(ask("GET /v1/models", ""), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_REPLY);
    assert_answer(&two, "{'object':'list','data':[{'id':'org/small','object':'model','created':1755943200,"
                        "'owned_by':'heddle','meta':{'n_embd':2,'n_ctx_train':128}},"
                        "{'id':'\\'quoted\\'','object':'model','created':1,"
                        "'owned_by':'heddle','meta':{'n_embd':3,'n_ctx_train':9}}]}");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        hd_fault_kind kind;
        const char *error;
    } cases[] = {
        {"{}", HD_FAULT_MISSING,
         "{'error':{'message':'`input` is missing','type':'invalid_request_error','param':'input',"
         "'code':'missing_required_parameter'}}"},
        {"{'input':['a','b','c','d','e']}", HD_FAULT_INPUTS,
         "{'error':{'message':'`input` holds 5 inputs, the limit is 4','type':'invalid_request_error','param':'input',"
         "'code':'array_above_max_length'}}"},
        {"{'input':''}", HD_FAULT_EMPTY,
         "{'error':{'message':'`input` cannot be an empty string','type':'invalid_request_error','param':'input',"
         "'code':'invalid_value'}}"},
        {"{'input':'x','dimensions':0}", HD_FAULT_VALUE,
         "{'error':{'message':'`dimensions` is 0, allowed are 1 to 4294967295','type':'invalid_request_error',"
         "'param':'dimensions','code':'invalid_value'}}"},
        {"{'input':'x','dimensions':2.0}", HD_FAULT_TYPE,
         "{'error':{'message':'`dimensions` is not an integer','type':'invalid_request_error','param':'dimensions',"
         "'code':'invalid_type'}}"},
        {"{'input':'x','model':'a\\u0000'}", HD_FAULT_VALUE,
         "{'error':{'message':'`model` holds a NUL character','type':'invalid_request_error','param':'model',"
         "'code':'invalid_value'}}"},
        {"{'input':'x','truncate':'no'}", HD_FAULT_VALUE,
         "{'error':{'message':'`truncate` is \\'no\\', allowed are NONE, END, START','type':'invalid_request_error',"
         "'param':'truncate','code':'invalid_value'}}"},
        {"{'input':'x','normalize':1}", HD_FAULT_TYPE,
         "{'error':{'message':'`normalize` is not true or false','type':'invalid_request_error','param':'normalize',"
         "'code':'invalid_type'}}"},
        {"{'input':[2147483648]}", HD_FAULT_VALUE,
         "{'error':{'message':'`input`: 2147483648 is no token id','type':'invalid_request_error','param':'input',"
         "'code':'invalid_value'}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused("POST /v1/embeddings", cases[i].body, cases[i].kind, 400, cases[i].error);
    assert_int_equal(ask("POST /v1/embeddings", "{'input':['a','b','c','d']}"), HD_OK); /* as many as there may be */
}

static void test_faults(void **state)
{
    (void)state;
    assert_all_faults("POST /v1/embeddings", "{'input':'a'}");
    assert_int_equal(ask("POST /v1/embeddings", "{'input':'a'}"), HD_OK);
    assert_fault(&(hd_fault){.kind = HD_FAULT_OVERLOADED, .text = "full"}, 429,
                 "{'error':{'message':'full','type':'tokens','param':null,'code':'rate_limit_exceeded'}}");
    assert_fault(&(hd_fault){.kind = HD_FAULT_MODEL, .field = "model", .text = "no"}, 404,
                 "{'error':{'message':'no','type':'invalid_request_error','param':'model','code':'model_not_found'}}");
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_survives_no_memory("POST /v1/embeddings", "{'input':['a',[1,2]]}", &two);
    assert_survives_no_memory("GET /v1/models", "", &two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads, transcript_begin, transcript_end),
        cmocka_unit_test_setup_teardown(test_applications, transcript_begin, transcript_end),
        cmocka_unit_test_setup_teardown(test_answers, transcript_begin, transcript_end),
        cmocka_unit_test_setup_teardown(test_refusals, transcript_begin, transcript_end),
        cmocka_unit_test_setup_teardown(test_faults, transcript_begin, transcript_end),
        cmocka_unit_test_setup_teardown(test_no_memory, transcript_begin, transcript_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
