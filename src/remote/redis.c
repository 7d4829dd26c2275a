/* redis.c - see redis.h. The protocol is RESP, spoken by hiredis on a non-blocking socket, so that every wait ends at a
 * deadline of ours. Source: https://redis.io/docs/latest/commands/ (AUTH, SELECT, PING, MGET, SET).
 */
#include "remote/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread_name.h"
#include "remote/redis_library.h"

#define RETRY_LEAST_MS 100
#define RETRY_MOST_MS 5000
#define KEYS_A_COMMAND 512
#define ROUND_PUT_BYTES (1u << 20)    /* in one pipeline, so that the next request does not wait for long */
#define WAITING_PUT_BYTES (32u << 20) /* beyond, vectors are dropped */

/* A vector on its way out. */
typedef struct put_item {
    struct put_item *next;
    size_t n_bytes; /* of the value */
    char key[HD_REDIS_KEY_BYTES];
    char value[];
} put_item;

struct hd_redis {
    const hd_redis_library *library;
    hd_arena arena; /* of the URL */
    hd_redis_url url;
    uint32_t timeout_ms;
    char ttl[16]; /* "" for none */
    hd_vector_store store;
    int wake_fd;
    pthread_t thread;
    atomic_bool connected;

    pthread_mutex_t lock; /* guards what follows */
    hd_store_request *gets, **last_get;
    put_item *puts, **last_put;
    size_t put_bytes;
    bool stop;
    hd_store_stats stats;

    /* the thread's own */
    redisContext *context;
    bool has_said_lost, has_said_refused;
};

/* ---- coding ---- */

void hd__redis_key_write(const hd_store_key *key, char text[HD_REDIS_KEY_BYTES])
{
    memcpy(text, "heddle:1:", 9);
    memcpy(text + 9, key->hex, 64);
}

void hd__redis_value_write(const float *vector, size_t n, char *bytes)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        for (int k = 0; k < 4; k++)
            bytes[4 * i + (size_t)k] = (char)(bits >> (8 * k));
    }
}

bool hd__redis_value_read(hd_span bytes, float *vector, size_t n)
{
    if (n == 0 || bytes.len % 4 != 0 || bytes.len / 4 != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0;
        for (int k = 0; k < 4; k++)
            bits |= (uint32_t)(unsigned char)bytes.ptr[4 * i + (size_t)k] << (8 * k);
        memcpy(&vector[i], &bits, sizeof bits);
        if (!isfinite(vector[i]))
            return false;
    }
    return true;
}

/* ---- one connection ---- */

static uint64_t deadline_from_now(const hd_redis *r)
{
    return hd__now_ns() + (uint64_t)r->timeout_ms * 1000000u;
}

static hd_status context_error(const hd_redis *r, hd_error *err)
{
    return hd__fail(err, HD_ERR_PEER, "%s", r->context->errstr[0] != '\0' ? r->context->errstr : "the connection is lost");
}

static hd_status append(hd_redis *r, int n, const char **args, const size_t *lengths, hd_error *err)
{
    if (r->library->append_argv(r->context, n, args, lengths) == REDIS_OK)
        return HD_OK;
    return context_error(r, err);
}

/* Writes what waits and reads, until there is one more reply, which the caller frees. */
static hd_status next_reply(hd_redis *r, uint64_t deadline_ns, redisReply **reply, hd_error *err)
{
    void *got = NULL;
    int written = 0;
    for (;;) {
        if (r->library->get_reply(r->context, &got) != REDIS_OK)
            return context_error(r, err);
        if (got != NULL) {
            *reply = got;
            return HD_OK;
        }
        if (!written && r->library->buffer_write(r->context, &written) != REDIS_OK)
            return context_error(r, err);
        const uint64_t now = hd__now_ns();
        const int wait_ms = now < deadline_ns ? (int)((deadline_ns - now) / 1000000u) + 1 : 0;
        struct pollfd fd = {.fd = r->context->fd, .events = (short)(POLLIN | (written ? 0 : POLLOUT))};
        const int n = poll(&fd, 1, wait_ms);
        if (n < 0 && errno != EINTR)
            return hd__fail_errno(err, errno, "poll");
        if (n == 0 && wait_ms == 0)
            return hd__fail(err, HD_ERR_PEER, "no answer within %" PRIu32 " ms", r->timeout_ms);
        if (n > 0 && (fd.revents & ~POLLOUT) != 0 && r->library->buffer_read(r->context) != REDIS_OK)
            return context_error(r, err);
    }
}

