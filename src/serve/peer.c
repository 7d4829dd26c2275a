/* peer.c - connections: how long each phase may take, and whether the client of a sleeping one is still there.
 *
 * The library looks at the socket of a sleeping connection no more, and its own timeout starts anew with every byte.
 * One thread does both: it waits with epoll for clients that hang up, and looks at the phases' deadlines twice a
 * second. Past one it shuts the socket down, which the library takes for a client that has gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/thread_name.h"
#include "serve/server_int.h"

#define SWEEP_MS 500
#define MILLISECOND_NS 1000000ull

static void name_peer(hd_peer *p, const struct sockaddr *address)
{
    const void *bytes = NULL;
    size_t n = 0;
    if (address != NULL && address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        n = sizeof(struct in_addr);
    } else if (address != NULL && address->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        n = sizeof(struct in6_addr);
    }
    if (bytes == NULL || inet_ntop(address->sa_family, bytes, p->address, sizeof p->address) == NULL)
        snprintf(p->address, sizeof p->address, "unix");
    p->address_hash = n > 0 ? hd__hash64(hd__span(bytes, n), p->server->id_seed) : 1;
}

static void open_peer(hd_server *s, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    hd_peer *p = fd != NULL ? hd__calloc(1, sizeof *p) : NULL;
    *context = p;
    if (p == NULL)
        return;
    p->server = s;
    p->fd = fd->connect_fd;
    p->opened_ns = hd__now_ns();
    name_peer(p, address != NULL ? address->client_addr : NULL);
    hd__peer_phase(p, HD_PHASE_IDLE);
    atomic_fetch_add(&s->n_accepted, 1);
    atomic_fetch_add(&s->n_connections, 1);
    pthread_mutex_lock(&s->lock);
    p->after = s->peers;
    if (p->after != NULL)
        p->after->before = p;
    s->peers = p;
    pthread_mutex_unlock(&s->lock);
}

void hd__peer_notify(void *server, struct MHD_Connection *connection, void **context,
                     enum MHD_ConnectionNotificationCode what)
{
    hd_server *s = server;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        hd__thread_name("heddle-net"); /* the library starts these threads and has a name for them */
        open_peer(s, connection, context);
        return;
    }
    hd_peer *p = *context;
    if (p == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    *(p->before != NULL ? &p->before->after : &s->peers) = p->after;
    if (p->after != NULL)
        p->after->before = p->before;
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub(&s->n_connections, 1);
    hd__flow_forget(p);
    hd__free(p);
    *context = NULL;
}

void hd__peer_phase(hd_peer *p, hd_phase phase)
{
    const hd_server_options *o = &p->server->options;
    const uint32_t limits_ms[] = {[HD_PHASE_IDLE] = o->head_timeout_ms,
                                  [HD_PHASE_BODY] = o->body_timeout_ms,
                                  [HD_PHASE_WORK] = 0, /* the endpoint's own */
                                  [HD_PHASE_SEND] = o->send_timeout_ms};
    atomic_store(&p->phase, phase);
    if (phase == HD_PHASE_BODY)
        atomic_store(&p->has_asked, true);
    atomic_store(&p->deadline_ns, limits_ms[phase] != 0 ? hd__now_ns() + limits_ms[phase] * MILLISECOND_NS : 0);
}

/* ---- sleeping ones ---- */

void hd__peer_watch(hd_flow *flow)
{
    hd_server *s = flow->server;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = flow->peer->fd};
    if (flow->endpoint->cancel == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    flow->peer->watched = flow;
    if (epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, flow->peer->fd, &event) != 0 && errno == EEXIST)
        (void)epoll_ctl(s->watch_fd, EPOLL_CTL_MOD, flow->peer->fd, &event);
    pthread_mutex_unlock(&s->lock);
}

void hd__peer_unwatch(hd_flow *flow)
{
    hd_server *s = flow->server;
    if (flow->endpoint->cancel == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    flow->peer->watched = NULL;
    (void)epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, flow->peer->fd, NULL);
    pthread_mutex_unlock(&s->lock);
}

