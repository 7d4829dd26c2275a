/* server_int.h - what the files of this folder share, and nobody else sees.
 *
 * A peer is one connection, a flow one request on it. Peers and flows belong to the network thread of their
 * connection, and to a thread of server->pool while it inflates the flow's body; server->lock guards the list of peers
 * and who is being watched.
 */
#ifndef HD_SERVE_SERVER_INT_H
#define HD_SERVE_SERVER_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/pool.h"
#include "serve/server.h"

/* Of the library for each connection: where a head is read, its headers are listed and the response's head is written. */
#define HD_CONNECTION_BYTES 8192u

typedef struct hd_peer hd_peer;

typedef enum hd_flow_state {
    HD_FLOW_HEAD,     /* the head is being looked at */
    HD_FLOW_BODY,     /* the body comes in, or is being inflated */
    HD_FLOW_BEGUN,    /* the endpoint has it; its connection is not yet asleep */
    HD_FLOW_SLEEPS,   /* the endpoint has it; whoever finishes wakes the connection */
    HD_FLOW_ANSWERED, /* the response is written */
    HD_FLOW_SENT      /* and given to the library */
} hd_flow_state;

typedef struct hd_flow {
    hd_exchange exchange; /* first, so that an exchange is its flow */
    hd_task_node node;    /* in the server's pool while the body is inflated there */
    struct hd_server *server;
    hd_peer *peer;
    struct MHD_Connection *connection;
    const hd_endpoint *endpoint; /* NULL: there is none at this path */
    char *uri;                   /* as sent */
    hd_buffer body;
    uint64_t n_accounted; /* bytes of it in server->bodies_bytes */
    _Atomic int state;    /* hd_flow_state */
    size_t n_head_bytes;  /* of HD_CONNECTION_BYTES taken by the request's head */
    bool head_done, too_large, closes;
    bool sent_past; /* the response went past the library */
    hd_span origin; /* allowed, to be echoed; ptr NULL: no CORS headers */
    bool is_preflight;
} hd_flow;

typedef enum hd_phase {
    HD_PHASE_IDLE, /* between requests, or in the middle of a head */
    HD_PHASE_BODY, /* a body comes in */
    HD_PHASE_WORK, /* an endpoint has the request */
    HD_PHASE_SEND  /* the response goes out */
} hd_phase;

struct hd_peer {
    struct hd_server *server;
    hd_peer *before, *after; /* in server->peers, with the lock */
    int fd;
    char address[64];
    uint64_t address_hash;
    _Atomic uint64_t deadline_ns; /* when the phase it is in has taken too long; 0: no limit */
    _Atomic int phase;            /* hd_phase */
    uint64_t opened_ns;
    atomic_bool has_asked; /* a request's head came */
    hd_flow *nascent;      /* its head is not whole yet: the library may drop it without a word */
    hd_flow *watched;      /* asleep, and to be cancelled when the client goes; with the lock */
};

#define HD_MAX_DAEMONS 16

struct hd_server {
    pthread_mutex_t lock;
    hd_server_options options;
    const hd_endpoint *endpoints;
    size_t n_endpoints;
    struct MHD_Daemon *daemons[HD_MAX_DAEMONS];
    int listen_fds[HD_MAX_DAEMONS];
    bool has_unix_path; /* the socket at options.uds_path is this server's */
    size_t n_daemons;
    uint16_t port;
    char *tls_cert, *tls_key;
    int watch_fd; /* epoll: connections whose clients may go away while they sleep */
    pthread_t watcher;
    bool watcher_started;
    hd_pool *pool; /* inflates long bodies */
    hd_peer *peers;
    atomic_bool stop, draining;
    uint64_t id_seed;
    _Atomic uint64_t n_ids, n_accepted, n_requests, bodies_bytes;
    _Atomic uint32_t n_connections, n_flows;
};

/* ---- listen.c: sockets. On failure nothing stays open. ---- */

HD_MUST_USE hd_status hd__listen_tcp(const char *host, uint16_t port, int fds[HD_MAX_DAEMONS], size_t *n, uint16_t *bound,
                                     hd_error *err);
HD_MUST_USE hd_status hd__listen_unix(const char *path, int *fd, hd_error *err);

/* ---- routing.c ---- */

/* The endpoint for a request, *fault NONE; or the first of its path, *fault METHOD with the methods there are in allow;
 * or NULL, *fault ROUTE. */
const hd_endpoint *hd__route_find(const hd_server *server, hd_http_method method, hd_span path, hd_fault_kind *fault,
                                  char allow[64]);

/* ---- keys.c ---- */

/* Whether the request carries one of the keys; *key is what it sent (ptr NULL: nothing). Takes as long for a key that
 * is wrong in its first byte as for one that is wrong in its last. */
bool hd__key_fits(const hd_server *server, const hd_http_request *request, hd_span *key);

/* ---- compress.c ---- */

/* Replaces the body by its gzip form, if that is shorter. */
void hd__gzip(hd_buffer *body, bool *compressed);

/* Inflates gzip or zlib data to at most max_bytes. HD_ERR_LIMIT, HD_ERR_FORMAT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__inflate(hd_span bytes, uint64_t max_bytes, hd_buffer *out, hd_error *err);

/* ---- reply.c ---- */

/* Writes the server's own refusal in the dialect of the path. */
void hd__flow_refuse(hd_flow *flow, hd_fault_kind kind, const char *text);

/* 431: the request's head leaves no room for a response's. Closes the connection. */
enum MHD_Result hd__flow_refuse_head(hd_flow *flow);

/* 414, before the head is whole: libmicrohttpd 0.9 waits for ever when it has no memory for a target's parameters. */
void hd__flow_refuse_uri(hd_flow *flow);

/* Hands the flow's response to the library. */
enum MHD_Result hd__flow_send(hd_flow *flow);

/* ---- flow.c: the library's callbacks ---- */

void hd__flow_forget(hd_peer *peer); /* the request whose head never became whole */
void *hd__flow_uri(void *server, const char *uri, struct MHD_Connection *connection);
enum MHD_Result hd__flow_handle(void *server, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *n_upload, void **flow);
void hd__flow_completed(void *server, struct MHD_Connection *connection, void **flow, enum MHD_RequestTerminationCode how);

/* ---- peer.c ---- */

void hd__peer_notify(void *server, struct MHD_Connection *connection, void **peer, enum MHD_ConnectionNotificationCode what);
void hd__peer_phase(hd_peer *peer, hd_phase phase);

/* While a flow sleeps. unwatch returns after a cancel that is under way. */
void hd__peer_watch(hd_flow *flow);
void hd__peer_unwatch(hd_flow *flow);

HD_MUST_USE hd_status hd__watcher_start(hd_server *server, hd_error *err);
void hd__watcher_stop(hd_server *server);

/* Ends connections that are between requests; how many have a request under way or on its way. */
size_t hd__peers_close_idle(hd_server *server);

/* Cancels what sleeps, and ends what still comes in or goes out; how many. */
uint64_t hd__peers_cancel(hd_server *server);

#endif
