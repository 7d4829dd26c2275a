/* worker.c - the threads that compute.
 *
 * A worker takes a group: whole sequences of one model from the callers whose turn it is (queue.c), up to its token
 * budget or its fair share of what is pending, whichever is less, and runs all layers on it. When nothing else is
 * pending and other workers are idle, the group is offered to them as a team (device/run.h). What nobody waits for has a
 * crew of workers of its own, which give way to all other threads: a query takes the core in the middle of their pass.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread_name.h"
#include "base/thread_priority.h"
#include "engine/engine_int.h"

/* ---- slots ---- */

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

size_t hd__most_sequences(const hd_model *m, uint32_t heads)
{
    return (heads & HD_HEAD_SPARSE) != 0 && m->encoder->sparse_by_vocabulary ? HD_VOCABULARY_GROUP : SIZE_MAX;
}

static float *carve_floats(char *base, size_t *at, size_t rows, size_t n)
{
    return hd__carve(base, at, hd__mul(hd__mul(rows, n), sizeof(float)));
}

size_t hd__rows_of_sequence(const hd_sequence *s)
{
    return s->n_parts > 0 ? s->n_parts : 1;
}

size_t hd__slot_plan(const hd_model *m, const hd_room *room, uint32_t heads, char *base, hd_slot *s)
{
    const hd_encoder *e = m->encoder;
    const size_t tokens = (size_t)room->n_tokens, rows = (size_t)room->n_rows, most = hd__most_sequences(m, heads);
    size_t at = 0;
    int32_t **const of_tokens[] = {&s->ids, &s->positions, &s->types};
    int32_t **const of_rows[] = {&s->begin, &s->vector_begin, &s->pool_begin, &s->n_seen, &s->span_begin, &s->span_end};
    for (size_t i = 0; i < sizeof of_tokens / sizeof of_tokens[0]; i++)
        *of_tokens[i] = hd__carve(base, &at, tokens * sizeof(int32_t));
    for (size_t i = 0; i < sizeof of_rows / sizeof of_rows[0]; i++)
        *of_rows[i] = hd__carve(base, &at, (rows + 1) * sizeof(int32_t));
    s->out = s->token_states = s->token_vectors = s->token_weights = s->vocab_weights = s->scores = NULL;
    if ((heads & HD_HEAD_DENSE) != 0)
        s->out = carve_floats(base, &at, rows, (size_t)e->n_out);
    if ((heads & HD_HEAD_TOKENS) != 0)
        s->token_states = carve_floats(base, &at, tokens, m->settings.hidden);
    if ((heads & HD_HEAD_MULTI) != 0)
        s->token_vectors = carve_floats(base, &at, tokens, (size_t)e->n_token_out);
    if ((heads & HD_HEAD_SPARSE) != 0 && !e->sparse_by_vocabulary)
        s->token_weights = carve_floats(base, &at, tokens, 1);
    if ((heads & HD_HEAD_SPARSE) != 0 && e->sparse_by_vocabulary)
        s->vocab_weights = carve_floats(base, &at, rows < most ? rows : most, m->settings.vocab_size);
    if ((heads & HD_HEAD_SCORES) != 0)
        s->scores = carve_floats(base, &at, rows, (size_t)e->n_labels);
    return at;
}

/* Room for so many tokens, for what these heads make of them, and for scratch. */
static size_t plan_slot(const hd_model *m, int capacity, uint32_t heads, char *base, hd_slot *s)
{
    const hd_encoder *e = m->encoder;
    s->room = (hd_room){.n_tokens = capacity, .n_rows = capacity, .n_members = (int)m->engine->n_threads};
    size_t at = hd__slot_plan(m, &s->room, heads, base, s);
    s->scratch = hd__carve(base, &at, e->architecture->scratch_bytes(e, &s->room));
    return at;
}

uint32_t hd__usual_heads(const hd_model *m)
{
    return (m->encoder->heads & HD_HEAD_DENSE) != 0 ? HD_HEAD_DENSE : m->encoder->heads;
}

int hd__plan_group_tokens(const hd_model *m)
{
    enum { LEAST = 32 }; /* below that the weights pass by for too few rows: a thread may then hold more than its share */
    const uint64_t share = hd__memory_share(m->engine);
    int n_tokens = HD_GROUP_TOKENS;
    hd_slot slot;
    while (n_tokens > LEAST && plan_slot(m, n_tokens, hd__usual_heads(m), NULL, &slot) > share)
        n_tokens /= 2;
    return n_tokens;
}

