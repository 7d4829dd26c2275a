/* jina.c - Jina's API: POST /v1/rerank, and POST /v1/embeddings where a request has fields that only Jina's have.
 *
 *   rerank  {"model": "…", "query": "…", "documents": ["…" | {"text": "…"}], "top_n": n, "return_documents": true}  →
 *           {"model", "object": "list", "usage": {"total_tokens"}, "results": [{"index", "relevance_score", "document"}]}
 *   embed   {"model": "…", "input": ["…" | {"text": "…"}], "task": "retrieval.query", "dimensions": n, "normalized": true,
 *           "embedding_type": "float" | "base64" | "binary" | "ubinary", "truncate": false}  →  OpenAI's answer
 *
 * Source: https://jina.ai/embeddings/ and https://jina.ai/reranker/, https://api.jina.ai/redoc. `task` picks the model's
 * adapters and prompt for it where it has any. With `late_chunking` the inputs are pieces of one document (hd_long_text); it
 * needs a model with mean pooling. /v1/embeddings is OpenAI's otherwise; a request is Jina's by `task`, `late_chunking`,
 * `normalized`, `embedding_type`, or inputs that are objects.
 *
 * Fields that Jina lacks: `prompt_name`, `prompt` and `timeout_ms`, "float16", "int8" and "uint8" as embedding_type, and
 * "NONE", "START", "END" as truncate for vectors; `raw_scores` and `timeout_ms` for scores.
 */
#include "wire/answer.h"
#include "wire/extras.h"
#include "wire/rerank.h"

/* ---- errors ---- */

static const int statuses[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = 400,       [HD_FAULT_ROUTE] = 404,    [HD_FAULT_METHOD] = 405,    [HD_FAULT_KEY] = 401,
    [HD_FAULT_BODY_BYTES] = 413, [HD_FAULT_ENCODING] = 415, [HD_FAULT_BODY_TIME] = 408, [HD_FAULT_JSON] = 422,
    [HD_FAULT_MISSING] = 422,    [HD_FAULT_TYPE] = 422,     [HD_FAULT_VALUE] = 422,     [HD_FAULT_EMPTY] = 422,
    [HD_FAULT_INPUTS] = 422,     [HD_FAULT_TOKENS] = 400,   [HD_FAULT_MODEL] = 404,     [HD_FAULT_UNSUPPORTED] = 400,
    [HD_FAULT_OVERLOADED] = 429, [HD_FAULT_DEADLINE] = 504, [HD_FAULT_CANCELLED] = 499, [HD_FAULT_LOADING] = 503,
    [HD_FAULT_STOPPING] = 503,   [HD_FAULT_MEMORY] = 503,   [HD_FAULT_LOAD] = 500,      [HD_FAULT_NUMERIC] = 500,
    [HD_FAULT_INTERNAL] = 500,
};

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    response->status = statuses[fault->kind] != 0 ? statuses[fault->kind] : 500;
    response->content_type = "application/json";
    hd__buffer_reset(b);
    hd__buffer_append_text(b, "{\"detail\":");
    hd__write_cstr(b, fault->text);
    hd__buffer_append_char(b, '}');
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

static const hd_dialect dialect = {"jina", write_fault};

/* ---- scores ---- */

static hd_status read_rerank(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->return_text = true;
    HD_TRY(hd__read_rerank(request, "documents", HD_INPUT_TEXTS | HD_INPUT_OBJECTS, call, fault));
    HD_TRY(hd__field_bool(request->body, "return_documents", &call->return_text, fault));
    return hd__read_extras(request->body, HD_EXTRA_RAW_SCORES | HD_EXTRA_TIMEOUT, call, fault);
}

static void write_head(hd_buffer *b, const hd_result *result)
{
    hd__buffer_append_text(b, "{\"model\":");
    hd__write_cstr(b, result->echo);
    hd__buffer_append_text(b, ",\"object\":\"list\",\"usage\":{\"total_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_text(b, ",\"prompt_tokens\":");
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_char(b, '}');
}

