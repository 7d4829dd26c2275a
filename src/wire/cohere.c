/* cohere.c - Cohere's API: POST /v1/rerank, /v2/rerank, /v1/embed, /v2/embed.
 *
 *   rerank  {"query": "…", "documents": ["…" | {"text": "…"}], "top_n": n}  →
 *           {"id", "results": [{"index", "relevance_score"}], "meta"}
 *           v1 has `return_documents` (false) and `rank_fields`, the keys of a document that count ("text")
 *   embed   {"texts": ["…"], "input_type": "search_query", "embedding_types": ["float", "int8"], "truncate": "END"}  →
 *           {"id", "embeddings": {"float": [[…]], "int8": [[…]]}, "texts", "meta", "response_type"}
 *           v2 takes `inputs`, [{"content": [{"type": "text", "text": "…"}]}], in place of `texts`;
 *           v1 without `embedding_types` answers "embeddings": [[…]]
 *
 * Source: https://docs.cohere.com/reference and the types of https://github.com/cohere-ai/cohere-python. `input_type` picks
 * the model's prompt, and adapters, for queries or documents where it has any. More than 96 texts are welcome, as many as
 * the server allows. `max_tokens_per_doc`, `max_chunks_per_doc` and `priority` are not looked at: pairs are cut to the
 * model's length.
 *
 * /v1/rerank is Jina's path too; Cohere's clients are known by their X-Fern headers or X-Client-Name, their requests by
 * `rank_fields` and `max_chunks_per_doc`.
 *
 * Fields that Cohere lacks: `prompt_name`, `prompt`, `normalize` and `timeout_ms` for vectors, "float16" among the
 * embedding_types; `raw_scores` and `timeout_ms` for scores.
 */
#include "wire/answer.h"
#include "wire/extras.h"
#include "wire/rerank.h"

/* ---- errors ---- */

static const int statuses[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = 400,       [HD_FAULT_ROUTE] = 404,    [HD_FAULT_METHOD] = 405,    [HD_FAULT_KEY] = 401,
    [HD_FAULT_BODY_BYTES] = 413, [HD_FAULT_ENCODING] = 415, [HD_FAULT_BODY_TIME] = 408, [HD_FAULT_JSON] = 400,
    [HD_FAULT_MISSING] = 400,    [HD_FAULT_TYPE] = 400,     [HD_FAULT_VALUE] = 400,     [HD_FAULT_EMPTY] = 400,
    [HD_FAULT_INPUTS] = 400,     [HD_FAULT_TOKENS] = 400,   [HD_FAULT_MODEL] = 404,     [HD_FAULT_UNSUPPORTED] = 422,
    [HD_FAULT_OVERLOADED] = 429, [HD_FAULT_DEADLINE] = 504, [HD_FAULT_CANCELLED] = 499, [HD_FAULT_LOADING] = 503,
    [HD_FAULT_STOPPING] = 503,   [HD_FAULT_MEMORY] = 503,   [HD_FAULT_LOAD] = 500,      [HD_FAULT_NUMERIC] = 500,
    [HD_FAULT_INTERNAL] = 500,
};

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const bool is_invalid = statuses[fault->kind] == 400 || statuses[fault->kind] == 422;
    const char *text = is_invalid ? hd__arena_printf(arena, "invalid request: %s", fault->text) : NULL;
    if (fault->kind == HD_FAULT_KEY)
        text = "invalid api token";
    response->status = statuses[fault->kind] != 0 ? statuses[fault->kind] : 500;
    response->content_type = "application/json";
    hd__buffer_reset(b);
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, request->id);
    hd__buffer_append_text(b, ",\"message\":");
    hd__write_cstr(b, text != NULL ? text : fault->text);
    hd__buffer_append_char(b, '}');
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

static const hd_dialect dialect = {"cohere", write_fault};

static void write_id(hd_buffer *b, const hd_wire_request *request)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, request->http->id);
}

/* ---- scores ---- */

