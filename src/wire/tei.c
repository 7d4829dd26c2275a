/* tei.c - the API of Hugging Face's text-embeddings-inference 1.9: POST /embed, /embed_all, /embed_sparse, /similarity,
 * /rerank, /predict, /tokenize, /decode, /vertex, GET /info, /ping. Its OpenAI routes are openai.c's, /health is health.c's.
 *
 *   {"inputs": "…" | ["…"] | [1, 2] | ["…", [1, 2]], "truncate": false, "truncation_direction": "left",
 *    "prompt_name": "query", "normalize": true, "dimensions": n}     →  [[0.1, …], …], one input or many
 *   {"query": "…", "texts": ["…"], "raw_scores": false, "return_text": true} → [{"index": 1, "text": "…", "score": 0.9}]
 *   {"error": "…", "error_type": "Validation"}
 *
 * Source: router/src/http/{server,types}.rs and core/src/{infer,tokenization}.rs of
 * https://github.com/huggingface/text-embeddings-inference at 0d124dc. Unknown fields are not looked at. Token ids are
 * taken as they are; TEI turns them into text and back, which gives the same ids but for texts no tokenizer makes.
 * /tokenize refuses texts that are longer than the model takes; TEI gives all their tokens.
 *
 * POST / and /invocations take what the model is for there; here the body says it: `texts` is /rerank, an object in
 * `inputs` is /similarity, the rest is /embed. There huggingface_hub's InferenceClient puts options under `parameters`,
 * which are read in all of /embed's forms. /vertex is for vectors alone, and its instances may differ in their inputs only.
 *
 * Fields that TEI lacks: `model` (with several models; `?model=` of /info), `prompt` (put before each text),
 * `timeout_ms`, and of /embed `encoding_format` ("float", "base64") and `output_dtype` ("float", "float16", "int8",
 * "uint8", "binary", "ubinary").
 */
#include "base/utf8.h"
#include "wire/answer.h"
#include "wire/extras.h"
#include "wire/norm.h"

/* ---- errors ---- */

typedef struct fault_words {
    int status;
    const char *type, *prefix;
} fault_words;

#define INVALID "Input validation error: "
#define BACKEND "Backend error: "

/* Types and statuses as `impl From<&ErrorType> for StatusCode` has them; what TEI leaves to axum, which answers in
 * plain text, has the same statuses and a body of the usual form. */
static const fault_words words[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = {400, "Validation", ""},         [HD_FAULT_ROUTE] = {404, "Validation", ""},
    [HD_FAULT_METHOD] = {405, "Validation", ""},       [HD_FAULT_KEY] = {401, "Validation", ""},
    [HD_FAULT_BODY_BYTES] = {413, "Validation", ""},   [HD_FAULT_ENCODING] = {415, "Validation", ""},
    [HD_FAULT_BODY_TIME] = {408, "Validation", ""},    [HD_FAULT_JSON] = {400, "Validation", ""},
    [HD_FAULT_MISSING] = {422, "Validation", INVALID}, [HD_FAULT_TYPE] = {422, "Validation", INVALID},
    [HD_FAULT_VALUE] = {422, "Validation", INVALID},   [HD_FAULT_EMPTY] = {400, "Empty", ""},
    [HD_FAULT_INPUTS] = {422, "Validation", ""},       [HD_FAULT_TOKENS] = {422, "Validation", INVALID},
    [HD_FAULT_MODEL] = {404, "Validation", INVALID},   [HD_FAULT_UNSUPPORTED] = {424, "Backend", BACKEND},
    [HD_FAULT_OVERLOADED] = {429, "Overloaded", ""},   [HD_FAULT_DEADLINE] = {504, "Backend", BACKEND},
    [HD_FAULT_CANCELLED] = {499, "Backend", BACKEND},  [HD_FAULT_LOADING] = {503, "Unhealthy", ""},
    [HD_FAULT_STOPPING] = {503, "Unhealthy", ""},      [HD_FAULT_MEMORY] = {503, "Unhealthy", ""},
    [HD_FAULT_LOAD] = {424, "Backend", BACKEND},       [HD_FAULT_NUMERIC] = {424, "Backend", BACKEND},
    [HD_FAULT_INTERNAL] = {424, "Backend", BACKEND},
};

