/* tei.c: what requests come to, and transcripts of what is answered, for every route; no socket, no engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "wire/answer.h"
#include "wire/fields.h"

static hd_arena arena;
static hd_wire_settings settings;
static hd_http_request http;
static hd_http_response response;
static hd_fault fault;
static hd_call call;
static json_t *body;
static const hd_route *route;

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    hd__buffer_init(&response.body);
    settings = (hd_wire_settings){.build = "heddle 0.0.0",
                                  .max_inputs = 4,
                                  .max_concurrent_requests = 512,
                                  .max_batch_tokens = 16384,
                                  .n_threads = 2,
                                  .auto_truncate = true};
    return 0;
}

static void forget(void)
{
    json_decref(body);
    body = NULL;
    hd__arena_clear(&arena);
    hd__buffer_clear(&response.body);
    response = (hd_http_response){0};
}

static int end(void **state)
{
    (void)state;
    forget();
    return 0;
}

/* ---- shortcuts ---- */

static hd_wire_request request(void)
{
    return (hd_wire_request){.http = &http, .body = body, .arena = &arena, .settings = &settings};
}

/* The route that takes the body, as the service chooses it. */
static const hd_route *choose(const char *path)
{
    const hd_protocol *p = &hd__protocol_tei;
    const hd_wire_request r = request();
    const hd_route *unclaimed = NULL;
    for (size_t i = 0; i < p->n_routes; i++) {
        if (strcmp(p->routes[i].path, path) != 0)
            continue;
        if (p->routes[i].claims == NULL)
            unclaimed = &p->routes[i];
        else if (p->routes[i].claims(&r))
            return &p->routes[i];
    }
    return unclaimed;
}

/* Reads a request: JSON with ' for ". */
static hd_status ask(const char *path, const char *text)
{
    char json[4096];
    size_t n = 0;
    forget();
    for (; text[n] != '\0'; n++)
        json[n] = text[n] == '\'' ? '"' : text[n];
    body = json_loadb(json, n, JSON_ALLOW_NUL, NULL);
    assert_true(n == 0 || body != NULL);
    http.path = hd__span_of(path);
    call = (hd_call){0};
    fault = (hd_fault){0};
    route = choose(path);
    assert_non_null(route);
    const hd_wire_request r = request();
    return route->read(&r, &call, &fault);
}

static void must_ask(const char *path, const char *text)
{
    if (ask(path, text) != HD_OK)
        fail_msg("%s %s: %s", path, text, fault.text);
}

static void must_be(const char *wanted)
{
    assert_false(response.body.failed);
    if (!hd__span_is(hd__buffer_span(&response.body), wanted))
        fail_msg("%.*s\ninstead of\n%s", (int)response.body.len, response.body.ptr, wanted);
}

/* The body is no string: nothing ends it. */
static bool says(const char *text)
{
    return memmem(response.body.ptr, response.body.len, text, strlen(text)) != NULL;
}

static const char *header(const char *name)
{
    for (size_t i = 0; i < response.n_headers; i++)
        if (hd__span_is(response.headers[i].name, name))
            return hd__arena_strndup(&arena, response.headers[i].value.ptr, response.headers[i].value.len);
    return NULL;
}

static void answer(const hd_result *result)
{
    const hd_wire_request r = request();
    hd__buffer_clear(&response.body);
    response = (hd_http_response){0};
    route->write(&r, &call, result, &response);
}

static void answer_fault(const hd_fault *f)
{
    hd__buffer_clear(&response.body);
    response = (hd_http_response){0};
    hd__protocol_tei.dialect->write_fault(f, &http, &arena, &response);
}

#define EMPTY(field) "{\"error\":\"`" field "` cannot be empty\",\"error_type\":\"Empty\"}"
#define INVALID(text) "{\"error\":\"Input validation error: " text "\",\"error_type\":\"Validation\"}"

/* Asks what has to be refused, and compares status and body of the answer. */
static void must_refuse(const char *path, const char *text, int status, const char *wanted)
{
    if (ask(path, text) == HD_OK)
        fail_msg("%s %s was taken", path, text);
    answer_fault(&fault);
    if (response.status != status)
        fail_msg("%s %s: %d %.*s", path, text, response.status, (int)response.body.len, response.body.ptr);
    assert_string_equal(response.content_type, "application/json");
    must_be(wanted);
}

static void must_be_text(hd_text text, const char *wanted)
{
    assert_true(hd__span_is(hd__span(text.ptr, text.len), wanted));
}

static const hd_model_card plain = {.name = "m",
                                    .info = {.name = "org/m", .path = "/models/m", .pooling = "mean", .max_length = 16}};
static const hd_model_card normalizing = {.name = "m", .info = {.normalizes = true}};

/* ---- requests ---- */

