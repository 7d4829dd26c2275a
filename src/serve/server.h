/* server.h - HTTP/1.1 on libmicrohttpd: listeners, TLS, routing, keys, limits, timeouts, draining. No protocol here.
 *
 * A request is read whole within the limits, matched with an endpoint, and handed to its `begin`, mostly on one of the
 * network threads; that must not take long (a few tens of microseconds): whatever does is handed on to other threads,
 * as inflating a long body is here.
 * The connection sleeps until hd__exchange_finish, which any thread may call, begin itself included. A client that
 * goes away in between is noticed: `cancel` is called, and finish is still awaited.
 */
#ifndef HD_SERVE_SERVER_H
#define HD_SERVE_SERVER_H

#include "base/http.h"

typedef struct hd_server hd_server;

typedef struct hd_endpoint {
    hd_http_method method; /* GET answers HEAD too; OPTIONS is answered by the server */
    const char *path;      /* exact; "*" as the last part stands for all the rest, slashes too */
    bool is_public;        /* no key asked for */
    void (*begin)(hd_exchange *exchange, void *data);
    void (*cancel)(hd_exchange *exchange, void *data); /* any thread, at most once, before finish; may be NULL */
    /* The error body for what the server itself refuses on this path; NULL: the options' one. */
    void (*write_fault)(const hd_fault *fault, hd_exchange *exchange, void *data);
    void *data;
} hd_endpoint;

/* Told about every request once it is over, from a network thread. Must not block. */
typedef struct hd_observer {
    void (*request_done)(const hd_exchange *exchange, void *data);
    void *data;
} hd_observer;

/* Zero means the default, which is in brackets. */
typedef struct hd_server_options {
    const char *host;      /* address or name to listen on; NULL with uds: no TCP ["127.0.0.1"] */
    uint16_t port;         /* 0: any free one */
    const char *uds_path;  /* Unix socket; replaced when nobody listens on it any more */
    const int *listen_fds; /* [n_listen_fds] sockets from the service manager, used in place of host and uds_path */
    size_t n_listen_fds;
    const char *tls_cert_path, *tls_key_path; /* PEM; both or none */
    const hd_span *keys;                      /* [n_keys] any of them opens what is not public; none: all is open */
    size_t n_keys;
    const char *const *cors_origins; /* [n_cors_origins], "*" allowed; none: no CORS headers */
    size_t n_cors_origins;
    uint32_t n_threads;                /* network threads [one for each 4 CPUs] */
    uint32_t max_connections;          /* [16384, less when the descriptor limit is lower] */
    uint32_t max_connections_per_peer; /* [no limit] */
    uint64_t max_body_bytes;           /* [HD_LIMIT_BODY_BYTES] */
    uint64_t max_bodies_bytes; /* of all requests in memory together; above it new ones are told "overloaded" [8 bodies] */
    uint32_t head_timeout_ms;  /* from idle to a whole head; also ends idle connections [75000] */
    uint32_t body_timeout_ms;  /* from head to whole body [60000] */
    uint32_t send_timeout_ms;  /* from response to all of it taken [60000] */
    uint32_t drain_timeout_ms; /* from stop to the last response [30000] */
    bool no_gzip;
    void (*write_fault)(const hd_fault *fault, hd_exchange *exchange, void *data); /* where no endpoint's applies */
    void *data;
    const hd_observer *observers; /* [n_observers] */
    size_t n_observers;
} hd_server_options;

/* Opens the sockets, starts the network threads and answers. Endpoints and what options point to must live until
 * close. HD_ERR_ARG (options), HD_ERR_BUSY (address in use), HD_ERR_IO (sockets, certificate), HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__server_open(const hd_endpoint *endpoints, size_t n_endpoints, const hd_server_options *options,
                                      hd_server **server, hd_error *err);

/* The TCP port listened on; 0 without one. */
uint16_t hd__server_port(const hd_server *server);

/* The response is written: it is sent. The exchange is not the caller's any more. */
void hd__exchange_finish(hd_exchange *exchange);

/* Takes no more connections, closes idle ones, answers every accepted request within drain_timeout_ms; what is left
 * then is cancelled. Returns how many requests were cut off. */
uint64_t hd__server_drain(hd_server *server);

/* After drain, or at once. NULL allowed. */
void hd__server_close(hd_server *server);

typedef struct hd_server_stats {
    uint64_t n_accepted, n_requests;     /* since open */
    uint32_t n_connections, n_in_flight; /* now */
    uint64_t bodies_bytes;               /* request bodies in memory now */
} hd_server_stats;

void hd__server_get_stats(hd_server *server, hd_server_stats *stats);

#endif
