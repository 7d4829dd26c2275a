/* ollama.c - Ollama's embedding API: POST /api/embed, POST /api/embeddings (the older one), GET /api/tags, POST /api/show,
 * GET /api/ps, GET /api/version.
 *
 *   {"model": "…", "input": "…" | ["…"], "truncate": true, "dimensions": n, "options": {"num_ctx": n}, "keep_alive": "5m"}
 *   {"model": "…", "embeddings": [[…]], "total_duration": ns, "load_duration": ns, "prompt_eval_count": n}
 *   {"model": "…", "prompt": "…"}  →  {"embedding": […]}
 *
 * Source: https://github.com/ollama/ollama/blob/main/docs/api.md and server/routes.go beside it. From there: no input, or
 * an empty string, is answered with no vectors; /api/embed gives unit vectors also for models that do not ask for them,
 * /api/embeddings gives them as pooled. Of `options` num_ctx counts, the others are about generation. `keep_alive` has to
 * be a string or a number; how long a model stays is the server's to say (--idle-unload).
 *
 * A name without a tag is shown with ":latest", as Ollama's clients expect; requests may leave it out. `digest` tells
 * models apart: it is the SHA-256 of name and folder, not of the weights.
 *
 * Of a running model `size` is that of its weights wherever they are, `size_vram` of those on GPUs. `expires_at` says when
 * it is unloaded if nobody uses it; of one that stays it is 2^63 nanoseconds after its registration, which Ollama's clients
 * show as "Forever".
 *
 * Fields that Ollama lacks: `prompt_name`, `output_dtype` and `timeout_ms` in both, `prompt` and `normalize` in /api/embed.
 * More dimensions than the model has are an error, not all that there are.
 */
#include <inttypes.h>
#include <time.h>

#include "base/hash.h"
#include "wire/answer.h"
#include "wire/extras.h"
#include "wire/norm.h"

/* ---- errors ---- */

static const int statuses[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = 400,       [HD_FAULT_ROUTE] = 404,    [HD_FAULT_METHOD] = 405,    [HD_FAULT_KEY] = 401,
    [HD_FAULT_BODY_BYTES] = 413, [HD_FAULT_ENCODING] = 415, [HD_FAULT_BODY_TIME] = 408, [HD_FAULT_JSON] = 400,
    [HD_FAULT_MISSING] = 400,    [HD_FAULT_TYPE] = 400,     [HD_FAULT_VALUE] = 400,     [HD_FAULT_EMPTY] = 400,
    [HD_FAULT_INPUTS] = 400,     [HD_FAULT_TOKENS] = 400,   [HD_FAULT_MODEL] = 404,     [HD_FAULT_UNSUPPORTED] = 400,
    [HD_FAULT_OVERLOADED] = 429, [HD_FAULT_DEADLINE] = 504, [HD_FAULT_CANCELLED] = 499, [HD_FAULT_LOADING] = 503,
    [HD_FAULT_STOPPING] = 503,   [HD_FAULT_MEMORY] = 503,   [HD_FAULT_LOAD] = 500,      [HD_FAULT_NUMERIC] = 500,
    [HD_FAULT_INTERNAL] = 500,
};

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const char *text = fault->text;
    if (fault->kind == HD_FAULT_JSON && request->body.len == 0)
        text = "missing request body";
    else if (fault->kind == HD_FAULT_TOKENS)
        text = hd__arena_printf(arena, "the input length exceeds the context length: %s", fault->text);
    response->status = statuses[fault->kind] != 0 ? statuses[fault->kind] : 500;
    response->content_type = "application/json";
    hd__buffer_reset(b);
    hd__buffer_append_text(b, "{\"error\":");
    hd__write_cstr(b, text != NULL ? text : fault->text);
    hd__buffer_append_char(b, '}');
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

static const hd_dialect dialect = {"ollama", write_fault};

/* ---- vectors ---- */