static void inputs_in_all_their_forms(void **state)
{
    (void)state;
    must_ask("/embed", "{'inputs': 'one'}");
    assert_int_equal(call.task, HD_TASK_EMBED);
    assert_int_equal(call.n_inputs, 1);
    assert_true(call.is_single);
    must_be_text(call.inputs[0].text, "one");

    must_ask("/embed", "{'inputs': ['a', [3, 4], 'c']}");
    assert_int_equal(call.n_inputs, 3);
    assert_false(call.is_single);
    must_be_text(call.inputs[2].text, "c");
    assert_int_equal(call.inputs[1].ids.n, 2);
    assert_int_equal(call.inputs[1].ids.ids[1], 4);
    assert_null(call.inputs[0].ids.ids);

    must_ask("/embed_all", "{'inputs': [101, 102]}");
    assert_int_equal(call.task, HD_TASK_EMBED_ALL);
    assert_int_equal(call.n_inputs, 1);
    assert_int_equal(call.inputs[0].ids.n, 2);

    must_ask("/embed_sparse", "{'inputs': 'a\\u0000b'}");
    assert_int_equal(call.task, HD_TASK_SPARSE);
    assert_int_equal(call.inputs[0].text.len, 3);
}

static void options_and_their_defaults(void **state)
{
    (void)state;
    must_ask("/embed", "{'inputs': 'x'}");
    assert_int_equal(call.truncate, HD_TRUNCATE_END);
    assert_false(call.no_normalize);
    assert_int_equal(call.dimensions, 0);
    assert_null(call.prompt_name);
    assert_null(call.model);

    must_ask("/embed", "{'inputs': 'x', 'truncate': null, 'truncation_direction': 'left', 'normalize': false, "
                       "'prompt_name': 'query', 'dimensions': 8, 'model': 'm', 'unknown': {}, 'timeout_ms': 5, "
                       "'encoding_format': 'base64', 'output_dtype': 'int8'}");
    assert_int_equal(call.truncate, HD_TRUNCATE_START);
    assert_true(call.no_normalize);
    assert_string_equal(call.prompt_name, "query");
    assert_int_equal(call.dimensions, 8);
    assert_string_equal(call.model, "m");
    assert_int_equal(call.timeout_ms, 5);
    assert_true(call.base64);
    assert_int_equal(call.vector_type, HD_VECTOR_INT8);

    must_ask("/embed", "{'inputs': 'x', 'truncate': false, 'truncation_direction': 'Left'}");
    assert_int_equal(call.truncate, HD_TRUNCATE_NONE);
    must_ask("/embed", "{'inputs': 'x', 'truncate': true, 'truncation_direction': 'Right'}");
    assert_int_equal(call.truncate, HD_TRUNCATE_END);

    settings.auto_truncate = false;
    must_ask("/embed", "{'inputs': 'x'}");
    assert_int_equal(call.truncate, HD_TRUNCATE_NONE);
    must_ask("/embed", "{'inputs': 'x', 'truncate': true}");
    assert_int_equal(call.truncate, HD_TRUNCATE_END);
}

/* huggingface_hub's InferenceClient puts them there. */
static void options_under_parameters(void **state)
{
    (void)state;
    must_ask("/", "{'inputs': 'x', 'parameters': {'normalize': false, 'prompt_name': 'query', 'truncate': true, "
                  "'truncation_direction': 'left', 'dimensions': 4}}");
    assert_int_equal(call.task, HD_TASK_EMBED);
    assert_true(call.no_normalize);
    assert_string_equal(call.prompt_name, "query");
    assert_int_equal(call.truncate, HD_TRUNCATE_START);
    assert_int_equal(call.dimensions, 4);
    must_ask("/", "{'inputs': 'x', 'normalize': false, 'parameters': {}}");
    assert_true(call.no_normalize);
}

static void similarity_puts_the_source_first(void **state)
{
    (void)state;
    must_ask("/similarity", "{'inputs': {'source_sentence': 's', 'sentences': ['a', 'b', 'c']}, "
                            "'parameters': {'truncate': false, 'prompt_name': 'q'}}");
    assert_int_equal(call.task, HD_TASK_EMBED);
    assert_int_equal(call.n_inputs, 4);
    must_be_text(call.inputs[0].text, "s");
    must_be_text(call.inputs[3].text, "c");
    assert_int_equal(call.truncate, HD_TRUNCATE_NONE);
    assert_string_equal(call.prompt_name, "q");
}

