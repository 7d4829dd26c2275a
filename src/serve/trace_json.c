/* trace_json.c - see trace_json.h. */
#include "serve/trace_json.h"

enum { KIND_INTERNAL = 1, KIND_SERVER = 2 }; /* Span.SpanKind */
enum { STATUS_ERROR = 2 };                   /* Status.StatusCode */

/* ---- values ---- */

static void put_text(hd_buffer *body, const char *text)
{
    hd__buffer_append_json(body, hd__span_of(text));
}

static void put_attribute_name(hd_buffer *body, const char *key)
{
    if (body->len > 0 && body->ptr[body->len - 1] == '}')
        hd__buffer_append_char(body, ',');
    hd__buffer_append_text(body, "{\"key\":");
    put_text(body, key);
}

static void put_text_attribute(hd_buffer *body, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    put_attribute_name(body, key);
    hd__buffer_append_text(body, ",\"value\":{\"stringValue\":");
    put_text(body, value);
    hd__buffer_append_text(body, "}}");
}

static void put_int_attribute(hd_buffer *body, const char *key, uint64_t value)
{
    put_attribute_name(body, key);
    hd__buffer_printf(body, ",\"value\":{\"intValue\":\"%llu\"}}", (unsigned long long)value);
}

/* ---- the body ---- */

void hd__trace_json_begin(hd_buffer *body, const hd_traces_options *options)
{
    hd__buffer_append_text(body, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t i = 0; i < options->n_attributes; i++)
        put_text_attribute(body, options->attributes[i].key, options->attributes[i].value);
    hd__buffer_append_text(body, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"heddle\",\"version\":");
    put_text(body, options->version != NULL ? options->version : "");
    hd__buffer_append_text(body, "},\"spans\":[");
}

void hd__trace_json_end(hd_buffer *body)
{
    hd__buffer_append_text(body, "]}]}]}");
}

/* ---- one span ---- */

static const char *method_name(hd_http_method method)
{
    switch (method) {
    case HD_HTTP_GET: return "GET";
    case HD_HTTP_HEAD: return "HEAD";
    case HD_HTTP_POST: return "POST";
    case HD_HTTP_PUT: return "PUT";
    case HD_HTTP_DELETE: return "DELETE";
    case HD_HTTP_OPTIONS: return "OPTIONS";
    default: return "_OTHER"; /* as the conventions want it */
    }
}

/* All up to the attributes' list, which is left open. */
static void begin_span(hd_buffer *body, const hd_trace_record *r, uint64_t id, uint64_t parent, int kind, uint64_t from_ns,
                       uint64_t to_ns)
{
    if (body->len > 0 && body->ptr[body->len - 1] == '}')
        hd__buffer_append_char(body, ',');
    hd__buffer_printf(body, "{\"traceId\":\"%016llx%016llx\",\"spanId\":\"%016llx\",",
                      (unsigned long long)r->http.trace.trace_high, (unsigned long long)r->http.trace.trace_low,
                      (unsigned long long)id);
    if (parent != 0)
        hd__buffer_printf(body, "\"parentSpanId\":\"%016llx\",", (unsigned long long)parent);
    if (r->state[0] != '\0') {
        hd__buffer_append_text(body, "\"traceState\":");
        put_text(body, r->state);
        hd__buffer_append_char(body, ',');
    }
    hd__buffer_printf(body, "\"kind\":%d,\"startTimeUnixNano\":\"%llu\",\"endTimeUnixNano\":\"%llu\",\"attributes\":[", kind,
                      (unsigned long long)(from_ns + r->unix_offset_ns), (unsigned long long)(to_ns + r->unix_offset_ns));
}

/* Closes the attributes' list; names and routes are constants that need no escaping. route may be NULL. */
static void name_span(hd_buffer *body, const char *name, const char *route)
{
    hd__buffer_printf(body, "],\"name\":\"%s%s%s\"", name, route != NULL ? " " : "", route != NULL ? route : "");
}

