/* flow.c - one request as libmicrohttpd tells it: the request line, the head, the body in pieces, the end.
 *
 * What a request may look like is RFC 9112. The library parses it (strictly, see server.c); refused here is what it
 * lets pass and proxies disagree about: a length beside a transfer coding, or two lengths (section 6.3).
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "serve/server_int.h"
#include "serve/trace_context.h"

#define FIRST_BODY_BYTES (64u << 10) /* a longer one grows as it comes: what is announced need not come */
#define LIGHT_CODED_BYTES 16384u     /* a compressed body this short */
#define LIGHT_PLAIN_BYTES 65536u     /* that becomes no longer than this is inflated in some 0.2 ms */

enum { RECORD_BYTES = 64 }; /* of the library's for each header, cookie and parameter: struct MHD_HTTP_Header, rounded */

/* What a target takes of the connection's memory. */
static size_t uri_bytes(const char *uri)
{
    size_t n_parameters = 0;
    const char *at = strchr(uri, '?');
    for (; at != NULL; at = strchr(at + 1, '&'))
        n_parameters++;
    return strlen(uri) + n_parameters * RECORD_BYTES;
}

void *hd__flow_uri(void *server, const char *uri, struct MHD_Connection *connection)
{
    hd_server *s = server;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    hd_flow *flow = info != NULL && info->socket_context != NULL ? hd__calloc(1, sizeof *flow) : NULL;
    if (flow == NULL)
        return NULL;
    hd__arena_init(&flow->exchange.arena);
    hd__buffer_init(&flow->exchange.response.body);
    hd__buffer_init(&flow->body);
    flow->server = s;
    flow->peer = info->socket_context;
    flow->connection = connection;
    flow->uri = hd__arena_strndup(&flow->exchange.arena, uri, strlen(uri));
    hd__flow_forget(flow->peer);
    flow->peer->nascent = flow;
    if (uri_bytes(uri) > HD_LIMIT_HEAD_BYTES)
        hd__flow_refuse_uri(flow);
    return flow;
}

static void free_flow(hd_flow *flow)
{
    hd__buffer_clear(&flow->body);
    hd__buffer_clear(&flow->exchange.response.body);
    hd__arena_clear(&flow->exchange.arena);
    hd__free(flow);
}

void hd__flow_forget(hd_peer *peer)
{
    if (peer->nascent != NULL)
        free_flow(peer->nascent);
    peer->nascent = NULL;
}

/* ---- the head ---- */

static hd_http_method method_of(const char *name)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    for (int i = 0; i < HD_HTTP_OTHER; i++)
        if (strcmp(name, names[i]) == 0)
            return (hd_http_method)i;
    return HD_HTTP_OTHER;
}

/* Path and query of the request target; false when it is none. "http://host/path" means "/path". */
static bool split_uri(hd_flow *flow)
{
    hd_http_request *q = &flow->exchange.request;
    const char *at = flow->uri, *authority = strstr(at, "://");
    if (at[0] != '/' && authority != NULL) {
        at = strchr(authority + 3, '/');
        at = at != NULL ? at : "/";
    }
    if (at[0] != '/')
        return strcmp(at, "*") == 0 && q->method == HD_HTTP_OPTIONS;
    const char *query = strchr(at, '?');
    q->query = query != NULL ? hd__span_of(query + 1) : hd__span("", 0);
    q->path =
        hd__http_unescape(hd__span(at, query != NULL ? (size_t)(query - at) : strlen(at)), false, &flow->exchange.arena);
    return q->path.ptr != NULL && memchr(q->path.ptr, '\0', q->path.len) == NULL;
}

typedef struct head {
    hd_flow *flow;
    hd_http_header *headers;
    size_t n, capacity;
    unsigned n_lengths, n_codings;
    bool malformed;
} head;

/* RFC 9110 section 5.6.2. The library lets "Content-Length : 5" pass as a header of another name. */
static bool is_token(const char *name)
{
    size_t n = 0;
    while (name[n] > ' ' && name[n] <= '~' && strchr("\"(),/:;<=>?@[\\]{}", name[n]) == NULL)
        n++;
    return n > 0 && name[n] == '\0';
}

static bool is_length(const char *value)
{
    const size_t n = strspn(value, "0123456789");
    return n > 0 && value[n] == '\0';
}