/* A command of the handshake, whose answer is a status. */
static hd_status command(hd_redis *r, uint64_t deadline_ns, int n, const char **args, hd_error *err)
{
    size_t lengths[3];
    redisReply *reply;
    for (int i = 0; i < n; i++)
        lengths[i] = strlen(args[i]);
    HD_TRY(append(r, n, args, lengths, err));
    HD_TRY(next_reply(r, deadline_ns, &reply, err));
    hd_status status = HD_OK;
    if (reply->type != REDIS_REPLY_STATUS)
        status = hd__fail(err, HD_ERR_PEER, "%s: %s", args[0], reply->type == REDIS_REPLY_ERROR ? reply->str : "no status");
    r->library->free_reply(reply);
    return status;
}

static hd_status handshake(hd_redis *r, hd_error *err)
{
    const uint64_t deadline_ns = deadline_from_now(r);
    char db[16];
    snprintf(db, sizeof db, "%" PRIu32, r->url.db);
    const char *login[] = {"AUTH", r->url.user, r->url.password}, *password[] = {"AUTH", r->url.password};
    const char *select[] = {"SELECT", db}, *ping[] = {"PING"};
    if (r->url.password != NULL && r->url.user != NULL)
        HD_TRY(command(r, deadline_ns, 3, login, err));
    else if (r->url.password != NULL)
        HD_TRY(command(r, deadline_ns, 2, password, err));
    if (r->url.db != 0)
        HD_TRY(command(r, deadline_ns, 2, select, err));
    return command(r, deadline_ns, 1, ping, err);
}

static hd_status connect_now(hd_redis *r, hd_error *err)
{
    r->context = r->library->connect_non_block(r->url.host, r->url.port);
    if (r->context == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a connection");
    if (r->context->err != 0)
        return context_error(r, err);
    HD_TRY(handshake(r, err));
    if (r->has_said_lost)
        hd__log(HD_LOG_WARN, "redis %s:%u: back again", r->url.host, r->url.port);
    else
        hd__log(HD_LOG_INFO, "redis %s:%u: connected", r->url.host, r->url.port);
    r->has_said_lost = r->has_said_refused = false;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->connected, true);
    pthread_mutex_unlock(&r->lock);
    return HD_OK;
}

/* ---- rounds ---- */

typedef struct round {
    hd_store_request *gets;
    put_item *puts;
    uint64_t deadline_ns;
} round_of;

static void free_puts(put_item *item)
{
    for (put_item *next; item != NULL; item = next) {
        next = item->next;
        hd__free(item);
    }
}

/* With the lock: all requests, and vectors up to a round's bytes. */
static round_of take_round(hd_redis *r)
{
    round_of taken = {.gets = r->gets, .puts = r->puts, .deadline_ns = deadline_from_now(r)};
    if (r->gets != NULL)
        taken.deadline_ns = r->gets->deadline_ns; /* the first one's, which came first */
    r->gets = NULL;
    r->last_get = &r->gets;
    size_t bytes = 0;
    put_item **link = &r->puts;
    for (; *link != NULL && bytes < ROUND_PUT_BYTES; link = &(*link)->next)
        bytes += (*link)->n_bytes;
    put_item *rest = *link;
    if (link != &r->puts)
        *link = NULL;
    r->puts = rest;
    if (rest == NULL)
        r->last_put = &r->puts;
    r->put_bytes -= bytes;
    return taken;
}

static size_t keys_in_command(const hd_store_request *get, size_t first)
{
    return get->n - first < KEYS_A_COMMAND ? get->n - first : KEYS_A_COMMAND;
}

