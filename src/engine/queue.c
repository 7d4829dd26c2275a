/* queue.c - who is next: lanes of callers, flights of equal texts.
 *
 * Callers take turns by deficit round robin (Shreedhar and Varghese, "Efficient fair queueing using deficit round
 * robin", 1995): a lane at its turn gets TURN_TOKENS of credit and keeps what it does not use, so that a caller with
 * long texts gets as many tokens as one with short ones. Within a lane the jobs take turns in the same way. What is
 * taken is of one model, for the same heads and the same task: lanes whose next job asks for others are passed over and keep
 * their place. Each crew of workers has lanes of its own.
 *
 * A sequence equal to one that is queued or being computed for the same heads by the same crew follows it and gets its
 * results: nobody in a hurry waits for the background. With the
 * vector cache it is computed once, whenever it comes: see ask_again.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/engine_int.h"

#define TURN_TOKENS HD_GROUP_TOKENS
#define FIRST_BUCKETS 256

/* ---- flights ---- */

static hd_sequence **bucket_of(const hd_engine *e, hd_hash128 key)
{
    return &e->flights[key.low & (e->n_flight_buckets - 1)];
}

/* Keeps chains short; without memory they just get longer. False when there is no table at all. */
static bool grow_flights(hd_engine *e)
{
    if (e->n_flights < e->n_flight_buckets)
        return true;
    const size_t n_old = e->n_flight_buckets, n = n_old != 0 ? n_old * 2 : FIRST_BUCKETS;
    hd_sequence **old = e->flights, **buckets = hd__calloc(n, sizeof *buckets);
    if (buckets == NULL)
        return n_old != 0;
    e->flights = buckets;
    e->n_flight_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        for (hd_sequence *s = old[i], *next; s != NULL; s = next) {
            next = s->chain;
            hd_sequence **bucket = bucket_of(e, s->key);
            s->chain = *bucket;
            *bucket = s;
        }
    }
    hd__free(old);
    return true;
}

static bool same_text(const hd_sequence *a, const hd_sequence *b)
{
    return a->key.low == b->key.low && a->key.high == b->key.high && a->n_tokens == b->n_tokens &&
           a->job->model == b->job->model && a->job->heads == b->job->heads && a->job->crew == b->job->crew;
}

static void enter_queue(hd_engine *e, const hd_sequence *s)
{
    e->queue_texts++;
    e->queue_tokens += (uint64_t)s->n_tokens;
    s->job->model->pending_tokens[s->job->crew->kind] += (uint64_t)s->n_tokens;
}

/* Puts a sequence in flight, or makes it follow one that is. */
static void take_off(hd_engine *e, hd_sequence *s)
{
    s->state = HD_QUEUED;
    s->followers = NULL;
    hd_sequence *leader = *bucket_of(e, s->key);
    while (leader != NULL && !same_text(leader, s))
        leader = leader->chain;
    if (leader != NULL) {
        s->state = HD_FOLLOWS;
        s->followers = leader->followers;
        leader->followers = s;
        return;
    }
    hd_sequence **bucket = bucket_of(e, s->key);
    s->chain = *bucket;
    *bucket = s;
    e->n_flights++;
    enter_queue(e, s);
}

hd_sequence *hd__queue_land(hd_engine *e, hd_sequence *s)
{
    hd_sequence **link = bucket_of(e, s->key);
    while (*link != s)
        link = &(*link)->chain;
    *link = s->chain;
    e->n_flights--;
    e->n_landed++;
    hd_sequence *followers = s->followers;
    s->followers = NULL;
    for (hd_sequence *f = followers; f != NULL; f = f->followers)
        f->state = HD_TAKEN;
    return followers;
}

static void leave_queue(hd_engine *e, const hd_sequence *s)
{
    e->queue_texts--;
    e->queue_tokens -= (uint64_t)s->n_tokens;
    s->job->model->pending_tokens[s->job->crew->kind] -= (uint64_t)s->n_tokens;
}

static void unfollow(hd_engine *e, hd_sequence *s)
{
    hd_sequence *leader = *bucket_of(e, s->key);
    while (!same_text(leader, s))
        leader = leader->chain;
    hd_sequence **link = &leader->followers;
    while (*link != s)
        link = &(*link)->followers;
    *link = s->followers;
    s->followers = NULL;
}

/* ---- lanes ---- */

static void append_lane(hd_crew *c, hd_lane *lane)
{
    lane->next = NULL;
    if (c->last_lane != NULL)
        c->last_lane->next = lane;
    else
        c->lanes = lane;
    c->last_lane = lane;
}

static void remove_lane(hd_crew *c, hd_lane *lane, hd_lane *before)
{
    if (before != NULL)
        before->next = lane->next;
    else
        c->lanes = lane->next;
    if (c->last_lane == lane)
        c->last_lane = before;
}

