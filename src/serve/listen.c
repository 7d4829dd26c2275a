/* listen.c - the sockets that are listened on. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "serve/server_int.h"

#define BACKLOG 4096

static hd_status listen_address(const struct addrinfo *a, const char *host, uint16_t port, int *out, hd_error *err)
{
    const int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return hd__fail_errno(err, errno, "%s port %u: cannot make a socket", host, port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* connections inherit it */
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on); /* IPv4 has a socket of its own */
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *out = fd;
        return HD_OK;
    }
    const int why = errno;
    close(fd);
    hd_status status = hd__fail_errno(err, why, "%s port %u: cannot listen", host, port);
    if (why == EADDRINUSE) {
        status = HD_ERR_BUSY;
        if (err != NULL)
            err->status = status;
    }
    return status;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

hd_status hd__listen_tcp(const char *host, uint16_t port, int fds[HD_MAX_DAEMONS], size_t *n, uint16_t *bound, hd_error *err)
{
    char service[8];
    struct addrinfo *all, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(service, sizeof service, "%u", port);
    const int failed = getaddrinfo(host, service, &hints, &all);
    if (failed != 0)
        return hd__fail(err, HD_ERR_ARG, "%s: no such address: %s", host, gai_strerror(failed));
    hd_status status = HD_OK;
    size_t n_open = 0;
    for (const struct addrinfo *a = all; a != NULL && status == HD_OK && *n + n_open < HD_MAX_DAEMONS; a = a->ai_next) {
        if (a != all && port == 0) /* "any port" is one port: the first address's */
            break;
        status = listen_address(a, host, port, &fds[*n + n_open], err);
        n_open += status == HD_OK;
    }
    freeaddrinfo(all);
    if (n_open > 0 && status == HD_ERR_IO) /* a name may stand for an IPv6 address that this machine lacks */
        status = HD_OK;
    if (status != HD_OK) {
        for (size_t i = 0; i < n_open; i++)
            close(fds[*n + i]);
        return status;
    }
    *bound = port_of(fds[*n]);
    *n += n_open;
    return HD_OK;
}

/* Whether a socket file is left over from a process that is gone. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

hd_status hd__listen_unix(const char *path, int *out, hd_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(path);
    if (len >= sizeof address.sun_path)
        return hd__fail(err, HD_ERR_ARG, "%s: a socket's path has at most %zu bytes", path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, len + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hd__fail_errno(err, errno, "%s: cannot make a socket", path);
    if (is_stale(&address))
        (void)unlink(path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0) {
        *out = fd;
        return HD_OK;
    }
    const int why = errno;
    close(fd);
    hd_status status = hd__fail_errno(err, why, "%s: cannot listen", path);
    if (why == EADDRINUSE) {
        status = HD_ERR_BUSY;
        if (err != NULL)
            err->status = status;
    }
    return status;
}