static bool claims_rerank(const hd_wire_request *request)
{
    return hd__http_header(request->http, "X-Fern-Language").ptr != NULL ||
           hd__http_header(request->http, "X-Fern-SDK-Name").ptr != NULL ||
           hd__http_header(request->http, "X-Client-Name").ptr != NULL || hd__field(request->body, "rank_fields") != NULL ||
           hd__field(request->body, "max_chunks_per_doc") != NULL;
}

/* The text of a document that counts: the values of its `fields`, one after the other. */
static hd_status join_fields(const hd_wire_request *request, const json_t *document, const json_t *fields, hd_text *text,
                             hd_fault *fault)
{
    hd_buffer joined;
    hd_status status = HD_OK;
    hd__buffer_init(&joined);
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *value = json_object_get(document, json_string_value(json_array_get(fields, i)));
        if (value == NULL)
            continue;
        if (!json_is_string(value)) {
            status = hd__fault(fault, HD_FAULT_TYPE, "documents", "`%.64s` of a document is not a string",
                               json_string_value(json_array_get(fields, i)));
            break;
        }
        if (joined.len > 0)
            hd__buffer_append_char(&joined, '\n');
        hd__buffer_append(&joined, json_string_value(value), json_string_length(value));
    }
    char *copy = hd__arena_strndup(request->arena, joined.len > 0 ? joined.ptr : "", joined.len);
    if (status == HD_OK && (joined.failed || copy == NULL))
        status = hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for a document");
    *text = (hd_text){copy, joined.len};
    hd__buffer_clear(&joined);
    return status;
}

/* Documents by `rank_fields` rather than by "text". */
static hd_status read_fields(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *fields = hd__field(request->body, "rank_fields"), *documents = hd__field(request->body, "documents");
    const size_t n = json_array_size(documents);
    if (!json_is_array(fields))
        return hd__fault(fault, HD_FAULT_TYPE, "rank_fields", "`rank_fields` is not a list of strings");
    for (size_t i = 0; i < json_array_size(fields); i++)
        if (!json_is_string(json_array_get(fields, i)))
            return hd__fault(fault, HD_FAULT_TYPE, "rank_fields", "`rank_fields` is not a list of strings");
    hd_input *inputs = hd__arena_calloc(request->arena, n, sizeof *inputs);
    if (inputs == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu documents", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *document = json_array_get(documents, i);
        if (json_is_string(document))
            inputs[i].text = hd__json_string(document);
        else
            HD_TRY(join_fields(request, document, fields, &inputs[i].text, fault));
    }
    call->inputs = inputs;
    return HD_OK;
}

static hd_status read_rerank(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    HD_TRY(hd__read_rerank(request, "documents", HD_INPUT_TEXTS | HD_INPUT_OBJECTS, call, fault));
    HD_TRY(hd__field_bool(request->body, "return_documents", &call->return_text, fault));
    if (hd__field(request->body, "rank_fields") != NULL)
        HD_TRY(read_fields(request, call, fault));
    return hd__read_extras(request->body, HD_EXTRA_RAW_SCORES | HD_EXTRA_TIMEOUT, call, fault);
}

static hd_status read_rerank_v2(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    HD_TRY(hd__read_rerank(request, "documents", HD_INPUT_TEXTS, call, fault));
    return hd__read_extras(request->body, HD_EXTRA_RAW_SCORES | HD_EXTRA_TIMEOUT, call, fault);
}

static void write_rerank(const hd_wire_request *request, const hd_call *call, const hd_result *result, const char *version,
                         hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_id(b, request);
    hd__buffer_append_text(b, ",\"results\":");
    hd__write_ranking(b, hd__field(request->body, "documents"), call, result);
    hd__buffer_printf(b, ",\"meta\":{\"api_version\":{\"version\":\"%s\"},\"billed_units\":{\"search_units\":1}}}", version);
}

static void write_rerank_v1(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                            hd_http_response *response)
{
    write_rerank(request, call, result, "1", response);
}

static void write_rerank_v2(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                            hd_http_response *response)
{
    write_rerank(request, call, result, "2", response);
}

/* ---- vectors ---- */

typedef struct embedding_type {
    const char *name;
    hd_vector_type type;
    bool base64;
} embedding_type;

