/* load.c - one request again and again over many keep-alive connections, on loopback, with epoll and one thread.
 *
 *   load PORT CONNECTIONS SECONDS PATH [BODY_FILE]
 *
 * Each connection sends the request (POST with a body, GET without) and sends it again when the response is whole, until
 * the time is up; what is on its way then is waited for, and counts, so that a server which answers all of them at the
 * end of a turn is measured as one which answers them one by one. "@@@@@@@@" in the body becomes a number of eight
 * digits, another one each time, so that no cache knows it; the first one follows the clock, for the next run's sake. Prints
 * one line of JSON: requests, requests per second, the latencies' p50, p99 and maximum in milliseconds, what was not 200,
 * and what had no answer after a minute.
 */
#define _GNU_SOURCE /* strcasestr */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, STEP_NS = 10000, STEPS = 6000000, MARKS = 8, PATIENCE_S = 60 };

typedef struct connection {
    int fd;
    char *request;
    size_t sent;     /* of the request */
    char head[4096]; /* as much of the response as its head may take */
    size_t n_head;
    int64_t n_left; /* of the body; -1: the head is not whole */
    uint64_t start_ns;
} connection;

static char *template, scratch[BUFFER];
static size_t n_template, n_body_at;
static uint32_t histogram[STEPS + 1]; /* of latencies, in steps of 10 µs */
static uint64_t n_done, n_other, n_made, max_ns, last_ns;
static uint64_t stop_ns; /* nothing is sent again from then on */
static int n_waiting;    /* connections whose response is not whole */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void push(connection *c)
{
    while (c->sent < n_template) {
        const ssize_t n = send(c->fd, c->request + c->sent, n_template - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return; /* full: epoll says when there is room */
        c->sent += (size_t)n;
    }
}

static void begin(connection *c)
{
    const char *end = template + n_template;
    for (const char *mark = template + n_body_at; mark < end && (mark = strstr(mark, "@@@@@@@@")) != NULL; mark += MARKS) {
        char digits[MARKS + 1];
        snprintf(digits, sizeof digits, "%08u", (unsigned)(n_made++ % 100000000u));
        memcpy(c->request + (mark - template), digits, MARKS);
    }
    c->sent = 0;
    c->n_head = 0;
    c->n_left = -1;
    c->start_ns = now_ns();
    push(c);
}

static void finish(connection *c)
{
    last_ns = now_ns();
    const uint64_t took = last_ns - c->start_ns;
    const uint64_t step = took / STEP_NS;
    histogram[step < STEPS ? step : STEPS]++;
    max_ns = took > max_ns ? took : max_ns;
    n_done++;
    n_other += strncmp(c->head, "HTTP/1.1 200", 12) != 0;
    if (last_ns < stop_ns)
        begin(c);
    else
        n_waiting--;
}

/* Takes bytes of a response; true: it is whole. */
static int take(connection *c, const char *bytes, size_t n)
{
    size_t at = 0;
    while (c->n_left < 0 && at < n && c->n_head + 1 < sizeof c->head) {
        c->head[c->n_head++] = bytes[at++];
        c->head[c->n_head] = '\0';
        if (c->n_head >= 4 && memcmp(c->head + c->n_head - 4, "\r\n\r\n", 4) == 0) {
            const char *length = strcasestr(c->head, "\r\nContent-Length:");
            c->n_left = length != NULL ? strtoll(length + 17, NULL, 10) : 0;
        }
    }
    if (c->n_left >= 0)
        c->n_left -= (int64_t)(n - at);
    return c->n_left == 0;
}

static void serve(connection *c, uint32_t events)
{
    if (events & EPOLLOUT)
        push(c);
    for (;;) {
        const ssize_t n = recv(c->fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if ((n < 0 && errno == EAGAIN) || (n == 0 && c->n_left == 0)) /* 0: done, and closed as idle */
            return;
        if (n <= 0) {
            fprintf(stderr, "load: the server closed a connection: %s\n", c->head);
            exit(1);
        }
        if (take(c, scratch, (size_t)n))
            finish(c);
    }
}

static void make_template(const char *path, const char *file)
{
    char *body = calloc(1, 1 << 24), head[1024];
    size_t n = 0;
    FILE *f = file != NULL ? fopen(file, "rb") : NULL;
    if (body == NULL || (file != NULL && f == NULL))
        die(file);
    if (f != NULL) {
        n = fread(body, 1, (1 << 24) - 1, f);
        fclose(f);
    }
    const int n_head = f != NULL ? snprintf(head, sizeof head,
                                            "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                                            "Content-Length: %zu\r\n\r\n",
                                            path, n)
                                 : snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    n_body_at = (size_t)n_head;
    n_template = n_body_at + n;
    template = calloc(1, n_template + 1);
    if (template == NULL)
        die("memory");
    memcpy(template, head, n_body_at);
    memcpy(template + n_body_at, body, n);
    free(body);
}

static void open_connection(connection *c, uint16_t port, int poll)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->request = malloc(n_template + 1);
    if (c->fd < 0 || c->request == NULL || connect(c->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    memcpy(c->request, template, n_template + 1);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
}

static double percentile(double share)
{
    const uint64_t wanted = (uint64_t)(share * (double)n_done);
    uint64_t n = 0;
    for (size_t i = 0; i <= STEPS; i++)
        if ((n += histogram[i]) > wanted)
            return (double)i * STEP_NS / 1e6;
    return (double)max_ns / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS PATH [BODY_FILE]\n");
        return 2;
    }
    const int n = atoi(argv[2]), poll = epoll_create1(0);
    const double seconds = atof(argv[3]);
    connection *all = calloc((size_t)(n > 0 ? n : 1), sizeof *all);
    if (all == NULL || poll < 0)
        die("load");
    make_template(argv[4], argc > 5 ? argv[5] : NULL);
    for (int i = 0; i < n; i++)
        open_connection(&all[i], (uint16_t)atoi(argv[1]), poll);
    const uint64_t start = now_ns();
    n_made = start / 50000; /* faster than any run counts */
    stop_ns = start + (uint64_t)(seconds * 1e9);
    n_waiting = n;
    for (int i = 0; i < n; i++)
        begin(&all[i]);
    while (n_waiting > 0) {
        struct epoll_event events[256];
        const int ready = epoll_wait(poll, events, 256, 100);
        for (int i = 0; i < ready; i++)
            serve(events[i].data.ptr, events[i].events);
        if (now_ns() > stop_ns + PATIENCE_S * 1000000000ull)
            break;
    }
    const double took = (double)((n_waiting > 0 ? now_ns() : last_ns) - start) / 1e9;
    printf("{\"requests\": %llu, \"per_s\": %.2f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"not_200\": %llu, "
           "\"unanswered\": %d}\n",
           (unsigned long long)n_done, (double)n_done / took, percentile(0.5), percentile(0.99), (double)max_ns / 1e6,
           (unsigned long long)n_other, n_waiting);
    return n_other != 0;
}