void hd__slot_clear(hd_slot *slot)
{
    hd__map_free(slot->block, slot->block_bytes);
    *slot = (hd_slot){.model = slot->model, .stream = slot->stream};
}

/* Empties a slot whose model nobody uses; whether there was anything in it. */
static bool clear_unused(hd_slot *slot)
{
    if (slot->model == NULL || slot->model->n_users > 0)
        return false;
    const bool any = slot->block_bytes > 0;
    slot->model = NULL;
    hd__slot_clear(slot);
    return any;
}

bool hd__slots_clear_unused(hd_engine *e)
{
    bool any = false;
    for (uint32_t i = 0; i < e->n_workers; i++)
        any |= clear_unused(&e->workers[i].slot);
    for (uint32_t i = 0; i < e->n_devices; i++) {
        for (uint32_t k = 0; k < HD_DEVICE_STREAMS; k++)
            any |= hd__device_clear_unused(&e->devices[i].workers[k]);
    }
    return any;
}

/* Lays a block out for so many tokens and these heads. Scratch begins as zeros: kernels may read past a row's end. */
static void lay_out(const hd_model *m, hd_slot *slot, int capacity, uint32_t heads, bool is_zero)
{
    const size_t bytes = plan_slot(m, capacity, heads, slot->block, slot);
    if (!is_zero)
        memset(slot->scratch, 0, (size_t)(slot->block + bytes - slot->scratch));
    slot->heads = heads;
}

bool hd__slot_map(hd_engine *e, hd_slot *slot, size_t bytes, bool within_share)
{
    pthread_mutex_lock(&e->lock);
    const bool granted = (!within_share || bytes <= hd__memory_share(e)) && hd__memory_take(e, &slot->block_bytes, bytes);
    pthread_mutex_unlock(&e->lock);
    slot->block = granted ? hd__map_alloc(bytes) : NULL;
    if (granted && slot->block == NULL) {
        pthread_mutex_lock(&e->lock);
        slot->block_bytes = 0;
        pthread_mutex_unlock(&e->lock);
    }
    return slot->block != NULL;
}

/* Gives an empty slot a block for so many tokens, if the worker's share and the memory have room for it. */
static bool alloc_slot(const hd_model *m, hd_slot *slot, int capacity, uint32_t heads)
{
    hd_slot plan;
    const size_t bytes = plan_slot(m, capacity, heads, NULL, &plan);
    if (!hd__slot_map(m->engine, slot, bytes, true))
        return false;
    hd__map_widen(slot->block, bytes);
    lay_out(m, slot, capacity, heads, true);
    return true;
}

static hd_status no_slot(const hd_model *m, size_t bytes, int n_tokens, hd_error *err)
{
    const hd_engine *e = m->engine;
    pthread_mutex_lock(&m->engine->lock);
    const uint64_t all = hd__memory_of_weights(e, false), others = all - m->weights_bytes;
    const uint32_t n_shares = hd__memory_n_shares(e);
    pthread_mutex_unlock(&m->engine->lock);
    const uint64_t share = (e->memory_limit > all ? e->memory_limit - all : 0) / n_shares;
    if (bytes <= share)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %.1f MB of scratch", m->name, megabytes(bytes));
    return hd__fail(err, HD_ERR_MEMORY,
                    "%s: %d tokens need %.1f MB of scratch, but the memory limit of %.1f MB, less %.1f MB of weights and "
                    "%.1f MB of other models in use and the vector cache, leaves %.1f MB to each of %u threads: raise the "
                    "limit or take fewer threads",
                    m->name, n_tokens, megabytes(bytes), megabytes(e->memory_limit), megabytes(m->weights_bytes),
                    megabytes(others), megabytes(share), n_shares);
}

/* Unloads what nobody uses until a worker's share, and what is left now, hold a slot of so many bytes. */
static bool make_room(hd_engine *e, size_t bytes)
{
    pthread_mutex_lock(&e->lock);
    hd__slots_clear_unused(e);
    const uint64_t every = hd__mul(bytes, hd__memory_n_shares(e)), other_slots = hd__memory_of_slots(e, true);
    bool made = hd__memory_make_room(e, every > other_slots + bytes ? every - other_slots : bytes);
    pthread_mutex_unlock(&e->lock);
    return made;
}

