/* history.c - a ring of seconds. Its lock is `lock` and is held for one addition, or one copy.
 *
 * Latency is kept as counts in buckets, eight to the octave from a microsecond to two minutes, so that quantiles of one
 * second and of a minute come from the same numbers, within 6 %. It runs from the body's last byte to the response in
 * memory: the client's own pace is not in it.
 */
#include "serve/history.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/clock.h"

#define OCTAVE 8u      /* buckets for each doubling */
#define N_BUCKETS 208u /* the last one begins at 125 s and takes what is longer */

typedef struct second {
    uint64_t number;
    uint32_t n_requests, n_errors;
    uint64_t n_inputs, n_tokens, n_cached;
    uint64_t read_us, tokenize_us, queue_us, compute_us, write_us; /* sums over the requests */
    uint32_t n_timed, buckets[N_BUCKETS];
} second;

struct hd_history {
    pthread_mutex_t lock; /* of all that follows */
    uint64_t open_ns;
    uint64_t n_requests, n_errors, n_inputs, n_tokens, n_cached;
    uint64_t n_faults[HD_FAULT_KINDS];
    second seconds[HD_HISTORY_SECONDS]; /* number % HD_HISTORY_SECONDS; pages of quiet times are never touched */
};

static uint32_t bucket_of(uint64_t us)
{
    if (us < OCTAVE)
        return (uint32_t)us;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(us); /* at least 3 */
    uint64_t bucket = (octave - 2) * OCTAVE + ((us >> (octave - 3)) & (OCTAVE - 1));
    return bucket < N_BUCKETS ? (uint32_t)bucket : N_BUCKETS - 1;
}

static uint64_t middle_of(uint32_t bucket)
{
    if (bucket < OCTAVE)
        return bucket;
    uint32_t shift = bucket / OCTAVE - 1;
    return ((uint64_t)(OCTAVE + bucket % OCTAVE) << shift) + (UINT64_C(1) << shift) / 2;
}

/* The value that a share of n values is not above. n > 0. */
static uint64_t quantile(const uint32_t *buckets, uint64_t n, uint32_t percent)
{
    uint64_t rank = (n * percent + 99) / 100, seen = 0;
    uint32_t bucket = 0;
    for (; bucket < N_BUCKETS - 1; bucket++) {
        seen += buckets[bucket];
        if (seen >= rank)
            break;
    }
    return middle_of(bucket);
}

hd_status hd__history_open(hd_history **history, hd_error *err)
{
    hd_history *h = (hd_history *)hd__map_alloc(sizeof *h);
    if (h == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "history: no memory for %zu bytes", sizeof *h);
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        hd__map_free(h, sizeof *h);
        return hd__fail(err, HD_ERR_MEMORY, "history: no memory for a lock");
    }
    h->open_ns = hd__now_ns();
    *history = h;
    return HD_OK;
}

void hd__history_close(hd_history *history)
{
    if (history == NULL)
        return;
    pthread_mutex_destroy(&history->lock);
    hd__map_free(history, sizeof *history);
}

static uint64_t number_at(const hd_history *h, uint64_t now_ns)
{
    return now_ns > h->open_ns ? (now_ns - h->open_ns) / 1000000000u : 0;
}

static second *second_at(hd_history *h, uint64_t number)
{
    second *s = &h->seconds[number % HD_HISTORY_SECONDS];
    if (s->number != number)
        *s = (second){.number = number};
    return s;
}

void hd__history_add_at(hd_history *h, const hd_http_record *r, uint64_t now_ns)
{
    bool failed = r->fault != HD_FAULT_NONE;
    if (!failed && r->n_inputs == 0)
        return;
    pthread_mutex_lock(&h->lock);
    second *s = second_at(h, number_at(h, now_ns));
    s->n_requests++;
    s->n_errors += failed;
    s->n_inputs += r->n_inputs;
    s->n_tokens += r->n_tokens;
    s->n_cached += r->n_cached;
    s->read_us += r->read_ns / 1000;
    s->tokenize_us += r->tokenize_ns / 1000;
    s->queue_us += r->queue_ns / 1000;
    s->compute_us += r->compute_ns / 1000;
    s->write_us += r->write_ns / 1000;
    if (!failed && r->handled_ns > r->body_ns && r->body_ns != 0) {
        s->n_timed++;
        s->buckets[bucket_of((r->handled_ns - r->body_ns) / 1000)]++;
    }
    h->n_requests++;
    h->n_errors += failed;
    h->n_inputs += r->n_inputs;
    h->n_tokens += r->n_tokens;
    h->n_cached += r->n_cached;
    h->n_faults[r->fault]++;
    pthread_mutex_unlock(&h->lock);
}

