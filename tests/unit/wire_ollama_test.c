/* ollama.c: what requests come to, and transcripts of what is answered, for every route. */
#include "wire_transcript.h"

static const float rows[] = {3.0f, 4.0f, -1.0f, 0.0f};

static const hd_model_card cards[] = {
    {.name = "sentence-transformers/all-MiniLM-L6-v2",
     .info = {.name = "sentence-transformers/all-MiniLM-L6-v2",
              .path = "/models/minilm",
              .architecture = "bert",
              .dtype = HD_DTYPE_BF16,
              .n_dimensions = 384,
              .max_length = 256,
              .n_layers = 6,
              .n_heads = 12,
              .normalizes = true},
     .created_s = 1755943200,
     .weights_bytes = 45000000},
    {.name = "e5:small", .info = {.path = "/models/e5", .architecture = "bert", .dtype = HD_DTYPE_F32}, .created_s = 0},
};

static hd_result two_rows(const hd_model_card *card)
{
    return (hd_result){.model = card,
                       .echo = "all-minilm",
                       .vectors = rows,
                       .n_dimensions = 2,
                       .n_tokens_total = 9,
                       .times = {.total = 1500000, .load = 1000}};
}

static void test_embed_reads(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /api/embed", "{'model':'all-minilm','input':'one','keep_alive':'5m'}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_string_equal(t.call.model, "all-minilm");
    assert_int_equal(t.call.n_inputs, 1);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_END);
    assert_false(t.call.no_normalize);
    assert_int_equal(t.call.max_length, 0);
    assert_int_equal(ask("POST /api/embed", "{'model':'m','input':['one','','three'],'truncate':false,'dimensions':2,"
                                            "'options':{'num_ctx':128,'temperature':0.5},'keep_alive':-1,"
                                            "'prompt_name':'query','prompt':'p: ','normalize':false,"
                                            "'output_dtype':'int8','timeout_ms':50,'unknown':[]}"),
                     HD_OK);
    assert_int_equal(t.call.n_inputs, 3);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_NONE);
    assert_int_equal(t.call.dimensions, 2);
    assert_int_equal(t.call.max_length, 128);
    assert_string_equal(t.call.prompt_name, "query");
    assert_string_equal(t.call.prompt, "p: ");
    assert_true(t.call.no_normalize);
    assert_int_equal(t.call.vector_type, HD_VECTOR_INT8);
    assert_int_equal(t.call.timeout_ms, 50);
}

static void test_embed_answers(void **state)
{
    (void)state;
    const hd_result unit = two_rows(&cards[0]), raw = two_rows(&cards[1]);
    assert_int_equal(ask("POST /api/embed", "{'input':['one','two']}"), HD_OK);
    assert_answer(&unit, "{'model':'all-minilm','embeddings':[[3.0,4.0],[-1.0,0.0]],"
                         "'total_duration':1500000,'load_duration':1000,'prompt_eval_count':9}");
    /* Unit vectors also of a model that does not ask for them, but not against the caller's will. */
    assert_int_equal(ask("POST /api/embed", "{'input':['one','two']}"), HD_OK);
    assert_answer(&raw, "{'model':'all-minilm','embeddings':[[0.6,0.8],[-1.0,0.0]],"
                        "'total_duration':1500000,'load_duration':1000,'prompt_eval_count':9}");
    assert_int_equal(ask("POST /api/embed", "{'input':'one','normalize':false}"), HD_OK);
    assert_answer(&raw, "{'model':'all-minilm','embeddings':[[3.0,4.0]],"
                        "'total_duration':1500000,'load_duration':1000,'prompt_eval_count':9}");
    assert_int_equal(ask("POST /api/embed", "{'input':'one','output_dtype':'int8'}"), HD_OK);
    assert_answer(&raw, "{'model':'all-minilm','embeddings':[[95,127]],"
                        "'total_duration':1500000,'load_duration':1000,'prompt_eval_count':9}");
}