/* What TEI says of heads that the model lacks. */
static const char *unsupported_text(hd_span path, const char *text)
{
    static const struct {
        const char *path, *text;
    } texts[] = {
        {"/rerank", "model is not a re-ranker model"},
        {"/predict", "Model is not a classifier model"},
        {"/embed_sparse", "Model is not an embedding model with SPLADE pooling"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (hd__span_is(path, texts[i].path))
            return texts[i].text;
    return text;
}

/* The fault in TEI's words, where it has any; quoted and escaped by the caller. */
static char *fault_text(const hd_fault *fault, hd_span path, hd_arena *arena)
{
    const char *prefix = words[fault->kind].prefix;
    const char *field = fault->field != NULL ? fault->field : "inputs";
    const unsigned long long n = fault->n, limit = fault->limit;
    switch (fault->kind) {
    case HD_FAULT_EMPTY: return hd__arena_printf(arena, "`%s` cannot be empty", field);
    case HD_FAULT_INPUTS: return hd__arena_printf(arena, "batch size %llu > maximum allowed batch size %llu", n, limit);
    case HD_FAULT_TOKENS:
        return hd__arena_printf(arena, "%s`inputs` must have less than %llu tokens. Given: %llu", prefix, limit, n);
    case HD_FAULT_VALUE:
        if (limit != 0 && strcmp(field, "dimensions") == 0)
            return hd__arena_printf(arena,
                                    "%s`dimensions` should be smaller than the maximum embedding dimension. Given: %llu, "
                                    "maximum: %llu",
                                    prefix, n, limit);
        return hd__arena_printf(arena, "%s%s", prefix, fault->text);
    case HD_FAULT_UNSUPPORTED: return hd__arena_printf(arena, "%s%s", prefix, unsupported_text(path, fault->text));
    case HD_FAULT_OVERLOADED: return hd__arena_printf(arena, "Model is overloaded");
    default: return hd__arena_printf(arena, "%s%s", prefix, fault->text);
    }
}

static void write_error(hd_buffer *b, const char *text, const char *type)
{
    hd__buffer_append_text(b, "{\"error\":");
    hd__write_cstr(b, text);
    hd__buffer_append_text(b, ",\"error_type\":");
    hd__write_cstr(b, type);
    hd__buffer_append_char(b, '}');
}

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    hd_fault known = *fault;
    if (known.kind == HD_FAULT_NONE)
        known.kind = HD_FAULT_INTERNAL;
    const fault_words *w = &words[known.kind];
    const char *text = fault_text(&known, request->path, arena);
    response->status = w->status;
    hd__buffer_reset(&response->body);
    if (known.kind == HD_FAULT_KEY) /* TEI sends the status alone */
        return;
    response->content_type = "application/json";
    write_error(&response->body, text != NULL ? text : known.text, w->type);
    if (known.retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", known.retry_after_s);
}

static const hd_dialect dialect = {"tei", write_fault};

/* ---- fields that routes share ---- */

typedef struct cut {
    bool wanted;
    uint32_t direction; /* place in directions[] */
} cut;

/* Those of a body, or of the `parameters` in it. */
static hd_status read_options_of(const json_t *from, cut *c, hd_call *call, hd_fault *fault)
{
    static const char *const directions[] = {"right", "Right", "left", "Left", NULL};
    const unsigned prompts = HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT;
    HD_TRY(hd__field_bool(from, "truncate", &c->wanted, fault));
    HD_TRY(hd__field_choice(from, "truncation_direction", directions, &c->direction, fault));
    if (call->task != HD_TASK_EMBED)
        return hd__read_extras(from, prompts, call, fault);
    HD_TRY(hd__read_extras(from, prompts | HD_EXTRA_NORMALIZE, call, fault));
    HD_TRY(hd__field_uint(from, "dimensions", 0, UINT32_MAX, &call->dimensions, fault));
    if (hd__field(from, "dimensions") != NULL && call->dimensions == 0)
        return hd__fault(fault, HD_FAULT_VALUE, "dimensions", "`dimensions` should be positive");
    return HD_OK;
}

/* After call->task is set, as some options are of one task alone. */
static hd_status read_options(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    cut c = {.wanted = request->settings->auto_truncate};
    const json_t *parameters = hd__field(request->body, "parameters");
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    HD_TRY(hd__read_extras(request->body, HD_EXTRA_TIMEOUT, call, fault));
    HD_TRY(read_options_of(request->body, &c, call, fault));
    if (parameters != NULL && !json_is_object(parameters))
        return hd__fault(fault, HD_FAULT_TYPE, "parameters", "`parameters` is not an object");
    if (parameters != NULL)
        HD_TRY(read_options_of(parameters, &c, call, fault));
    call->truncate = !c.wanted ? HD_TRUNCATE_NONE : c.direction < 2 ? HD_TRUNCATE_END : HD_TRUNCATE_START;
    return HD_OK;
}

static hd_status read_inputs(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return hd__field_inputs(request, "inputs",
                            HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_IDS | HD_INPUT_LISTS | HD_INPUT_NO_EMPTY, call, fault);
}

/* A string that must be there; empty is allowed. */
static hd_status read_string(const json_t *object, const char *name, hd_text *text, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, name, "`%s` is missing", name);
    if (!json_is_string(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a string", name);
    *text = hd__json_string(f);
    return HD_OK;
}

static hd_status too_many(const hd_wire_request *request, const char *name, size_t n, hd_fault *fault)
{
    HD_IGNORE(hd__fault(fault, HD_FAULT_INPUTS, name, "`%s` holds %zu inputs, the limit is %u", name, n,
                        request->settings->max_inputs));
    fault->n = n;
    fault->limit = request->settings->max_inputs;
    return HD_ERR_ARG;
}

/* ---- what it took ---- */

static uint64_t count_characters(hd_text text)
{
    return hd__utf8_count(hd__span(text.ptr, text.len));
}

static uint64_t count_all_characters(const hd_call *call)
{
    uint64_t n = call->n_inputs * count_characters(call->query);
    for (size_t i = 0; i < call->n_inputs; i++) {
        const hd_input *input = &call->inputs[i];
        n += input->ids.ids != NULL ? input->ids.n : count_characters(input->text) + count_characters(input->pair);
    }
    return n;
}

static void write_headers(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                          hd_http_response *response)
{
    const struct {
        const char *name;
        uint64_t n;
    } headers[] = {
        {"x-compute-time", result->times.total / 1000000},
        {"x-compute-characters", count_all_characters(call)},
        {"x-compute-tokens", result->n_tokens_total},
        {"x-total-time", result->times.total / 1000000},
        {"x-tokenization-time", result->times.tokenize / 1000000},
        {"x-queue-time", result->times.queue / 1000000},
        {"x-inference-time", result->times.compute / 1000000},
    };
    hd__http_setf(response, request->arena, "x-compute-type", "%s+optimized", result->on_gpu ? "gpu" : "cpu");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        hd__http_setf(response, request->arena, headers[i].name, "%llu", (unsigned long long)headers[i].n);
}

/* ---- /embed ---- */

static hd_status read_embed(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    static const char *const formats[] = {"float", "base64", NULL};
    uint32_t format = 0;
    call->task = HD_TASK_EMBED;
    HD_TRY(read_inputs(request, call, fault));
    HD_TRY(read_options(request, call, fault));
    HD_TRY(hd__field_choice(request->body, "encoding_format", formats, &format, fault));
    call->base64 = format == 1;
    return hd__read_extras(request->body, HD_EXTRA_DTYPE, call, fault);
}

/* [[…], …] of the inputs from begin to end. */
static void write_vectors(const hd_wire_request *request, const hd_call *call, const hd_result *result, size_t begin,
                          size_t end, hd_buffer *b)
{
    const size_t n = result->n_dimensions;
    float *unit = NULL; /* TEI makes vectors unit length where the model's own files do not ask for it, too */
    if (!call->no_normalize && !result->model->info.normalizes) {
        unit = hd__arena_calloc(request->arena, n, sizeof *unit);
        if (unit == NULL) {
            b->failed = true;
            return;
        }
    }
    hd__buffer_append_char(b, '[');
    for (size_t i = begin; i < end; i++) {
        const float *row = result->vectors + i * n;
        if (i > begin)
            hd__buffer_append_char(b, ',');
        if (unit != NULL)
            hd__scale_row(row, n, HD_NORM_EUCLIDEAN, unit);
        hd__write_vector(b, unit != NULL ? unit : row, n, call->vector_type, call->base64);
    }
    hd__buffer_append_char(b, ']');
}

static void write_embed(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    write_headers(request, call, result, response);
    write_vectors(request, call, result, 0, call->n_inputs, &response->body);
}

/* ---- /embed_all, /embed_sparse ---- */

static hd_status read_embed_all(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->task = HD_TASK_EMBED_ALL;
    HD_TRY(read_inputs(request, call, fault));
    return read_options(request, call, fault);
}

static void write_embed_all(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                            hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const size_t n = result->model->info.hidden_size;
    write_headers(request, call, result, response);
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__write_rows(b, result->outputs[i].token_states, result->outputs[i].n_token_states, n);
    }
    hd__buffer_append_char(b, ']');
}

static hd_status read_embed_sparse(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->task = HD_TASK_SPARSE;
    HD_TRY(read_inputs(request, call, fault));
    return read_options(request, call, fault);
}

static void write_embed_sparse(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                               hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_headers(request, call, result, response);
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        const hd_sparse_vector *s = &result->outputs[i].sparse;
        hd__buffer_append_text(b, i > 0 ? ",[" : "[");
        for (size_t k = 0; k < s->n; k++) {
            hd__buffer_append_text(b, k > 0 ? ",{\"index\":" : "{\"index\":");
            hd__write_uint(b, s->ids[k]);
            hd__buffer_append_text(b, ",\"value\":");
            hd__write_float(b, s->weights[k]);
            hd__buffer_append_char(b, '}');
        }
        hd__buffer_append_char(b, ']');
    }
    hd__buffer_append_char(b, ']');
}

/* ---- /similarity ---- */

static bool is_similarity(const hd_wire_request *request)
{
    return json_is_object(hd__field(request->body, "inputs"));
}

/* The source sentence is the first input. */
static hd_status read_similarity(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    hd_text source;
    hd_wire_request inner = *request;
    inner.body = hd__field(request->body, "inputs");
    call->task = HD_TASK_EMBED;
    if (inner.body == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, "inputs", "`inputs` is missing");
    if (!json_is_object(inner.body))
        return hd__fault(fault, HD_FAULT_TYPE, "inputs", "`inputs` is not an object");
    HD_TRY(read_string(inner.body, "source_sentence", &source, fault));
    if (source.len == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, "inputs", "`inputs` cannot be empty");
    const hd_status status = hd__field_inputs(&inner, "sentences", HD_INPUT_TEXTS | HD_INPUT_NO_EMPTY, call, fault);
    if (status != HD_OK) {
        fault->field = fault->kind == HD_FAULT_EMPTY ? "inputs.sentences" : fault->field;
        fault->n += fault->kind == HD_FAULT_INPUTS;
        return status;
    }
    const size_t n = call->n_inputs + 1;
    if (n > request->settings->max_inputs)
        return too_many(request, "inputs.sentences", n, fault);
    hd_input *inputs = hd__arena_calloc(request->arena, n, sizeof *inputs);
    if (inputs == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu inputs", n);
    inputs[0].text = source;
    memcpy(inputs + 1, call->inputs, call->n_inputs * sizeof *inputs);
    call->inputs = inputs;
    call->n_inputs = n;
    return read_options(request, call, fault);
}

static void write_similarity(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_headers(request, call, result, response);
    hd__buffer_append_char(b, '[');
    for (size_t i = 1; i < call->n_inputs; i++) {
        if (i > 1)
            hd__buffer_append_char(b, ',');
        hd__write_float(b, hd_cosine(result->vectors, result->vectors + i * result->n_dimensions, result->n_dimensions));
    }
    hd__buffer_append_char(b, ']');
}

/* ---- /vertex: requests of /embed in a list, each with its answer ---- */

typedef struct instance {
    const hd_input *inputs; /* [end - where the one before ends] */
    size_t end;             /* in the call's inputs */
} instance;

typedef struct vertex_own {
    instance *all; /* [n] */
    size_t n;
} vertex_own;

/* One call does them all, so they have to agree on how. */
static bool is_same_way(const hd_call *a, const hd_call *b)
{
    const char *const texts[][2] = {{a->model, b->model}, {a->prompt_name, b->prompt_name}, {a->prompt, b->prompt}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if ((texts[i][0] == NULL) != (texts[i][1] == NULL) || (texts[i][0] != NULL && strcmp(texts[i][0], texts[i][1]) != 0))
            return false;
    return a->dimensions == b->dimensions && a->truncate == b->truncate && a->no_normalize == b->no_normalize &&
           a->vector_type == b->vector_type && a->base64 == b->base64 && a->timeout_ms == b->timeout_ms;
}

static hd_status read_instance(const hd_wire_request *request, size_t i, hd_call *call, hd_fault *fault)
{
    hd_call one = {0};
    hd_wire_request inner = *request;
    vertex_own *own = call->own;
    inner.body = json_array_get(hd__field(request->body, "instances"), i);
    if (!json_is_object(inner.body))
        return hd__fault(fault, HD_FAULT_TYPE, "instances", "`instances` holds something that is not an object");
    HD_TRY(read_embed(&inner, &one, fault));
    own->all[i] = (instance){one.inputs, (i > 0 ? own->all[i - 1].end : 0) + one.n_inputs};
    if (own->all[i].end > request->settings->max_inputs)
        return too_many(request, "instances", own->all[i].end, fault);
    if (i > 0)
        return is_same_way(call, &one)
                   ? HD_OK
                   : hd__fault(fault, HD_FAULT_VALUE, "instances", "`instances` differ in more than their `inputs`");
    *call = one;
    call->own = own;
    return HD_OK;
}

static hd_status read_vertex(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *instances = hd__field(request->body, "instances");
    const size_t n = json_array_size(instances);
    hd_input *inputs;
    if (instances == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, "instances", "`instances` is missing");
    if (!json_is_array(instances))
        return hd__fault(fault, HD_FAULT_TYPE, "instances", "`instances` is not a list");
    if (n == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, "instances", "`instances` cannot be empty");
    if (n > request->settings->max_inputs)
        return too_many(request, "instances", n, fault);
    vertex_own *own = hd__arena_calloc(request->arena, 1, sizeof *own);
    if (own != NULL)
        *own = (vertex_own){hd__arena_calloc(request->arena, n, sizeof *own->all), n};
    if (own == NULL || own->all == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu instances", n);
    call->own = own;
    for (size_t i = 0; i < n; i++)
        HD_TRY(read_instance(request, i, call, fault));
    HD_TRY(hd__alloc_inputs(request, "instances", own->all[n - 1].end, &inputs, fault));
    for (size_t i = 0, begin = 0; i < n; begin = own->all[i++].end)
        memcpy(inputs + begin, own->all[i].inputs, (own->all[i].end - begin) * sizeof *inputs);
    call->inputs = inputs;
    call->n_inputs = own->all[n - 1].end;
    return HD_OK;
}

static void write_vertex(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    const vertex_own *own = call->own;
    hd_buffer *b = &response->body;
    write_headers(request, call, result, response);
    hd__buffer_append_text(b, "{\"predictions\":");
    for (size_t i = 0, begin = 0; i < own->n; begin = own->all[i++].end) {
        hd__buffer_append_char(b, i > 0 ? ',' : '[');
        write_vectors(request, call, result, begin, own->all[i].end, b);
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- /rerank ---- */

static bool is_rerank(const hd_wire_request *request)
{
    return hd__field(request->body, "texts") != NULL;
}

static hd_status read_rerank(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    call->task = HD_TASK_RERANK;
    HD_TRY(read_string(request->body, "query", &call->query, fault));
    HD_TRY(hd__field_inputs(request, "texts", HD_INPUT_TEXTS, call, fault));
    HD_TRY(hd__field_bool(request->body, "raw_scores", &call->raw_scores, fault));
    HD_TRY(hd__field_bool(request->body, "return_text", &call->return_text, fault));
    for (size_t i = 0; call->query.len == 0 && i < call->n_inputs; i++)
        if (call->inputs[i].text.len == 0) /* a pair may have one side that is empty */
            return hd__fault(fault, HD_FAULT_EMPTY, "inputs", "`inputs` cannot be empty");
    return read_options(request, call, fault);
}

static void write_rerank(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_headers(request, call, result, response);
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < result->n_scores; i++) {
        const hd_score *s = &result->scores[i];
        hd__buffer_append_text(b, i > 0 ? ",{\"index\":" : "{\"index\":");
        hd__write_uint(b, s->index);
        if (call->return_text) {
            hd__buffer_append_text(b, ",\"text\":");
            hd__buffer_append_json(b, hd__span(call->inputs[s->index].text.ptr, call->inputs[s->index].text.len));
        }
        hd__buffer_append_text(b, ",\"score\":");
        hd__write_float(b, s->score);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, ']');
}

/* ---- /predict ---- */

/* ["…"] or ["…", "…"], two strings being a pair. */
static hd_status read_sequence(const json_t *list, hd_input *input, hd_fault *fault)
{
    const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
    if (json_array_size(list) > 2 || !json_is_string(first) || (second != NULL && !json_is_string(second)))
        return hd__fault(
            fault, HD_FAULT_TYPE, "inputs",
            "`inputs` is not a string, a pair of strings [string, string] or a batch of mixed strings and pairs "
            "[[string], [string, string], ...]");
    input->text = hd__json_string(first);
    if (second != NULL)
        input->pair = hd__json_string(second);
    if (input->text.len == 0 && input->pair.len == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, "inputs", "`inputs` cannot be empty");
    return HD_OK;
}

/* A list of strings is one sequence, a list of lists is many. */
static hd_status read_predict(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const json_t *f = hd__field(request->body, "inputs");
    call->task = HD_TASK_CLASSIFY;
    if (!json_is_array(f)) {
        HD_TRY(hd__field_inputs(request, "inputs", HD_INPUT_TEXT | HD_INPUT_NO_EMPTY, call, fault));
    } else {
        const bool is_batch = json_is_array(json_array_get(f, 0));
        const size_t n = is_batch ? json_array_size(f) : 1;
        if (json_array_size(f) == 0)
            return hd__fault(fault, HD_FAULT_EMPTY, "inputs", "`inputs` cannot be empty");
        if (n > request->settings->max_inputs)
            return too_many(request, "inputs", n, fault);
        hd_input *inputs = hd__arena_calloc(request->arena, n, sizeof *inputs);
        if (inputs == NULL)
            return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu inputs", n);
        for (size_t i = 0; i < n; i++)
            HD_TRY(read_sequence(is_batch ? json_array_get(f, i) : f, &inputs[i], fault));
        call->inputs = inputs;
        call->n_inputs = n;
        call->is_single = !is_batch;
    }
    HD_TRY(hd__field_bool(request->body, "raw_scores", &call->raw_scores, fault));
    return read_options(request, call, fault);
}

static void write_predict(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                          hd_http_response *response)
{
    hd_buffer *b = &response->body;
    write_headers(request, call, result, response);
    if (!call->is_single)
        hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        hd__buffer_append_text(b, i > 0 ? ",[" : "[");
        for (size_t k = 0; k < result->n_labels; k++) {
            const hd_score *s = &result->scores[i * result->n_labels + k];
            hd__buffer_append_text(b, k > 0 ? ",{\"score\":" : "{\"score\":");
            hd__write_float(b, s->score);
            hd__buffer_append_text(b, ",\"label\":");
            hd__write_cstr(b, result->labels[s->index]);
            hd__buffer_append_char(b, '}');
        }
        hd__buffer_append_char(b, ']');
    }
    if (!call->is_single)
        hd__buffer_append_char(b, ']');
}

/* ---- /tokenize, /decode ---- */

static bool is_tokenize(const hd_wire_request *request)
{
    return hd__field(request->body, "inputs") != NULL;
}

static hd_status read_tokenize(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    bool specials = true;
    call->task = HD_TASK_TOKENIZE;
    HD_TRY(hd__field_inputs(request, "inputs", HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_NO_EMPTY, call, fault));
    HD_TRY(hd__field_bool(request->body, "add_special_tokens", &specials, fault));
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    call->no_specials = !specials;
    return hd__read_extras(request->body, HD_EXTRA_PROMPT_NAME | HD_EXTRA_PROMPT, call, fault);
}

/* The text that offsets count in. */
static hd_span prompted(const char *prompt, hd_text text, hd_arena *arena)
{
    const size_t n = prompt != NULL ? strlen(prompt) : 0;
    if (n == 0)
        return hd__span(text.ptr, text.len);
    char *joined = hd__arena_alloc(arena, n + text.len);
    if (joined == NULL)
        return hd__span(NULL, 0);
    memcpy(joined, prompt, n);
    memcpy(joined + n, text.ptr, text.len);
    return hd__span(joined, n + text.len);
}

static void write_token(hd_buffer *b, const hd_token *token, hd_span text, const char *token_text)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_uint(b, (uint64_t)token->id);
    hd__buffer_append_text(b, ",\"text\":");
    if (token->special) {
        hd__write_cstr(b, token_text);
        hd__buffer_append_text(b, ",\"special\":true,\"start\":null,\"stop\":null}");
        return;
    }
    hd__buffer_append_json(b, hd__span(text.ptr + token->byte_begin, token->byte_end - token->byte_begin));
    hd__buffer_append_text(b, ",\"special\":false,\"start\":");
    hd__write_uint(b, token->byte_begin);
    hd__buffer_append_text(b, ",\"stop\":");
    hd__write_uint(b, token->byte_end);
    hd__buffer_append_char(b, '}');
}

/* A count of tokens that is too small would be taken for the text's: TEI itself gives them all. */
static bool refuse_truncated(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (!result->tokens[i].truncated)
            continue;
        const char *text = hd__arena_printf(request->arena, INVALID "`inputs` must have less than %u tokens",
                                            result->model->info.max_length + 1);
        response->status = words[HD_FAULT_TOKENS].status;
        response->body.failed |= text == NULL;
        write_error(&response->body, text, words[HD_FAULT_TOKENS].type);
        return true;
    }
    return false;
}

static void write_tokenize(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    hd_buffer *b = &response->body;
    const char *const *token_text = result->token_texts;
    if (refuse_truncated(request, call, result, response))
        return;
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        const hd_tokens *t = &result->tokens[i];
        const hd_span text = prompted(result->prompt, call->inputs[i].text, request->arena);
        if (text.ptr == NULL) {
            b->failed = true;
            return;
        }
        hd__buffer_append_text(b, i > 0 ? ",[" : "[");
        for (size_t k = 0; k < t->n; k++) {
            if (k > 0)
                hd__buffer_append_char(b, ',');
            write_token(b, &t->tokens[k], text, *token_text++);
        }
        hd__buffer_append_char(b, ']');
    }
    hd__buffer_append_char(b, ']');
}

static hd_status read_decode(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    bool skips = true;
    call->task = HD_TASK_DETOKENIZE;
    HD_TRY(hd__field_inputs(request, "ids", HD_INPUT_IDS | HD_INPUT_LISTS, call, fault));
    HD_TRY(hd__field_bool(request->body, "skip_special_tokens", &skips, fault));
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    call->no_specials = skips;
    return hd__read_extras(request->body, HD_EXTRA_PROMPT_NAME, call, fault);
}

static void write_decode(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    hd__buffer_append_char(b, '[');
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__buffer_append_json(b, hd__span(result->texts[i].ptr, result->texts[i].len));
    }
    hd__buffer_append_char(b, ']');
}