static const embedding_type types[] = {
    {"float", HD_VECTOR_F32, false},     {"int8", HD_VECTOR_INT8, false},       {"uint8", HD_VECTOR_UINT8, false},
    {"binary", HD_VECTOR_BINARY, false}, {"ubinary", HD_VECTOR_UBINARY, false}, {"base64", HD_VECTOR_F32, true},
    {"float16", HD_VECTOR_F16, false},
};
#define N_TYPES (sizeof types / sizeof types[0])

/* Which types were asked for, as a set of places in `types`; 0: none were named. */
static hd_status read_types(const json_t *body, unsigned *set, hd_fault *fault)
{
    const json_t *f = hd__field(body, "embedding_types");
    if (f == NULL)
        return HD_OK;
    if (!json_is_array(f))
        return hd__fault(fault, HD_FAULT_TYPE, "embedding_types", "`embedding_types` is not a list of strings");
    for (size_t i = 0; i < json_array_size(f); i++) {
        const char *name = json_string_value(json_array_get(f, i));
        size_t t = 0;
        if (name == NULL)
            return hd__fault(fault, HD_FAULT_TYPE, "embedding_types", "`embedding_types` is not a list of strings");
        while (t < N_TYPES && strcmp(name, types[t].name) != 0)
            t++;
        if (t == N_TYPES)
            return hd__fault(fault, HD_FAULT_VALUE, "embedding_types",
                             "`embedding_types` holds \"%.64s\", allowed are float, int8, uint8, binary, ubinary, base64, "
                             "float16",
                             name);
        *set |= 1u << t;
    }
    return HD_OK;
}

static hd_status read_input_type(const json_t *body, hd_call *call, hd_fault *fault)
{
    static const char *const names[] = {"search_document", "search_query", "classification", "clustering", "image", NULL};
    static const char *const classification[] = {"classification", NULL}, *const clustering[] = {"clustering", NULL};
    const char *const *const prompts[] = {
        NULL, hd__document_prompt_names, hd__query_prompt_names, classification, clustering, NULL};
    uint32_t choice = UINT32_MAX;
    HD_TRY(hd__field_choice(body, "input_type", names, &choice, fault));
    call->prompt_names = prompts[choice + 1];
    if (choice == 4)
        return hd__fault(fault, HD_FAULT_UNSUPPORTED, "input_type", "images are not embedded here");
    return HD_OK;
}

/* Texts of `inputs`: each has one part, a text. */
static hd_status read_contents(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *list = hd__field(request->body, "inputs");
    const size_t n = json_array_size(list);
    if (n == 0)
        return hd__fault(fault, json_is_array(list) ? HD_FAULT_EMPTY : HD_FAULT_TYPE, "inputs",
                         "`inputs` is not a list of one object or more");
    hd_input *inputs;
    HD_TRY(hd__alloc_inputs(request, "inputs", n, &inputs, fault));
    for (size_t i = 0; i < n; i++) {
        const json_t *content = json_object_get(json_array_get(list, i), "content");
        const json_t *part = json_array_get(content, 0), *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (json_array_size(content) != 1 || (type != NULL && strcmp(type, "text") != 0))
            return hd__fault(fault, HD_FAULT_UNSUPPORTED, "inputs",
                             "`content` of input %zu is not one part of type text: nothing else is embedded here", i);
        if (!json_is_string(text))
            return hd__fault(fault, HD_FAULT_TYPE, "inputs", "`text` of input %zu is not a string", i);
        inputs[i].text = hd__json_string(text);
    }
    call->inputs = inputs;
    call->n_inputs = n;
    return HD_OK;
}

