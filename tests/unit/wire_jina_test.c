/* jina.c: what requests come to, and transcripts of what is answered, for every route. */
#include "wire_transcript.h"

#include "wire/extras.h"

static const float rows[] = {0.5f, -1.0f, 0.25f, 0.0f, 0.0f, 0.0f};
static const hd_model_card card = {.name = "jina-v3", .info = {.n_dimensions = 3, .normalizes = true}};
static const hd_result two_rows = {
    .model = &card, .echo = "jina-v3", .vectors = rows, .n_dimensions = 3, .n_tokens_total = 9};

#define HEAD "'model':'jina-v3','object':'list','usage':{'total_tokens':9,'prompt_tokens':9}"
#define VECTOR(i, values) "{'object':'embedding','index':" #i ",'embedding':" values "}"

/* /v1/embeddings is OpenAI's until a field says that it is Jina's. */
static void test_claims(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "{'input':'a','task':'text-matching'}",   "{'input':'a','normalized':true}", "{'input':'a','late_chunking':false}",
        "{'input':'a','embedding_type':'float'}", "{'input':[{'text':'a'},'b']}",
    };
    static const char *const others[] = {"{'input':'a'}", "{'input':['a',{'text':'b'}]}", "{'input':'a','dimensions':2}",
                                         "{}"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        assert_int_equal(ask("POST /v1/embeddings", ours[i]), HD_OK);
        assert_string_equal(t.dialect->name, "jina");
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        HD_IGNORE(ask("POST /v1/embeddings", others[i]));
        assert_string_equal(t.dialect->name, "openai");
    }
}

static void test_embeddings_reads(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v1/embeddings", "{'model':'jina-v3','task':'retrieval.query','input':['one',{'text':'two'}],"
                                                "'dimensions':2,'normalized':false,'truncate':true,'late_chunking':false}"),
                     HD_OK);
    assert_int_equal(t.call.task, HD_TASK_EMBED);
    assert_string_equal(t.call.model, "jina-v3");
    assert_int_equal(t.call.n_inputs, 2);
    assert_memory_equal(t.call.inputs[1].text.ptr, "two", 3);
    assert_ptr_equal(t.call.prompt_names, hd__query_prompt_names);
    assert_int_equal(t.call.dimensions, 2);
    assert_true(t.call.no_normalize);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_END);
    assert_int_equal(ask("POST /v1/embeddings", "{'task':'retrieval.passage','input':'one','truncate':false}"), HD_OK);
    assert_ptr_equal(t.call.prompt_names, hd__document_prompt_names);
    assert_int_equal(t.call.truncate, HD_TRUNCATE_NONE);
    assert_false(t.call.no_normalize);
    assert_int_equal(ask("POST /v1/embeddings", "{'task':'separation','input':'one','prompt':'p: ','timeout_ms':7}"), HD_OK);
    assert_string_equal(t.call.prompt_names[0], "separation");
    assert_int_equal(t.call.timeout_ms, 7);
}