/* A folded line (RFC 9112 section 5.2) becomes part of the name in libmicrohttpd 0.9: "Content-Length: 0", " 5" comes as
 * "Content-Length5: 0", and the body would be taken for the next request. */
static bool is_folded(const char *name)
{
    static const char length[] = "Content-Length", coding[] = "Transfer-Encoding";
    return (strncasecmp(name, length, sizeof length - 1) == 0 && name[sizeof length - 1] != '\0') ||
           (strncasecmp(name, coding, sizeof coding - 1) == 0 && name[sizeof coding - 1] != '\0');
}

static enum MHD_Result take_header(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    head *h = data;
    (void)kind;
    if (h->n == h->capacity)
        return MHD_NO;
    h->headers[h->n++] = (hd_http_header){hd__span_of(name), hd__span_of(value != NULL ? value : "")};
    const bool says_length = strcasecmp(name, "Content-Length") == 0;
    h->n_lengths += says_length;
    const bool says_coding = strcasecmp(name, "Transfer-Encoding") == 0;
    h->n_codings += says_coding;
    if (says_coding && strcasecmp(value != NULL ? value : "", "chunked") != 0) /* the library would read until the end */
        h->malformed = true;
    h->malformed |= !is_token(name) || is_folded(name) || (says_length && !is_length(value != NULL ? value : ""));
    return MHD_YES;
}

static const char *read_headers(hd_flow *flow)
{
    hd_http_request *q = &flow->exchange.request;
    head h = {.flow = flow, .capacity = HD_LIMIT_REQUEST_HEADERS + 1};
    h.headers = hd__arena_calloc(&flow->exchange.arena, h.capacity, sizeof *h.headers);
    if (h.headers == NULL)
        return "no memory for this request";
    MHD_get_connection_values(flow->connection, MHD_HEADER_KIND, take_header, &h);
    q->headers = h.headers;
    q->n_headers = h.n;
    if (h.n > HD_LIMIT_REQUEST_HEADERS)
        return "the request has too many headers";
    if (h.malformed)
        return "the request has a malformed header";
    if (h.n_lengths > 1 || h.n_codings > 1 || (h.n_lengths > 0 && h.n_codings > 0))
        return "the request says the length of its body more than once";
    return NULL;
}

