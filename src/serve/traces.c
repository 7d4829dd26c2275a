/* traces.c - see traces.h.
 *
 * The queue is a ring of slots with sequence numbers (D. Vyukov's bounded queue, many producers, here one consumer): a
 * producer claims the next slot by one compare-and-swap, fills it, and publishes it by raising the slot's number.
 */
#include "serve/traces.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread_name.h"
#include "serve/trace_json.h"

#define MOST_RETRY_FACTOR 32u

typedef struct slot {
    atomic_size_t number; /* i: free for the i-th record; i + 1: holds it */
    hd_trace_record record;
} slot;

struct hd_traces {
    hd_traces_options options;
    slot *slots; /* [n_slots], a power of two */
    size_t n_slots;
    atomic_size_t n_taken; /* records that producers have claimed */
    size_t n_read;         /* records that the thread has taken out */
    _Atomic uint64_t n_queued;
    uint64_t seed;
    _Atomic uint64_t n_ids;
    _Atomic uint64_t n_accepted, n_exported, n_dropped_queue, n_dropped_export, n_rejected_spans;

    pthread_t thread;
    sem_t wake; /* a batch is full, or it is time to close */
    atomic_bool closing;
    _Atomic uint64_t end_ns; /* of closing: when to give up */
    hd_buffer body;          /* the thread's */
    bool away;               /* the collector; so that its going and coming is logged once */
};

/* ---- ids ---- */

/* SplitMix64 (Steele, Lea and Flood 2014) over a counter: unique within the process, from a seed of the system's. */
static uint64_t next_id(hd_traces *t)
{
    uint64_t z;
    do {
        z = t->seed + (atomic_fetch_add_explicit(&t->n_ids, 1, memory_order_relaxed) + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
    } while (z == 0);
    return z;
}

/* Whether the trace is kept; the decision must be the same wherever it is made, so it hangs on the trace's id alone. */
static bool is_kept(const hd_traces *t, const hd_trace_context *context)
{
    if (context->parent != 0 && !t->options.ignores_parent)
        return context->sampled;
    return t->options.ratio >= 1.0 || (double)(context->trace_low >> 11) < t->options.ratio * 0x1p53;
}

/* ---- taking ---- */

static void copy_text(char *to, size_t room, hd_span from)
{
    const size_t n = from.len < room ? from.len : room - 1;
    if (n > 0)
        memcpy(to, from.ptr, n);
    to[n] = '\0';
}

static void copy_cstr(char *to, size_t room, const char *from)
{
    copy_text(to, room, from != NULL ? hd__span_of(from) : hd__span(NULL, 0));
}

static void fill(hd_trace_record *r, const hd_exchange *x)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    r->http = x->record;
    r->unix_offset_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - hd__now_ns();
    r->method = x->request.method;
    r->status = x->response.status;
    const hd_span state = hd__http_header(&x->request, "tracestate");
    const bool passed_on =
        x->record.trace.parent != 0 && state.len <= HD_TRACE_STATE_BYTES; /* one that is cut means another */
    copy_text(r->state, sizeof r->state, passed_on ? state : hd__span(NULL, 0));
    copy_cstr(r->model, sizeof r->model, x->record.model);
    copy_cstr(r->request_id, sizeof r->request_id, x->request.id);
    copy_cstr(r->peer, sizeof r->peer, x->request.peer);
    copy_text(r->path, sizeof r->path, x->request.path);
    copy_text(r->agent, sizeof r->agent, hd__http_header(&x->request, "user-agent"));
}

/* The slot for the next record and its number; NULL: the queue is full. */
static slot *claim(hd_traces *t, size_t *number)
{
    size_t i = atomic_load_explicit(&t->n_taken, memory_order_relaxed);
    for (;;) {
        slot *s = &t->slots[i & (t->n_slots - 1)];
        const size_t at = atomic_load_explicit(&s->number, memory_order_acquire);
        if (at == i) {
            if (atomic_compare_exchange_weak_explicit(&t->n_taken, &i, i + 1, memory_order_relaxed, memory_order_relaxed)) {
                *number = i;
                return s;
            }
        } else if ((ptrdiff_t)(at - i) < 0) { /* still holds a record of the round before */
            return NULL;
        } else {
            i = atomic_load_explicit(&t->n_taken, memory_order_relaxed);
        }
    }
}