static void write_rerank(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_head(b, result);
    hd__buffer_append_text(b, ",\"results\":");
    hd__write_ranking(b, hd__field(request->body, "documents"), call, result);
    hd__buffer_append_char(b, '}');
}

/* ---- vectors ---- */

static bool claims_embeddings(const hd_wire_request *request)
{
    static const char *const ours[] = {"task", "late_chunking", "normalized", "embedding_type"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (hd__field(request->body, ours[i]) != NULL)
            return true;
    return json_is_object(json_array_get(hd__field(request->body, "input"), 0));
}

static hd_status read_task(const json_t *body, hd_call *call, hd_fault *fault)
{
    static const char *const names[] = {"retrieval.query", "retrieval.passage", "text-matching", "classification",
                                        "separation",      "code.query",        "code.passage",  NULL};
    static const char *const matching[] = {"text-matching", NULL}, *const classes[] = {"classification", NULL},
                             *const apart[] = {"separation", "clustering", NULL}, *const code_query[] = {"code.query", NULL},
                             *const code_passage[] = {"code.passage", NULL};
    const char *const *const prompts[] = {
        NULL, hd__query_prompt_names, hd__document_prompt_names, matching, classes, apart, code_query, code_passage};
    uint32_t choice = UINT32_MAX;
    HD_TRY(hd__field_choice(body, "task", names, &choice, fault));
    call->prompt_names = prompts[choice + 1];
    return HD_OK;
}

/* A name, or a list of one. */
static hd_status read_type(const json_t *body, hd_call *call, hd_fault *fault)
{
    static const struct {
        const char *name;
        hd_vector_type type;
        bool base64;
    } types[] = {
        {"float", HD_VECTOR_F32, false},       {"base64", HD_VECTOR_F32, true}, {"binary", HD_VECTOR_BINARY, false},
        {"ubinary", HD_VECTOR_UBINARY, false}, {"int8", HD_VECTOR_INT8, false}, {"uint8", HD_VECTOR_UINT8, false},
        {"float16", HD_VECTOR_F16, false},
    };
    const json_t *f = hd__field(body, "embedding_type");
    if (f == NULL)
        return HD_OK;
    if (json_array_size(f) == 1)
        f = json_array_get(f, 0);
    const char *name = json_string_value(f);
    if (name == NULL)
        return hd__fault(fault, HD_FAULT_TYPE, "embedding_type", "`embedding_type` is not a string or a list of one");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            call->vector_type = types[i].type;
            call->base64 = types[i].base64;
            return HD_OK;
        }
    }
    return hd__fault(fault, HD_FAULT_VALUE, "embedding_type",
                     "`embedding_type` is \"%.64s\", allowed are float, base64, binary, ubinary, int8, uint8, float16",
                     name);
}

static hd_status read_embeddings(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *body = request->body;
    bool normalized = true, late_chunking = false;
    call->task = HD_TASK_EMBED;
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    HD_TRY(hd__field_inputs(request, "input", HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_OBJECTS | HD_INPUT_NO_EMPTY, call,
                            fault));
    HD_TRY(read_task(body, call, fault));
    HD_TRY(hd__field_bool(body, "late_chunking", &late_chunking, fault));
    call->long_text = late_chunking ? HD_LONG_LATE : HD_LONG_CUT;
    HD_TRY(hd__field_uint(body, "dimensions", 1, UINT32_MAX, &call->dimensions, fault));
    HD_TRY(hd__field_bool(body, "normalized", &normalized, fault));
    HD_TRY(read_type(body, call, fault));
    call->no_normalize = !normalized;
    return hd__read_extras(body, HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT | HD_EXTRA_TRUNCATE | HD_EXTRA_TIMEOUT, call, fault);
}