static void cancel(hd_flow *flow)
{
    flow->peer->watched = NULL;
    flow->endpoint->cancel(&flow->exchange, flow->endpoint->data);
}

/* A descriptor that was closed and opened again meanwhile may belong to another connection: its client is asked for
 * again. What it has sent after the request does not matter: it will not read on. */
static void hung_up(hd_server *s, int fd)
{
    char byte;
    for (hd_peer *p = s->peers; p != NULL; p = p->after) {
        if (p->fd != fd)
            continue;
        if (p->watched != NULL && (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
            cancel(p->watched);
        return;
    }
}

/* The client has closed its end. */
static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* libmicrohttpd 0.9 misses that a client has closed its end together with the last bytes it sent: a body that will not
 * come any more would be waited for until its time is up. */
static void sweep(hd_server *s)
{
    const uint64_t now_ns = hd__now_ns();
    for (hd_peer *p = s->peers; p != NULL; p = p->after) {
        const uint64_t deadline_ns = atomic_load(&p->deadline_ns);
        if ((deadline_ns != 0 && deadline_ns <= now_ns) || (atomic_load(&p->phase) == HD_PHASE_BODY && is_closed(p->fd)))
            (void)shutdown(p->fd, SHUT_RDWR);
    }
}

static void *watcher_main(void *data)
{
    hd_server *s = data;
    hd__thread_name("heddle-watch");
    uint64_t swept_ns = hd__now_ns();
    while (!atomic_load(&s->stop)) {
        struct epoll_event events[64];
        const int n = epoll_wait(s->watch_fd, events, 64, SWEEP_MS);
        pthread_mutex_lock(&s->lock);
        for (int i = 0; i < n; i++)
            hung_up(s, events[i].data.fd);
        if (hd__now_ns() - swept_ns >= SWEEP_MS * MILLISECOND_NS) {
            sweep(s);
            swept_ns = hd__now_ns();
        }
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

hd_status hd__watcher_start(hd_server *s, hd_error *err)
{
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->watch_fd < 0)
        return hd__fail_errno(err, errno, "cannot make an epoll descriptor");
    const int failed = pthread_create(&s->watcher, NULL, watcher_main, s);
    if (failed != 0)
        return hd__fail_errno(err, failed, "cannot start a thread");
    s->watcher_started = true;
    return HD_OK;
}

void hd__watcher_stop(hd_server *s)
{
    atomic_store(&s->stop, true);
    if (s->watcher_started)
        pthread_join(s->watcher, NULL);
    s->watcher_started = false;
    if (s->watch_fd >= 0)
        close(s->watch_fd);
    s->watch_fd = -1;
}

/* ---- stopping ---- */

/* A request is under way, or its first bytes are here, or so new a connection will bring its first one in a moment. */
static bool is_busy(const hd_peer *p, uint64_t now_ns)
{
    enum { FIRST_REQUEST_MS = 100 };
    char byte;
    if (atomic_load(&p->phase) != HD_PHASE_IDLE || recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        return true;
    return !atomic_load(&p->has_asked) && now_ns - p->opened_ns < FIRST_REQUEST_MS * MILLISECOND_NS;
}

size_t hd__peers_close_idle(hd_server *s)
{
    size_t n_busy = 0;
    pthread_mutex_lock(&s->lock);
    const uint64_t now_ns = hd__now_ns();
    for (hd_peer *p = s->peers; p != NULL; p = p->after) {
        if (is_busy(p, now_ns))
            n_busy++;
        else
            (void)shutdown(p->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
    return n_busy;
}

uint64_t hd__peers_cancel(hd_server *s)
{
    uint64_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (hd_peer *p = s->peers; p != NULL; p = p->after) {
        const int phase = atomic_load(&p->phase);
        if (p->watched != NULL)
            cancel(p->watched);
        else if (phase == HD_PHASE_BODY || phase == HD_PHASE_SEND)
            (void)shutdown(p->fd, SHUT_RDWR);
        else
            continue;
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}