static hd_lane *lane_of(hd_crew *c, uint64_t caller)
{
    hd_lane *lane = c->lanes;
    while (lane != NULL && lane->caller != caller)
        lane = lane->next;
    if (lane != NULL || (lane = hd__calloc(1, sizeof *lane)) == NULL)
        return lane;
    *lane = (hd_lane){.caller = caller, .credit = TURN_TOKENS};
    append_lane(c, lane);
    return lane;
}

static void append_job(hd_lane *lane, hd_job *job)
{
    job->next = NULL;
    if (lane->tail != NULL)
        lane->tail->next = job;
    else
        lane->head = job;
    lane->tail = job;
    job->lane = lane;
}

static void remove_head(hd_lane *lane)
{
    hd_job *job = lane->head;
    lane->head = job->next;
    if (lane->head == NULL)
        lane->tail = NULL;
    job->next = NULL;
    job->lane = NULL;
}

/* Frees the lane when it has no job any more. */
static bool free_if_empty(hd_crew *c, hd_lane *lane)
{
    if (lane->head != NULL)
        return false;
    hd_lane *before = NULL;
    for (hd_lane *l = c->lanes; l != lane; l = l->next)
        before = l;
    remove_lane(c, lane, before);
    hd__free(lane);
    return true;
}

static void skip_to_queued(hd_job *job)
{
    while (job->next_sequence < job->n_sequences && job->sequences[job->next_sequence].state != HD_QUEUED)
        job->next_sequence++;
}

/* Takes what was computed since the cache was asked: each vector is put there before its flight lands, so that now, with
 * the lock, an equal sequence is in flight or in the cache, or has to be computed. How many were found. */
static size_t ask_again(const hd_engine *e, hd_job *job)
{
    const size_t width = (size_t)job->model->encoder->n_out;
    hd_error error;
    size_t n = 0;
    if (job->cached == NULL || job->n_landed == e->n_landed)
        return 0;
    for (size_t i = 0; i < job->n_sequences; i++) {
        hd_sequence *s = &job->sequences[i];
        if (s->state == HD_FOUND || !hd__cache_get_again(e->cache, s->key, job->cached, width) ||
            hd__job_store_vector(job, s->row, job->cached, &error) != HD_OK)
            continue;
        s->state = HD_FOUND;
        job->stats.n_cached++;
        job->stats.n_tokens -= (uint64_t)s->n_tokens;
        n++;
    }
    return n;
}