static hd_status append_get(hd_redis *r, const hd_store_request *get, hd_error *err)
{
    static const char name[] = "MGET";
    char keys[KEYS_A_COMMAND][HD_REDIS_KEY_BYTES];
    const char *args[KEYS_A_COMMAND + 1] = {name};
    size_t lengths[KEYS_A_COMMAND + 1] = {sizeof name - 1};
    for (size_t first = 0, n; first < get->n; first += n) {
        n = keys_in_command(get, first);
        for (size_t i = 0; i < n; i++) {
            hd__redis_key_write(&get->keys[first + i], keys[i]);
            args[i + 1] = keys[i];
            lengths[i + 1] = HD_REDIS_KEY_BYTES;
        }
        HD_TRY(append(r, (int)n + 1, args, lengths, err));
    }
    return HD_OK;
}

static hd_status append_put(hd_redis *r, const put_item *item, hd_error *err)
{
    const char *args[] = {"SET", item->key, item->value, "EX", r->ttl};
    const size_t lengths[] = {3, HD_REDIS_KEY_BYTES, item->n_bytes, 2, strlen(r->ttl)};
    return append(r, r->ttl[0] != '\0' ? 5 : 3, args, lengths, err);
}

/* One MGET's answer: n values, or nothing for what is not there. */
static hd_status take_values(hd_redis *r, const redisReply *reply, hd_store_request *get, size_t first, size_t n,
                             hd_error *err)
{
    uint64_t n_invalid = 0;
    if (reply->type == REDIS_REPLY_ERROR)
        return hd__fail(err, HD_ERR_PEER, "MGET: %s", reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)
        return hd__fail(err, HD_ERR_PEER, "MGET: not %zu values", n);
    for (size_t i = 0; i < n; i++) {
        const redisReply *value = reply->element[i];
        if (value->type == REDIS_REPLY_NIL)
            continue;
        get->found[first + i] =
            value->type == REDIS_REPLY_STRING &&
            hd__redis_value_read(hd__span(value->str, value->len), get->vectors + (first + i) * get->width, get->width);
        n_invalid += !get->found[first + i];
    }
    pthread_mutex_lock(&r->lock);
    r->stats.n_invalid += n_invalid;
    pthread_mutex_unlock(&r->lock);
    return HD_OK;
}

static hd_status receive_get(hd_redis *r, hd_store_request *get, uint64_t deadline_ns, hd_error *err)
{
    for (size_t first = 0, n; first < get->n; first += n) {
        redisReply *reply;
        n = keys_in_command(get, first);
        HD_TRY(next_reply(r, deadline_ns, &reply, err));
        const hd_status status = take_values(r, reply, get, first, n, err);
        r->library->free_reply(reply);
        HD_TRY(status);
    }
    return HD_OK;
}

/* A vector that Redis refuses, for want of memory perhaps, is no reason to stop asking it for others: said once. */
static hd_status receive_put(hd_redis *r, uint64_t deadline_ns, hd_error *err)
{
    redisReply *reply;
    HD_TRY(next_reply(r, deadline_ns, &reply, err));
    const bool refused = reply->type == REDIS_REPLY_ERROR;
    if (refused && !r->has_said_refused)
        hd__log(HD_LOG_WARN, "redis %s:%u: SET: %s", r->url.host, r->url.port, reply->str);
    r->has_said_refused |= refused;
    r->library->free_reply(reply);
    pthread_mutex_lock(&r->lock);
    r->stats.n_put += !refused;
    r->stats.n_dropped += refused;
    r->stats.n_failures += refused;
    pthread_mutex_unlock(&r->lock);
    return HD_OK;
}

static void answer(hd_store_request *get)
{
    get->done(get);
}

/* Requests leave round->gets as they are answered, vectors round->puts as they are taken. */
static hd_status run_round(hd_redis *r, round_of *round, hd_error *err)
{
    for (const hd_store_request *get = round->gets; get != NULL; get = get->next)
        HD_TRY(append_get(r, get, err));
    for (const put_item *item = round->puts; item != NULL; item = item->next)
        HD_TRY(append_put(r, item, err));
    while (round->gets != NULL) {
        hd_store_request *get = round->gets;
        HD_TRY(receive_get(r, get, round->deadline_ns, err));
        round->gets = get->next;
        answer(get);
    }
    while (round->puts != NULL) {
        put_item *item = round->puts;
        HD_TRY(receive_put(r, round->deadline_ns, err));
        round->puts = item->next;
        hd__free(item);
    }
    return HD_OK;
}