/* ---- /info, /ping ---- */

static hd_status read_info(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const hd_span name = hd__http_query(request->http, "model", request->arena);
    call->task = HD_TASK_MODEL;
    if (name.ptr == NULL)
        return HD_OK;
    call->model = hd__arena_strndup(request->arena, name.ptr, name.len);
    return call->model != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory");
}

/* The commit that the Hub's cache names a snapshot's folder by; NULL in other folders. */
static const char *commit_of(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : "";
    return strlen(name) == 40 && strspn(name, "0123456789abcdef") == 40 ? name : NULL;
}

static const char *dtype_name(hd_dtype dtype)
{
    static const char *const names[] = {"auto", "float32", "bfloat16", "int8", "float16", "float8_e4m3fn"};
    return names[dtype];
}

static void write_field(hd_buffer *b, const char *name, const char *text)
{
    hd__buffer_printf(b, ",\"%s\":", name);
    hd__write_cstr(b, text);
}

/* Limits that this server counts in waiting tokens, of which every request has one. */
static uint32_t limit_or_queue(uint32_t limit, const hd_wire_settings *settings)
{
    return limit != 0 ? limit : settings->max_queue_tokens;
}

static void write_label_maps(hd_buffer *b, const hd_model_info *info)
{
    hd__buffer_append_text(b, "{\"id2label\":{");
    for (uint32_t i = 0; i < info->n_labels; i++) {
        hd__buffer_printf(b, "%s\"%u\":", i > 0 ? "," : "", i);
        hd__write_cstr(b, info->labels[i]);
    }
    hd__buffer_append_text(b, "},\"label2id\":{");
    for (uint32_t i = 0; i < info->n_labels; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        hd__write_cstr(b, info->labels[i]);
        hd__buffer_printf(b, ":%u", i);
    }
    hd__buffer_append_text(b, "}}");
}

