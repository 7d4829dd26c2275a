/* reply.c - responses on their way out: refusals, CORS (https://fetch.spec.whatwg.org/#http-cors-protocol), gzip. */
#include <stdio.h>

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
    if (add_headers(flow, r))
        queued = MHD_queue_response(flow->connection, (unsigned)x->response.status, r);
    MHD_destroy_response(r);
    return queued;
}