/* The worker's slot is the model's, which is in use, and from now on only its worker's. */
void hd__slot_claim(hd_worker *w, const hd_model *m)
{
    if (w->slot.model == m)
        return;
    w->slot.model = m;
    w->slot.room = (hd_room){0};
    w->slot.heads = 0;
}

/* Makes a worker's slot hold n_tokens of the model that claimed it, for these heads. In the block of the model before only
 * as much is laid out as is asked for: what has to be zeroed is in proportion to the work. A new block, within the memory
 * limit, is for a whole group and for all heads that were asked for, so that it need not grow again, or, when that is too
 * much, no more than asked for; when that is too much too, models that nobody uses have to go. */
static hd_status fit_slot(const hd_model *m, hd_slot *slot, int n_tokens, uint32_t heads, hd_error *err)
{
    const uint32_t all_heads = heads | slot->heads;
    if (n_tokens <= slot->room.n_tokens && all_heads == slot->heads)
        return HD_OK;
    pthread_mutex_lock(&m->engine->lock);
    const int group = m->group_tokens;
    pthread_mutex_unlock(&m->engine->lock);
    hd_slot plan;
    const int doubled = 2 * slot->room.n_tokens < group ? 2 * slot->room.n_tokens : group;
    const int capacity = n_tokens < doubled ? doubled : n_tokens;
    if (plan_slot(m, capacity, all_heads, NULL, &plan) <= slot->block_bytes) {
        lay_out(m, slot, capacity, all_heads, false);
        return HD_OK;
    }
    pthread_mutex_lock(&m->engine->lock);
    hd__slot_clear(slot); /* before, not after: never both blocks at once */
    pthread_mutex_unlock(&m->engine->lock);
    if ((group > n_tokens && alloc_slot(m, slot, group, all_heads)) || alloc_slot(m, slot, n_tokens, heads))
        return HD_OK;
    const size_t bytes = plan_slot(m, n_tokens, heads, NULL, &plan);
    return make_room(m->engine, bytes) && alloc_slot(m, slot, n_tokens, heads) ? HD_OK : no_slot(m, bytes, n_tokens, err);
}

/* ---- passes ---- */

/* Runs the pass alone, or with whoever is idle. */
static void forward(hd_worker *w, const hd_model *m, const hd_slot *slot, const hd_batch *batch, bool alone)
{
    hd_crew *c = w->crew;
    hd_engine *e = c->engine;
    const hd_architecture *a = m->encoder->architecture;
    if (alone) {
        hd_run run = {0};
        a->forward(m->encoder, &run, batch, &slot->room, slot->scratch);
        return;
    }
    hd_offer offer = {.model = m, .batch = batch, .slot = slot, .n_joined = 1};
    offer.team.n_members = e->n_threads;
    pthread_mutex_lock(&e->lock);
    bool open = c->offer == NULL;
    if (open) {
        c->offer = &offer;
        pthread_cond_broadcast(&c->work);
    }
    pthread_mutex_unlock(&e->lock);

    hd_run run = {.team = open ? &offer.team : NULL};
    a->forward(m->encoder, &run, batch, &slot->room, slot->scratch);

    if (open) {
        pthread_mutex_lock(&e->lock);
        c->offer = NULL;
        pthread_mutex_unlock(&e->lock);
        while (atomic_load_explicit(&offer.n_inside, memory_order_acquire) > 0)
            sched_yield(); /* latecomers run through finished phases and leave */
    }
}

/* With the lock: takes part in the offered pass. */
static void join(hd_crew *c)
{
    hd_engine *e = c->engine;
    hd_offer *offer = c->offer;
    uint32_t rank = offer->n_joined++;
    atomic_fetch_add_explicit(&offer->n_inside, 1, memory_order_relaxed);
    pthread_mutex_unlock(&e->lock);
    hd_run run = {.team = &offer->team, .rank = rank};
    const hd_model *m = offer->model;
    hd__no_alloc_begin("forward");
    m->encoder->architecture->forward(m->encoder, &run, offer->batch, &offer->slot->room, offer->slot->scratch);
    hd__no_alloc_end();
    atomic_fetch_sub_explicit(&offer->n_inside, 1, memory_order_release);
    pthread_mutex_lock(&e->lock);
}