static hd_status read_common(const json_t *body, hd_call *call, hd_fault *fault)
{
    const json_t *keep_alive = hd__field(body, "keep_alive"), *options = hd__field(body, "options");
    HD_TRY(hd__field_text(body, "model", &call->model, fault));
    if (keep_alive != NULL && !json_is_string(keep_alive) && !json_is_number(keep_alive))
        return hd__fault(fault, HD_FAULT_TYPE, "keep_alive", "`keep_alive` is neither a string nor a number");
    if (options != NULL && !json_is_object(options))
        return hd__fault(fault, HD_FAULT_TYPE, "options", "`options` is not an object");
    HD_TRY(hd__field_uint(options, "num_ctx", 1, INT32_MAX, &call->max_length, fault));
    call->truncate = HD_TRUNCATE_END;
    return hd__read_extras(body, HD_EXTRA_PROMPT_NAME | HD_EXTRA_DTYPE | HD_EXTRA_TIMEOUT, call, fault);
}

/* Nothing to compute: no input, or an empty string. */
static bool is_nothing(const json_t *input)
{
    return input == NULL || (json_is_string(input) && json_string_length(input) == 0) ||
           (json_is_array(input) && json_array_size(input) == 0);
}

static hd_status read_embed(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *body = request->body;
    bool truncate = true;
    HD_TRY(read_common(body, call, fault));
    HD_TRY(hd__read_extras(body, HD_EXTRA_PROMPT | HD_EXTRA_NORMALIZE, call, fault));
    HD_TRY(hd__field_bool(body, "truncate", &truncate, fault));
    HD_TRY(hd__field_uint(body, "dimensions", 0, INT32_MAX, &call->dimensions, fault));
    call->truncate = truncate ? HD_TRUNCATE_END : HD_TRUNCATE_NONE;
    call->task = is_nothing(hd__field(body, "input")) ? HD_TASK_MODEL : HD_TASK_EMBED;
    return call->task == HD_TASK_EMBED ? hd__field_inputs(request, "input", HD_INPUT_TEXT | HD_INPUT_TEXTS, call, fault)
                                       : HD_OK;
}

static hd_status read_embeddings(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    HD_TRY(read_common(request->body, call, fault));
    call->no_normalize = true;
    call->task = is_nothing(hd__field(request->body, "prompt")) ? HD_TASK_MODEL : HD_TASK_EMBED;
    return call->task == HD_TASK_EMBED ? hd__field_inputs(request, "prompt", HD_INPUT_TEXT, call, fault) : HD_OK;
}

static void write_embed(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const size_t n = result->n_dimensions;
    float *unit = NULL;
    if (call->n_inputs > 0 && !call->no_normalize && !result->model->info.normalizes) {
        unit = hd__arena_calloc(request->arena, n, sizeof *unit);
        b->failed |= unit == NULL;
    }
    hd__buffer_append_text(b, "{\"model\":");
    hd__write_cstr(b, result->echo);
    hd__buffer_append_text(b, ",\"embeddings\":[");
    for (size_t i = 0; i < call->n_inputs && !b->failed; i++) {
        const float *row = result->vectors + i * n;
        if (unit != NULL)
            hd__scale_row(row, n, HD_NORM_EUCLIDEAN, unit);
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__write_vector(b, unit != NULL ? unit : row, n, call->vector_type, false);
    }
    hd__buffer_append_char(b, ']');
    if (call->n_inputs > 0)
        hd__buffer_printf(b, ",\"total_duration\":%" PRIu64 ",\"load_duration\":%" PRIu64 ",\"prompt_eval_count\":%" PRIu64,
                          result->times.total, result->times.load, result->n_tokens_total);
    hd__buffer_append_char(b, '}');
}

static void write_embeddings(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"embedding\":");
    if (call->n_inputs > 0)
        hd__write_vector(b, result->vectors, result->n_dimensions, call->vector_type, false);
    else
        hd__buffer_append_text(b, "[]");
    hd__buffer_append_char(b, '}');
}