static void write_embeddings(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    write_head(b, result);
    hd__buffer_append_text(b, ",\"data\":[");
    for (size_t i = 0; i < call->n_inputs; i++) {
        hd__buffer_append_text(b, i > 0 ? ",{\"object\":\"embedding\",\"index\":" : "{\"object\":\"embedding\",\"index\":");
        hd__write_uint(b, i);
        hd__buffer_append_text(b, ",\"embedding\":");
        hd__write_vector(b, result->vectors + i * result->n_dimensions, result->n_dimensions, call->vector_type,
                         call->base64);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/v1/rerank",
     .has_body = true,
     .read = read_rerank,
     .write = write_rerank,
     .summary = "Documents by their relevance to a query.",
     .request_schema = "RerankRequest",
     .response_schema = "RerankResponse"},
    {.method = HD_HTTP_POST,
     .path = "/v1/embeddings",
     .has_body = true,
     .claims = claims_embeddings,
     .read = read_embeddings,
     .write = write_embeddings,
     .summary = "Vectors of texts.",
     .request_schema = "EmbeddingsRequest",
     .response_schema = "EmbeddingsResponse"},
};

static const char schemas[] =
    "{\"Text\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"object\",\"required\":[\"text\"],"
    "\"properties\":{\"text\":{\"type\":\"string\",\"minLength\":1}}}]},"
    "\"RerankRequest\":{\"type\":\"object\",\"required\":[\"query\",\"documents\"],\"properties\":{"
    "\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"query\":{\"$ref\":\"#/components/schemas/Text\"},"
    "\"documents\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/Text\"}},"
    "\"top_n\":{\"type\":[\"integer\",\"null\"],\"minimum\":0},"
    "\"return_documents\":{\"type\":[\"boolean\",\"null\"]},"
    "\"raw_scores\":{\"type\":[\"boolean\",\"null\"]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},"
    "\"RerankResponse\":{\"type\":\"object\",\"required\":[\"model\",\"object\",\"usage\",\"results\"],\"properties\":{"
    "\"model\":{\"type\":\"string\"},\"object\":{\"type\":\"string\",\"enum\":[\"list\"]},\"usage\":{\"type\":\"object\"},"
    "\"results\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"index\",\"relevance_score\"],"
    "\"properties\":{\"index\":{\"type\":\"integer\"},\"relevance_score\":{\"type\":\"number\"},"
    "\"document\":{\"type\":\"object\"}}}}}},"
    "\"EmbeddingsRequest\":{\"type\":\"object\",\"required\":[\"input\"],\"properties\":{"
    "\"model\":{\"type\":[\"string\",\"null\"]},"
    "\"input\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\",\"minItems\":1,"
    "\"items\":{\"$ref\":\"#/components/schemas/Text\"}}]},"
    "\"task\":{\"type\":[\"string\",\"null\"],\"enum\":[\"retrieval.query\",\"retrieval.passage\",\"text-matching\","
    "\"classification\",\"separation\",\"code.query\",\"code.passage\",null]},"
    "\"late_chunking\":{\"type\":[\"boolean\",\"null\"]},"
    "\"dimensions\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"
    "\"normalized\":{\"type\":[\"boolean\",\"null\"]},"
    "\"embedding_type\":{\"type\":[\"string\",\"null\"],"
    "\"enum\":[\"float\",\"base64\",\"binary\",\"ubinary\",\"int8\",\"uint8\",\"float16\",null]},"
    "\"truncate\":{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"string\",\"enum\":[\"NONE\",\"START\",\"END\"]}]},"
    "\"prompt_name\":{\"type\":[\"string\",\"null\"]},"
    "\"prompt\":{\"type\":[\"string\",\"null\"]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},"
    "\"EmbeddingsResponse\":{\"type\":\"object\",\"required\":[\"model\",\"object\",\"usage\",\"data\"],\"properties\":{"
    "\"model\":{\"type\":\"string\"},\"object\":{\"type\":\"string\",\"enum\":[\"list\"]},\"usage\":{\"type\":\"object\"},"
    "\"data\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"object\",\"index\",\"embedding\"]}}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"detail\"],\"properties\":{\"detail\":{\"type\":\"string\"}}}}";

const hd_protocol hd__protocol_jina = {
    .name = "Jina",
    .dialect = &dialect,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
