/* llamacpp.c - llama-server's routes for embedding and reranking, its tokenizer and what it tells about itself.
 *
 *   POST /embedding, and /embeddings and /v1/embeddings with "content":
 *     {"content": "…" | ["…", [1, 2]] | [1, 2], "embd_normalize": 2}  →  [{"index": 0, "embedding": [[…]]}]
 *     A list with an id in it is one input: text among ids counts as its tokens, with specials only where it comes first.
 *     {"prompt_string": "…" | [1, "…"]} may stand for an input.
 *   POST /v1/embeddings with "input" and "embd_normalize": OpenAI's request and answer
 *   POST /rerank, /reranking, /v1/reranking
 *     {"query": "…", "documents": ["…"], "top_n": n}  →  {"model", "object": "list", "usage", "results": [{"index",
 *     "relevance_score"}]}; with "texts" in place of "documents" TEI's answer. Scores have no sigmoid.
 *   POST /tokenize    {"content": "…", "add_special": false, "with_pieces": false}  →  {"tokens": [1] | [{"id", "piece"}]}
 *   POST /detokenize  {"tokens": [1]}  →  {"content": "…"}
 *   GET /props, /slots, /models
 *
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md. A slot is a thread that computes.
 * Pieces are the vocabulary's entries as the model's tokenizer file has them. What asks for text to be made, or for
 * settings to be changed, is refused as llama-server refuses what it was not started for.
 *
 * Fields that llama.cpp lacks: `prompt_name`, `prompt`, `truncate`, `output_dtype`, `dimensions` and `timeout_ms` where
 * vectors come back, `timeout_ms` and `raw_scores` (true unless it is false) where scores do.
 */
#include <limits.h>

#include "base/utf8.h"
#include "wire/answer.h"
#include "wire/extras.h"
#include "wire/norm.h"
#include "wire/rerank.h"

/* ---- errors ---- */

typedef struct fault_words {
    int status;
    const char *type;
} fault_words;

static const fault_words words[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = {400, "invalid_request_error"},
    [HD_FAULT_ROUTE] = {404, "not_found_error"},
    [HD_FAULT_METHOD] = {405, "invalid_request_error"},
    [HD_FAULT_KEY] = {401, "authentication_error"},
    [HD_FAULT_BODY_BYTES] = {413, "invalid_request_error"},
    [HD_FAULT_ENCODING] = {415, "invalid_request_error"},
    [HD_FAULT_BODY_TIME] = {408, "invalid_request_error"},
    [HD_FAULT_JSON] = {400, "invalid_request_error"},
    [HD_FAULT_MISSING] = {400, "invalid_request_error"},
    [HD_FAULT_TYPE] = {400, "invalid_request_error"},
    [HD_FAULT_VALUE] = {400, "invalid_request_error"},
    [HD_FAULT_EMPTY] = {400, "invalid_request_error"},
    [HD_FAULT_INPUTS] = {400, "invalid_request_error"},
    [HD_FAULT_TOKENS] = {400, "exceed_context_size_error"},
    [HD_FAULT_MODEL] = {404, "not_found_error"},
    [HD_FAULT_UNSUPPORTED] = {501, "not_supported_error"},
    [HD_FAULT_OVERLOADED] = {429, "unavailable_error"},
    [HD_FAULT_DEADLINE] = {504, "server_error"},
    [HD_FAULT_CANCELLED] = {499, "server_error"},
    [HD_FAULT_LOADING] = {503, "unavailable_error"},
    [HD_FAULT_STOPPING] = {503, "unavailable_error"},
    [HD_FAULT_MEMORY] = {503, "server_error"},
    [HD_FAULT_LOAD] = {500, "server_error"},
    [HD_FAULT_NUMERIC] = {500, "server_error"},
    [HD_FAULT_INTERNAL] = {500, "server_error"},
};