/* TEI takes a classifier of one label for a reranker. */
static void write_model_type(hd_buffer *b, const hd_model_info *info)
{
    if ((info->heads & HD_HEAD_SCORES) != 0) {
        hd__buffer_printf(b, ",\"model_type\":{\"%s\":", info->n_labels == 1 ? "reranker" : "classifier");
        write_label_maps(b, info);
    } else {
        const bool is_splade = (info->heads & HD_HEAD_DENSE) == 0 && (info->heads & HD_HEAD_SPARSE) != 0;
        hd__buffer_append_text(b, ",\"model_type\":{\"embedding\":{\"pooling\":");
        hd__write_cstr(b, is_splade ? "splade" : strcmp(info->pooling, "last") == 0 ? "last_token" : info->pooling);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, '}');
}

static void write_info(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)call;
    hd_buffer *b = &response->body;
    const hd_wire_settings *s = request->settings;
    const hd_model_info *info = &result->model->info;
    hd__buffer_append_text(b, "{\"model_id\":");
    hd__write_cstr(b, info->name);
    write_field(b, "model_sha", commit_of(info->path));
    write_field(b, "model_dtype", dtype_name(info->dtype));
    write_field(b, "served_model_name", result->model->name);
    write_model_type(b, info);
    hd__buffer_printf(b, ",\"max_concurrent_requests\":%u,\"max_input_length\":%u,\"max_batch_tokens\":%u",
                      limit_or_queue(s->max_concurrent_requests, s), info->max_length,
                      limit_or_queue(s->max_batch_tokens, s));
    hd__buffer_printf(b, ",\"max_batch_requests\":null,\"max_client_batch_size\":%u,\"auto_truncate\":%s", s->max_inputs,
                      s->auto_truncate ? "true" : "false");
    hd__buffer_printf(b, ",\"tokenization_workers\":%u", s->n_threads);
    write_field(b, "version", hd_version());
    hd__buffer_append_text(b, ",\"sha\":null,\"docker_label\":null}");
}

