/* http.h - one HTTP exchange without a socket: what was asked, what is answered, what it took, what went wrong.
 *
 * `serve` moves these between sockets and a handler, `wire` turns them into work and back; neither knows the other.
 * Everything hangs on the exchange's arena and lives until the response has been sent. An exchange has one owner at
 * a time: it is handed over, never shared.
 */
#ifndef HD_BASE_HTTP_H
#define HD_BASE_HTTP_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/span.h"

typedef enum hd_http_method {
    HD_HTTP_GET,
    HD_HTTP_HEAD,
    HD_HTTP_POST,
    HD_HTTP_PUT,
    HD_HTTP_DELETE,
    HD_HTTP_OPTIONS,
    HD_HTTP_OTHER, /* any other token: known nowhere */
} hd_http_method;

typedef struct hd_http_header {
    hd_span name, value;
} hd_http_header;

typedef struct hd_http_request {
    hd_http_method method;
    hd_span path;                  /* percent-decoded, without the query, begins with "/" */
    hd_span query;                 /* as sent, after the "?"; empty without one */
    hd_span body;                  /* whole, inflated when it came compressed; empty without one */
    const hd_http_header *headers; /* [n_headers] */
    size_t n_headers;
    const char *id;    /* X-Request-Id as sent or made here; printable ASCII, at most HD_LIMIT_REQUEST_ID_BYTES */
    const char *peer;  /* the client's address in text; "unix" on a Unix socket */
    uint64_t caller;   /* whose turn it is when callers take turns: hash of the key, else of the address */
    bool accepts_gzip; /* the response may be compressed */
} hd_http_request;

/* A header's value; names compare without case. An empty span with ptr NULL when it was not sent. */
hd_span hd__http_header(const hd_http_request *request, const char *name);

/* Percent-decoded into the arena, with a NUL behind; ptr NULL when memory is missing. A "%" without two digits stands for
 * itself; "+" is a blank in queries and itself in paths. */
hd_span hd__http_unescape(hd_span text, bool plus_is_blank, hd_arena *arena);

/* A query parameter's value, percent-decoded into the arena; ptr NULL when it is missing or memory is. */
hd_span hd__http_query(const hd_http_request *request, const char *name, hd_arena *arena);

#define HD_HTTP_MAX_HEADERS 16

/* Zero is a response that nobody has written yet. */
typedef struct hd_http_response {
    int status;
    const char *content_type;                    /* constant text; NULL: none is sent */
    hd_http_header headers[HD_HTTP_MAX_HEADERS]; /* values on the arena or constant */
    size_t n_headers;
    bool is_noise;  /* numbers that compressing hardly shortens: sent as they are */
    hd_buffer body; /* freed by whoever owns the exchange */
} hd_http_response;

