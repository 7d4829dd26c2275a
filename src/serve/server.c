/* server.c - opening, draining and closing a server. One libmicrohttpd daemon for each socket, all with the same
 * callbacks (flow.c, peer.c), epoll and one thread or a few.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/server_int.h"

#define TLS_FILE_BYTES (1u << 20)
#define CPUS_PER_THREAD 4
#define DEFAULT_CONNECTIONS 16384u
#define INFLATING_THREADS 2
#define RESERVED_FDS 64u /* for models' files, logs, and what else is open */

static void set_default(uint32_t *value, uint32_t to)
{
    if (*value == 0)
        *value = to;
}

static void fill_options(hd_server_options *o)
{
    struct rlimit files;
    const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    set_default(&o->n_threads, n_cpus > CPUS_PER_THREAD ? (uint32_t)n_cpus / CPUS_PER_THREAD : 1);
    set_default(&o->max_connections, DEFAULT_CONNECTIONS);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        const rlim_t room = files.rlim_cur > 2 * RESERVED_FDS ? files.rlim_cur - RESERVED_FDS : files.rlim_cur / 2;
        if (o->max_connections > room)
            o->max_connections = (uint32_t)room;
    }
    if (o->max_body_bytes == 0)
        o->max_body_bytes = HD_LIMIT_BODY_BYTES;
    if (o->max_bodies_bytes == 0)
        o->max_bodies_bytes = 8 * o->max_body_bytes;
    set_default(&o->head_timeout_ms, 75000);
    set_default(&o->body_timeout_ms, 60000);
    set_default(&o->send_timeout_ms, 60000);
    set_default(&o->drain_timeout_ms, 30000);
    if (o->host == NULL && o->uds_path == NULL && o->n_listen_fds == 0)
        o->host = "127.0.0.1";
}