/* ---- models ---- */

static hd_status read_show(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->task = HD_TASK_MODEL;
    HD_TRY(hd__field_text(request->body, "name", &call->model, fault));
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    if (call->model == NULL || call->model[0] == '\0')
        return hd__fault(fault, HD_FAULT_MISSING, "model", "model is required");
    return HD_OK;
}

static const char *dtype_name(hd_dtype dtype)
{
    static const char *const names[] = {[HD_DTYPE_F32] = "F32",
                                        [HD_DTYPE_BF16] = "BF16",
                                        [HD_DTYPE_INT8] = "INT8",
                                        [HD_DTYPE_F16] = "F16",
                                        [HD_DTYPE_FP8] = "F8_E4M3"};
    return dtype != HD_DTYPE_AUTO ? names[dtype] : "";
}

static void write_details(hd_buffer *b, const hd_model_info *info)
{
    hd__buffer_append_text(b, "\"details\":{\"parent_model\":\"\",\"format\":\"safetensors\",\"family\":");
    hd__write_cstr(b, info->architecture);
    hd__buffer_append_text(b, ",\"families\":[");
    hd__write_cstr(b, info->architecture);
    hd__buffer_append_text(b, "],\"parameter_size\":\"\",\"quantization_level\":");
    hd__write_cstr(b, dtype_name(info->dtype));
    hd__buffer_append_char(b, '}');
}

#define FOREVER_S (INT64_MAX / 1000000000)

/* RFC 3339, in UTC. */
static void write_time(hd_buffer *b, uint64_t unix_s)
{
    const time_t t = (time_t)unix_s;
    struct tm utc;
    char text[32] = "1970-01-01T00:00:00Z";
    if (gmtime_r(&t, &utc) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    hd__write_cstr(b, text);
}

/* The name with its tag: a ":" after the last "/". */
static void write_name(hd_buffer *b, const char *name)
{
    const char *slash = strrchr(name, '/');
    const bool has_tag = strchr(slash != NULL ? slash : name, ':') != NULL;
    hd__write_cstr(b, name);
    if (has_tag || b->failed)
        return;
    b->len--; /* the closing quote */
    hd__buffer_append_text(b, ":latest\"");
}

static void write_digest(hd_buffer *b, const hd_model_card *card)
{
    hd_sha256 *hash;
    char hex[HD_SHA256_HEX_BYTES];
    if (hd__sha256_new(&hash, NULL) != HD_OK) {
        b->failed = true;
        return;
    }
    hd__sha256_add(hash, hd__span(card->name, strlen(card->name) + 1));
    hd__sha256_add(hash, hd__span_of(card->info.path));
    hd__sha256_end(hash, hex);
    hd__write_cstr(b, hex);
}

/* What lists of models begin with, and what they end with. */
static void begin_item(hd_buffer *b, const hd_model_card *card, bool is_first)
{
    hd__buffer_append_text(b, is_first ? "{\"name\":" : ",{\"name\":");
    write_name(b, card->name);
    hd__buffer_append_text(b, ",\"model\":");
    write_name(b, card->name);
}

static void end_item(hd_buffer *b, const hd_model_card *card, uint64_t size)
{
    hd__buffer_append_text(b, ",\"size\":");
    hd__write_uint(b, size);
    hd__buffer_append_text(b, ",\"digest\":");
    write_digest(b, card);
    hd__buffer_append_char(b, ',');
    write_details(b, &card->info);
    hd__buffer_append_char(b, '}');
}

static void write_tags(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    (void)call;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"models\":[");
    for (size_t i = 0; i < result->n_models; i++) {
        begin_item(b, &result->models[i], i == 0);
        hd__buffer_append_text(b, ",\"modified_at\":");
        write_time(b, result->models[i].created_s);
        end_item(b, &result->models[i], result->models[i].weights_bytes);
    }
    hd__buffer_append_text(b, "]}");
}