/* Up to what may follow inside of "error". */
static void begin_error(hd_http_response *response, int status, const char *type, const char *text)
{
    hd_buffer *b = &response->body;
    response->status = status;
    response->content_type = "application/json";
    hd__buffer_reset(b);
    hd__buffer_printf(b, "{\"error\":{\"code\":%d,\"message\":", status);
    hd__write_cstr(b, text);
    hd__buffer_append_text(b, ",\"type\":");
    hd__write_cstr(b, type);
}

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    (void)request;
    const fault_words *w = &words[fault->kind != HD_FAULT_NONE ? fault->kind : HD_FAULT_INTERNAL];
    hd_buffer *b = &response->body;
    begin_error(response, w->status, w->type,
                fault->kind == HD_FAULT_ROUTE ? "File Not Found"
                : fault->kind == HD_FAULT_KEY ? "Invalid API Key"
                                              : fault->text);
    if (fault->kind == HD_FAULT_TOKENS) {
        hd__buffer_append_text(b, ",\"n_prompt_tokens\":");
        hd__write_uint(b, fault->n);
        hd__buffer_append_text(b, ",\"n_ctx\":");
        hd__write_uint(b, fault->limit);
    }
    hd__buffer_append_text(b, "}}");
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

static const hd_dialect dialect = {"llamacpp", write_fault};

/* ---- vectors ---- */

typedef struct embedding_own {
    int norm;       /* what p of the p-norm, as hd__scale_row */
    bool is_openai; /* asked with "input", on OpenAI's path: answered in OpenAI's shape */
} embedding_own;

static bool claims_content(const hd_wire_request *request)
{
    return hd__field(request->body, "content") != NULL;
}

static bool claims_openai(const hd_wire_request *request)
{
    return claims_content(request) || hd__field(request->body, "embd_normalize") != NULL;
}

static hd_status read_norm(const json_t *body, int *norm, hd_fault *fault)
{
    const json_t *f = hd__field(body, "embd_normalize");
    if (f == NULL)
        return HD_OK;
    if (!json_is_integer(f))
        return hd__fault(fault, HD_FAULT_TYPE, "embd_normalize", "`embd_normalize` is not an integer");
    const json_int_t v = json_integer_value(f);
    if (v < HD_NORM_NONE || v > INT16_MAX)
        return hd__fault(fault, HD_FAULT_VALUE, "embd_normalize", "`embd_normalize` is %lld, allowed are -1 to %d",
                         (long long)v, INT16_MAX);
    *norm = (int)v;
    return HD_OK;
}

static hd_status read_input(const hd_wire_request *request, const char *name, hd_call *call, hd_fault *fault)
{
    const unsigned forms =
        HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_IDS | HD_INPUT_LISTS | HD_INPUT_NO_EMPTY | HD_INPUT_MIXED;
    if (hd__field(request->body, name) == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, name, "\"input\" or \"content\" must be provided");
    const hd_status status = hd__field_inputs(request, name, forms, call, fault);
    return status != HD_OK && fault->kind == HD_FAULT_EMPTY
               ? hd__fault(fault, HD_FAULT_EMPTY, name, "Input content cannot be empty")
               : status;
}

