/* openai.c - OpenAI's embeddings API: POST /v1/embeddings, GET /v1/models.
 *
 *   {"input": "…" | ["…"] | [1, 2] | [[1, 2]], "model": "…", "encoding_format": "float" | "base64", "dimensions": n}
 *   {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": […]}], "model": "…",
 *    "usage": {"prompt_tokens": n, "total_tokens": n}}
 *
 * Source: https://platform.openai.com/docs/api-reference/embeddings. Unknown fields are not looked at, `user` neither.
 * The official Python client asks for base64 when its caller names no format.
 *
 * Fields that OpenAI lacks: `prompt_name` and `prompt` (put before each text), `truncate` (true, false, "NONE",
 * "START", "END"), `normalize` (false: vectors as pooled), `output_dtype` ("float", "float16", "int8", "uint8",
 * "binary", "ubinary"), `timeout_ms`, `heads` (of "dense", "sparse", "colbert": each item then also has "sparse":
 * {"indices": […], "values": […]} and "colbert": [[…]]; without "dense" it has no "embedding"), `long_text` ("windows":
 * a text that is too long is not cut, its vector is the mean of its windows'; "late": late chunking, the inputs are
 * pieces of one document).
 */
#include "wire/openai.h"

#include "wire/answer.h"
#include "wire/extras.h"

/* ---- errors ---- */

typedef struct fault_words {
    int status;
    const char *type, *code; /* code NULL: null */
} fault_words;

/* https://platform.openai.com/docs/guides/error-codes */
static const fault_words words[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = {400, "invalid_request_error", NULL},
    [HD_FAULT_ROUTE] = {404, "invalid_request_error", "unknown_url"},
    [HD_FAULT_METHOD] = {405, "invalid_request_error", "method_not_supported"},
    [HD_FAULT_KEY] = {401, "invalid_request_error", "invalid_api_key"},
    [HD_FAULT_BODY_BYTES] = {413, "invalid_request_error", "request_too_large"},
    [HD_FAULT_ENCODING] = {415, "invalid_request_error", NULL},
    [HD_FAULT_BODY_TIME] = {408, "invalid_request_error", NULL},
    [HD_FAULT_JSON] = {400, "invalid_request_error", NULL},
    [HD_FAULT_MISSING] = {400, "invalid_request_error", "missing_required_parameter"},
    [HD_FAULT_TYPE] = {400, "invalid_request_error", "invalid_type"},
    [HD_FAULT_VALUE] = {400, "invalid_request_error", "invalid_value"},
    [HD_FAULT_EMPTY] = {400, "invalid_request_error", "invalid_value"},
    [HD_FAULT_INPUTS] = {400, "invalid_request_error", "array_above_max_length"},
    [HD_FAULT_TOKENS] = {400, "invalid_request_error", "context_length_exceeded"},
    [HD_FAULT_MODEL] = {404, "invalid_request_error", "model_not_found"},
    [HD_FAULT_UNSUPPORTED] = {400, "invalid_request_error", "unsupported_value"},
    [HD_FAULT_OVERLOADED] = {429, "tokens", "rate_limit_exceeded"},
    [HD_FAULT_DEADLINE] = {504, "server_error", "timeout"},
    [HD_FAULT_CANCELLED] = {499, "server_error", NULL},
    [HD_FAULT_LOADING] = {503, "server_error", NULL},
    [HD_FAULT_STOPPING] = {503, "server_error", NULL},
    [HD_FAULT_MEMORY] = {503, "server_error", NULL},
    [HD_FAULT_LOAD] = {500, "server_error", NULL},
    [HD_FAULT_NUMERIC] = {500, "server_error", NULL},
    [HD_FAULT_INTERNAL] = {500, "server_error", NULL},
};

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    (void)request;
    const fault_words *w = &words[fault->kind != HD_FAULT_NONE ? fault->kind : HD_FAULT_INTERNAL];
    hd_buffer *b = &response->body;
    response->status = w->status;
    response->content_type = "application/json";
    hd__buffer_reset(b);
    hd__buffer_append_text(b, "{\"error\":{\"message\":");
    hd__write_cstr(b, fault->text);
    hd__buffer_append_text(b, ",\"type\":");
    hd__write_cstr(b, w->type);
    hd__buffer_append_text(b, ",\"param\":");
    hd__write_cstr(b, fault->field);
    hd__buffer_append_text(b, ",\"code\":");
    hd__write_cstr(b, w->code);
    hd__buffer_append_text(b, "}}");
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

const hd_dialect hd__dialect_openai = {"openai", write_fault};

/* ---- embeddings ---- */

static hd_status read_embeddings(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    static const char *const formats[] = {"float", "base64", NULL};
    const json_t *body = request->body;
    uint32_t format = 0;
    call->task = HD_TASK_EMBED;
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    HD_TRY(hd__field_inputs(
        request, "input", HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_IDS | HD_INPUT_LISTS | HD_INPUT_NO_EMPTY, call, fault));
    HD_TRY(hd__field_choice(body, "encoding_format", formats, &format, fault));
    HD_TRY(hd__field_uint(body, "dimensions", 1, UINT32_MAX, &call->dimensions, fault));
    call->base64 = format == 1;
    return hd__read_extras(body,
                           HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT | HD_EXTRA_TRUNCATE | HD_EXTRA_NORMALIZE | HD_EXTRA_DTYPE |
                               HD_EXTRA_TIMEOUT | HD_EXTRA_HEADS | HD_EXTRA_LONG,
                           call, fault);
}