static void vertex_is_embed_many_times(void **state)
{
    (void)state;
    static const float vectors[] = {3.0f, 4.0f, 0.0f, 2.0f, 1.0f, 0.0f};
    must_ask("/vertex", "{'instances': [{'inputs': 'a', 'normalize': false, 'prompt_name': 'q'},"
                        "{'inputs': ['b', [7, 8]], 'normalize': false, 'prompt_name': 'q'}]}");
    assert_int_equal(call.task, HD_TASK_EMBED);
    assert_int_equal(call.n_inputs, 3);
    must_be_text(call.inputs[0].text, "a");
    must_be_text(call.inputs[1].text, "b");
    assert_int_equal(call.inputs[2].ids.n, 2);
    assert_true(call.no_normalize);
    assert_string_equal(call.prompt_name, "q");
    answer(&(hd_result){.model = &plain, .vectors = vectors, .n_dimensions = 2});
    must_be("{\"predictions\":[[[3.0,4.0]],[[0.0,2.0],[1.0,0.0]]]}");
    must_ask("/vertex", "{'instances': [{'inputs': ['a', 'b', 'c', 'd']}]}");
    must_refuse("/vertex", "{'instances': [{'inputs': ['a', 'b', 'c']}, {'inputs': ['d', 'e']}]}", 422,
                "{\"error\":\"batch size 5 > maximum allowed batch size 4\",\"error_type\":\"Validation\"}");
    must_refuse("/vertex", "{'instances': [{'inputs': 'a'}, {'inputs': 'b', 'dimensions': 1}]}", 422,
                INVALID("`instances` differ in more than their `inputs`"));
    must_refuse("/vertex", "{'instances': [{'inputs': 'a', 'prompt': 'p'}, {'inputs': 'b'}]}", 422,
                INVALID("`instances` differ in more than their `inputs`"));
    must_refuse("/vertex", "{'instances': []}", 400, EMPTY("instances"));
    must_refuse("/vertex", "{'instances': 'a'}", 422, INVALID("`instances` is not a list"));
    must_refuse("/vertex", "{'instances': ['a']}", 422, INVALID("`instances` holds something that is not an object"));
    must_refuse("/vertex", "{'instances': [{'inputs': ''}]}", 400, EMPTY("inputs"));
    must_refuse("/vertex", "{}", 422, INVALID("`instances` is missing"));
}

static void rerank_and_predict(void **state)
{
    (void)state;
    must_ask("/rerank", "{'query': 'q', 'texts': ['a', ''], 'raw_scores': true, 'return_text': true, 'truncate': false}");
    assert_int_equal(call.task, HD_TASK_RERANK);
    must_be_text(call.query, "q");
    assert_int_equal(call.n_inputs, 2);
    assert_true(call.raw_scores);
    assert_true(call.return_text);
    assert_int_equal(call.truncate, HD_TRUNCATE_NONE);

    must_ask("/predict", "{'inputs': 'a'}");
    assert_int_equal(call.task, HD_TASK_CLASSIFY);
    assert_true(call.is_single);
    assert_null(call.inputs[0].pair.ptr);
    must_ask("/predict", "{'inputs': ['a', 'b']}"); /* one pair, not two texts */
    assert_true(call.is_single);
    assert_int_equal(call.n_inputs, 1);
    must_be_text(call.inputs[0].pair, "b");
    must_ask("/predict", "{'inputs': [['a'], ['b', 'c']], 'raw_scores': true}");
    assert_false(call.is_single);
    assert_int_equal(call.n_inputs, 2);
    assert_null(call.inputs[0].pair.ptr);
    must_be_text(call.inputs[1].pair, "c");
    assert_true(call.raw_scores);
}

static void tokenize_and_decode(void **state)
{
    (void)state;
    must_ask("/tokenize", "{'inputs': 'a', 'prompt_name': 'query'}");
    assert_int_equal(call.task, HD_TASK_TOKENIZE);
    assert_false(call.no_specials);
    assert_string_equal(call.prompt_name, "query");
    must_ask("/tokenize", "{'inputs': ['a', 'b'], 'add_special_tokens': false}");
    assert_true(call.no_specials);
    assert_int_equal(call.n_inputs, 2);
    must_ask("/decode", "{'ids': [1, 2]}");
    assert_int_equal(call.task, HD_TASK_DETOKENIZE);
    assert_int_equal(call.n_inputs, 1);
    assert_true(call.no_specials);
    must_ask("/decode", "{'ids': [[1], [2]], 'skip_special_tokens': false}");
    assert_int_equal(call.n_inputs, 2);
    assert_false(call.no_specials);
}

static void the_body_says_what_the_root_is_for(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/invocations"};
    for (size_t i = 0; i < 2; i++) {
        must_ask(paths[i], "{'inputs': ['a']}");
        assert_int_equal(call.task, HD_TASK_EMBED);
        assert_int_equal(call.n_inputs, 1);
        must_ask(paths[i], "{'inputs': {'source_sentence': 's', 'sentences': ['a']}}");
        assert_int_equal(call.task, HD_TASK_EMBED);
        assert_int_equal(call.n_inputs, 2);
        must_ask(paths[i], "{'query': 'q', 'texts': ['a']}");
        assert_int_equal(call.task, HD_TASK_RERANK);
    }
    /* Paths that others serve, too: only what is TEI's is claimed. */
    forget();
    body = json_pack("{s:s,s:[s]}", "query", "q", "documents", "a");
    assert_null(choose("/rerank"));
    assert_null(choose("/tokenize"));
}