/* Appends where the vectors of a sequence at token `at` are pooled from. */
static int add_spans(const hd_sequence *s, int at, hd_slot *slot, int n_spans)
{
    if (s->n_parts == 0) {
        slot->span_begin[n_spans] = at + s->pool_begin;
        slot->span_end[n_spans] = at + s->n_tokens;
        return n_spans + 1;
    }
    const hd_part *parts = &s->job->parts[s->row];
    for (uint32_t k = 0; k < s->n_parts; k++, n_spans++) {
        slot->span_begin[n_spans] = at + parts[k].begin;
        slot->span_end[n_spans] = at + parts[k].end;
    }
    return n_spans;
}

void hd__batch_fill(const hd_worker *w, size_t first, size_t n, hd_slot *slot, hd_batch *batch)
{
    int at = 0, n_spans = 0;
    bool has_types = false, has_spans = false, has_unseen = false;
    for (size_t i = 0; i < n; i++) {
        const hd_sequence *s = w->taken[first + i];
        const size_t bytes = (size_t)s->n_tokens * sizeof(int32_t);
        slot->begin[i] = at;
        slot->pool_begin[i] = s->pool_begin;
        slot->n_seen[i] = s->n_seen > 0 ? s->n_seen : s->n_tokens;
        memcpy(slot->ids + at, s->job->ids.ids + s->ids_at, bytes);
        if (s->job->types.n > 0)
            memcpy(slot->types + at, s->job->types.ids + s->ids_at, bytes);
        else
            memset(slot->types + at, 0, bytes);
        has_types |= s->job->types.n > 0;
        has_spans |= s->n_parts > 0;
        has_unseen |= s->n_seen > 0;
        slot->vector_begin[i] = n_spans;
        n_spans = add_spans(s, at, slot, n_spans);
        for (int t = 0; t < s->n_tokens; t++)
            slot->positions[at + t] = t;
        at += s->n_tokens;
    }
    slot->begin[n] = at;
    *batch = (hd_batch){
        .n_sequences = (int)n,
        .n_tokens = at,
        .begin = slot->begin,
        .ids = slot->ids,
        .positions = slot->positions,
        .types = has_types ? slot->types : NULL,
        .pool_begin = slot->pool_begin,
        .n_spans = has_spans ? n_spans : 0,
        .span_begin = slot->span_begin,
        .span_end = slot->span_end,
        .n_seen = has_unseen ? slot->n_seen : NULL,
        .heads = w->taken[first]->job->heads,
        .task = w->taken[first]->job->task,
        .of_queries = w->taken[first]->job->model != w->taken[first]->job->model->base,
        .out = slot->out,
        .token_states = slot->token_states,
        .token_vectors = slot->token_vectors,
        .token_weights = slot->token_weights,
        .vocab_weights = slot->vocab_weights,
        .scores = slot->scores,
    };
}

/* Counts the end of n sequences of a job; after a failure the rest of it is not wanted. With the lock. */
static void count(hd_job *job, size_t n, const hd_error *error)
{
    const bool last = job->n_done + n == job->n_sequences;
    hd__job_count(job, n, error);
    if (error != NULL && !last)
        hd__queue_drop(job);
}

/* Gives results to the sequences that followed the one they were computed for. */
static void share(const hd_worker *w, hd_sequence *followers, const hd_rows *rows)
{
    hd_engine *e = w->crew->engine;
    hd_error error;
    for (hd_sequence *f = followers, *next; f != NULL; f = next) {
        next = f->followers;
        const hd_status status = hd__job_store(f->job, f, rows, &error);
        pthread_mutex_lock(&e->lock);
        e->n_shared++;
        f->job->stats.n_on_devices += w->device != NULL;
        count(f->job, 1, status != HD_OK ? &error : NULL);
        pthread_mutex_unlock(&e->lock);
    }
}

/* The i-th sequence's part of a batch's results. */
static hd_rows rows_of(const hd_model *m, const hd_slot *slot, size_t i)
{
    const size_t token = (size_t)slot->begin[i];
    const hd_encoder *e = m->encoder;
    hd_rows rows = {0};
    if (slot->out != NULL)
        rows.vectors = slot->out + (size_t)slot->vector_begin[i] * (size_t)e->n_out;
    if (slot->token_states != NULL)
        rows.token_states = slot->token_states + token * m->settings.hidden;
    if (slot->token_vectors != NULL)
        rows.token_vectors = slot->token_vectors + token * (size_t)e->n_token_out;
    if (slot->token_weights != NULL)
        rows.token_weights = slot->token_weights + token;
    if (slot->vocab_weights != NULL)
        rows.vocab_weights = slot->vocab_weights + i * m->settings.vocab_size;
    if (slot->scores != NULL)
        rows.scores = slot->scores + i * (size_t)e->n_labels;
    return rows;
}