/* Adds a header; one too many is a bug. */
void hd__http_set(hd_http_response *response, const char *name, hd_span value);
/* printf into the arena; without memory the header is left out. */
void hd__http_setf(hd_http_response *response, hd_arena *arena, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- what went wrong ---- */

/* Kinds, not status codes: each protocol has its own status, type and body for each of them (its dialect). */
typedef enum hd_fault_kind {
    HD_FAULT_NONE = 0,
    /* the request, as HTTP */
    HD_FAULT_HTTP,       /* malformed beyond what follows */
    HD_FAULT_ROUTE,      /* no such path */
    HD_FAULT_METHOD,     /* not with this method */
    HD_FAULT_KEY,        /* key missing or wrong */
    HD_FAULT_BODY_BYTES, /* body over the limit */
    HD_FAULT_ENCODING,   /* Content-Encoding not understood, or it does not inflate */
    HD_FAULT_BODY_TIME,  /* the body did not come in time */
    /* the request, as the protocol's */
    HD_FAULT_JSON,        /* not JSON, too deep, not an object */
    HD_FAULT_MISSING,     /* a required field is missing */
    HD_FAULT_TYPE,        /* a field has the wrong type */
    HD_FAULT_VALUE,       /* a field has a value out of its range */
    HD_FAULT_EMPTY,       /* nothing to do: an empty list, or empty text where the protocol refuses it */
    HD_FAULT_INPUTS,      /* more inputs than one request may have: n of limit */
    HD_FAULT_TOKENS,      /* an input longer than the model takes, cutting not allowed: n of limit */
    HD_FAULT_MODEL,       /* no such model */
    HD_FAULT_UNSUPPORTED, /* the model has no such head, the build no such thing */
    /* the server */
    HD_FAULT_OVERLOADED, /* the queue is full: retry_after_s */
    HD_FAULT_DEADLINE,   /* not done in time */
    HD_FAULT_CANCELLED,  /* the client went away; nobody reads this one */
    HD_FAULT_LOADING,    /* not ready yet */
    HD_FAULT_STOPPING,   /* shutting down */
    HD_FAULT_MEMORY,     /* no memory for it */
    HD_FAULT_LOAD,       /* the model's files cannot be loaded */
    HD_FAULT_NUMERIC,    /* the model gave a NaN */
    HD_FAULT_INTERNAL,   /* anything else */
    HD_FAULT_KINDS
} hd_fault_kind;

typedef struct hd_fault {
    hd_fault_kind kind;
    const char *field;      /* the field at fault; NULL: none. Constant or on the arena */
    uint64_t n, limit;      /* of INPUTS, TOKENS, BODY_BYTES */
    uint32_t retry_after_s; /* of OVERLOADED, LOADING */
    char text[HD_ERROR_TEXT_BYTES];
} hd_fault;

/* Fills fault and returns HD_ERR_ARG, so that a reader can `return hd__fault(...)`. */
hd_status hd__fault(hd_fault *fault, hd_fault_kind kind, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));

/* A short constant name: "json", "tokens", … for logs and the `kind` label of metrics. */
const char *hd__fault_name(hd_fault_kind kind);

/* ---- what it took ---- */

/* Where a request stands in a trace (W3C Trace Context). */
typedef struct hd_trace_context {
    uint64_t trace_high, trace_low; /* not both zero */
    uint64_t parent;                /* the caller's span; 0: the trace begins here */
    uint64_t span;                  /* the request's own */
    bool sampled;                   /* as the caller has decided */
} hd_trace_context;

/* Parts of a search, for the metrics. */
enum {
    HD_SEARCH_EMBED,
    HD_SEARCH_BM25, /* the legs, in the order of hd_leg's bits */
    HD_SEARCH_DENSE,
    HD_SEARCH_SPARSE,
    HD_SEARCH_MULTI,
    HD_SEARCH_RERANK,
    HD_SEARCH_TOTAL,
    HD_SEARCH_PARTS
};

/* One request from end to end: what the access log, the metrics and the traces are made of. `serve` fills the first
 * part, `wire` the second. Times are hd__now_ns(); 0: did not get there. */
typedef struct hd_http_record {
    uint64_t start_ns;                       /* headers complete */
    uint64_t body_ns;                        /* body complete, handler begins */
    uint64_t handled_ns;                     /* response written into memory */
    uint64_t sent_ns;                        /* response sent, or the connection lost */
    uint64_t n_body_bytes, n_response_bytes; /* of bodies, as on the wire */
    bool aborted;                            /* the client went away before the end */
    hd_trace_context trace;

    const char *route;   /* the path of the route's table entry: bounded in number; NULL: none matched */
    const char *dialect; /* "openai", "tei", …; NULL: none */
    const char *task;    /* "embed", "rerank", …; NULL: none */
    const char *model;   /* the name it is served by; NULL: none */
    hd_fault_kind fault;
    uint32_t n_inputs;
    uint64_t n_characters, n_tokens, n_cached;                     /* n_tokens: of all inputs, cached ones too */
    uint64_t read_ns, tokenize_ns, queue_ns, compute_ns, write_ns; /* durations of the phases */
    uint32_t n_searches;
    uint64_t search_ns[HD_SEARCH_PARTS]; /* of all its searches; 0: the part took no part */
} hd_http_record;

/* ---- the exchange ---- */

typedef struct hd_exchange {
    hd_http_request request;
    hd_http_response response;
    hd_http_record record;
    hd_arena arena;
    void *work; /* the handler's, from begin to finish */
} hd_exchange;

#endif