/* ---- answers ---- */

static void vectors_and_headers(void **state)
{
    (void)state;
    static const float vectors[] = {0.5f, -1.0f, 0.25f, 1.0f};
    static const uint32_t n_tokens[] = {3, 5};
    hd_result result = {.model = &normalizing,
                        .vectors = vectors,
                        .n_dimensions = 2,
                        .n_tokens = n_tokens,
                        .n_tokens_total = 8,
                        .times = {.total = 7999999, .tokenize = 1000000, .queue = 2999999, .compute = 3500000}};
    must_ask("/embed", "{'inputs': ['\xC3\xA9t\xC3\xA9', [7, 8]]}");
    answer(&result);
    must_be("[[0.5,-1.0],[0.25,1.0]]");
    assert_string_equal(header("x-compute-type"), "cpu+optimized");
    assert_string_equal(header("x-compute-time"), "7");
    assert_string_equal(header("x-compute-characters"), "5");
    assert_string_equal(header("x-compute-tokens"), "8");
    assert_string_equal(header("x-total-time"), "7");
    assert_string_equal(header("x-tokenization-time"), "1");
    assert_string_equal(header("x-queue-time"), "2");
    assert_string_equal(header("x-inference-time"), "3");
    assert_int_equal(response.n_headers, 8);

    must_ask("/embed", "{'inputs': ['a', 'b'], 'encoding_format': 'base64'}");
    result.on_gpu = true;
    answer(&result);
    must_be("[\"AAAAPwAAgL8=\",\"AACAPgAAgD8=\"]");
    assert_string_equal(header("x-compute-type"), "gpu+optimized");
}

static void vectors_of_models_that_do_not_normalize(void **state)
{
    (void)state;
    static const float vectors[] = {3.0f, 4.0f, 0.0f, 0.0f};
    const hd_result result = {.model = &plain, .vectors = vectors, .n_dimensions = 2};
    must_ask("/embed", "{'inputs': ['a', 'b']}");
    answer(&result);
    must_be("[[0.6,0.8],[0.0,0.0]]");
    must_ask("/embed", "{'inputs': ['a', 'b'], 'normalize': false}");
    answer(&result);
    must_be("[[3.0,4.0],[0.0,0.0]]");
}

static void vectors_of_tokens_and_weights(void **state)
{
    (void)state;
    static const float vectors[] = {1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f};
    static const uint32_t ids[] = {5, 900};
    static const float weights[] = {0.5f, 1.25f};
    static const hd_output outputs[] = {{.sparse = {ids, weights, 2}, .token_states = vectors, .n_token_states = 2},
                                        {.token_states = vectors + 4, .n_token_states = 1}};
    hd_model_card card = normalizing;
    card.info.hidden_size = 2;
    const hd_result result = {.model = &card, .outputs = outputs};
    must_ask("/embed_all", "{'inputs': ['a', 'b']}");
    answer(&result);
    must_be("[[[1.5,2.5],[3.5,4.5]],[[5.5,6.5]]]");
    must_ask("/embed_sparse", "{'inputs': ['a', 'b']}");
    answer(&result);
    must_be("[[{\"index\":5,\"value\":0.5},{\"index\":900,\"value\":1.25}],[]]");
    assert_non_null(header("x-compute-time"));
}

static void cosines(void **state)
{
    (void)state;
    static const float vectors[] = {2.0f, 0.0f, 1.0f, 0.0f, 0.0f, 3.0f, -4.0f, 0.0f};
    const hd_result result = {.model = &plain, .vectors = vectors, .n_dimensions = 2};
    must_ask("/similarity", "{'inputs': {'source_sentence': 's', 'sentences': ['a', 'b', 'c']}}");
    answer(&result);
    must_be("[1.0,0.0,-1.0]");
}

static void rankings_and_predictions(void **state)
{
    (void)state;
    static const hd_score scores[] = {{1, 0.75f}, {0, 0.5f}};
    static const hd_score predictions[] = {{1, 0.75f}, {0, 0.25f}, {0, 1.0f}, {1, 0.0f}};
    static const char *const labels[] = {"no", "\"yes\""};
    must_ask("/rerank", "{'query': 'ab', 'texts': ['c', 'de']}");
    answer(&(hd_result){.model = &plain, .scores = scores, .n_scores = 2});
    must_be("[{\"index\":1,\"score\":0.75},{\"index\":0,\"score\":0.5}]");
    assert_string_equal(header("x-compute-characters"), "7"); /* the query counts for each text */
    must_ask("/rerank", "{'query': 'ab', 'texts': ['c', 'd\\n'], 'return_text': true}");
    answer(&(hd_result){.model = &plain, .scores = scores, .n_scores = 2});
    must_be("[{\"index\":1,\"text\":\"d\\n\",\"score\":0.75},{\"index\":0,\"text\":\"c\",\"score\":0.5}]");

    const hd_result classified = {.model = &plain, .scores = predictions, .n_scores = 4, .labels = labels, .n_labels = 2};
    must_ask("/predict", "{'inputs': 'a'}");
    answer(&classified);
    must_be("[{\"score\":0.75,\"label\":\"\\\"yes\\\"\"},{\"score\":0.25,\"label\":\"no\"}]");
    must_ask("/predict", "{'inputs': [['a'], ['b']]}");
    answer(&classified);
    must_be("[[{\"score\":0.75,\"label\":\"\\\"yes\\\"\"},{\"score\":0.25,\"label\":\"no\"}],"
            "[{\"score\":1.0,\"label\":\"no\"},{\"score\":0.0,\"label\":\"\\\"yes\\\"\"}]]");
}