static void write_running(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                          hd_http_response *response)
{
    (void)request;
    (void)call;
    hd_buffer *b = &response->body;
    bool is_first = true;
    hd__buffer_append_text(b, "{\"models\":[");
    for (size_t i = 0; i < result->n_models; i++) {
        const hd_model_card *card = &result->models[i];
        if (card->state != HD_MODEL_LOADED)
            continue;
        begin_item(b, card, is_first);
        hd__buffer_append_text(b, ",\"expires_at\":");
        write_time(b, card->unload_s != 0 ? card->unload_s : card->created_s + FOREVER_S);
        hd__buffer_printf(b, ",\"size_vram\":%" PRIu64 ",\"context_length\":%u", card->info.device_bytes,
                          card->info.max_length);
        end_item(b, card, card->weights_bytes + card->info.device_bytes);
        is_first = false;
    }
    hd__buffer_append_text(b, "]}");
}

/* A key of model_info: "bert.context_length". */
static void write_fact(hd_buffer *b, const char *architecture, const char *name, uint32_t value)
{
    hd__buffer_append_text(b, ",\"");
    hd__buffer_append_text(b, architecture);
    hd__buffer_printf(b, ".%s\":%u", name, value);
}

static void write_show(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    (void)call;
    hd_buffer *b = &response->body;
    const hd_model_info *info = &result->model->info;
    hd__buffer_append_text(b, "{\"modelfile\":\"\",\"parameters\":\"\",\"template\":\"{{ .Prompt }}\",");
    write_details(b, info);
    hd__buffer_append_text(b, ",\"model_info\":{\"general.architecture\":");
    hd__write_cstr(b, info->architecture);
    write_fact(b, info->architecture, "attention.head_count", info->n_heads);
    write_fact(b, info->architecture, "block_count", info->n_layers);
    write_fact(b, info->architecture, "context_length", info->max_length);
    write_fact(b, info->architecture, "embedding_length", info->n_dimensions);
    hd__buffer_append_text(b, "},\"capabilities\":[\"embedding\"],\"modified_at\":");
    write_time(b, result->model->created_s);
    hd__buffer_append_char(b, '}');
}

static void write_version(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                          hd_http_response *response)
{
    (void)request;
    (void)call;
    (void)result;
    hd__buffer_append_text(&response->body, "{\"version\":");
    hd__write_cstr(&response->body, hd_version());
    hd__buffer_append_char(&response->body, '}');
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/api/embed",
     .has_body = true,
     .read = read_embed,
     .write = write_embed,
     .summary = "Vectors of texts.",
     .request_schema = "EmbedRequest",
     .response_schema = "EmbedResponse"},
    {.method = HD_HTTP_POST,
     .path = "/api/embeddings",
     .has_body = true,
     .read = read_embeddings,
     .write = write_embeddings,
     .summary = "The vector of one text.",
     .request_schema = "EmbeddingsRequest",
     .response_schema = "EmbeddingsResponse"},
    {.method = HD_HTTP_GET,
     .path = "/api/tags",
     .read = hd__read_nothing,
     .write = write_tags,
     .summary = "The models that are served.",
     .response_schema = "Tags"},
    {.method = HD_HTTP_GET,
     .path = "/api/ps",
     .read = hd__read_nothing,
     .write = write_running,
     .summary = "The models that are loaded, and until when.",
     .response_schema = "Running"},
    {.method = HD_HTTP_POST,
     .path = "/api/show",
     .has_body = true,
     .read = read_show,
     .write = write_show,
     .summary = "Facts of one model.",
     .request_schema = "ShowRequest",
     .response_schema = "ShowResponse"},
    {.method = HD_HTTP_GET,
     .path = "/api/version",
     .read = hd__read_nothing,
     .write = write_version,
     .summary = "The server's version.",
     .response_schema = "Version"},
};

