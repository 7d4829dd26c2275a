/* reply.c - responses on their way out: refusals, room for their heads, CORS
 * (https://fetch.spec.whatwg.org/#http-cors-protocol), gzip. */
#include <stdio.h>
#include <sys/socket.h>

#include "serve/server_int.h"

#define GZIP_LEAST_BYTES 1400 /* a smaller body fits in one packet anyway */

void hd__flow_refuse(hd_flow *flow, hd_fault_kind kind, const char *text)
{
    hd_fault fault;
    hd_exchange *x = &flow->exchange;
    const hd_server_options *o = &flow->server->options;
    HD_IGNORE(hd__fault(&fault, kind, NULL, "%s", text));
    if (kind == HD_FAULT_OVERLOADED || kind == HD_FAULT_STOPPING)
        fault.retry_after_s = 1;
    x->record.fault = kind;
    if (flow->endpoint != NULL && flow->endpoint->write_fault != NULL)
        flow->endpoint->write_fault(&fault, x, flow->endpoint->data);
    else
        o->write_fault(&fault, x, o->data);
    if (kind == HD_FAULT_KEY)
        hd__http_set(&x->response, "WWW-Authenticate", hd__span_of("Bearer"));
    atomic_store(&flow->state, HD_FLOW_ANSWERED);
}

static bool is_text(const char *type)
{
    return type != NULL &&
           (strncmp(type, "text/", 5) == 0 || strncmp(type, "application/j", 13) == 0 || strncmp(type, "image/svg", 9) == 0);
}

/* On whatever thread finishes the exchange: compressing is not for the network's. */
static void compress(hd_flow *flow)
{
    hd_exchange *x = &flow->exchange;
    hd_http_response *r = &x->response;
    bool compressed;
    if (!x->request.accepts_gzip || flow->server->options.no_gzip || r->is_noise || r->body.failed ||
        r->body.len < GZIP_LEAST_BYTES || !is_text(r->content_type))
        return;
    hd__gzip(&r->body, &compressed);
    if (compressed)
        hd__http_set(r, "Content-Encoding", hd__span_of("gzip"));
}

void hd__exchange_finish(hd_exchange *x)
{
    hd_flow *flow = (hd_flow *)x;
    compress(flow);
    if (atomic_exchange(&flow->state, HD_FLOW_ANSWERED) == HD_FLOW_SLEEPS) {
        hd__peer_unwatch(flow);
        MHD_resume_connection(flow->connection);
    }
}

static bool add(struct MHD_Response *r, const char *name, hd_span value, hd_arena *arena)
{
    const char *text = hd__arena_strndup(arena, value.ptr, value.len);
    return text != NULL && MHD_add_response_header(r, name, text) == MHD_YES;
}

static bool add_cors(hd_flow *flow, struct MHD_Response *r)
{
    if (flow->origin.ptr == NULL)
        return true;
    hd_arena *arena = &flow->exchange.arena;
    bool ok = add(r, "Access-Control-Allow-Origin", flow->origin, arena) && add(r, "Vary", hd__span_of("Origin"), arena) &&
              add(r, "Access-Control-Expose-Headers", hd__span_of("*"), arena);
    if (!ok || !flow->is_preflight)
        return ok;
    const hd_span asked = hd__http_header(&flow->exchange.request, "Access-Control-Request-Headers");
    return add(r, "Access-Control-Allow-Methods", hd__span_of("GET, HEAD, POST, PUT, DELETE, OPTIONS"), arena) &&
           add(r, "Access-Control-Max-Age", hd__span_of("86400"), arena) &&
           (asked.len == 0 || add(r, "Access-Control-Allow-Headers", asked, arena));
}

/* To a caller that named its trace: which span of it this was (https://w3c.github.io/trace-context/#traceresponse-header).
 */
static bool add_trace(hd_flow *flow, struct MHD_Response *r)
{
    const hd_trace_context *c = &flow->exchange.record.trace;
    char text[56];
    if (c->parent == 0)
        return true;
    snprintf(text, sizeof text, "00-%016llx%016llx-%016llx-%02x", (unsigned long long)c->trace_high,
             (unsigned long long)c->trace_low, (unsigned long long)c->span, (unsigned)c->sampled);
    return MHD_add_response_header(r, "traceresponse", text) == MHD_YES;
}