/* ---- the thread ---- */

static uint64_t drop_puts(put_item *item)
{
    uint64_t n = 0;
    for (const put_item *i = item; i != NULL; i = i->next)
        n++;
    free_puts(item);
    return n;
}

/* Ends the connection. Whoever waits goes on without it. */
static void disconnect(hd_redis *r, round_of *round, const hd_error *why)
{
    hd_log_level level = r->has_said_lost ? HD_LOG_DEBUG : HD_LOG_WARN;
    hd__log(level, "redis %s:%u: %s; going on without it", r->url.host, r->url.port, why->text);
    r->has_said_lost = true;
    if (r->context != NULL)
        r->library->free(r->context);
    r->context = NULL;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->connected, false);
    hd_store_request *waiting = r->gets;
    r->gets = NULL;
    r->last_get = &r->gets;
    r->stats.n_failures++;
    r->stats.n_dropped += drop_puts(round->puts) + drop_puts(r->puts);
    r->puts = NULL;
    r->last_put = &r->puts;
    r->put_bytes = 0;
    pthread_mutex_unlock(&r->lock);
    for (hd_store_request *lists[] = {round->gets, waiting}, **list = lists; list < lists + 2; list++)
        for (hd_store_request *get = *list, *next; get != NULL; get = next) {
            next = get->next;
            answer(get);
        }
    *round = (round_of){0};
}

/* Until somebody calls, or so long; -1: no limit. */
static void wait_for_call(const hd_redis *r, int ms)
{
    uint64_t n;
    struct pollfd fds[] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (r->context != NULL)
        fds[1].fd = r->context->fd; /* so that a lost connection is known before somebody asks */
    if (poll(fds, 2, ms) > 0 && fds[0].revents != 0)
        (void)!read(r->wake_fd, &n, sizeof n);
}

static bool must_stop(hd_redis *r)
{
    pthread_mutex_lock(&r->lock);
    const bool stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

/* Sleeps between two tries. */
static void back_off(hd_redis *r, uint32_t ms)
{
    const uint64_t end_ns = hd__now_ns() + (uint64_t)ms * 1000000u;
    for (uint64_t now; !must_stop(r) && (now = hd__now_ns()) < end_ns;)
        wait_for_call(r, (int)((end_ns - now) / 1000000u) + 1);
}

/* While nothing is asked, bytes from Redis can only be the end of the connection. */
static hd_status check_idle(hd_redis *r, hd_error *err)
{
    struct pollfd fd = {.fd = r->context->fd, .events = POLLIN};
    if (poll(&fd, 1, 0) == 0 || r->library->buffer_read(r->context) == REDIS_OK)
        return HD_OK;
    return context_error(r, err);
}

/* Rounds until the connection is lost (false) or there is nothing more to do for ever (true). */
static bool serve(hd_redis *r)
{
    hd_error error;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        round_of round = take_round(r);
        const bool stop = r->stop;
        pthread_mutex_unlock(&r->lock);
        const bool idle = round.gets == NULL && round.puts == NULL;
        if (idle && stop)
            return true;
        if ((idle ? check_idle(r, &error) : run_round(r, &round, &error)) != HD_OK) {
            disconnect(r, &round, &error);
            return false;
        }
        if (idle)
            wait_for_call(r, -1);
    }
}

static void *redis_main(void *data)
{
    hd_redis *r = data;
    uint32_t retry_ms = RETRY_LEAST_MS;
    hd_error error;
    sigset_t pipe_signal; /* hiredis writes to sockets that the peer may have closed */
    hd__thread_name("heddle-redis");
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    while (!must_stop(r)) {
        if (connect_now(r, &error) != HD_OK) {
            round_of none = {0};
            disconnect(r, &none, &error);
        } else {
            retry_ms = RETRY_LEAST_MS;
            if (serve(r))
                break;
        }
        back_off(r, retry_ms);
        retry_ms = retry_ms * 2 < RETRY_MOST_MS ? retry_ms * 2 : RETRY_MOST_MS;
    }
    return NULL;
}