static void put_request_attributes(hd_buffer *body, const hd_trace_record *r)
{
    const hd_http_record *h = &r->http;
    put_text_attribute(body, "http.request.method", method_name(r->method));
    put_text_attribute(body, "http.route", h->route);
    put_text_attribute(body, "url.path", r->path);
    put_int_attribute(body, "http.response.status_code", (uint64_t)(r->status > 0 ? r->status : 0));
    put_text_attribute(body, "client.address", r->peer);
    put_text_attribute(body, "user_agent.original", r->agent);
    put_int_attribute(body, "http.request.body.size", h->n_body_bytes);
    put_int_attribute(body, "http.response.body.size", h->n_response_bytes);
    put_text_attribute(body, "heddle.request_id", r->request_id);
    put_text_attribute(body, "heddle.protocol", h->dialect);
    put_text_attribute(body, "heddle.task", h->task);
    if (h->fault != HD_FAULT_NONE)
        put_text_attribute(body, "error.type", hd__fault_name(h->fault));
    if (r->model[0] == '\0')
        return;
    if (h->task != NULL && strncmp(h->task, "embed", strlen("embed")) == 0)
        put_text_attribute(body, "gen_ai.operation.name", "embeddings");
    put_text_attribute(body, "gen_ai.response.model", r->model);
    put_int_attribute(body, "gen_ai.usage.input_tokens", h->n_tokens);
    put_int_attribute(body, "heddle.inputs", h->n_inputs);
    put_int_attribute(body, "heddle.cached_inputs", h->n_cached);
}

/* ---- one request ---- */

typedef struct phase {
    const char *name;
    uint64_t from_ns, to_ns;
} phase;

/* Phases one after the other, as they are: body, then from its end read to compute, then write up to `handled`, then send.
 * All inside of the request, whatever the clocks said. Returns their number. */
static size_t list_phases(const hd_http_record *h, uint64_t end_ns, phase phases[HD_TRACE_SPANS - 1])
{
    const uint64_t body_ns = h->body_ns != 0 ? h->body_ns : h->start_ns;
    const uint64_t handled_ns = h->handled_ns != 0 ? h->handled_ns : end_ns;
    const uint64_t read_ns = body_ns + h->read_ns, tokenize_ns = read_ns + h->tokenize_ns;
    const uint64_t queue_ns = tokenize_ns + h->queue_ns, compute_ns = queue_ns + h->compute_ns;
    const phase all[HD_TRACE_SPANS - 1] = {
        {"body", h->start_ns, body_ns},   {"read", body_ns, read_ns},        {"tokenize", read_ns, tokenize_ns},
        {"queue", tokenize_ns, queue_ns}, {"compute", queue_ns, compute_ns}, {"write", handled_ns - h->write_ns, handled_ns},
        {"send", handled_ns, end_ns},
    };
    size_t n = 0;
    for (size_t i = 0; i < HD_TRACE_SPANS - 1; i++) {
        phase p = all[i];
        p.to_ns = p.to_ns < end_ns ? p.to_ns : end_ns;
        if (p.from_ns >= h->start_ns && p.from_ns < p.to_ns)
            phases[n++] = p;
    }
    return n;
}

void hd__trace_json_add(hd_buffer *body, const hd_trace_record *r, const uint64_t *span_ids)
{
    const hd_http_record *h = &r->http;
    uint64_t end_ns = h->sent_ns != 0 ? h->sent_ns : h->handled_ns;
    if (end_ns < h->start_ns)
        end_ns = h->start_ns;
    begin_span(body, r, span_ids[0], r->http.trace.parent, KIND_SERVER, h->start_ns, end_ns);
    put_request_attributes(body, r);
    name_span(body, method_name(r->method), h->route);
    if (r->status >= 500)
        hd__buffer_printf(body, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    hd__buffer_append_char(body, '}');
    phase phases[HD_TRACE_SPANS - 1];
    const size_t n = list_phases(h, end_ns, phases);
    for (size_t i = 0; i < n; i++) {
        begin_span(body, r, span_ids[1 + i], span_ids[0], KIND_INTERNAL, phases[i].from_ns, phases[i].to_ns);
        name_span(body, phases[i].name, NULL);
        hd__buffer_append_char(body, '}');
    }
}