static hd_status read_vectors(const hd_wire_request *request, bool is_openai, hd_call *call, hd_fault *fault)
{
    const json_t *body = request->body;
    const char *format = "float";
    embedding_own *own = hd__arena_calloc(request->arena, 1, sizeof *own);
    if (own == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    *own = (embedding_own){HD_NORM_EUCLIDEAN, is_openai};
    call->own = own;
    call->task = HD_TASK_EMBED;
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    HD_TRY(read_input(request, claims_content(request) ? "content" : "input", call, fault));
    HD_TRY(read_norm(body, &own->norm, fault));
    HD_TRY(hd__field_text(body, "encoding_format", &format, fault));
    if (strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        return hd__fault(fault, HD_FAULT_VALUE, "encoding_format",
                         "The format to return the embeddings in. Can be either float or base64");
    HD_TRY(hd__field_uint(body, "dimensions", 1, UINT32_MAX, &call->dimensions, fault));
    call->no_normalize = own->norm != HD_NORM_EUCLIDEAN;
    call->base64 = is_openai && strcmp(format, "base64") == 0;
    return hd__read_extras(
        body, HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT | HD_EXTRA_TRUNCATE | HD_EXTRA_DTYPE | HD_EXTRA_TIMEOUT, call, fault);
}

static hd_status read_embedding(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return read_vectors(request, false, call, fault);
}

static hd_status read_v1_embeddings(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return read_vectors(request, !claims_content(request), call, fault);
}

static void write_usage(hd_buffer *b, const hd_result *result)
{
    hd__buffer_append_text(b, "{\"model\":");
    hd__write_cstr(b, result->echo);
    hd__buffer_append_text(b, ",\"object\":\"list\",\"usage\":{\"prompt_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_text(b, ",\"total_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_char(b, '}');
}

static void write_embedding(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                            hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const embedding_own *own = call->own;
    const size_t n = result->n_dimensions;
    const bool as_is = own->norm == HD_NORM_NONE || (own->norm == HD_NORM_EUCLIDEAN && result->model->info.normalizes);
    float *scaled = as_is ? NULL : hd__arena_calloc(request->arena, n, sizeof *scaled);
    b->failed |= !as_is && scaled == NULL;
    if (own->is_openai) {
        write_usage(b, result);
        hd__buffer_append_text(b, ",\"data\":");
    }
    for (size_t i = 0; i < call->n_inputs && !b->failed; i++) {
        const float *row = result->vectors + i * n;
        if (!as_is)
            hd__scale_row(row, n, own->norm, scaled);
        hd__buffer_append_text(b, i > 0 ? ",{\"index\":" : "[{\"index\":");
        hd__write_uint(b, i);
        hd__buffer_append_text(b, own->is_openai ? ",\"embedding\":" : ",\"embedding\":[");
        hd__write_vector(b, as_is ? row : scaled, n, call->vector_type, call->base64);
        if (call->base64)
            hd__buffer_append_text(b, ",\"encoding_format\":\"base64\"");
        hd__buffer_append_text(b, own->is_openai ? ",\"object\":\"embedding\"}" : "]}");
    }
    hd__buffer_append_text(b, own->is_openai ? "]}" : "]");
}

/* ---- scores ---- */

static bool asks_like_tei(const json_t *body)
{
    return hd__field(body, "documents") == NULL && hd__field(body, "texts") != NULL;
}

static hd_status read_rerank(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *body = request->body;
    const char *name = asks_like_tei(body) ? "texts" : "documents";
    if (hd__field(body, "query") == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, "query", "\"query\" must be provided");
    const json_t *documents = hd__field(body, name);
    if (!json_is_array(documents) || json_array_size(documents) == 0)
        return hd__fault(fault, documents == NULL ? HD_FAULT_MISSING : HD_FAULT_TYPE, name,
                         "\"documents\" must be a non-empty string array");
    call->raw_scores = true;
    HD_TRY(hd__read_rerank(request, name, HD_INPUT_TEXTS, call, fault));
    HD_TRY(hd__field_bool(body, "return_text", &call->return_text, fault));
    call->return_text &= asks_like_tei(body);
    return hd__read_extras(body, HD_EXTRA_RAW_SCORES | HD_EXTRA_TIMEOUT, call, fault);
}

static void write_rerank(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    hd_buffer *b = &response->body;
    if (!asks_like_tei(request->body)) {
        write_usage(b, result);
        hd__buffer_append_text(b, ",\"results\":");
        hd__write_ranking(b, NULL, call, result);
        hd__buffer_append_char(b, '}');
        return;
    }
    for (size_t i = 0; i < result->n_scores; i++) {
        const hd_score *s = &result->scores[i];
        hd__buffer_append_text(b, i > 0 ? ",{\"index\":" : "[{\"index\":");
        hd__write_uint(b, s->index);
        if (call->return_text) {
            const hd_text text = call->inputs[s->index].text;
            hd__buffer_append_text(b, ",\"text\":");
            hd__buffer_append_json(b, hd__span(text.ptr, text.len));
        }
        hd__buffer_append_text(b, ",\"score\":");
        hd__write_float(b, s->score);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, ']');
}

/* ---- tokens ---- */

static hd_status read_tokenize(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *body = request->body;
    bool add_special = false, parse_special = true, *with_pieces = hd__arena_calloc(request->arena, 1, sizeof *with_pieces);
    if (with_pieces == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    call->own = with_pieces;
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    HD_TRY(hd__field_bool(body, "add_special", &add_special, fault));
    HD_TRY(hd__field_bool(body, "with_pieces", with_pieces, fault));
    HD_TRY(hd__field_bool(body, "parse_special", &parse_special, fault));
    if (!parse_special)
        return hd__fault(fault, HD_FAULT_UNSUPPORTED, "parse_special",
                         "special tokens in text are always read as such: `parse_special` cannot be false");
    call->no_specials = !add_special;
    call->prompt = ""; /* the text alone, whatever prompt the model has */
    call->task = claims_content(request) ? HD_TASK_TOKENIZE : HD_TASK_REPLY;
    return call->task == HD_TASK_TOKENIZE ? hd__field_inputs(request, "content", HD_INPUT_TEXT, call, fault) : HD_OK;
}

/* A string, or its bytes where it is not UTF-8. */
static void write_piece(hd_buffer *b, const char *piece)
{
    const hd_span text = hd__span_of(piece);
    if (hd__utf8_valid_len(text) == text.len) {
        hd__buffer_append_json(b, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        hd__buffer_append_char(b, i > 0 ? ',' : '[');
        hd__write_uint(b, (uint8_t)text.ptr[i]);
    }
    hd__buffer_append_char(b, ']');
}

static void write_id(hd_buffer *b, int32_t id)
{
    if (id < 0)
        hd__buffer_append_char(b, '-');
    hd__write_uint(b, (uint64_t)(id < 0 ? -(int64_t)id : id));
}

static void write_tokenize(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    const bool *with_pieces = call->own;
    const size_t n = call->n_inputs > 0 ? result->tokens[0].n : 0;
    if (n > 0 && result->tokens[0].truncated) { /* a count of tokens that is too small would be taken for the text's */
        begin_error(response, 400, "exceed_context_size_error", "the text has more tokens than the model takes");
        hd__buffer_printf(b, ",\"n_ctx\":%u}}", result->model->info.max_length);
        return;
    }
    hd__buffer_append_text(b, "{\"tokens\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        if (*with_pieces)
            hd__buffer_append_text(b, "{\"id\":");
        write_id(b, result->tokens[0].tokens[i].id);
        if (*with_pieces) {
            hd__buffer_append_text(b, ",\"piece\":");
            write_piece(b, result->token_texts[i]);
            hd__buffer_append_char(b, '}');
        }
    }
    hd__buffer_append_text(b, "]}");
}

static hd_status read_detokenize(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *tokens = hd__field(request->body, "tokens");
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    const bool is_nothing = tokens == NULL || (json_is_array(tokens) && json_array_size(tokens) == 0);
    call->task = is_nothing ? HD_TASK_REPLY : HD_TASK_DETOKENIZE;
    return is_nothing ? HD_OK : hd__field_inputs(request, "tokens", HD_INPUT_IDS, call, fault);
}

static void write_detokenize(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    (void)request;
    const hd_text text = call->n_inputs > 0 ? result->texts[0] : (hd_text){"", 0};
    hd__buffer_append_text(&response->body, "{\"content\":");
    hd__buffer_append_json(&response->body, hd__span(text.ptr, text.len));
    hd__buffer_append_char(&response->body, '}');
}

/* ---- the server itself ---- */

static hd_status read_facts(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    (void)fault;
    const hd_span model = hd__http_query(request->http, "model", request->arena);
    call->task = HD_TASK_MODEL;
    call->model = model.len > 0 ? model.ptr : NULL;
    return HD_OK;
}

/* llama-server's words for POST /props without --props. Routes that only refuse have no `write`. */
static hd_status refuse_props(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    (void)request;
    (void)call;
    return hd__fault(fault, HD_FAULT_UNSUPPORTED, NULL, "This server does not support changing global properties.");
}

static hd_status refuse_template(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    (void)request;
    (void)call;
    return hd__fault(fault, HD_FAULT_UNSUPPORTED, NULL, "Models that embed text have no chat template.");
}

static void write_slot(hd_buffer *b, uint32_t id, const hd_model_info *info, bool is_processing)
{
    hd__buffer_printf(b,
                      "{\"id\":%u,\"id_task\":-1,\"n_ctx\":%u,\"speculative\":false,\"is_processing\":%s,"
                      "\"params\":{},\"next_token\":[]}",
                      id, info->max_length, is_processing ? "true" : "false");
}

static void write_props(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)call;
    hd_buffer *b = &response->body;
    const hd_model_card *card = result->model;
    hd__buffer_append_text(b, "{\"default_generation_settings\":");
    write_slot(b, 0, &card->info, false);
    hd__buffer_printf(b, ",\"total_slots\":%u,\"model_alias\":", request->settings->n_threads);
    hd__write_cstr(b, card->name);
    hd__buffer_append_text(b, ",\"model_path\":");
    hd__write_cstr(b, card->info.path);
    hd__buffer_append_text(b, ",\"modalities\":{\"vision\":false,\"audio\":false},\"chat_template\":\"\",\"build_info\":");
    hd__write_cstr(b, request->settings->build);
    hd__buffer_append_text(b, ",\"is_sleeping\":");
    hd__buffer_append_text(b, card->state == HD_MODEL_UNLOADED ? "true}" : "false}");
}

static void write_slots(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)call;
    hd_buffer *b = &response->body;
    const uint32_t n_slots = request->settings->n_threads;
    const uint32_t n_busy = result->n_in_flight > 0 ? result->n_in_flight - 1 : 0; /* not this request */
    const hd_span fail = hd__http_query(request->http, "fail_on_no_slot", request->arena);
    if (n_busy >= n_slots && fail.len > 0 && !hd__span_is(fail, "0")) {
        begin_error(response, 503, "unavailable_error", "no slot available");
        hd__buffer_append_text(b, "}}");
        return;
    }
    hd__buffer_append_char(b, '[');
    for (uint32_t i = 0; i < n_slots; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_slot(b, i, &result->model->info, i < n_busy);
    }
    hd__buffer_append_char(b, ']');
}

static void write_models(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    (void)call;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < result->n_models; i++) {
        const hd_model_card *card = &result->models[i];
        hd__buffer_append_text(b, i > 0 ? ",{\"id\":" : "{\"id\":");
        hd__write_cstr(b, card->name);
        hd__buffer_append_text(b, ",\"object\":\"model\",\"created\":");
        hd__write_uint(b, card->created_s);
        hd__buffer_append_text(b, ",\"owned_by\":\"llamacpp\",\"meta\":{\"n_vocab\":");
        hd__write_uint(b, card->vocab_size);
        hd__buffer_append_text(b, ",\"n_ctx_train\":");
        hd__write_uint(b, card->info.max_length);
        hd__buffer_append_text(b, ",\"n_embd\":");
        hd__write_uint(b, card->info.n_dimensions);
        hd__buffer_append_text(b, ",\"size\":");
        hd__write_uint(b, card->weights_bytes);
        hd__buffer_append_text(b, "}}");
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- the table ---- */

#define POST_ROUTE(at, who, reader, writer, ...)                                                                            \
    {                                                                                                                       \
        .method = HD_HTTP_POST, .path = at, .has_body = true, .claims = who, .read = reader, .write = writer, __VA_ARGS__   \
    }
#define GET_ROUTE(at, reader, writer, ...)                                                                                  \
    {                                                                                                                       \
        .method = HD_HTTP_GET, .path = at, .read = reader, .write = writer, __VA_ARGS__                                     \
    }
#define ABOUT_EMBEDDING                                                                                                     \
    .summary = "Vectors of texts or of token ids.", .request_schema = "EmbeddingRequest",                                   \
    .response_schema = "EmbeddingResponse"
#define ABOUT_RERANK                                                                                                        \
    .summary = "Documents by their relevance to a query.", .request_schema = "RerankRequest",                               \
    .response_schema = "RerankResponse"

static const hd_route routes[] = {
    POST_ROUTE("/embedding", NULL, read_embedding, write_embedding, ABOUT_EMBEDDING),
    POST_ROUTE("/embeddings", claims_content, read_embedding, write_embedding, ABOUT_EMBEDDING),
    POST_ROUTE("/v1/embeddings", claims_openai, read_v1_embeddings, write_embedding, ABOUT_EMBEDDING),
    POST_ROUTE("/rerank", NULL, read_rerank, write_rerank, ABOUT_RERANK),
    POST_ROUTE("/reranking", NULL, read_rerank, write_rerank, ABOUT_RERANK),
    POST_ROUTE("/v1/reranking", NULL, read_rerank, write_rerank, ABOUT_RERANK),
    POST_ROUTE("/tokenize", claims_content, read_tokenize, write_tokenize, .summary = "Tokens of a text.",
               .request_schema = "TokenizeRequest", .response_schema = "TokenizeResponse"),
    POST_ROUTE("/detokenize", NULL, read_detokenize, write_detokenize, .summary = "Text of tokens.",
               .request_schema = "DetokenizeRequest", .response_schema = "DetokenizeResponse"),
    POST_ROUTE("/apply-template", NULL, refuse_template, NULL,
               .summary = "Refused: models that embed have no chat template.", .request_schema = "Anything",
               .response_schema = "Anything"),
    POST_ROUTE("/props", NULL, refuse_props, NULL, .summary = "Refused: settings are fixed while the server runs.",
               .request_schema = "Anything", .response_schema = "Anything"),
    GET_ROUTE("/props", read_facts, write_props, .summary = "The server's settings.", .response_schema = "Props"),
    GET_ROUTE("/slots", read_facts, write_slots, .summary = "The threads that compute, and whether they do.",
              .response_schema = "Slots"),
    GET_ROUTE("/models", hd__read_nothing, write_models, .summary = "The models that are served.",
              .response_schema = "Models"),
};

static const char schemas[] =
    "{\"EmbeddingRequest\":{\"type\":\"object\",\"anyOf\":[{\"required\":[\"content\"]},{\"required\":[\"input\"]}],"
    "\"properties\":{"
    "\"content\":{\"$ref\":\"#/components/schemas/Input\"},\"input\":{\"$ref\":\"#/components/schemas/Input\"},"
    "\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"embd_normalize\":{\"type\":[\"integer\",\"null\"],\"minimum\":-1,\"maximum\":32767},"
    "\"encoding_format\":{\"type\":[\"string\",\"null\"],\"enum\":[\"float\",\"base64\",null]},"
    "\"dimensions\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"
    "\"prompt_name\":{\"type\":[\"string\",\"null\"]},"
    "\"prompt\":{\"type\":[\"string\",\"null\"]},"
    "\"truncate\":{\"enum\":[true,false,\"NONE\",\"START\",\"END\",null]},"
    "\"output_dtype\":{\"type\":[\"string\",\"null\"],"
    "\"enum\":[\"float\",\"float16\",\"int8\",\"uint8\",\"binary\",\"ubinary\",null]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},"
    "\"Input\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Prompt\"},"
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/Prompt\"}}]},"
    "\"Prompt\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"$ref\":\"#/components/schemas/Tokens\"},"
    "{\"type\":\"object\",\"required\":[\"prompt_string\"],\"properties\":{\"multimodal_data\":false,"
    "\"prompt_string\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},"
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/Token\"}}]}}}]},"
    "\"Tokens\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/Token\"},"
    "\"contains\":{\"type\":\"integer\"}},"
    "\"Token\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647},{\"type\":\"string\"}]},"
    "\"EmbeddingResponse\":{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"index\",\"embedding\"],\"properties\":{\"index\":{\"type\":\"integer\"},"
    "\"embedding\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}}}},"
    "{\"type\":\"object\",\"required\":[\"model\",\"object\",\"usage\",\"data\"]}]},"
    "\"RerankRequest\":{\"type\":\"object\",\"required\":[\"query\"],"
    "\"anyOf\":[{\"required\":[\"documents\"]},{\"required\":[\"texts\"]}],\"properties\":{"
    "\"query\":{\"type\":\"string\",\"minLength\":1},"
    "\"documents\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}},"
    "\"texts\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}},"
    "\"top_n\":{\"type\":[\"integer\",\"null\"],\"minimum\":0},"
    "\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"return_text\":{\"type\":[\"boolean\",\"null\"]},"
    "\"raw_scores\":{\"type\":[\"boolean\",\"null\"]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},"
    "\"RerankResponse\":{\"anyOf\":[{\"type\":\"object\",\"required\":[\"model\",\"object\",\"usage\",\"results\"]},"
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"index\",\"score\"]}}]},"
    "\"TokenizeRequest\":{\"type\":\"object\",\"required\":[\"content\"],\"properties\":{"
    "\"content\":{\"type\":\"string\"},\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"add_special\":{\"type\":[\"boolean\",\"null\"]},"
    "\"parse_special\":{\"enum\":[true,null]},"
    "\"with_pieces\":{\"type\":[\"boolean\",\"null\"]}}},"
    "\"TokenizeResponse\":{\"type\":\"object\",\"required\":[\"tokens\"],\"properties\":{\"tokens\":{\"type\":\"array\"}}},"
    "\"DetokenizeRequest\":{\"type\":\"object\",\"properties\":{\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"tokens\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}}}},"
    "\"DetokenizeResponse\":{\"type\":\"object\",\"required\":[\"content\"],"
    "\"properties\":{\"content\":{\"type\":\"string\"}}},"
    "\"Anything\":{\"type\":\"object\"},"
    "\"Props\":{\"type\":\"object\",\"required\":[\"default_generation_settings\",\"total_slots\",\"model_path\","
    "\"chat_template\",\"build_info\"]},"
    "\"Slots\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"n_ctx\",\"is_processing\"]}},"
    "\"Models\":{\"type\":\"object\",\"required\":[\"object\",\"data\"]},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
    "\"required\":[\"code\",\"message\",\"type\"],\"properties\":{\"code\":{\"type\":\"integer\"},"
    "\"message\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"}}}}}}";

const hd_protocol hd__protocol_llamacpp = {
    .name = "llama.cpp",
    .dialect = &dialect,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