static void tokens_and_texts(void **state)
{
    (void)state;
    hd_token first[] = {{101, 0, 0, 0, 0, true}, {7, 0, 2, 0, 2, false}, {8, 2, 5, 2, 5, false}};
    hd_token second[] = {{9, 0, 1, 0, 1, false}};
    const hd_tokens tokens[] = {{first, 3, false}, {second, 1, false}};
    static const char *const texts[] = {"[CLS]", "q:", "##abc", "x"};
    static const hd_text decoded[] = {{"a b", 3}, {"", 0}};
    must_ask("/tokenize", "{'inputs': ['q:abc', 'x']}");
    answer(&(hd_result){.model = &plain, .tokens = tokens, .token_texts = texts});
    must_be("[[{\"id\":101,\"text\":\"[CLS]\",\"special\":true,\"start\":null,\"stop\":null},"
            "{\"id\":7,\"text\":\"q:\",\"special\":false,\"start\":0,\"stop\":2},"
            "{\"id\":8,\"text\":\"abc\",\"special\":false,\"start\":2,\"stop\":5}],"
            "[{\"id\":9,\"text\":\"x\",\"special\":false,\"start\":0,\"stop\":1}]]");
    assert_int_equal(response.n_headers, 0);

    must_ask("/tokenize", "{'inputs': 'abc'}"); /* the same tokens, half of them from a prompt */
    answer(&(hd_result){.model = &plain, .tokens = tokens, .token_texts = texts, .prompt = "q:"});
    must_be("[[{\"id\":101,\"text\":\"[CLS]\",\"special\":true,\"start\":null,\"stop\":null},"
            "{\"id\":7,\"text\":\"q:\",\"special\":false,\"start\":0,\"stop\":2},"
            "{\"id\":8,\"text\":\"abc\",\"special\":false,\"start\":2,\"stop\":5}]]");

    const hd_tokens cut[] = {{second, 1, false}, {first, 3, true}};
    must_ask("/tokenize", "{'inputs': ['x', 'q:abcd']}");
    answer(&(hd_result){.model = &plain, .tokens = cut, .token_texts = texts});
    assert_int_equal(response.status, 422);
    must_be("{\"error\":\"Input validation error: `inputs` must have less than 17 tokens\",\"error_type\":\"Validation\"}");

    must_ask("/decode", "{'ids': [[1], [2]]}");
    answer(&(hd_result){.model = &plain, .texts = decoded});
    must_be("[\"a b\",\"\"]");
}

static void info_and_ping(void **state)
{
    (void)state;
    static const hd_model_card cached = {
        .name = "alias",
        .info = {.name = "org/name",
                 .path = "/hub/models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567",
                 .pooling = "last",
                 .dtype = HD_DTYPE_BF16,
                 .max_length = 256}};
    must_ask("/info", "");
    assert_int_equal(call.task, HD_TASK_MODEL);
    assert_null(call.model);
    answer(&(hd_result){.model = &cached});
    char *wanted = hd__arena_printf(
        &arena,
        "{\"model_id\":\"org/name\",\"model_sha\":\"0123456789abcdef0123456789abcdef01234567\","
        "\"model_dtype\":\"bfloat16\",\"served_model_name\":\"alias\",\"model_type\":{\"embedding\":{\"pooling\":"
        "\"last_token\"}},\"max_concurrent_requests\":512,\"max_input_length\":256,\"max_batch_tokens\":16384,"
        "\"max_batch_requests\":null,\"max_client_batch_size\":4,\"auto_truncate\":true,\"tokenization_workers\":2,"
        "\"version\":\"%s\",\"sha\":null,\"docker_label\":null}",
        hd_version());
    must_be(wanted);

    http.query = hd__span_of("model=org%2Fm");
    must_ask("/info", "");
    http.query = hd__span("", 0);
    assert_string_equal(call.model, "org/m");
    answer(&(hd_result){.model = &plain});
    assert_true(says("\"model_sha\":null"));

    must_ask("/ping", "");
    assert_true(route->is_public);
    answer(&(hd_result){.ready = true});
    assert_int_equal(response.status, 200);
    must_be("");
    answer(&(hd_result){.ready = false});
    assert_int_equal(response.status, 503);
    must_be("{\"error\":\"unhealthy\",\"error_type\":\"Unhealthy\"}");
}