/* Keeps a vector of one text for whoever asks for it again. */
static void keep_vector(hd_engine *e, const hd_model *m, const hd_sequence *s, const hd_rows *rows)
{
    if ((s->job->heads & HD_HEAD_DENSE) == 0 || s->n_parts > 0)
        return;
    if (e->cache != NULL)
        hd__cache_put(e->cache, s->key, rows->vectors, (size_t)m->encoder->n_out);
    hd__lookup_put(s->job, s, rows->vectors);
}

/* Stores the results of n computed sequences, taken from `first` on; each counts as done. */
void hd__batch_deliver(hd_worker *w, const hd_model *m, size_t first, size_t n, const hd_slot *slot)
{
    hd_engine *e = w->crew->engine;
    hd_error error;
    for (size_t i = 0, run; i < n; i += run) { /* runs of sequences of one job take the lock once */
        hd_sequence **taken = &w->taken[first + i];
        hd_job *job = taken[0]->job;
        hd_status status = HD_OK;
        uint64_t n_tokens = 0;
        for (run = 0; i + run < n && taken[run]->job == job; run++) {
            const hd_rows rows = rows_of(m, slot, i + run);
            n_tokens += (uint64_t)taken[run]->n_tokens;
            if (status == HD_OK)
                status = hd__job_store(job, taken[run], &rows, &error);
            if (status == HD_OK)
                keep_vector(e, m, taken[run], &rows);
        }
        pthread_mutex_lock(&e->lock);
        e->n_texts += run;
        e->n_tokens += n_tokens;
        for (size_t k = 0; k < run; k++)
            taken[k] = hd__queue_land(e, taken[k]);
        job->stats.n_on_devices += w->device != NULL ? run : 0;
        count(job, run, status != HD_OK ? &error : NULL);
        pthread_mutex_unlock(&e->lock);
        for (size_t k = 0; k < run; k++) {
            if (taken[k] == NULL) /* without followers the model, and with it the slot, may be gone */
                continue;
            const hd_rows rows = rows_of(m, slot, i + k);
            share(w, taken[k], &rows);
        }
    }
}

/* The end of a sequence that could not be computed, and of those that followed it. */
void hd__sequence_fail(hd_engine *e, hd_sequence *s, const hd_error *error)
{
    hd_sequence *f = hd__queue_land(e, s);
    count(s->job, 1, error);
    for (hd_sequence *next; f != NULL; f = next) {
        next = f->followers;
        count(f->job, 1, error);
    }
}

void hd__batch_count(hd_engine *e, size_t n_texts, uint64_t n_tokens, uint64_t capacity)
{
    e->n_batches++;
    e->n_batch_texts += n_texts;
    e->n_batch_tokens += n_tokens;
    e->n_batch_capacity += capacity;
}

/* Runs taken sequences [first, first + n); without memory, each half on its own. */
static void run_group(hd_worker *w, size_t first, size_t n, int n_tokens, bool alone)
{
    hd_engine *e = w->crew->engine;
    hd_model *m = w->taken[first]->job->model->base;
    hd_slot *slot = &w->slot;
    hd_error error;
    if (fit_slot(m, slot, n_tokens, w->taken[first]->job->heads, &error) != HD_OK) {
        if (n > 1) {
            int left = 0;
            for (size_t i = 0; i < n / 2; i++)
                left += w->taken[first + i]->n_tokens;
            run_group(w, first, n / 2, left, alone);
            run_group(w, first + n / 2, n - n / 2, n_tokens - left, alone);
            return;
        }
        pthread_mutex_lock(&e->lock);
        hd__sequence_fail(e, w->taken[first], &error);
        pthread_mutex_unlock(&e->lock);
        return;
    }
    hd_batch batch;
    hd__batch_fill(w, first, n, slot, &batch);
    hd__no_alloc_begin("forward");
    forward(w, m, slot, &batch, alone);
    hd__no_alloc_end();
    pthread_mutex_lock(&e->lock);
    hd__batch_count(e, n, (uint64_t)n_tokens, (uint64_t)(n_tokens > m->group_tokens ? n_tokens : m->group_tokens));
    pthread_mutex_unlock(&e->lock);
    hd__batch_deliver(w, m, first, n, slot);
}