static void write_embeddings(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < call->n_inputs; i++) {
        hd__buffer_append_text(b, i > 0 ? ",{\"object\":\"embedding\",\"index\":" : "{\"object\":\"embedding\",\"index\":");
        hd__write_uint(b, i);
        if (result->vectors != NULL) {
            hd__buffer_append_text(b, ",\"embedding\":");
            hd__write_vector(b, result->vectors + i * result->n_dimensions, result->n_dimensions, call->vector_type,
                             call->base64);
        }
        hd__write_heads(b, call, result, i);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_text(b, "],\"model\":");
    hd__write_cstr(b, result->echo);
    hd__buffer_append_text(b, ",\"usage\":{\"prompt_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_text(b, ",\"total_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_text(b, "}}");
}

/* ---- models ---- */

static hd_status read_model(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->task = HD_TASK_MODEL;
    call->model = hd__arena_strndup(request->arena, request->rest.ptr, request->rest.len);
    return call->model != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory");
}

static void write_card(hd_buffer *b, const hd_model_card *card)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, card->name);
    hd__buffer_append_text(b, ",\"object\":\"model\",\"created\":");
    hd__write_uint(b, card->created_s);
    hd__buffer_append_text(b, ",\"owned_by\":\"heddle\",\"meta\":{\"n_embd\":");
    hd__write_uint(b, card->info.n_dimensions);
    hd__buffer_append_text(b, ",\"n_ctx_train\":");
    hd__write_uint(b, card->info.max_length);
    hd__buffer_append_text(b, "}}");
}

static void write_models(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    (void)call;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < result->n_models; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_card(b, &result->models[i]);
    }
    hd__buffer_append_text(b, "]}");
}

static void write_model(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)request;
    (void)call;
    write_card(&response->body, result->model);
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/v1/embeddings",
     .has_body = true,
     .read = read_embeddings,
     .write = write_embeddings,
     .summary = "Vectors of texts or of token ids.",
     .request_schema = "EmbeddingsRequest",
     .response_schema = "EmbeddingsResponse"},
    {.method = HD_HTTP_POST,
     .path = "/embeddings", /* where text-embeddings-inference and infinity have it, too */
     .has_body = true,
     .read = read_embeddings,
     .write = write_embeddings,
     .summary = "As /v1/embeddings.",
     .request_schema = "EmbeddingsRequest",
     .response_schema = "EmbeddingsResponse"},
    {.method = HD_HTTP_GET,
     .path = "/v1/models",
     .read = hd__read_nothing,
     .write = write_models,
     .summary = "The models that are served.",
     .response_schema = "Models"},
    {.method = HD_HTTP_GET,
     .path = "/v1/models/*",
     .read = read_model,
     .write = write_model,
     .summary = "One model.",
     .response_schema = "Model"},
};

static const char schemas[] =
    "{\"Ids\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}},"
    "\"EmbeddingsRequest\":{\"type\":\"object\",\"required\":[\"input\"],\"properties\":{"
    "\"input\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},"
    "{\"$ref\":\"#/components/schemas/Ids\"},"
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},"
    "{\"$ref\":\"#/components/schemas/Ids\"}]}}]},"
    "\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"encoding_format\":{\"enum\":[\"float\",\"base64\",null]},"
    "\"dimensions\":{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":4294967295},"
    "\"prompt_name\":{\"type\":[\"string\",\"null\"]},"
    "\"prompt\":{\"type\":[\"string\",\"null\"]},"
    "\"truncate\":{\"enum\":[true,false,\"NONE\",\"START\",\"END\",null]},"
    "\"normalize\":{\"type\":[\"boolean\",\"null\"]},"
    "\"output_dtype\":{\"enum\":[\"float\",\"float16\",\"int8\",\"uint8\",\"binary\",\"ubinary\",null]},"
    "\"heads\":{\"type\":[\"array\",\"null\"],\"items\":{\"enum\":[\"dense\",\"sparse\",\"colbert\"]}},"
    "\"long_text\":{\"enum\":[\"cut\",\"windows\",\"late\",null]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":4294967295}}},"
    "\"EmbeddingsResponse\":{\"type\":\"object\",\"required\":[\"object\",\"data\",\"model\",\"usage\"],\"properties\":{"
    "\"object\":{\"type\":\"string\",\"enum\":[\"list\"]},"
    "\"data\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"object\",\"index\"],"
    "\"properties\":{\"object\":{\"type\":\"string\"},\"index\":{\"type\":\"integer\"},"
    "\"embedding\":{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"number\"}},{\"type\":\"string\"}]},"
    "\"sparse\":{\"type\":\"object\"},\"colbert\":{\"type\":\"array\"}}}},"
    "\"model\":{\"type\":\"string\"},"
    "\"usage\":{\"type\":\"object\",\"required\":[\"prompt_tokens\",\"total_tokens\"],\"properties\":{"
    "\"prompt_tokens\":{\"type\":\"integer\"},\"total_tokens\":{\"type\":\"integer\"}}}}},"
    "\"Model\":{\"type\":\"object\",\"required\":[\"id\",\"object\",\"created\",\"owned_by\"],\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"object\":{\"type\":\"string\"},\"created\":{\"type\":\"integer\"},"
    "\"owned_by\":{\"type\":\"string\"},\"meta\":{\"type\":\"object\"}}},"
    "\"Models\":{\"type\":\"object\",\"required\":[\"object\",\"data\"],\"properties\":{\"object\":{\"type\":\"string\"},"
    "\"data\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Model\"}}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
    "\"required\":[\"message\",\"type\",\"param\",\"code\"],\"properties\":{\"message\":{\"type\":\"string\"},"
    "\"type\":{\"type\":\"string\"},\"param\":{\"type\":[\"string\",\"null\"]},"
    "\"code\":{\"type\":[\"string\",\"null\"]}}}}}}";

const hd_protocol hd__protocol_openai = {
    .name = "OpenAI",
    .dialect = &hd__dialect_openai,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