/* ---- what is refused ---- */

static void empty_inputs(void **state)
{
    (void)state;
    static const char *const paths[] = {"/embed", "/embed_all", "/embed_sparse", "/predict", "/", "/invocations"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        must_refuse(paths[i], "{'inputs': ''}", 400, EMPTY("inputs"));
        must_refuse(paths[i], "{'inputs': []}", 400, EMPTY("inputs"));
        must_refuse(paths[i], "{}", 422, INVALID("`inputs` is missing"));
        must_refuse(paths[i], "{'inputs': null}", 422, INVALID("`inputs` is missing"));
    }
    must_refuse("/embed", "{'inputs': ['a', '']}", 400, EMPTY("inputs"));
    must_refuse("/embed", "{'inputs': [[]]}", 400, EMPTY("inputs"));
    must_refuse("/tokenize", "{'inputs': []}", 400, EMPTY("inputs"));
    must_refuse("/decode", "{'ids': []}", 400, EMPTY("ids"));
    must_refuse("/decode", "{'ids': [[]]}", 400, EMPTY("ids"));
    must_refuse("/predict", "{'inputs': ['', '']}", 400, EMPTY("inputs"));
    must_refuse("/rerank", "{'query': 'q', 'texts': []}", 400, EMPTY("texts"));
    must_refuse("/rerank", "{'query': '', 'texts': ['']}", 400, EMPTY("inputs"));
    must_refuse("/similarity", "{'inputs': {'source_sentence': 's', 'sentences': []}}", 400, EMPTY("inputs.sentences"));
    must_refuse("/similarity", "{'inputs': {'source_sentence': '', 'sentences': ['a']}}", 400, EMPTY("inputs"));
}

#define TOO_MANY(n) "{\"error\":\"batch size " n " > maximum allowed batch size 4\",\"error_type\":\"Validation\"}"

static void too_many_inputs(void **state)
{
    (void)state;
    must_ask("/embed", "{'inputs': ['a', 'a', 'a', 'a']}");
    must_refuse("/embed", "{'inputs': ['a', 'a', 'a', 'a', 'a']}", 422, TOO_MANY("5"));
    must_ask("/predict", "{'inputs': [['a'], ['a'], ['a'], ['a']]}");
    must_refuse("/predict", "{'inputs': [['a'], ['a'], ['a'], ['a'], ['a']]}", 422, TOO_MANY("5"));
    must_ask("/rerank", "{'query': 'q', 'texts': ['a', 'a', 'a', 'a']}");
    must_refuse("/rerank", "{'query': 'q', 'texts': ['a', 'a', 'a', 'a', 'a']}", 422, TOO_MANY("5"));
    must_ask("/decode", "{'ids': [[1], [1], [1], [1]]}");
    must_refuse("/decode", "{'ids': [[1], [1], [1], [1], [1]]}", 422, TOO_MANY("5"));
    /* The source sentence counts. */
    must_refuse("/similarity", "{'inputs': {'source_sentence': 's', 'sentences': ['a', 'a', 'a', 'a']}}", 422,
                TOO_MANY("5"));
    must_refuse("/similarity", "{'inputs': {'source_sentence': 's', 'sentences': ['a', 'a', 'a', 'a', 'a']}}", 422,
                TOO_MANY("6"));
}