/* ---- threads ---- */

/* Waits for work with the lock; wakes up every second when idle models are to be looked for. */
static void wait_for_work(hd_crew *c)
{
    hd_engine *e = c->engine;
    c->n_idle++;
    if (e->idle_unload_s == 0) {
        pthread_cond_wait(&c->work, &e->lock);
    } else {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&c->work, &e->lock, &until);
    }
    c->n_idle--;
}

void hd__crew_call_back(hd_crew *c)
{
    hd_engine *e = c->engine;
    while (c->finished != NULL) {
        hd_job *job = c->finished;
        c->finished = job->next;
        if (c->finished != NULL && c->n_idle > 0)
            pthread_cond_signal(&c->work); /* the next one is for another */
        pthread_mutex_unlock(&e->lock);
        job->options.done(job, job->options.data);
        pthread_mutex_lock(&e->lock);
    }
}

static void *worker_main(void *data)
{
    hd_worker *w = data;
    hd_crew *c = w->crew;
    hd_engine *e = c->engine;
    hd__thread_name(c->kind == HD_CREW_BACKGROUND ? "heddle-behind" : "heddle-worker");
    if (c->kind == HD_CREW_BACKGROUND)
        hd__thread_give_way();
    pthread_mutex_lock(&e->lock);
    while (!e->stop || c->lanes != NULL || c->finished != NULL) {
        int n_tokens;
        if (e->idle_unload_s > 0)
            hd__models_unload_idle(e);
        hd__crew_call_back(c);
        size_t n = hd__queue_take(w, &n_tokens);
        if (n > 0) {
            bool alone = c->n_idle == 0 || c->lanes != NULL || c->offer != NULL;
            hd__slot_claim(w, w->taken[0]->job->model->base);
            pthread_mutex_unlock(&e->lock);
            run_group(w, 0, n, n_tokens, alone);
            pthread_mutex_lock(&e->lock);
        } else if (c->offer != NULL && c->offer->n_joined < e->n_threads) {
            join(c);
        } else if (c->finished == NULL && !e->stop) {
            wait_for_work(c); /* what is in the queue, if anything, is a device's */
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

hd_status hd__workers_start(hd_crew *c, hd_error *err)
{
    hd_engine *e = c->engine;
    hd_status status = HD_OK;
    pthread_mutex_lock(&e->lock);
    const bool first = c->n_started == 0;
    while (status == HD_OK && c->n_started < e->n_threads) {
        hd_worker *w = &c->workers[c->n_started];
        w->crew = c;
        int failed = w->taken_capacity > 0 || hd__taken_grow(w) ? pthread_create(&w->thread, NULL, worker_main, w) : ENOMEM;
        if (failed != 0 && c->n_started > 0)
            break; /* fewer threads than asked for do all the work too */
        if (failed == ENOMEM)
            status = hd__fail(err, HD_ERR_MEMORY, "no memory for a thread");
        else if (failed != 0)
            status = hd__fail_errno(err, failed, "cannot start a thread");
        else
            c->n_started++;
    }
    if (first && c->n_started > 0)
        hd__memory_plan(e);
    if (status == HD_OK)
        hd__devices_start(e); /* before anybody takes what is theirs */
    pthread_mutex_unlock(&e->lock);
    return status;
}

void hd__workers_stop(hd_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    for (int kind = 0; kind < HD_N_CREWS; kind++)
        pthread_cond_broadcast(&e->crews[kind].work);
    pthread_mutex_unlock(&e->lock);
    hd__devices_stop(e);
    for (int kind = 0; kind < HD_N_CREWS; kind++) {
        hd_crew *c = &e->crews[kind];
        for (uint32_t i = 0; i < c->n_started; i++)
            pthread_join(c->workers[i].thread, NULL);
        c->n_started = 0;
    }
    for (uint32_t i = 0; i < e->n_workers; i++) {
        hd__slot_clear(&e->workers[i].slot);
        hd__free(e->workers[i].taken);
        e->workers[i] = (hd_worker){0};
    }
}