void hd__traces_take(const hd_exchange *exchange, void *data)
{
    hd_traces *t = data;
    if (exchange->record.start_ns == 0 || !is_kept(t, &exchange->record.trace))
        return;
    size_t number;
    slot *s = claim(t, &number);
    if (s == NULL) {
        atomic_fetch_add(&t->n_dropped_queue, 1);
        return;
    }
    fill(&s->record, exchange);
    atomic_store_explicit(&s->number, number + 1, memory_order_release);
    atomic_fetch_add(&t->n_accepted, 1);
    if (atomic_fetch_add(&t->n_queued, 1) + 1 == t->options.batch_size)
        sem_post(&t->wake);
}

/* ---- sending ---- */

/* Takes up to a batch out of the queue into the body; how many. Spans for which there is no memory are dropped. */
static uint32_t take_batch(hd_traces *t)
{
    uint32_t n = 0;
    hd__buffer_reset(&t->body);
    hd__trace_json_begin(&t->body, &t->options);
    for (; n < t->options.batch_size; n++) {
        slot *s = &t->slots[t->n_read & (t->n_slots - 1)];
        if (atomic_load_explicit(&s->number, memory_order_acquire) != t->n_read + 1)
            break;
        uint64_t ids[HD_TRACE_SPANS];
        ids[0] = s->record.http.trace.span;
        for (size_t i = 1; i < HD_TRACE_SPANS; i++)
            ids[i] = next_id(t);
        hd__trace_json_add(&t->body, &s->record, ids);
        atomic_store_explicit(&s->number, t->n_read + t->n_slots, memory_order_release);
        t->n_read++;
    }
    hd__trace_json_end(&t->body);
    atomic_fetch_sub(&t->n_queued, n);
    return n;
}

/* What senders ask: always, but no longer than close may take. */
static bool may_go_on(void *data)
{
    const hd_traces *t = data;
    return !atomic_load((atomic_bool *)&t->closing) || hd__now_ns() < atomic_load((_Atomic uint64_t *)&t->end_ns);
}

/* Waits until woken, at most ms. */
static void wait_ms(hd_traces *t, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    const uint64_t ns = (uint64_t)until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000u);
    until.tv_nsec = (long)(ns % 1000000000u);
    while (sem_timedwait(&t->wake, &until) != 0 && errno == EINTR)
        ;
}

/* The pause before the next try of a batch; full batches that come in the meantime do not shorten it, closing does. */
static void pause_ms(hd_traces *t, uint64_t ms)
{
    const uint64_t until_ns = hd__now_ns() + ms * 1000000;
    for (uint64_t now_ns; !atomic_load(&t->closing) && (now_ns = hd__now_ns()) < until_ns;)
        wait_ms(t, (until_ns - now_ns) / 1000000 + 1);
}

/* Sends the body, again and again where that may help. While closing each batch has one try. */
static void send_batch(hd_traces *t, uint32_t n)
{
    hd_error err = {0};
    uint64_t n_rejected = 0, retry_ms = t->options.retry_ms;
    hd_status status = t->body.failed ? hd__fail(&err, HD_ERR_MEMORY, "no memory for the spans of %u requests", n) : HD_OK;
    for (uint32_t i = 1; status == HD_OK; i++) {
        status = t->options.send(t->options.sender, hd__buffer_span(&t->body), may_go_on, t, &n_rejected, &err);
        const bool may_pass = status == HD_ERR_PEER || status == HD_ERR_BUSY;
        if (status == HD_OK || !may_pass || i >= t->options.n_tries || atomic_load(&t->closing))
            break;
        if (!t->away)
            hd__log(HD_LOG_WARN, "traces wait: %s", err.text);
        t->away = true;
        pause_ms(t, retry_ms);
        retry_ms = retry_ms < (uint64_t)t->options.retry_ms * MOST_RETRY_FACTOR ? retry_ms * 2 : retry_ms;
        status = HD_OK;
    }
    if (status == HD_OK) {
        atomic_fetch_add(&t->n_exported, n);
        atomic_fetch_add(&t->n_rejected_spans, n_rejected);
        if (t->away)
            hd__log(HD_LOG_WARN, "traces go out again");
    } else {
        atomic_fetch_add(&t->n_dropped_export, n);
        hd__log(t->away ? HD_LOG_INFO : HD_LOG_WARN, "traces of %u requests are lost: %s", n, err.text);
    }
    t->away = status != HD_OK;
}