static hd_status read_tls(hd_server *s, hd_error *err)
{
    const hd_server_options *o = &s->options;
    if (o->tls_cert_path == NULL && o->tls_key_path == NULL)
        return HD_OK;
    if (o->tls_cert_path == NULL || o->tls_key_path == NULL)
        return hd__fail(err, HD_ERR_ARG, "TLS needs a certificate and a key");
    hd_arena arena;
    hd_span bytes;
    hd__arena_init(&arena);
    hd_status status;
    HD_TRY_OUT(hd__file_read(o->tls_cert_path, TLS_FILE_BYTES, &arena, &bytes, err));
    s->tls_cert = hd__strndup(bytes.ptr, bytes.len);
    HD_TRY_OUT(hd__file_read(o->tls_key_path, TLS_FILE_BYTES, &arena, &bytes, err));
    s->tls_key = hd__strndup(bytes.ptr, bytes.len);
    if (s->tls_cert == NULL || s->tls_key == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %s", o->tls_cert_path);
out:
    hd__arena_clear(&arena);
    return status;
}

static hd_status open_sockets(hd_server *s, hd_error *err)
{
    const hd_server_options *o = &s->options;
    if (o->n_listen_fds > HD_MAX_DAEMONS)
        return hd__fail(err, HD_ERR_LIMIT, "%zu sockets, the limit is %d", o->n_listen_fds, HD_MAX_DAEMONS);
    for (size_t i = 0; i < o->n_listen_fds; i++) {
        if (fcntl(o->listen_fds[i], F_SETFL, O_NONBLOCK) != 0)
            return hd__fail_errno(err, errno, "socket %d from the service manager", o->listen_fds[i]);
        s->listen_fds[s->n_daemons++] = o->listen_fds[i];
    }
    if (o->n_listen_fds > 0)
        return HD_OK;
    if (o->uds_path != NULL)
        HD_TRY(hd__listen_unix(o->uds_path, &s->listen_fds[s->n_daemons++], err));
    s->has_unix_path = o->uds_path != NULL;
    return o->host != NULL ? hd__listen_tcp(o->host, o->port, s->listen_fds, &s->n_daemons, &s->port, err) : HD_OK;
}

static void log_library(void *data, const char *format, va_list args)
{
    char line[512];
    (void)data;
    int n = vsnprintf(line, sizeof line, format, args);
    while (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[--n] = '\0';
    hd__log(HD_LOG_DEBUG, "http: %s", line);
}

static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data;
    (void)connection;
    return strlen(text);
}

static bool is_unix(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.ss_family == AF_UNIX;
}

static hd_status start_daemon(hd_server *s, size_t i, hd_error *err)
{
    const hd_server_options *o = &s->options;
    const int fd = s->listen_fds[i];
    const bool tls = s->tls_cert != NULL && !is_unix(fd);
    static const char tls_versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"; /* RFC 8996 */
    struct MHD_OptionItem items[8];
    size_t n = 0;
    if (o->n_threads > 1)
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)o->n_threads, NULL};
    if (tls) {
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls_cert};
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls_key};
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_versions};
    }
    if (o->max_connections_per_peer != 0)
        items[n++] =
            (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)o->max_connections_per_peer, NULL};
    items[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG |
                           (tls ? MHD_USE_TLS : 0u);
    /* The logger first: it is used for what is wrong with the options after it. The memory of a connection is where its
     * head is read and written; the library clears all of it after each request and so keeps all of it in memory. */
    s->daemons[i] = MHD_start_daemon(
        flags, 0, NULL, NULL, hd__flow_handle, s, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_URI_LOG_CALLBACK, hd__flow_uri, s, MHD_OPTION_NOTIFY_COMPLETED, hd__flow_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, hd__peer_notify, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HD_CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (s->daemons[i] == NULL)
        return hd__fail(err, HD_ERR_IO,
                        tls ? "cannot start the HTTP server: are %s and its key PEM files that belong together?"
                            : "cannot start the HTTP server%s",
                        tls ? o->tls_cert_path : "");
    return HD_OK;
}

hd_status hd__server_open(const hd_endpoint *endpoints, size_t n_endpoints, const hd_server_options *options,
                          hd_server **out, hd_error *err)
{
    hd_server *s = hd__calloc(1, sizeof *s);
    if (s == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a server");
    pthread_mutex_init(&s->lock, NULL);
    s->watch_fd = -1;
    s->options = *options;
    s->endpoints = endpoints;
    s->n_endpoints = n_endpoints;
    for (size_t i = 0; i < HD_MAX_DAEMONS; i++)
        s->listen_fds[i] = -1;
    if (getrandom(&s->id_seed, sizeof s->id_seed, 0) != (ssize_t)sizeof s->id_seed)
        s->id_seed = hd__now_ns();
    fill_options(&s->options);
    hd_status status;
    HD_TRY_OUT(read_tls(s, err));
    HD_TRY_OUT(open_sockets(s, err));
    HD_TRY_OUT(hd__watcher_start(s, err));
    HD_TRY_OUT(hd__pool_open("heddle-inflate", INFLATING_THREADS, &s->pool, err));
    for (size_t i = 0; i < s->n_daemons; i++)
        HD_TRY_OUT(start_daemon(s, i, err));
out:
    if (status != HD_OK) {
        hd__server_close(s);
        return status;
    }
    *out = s;
    return HD_OK;
}

uint16_t hd__server_port(const hd_server *s)
{
    return s->port;
}

static const struct timespec look_again = {.tv_nsec = 2000000};

/* Lets the network threads take the connections that the kernel has already made: their clients may have sent a request
 * each, and closing the socket would reset them. Not for ever: more come all the time. */
static void take_backlog(int fd)
{
    enum { LONGEST_MS = 500 };
    const uint64_t end_ns = hd__now_ns() + LONGEST_MS * 1000000ull;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    while (poll(&waiting, 1, 0) > 0 && hd__now_ns() < end_ns)
        nanosleep(&look_again, NULL);
}

/* Ends idle connections until no request is under way any more. */
static bool wait_quiet(hd_server *s, uint32_t timeout_ms)
{
    const uint64_t end_ns = hd__now_ns() + timeout_ms * 1000000ull;
    for (;;) {
        const bool is_quiet = hd__peers_close_idle(s) == 0 && atomic_load(&s->n_flows) == 0;
        if (is_quiet || hd__now_ns() >= end_ns)
            return is_quiet;
        nanosleep(&look_again, NULL);
    }
}

/* While the socket still listens: later the path may be that of the next server. */
static void remove_unix_path(hd_server *s)
{
    if (s->has_unix_path)
        (void)unlink(s->options.uds_path);
    s->has_unix_path = false;
}

uint64_t hd__server_drain(hd_server *s)
{
    enum { CANCEL_TIMEOUT_MS = 5000 };
    atomic_store(&s->draining, true);
    remove_unix_path(s);
    for (size_t i = 0; i < s->n_daemons; i++) {
        take_backlog(s->listen_fds[i]);
        const int fd = s->daemons[i] != NULL ? MHD_quiesce_daemon(s->daemons[i]) : -1;
        if (fd >= 0)
            close(fd);
        s->listen_fds[i] = -1;
    }
    if (wait_quiet(s, s->options.drain_timeout_ms))
        return 0;
    const uint64_t n = hd__peers_cancel(s);
    (void)wait_quiet(s, CANCEL_TIMEOUT_MS);
    return n;
}

void hd__server_close(hd_server *s)
{
    if (s == NULL)
        return;
    remove_unix_path(s);
    for (size_t i = 0; i < s->n_daemons; i++) {
        if (s->daemons[i] != NULL)
            MHD_stop_daemon(s->daemons[i]); /* closes its socket, too */
        else if (s->listen_fds[i] >= 0)
            close(s->listen_fds[i]);
    }
    hd__pool_close(s->pool); /* empty: a request in it would have been waited for, as for those that endpoints have */
    hd__watcher_stop(s);
    hd__free(s->tls_cert);
    hd__free(s->tls_key);
    pthread_mutex_destroy(&s->lock);
    hd__free(s);
}

void hd__server_get_stats(hd_server *s, hd_server_stats *stats)
{
    *stats = (hd_server_stats){
        .n_accepted = atomic_load(&s->n_accepted),
        .n_requests = atomic_load(&s->n_requests),
        .n_connections = atomic_load(&s->n_connections),
        .n_in_flight = atomic_load(&s->n_flows),
        .bodies_bytes = atomic_load(&s->bodies_bytes),
    };
}