static hd_status read_embed(const hd_wire_request *request, bool takes_inputs, hd_call *call, hd_fault *fault)
{
    static const char *const cuts[] = {"NONE", "END", "START", NULL};
    const json_t *body = request->body;
    uint32_t cut = 1;
    unsigned *set = hd__arena_calloc(request->arena, 1, sizeof *set);
    if (set == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    call->own = set;
    call->task = HD_TASK_EMBED;
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    if (json_array_size(hd__field(body, "images")) > 0)
        return hd__fault(fault, HD_FAULT_UNSUPPORTED, "images", "images are not embedded here");
    if (takes_inputs && hd__field(body, "texts") == NULL && hd__field(body, "inputs") != NULL)
        HD_TRY(read_contents(request, call, fault));
    else
        HD_TRY(hd__field_inputs(request, "texts", HD_INPUT_TEXTS, call, fault));
    HD_TRY(read_types(body, set, fault));
    HD_TRY(read_input_type(body, call, fault));
    HD_TRY(hd__field_choice(body, "truncate", cuts, &cut, fault));
    HD_TRY(hd__field_uint(body, "max_tokens", 1, UINT32_MAX, &call->max_length, fault));
    HD_TRY(hd__field_uint(body, "output_dimension", 1, UINT32_MAX, &call->dimensions, fault));
    call->truncate = (hd_truncate)(HD_TRUNCATE_NONE + cut);
    return hd__read_extras(body, HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT | HD_EXTRA_NORMALIZE | HD_EXTRA_TIMEOUT, call,
                           fault);
}

static hd_status read_embed_v1(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return read_embed(request, false, call, fault);
}

static hd_status read_embed_v2(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    HD_TRY(read_embed(request, true, call, fault));
    unsigned *set = call->own;
    *set |= *set == 0; /* v2 always answers by type */
    return HD_OK;
}

static void write_rows(hd_buffer *b, const hd_call *call, const hd_result *result, const embedding_type *type)
{
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__write_vector(b, result->vectors + i * result->n_dimensions, result->n_dimensions, type->type, type->base64);
    }
    hd__buffer_append_char(b, ']');
}

static void write_embed(const hd_wire_request *request, const hd_call *call, const hd_result *result, const char *version,
                        hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const unsigned set = *(const unsigned *)call->own;
    write_id(b, request);
    hd__buffer_append_text(b, set != 0 ? ",\"embeddings\":{" : ",\"embeddings\":");
    if (set == 0)
        write_rows(b, call, result, &types[0]);
    for (size_t t = 0, n = 0; t < N_TYPES; t++) {
        if ((set >> t & 1) == 0)
            continue;
        hd__buffer_printf(b, "%s\"%s\":", n++ > 0 ? "," : "", types[t].name);
        write_rows(b, call, result, &types[t]);
    }
    hd__buffer_append_text(b, set != 0 ? "},\"texts\":[" : ",\"texts\":[");
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__buffer_append_json(b, hd__span(call->inputs[i].text.ptr, call->inputs[i].text.len));
    }
    hd__buffer_printf(b, "],\"meta\":{\"api_version\":{\"version\":\"%s\"},\"billed_units\":{\"input_tokens\":", version);
    hd__write_uint(b, result->n_tokens_total);
    hd__buffer_append_text(b, set != 0 ? "}},\"response_type\":\"embeddings_by_type\"}"
                                       : "}},\"response_type\":\"embeddings_floats\"}");
}

static void write_embed_v1(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    write_embed(request, call, result, "1", response);
}

static void write_embed_v2(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    write_embed(request, call, result, "2", response);
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/v1/rerank",
     .has_body = true,
     .claims = claims_rerank,
     .read = read_rerank,
     .write = write_rerank_v1,
     .summary = "Documents by their relevance to a query.",
     .request_schema = "RerankRequest",
     .response_schema = "RerankResponse"},
    {.method = HD_HTTP_POST,
     .path = "/v2/rerank",
     .has_body = true,
     .read = read_rerank_v2,
     .write = write_rerank_v2,
     .summary = "Documents by their relevance to a query.",
     .request_schema = "RerankV2Request",
     .response_schema = "RerankResponse"},
    {.method = HD_HTTP_POST,
     .path = "/v1/embed",
     .has_body = true,
     .read = read_embed_v1,
     .write = write_embed_v1,
     .summary = "Vectors of texts.",
     .request_schema = "EmbedRequest",
     .response_schema = "EmbedResponse"},
    {.method = HD_HTTP_POST,
     .path = "/v2/embed",
     .has_body = true,
     .read = read_embed_v2,
     .write = write_embed_v2,
     .summary = "Vectors of texts.",
     .request_schema = "EmbedV2Request",
     .response_schema = "EmbedResponse"},
};