static void *run(void *data)
{
    hd_traces *t = data;
    hd__thread_name("heddle-traces");
    for (;;) {
        const bool last = atomic_load(&t->closing);
        if (!last && atomic_load(&t->n_queued) < t->options.batch_size)
            wait_ms(t, t->options.delay_ms);
        uint32_t n = take_batch(t);
        for (; n > 0 && may_go_on(t); n = take_batch(t))
            send_batch(t, n);
        atomic_fetch_add(&t->n_dropped_export, n);
        if (last)
            return NULL;
    }
}

/* ---- open, close ---- */

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value != 0 ? value : standard;
}

static void free_traces(hd_traces *t)
{
    hd__buffer_clear(&t->body);
    sem_destroy(&t->wake);
    if (t->slots != NULL)
        hd__map_free(t->slots, t->n_slots * sizeof *t->slots);
    hd__free(t);
}

hd_status hd__traces_open(const hd_traces_options *options, hd_traces **traces, hd_error *err)
{
    hd_traces *t = hd__calloc(1, sizeof *t);
    if (t == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for traces");
    hd_traces_options *o = &t->options;
    *o = *options;
    o->queue_size = or_default(o->queue_size, 2048);
    o->batch_size = or_default(o->batch_size, 512);
    o->delay_ms = or_default(o->delay_ms, 5000);
    o->retry_ms = or_default(o->retry_ms, 1000);
    o->n_tries = or_default(o->n_tries, 5);
    o->close_ms = or_default(o->close_ms, 2000);
    for (t->n_slots = 2; t->n_slots < o->queue_size; t->n_slots *= 2)
        ;
    if (o->batch_size > t->n_slots)
        o->batch_size = (uint32_t)t->n_slots;
    sem_init(&t->wake, 0, 0);
    t->slots = hd__map_alloc(hd__mul(t->n_slots, sizeof *t->slots));
    if (t->slots == NULL) {
        free_traces(t);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the queue of traces");
    }
    for (size_t i = 0; i < t->n_slots; i++)
        atomic_store_explicit(&t->slots[i].number, i, memory_order_relaxed);
    if (getrandom(&t->seed, sizeof t->seed, 0) != (ssize_t)sizeof t->seed)
        t->seed = hd__now_ns() ^ (uint64_t)getpid() << 32;
    const int failed = pthread_create(&t->thread, NULL, run, t);
    if (failed != 0) {
        free_traces(t);
        return hd__fail_errno(err, failed, "no thread for traces");
    }
    *traces = t;
    return HD_OK;
}

void hd__traces_close(hd_traces *t)
{
    if (t == NULL)
        return;
    atomic_store(&t->end_ns, hd__now_ns() + (uint64_t)t->options.close_ms * 1000000);
    atomic_store(&t->closing, true);
    sem_post(&t->wake);
    pthread_join(t->thread, NULL);
    free_traces(t);
}

void hd__traces_get_stats(const hd_traces *traces, hd_traces_stats *stats)
{
    *stats = (hd_traces_stats){0};
    if (traces == NULL)
        return;
    hd_traces *t = (hd_traces *)traces; /* C17 loads take no const */
    stats->n_taken = atomic_load(&t->n_accepted);
    stats->n_exported = atomic_load(&t->n_exported);
    stats->n_dropped_queue = atomic_load(&t->n_dropped_queue);
    stats->n_dropped_export = atomic_load(&t->n_dropped_export);
    stats->n_rejected_spans = atomic_load(&t->n_rejected_spans);
}