#define COMMON_FIELDS                                                                                                       \
    "\"model\":{\"type\":[\"string\",\"null\"]},"                                                                           \
    "\"options\":{\"type\":[\"object\",\"null\"],\"properties\":{"                                                          \
    "\"num_ctx\":{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":2147483647}}},"                                 \
    "\"keep_alive\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"},{\"type\":\"null\"}]},"                         \
    "\"prompt_name\":{\"type\":[\"string\",\"null\"]},"                                                                     \
    "\"output_dtype\":{\"type\":[\"string\",\"null\"],"                                                                     \
    "\"enum\":[\"float\",\"float16\",\"int8\",\"uint8\",\"binary\",\"ubinary\",null]},"                                     \
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}"

static const char schemas[] =
    "{\"EmbedRequest\":{\"type\":\"object\",\"properties\":{"
    "\"input\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}},{\"type\":\"null\"}]},"
    "\"truncate\":{\"type\":[\"boolean\",\"null\"]},"
    "\"dimensions\":{\"type\":[\"integer\",\"null\"],\"minimum\":0},"
    "\"prompt\":{\"type\":[\"string\",\"null\"]},"
    "\"normalize\":{\"type\":[\"boolean\",\"null\"]}," COMMON_FIELDS "}},"
    "\"EmbedResponse\":{\"type\":\"object\",\"required\":[\"model\",\"embeddings\"],\"properties\":{"
    "\"model\":{\"type\":\"string\"},"
    "\"embeddings\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}},"
    "\"total_duration\":{\"type\":\"integer\"},\"load_duration\":{\"type\":\"integer\"},"
    "\"prompt_eval_count\":{\"type\":\"integer\"}}},"
    "\"EmbeddingsRequest\":{\"type\":\"object\",\"properties\":{"
    "\"prompt\":{\"type\":[\"string\",\"null\"]}," COMMON_FIELDS "}},"
    "\"EmbeddingsResponse\":{\"type\":\"object\",\"required\":[\"embedding\"],\"properties\":{"
    "\"embedding\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}},"
    "\"Tags\":{\"type\":\"object\",\"required\":[\"models\"],\"properties\":{\"models\":{\"type\":\"array\","
    "\"items\":{\"type\":\"object\",\"required\":[\"name\",\"model\",\"modified_at\",\"size\",\"digest\",\"details\"],"
    "\"properties\":{\"name\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
    "\"modified_at\":{\"type\":\"string\",\"format\":\"date-time\"},\"size\":{\"type\":\"integer\"},"
    "\"digest\":{\"type\":\"string\"},\"details\":{\"type\":\"object\"}}}}}},"
    "\"Running\":{\"type\":\"object\",\"required\":[\"models\"],\"properties\":{\"models\":{\"type\":\"array\","
    "\"items\":{\"type\":\"object\",\"required\":[\"name\",\"model\",\"expires_at\",\"size_vram\",\"size\",\"digest\","
    "\"details\"],\"properties\":{\"name\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
    "\"expires_at\":{\"type\":\"string\",\"format\":\"date-time\"},\"size_vram\":{\"type\":\"integer\"},"
    "\"context_length\":{\"type\":\"integer\"},\"size\":{\"type\":\"integer\"},"
    "\"digest\":{\"type\":\"string\"},\"details\":{\"type\":\"object\"}}}}}},"
    "\"ShowRequest\":{\"type\":\"object\",\"required\":[\"model\"],\"properties\":{"
    "\"model\":{\"type\":\"string\",\"minLength\":1}}},"
    "\"ShowResponse\":{\"type\":\"object\",\"required\":[\"details\",\"model_info\",\"capabilities\"],\"properties\":{"
    "\"details\":{\"type\":\"object\"},\"model_info\":{\"type\":\"object\"},"
    "\"capabilities\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}},"
    "\"Version\":{\"type\":\"object\",\"required\":[\"version\"],\"properties\":{\"version\":{\"type\":\"string\"}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"string\"}}}}";

const hd_protocol hd__protocol_ollama = {
    .name = "Ollama",
    .dialect = &dialect,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