static void call(const hd_redis *r)
{
    const uint64_t one = 1;
    (void)!write(r->wake_fd, &one, sizeof one);
}

/* ---- the store ---- */

static bool store_ready(void *data)
{
    hd_redis *r = data;
    return atomic_load(&r->connected);
}

static bool store_get(void *data, hd_store_request *request)
{
    hd_redis *r = data;
    request->next = NULL;
    request->deadline_ns = deadline_from_now(r);
    pthread_mutex_lock(&r->lock);
    const bool taken = atomic_load(&r->connected) && !r->stop, first = r->gets == NULL;
    if (taken) {
        *r->last_get = request;
        r->last_get = &request->next;
    }
    pthread_mutex_unlock(&r->lock);
    if (taken && first)
        call(r);
    return taken;
}

static void store_put(void *data, const hd_store_key *key, const float *vector, size_t n)
{
    hd_redis *r = data;
    const size_t n_bytes = 4 * n;
    put_item *item = atomic_load(&r->connected) ? hd__malloc(sizeof *item + n_bytes) : NULL;
    if (item != NULL) {
        item->next = NULL;
        item->n_bytes = n_bytes;
        hd__redis_key_write(key, item->key);
        hd__redis_value_write(vector, n, item->value);
    }
    pthread_mutex_lock(&r->lock);
    const bool first = r->puts == NULL;
    const bool taken = item != NULL && atomic_load(&r->connected) && r->put_bytes + n_bytes <= WAITING_PUT_BYTES;
    if (taken) {
        *r->last_put = item;
        r->last_put = &item->next;
        r->put_bytes += n_bytes;
    } else {
        r->stats.n_dropped++;
    }
    pthread_mutex_unlock(&r->lock);
    if (!taken)
        hd__free(item);
    else if (first)
        call(r);
}

static void store_get_stats(void *data, hd_store_stats *stats)
{
    hd_redis *r = data;
    pthread_mutex_lock(&r->lock);
    *stats = r->stats;
    stats->connected = atomic_load(&r->connected);
    pthread_mutex_unlock(&r->lock);
}

/* ---- opening ---- */

static hd_status open_redis(hd_redis *r, const hd_redis_options *options, hd_error *err)
{
    HD_TRY(hd__redis_url_parse(options->url, &r->arena, &r->url, err));
    HD_TRY(hd__redis_library_open(&r->library, err));
    r->timeout_ms = options->timeout_ms;
    if (options->ttl_s != 0)
        snprintf(r->ttl, sizeof r->ttl, "%" PRIu32, options->ttl_s);
    r->store = (hd_vector_store){store_ready, store_get, store_put, store_get_stats, r};
    r->last_get = &r->gets;
    r->last_put = &r->puts;
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd < 0)
        return hd__fail_errno(err, errno, "eventfd");
    const int failed = pthread_create(&r->thread, NULL, redis_main, r);
    if (failed == 0)
        return HD_OK;
    close(r->wake_fd);
    return hd__fail_errno(err, failed, "cannot start a thread");
}

static void free_redis(hd_redis *r)
{
    pthread_mutex_destroy(&r->lock);
    hd__arena_clear(&r->arena);
    hd__free(r);
}

hd_status hd__redis_open(const hd_redis_options *options, hd_redis **redis, hd_error *err)
{
    hd_redis *r = hd__calloc(1, sizeof *r);
    if (r == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a connection to Redis");
    hd__arena_init(&r->arena);
    pthread_mutex_init(&r->lock, NULL);
    const hd_status status = open_redis(r, options, err);
    if (status != HD_OK) {
        free_redis(r);
        return status;
    }
    *redis = r;
    return HD_OK;
}

void hd__redis_close(hd_redis *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_mutex_unlock(&r->lock);
    call(r);
    pthread_join(r->thread, NULL);
    if (r->context != NULL)
        r->library->free(r->context);
    free_puts(r->puts);
    close(r->wake_fd);
    free_redis(r);
}

const hd_vector_store *hd__redis_store(hd_redis *r)
{
    return &r->store;
}