static void write_ping(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    (void)call;
    response->status = result->ready ? 200 : 503;
    response->content_type = result->ready ? "text/plain" : "application/json";
    if (!result->ready)
        write_error(&response->body, "unhealthy", "Unhealthy");
}

/* ---- the table ---- */

/* clang-format off */
#define POST_ROUTE(path_, claims_, name_, request_, response_, summary_)                                                    \
    {.method = HD_HTTP_POST, .path = path_, .has_body = true, .claims = claims_, .read = read_##name_,                      \
     .write = write_##name_, .request_schema = request_, .response_schema = response_, .summary = summary_}
/* clang-format on */

static const hd_route routes[] = {
    POST_ROUTE("/embed", NULL, embed, "EmbedRequest", "EmbedResponse", "Vectors of texts or of token ids."),
    POST_ROUTE("/embed_all", NULL, embed_all, "EmbedAllRequest", "EmbedAllResponse", "A vector for each token."),
    POST_ROUTE("/embed_sparse", NULL, embed_sparse, "EmbedAllRequest", "EmbedSparseResponse", "Weights by token id."),
    POST_ROUTE("/similarity", NULL, similarity, "SimilarityRequest", "SimilarityResponse",
               "Cosines of one sentence with others."),
    POST_ROUTE("/vertex", NULL, vertex, "VertexRequest", "VertexResponse",
               "Several requests of /embed, as Vertex AI has it."),
    POST_ROUTE("/rerank", is_rerank, rerank, "RerankRequest", "RerankResponse", "Texts by relevance to a query."),
    POST_ROUTE("/predict", NULL, predict, "PredictRequest", "PredictResponse", "Scores of labels."),
    POST_ROUTE("/tokenize", is_tokenize, tokenize, "TokenizeRequest", "TokenizeResponse", "Tokens as the model sees them."),
    POST_ROUTE("/decode", NULL, decode, "DecodeRequest", "DecodeResponse", "The text of token ids."),
    POST_ROUTE("/", is_rerank, rerank, "RerankRequest", "RerankResponse", "As /rerank."),
    POST_ROUTE("/", is_similarity, similarity, "SimilarityRequest", "SimilarityResponse", "As /similarity."),
    POST_ROUTE("/", NULL, embed, "EmbedRequest", "EmbedResponse", "As /embed."),
    POST_ROUTE("/invocations", is_rerank, rerank, "RerankRequest", "RerankResponse", "As /rerank."),
    POST_ROUTE("/invocations", is_similarity, similarity, "SimilarityRequest", "SimilarityResponse", "As /similarity."),
    POST_ROUTE("/invocations", NULL, embed, "EmbedRequest", "EmbedResponse", "As /embed."),
    {.method = HD_HTTP_GET,
     .path = "/info",
     .read = read_info,
     .write = write_info,
     .response_schema = "Info",
     .summary = "The model that is served, and the limits."},
    {.method = HD_HTTP_GET,
     .path = "/ping",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_ping,
     .summary = "Models that have to be loaded are, and requests are taken."},
};

/* clang-format off */
#define TEXT "{\"type\":[\"string\",\"null\"]}"
#define BOOL "{\"type\":[\"boolean\",\"null\"]}"
#define COUNT "{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":4294967295}"
#define UINT "{\"type\":\"integer\",\"minimum\":0}"
#define NUMBER "{\"type\":\"number\"}"
#define STRING "{\"type\":\"string\"}"
#define FULL "{\"type\":\"string\",\"minLength\":1}"
#define LIST_OF(item) "{\"type\":\"array\",\"items\":" item "}"
#define FULL_LIST_OF(item) "{\"type\":\"array\",\"minItems\":1,\"items\":" item "}"
#define PAIR_OF(item) "{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":" item "}"
#define ANY_OF(schemas_) "{\"anyOf\":[" schemas_ "]}"
#define IDS FULL_LIST_OF("{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}")
#define INPUTS ANY_OF(FULL "," IDS "," FULL_LIST_OF(ANY_OF(FULL "," IDS)))
#define REF(name_) "{\"$ref\":\"#/components/schemas/" name_ "\"}"
#define OBJECT(required_, properties_) "{\"type\":\"object\",\"required\":[" required_ "],\"properties\":{" properties_ "}}"
#define CUT "\"truncate\":" BOOL ",\"truncation_direction\":{\"enum\":[\"left\",\"Left\",\"right\",\"Right\",null]}"
#define PROMPT "\"prompt_name\":" TEXT ",\"prompt\":" TEXT
#define COMMON(parameters_) CUT "," PROMPT ",\"model\":" TEXT ",\"timeout_ms\":" COUNT ",\"parameters\":" REF(parameters_)
#define MANY COMMON("Parameters")
#define MAY_BE(properties_) "{\"type\":[\"object\",\"null\"],\"properties\":{" properties_ "}}"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* 4095 characters are what C99 asks of the smallest compilers */
static const char schemas[] =
    "{\"Parameters\":" MAY_BE(CUT "," PROMPT) ","
    "\"EmbedParameters\":" MAY_BE(CUT "," PROMPT ",\"normalize\":" BOOL ",\"dimensions\":" COUNT) ","
    "\"EmbedRequest\":" OBJECT("\"inputs\"", "\"inputs\":" INPUTS "," COMMON("EmbedParameters") ",\"normalize\":" BOOL
    ",\"dimensions\":" COUNT
    ",\"encoding_format\":{\"enum\":[\"float\",\"base64\",null]},"
    "\"output_dtype\":{\"enum\":[\"float\",\"float16\",\"int8\",\"uint8\",\"binary\",\"ubinary\",null]}") ","
    "\"EmbedResponse\":" LIST_OF(ANY_OF(LIST_OF(NUMBER) "," STRING)) ","
    "\"EmbedAllRequest\":" OBJECT("\"inputs\"", "\"inputs\":" INPUTS "," MANY) ","
    "\"EmbedAllResponse\":" LIST_OF(LIST_OF(LIST_OF(NUMBER))) ","
    "\"EmbedSparseResponse\":" LIST_OF(LIST_OF(OBJECT("\"index\",\"value\"", "\"index\":" UINT ",\"value\":" NUMBER))) ","
    "\"VertexRequest\":" OBJECT("\"instances\"", "\"instances\":" FULL_LIST_OF(REF("EmbedRequest"))) ","
    "\"VertexResponse\":" OBJECT("\"predictions\"", "\"predictions\":" LIST_OF(REF("EmbedResponse"))) ","
    "\"SimilarityRequest\":" OBJECT("\"inputs\"", "\"inputs\":" OBJECT("\"source_sentence\",\"sentences\"",
    "\"source_sentence\":" FULL ",\"sentences\":" FULL_LIST_OF(FULL)) ","
    COMMON("EmbedParameters") ",\"normalize\":" BOOL ",\"dimensions\":" COUNT) ","
    "\"SimilarityResponse\":" LIST_OF(NUMBER) ","
    "\"RerankRequest\":" OBJECT("\"query\",\"texts\"", "\"query\":" FULL ",\"texts\":" FULL_LIST_OF(STRING)
    ",\"raw_scores\":" BOOL ",\"return_text\":" BOOL "," MANY) ","
    "\"RerankResponse\":" LIST_OF(OBJECT("\"index\",\"score\"", "\"index\":" UINT ",\"text\":" STRING
    ",\"score\":" NUMBER)) ","
    "\"PredictRequest\":" OBJECT("\"inputs\"", "\"inputs\":" ANY_OF(FULL "," PAIR_OF(FULL) "," FULL_LIST_OF(PAIR_OF(FULL)))
    ",\"raw_scores\":" BOOL "," MANY) ","
    "\"Predictions\":" LIST_OF(OBJECT("\"score\",\"label\"", "\"score\":" NUMBER ",\"label\":" STRING)) ","
    "\"PredictResponse\":" ANY_OF(REF("Predictions") "," LIST_OF(REF("Predictions"))) ","
    "\"TokenizeRequest\":" OBJECT("\"inputs\"", "\"inputs\":" ANY_OF(FULL "," FULL_LIST_OF(FULL))
    ",\"add_special_tokens\":" BOOL "," PROMPT ",\"model\":" TEXT) ","
    "\"TokenizeResponse\":" LIST_OF(LIST_OF(OBJECT("\"id\",\"text\",\"special\",\"start\",\"stop\"", "\"id\":" UINT
    ",\"text\":" STRING ",\"special\":{\"type\":\"boolean\"},\"start\":{\"type\":[\"integer\",\"null\"]},"
    "\"stop\":{\"type\":[\"integer\",\"null\"]}"))) ","
    "\"DecodeRequest\":" OBJECT("\"ids\"", "\"ids\":" ANY_OF(IDS "," FULL_LIST_OF(IDS)) ",\"skip_special_tokens\":" BOOL
    ",\"prompt_name\":" TEXT ",\"model\":" TEXT) ","
    "\"DecodeResponse\":" LIST_OF(STRING) ","
    "\"Info\":" OBJECT("\"model_id\",\"model_sha\",\"model_dtype\",\"served_model_name\",\"model_type\","
    "\"max_concurrent_requests\",\"max_input_length\",\"max_batch_tokens\",\"max_batch_requests\",\"max_client_batch_size\","
    "\"auto_truncate\",\"tokenization_workers\",\"version\",\"sha\",\"docker_label\"",
    "\"model_id\":" STRING ",\"model_sha\":" TEXT ",\"model_dtype\":" STRING ",\"served_model_name\":" STRING
    ",\"model_type\":{\"type\":\"object\"},\"max_concurrent_requests\":" UINT ",\"max_input_length\":" UINT
    ",\"max_batch_tokens\":" UINT ",\"max_client_batch_size\":" UINT ",\"auto_truncate\":{\"type\":\"boolean\"},"
    "\"tokenization_workers\":" UINT ",\"version\":" STRING) ","
    "\"Error\":" OBJECT("\"error\",\"error_type\"", "\"error\":" STRING ",\"error_type\":{\"enum\":[\"Unhealthy\","
    "\"Backend\",\"Overloaded\",\"Validation\",\"Tokenizer\",\"Empty\"]}") "}";
/* clang-format on */

const hd_protocol hd__protocol_tei = {
    .name = "TEI",
    .dialect = &dialect,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