hd_status hd__queue_push(hd_engine *e, hd_job *job, hd_error *err)
{
    const size_t n_found = ask_again(e, job);
    if (e->max_queue_tokens != 0 && e->queue_tokens != 0 && e->queue_tokens + job->stats.n_tokens > e->max_queue_tokens)
        return hd__fail(err, HD_ERR_BUSY, "%llu tokens are queued and %llu more would pass the limit of %llu",
                        (unsigned long long)e->queue_tokens, (unsigned long long)job->stats.n_tokens,
                        (unsigned long long)e->max_queue_tokens);
    hd_lane *lane = lane_of(job->crew, job->options.caller);
    if (lane == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a job");
    for (size_t i = 0; i < job->n_sequences; i++) {
        if (job->sequences[i].state == HD_FOUND)
            continue;
        if (!grow_flights(e)) { /* the very first one: nothing is in flight */
            free_if_empty(job->crew, lane);
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a job");
        }
        take_off(e, &job->sequences[i]);
    }
    skip_to_queued(job);
    if (job->next_sequence < job->n_sequences)
        append_job(lane, job);
    else
        free_if_empty(job->crew, lane);
    hd__job_count(job, n_found, NULL);
    return HD_OK;
}

/* ---- taking ---- */

bool hd__taken_grow(hd_worker *w)
{
    size_t capacity = w->taken_capacity * 2 + 64;
    hd_sequence **sequences = hd__realloc(w->taken, capacity * sizeof *sequences);
    if (sequences == NULL)
        return false;
    w->taken = sequences;
    w->taken_capacity = capacity;
    return true;
}

typedef struct group {
    hd_worker *worker;
    hd_model *model;      /* of the sequences it has */
    uint32_t heads, task; /* of their jobs */
    size_t n, most, n_rows, most_rows;
    uint64_t n_tokens, budget;
    bool full;
} group;

/* Takes of a lane's first job until it has no more, the lane's credit or the group's budget is used up. */
static void take_of_job(group *g, hd_lane *lane)
{
    hd_job *job = lane->head;
    hd_engine *e = g->worker->crew->engine;
    if (g->n == 0) {
        g->model = job->model;
        g->heads = job->heads;
        g->task = job->task;
        g->most = hd__most_sequences(job->model, job->heads);
        g->budget = hd__worker_budget(g->worker, job);
        g->most_rows = hd__worker_rows(g->worker, g->budget);
    }
    for (; job->next_sequence < job->n_sequences; skip_to_queued(job)) {
        hd_sequence *s = &job->sequences[job->next_sequence];
        if (g->n > 0 && (g->n == g->most || g->n_rows + hd__rows_of_sequence(s) > g->most_rows ||
                         g->n_tokens + (uint64_t)s->n_tokens > g->budget)) {
            g->full = true;
            return;
        }
        if (lane->credit < s->n_tokens)
            return;
        if (g->n == g->worker->taken_capacity && !hd__taken_grow(g->worker)) {
            g->full = true;
            return;
        }
        if (job->taken_ns == 0)
            job->taken_ns = hd__now_ns();
        s->state = HD_TAKEN;
        leave_queue(e, s);
        g->worker->taken[g->n++] = s;
        g->n_tokens += (uint64_t)s->n_tokens;
        g->n_rows += hd__rows_of_sequence(s);
        lane->credit -= s->n_tokens;
    }
}

static bool fits(const group *g, const hd_lane *lane)
{
    const hd_job *job = lane->head;
    return hd__worker_may_take(g->worker, job) &&
           (g->n == 0 || (job->model == g->model && job->heads == g->heads && job->task == g->task));
}

/* A lane's turn: its jobs one after the other. True when its credit is used up, and with it the turn. */
static bool take_of_lane(group *g, hd_lane *lane)
{
    while (lane->head != NULL && !g->full && fits(g, lane)) {
        hd_job *job = lane->head;
        take_of_job(g, lane);
        const bool more = job->next_sequence < job->n_sequences;
        remove_head(lane);
        if (more) {
            append_job(lane, job);
            if (!g->full)
                return true;
        }
    }
    return false;
}

size_t hd__queue_take(hd_worker *w, int *n_tokens)
{
    hd_crew *c = w->crew;
    group g = {.worker = w};
    hd_lane *before = NULL; /* the last of those that were passed over */
    while (!g.full) {
        hd_lane *lane = before != NULL ? before->next : c->lanes;
        if (lane == NULL)
            break;
        if (!fits(&g, lane)) {
            before = lane;
        } else if (take_of_lane(&g, lane)) {
            lane->credit += TURN_TOKENS;
            remove_lane(c, lane, before);
            append_lane(c, lane);
        } else {
            free_if_empty(c, lane);
        }
    }
    *n_tokens = (int)g.n_tokens;
    return g.n;
}

void hd__queue_return(hd_worker *w, size_t n)
{
    hd_engine *e = w->crew->engine;
    for (size_t i = 0; i < n; i++) {
        hd_sequence *s = w->taken[i];
        hd_job *job = s->job;
        const size_t at = (size_t)(s - job->sequences);
        hd_lane *lane = job->lane != NULL ? job->lane : lane_of(job->crew, job->options.caller);
        lane = lane != NULL ? lane : job->crew->lanes; /* without memory, in another's */
        if (lane == NULL) {
            hd_error error;
            HD_IGNORE(hd__fail(&error, HD_ERR_MEMORY, "no memory for a job"));
            hd__sequence_fail(e, s, &error);
            continue;
        }
        s->state = HD_QUEUED;
        enter_queue(e, s);
        job->next_sequence = at < job->next_sequence ? at : job->next_sequence;
        if (job->lane == NULL)
            append_job(lane, job);
    }
}

/* ---- dropping ---- */

void hd__job_count(hd_job *job, size_t n, const hd_error *error)
{
    if (error != NULL && job->error.status == HD_OK)
        job->error = *error;
    job->n_done += n;
    if (n == 0 || job->n_done < job->n_sequences)
        return;
    job->stats.queue_ns = job->taken_ns > job->queued_ns ? job->taken_ns - job->queued_ns : 0;
    job->stats.compute_ns = job->taken_ns != 0 ? hd__now_ns() - job->taken_ns : 0;
    pthread_cond_broadcast(&job->finished);
    if (job->options.done == NULL)
        return;
    job->next = job->crew->finished;
    job->crew->finished = job;
}

static void leave_lane(hd_job *job)
{
    hd_lane *lane = job->lane;
    hd_job **link = &lane->head, *before = NULL;
    while (*link != job) {
        before = *link;
        link = &before->next;
    }
    *link = job->next;
    if (lane->tail == job)
        lane->tail = before;
    job->next = NULL;
    job->lane = NULL;
    free_if_empty(job->crew, lane);
}

void hd__queue_drop(hd_job *job)
{
    hd_engine *e = job->model->engine;
    size_t n = 0;
    for (size_t i = 0; i < job->n_sequences; i++) {
        hd_sequence *s = &job->sequences[i];
        if (s->state != HD_FOLLOWS)
            continue;
        unfollow(e, s);
        s->state = HD_DROPPED;
        n++;
    }
    for (size_t i = job->next_sequence; i < job->n_sequences; i++) {
        hd_sequence *s = &job->sequences[i];
        if (s->state != HD_QUEUED || s->followers != NULL)
            continue;
        leave_queue(e, s);
        hd__queue_land(e, s);
        s->state = HD_DROPPED;
        n++;
    }
    skip_to_queued(job);
    if (job->lane != NULL && job->next_sequence == job->n_sequences)
        leave_lane(job);
    hd_error error;
    HD_IGNORE(hd__fail(&error, HD_ERR_CANCELLED, "cancelled"));
    hd__job_count(job, n, n > 0 ? &error : NULL);
}