static void test_embeddings_answers(void **state)
{
    (void)state;
    static const struct {
        const char *type, *first, *second;
    } cases[] = {
        {"'float'", "[0.5,-1.0,0.25]", "[0.0,0.0,0.0]"},
        {"['float']", "[0.5,-1.0,0.25]", "[0.0,0.0,0.0]"},
        {"'base64'", "'AAAAPwAAgL8AAIA+'", "'AAAAAAAAAAAAAAAA'"},
        {"'binary'", "[32]", "[-128]"},
        {"'ubinary'", "[160]", "[0]"},
        {"'int8'", "[64,-127,32]", "[0,0,0]"},
        {"'uint8'", "[192,1,160]", "[128,128,128]"},
        {"'float16'", "[0.5,-1.0,0.25]", "[0.0,0.0,0.0]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[128], expected[512];
        (void)snprintf(body, sizeof body, "{'input':['one','two'],'embedding_type':%s}", cases[i].type);
        (void)snprintf(expected, sizeof expected, "{" HEAD ",'data':[" VECTOR(0, "%s") "," VECTOR(1, "%s") "]}",
                       cases[i].first, cases[i].second);
        assert_int_equal(ask("POST /v1/embeddings", body), HD_OK);
        assert_answer(&two_rows, expected);
    }
}

static void test_embeddings_refusals(void **state)
{
    (void)state;
    assert_int_equal(ask("POST /v1/embeddings", "{'late_chunking':true,'input':['a','b']}"), HD_OK);
    assert_int_equal(t.call.long_text, HD_LONG_LATE);
    assert_refused("POST /v1/embeddings", "{'task':'text-matching'}", HD_FAULT_MISSING, 422,
                   "{'detail':'`input` is missing'}");
    assert_refused("POST /v1/embeddings", "{'task':'query','input':'a'}", HD_FAULT_VALUE, 422,
                   "{'detail':'`task` is \\'query\\', allowed are retrieval.query, retrieval.passage, text-matching, "
                   "classification, separation, code.query, code.passage'}");
    assert_refused("POST /v1/embeddings", "{'embedding_type':'int4','input':'a'}", HD_FAULT_VALUE, 422,
                   "{'detail':'`embedding_type` is \\'int4\\', allowed are float, base64, binary, ubinary, int8, uint8, "
                   "float16'}");
    assert_refused("POST /v1/embeddings", "{'embedding_type':['float','binary'],'input':'a'}", HD_FAULT_TYPE, 422,
                   "{'detail':'`embedding_type` is not a string or a list of one'}");
    assert_refused("POST /v1/embeddings", "{'input':[{'image':'http://x/'}]}", HD_FAULT_TYPE, 422,
                   "{'detail':'`input` is not a string, a list of strings, a list of objects with a string `text`'}");
    assert_refused("POST /v1/embeddings", "{'input':[{'text':''}]}", HD_FAULT_EMPTY, 422,
                   "{'detail':'`input` cannot be an empty string'}");
    assert_refused("POST /v1/embeddings", "{'normalized':1,'input':'a'}", HD_FAULT_TYPE, 422,
                   "{'detail':'`normalized` is not true or false'}");
}

static const hd_score scores[] = {{.index = 1, .score = 0.875f}, {.index = 0, .score = 0.125f}};
static const hd_result ranking = {.model = &card, .echo = "jina-v3", .scores = scores, .n_scores = 2, .n_tokens_total = 9};

static void test_rerank(void **state)
{
    (void)state;
    assert_int_equal(
        ask("POST /v1/rerank", "{'model':'jina-v3','query':'q','documents':['a \\\\ b',{'text':'c'}],'top_n':2}"), HD_OK);
    assert_string_equal(t.dialect->name, "jina");
    assert_int_equal(t.call.task, HD_TASK_RERANK);
    assert_int_equal(t.call.top_n, 2);
    assert_answer(&ranking, "{" HEAD ",'results':[{'index':1,'relevance_score':0.875,'document':{'text':'c'}},"
                            "{'index':0,'relevance_score':0.125,'document':{'text':'a \\\\ b'}}]}");
    assert_int_equal(ask("POST /v1/rerank", "{'query':{'text':'q'},'documents':['a','b'],'return_documents':false,"
                                            "'raw_scores':true}"),
                     HD_OK);
    assert_memory_equal(t.call.query.ptr, "q", 1);
    assert_true(t.call.raw_scores);
    assert_answer(&ranking,
                  "{" HEAD ",'results':[{'index':1,'relevance_score':0.875},{'index':0,'relevance_score':0.125}]}");
    assert_refused("POST /v1/rerank", "{'query':'q'}", HD_FAULT_MISSING, 422, "{'detail':'`documents` is missing'}");
    assert_refused("POST /v1/rerank", "{'query':{'image':'x'},'documents':['a']}", HD_FAULT_TYPE, 422,
                   "{'detail':'`query` is not a string or an object with a string `text`'}");
    assert_refused("POST /v1/rerank", "{'query':'q','documents':['a'],'return_documents':'yes'}", HD_FAULT_TYPE, 422,
                   "{'detail':'`return_documents` is not true or false'}");
}

static void test_faults(void **state)
{
    (void)state;
    hd_fault fault;
    assert_int_equal(ask("POST /v1/rerank", "{'query':'q','documents':['a']}"), HD_OK);
    HD_IGNORE(hd__fault(&fault, HD_FAULT_UNSUPPORTED, NULL, "the model minilm cannot rerank"));
    assert_fault(&fault, 400, "{'detail':'the model minilm cannot rerank'}");
    assert_all_faults("POST /v1/rerank", "{'query':'q','documents':['a']}");
}

static void test_memory(void **state)
{
    (void)state;
    assert_survives_no_memory("POST /v1/embeddings", "{'input':['one','two'],'embedding_type':'int8'}", &two_rows);
    assert_survives_no_memory("POST /v1/rerank", "{'query':'q','documents':['a','b']}", &ranking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_embeddings_reads),
        cmocka_unit_test(test_embeddings_answers),
        cmocka_unit_test(test_embeddings_refusals),
        cmocka_unit_test(test_rerank),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, transcript_begin, transcript_end);
}