/* No input asks for nothing but the model. */
static void test_nothing(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{'model':'m'}", "{'model':'m','input':''}", "{'model':'m','input':[]}",
                                         "{'model':'m','input':null}"};
    const hd_result result = {.model = &cards[0], .echo = "m"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(ask("POST /api/embed", bodies[i]), HD_OK);
        assert_int_equal(t.call.task, HD_TASK_MODEL);
        assert_answer(&result, "{'model':'m','embeddings':[]}");
    }
    assert_int_equal(ask("POST /api/embeddings", "{'model':'m','prompt':''}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_MODEL);
    assert_answer(&result, "{'embedding':[]}");
}

static void test_embeddings(void **state)
{
    (void)state;
    const hd_result result = two_rows(&cards[0]);
    assert_int_equal(ask("POST /api/embeddings", "{'model':'m','prompt':'one'}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_int_equal(t.call.n_inputs, 1);
    assert_null(t.call.prompt); /* the field is the text */
    assert_true(t.call.no_normalize);
    assert_answer(&result, "{'embedding':[3.0,4.0]}");
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("POST /api/embed", "{'input':5}", HD_FAULT_TYPE, 400,
                   "{'error':'`input` is not a string, a list of strings'}");
    assert_refused("POST /api/embed", "{'input':['a',5]}", HD_FAULT_TYPE, 400,
                   "{'error':'`input` is not a string, a list of strings'}");
    assert_refused("POST /api/embed", "{'input':['a','b','c','d','e']}", HD_FAULT_INPUTS, 400,
                   "{'error':'`input` holds 5 inputs, the limit is 4'}");
    assert_refused("POST /api/embed", "{'model':5,'input':'a'}", HD_FAULT_TYPE, 400, "{'error':'`model` is not a string'}");
    assert_refused("POST /api/embed", "{'input':'a','truncate':1}", HD_FAULT_TYPE, 400,
                   "{'error':'`truncate` is not true or false'}");
    assert_refused("POST /api/embed", "{'input':'a','keep_alive':[]}", HD_FAULT_TYPE, 400,
                   "{'error':'`keep_alive` is neither a string nor a number'}");
    assert_refused("POST /api/embed", "{'input':'a','options':5}", HD_FAULT_TYPE, 400,
                   "{'error':'`options` is not an object'}");
    assert_refused("POST /api/embed", "{'input':'a','options':{'num_ctx':0}}", HD_FAULT_VALUE, 400,
                   "{'error':'`num_ctx` is 0, allowed are 1 to 2147483647'}");
    assert_refused("POST /api/embeddings", "{'prompt':['a']}", HD_FAULT_TYPE, 400, "{'error':'`prompt` is not a string'}");
    assert_refused("POST /api/show", "{}", HD_FAULT_MISSING, 400, "{'error':'model is required'}");
}

static void test_faults(void **state)
{
    (void)state;
    hd_fault fault;
    assert_int_equal(ask("POST /api/embed", "{'input':'a'}"), HD_OK);
    HD_IGNORE(hd__fault(&fault, HD_FAULT_TOKENS, "input", "input 0 has 600 tokens, the model takes at most 512"));
    assert_fault(
        &fault, 400,
        "{'error':'the input length exceeds the context length: input 0 has 600 tokens, the model takes at most 512'}");
    HD_IGNORE(hd__fault(&fault, HD_FAULT_MODEL, "model", "model `x` not found"));
    assert_fault(&fault, 404, "{'error':'model `x` not found'}");
    HD_IGNORE(hd__fault(&fault, HD_FAULT_JSON, NULL, "the request has no body"));
    t.http.body = hd__span("", 0);
    assert_fault(&fault, 400, "{'error':'missing request body'}");
    assert_all_faults("POST /api/embed", "{'input':'a'}");
}

static void test_tags(void **state)
{
    (void)state;
    const hd_result result = {.models = cards, .n_models = 2}, none = {.n_models = 0};
    assert_int_equal(ask("GET /api/tags", ""), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_REPLY);
    assert_answer(
        &result,
        "{'models':[{'name':'sentence-transformers/all-MiniLM-L6-v2:latest',"
        "'model':'sentence-transformers/all-MiniLM-L6-v2:latest','modified_at':'2025-08-23T10:00:00Z','size':45000000,"
        "'digest':'082ccd5009c3b964808f74efc2cd10abcf64baeb4dbca5aadebd5ed5f0808b40',"
        "'details':{'parent_model':'','format':'safetensors','family':'bert','families':['bert'],'parameter_size':'',"
        "'quantization_level':'BF16'}},"
        "{'name':'e5:small','model':'e5:small','modified_at':'1970-01-01T00:00:00Z','size':0,"
        "'digest':'9e9407697948fea8fa8dcacaf52c36374cf9081b359d8b29da48d0f5444598cf',"
        "'details':{'parent_model':'','format':'safetensors','family':'bert','families':['bert'],'parameter_size':'',"
        "'quantization_level':'F32'}}]}");
    assert_int_equal(ask("GET /api/tags", ""), HD_OK);
    assert_answer(&none, "{'models':[]}");
}

/* Those that are loaded, with what is on a GPU, until they go. */
static void test_running(void **state)
{
    (void)state;
    hd_model_card running[4] = {cards[0], cards[0], cards[1], cards[1]};
    running[0].state = HD_MODEL_LOADED;
    running[0].unload_s = 1755943500;
    running[0].info.device_bytes = 5000000;
    running[1].state = HD_MODEL_LOADING;
    running[2].state = HD_MODEL_LOADED;
    running[2].weights_bytes = 7;
    running[3].state = HD_MODEL_FAILED;
    const hd_result result = {.models = running, .n_models = 4}, none = {.models = cards, .n_models = 2};
    assert_int_equal(ask("GET /api/ps", ""), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_REPLY);
    assert_answer(
        &result,
        "{'models':[{'name':'sentence-transformers/all-MiniLM-L6-v2:latest',"
        "'model':'sentence-transformers/all-MiniLM-L6-v2:latest','expires_at':'2025-08-23T10:05:00Z','size_vram':5000000,"
        "'context_length':256,'size':50000000,"
        "'digest':'082ccd5009c3b964808f74efc2cd10abcf64baeb4dbca5aadebd5ed5f0808b40',"
        "'details':{'parent_model':'','format':'safetensors','family':'bert','families':['bert'],'parameter_size':'',"
        "'quantization_level':'BF16'}},"
        "{'name':'e5:small','model':'e5:small','expires_at':'2262-04-11T23:47:16Z','size_vram':0,'context_length':0,"
        "'size':7,'digest':'9e9407697948fea8fa8dcacaf52c36374cf9081b359d8b29da48d0f5444598cf',"
        "'details':{'parent_model':'','format':'safetensors','family':'bert','families':['bert'],'parameter_size':'',"
        "'quantization_level':'F32'}}]}");
    assert_int_equal(ask("GET /api/ps", ""), HD_OK);
    assert_answer(&none, "{'models':[]}");
}

static void test_show(void **state)
{
    (void)state;
    const hd_result result = {.model = &cards[0], .echo = "m"};
    assert_int_equal(ask("POST /api/show", "{'name':'m'}"), HD_OK);
    assert_string_equal(t.call.model, "m");
    assert_int_equal(ask("POST /api/show", "{'model':'m','verbose':true}"), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_MODEL);
    assert_answer(&result, "{'modelfile':'','parameters':'','template':'{{ .Prompt }}','details':{'parent_model':'',"
                           "'format':'safetensors','family':'bert','families':['bert'],'parameter_size':'',"
                           "'quantization_level':'BF16'},'model_info':{'general.architecture':'bert',"
                           "'bert.attention.head_count':12,'bert.block_count':6,'bert.context_length':256,"
                           "'bert.embedding_length':384},'capabilities':['embedding'],"
                           "'modified_at':'2025-08-23T10:00:00Z'}");
}

static void test_version(void **state)
{
    (void)state;
    const hd_result result = {0};
    assert_int_equal(ask("GET /api/version", ""), HD_OK);
    assert_answer(&result, "{'version':'0.1.0'}");
}

static void test_memory(void **state)
{
    (void)state;
    const hd_result vectors = two_rows(&cards[1]), models = {.model = &cards[0], .models = cards, .n_models = 2};
    assert_survives_no_memory("POST /api/embed", "{'input':['one','two']}", &vectors);
    assert_survives_no_memory("POST /api/embeddings", "{'prompt':'one'}", &vectors);
    assert_survives_no_memory("GET /api/tags", "", &models);
    hd_model_card loaded = cards[0];
    loaded.state = HD_MODEL_LOADED;
    assert_survives_no_memory("GET /api/ps", "", &(hd_result){.models = &loaded, .n_models = 1});
    assert_survives_no_memory("POST /api/show", "{'model':'m'}", &models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed_reads), cmocka_unit_test(test_embed_answers), cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_embeddings),  cmocka_unit_test(test_refusals),      cmocka_unit_test(test_faults),
        cmocka_unit_test(test_tags),        cmocka_unit_test(test_running),       cmocka_unit_test(test_show),
        cmocka_unit_test(test_version),     cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