#define RERANK_FIELDS                                                                                                       \
    "\"query\":{\"type\":\"string\",\"minLength\":1},"                                                                      \
    "\"top_n\":{\"type\":[\"integer\",\"null\"],\"minimum\":0},"                                                            \
    "\"model\":{\"type\":[\"string\",\"null\"]},"                                                                           \
    "\"raw_scores\":{\"type\":[\"boolean\",\"null\"]},"                                                                     \
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}"
#define EMBED_FIELDS                                                                                                        \
    "\"model\":{\"type\":[\"string\",\"null\"]},"                                                                           \
    "\"texts\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}},"                                        \
    "\"input_type\":{\"type\":[\"string\",\"null\"],"                                                                       \
    "\"enum\":[\"search_document\",\"search_query\",\"classification\",\"clustering\",null]},"                              \
    "\"embedding_types\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\","                                    \
    "\"enum\":[\"float\",\"int8\",\"uint8\",\"binary\",\"ubinary\",\"base64\",\"float16\"]}},"                              \
    "\"truncate\":{\"type\":[\"string\",\"null\"],\"enum\":[\"NONE\",\"START\",\"END\",null]},"                             \
    "\"max_tokens\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"                                                       \
    "\"output_dimension\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"                                                 \
    "\"prompt_name\":{\"type\":[\"string\",\"null\"]},"                                                                     \
    "\"prompt\":{\"type\":[\"string\",\"null\"]},"                                                                          \
    "\"normalize\":{\"type\":[\"boolean\",\"null\"]},"                                                                      \
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}"

static const char schemas[] =
    "{\"RerankRequest\":{\"type\":\"object\",\"required\":[\"query\",\"documents\"],\"properties\":{" RERANK_FIELDS ","
    "\"documents\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\","
    "\"required\":[\"text\"],\"properties\":{\"text\":{\"type\":\"string\"}},\"additionalProperties\":{\"type\":\"string\"}}"
    "]}},"
    "\"rank_fields\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\"}},"
    "\"return_documents\":{\"type\":[\"boolean\",\"null\"]}}},"
    "\"RerankV2Request\":{\"type\":\"object\",\"required\":[\"query\",\"documents\"],\"properties\":{" RERANK_FIELDS ","
    "\"documents\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}}},"
    "\"RerankResponse\":{\"type\":\"object\",\"required\":[\"id\",\"results\",\"meta\"],\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"results\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"index\",\"relevance_score\"],\"properties\":{\"index\":{\"type\":\"integer\"},"
    "\"relevance_score\":{\"type\":\"number\"},\"document\":{\"type\":\"object\"}}}},\"meta\":{\"type\":\"object\"}}},"
    "\"EmbedRequest\":{\"type\":\"object\",\"required\":[\"texts\"],\"properties\":{" EMBED_FIELDS "}},"
    "\"EmbedV2Request\":{\"type\":\"object\",\"anyOf\":[{\"required\":[\"texts\"]},{\"required\":[\"inputs\"]}],"
    "\"properties\":{" EMBED_FIELDS ",\"inputs\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\","
    "\"required\":[\"content\"],\"properties\":{\"content\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":1,"
    "\"items\":{\"type\":\"object\",\"required\":[\"type\",\"text\"],\"properties\":{"
    "\"type\":{\"type\":\"string\",\"enum\":[\"text\"]},\"text\":{\"type\":\"string\"}}}}}}}}},"
    "\"EmbedResponse\":{\"type\":\"object\",\"required\":[\"id\",\"embeddings\",\"texts\",\"meta\",\"response_type\"],"
    "\"properties\":{\"id\":{\"type\":\"string\"},\"embeddings\":{\"anyOf\":[{\"type\":\"object\"},{\"type\":\"array\"}]},"
    "\"texts\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"meta\":{\"type\":\"object\"},"
    "\"response_type\":{\"type\":\"string\",\"enum\":[\"embeddings_by_type\",\"embeddings_floats\"]}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"message\"],\"properties\":{\"id\":{\"type\":\"string\"},"
    "\"message\":{\"type\":\"string\"}}}}";

const hd_protocol hd__protocol_cohere = {
    .name = "Cohere",
    .dialect = &dialect,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
