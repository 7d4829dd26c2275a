/* protocols_fuzz.c - a request to any route of any protocol: "POST /path?query", a newline, the body.
 *
 * What the route reads goes straight to what it writes, with a result made up for it. Whatever it is sent, a route
 * refuses it in words or makes a call that keeps the limits, and what is answered is JSON. No socket, no engine.
 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"
#include "wire/protocol.h"

#define MAX_BODY_BYTES 8192u
#define MAX_INPUTS 16u
#define DIMENSIONS 4u
#define TOKENS 3u /* of each input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const hd_wire_settings settings = {
    .build = "heddle 0.1.0", .max_inputs = MAX_INPUTS, .max_queue_tokens = 1000, .n_threads = 2, .auto_truncate = true};

typedef struct asked {
    hd_arena arena;
    hd_http_request http;
    hd_http_response response;
    hd_wire_request request;
    json_t *body;
    const hd_route *route;
    const hd_dialect *dialect;
    uint64_t seed;
} asked;

static void require(bool it)
{
    if (!it)
        abort();
}

/* ---- the request ---- */

static bool matches(const hd_route *route, const hd_http_request *http)
{
    const size_t n = strlen(route->path);
    if (route->method != http->method)
        return false;
    if (route->path[n - 1] == '*')
        return http->path.len >= n && memcmp(route->path, http->path.ptr, n - 1) == 0;
    return hd__span_is(http->path, route->path);
}

/* As the service does it: the first that claims the request, else the first that claims nothing. */
static void choose(asked *a)
{
    for (int claims = 1; claims >= 0; claims--) {
        for (size_t p = 0; hd__protocols[p] != NULL; p++) {
            for (size_t i = 0; i < hd__protocols[p]->n_routes && a->route == NULL; i++) {
                const hd_route *r = &hd__protocols[p]->routes[i];
                if (!matches(r, &a->http) || (r->claims != NULL) != claims)
                    continue;
                const size_t n = strlen(r->path);
                a->request.body = r->has_body ? a->body : NULL;
                a->request.rest =
                    r->path[n - 1] == '*' ? hd__span(a->http.path.ptr + n - 1, a->http.path.len - (n - 1)) : hd__span("", 0);
                if ((r->has_body && !r->is_form && a->body == NULL) || (claims && !r->claims(&a->request)))
                    continue;
                a->route = r;
                a->dialect = r->dialect != NULL ? r->dialect : hd__protocols[p]->dialect;
            }
        }
    }
}

/* For forms, and for addresses that begin as the client knows them. */
static const hd_http_header headers[] = {
    {{"Content-Type", 12}, {"multipart/form-data; boundary=xyz", 33}},
    {{"Host", 4}, {"a\"b\xFF", 4}},
};

static void open_request(asked *a, hd_span line, hd_span body)
{
    const char *slash = line.len > 0 ? memchr(line.ptr, '/', line.len) : NULL;
    const hd_span target = slash != NULL ? hd__span(slash, line.len - (size_t)(slash - line.ptr)) : hd__span("/", 1);
    const char *mark = memchr(target.ptr, '?', target.len);
    const size_t n = mark != NULL ? (size_t)(mark - target.ptr) : target.len;
    a->http = (hd_http_request){
        .method = hd__span_begins(line, "GET ")      ? HD_HTTP_GET
                  : hd__span_begins(line, "DELETE ") ? HD_HTTP_DELETE
                                                     : HD_HTTP_POST,
        .path = hd__span(hd__arena_strndup(&a->arena, target.ptr, n), n),
        .query = mark != NULL ? hd__span(mark + 1, target.len - n - 1) : hd__span("", 0),
        .body = body,
        .headers = headers,
        .n_headers = sizeof headers / sizeof *headers,
        .id = "req-1",
        .peer = "127.0.0.1",
    };
    a->body = body.len > 0 ? json_loadb(body.ptr, body.len, JSON_ALLOW_NUL, NULL) : NULL;
    if (!json_is_object(a->body)) { /* the service refuses it */
        json_decref(a->body);
        a->body = NULL;
    }
    a->request = (hd_wire_request){.http = &a->http, .arena = &a->arena, .settings = &settings};
    choose(a);
}

/* ---- the answer ---- */