static void wrong_types_and_values(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
    } cases[] = {
        {"/embed", "{'inputs': 1}"},
        {"/embed", "{'inputs': true}"},
        {"/embed", "{'inputs': {}}"},
        {"/embed", "{'inputs': [1, 'a']}"},
        {"/embed", "{'inputs': ['a', 1]}"},
        {"/embed", "{'inputs': [[['a']]]}"},
        {"/embed", "{'inputs': [-1]}"},
        {"/embed", "{'inputs': [2147483648]}"},
        {"/embed", "{'inputs': [1.5]}"},
        {"/embed", "{'inputs': 'x', 'truncate': 'yes'}"},
        {"/embed", "{'inputs': 'x', 'truncate': 1}"},
        {"/embed", "{'inputs': 'x', 'truncation_direction': 'up'}"},
        {"/embed", "{'inputs': 'x', 'truncation_direction': 1}"},
        {"/embed", "{'inputs': 'x', 'normalize': 'true'}"},
        {"/embed", "{'inputs': 'x', 'prompt_name': 1}"},
        {"/embed", "{'inputs': 'x', 'prompt_name': 'a\\u0000'}"},
        {"/embed", "{'inputs': 'x', 'dimensions': -1}"},
        {"/embed", "{'inputs': 'x', 'dimensions': '4'}"},
        {"/embed", "{'inputs': 'x', 'dimensions': 4294967296}"},
        {"/embed", "{'inputs': 'x', 'encoding_format': 'hex'}"},
        {"/embed", "{'inputs': 'x', 'output_dtype': 'int4'}"},
        {"/embed", "{'inputs': 'x', 'parameters': []}"},
        {"/embed", "{'inputs': 'x', 'parameters': {'normalize': 1}}"},
        {"/embed", "{'inputs': 'x', 'model': 1}"},
        {"/embed", "{'inputs': 'x', 'timeout_ms': 0}"},
        {"/embed_all", "{'inputs': 'x', 'truncate': []}"},
        {"/similarity", "{'inputs': 'x'}"},
        {"/similarity", "{'inputs': {'sentences': ['a']}}"},
        {"/similarity", "{'inputs': {'source_sentence': 's'}}"},
        {"/similarity", "{'inputs': {'source_sentence': 1, 'sentences': ['a']}}"},
        {"/similarity", "{'inputs': {'source_sentence': 's', 'sentences': 'a'}}"},
        {"/similarity", "{'inputs': {'source_sentence': 's', 'sentences': [[1]]}}"},
        {"/rerank", "{'texts': ['a']}"},
        {"/rerank", "{'query': 1, 'texts': ['a']}"},
        {"/rerank", "{'query': 'q', 'texts': 'a'}"},
        {"/rerank", "{'query': 'q', 'texts': [1]}"},
        {"/rerank", "{'query': 'q', 'texts': ['a'], 'raw_scores': 1}"},
        {"/rerank", "{'query': 'q', 'texts': ['a'], 'return_text': 'no'}"},
        {"/predict", "{'inputs': 1}"},
        {"/predict", "{'inputs': ['a', 'b', 'c']}"},
        {"/predict", "{'inputs': ['a', ['b']]}"},
        {"/predict", "{'inputs': [['a'], 'b']}"},
        {"/predict", "{'inputs': [[]]}"},
        {"/predict", "{'inputs': [['a', 'b', 'c']]}"},
        {"/predict", "{'inputs': [1]}"},
        {"/tokenize", "{'inputs': [1]}"},
        {"/tokenize", "{'inputs': 'x', 'add_special_tokens': 1}"},
        {"/decode", "{'inputs': 'x'}"},
        {"/decode", "{'ids': 'x'}"},
        {"/decode", "{'ids': ['x']}"},
        {"/decode", "{'ids': [1], 'skip_special_tokens': 0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (ask(cases[i].path, cases[i].text) == HD_OK)
            fail_msg("%s %s was taken", cases[i].path, cases[i].text);
        answer_fault(&fault);
        if (response.status != 422 || !says("\"error_type\":\"Validation\"}"))
            fail_msg("%s %s: %d %.*s", cases[i].path, cases[i].text, response.status, (int)response.body.len,
                     response.body.ptr);
    }
    must_refuse("/embed", "{'inputs': 'x', 'dimensions': 0}", 422, INVALID("`dimensions` should be positive"));
    must_refuse("/", "{'inputs': 'x', 'parameters': {'dimensions': 0}}", 422, INVALID("`dimensions` should be positive"));
    must_refuse("/embed", "{'inputs': 'x', 'normalize': 1}", 422, INVALID("`normalize` is not true or false"));
}

/* Faults that the service raises, on a path. */
static void must_say(const char *path, hd_fault f, int status, const char *wanted)
{
    http.path = hd__span_of(path);
    answer_fault(&f);
    assert_int_equal(response.status, status);
    must_be(wanted);
}

static void faults_of_the_service(void **state)
{
    (void)state;
    must_say("/embed", (hd_fault){.kind = HD_FAULT_TOKENS, .n = 600, .limit = 512, .text = "t"}, 422,
             INVALID("`inputs` must have less than 512 tokens. Given: 600"));
    must_say("/embed", (hd_fault){.kind = HD_FAULT_VALUE, .field = "dimensions", .n = 99, .limit = 32, .text = "t"}, 422,
             INVALID("`dimensions` should be smaller than the maximum embedding dimension. Given: 99, maximum: 32"));
    must_say("/embed", (hd_fault){.kind = HD_FAULT_OVERLOADED, .retry_after_s = 3, .text = "t"}, 429,
             "{\"error\":\"Model is overloaded\",\"error_type\":\"Overloaded\"}");
    assert_string_equal(header("Retry-After"), "3");
    must_say("/rerank", (hd_fault){.kind = HD_FAULT_UNSUPPORTED, .text = "t"}, 424,
             "{\"error\":\"Backend error: model is not a re-ranker model\",\"error_type\":\"Backend\"}");
    must_say("/predict", (hd_fault){.kind = HD_FAULT_UNSUPPORTED, .text = "t"}, 424,
             "{\"error\":\"Backend error: Model is not a classifier model\",\"error_type\":\"Backend\"}");
    must_say(
        "/embed_sparse", (hd_fault){.kind = HD_FAULT_UNSUPPORTED, .text = "t"}, 424,
        "{\"error\":\"Backend error: Model is not an embedding model with SPLADE pooling\",\"error_type\":\"Backend\"}");
    must_say("/embed_all", (hd_fault){.kind = HD_FAULT_UNSUPPORTED, .text = "no such head"}, 424,
             "{\"error\":\"Backend error: no such head\",\"error_type\":\"Backend\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_NUMERIC, .text = "a NaN"}, 424,
             "{\"error\":\"Backend error: a NaN\",\"error_type\":\"Backend\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_JSON, .text = "not \"JSON\""}, 400,
             "{\"error\":\"not \\\"JSON\\\"\",\"error_type\":\"Validation\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_STOPPING, .text = "stopping"}, 503,
             "{\"error\":\"stopping\",\"error_type\":\"Unhealthy\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_BODY_BYTES, .text = "t"}, 413,
             "{\"error\":\"t\",\"error_type\":\"Validation\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_NONE, .text = "t"}, 424,
             "{\"error\":\"Backend error: t\",\"error_type\":\"Backend\"}");
    must_say("/embed", (hd_fault){.kind = HD_FAULT_KEY, .text = "t"}, 401, "");
    assert_null(response.content_type);
}