static bool add_headers(hd_flow *flow, struct MHD_Response *r)
{
    hd_exchange *x = &flow->exchange;
    bool ok =
        add_cors(flow, r) && add_trace(flow, r) && MHD_add_response_header(r, "X-Request-Id", x->request.id) == MHD_YES;
    if (x->response.content_type != NULL)
        ok = ok && MHD_add_response_header(r, "Content-Type", x->response.content_type) == MHD_YES;
    if (flow->closes || atomic_load(&flow->server->draining))
        ok = ok && MHD_add_response_header(r, "Connection", "close") == MHD_YES;
    for (size_t i = 0; i < x->response.n_headers && ok; i++) {
        const hd_http_header *h = &x->response.headers[i];
        ok = add(r, h->name.ptr, h->value, &x->arena);
    }
    return ok;
}

static enum MHD_Result add_length(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    size_t *n = data;
    (void)kind;
    *n += strlen(name) + strlen(value) + 4;
    return MHD_YES;
}

/* Whether the library can write the response's head. It closes the connection without an answer when it cannot, and
 * also, before anything of ours is called, when it has no memory for the cookies' records. */
static bool has_room(const hd_flow *flow, struct MHD_Response *r)
{
    enum {
        OWN_BYTES = 192,  /* status line, Date, Content-Length, Connection */
        AHEAD_BYTES = 128 /* of the next request, read together with this one's head */
    };
    size_t n = flow->n_head_bytes + OWN_BYTES + AHEAD_BYTES;
    MHD_get_response_headers(r, add_length, &n);
    return n <= HD_CONNECTION_BYTES;
}

/* Nothing but the status: with TLS there is no way past the library, and this is the shortest it can send. */
static enum MHD_Result send_bare(hd_flow *flow)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_NO;
    flow->exchange.record.n_response_bytes = 0;
    if (r != NULL && MHD_add_response_header(r, "Connection", "close") == MHD_YES)
        queued = MHD_queue_response(flow->connection, (unsigned)flow->exchange.response.status, r);
    if (r != NULL)
        MHD_destroy_response(r);
    return queued;
}

/* Past the library, on the socket itself. */
static void send_past(hd_flow *flow, const char *phrase)
{
    const hd_http_response *response = &flow->exchange.response;
    hd_buffer out;
    hd__buffer_init(&out);
    hd__buffer_printf(&out, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n", response->status, phrase,
                      response->body.len);
    if (response->content_type != NULL)
        hd__buffer_printf(&out, "Content-Type: %s\r\n", response->content_type);
    hd__buffer_append_text(&out, "\r\n");
    if (flow->exchange.request.method != HD_HTTP_HEAD)
        hd__buffer_append(&out, response->body.ptr, response->body.len);
    flow->sent_past = !out.failed && send(flow->peer->fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)out.len;
    hd__buffer_clear(&out);
}

enum MHD_Result hd__flow_refuse_head(hd_flow *flow)
{
    hd_exchange *x = &flow->exchange;
    hd__buffer_reset(&x->response.body);
    x->response.n_headers = 0;
    hd__flow_refuse(flow, HD_FAULT_HTTP, "the request's head leaves no room for the response's");
    x->response.status = 431;
    x->record.n_response_bytes = x->response.body.len;
    atomic_store(&flow->state, HD_FLOW_SENT);
    hd__peer_phase(flow->peer, HD_PHASE_SEND);
    if (MHD_get_connection_info(flow->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION) != NULL)
        return send_bare(flow);
    send_past(flow, "Request Header Fields Too Large");
    return MHD_NO; /* the library closes */
}

void hd__flow_refuse_uri(hd_flow *flow)
{
    hd__flow_refuse(flow, HD_FAULT_HTTP, "the request's target is too long");
    flow->exchange.response.status = 414;
    if (MHD_get_connection_info(flow->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION) == NULL)
        send_past(flow, "URI Too Long");
    (void)shutdown(flow->peer->fd, SHUT_RDWR);
}

enum MHD_Result hd__flow_send(hd_flow *flow)
{
    hd_exchange *x = &flow->exchange;
    hd_buffer *body = &x->response.body;
    hd__peer_phase(flow->peer, HD_PHASE_SEND);
    if (body->failed) { /* not even the refusal could be written */
        hd__buffer_reset(body);
        x->response.status = 503;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(body->len, body->ptr, MHD_RESPMEM_PERSISTENT);
    if (r == NULL)
        return MHD_NO;
    x->record.n_response_bytes = body->len;
    atomic_store(&flow->state, HD_FLOW_SENT);
    enum MHD_Result queued = MHD_NO;
    const bool complete = add_headers(flow, r);
    if (complete && !has_room(flow, r)) {
        MHD_destroy_response(r);
        return hd__flow_refuse_head(flow);
    }
    if (complete)
        queued = MHD_queue_response(flow->connection, (unsigned)x->response.status, r);
    MHD_destroy_response(r);
    return queued;
}