static void check_answer(asked *a, int least, int most)
{
    hd_http_response *r = &a->response;
    const char *type = r->content_type != NULL ? r->content_type : "application/json";
    require(!r->body.failed && (r->status == 0 || (r->status >= least && r->status <= most)));
    if (strcmp(type, "application/json") == 0) {
        json_t *parsed = json_loadb(r->body.ptr, r->body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        require(parsed != NULL);
        json_decref(parsed);
    }
    hd__buffer_reset(&r->body);
    *r = (hd_http_response){.body = r->body};
}

static void check_fault(asked *a, const hd_fault *fault)
{
    require(fault->kind > HD_FAULT_NONE && fault->kind < HD_FAULT_KINDS && fault->text[0] != '\0');
    require(memchr(fault->text, '\0', sizeof fault->text) != NULL);
    a->dialect->write_fault(fault, &a->http, &a->arena, &a->response);
    require(a->response.status != 0);
    if (a->response.body.len > 0 || fault->kind != HD_FAULT_KEY) /* TEI says no more than the status then */
        check_answer(a, 400, 599);
}

/* Any fault that the service raises later, with bytes of the request in its text, as names of models get there. */
static void check_any_fault(asked *a)
{
    hd_fault fault;
    const hd_fault_kind kind = (hd_fault_kind)(1 + a->seed % (HD_FAULT_KINDS - 1));
    HD_IGNORE(hd__fault(&fault, kind, a->seed & 64 ? "input" : NULL, "no such thing: %.*s", (int)a->http.body.len,
                        a->http.body.ptr));
    fault.n = a->seed >> 33;
    fault.limit = MAX_INPUTS;
    fault.retry_after_s = (uint32_t)(a->seed >> 60);
    check_fault(a, &fault);
}

static void read_all(const char *text, size_t len)
{
    volatile char sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (char)(sum ^ text[i]);
}

static void check_index_call(const hd_call *call)
{
    const hd_index_call *c = call->index;
    require(c != NULL && call->task <= HD_TASK_STATS && c->n_documents <= MAX_INPUTS && c->n_searches <= HD_LIMIT_QUERIES);
    for (size_t i = 0; i < c->n_searches; i++) {
        require(c->searches[i].query.len > 0 && c->searches[i].limit <= HD_LIMIT_ANSWERED_HITS);
        read_all(c->searches[i].query.ptr, c->searches[i].query.len);
        read_all(c->searches[i].filter, c->searches[i].filter != NULL ? strlen(c->searches[i].filter) : 0);
    }
    for (size_t i = 0; i < c->n_documents; i++) {
        const hd_document *d = &c->documents[i];
        json_t *metadata = d->metadata != NULL ? json_loads(d->metadata, 0, NULL) : json_object();
        require(json_is_object(metadata));
        json_decref(metadata);
        read_all(d->text.ptr, d->text.len);
    }
    for (size_t i = 0; i < c->n_ids; i++)
        read_all(c->ids[i], strlen(c->ids[i]));
    require(call->task != HD_TASK_REMOVE || c->n_ids > 0 || c->filter != NULL);
    require(call->task != HD_TASK_LIST || c->limit <= HD_LIMIT_LISTED_DOCUMENTS);
}

static void check_call(const hd_call *call)
{
    const bool computes = call->task != HD_TASK_REPLY && call->task != HD_TASK_MODEL;
    if (call->task >= HD_TASK_SEARCH) {
        check_index_call(call);
        return;
    }
    require(call->task <= HD_TASK_DETOKENIZE && (!computes || call->n_inputs > 0));
    for (size_t i = 0; i < call->n_inputs; i++) {
        const hd_input *in = &call->inputs[i];
        require(in->ids.ids != NULL ? in->ids.n > 0
                                    : in->text.ptr != NULL || in->text.len == 0 || call->task == HD_TASK_DETOKENIZE);
        volatile uint8_t sum = 0; /* all of it is there to be read */
        for (size_t k = 0; in->ids.ids == NULL && k < in->text.len; k++)
            sum ^= (uint8_t)in->text.ptr[k];
        for (size_t k = 0; k < in->ids.n; k++)
            sum ^= (uint8_t)in->ids.ids[k];
    }
    require(call->n_inputs <= MAX_INPUTS || call->task == HD_TASK_RERANK);
}

static float value_of(uint64_t seed, size_t i)
{
    return (float)(int16_t)(hd__hash64(hd__span(&i, sizeof i), seed) & 0xffff) / 32768.0f;
}

static const float *make_values(asked *a, size_t n)
{
    float *values = hd__arena_calloc(&a->arena, n, sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = value_of(a->seed, i);
    return values;
}

static void make_tokens(asked *a, const hd_call *call, hd_result *r)
{
    hd_tokens *all = hd__arena_calloc(&a->arena, call->n_inputs + 1, sizeof *all);
    const char **texts = hd__arena_calloc(&a->arena, call->n_inputs * TOKENS + 1, sizeof *texts);
    hd_text *plain = hd__arena_calloc(&a->arena, call->n_inputs + 1, sizeof *plain);
    static hd_token three[TOKENS] = {{.id = 101}, {.id = 7592, .char_end = 1, .byte_end = 1}, {.id = 102}};
    for (size_t i = 0; i < call->n_inputs; i++) {
        all[i] = (hd_tokens){.tokens = three, .n = TOKENS};
        plain[i] = (hd_text){"a\0\"b", 4};
        for (size_t k = 0; k < TOKENS; k++)
            texts[i * TOKENS + k] = k == 1 ? "##\xC3\xA9\"" : NULL;
    }
    for (size_t i = 0; i < call->n_inputs * TOKENS; i++)
        texts[i] = texts[i] != NULL ? texts[i] : "[CLS]";
    r->tokens = all;
    r->token_texts = texts;
    r->texts = plain;
}

static void make_scores(asked *a, const hd_call *call, hd_result *r)
{
    static const char *const labels[] = {"no", "ye\"s"};
    const bool ranks = call->task == HD_TASK_RERANK;
    const size_t n = !ranks                                             ? 2 * call->n_inputs
                     : call->top_n != 0 && call->top_n < call->n_inputs ? call->top_n
                                                                        : call->n_inputs;
    hd_score *scores = hd__arena_calloc(&a->arena, n + 1, sizeof *scores);
    for (size_t i = 0; i < n; i++)
        scores[i] = (hd_score){.index = (uint32_t)(ranks ? i : i % 2), .score = value_of(a->seed, i)};
    r->scores = scores;
    r->n_scores = n;
    r->labels = labels;
    r->n_labels = 2;
}

/* Answers of the index with all that may stand in them. */
static void make_index(asked *a, const hd_call *call, hd_index_result *r)
{
    static const hd_span32 highlights[] = {{0, 1}, {2, 4}};
    static const hd_facet_value values[] = {{"do\"cs", 3}, {"", 1}};
    static const hd_facet facet = {"sou\"rce", values, 2};
    static const hd_stored_chunk chunk = {.id = "a#0", .section = "A > \"B\"", .text = "te\\xt", .span = {0, 5}, .line = 1};
    static const hd_stored_document document = {.id = "a\"",
                                                .source = "docs",
                                                .path = "",
                                                .title = "\xFF",
                                                .url = "",
                                                .author = "",
                                                .mime = "",
                                                .metadata = "{\"created_at\":\"then\",\"source_id\":7}",
                                                .created_at = 1,
                                                .n_chunks = 1,
                                                .sample = "é\x80",
                                                .chunks = &chunk};
    const size_t n = call->index->n_searches;
    hd_results *results = hd__arena_calloc(&a->arena, n + 1, sizeof *results);
    hd_hit *hit = hd__arena_calloc(&a->arena, 1, sizeof *hit);
    *hit = (hd_hit){.document_id = "a",
                    .chunk_id = "a#0",
                    .source = "",
                    .path = "",
                    .url = "u",
                    .author = "",
                    .mime = "",
                    .title = "",
                    .section = "",
                    .text = "t\"",
                    .snippet = "snippet",
                    .metadata = a->seed & 1 ? "{}" : "none",
                    .highlights = highlights,
                    .n_highlights = 2,
                    .score = value_of(a->seed, 1),
                    .fused = value_of(a->seed, 2),
                    .fused_rank = 1};
    for (size_t i = 0; i < HD_N_LEGS; i++) {
        hit->scores[i] = a->seed >> i & 2 ? NAN : value_of(a->seed, i);
        hit->ranks[i] = isnan(hit->scores[i]) ? 0u : 1u;
    }
    for (size_t i = 0; i < n; i++)
        results[i] = (hd_results){
            .hits = hit, .n = a->seed & 4 ? 1 : 0, .facets = &facet, .n_facets = 1, .warning = a->seed & 8 ? "w" : ""};
    r->searches = results;
    r->ids = hd__arena_calloc(&a->arena, call->index->n_documents + 1, sizeof *r->ids);
    for (size_t i = 0; i < call->index->n_documents; i += 2)
        r->ids[i] = (hd_text){"i\"d", 3};
    r->n_removed = a->seed & 1;
    r->listing = (hd_listing){.documents = &document, .n = a->seed & 1, .n_matching = 1};
    r->stats = (hd_index_stats){.path = "p\"", .model = "", .legs = 3};
}

static void check_write(asked *a, const hd_call *call)
{
    static const uint32_t ids[] = {1, 1012};
    static const hd_model_card card = {.name = "org/m\"odel",
                                       .info = {.name = "org/m\"odel",
                                                .path = "models/\xFF\"",
                                                .architecture = "bert",
                                                .pooling = "mean",
                                                .similarity = "cosine",
                                                .default_prompt_name = "",
                                                .dtype = HD_DTYPE_F32,
                                                .n_dimensions = DIMENSIONS,
                                                .n_token_dimensions = DIMENSIONS,
                                                .hidden_size = DIMENSIONS,
                                                .max_length = 512,
                                                .vocab_size = 30522},
                                       .state = HD_MODEL_LOADED,
                                       .vocab_size = 30522};
    hd_result r = {.model = &card, .models = &card, .n_models = 1, .ready = true, .n_in_flight = 1};
    r.echo = call->model != NULL && call->model[0] != '\0' ? call->model : card.name;
    r.n_dimensions = call->dimensions != 0 ? call->dimensions : DIMENSIONS;
    r.vectors = make_values(a, call->n_inputs * TOKENS * r.n_dimensions + 1);
    hd_output *outputs = hd__arena_calloc(&a->arena, call->n_inputs + 1, sizeof *outputs);
    uint32_t *n_tokens = hd__arena_calloc(&a->arena, call->n_inputs + 1, sizeof *n_tokens);
    for (size_t i = 0; i < call->n_inputs; i++) {
        outputs[i] = (hd_output){.sparse = {ids, make_values(a, 2), 2},
                                 .token_vectors = make_values(a, TOKENS * DIMENSIONS),
                                 .n_token_vectors = TOKENS,
                                 .token_states = make_values(a, TOKENS * DIMENSIONS),
                                 .n_token_states = TOKENS};
        n_tokens[i] = TOKENS;
    }
    r.outputs = outputs;
    r.n_tokens = n_tokens;
    r.n_tokens_total = call->n_inputs * TOKENS;
    make_tokens(a, call, &r);
    make_scores(a, call, &r);
    hd_index_result index = {0};
    if (call->index != NULL)
        make_index(a, call, &index);
    r.index = &index;
    a->route->write(&a->request, call, &r, &a->response);
    check_answer(a, 200, call->index != NULL ? 404 : 299);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    const size_t n = end != NULL ? (size_t)(end - text) : size;
    const hd_span body = end != NULL ? hd__span(end + 1, size - n - 1) : hd__span("", 0);
    if (body.len > MAX_BODY_BYTES)
        return 0;
    asked a = {.seed = hd__hash64(hd__span(data, size), 1)};
    hd_call call = {0};
    hd_fault fault = {0};
    hd__arena_init(&a.arena);
    hd__buffer_init(&a.response.body);
    open_request(&a, hd__span(text, n), body);
    if (a.route != NULL && a.route->read(&a.request, &call, &fault) != HD_OK)
        check_fault(&a, &fault);
    else if (a.route != NULL && call.dimensions <= DIMENSIONS) { /* the service refuses more */
        check_call(&call);
        check_write(&a, &call);
        check_any_fault(&a);
    }
    json_decref(a.body);
    hd__buffer_clear(&a.response.body);
    hd__arena_clear(&a.arena);
    return 0;
}