/* What the head takes of the connection's memory: itself, a record for each field, and a copy of the cookies. */
static size_t head_bytes(const hd_flow *flow)
{
    const int kinds = MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(flow->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const int n_fields = MHD_get_connection_values(flow->connection, (enum MHD_ValueKind)kinds, NULL, NULL);
    const hd_span cookies = hd__http_header(&flow->exchange.request, "Cookie");
    return (info != NULL ? info->header_size : 0) + (size_t)n_fields * RECORD_BYTES + cookies.len;
}

static uint64_t new_id(hd_server *s)
{
    const uint64_t n = atomic_fetch_add(&s->n_ids, 1);
    return hd__hash64(hd__span(&n, sizeof n), s->id_seed) | 1; /* never 0, which is no id */
}

/* Printable ASCII without blanks, as long as a UUID and some; anything else gets one of ours. */
static void set_id(hd_flow *flow)
{
    hd_http_request *q = &flow->exchange.request;
    hd_server *s = flow->server;
    const hd_span sent = hd__http_header(q, "X-Request-Id");
    bool good = sent.len > 0 && sent.len <= HD_LIMIT_REQUEST_ID_BYTES;
    for (size_t i = 0; i < sent.len && good; i++)
        good = sent.ptr[i] > ' ' && sent.ptr[i] <= '~';
    q->id = good ? hd__arena_strndup(&flow->exchange.arena, sent.ptr, sent.len)
                 : hd__arena_printf(&flow->exchange.arena, "%016llx", (unsigned long long)new_id(s));
    if (q->id == NULL)
        q->id = "none";
}

/* The caller's trace, or one of its own: the log, the traces and the client then tell of the same one. */
static void set_trace(hd_flow *flow)
{
    hd_server *s = flow->server;
    hd_trace_context *trace = &flow->exchange.record.trace;
    if (!hd__trace_context_parse(hd__http_header(&flow->exchange.request, "traceparent"), trace))
        *trace = (hd_trace_context){.trace_high = new_id(s), .trace_low = new_id(s)};
    trace->span = new_id(s);
}

static void set_cors(hd_flow *flow)
{
    const hd_server_options *o = &flow->server->options;
    const hd_http_request *q = &flow->exchange.request;
    const hd_span origin = hd__http_header(q, "Origin");
    for (size_t i = 0; i < o->n_cors_origins && origin.len > 0; i++)
        if (strcmp(o->cors_origins[i], "*") == 0 || hd__span_is(origin, o->cors_origins[i]))
            flow->origin = origin;
    flow->is_preflight = q->method == HD_HTTP_OPTIONS && hd__http_header(q, "Access-Control-Request-Method").ptr != NULL;
}

static bool accepts_gzip(const hd_http_request *request)
{
    const hd_span accepted = hd__http_header(request, "Accept-Encoding");
    for (size_t i = 0; i + 4 <= accepted.len; i++)
        if (strncasecmp(accepted.ptr + i, "gzip", 4) == 0)
            return strncmp(accepted.ptr + i + 4, ";q=0", 4) != 0 || strncmp(accepted.ptr + i + 4, ";q=0.", 5) == 0;
    return false;
}

static void answer_options(hd_flow *flow, const char *allow)
{
    hd_http_response *r = &flow->exchange.response;
    r->status = 204;
    hd__http_setf(r, &flow->exchange.arena, "Allow", "%s", allow[0] != '\0' ? allow : "OPTIONS");
    atomic_store(&flow->state, HD_FLOW_ANSWERED);
}

/* Refuses what can be refused before the body has come. */
static void check_head(hd_flow *flow)
{
    hd_server *s = flow->server;
    hd_http_request *q = &flow->exchange.request;
    hd_fault_kind why;
    hd_span key;
    char allow[64];
    flow->endpoint = hd__route_find(s, q->method, q->path, &why, allow);
    const bool fits = hd__key_fits(s, q, &key);
    q->caller = key.len > 0 ? hd__hash64(key, s->id_seed) : flow->peer->address_hash;
    if (q->method == HD_HTTP_OPTIONS && (why == HD_FAULT_METHOD || q->path.ptr == NULL)) {
        answer_options(flow, allow);
    } else if (why != HD_FAULT_NONE) {
        hd__flow_refuse(flow, why, why == HD_FAULT_ROUTE ? "there is nothing at this path" : "not with this method");
        if (why == HD_FAULT_METHOD)
            hd__http_setf(&flow->exchange.response, &flow->exchange.arena, "Allow", "%s", allow);
    } else if (!fits && !flow->endpoint->is_public) {
        hd__flow_refuse(flow, HD_FAULT_KEY, key.ptr != NULL ? "the API key is wrong" : "an API key is needed");
    }
}

static void refuse_length(hd_flow *flow)
{
    char text[96];
    snprintf(text, sizeof text, "the body is longer than the %" PRIu64 " bytes that this server takes",
             flow->server->options.max_body_bytes);
    hd__flow_refuse(flow, HD_FAULT_BODY_BYTES, text);
}

static void check_length(hd_flow *flow)
{
    hd_server *s = flow->server;
    const hd_http_request *q = &flow->exchange.request;
    const hd_span length = hd__http_header(q, "Content-Length");
    uint64_t n = 0;
    for (size_t i = 0; i < length.len && n <= s->options.max_body_bytes; i++)
        n = n * 10 + (uint64_t)(length.ptr[i] - '0'); /* digits, as read_headers has seen */
    if (n > s->options.max_body_bytes) {
        refuse_length(flow);
    } else if (n > 0 && atomic_load(&s->bodies_bytes) + n > s->options.max_bodies_bytes) {
        hd__flow_refuse(flow, HD_FAULT_OVERLOADED, "too many request bodies are in memory");
    } else if (n > 0 && hd__buffer_reserve(&flow->body, n < FIRST_BODY_BYTES ? n : FIRST_BODY_BYTES) == NULL) {
        hd__flow_refuse(flow, HD_FAULT_MEMORY, "no memory for this request");
    }
    flow->closes |= atomic_load(&flow->state) == HD_FLOW_ANSWERED && n > 0; /* the body will not be read */
}

static enum MHD_Result take_head(hd_flow *flow, const char *method)
{
    hd_server *s = flow->server;
    hd_exchange *x = &flow->exchange;
    flow->head_done = true;
    flow->peer->nascent = NULL;
    atomic_fetch_add(&s->n_flows, 1);
    x->record.start_ns = hd__now_ns();
    atomic_fetch_add(&s->n_requests, 1);
    hd__peer_phase(flow->peer, HD_PHASE_BODY);
    x->request.method = method_of(method);
    x->request.peer = flow->peer->address;
    const char *wrong = read_headers(flow);
    flow->n_head_bytes = head_bytes(flow);
    set_id(flow);
    set_trace(flow);
    if (wrong == NULL && !split_uri(flow))
        wrong = "the request's target is no path";
    if (wrong != NULL) {
        hd__flow_refuse(flow, HD_FAULT_HTTP, wrong);
        flow->closes = true;
        return hd__flow_send(flow);
    }
    if (flow->n_head_bytes > HD_LIMIT_HEAD_BYTES)
        return hd__flow_refuse_head(flow);
    x->request.accepts_gzip = accepts_gzip(&x->request);
    set_cors(flow);
    check_head(flow);
    if (atomic_load(&flow->state) == HD_FLOW_HEAD)
        check_length(flow);
    else
        flow->closes = hd__http_header(&x->request, "Content-Length").len > 0 ||
                       hd__http_header(&x->request, "Transfer-Encoding").len > 0;
    if (atomic_load(&flow->state) == HD_FLOW_HEAD)
        atomic_store(&flow->state, HD_FLOW_BODY);
    return flow->closes ? hd__flow_send(flow) : MHD_YES; /* the library closes after what is answered as early as this */
}

/* ---- the body ---- */

static void account(hd_flow *flow, uint64_t n)
{
    atomic_fetch_add(&flow->server->bodies_bytes, n);
    flow->n_accounted += n;
}

/* Past a limit the rest is read and dropped: the library takes no response while the body comes. */
static enum MHD_Result take_body(hd_flow *flow, const char *bytes, size_t n)
{
    hd_server *s = flow->server;
    flow->exchange.record.n_body_bytes += n;
    if (flow->exchange.record.n_body_bytes > s->options.max_body_bytes) {
        flow->too_large = true;
        hd__buffer_clear(&flow->body);
        return flow->exchange.record.n_body_bytes > 2 * s->options.max_body_bytes ? MHD_NO : MHD_YES;
    }
    account(flow, n);
    hd__buffer_append(&flow->body, bytes, n);
    return MHD_YES;
}

/* True: there is a Content-Encoding to undo. One that nobody knows is refused. */
static bool is_coded(hd_flow *flow)
{
    const hd_span coding = hd__http_header(&flow->exchange.request, "Content-Encoding");
    if (coding.len == 0 || strcasecmp(coding.ptr, "identity") == 0)
        return false;
    if (strcasecmp(coding.ptr, "gzip") != 0 && strcasecmp(coding.ptr, "x-gzip") != 0 &&
        strcasecmp(coding.ptr, "deflate") != 0) {
        hd__flow_refuse(flow, HD_FAULT_ENCODING, "the body's Content-Encoding is neither gzip nor deflate");
        return false;
    }
    return true;
}

/* Inflates the body. HD_ERR_LIMIT: it would be longer than max_bytes. */
static hd_status decode_body(hd_flow *flow, uint64_t max_bytes, hd_error *err)
{
    hd_buffer plain;
    hd__buffer_init(&plain);
    const hd_status status = hd__inflate(hd__buffer_span(&flow->body), max_bytes, &plain, err);
    if (status != HD_OK) {
        hd__buffer_clear(&plain);
        return status;
    }
    hd__buffer_clear(&flow->body);
    flow->body = plain;
    account(flow, plain.len);
    return HD_OK;
}

static void refuse_coded(hd_flow *flow, hd_status why, const char *text)
{
    const hd_fault_kind kind = why == HD_ERR_LIMIT    ? HD_FAULT_BODY_BYTES
                               : why == HD_ERR_MEMORY ? HD_FAULT_MEMORY
                                                      : HD_FAULT_ENCODING;
    hd__flow_refuse(flow, kind, text);
}

static void begin(hd_flow *flow)
{
    hd_exchange *x = &flow->exchange;
    x->request.body = hd__buffer_span(&flow->body);
    atomic_store(&flow->state, HD_FLOW_BEGUN);
    flow->endpoint->begin(x, flow->endpoint->data);
}

/* The connection is suspended: whoever finishes wakes it, or this does when the answer is there already. */
static void fall_asleep(hd_flow *flow)
{
    int begun = HD_FLOW_BEGUN;
    if (atomic_load(&flow->state) == HD_FLOW_BEGUN) {
        hd__peer_watch(flow);
        if (atomic_compare_exchange_strong(&flow->state, &begun, HD_FLOW_SLEEPS))
            return;
        hd__peer_unwatch(flow);
    }
    MHD_resume_connection(flow->connection);
}

static void inflate_and_begin(hd_task_node *node)
{
    hd_flow *flow = (hd_flow *)((char *)node - offsetof(hd_flow, node));
    hd_error err;
    const hd_status status = decode_body(flow, flow->server->options.max_body_bytes, &err);
    if (status == HD_OK)
        begin(flow);
    else
        refuse_coded(flow, status, err.text);
    fall_asleep(flow);
}

/* What is short is inflated here; how long it becomes is only known then. True: the rest is for another thread. */
static bool is_long_to_inflate(hd_flow *flow)
{
    const uint64_t max_bytes = flow->server->options.max_body_bytes;
    const uint64_t light_bytes = max_bytes < LIGHT_PLAIN_BYTES ? max_bytes : LIGHT_PLAIN_BYTES;
    hd_error err;
    if (flow->body.len > LIGHT_CODED_BYTES)
        return true;
    const hd_status status = decode_body(flow, light_bytes, &err);
    if (status == HD_ERR_LIMIT && light_bytes < max_bytes)
        return true;
    if (status == HD_OK)
        begin(flow);
    else
        refuse_coded(flow, status, err.text);
    return false;
}

/* The request is whole: gives it to its endpoint, and lets the connection sleep if the answer is not there yet. */
static enum MHD_Result take_end(hd_flow *flow)
{
    bool is_long = false;
    flow->exchange.record.body_ns = hd__now_ns();
    hd__peer_phase(flow->peer, HD_PHASE_WORK);
    if (flow->too_large)
        refuse_length(flow);
    else if (flow->body.failed)
        hd__flow_refuse(flow, HD_FAULT_MEMORY, "no memory for this request");
    else if (is_coded(flow))
        is_long = is_long_to_inflate(flow);
    else if (atomic_load(&flow->state) != HD_FLOW_ANSWERED)
        begin(flow);
    if (atomic_load(&flow->state) == HD_FLOW_ANSWERED)
        return hd__flow_send(flow);
    MHD_suspend_connection(flow->connection);
    if (is_long) {
        flow->node.run = inflate_and_begin;
        hd__pool_push(flow->server->pool, &flow->node);
    } else {
        fall_asleep(flow);
    }
    return MHD_YES;
}

enum MHD_Result hd__flow_handle(void *server, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *n_upload, void **data)
{
    hd_flow *flow = *data;
    (void)server;
    (void)connection;
    (void)url;
    (void)version;
    if (flow == NULL || flow->uri == NULL)
        return MHD_NO; /* no memory */
    if (!flow->head_done)
        return take_head(flow, method);
    if (*n_upload > 0) {
        const size_t n = *n_upload;
        *n_upload = 0;
        return take_body(flow, upload, n);
    }
    switch ((hd_flow_state)atomic_load(&flow->state)) {
    case HD_FLOW_BODY: return take_end(flow);
    case HD_FLOW_ANSWERED: return hd__flow_send(flow);
    default: return MHD_YES;
    }
}

/* ---- the end ---- */

void hd__flow_completed(void *server, struct MHD_Connection *connection, void **data, enum MHD_RequestTerminationCode how)
{
    hd_server *s = server;
    hd_flow *flow = *data;
    (void)connection;
    if (flow == NULL || !flow->head_done)
        return;
    hd_exchange *x = &flow->exchange;
    *data = NULL;
    hd__peer_phase(flow->peer, HD_PHASE_IDLE);
    x->record.sent_ns = hd__now_ns();
    x->record.aborted = how != MHD_REQUEST_TERMINATED_COMPLETED_OK && !flow->sent_past;
    if (flow->head_done && x->record.aborted && atomic_load(&flow->state) == HD_FLOW_BODY)
        x->record.fault = how == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED ? HD_FAULT_BODY_TIME : HD_FAULT_CANCELLED;
    for (size_t i = 0; i < s->options.n_observers && flow->head_done; i++)
        s->options.observers[i].request_done(x, s->options.observers[i].data);
    atomic_fetch_sub(&s->bodies_bytes, flow->n_accounted);
    free_flow(flow);
    atomic_fetch_sub(&s->n_flows, 1);
}