/* Every kind has a status and a type. */
static void every_fault_has_words(void **state)
{
    (void)state;
    for (int kind = HD_FAULT_NONE; kind < HD_FAULT_KINDS; kind++) {
        http.path = hd__span_of("/embed");
        answer_fault(&(hd_fault){.kind = (hd_fault_kind)kind, .text = "t"});
        assert_in_range(response.status, 400, 599);
    }
}

/* ---- without memory ---- */

static void no_memory_to_read(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
    } cases[] = {
        {"/embed", "{'inputs': ['a', [1, 2]]}"},
        {"/similarity", "{'inputs': {'source_sentence': 's', 'sentences': ['a']}}"},
        {"/predict", "{'inputs': [['a'], ['b']]}"},
        {"/vertex", "{'instances': [{'inputs': 'a'}, {'inputs': ['b']}]}"},
        {"/decode", "{'ids': [[1], [2]]}"},
        {"/rerank", "{'query': 'q', 'texts': ['a']}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hd_status status = HD_ERR_ARG;
        for (uint64_t n = 0; status != HD_OK; n++) {
            hd__alloc_fail_after(n, UINT64_MAX);
            status = ask(cases[i].path, cases[i].text);
            hd__alloc_fail_off();
            assert_true(n < 100);
            assert_true(status == HD_OK || fault.kind == HD_FAULT_MEMORY);
        }
    }
}

static void no_memory_to_write(void **state)
{
    (void)state;
    static const float vectors[] = {3.0f, 4.0f};
    const hd_result result = {.model = &plain, .vectors = vectors, .n_dimensions = 2};
    bool failed = true;
    for (uint64_t n = 0; failed; n++) {
        must_ask("/embed", "{'inputs': 'a'}");
        hd__alloc_fail_after(n, UINT64_MAX);
        answer(&result);
        hd__alloc_fail_off();
        assert_true(n < 100);
        failed = response.body.failed || response.n_headers < 8; /* headers are left out */
    }
    must_be("[[0.6,0.8]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(inputs_in_all_their_forms, begin, end),
        cmocka_unit_test_setup_teardown(options_and_their_defaults, begin, end),
        cmocka_unit_test_setup_teardown(options_under_parameters, begin, end),
        cmocka_unit_test_setup_teardown(similarity_puts_the_source_first, begin, end),
        cmocka_unit_test_setup_teardown(vertex_is_embed_many_times, begin, end),
        cmocka_unit_test_setup_teardown(rerank_and_predict, begin, end),
        cmocka_unit_test_setup_teardown(tokenize_and_decode, begin, end),
        cmocka_unit_test_setup_teardown(the_body_says_what_the_root_is_for, begin, end),
        cmocka_unit_test_setup_teardown(vectors_and_headers, begin, end),
        cmocka_unit_test_setup_teardown(vectors_of_models_that_do_not_normalize, begin, end),
        cmocka_unit_test_setup_teardown(vectors_of_tokens_and_weights, begin, end),
        cmocka_unit_test_setup_teardown(cosines, begin, end),
        cmocka_unit_test_setup_teardown(rankings_and_predictions, begin, end),
        cmocka_unit_test_setup_teardown(tokens_and_texts, begin, end),
        cmocka_unit_test_setup_teardown(info_and_ping, begin, end),
        cmocka_unit_test_setup_teardown(empty_inputs, begin, end),
        cmocka_unit_test_setup_teardown(too_many_inputs, begin, end),
        cmocka_unit_test_setup_teardown(wrong_types_and_values, begin, end),
        cmocka_unit_test_setup_teardown(faults_of_the_service, begin, end),
        cmocka_unit_test_setup_teardown(every_fault_has_words, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_to_read, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_to_write, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