void hd__history_add(const hd_exchange *exchange, void *history)
{
    hd__history_add_at((hd_history *)history, &exchange->record, hd__now_ns());
}

static void write_quantile(hd_buffer *body, const uint32_t *buckets, uint64_t n, uint32_t percent)
{
    if (n == 0)
        hd__buffer_append_text(body, "null");
    else
        hd__buffer_printf(body, "%" PRIu64, quantile(buckets, n, percent));
}

static void write_second(hd_buffer *body, const second *s)
{
    hd__buffer_printf(body, "[%" PRIu64 ",%u,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", s->number, s->n_requests, s->n_errors,
                      s->n_inputs, s->n_tokens, s->n_cached);
    write_quantile(body, s->buckets, s->n_timed, 50);
    hd__buffer_append_char(body, ',');
    write_quantile(body, s->buckets, s->n_timed, 99);
    hd__buffer_printf(body, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", s->read_us, s->tokenize_us,
                      s->queue_us, s->compute_us, s->write_us);
}

static void write_window(hd_buffer *body, const hd_history *h, uint64_t now)
{
    uint32_t buckets[N_BUCKETS] = {0};
    uint64_t n_requests = 0, n_timed = 0;
    for (uint64_t n = now > HD_HISTORY_WINDOW ? now - HD_HISTORY_WINDOW : 0; n <= now; n++) {
        const second *s = &h->seconds[n % HD_HISTORY_SECONDS];
        if (s->number != n)
            continue;
        n_requests += s->n_requests;
        n_timed += s->n_timed;
        for (uint32_t i = 0; s->n_timed > 0 && i < N_BUCKETS; i++)
            buckets[i] += s->buckets[i];
    }
    static const struct {
        const char *name;
        uint32_t percent;
    } quantiles[] = {{"p50_us", 50}, {"p95_us", 95}, {"p99_us", 99}};
    hd__buffer_printf(body, ",\"window\":{\"seconds\":%u,\"n_requests\":%" PRIu64, HD_HISTORY_WINDOW, n_requests);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        hd__buffer_printf(body, ",\"%s\":", quantiles[i].name);
        write_quantile(body, buckets, n_timed, quantiles[i].percent);
    }
    hd__buffer_append_char(body, '}');
}

static void write_errors(hd_buffer *body, const hd_history *h)
{
    const char *comma = "";
    hd__buffer_append_text(body, ",\"errors\":{");
    for (int kind = HD_FAULT_NONE + 1; kind < HD_FAULT_KINDS; kind++) {
        if (h->n_faults[kind] == 0)
            continue;
        hd__buffer_printf(body, "%s\"%s\":%" PRIu64, comma, hd__fault_name((hd_fault_kind)kind), h->n_faults[kind]);
        comma = ",";
    }
    hd__buffer_append_char(body, '}');
}

void hd__history_write_at(hd_history *h, uint64_t since, uint64_t now_ns, hd_buffer *body)
{
    const char *comma = "";
    pthread_mutex_lock(&h->lock);
    uint64_t now = number_at(h, now_ns), oldest = now >= HD_HISTORY_SECONDS ? now - HD_HISTORY_SECONDS + 1 : 0;
    hd__buffer_printf(body, "{\"second\":%" PRIu64, now);
    hd__buffer_append_text(body,
                           ",\"columns\":[\"second\",\"n_requests\",\"n_errors\",\"n_inputs\",\"n_tokens\",\"n_cached\","
                           "\"p50_us\",\"p99_us\",\"read_us\",\"tokenize_us\",\"queue_us\",\"compute_us\",\"write_us\"]"
                           ",\"seconds\":[");
    for (uint64_t n = since > oldest ? since : oldest; n < now; n++) {
        const second *s = &h->seconds[n % HD_HISTORY_SECONDS];
        if (s->number != n || s->n_requests == 0)
            continue;
        hd__buffer_append_text(body, comma);
        write_second(body, s);
        comma = ",";
    }
    hd__buffer_append_char(body, ']');
    write_window(body, h, now);
    hd__buffer_printf(body,
                      ",\"totals\":{\"n_requests\":%" PRIu64 ",\"n_errors\":%" PRIu64 ",\"n_inputs\":%" PRIu64
                      ",\"n_tokens\":%" PRIu64 ",\"n_cached\":%" PRIu64 "}",
                      h->n_requests, h->n_errors, h->n_inputs, h->n_tokens, h->n_cached);
    write_errors(body, h);
    hd__buffer_append_char(body, '}');
    pthread_mutex_unlock(&h->lock);
}

void hd__history_write(hd_history *history, uint64_t since, hd_buffer *body)
{
    hd__history_write_at(history, since, hd__now_ns(), body);
}
