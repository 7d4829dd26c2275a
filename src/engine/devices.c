/* devices.c - workers on devices that are not the CPU, taking from the same queue.
 *
 * Each device has HD_DEVICE_STREAMS of them, so that it has a group to compute while the host reads what another came to.
 * They share the weights; what those leave of the device's memory is divided among them. The first that is idle takes, so
 * that a device with little to do needs one.
 *
 * A device that works takes every job it can run, and the CPU's workers take what is left: models that no device runs, jobs
 * that a device has failed twice, and everything while no device is up. Weights are uploaded at a model's first group and go
 * when it is unloaded. A group is as large as the device's free memory lets it be, up to HD_DEVICE_GROUP_TOKENS.
 *
 * Models whose dtype is f16, or fp8, are that on devices that have it, and f32 on the CPU. Values past the range of f16 come
 * out as NaN: such a group goes back to the queue, and devices have the model in bf16 from then on.
 *
 * A group that fails goes back to the queue. After a lack of memory the device's groups are half as large for a while; after
 * anything else it is down, and opened again after a pause that doubles each time. No request fails because of a device.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread_name.h"
#include "device/device_library.h"
#include "encoder/upload.h"
#include "engine/device_memory.h"

#define MOST_HALVED 6       /* 16384 >> 6 = 256 tokens */
#define PASSES_TO_DOUBLE 32 /* that went well, before groups grow again */
#define FAILURES_TO_CPU 2   /* of one job's groups */
#define MEMORY_SHARE 0.8    /* of what is free when a device is opened */

/* ---- opening ---- */

hd_status hd__devices_parse(const char *text, int *index, hd_error *err)
{
    char *end;
    unsigned long n;
    *index = HD_DEVICES_AUTO;
    if (text == NULL || strcmp(text, "auto") == 0)
        return HD_OK;
    *index = HD_DEVICES_CPU;
    if (strcmp(text, "cpu") == 0)
        return HD_OK;
    *index = HD_DEVICES_CUDA;
    if (strcmp(text, "cuda") == 0)
        return HD_OK;
    n = strncmp(text, "cuda:", 5) == 0 && text[5] >= '0' && text[5] <= '9' ? strtoul(text + 5, &end, 10) : ULONG_MAX;
    if (n >= HD_LIMIT_DEVICES || *end != '\0')
        return hd__fail(err, HD_ERR_ARG, "device '%s' is not one of auto, cpu, cuda, cuda:N with N up to %u", text,
                        HD_LIMIT_DEVICES - 1);
    *index = (int)n;
    return HD_OK;
}

static void open_device(hd_engine *e, const hd_plugin *plugin, uint32_t index)
{
    hd_device *d = &e->devices[e->n_devices];
    hd_error why;
    const double share = e->device_memory_share > 0.0 ? e->device_memory_share : MEMORY_SHARE;
    snprintf(d->name, sizeof d->name, "cuda:%u", index);
    if (hd__accelerator_open(plugin, index, share, e->device_memory_bytes, &d->accelerator, &why) != HD_OK) {
        hd__log(HD_LOG_WARN, "%s is not used: %s", d->name, why.text);
        return;
    }
    pthread_mutex_init(&d->upload_lock, NULL);
    d->number = e->n_devices++;
    hd__log(HD_LOG_INFO, "%s: %s, %s, %.0f MB free", d->name, d->accelerator->state.name, d->accelerator->state.driver,
            (double)d->accelerator->state.free_bytes / 1e6);
}

/* Once: what cannot be opened is said in one line, and the CPU takes its place. */
static void open_all(hd_engine *e)
{
    const hd_plugin *plugin;
    hd_error why;
    if (e->device_choice == HD_DEVICES_CPU)
        return;
    const hd_status status = hd__device_library_open("cuda", &plugin, &why);
    if (status == HD_ERR_NOT_FOUND && e->device_choice == HD_DEVICES_AUTO)
        return; /* nobody asked for it */
    if (status != HD_OK) {
        hd__log(HD_LOG_WARN, "the CPU computes: %s", why.text);
        return;
    }
    if (e->device_choice >= 0 && (uint32_t)e->device_choice >= plugin->n_devices)
        hd__log(HD_LOG_WARN, "the CPU computes: there is no cuda:%d, the devices found are %u", e->device_choice,
                plugin->n_devices);
    for (uint32_t i = 0; i < plugin->n_devices && i < HD_LIMIT_DEVICES; i++) {
        if (e->device_choice < 0 || e->device_choice == (int)i)
            open_device(e, plugin, i);
    }
}

void hd__devices_open(hd_engine *e)
{
    pthread_mutex_lock(&e->devices_lock);
    if (!e->devices_are_open)
        open_all(e);
    e->devices_are_open = true;
    pthread_mutex_unlock(&e->devices_lock);
}

void hd__devices_close(hd_engine *e)
{
    for (uint32_t i = 0; i < e->n_devices; i++) {
        hd__accelerator_close(e->devices[i].accelerator);
        pthread_mutex_destroy(&e->devices[i].upload_lock);
    }
    e->n_devices = 0;
}

bool hd__devices_have(hd_engine *e, k_type type)
{
    hd_plugin_state state;
    for (uint32_t i = 0; i < e->n_devices; i++) {
        hd__accelerator_look(e->devices[i].accelerator, &state);
        if ((state.types & 1u << type) != 0)
            return true;
    }
    return false;
}

/* ---- who takes what ---- */

static bool is_for(const hd_device *d, const hd_job *job)
{
    const hd_model *m = job->model->base;
    return d->is_up && job->n_device_failures < FAILURES_TO_CPU && !hd__device_refuses(d, m) &&
           hd__encoder_fits(m->encoder, hd__device_type(d, m), d->accelerator);
}

bool hd__worker_may_take(const hd_worker *w, const hd_job *job)
{
    const hd_engine *e = w->crew->engine;
    if (w->device != NULL)
        return is_for(w->device, job);
    for (uint32_t i = 0; i < e->n_devices; i++) {
        if (is_for(&e->devices[i], job))
            return false;
    }
    return true;
}

uint64_t hd__worker_budget(const hd_worker *w, const hd_job *job)
{
    const hd_engine *e = w->crew->engine;
    const hd_model *m = job->model->base;
    const uint64_t pending = job->model->pending_tokens[job->crew->kind];
    uint32_t n_workers = w->device != NULL ? 0 : e->n_threads;
    for (uint32_t i = 0; i < e->n_devices && w->device != NULL; i++)
        n_workers += e->devices[i].is_up ? e->devices[i].n_working : 0;
    uint64_t share = (pending + n_workers - 1) / n_workers;
    if (w->device != NULL && share < HD_DEVICE_SHARE_TOKENS)
        share = HD_DEVICE_SHARE_TOKENS;
    const uint64_t most =
        (uint64_t)(w->device != NULL ? hd__device_group_tokens(w->device, m, job->heads) : m->group_tokens);
    return share < most ? share : most;
}

size_t hd__worker_rows(const hd_worker *w, uint64_t n_tokens)
{
    return w->device != NULL ? (size_t)hd__device_room((int)n_tokens).n_rows : SIZE_MAX;
}

/* ---- one group ---- */

/* Where a part of the slot's block is on the device. */
static void *there(const hd_worker *w, const void *part)
{
    return part != NULL ? w->block.address + ((const char *)part - w->slot.block) : NULL;
}

static void send(const hd_worker *w, const void *part, size_t bytes)
{
    const hd_device_stream *s = w->slot.stream;
    if (part != NULL)
        s->accelerator->plugin->upload(s->stream, there(w, part), part, bytes);
}

static void fetch(const hd_worker *w, float *values, size_t n_rows, size_t n)
{
    const hd_device_stream *s = w->slot.stream;
    if (values != NULL)
        s->accelerator->plugin->download(s->stream, values, there(w, values), n_rows * n * sizeof *values);
}

/* The words of the batch's tokens, each to its row of x. The ids count them from then on. */
static void send_words(const hd_worker *w, const hd_model *m, const hd_batch *b)
{
    const hd_embedding *words = &m->encoder->embedding;
    const hd_slot *slot = &w->slot;
    const size_t stride = k_row_stride(words->n, K_F32);
    m->encoder->kernels.embed(&(k_embed){.type = words->type,
                                         .words = words->words,
                                         .word_stride = words->word_stride,
                                         .word_scale = words->word_scale,
                                         .ids = slot->ids,
                                         .n_rows = b->n_tokens,
                                         .n = words->n,
                                         .out = (float *)(void *)slot->scratch,
                                         .stride = stride});
    send(w, slot->scratch, (size_t)b->n_tokens * stride * sizeof(float));
    for (int i = 0; i < b->n_tokens; i++)
        slot->ids[i] = i;
}

static void send_batch(const hd_worker *w, const hd_batch *b)
{
    const size_t of_sequences = (size_t)b->n_sequences * sizeof(int32_t), of_tokens = (size_t)b->n_tokens * sizeof(int32_t);
    const size_t of_spans = (size_t)b->n_spans * sizeof(int32_t);
    send(w, b->begin, of_sequences + sizeof(int32_t));
    send(w, b->ids, of_tokens);
    send(w, b->positions, of_tokens);
    send(w, b->types, of_tokens);
    send(w, b->pool_begin, of_sequences);
    send(w, b->span_begin, of_spans);
    send(w, b->span_end, of_spans);
    send(w, b->n_seen, of_sequences);
}

static void fetch_rows(const hd_worker *w, const hd_encoder *e, const hd_batch *b)
{
    const size_t sequences = (size_t)b->n_sequences, tokens = (size_t)b->n_tokens;
    const uint32_t heads = b->heads;
    if ((heads & HD_HEAD_DENSE) != 0)
        fetch(w, b->out, b->n_spans > 0 ? (size_t)b->n_spans : sequences, (size_t)e->n_out);
    if ((heads & HD_HEAD_TOKENS) != 0)
        fetch(w, b->token_states, tokens, e->settings->hidden);
    if ((heads & HD_HEAD_MULTI) != 0)
        fetch(w, b->token_vectors, tokens, (size_t)e->n_token_out);
    if ((heads & HD_HEAD_SPARSE) != 0 && !e->sparse_by_vocabulary)
        fetch(w, b->token_weights, tokens, 1);
    if ((heads & HD_HEAD_SPARSE) != 0 && e->sparse_by_vocabulary)
        fetch(w, b->vocab_weights, sequences, e->settings->vocab_size);
    if ((heads & HD_HEAD_SCORES) != 0)
        fetch(w, b->scores, sequences, (size_t)e->n_labels);
}

/* The batch as the device sees it. */
static hd_batch batch_there(const hd_worker *w, const hd_batch *b)
{
    hd_batch moved = *b;
    moved.begin = there(w, b->begin);
    moved.ids = there(w, b->ids);
    moved.positions = there(w, b->positions);
    moved.types = there(w, b->types);
    moved.pool_begin = there(w, b->pool_begin);
    moved.span_begin = there(w, b->span_begin);
    moved.span_end = there(w, b->span_end);
    moved.n_seen = there(w, b->n_seen);
    moved.out = there(w, b->out);
    moved.token_states = there(w, b->token_states);
    moved.token_vectors = there(w, b->token_vectors);
    moved.token_weights = there(w, b->token_weights);
    moved.vocab_weights = there(w, b->vocab_weights);
    moved.scores = there(w, b->scores);
    return moved;
}

/* All that a pass's calls depend on. */
static hd_plugin_key key_of(const hd_worker *w, const hd_model *m, const hd_device_copy *copy, const hd_batch *b)
{
    const hd_slot *slot = &w->slot;
    const struct {
        uint64_t model, weights, block;
        int32_t room_tokens, room_rows, n_tokens, n_sequences, n_spans;
        uint32_t room_heads, heads, task, type, parts;
    } all = {
        .model = m->id,
        .weights = (uintptr_t)copy->memory.address,
        .block = (uintptr_t)w->block.address,
        .room_tokens = slot->room.n_tokens,
        .room_rows = slot->room.n_rows,
        .n_tokens = b->n_tokens,
        .n_sequences = b->n_sequences,
        .n_spans = b->n_spans,
        .room_heads = slot->heads,
        .heads = b->heads,
        .task = b->task,
        .type = (uint32_t)copy->encoder->normed_type,
        .parts = (uint32_t)(b->types != NULL) | (uint32_t)(b->n_seen != NULL) << 1 | (uint32_t)b->of_queries << 2,
    };
    hd_plugin_key key = {0};
    _Static_assert(sizeof all <= sizeof key, "the key's words");
    memcpy(&key, &all, sizeof all);
    return key;
}

/* Calls the pass's operations; whether all were called at once, as they had been before. */
static bool forward(hd_worker *w, const hd_model *m, const hd_device_copy *copy, const hd_batch *batch)
{
    const hd_slot *slot = &w->slot;
    const hd_plugin *plugin = w->device->accelerator->plugin;
    const hd_plugin_key key = key_of(w, m, copy, batch);
    const hd_batch moved = batch_there(w, batch);
    const bool is_small = batch->n_tokens <= HD_DEVICE_REPLAY_TOKENS;
    hd_slot plan;
    char *scratch = w->block.address + hd__slot_plan(m, &slot->room, slot->heads, NULL, &plan);
    if (is_small && plugin->replay(slot->stream->stream, &key))
        return true;
    do {
        hd_run run = {.stream = slot->stream};
        copy->encoder->architecture->forward(copy->encoder, &run, &moved, &slot->room, scratch);
    } while (is_small && !plugin->recorded(slot->stream->stream));
    return false;
}

/* All taken sequences through the model, their results in the slot. */
static hd_status pass(hd_worker *w, hd_model *m, size_t n, int n_tokens, bool *replayed, hd_error *err)
{
    hd_slot *slot = &w->slot;
    hd_device_copy copy;
    hd_batch batch;
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++)
        n_rows += hd__rows_of_sequence(w->taken[i]);
    HD_TRY(hd__device_bring(w, m, &copy, err));
    const hd_encoder *encoder = copy.encoder;
    HD_TRY(hd__device_fit_slot(w, m, encoder, n_tokens, (int)n_rows, w->taken[0]->job->heads, err));
    HD_TRY(hd__device_fit_block(w, m, encoder, err));
    hd__device_stream_stage(slot->stream, slot->block, slot->block_bytes);
    hd__batch_fill(w, 0, n, slot, &batch);
    if (encoder->embedding.is_gathered)
        send_words(w, m, &batch);
    send_batch(w, &batch);
    *replayed = forward(w, m, &copy, &batch);
    fetch_rows(w, encoder, &batch);
    HD_TRY(hd__device_stream_wait(slot->stream, err));
    if (encoder->type == K_F16 && !hd__batch_is_finite(&batch, encoder))
        return hd__fail(err, HD_ERR_NUMERIC, "%s has values that f16 does not reach", m->name);
    return HD_OK;
}

/* ---- failures ---- */

/* With the lock: a device that failed is opened again after a pause, each time twice as long. */
static void put_down(hd_device *d)
{
    d->is_up = false;
    d->pause_ms = d->pause_ms == 0                               ? HD_DEVICE_FIRST_PAUSE_MS
                  : 2 * d->pause_ms < HD_DEVICE_LONGEST_PAUSE_MS ? 2 * d->pause_ms
                                                                 : HD_DEVICE_LONGEST_PAUSE_MS;
    d->retry_ns = hd__now_ns() + d->pause_ms * HD_NS_OF_MS;
}

typedef enum cause { PAST_F16, NO_ROOM_FOR_WEIGHTS, NO_ROOM, FAILURE } cause;

/* With the lock. */
static cause cause_of(const hd_device *d, const hd_model *m, hd_status status)
{
    if (status == HD_ERR_NUMERIC)
        return PAST_F16;
    if (status != HD_ERR_MEMORY)
        return FAILURE;
    return hd__device_refuses(d, m) ? NO_ROOM_FOR_WEIGHTS : NO_ROOM;
}

/* With the lock: what follows of it, also in words. */
static void react(hd_device *d, hd_model *m, cause why, bool is_first, char what[96])
{
    switch (why) {
    case PAST_F16:
        m->is_past_f16 = true;
        snprintf(what, 96, "and the model goes on in bf16");
        break;
    case NO_ROOM_FOR_WEIGHTS: snprintf(what, 96, "and to the CPU for a while"); break;
    case NO_ROOM:
        d->n_halved += is_first && d->n_halved < MOST_HALVED;
        d->n_passed = 0;
        snprintf(what, 96, "groups are of up to %d tokens for a while", HD_DEVICE_GROUP_TOKENS >> d->n_halved);
        break;
    case FAILURE:
        d->n_failures += d->is_up;
        if (d->is_up)
            put_down(d);
        snprintf(what, 96, "it is opened again in %u ms", d->pause_ms);
        break;
    }
}

/* Gives the group back. A group that a model's weights left no room for, or f16 no range, says nothing of its jobs; groups
 * that were on the device together fail of one failure. */
static void give_back(hd_worker *w, hd_model *m, size_t n, const hd_error *error)
{
    hd_engine *e = w->crew->engine;
    hd_device *d = w->device;
    char what[96];
    pthread_mutex_lock(&e->lock);
    const cause why = cause_of(d, m, error->status);
    const bool is_first = why != PAST_F16 && w->failure == d->failure;
    const bool counts = why == NO_ROOM || why == FAILURE;
    const uint64_t number = d->failure = is_first ? ++e->n_device_failures : d->failure;
    d->n_out_of_memory += error->status == HD_ERR_MEMORY;
    react(d, m, why, is_first, what);
    for (size_t i = 0; i < n; i++) {
        hd_job *job = w->taken[i]->job;
        job->n_device_failures += counts && job->last_device_failure != number;
        job->last_device_failure = number;
    }
    d->n_returned += n;
    pthread_mutex_unlock(&e->lock);
    if (why == NO_ROOM)
        hd__accelerator_free(d->accelerator, &w->block);
    hd__log(HD_LOG_WARN, "%s: %s; %zu texts go back to the queue, %s", d->name, error->text, n, what);
    pthread_mutex_lock(&e->lock);
    hd__queue_return(w, n);
    pthread_mutex_unlock(&e->lock);
    hd__crew_wake(w->crew);
}

static void run_group(hd_worker *w, size_t n, int n_tokens)
{
    hd_engine *e = w->crew->engine;
    hd_device *d = w->device;
    hd_model *m = w->taken[0]->job->model->base;
    hd_error why = {0};
    bool replayed = false;
    const hd_status status = pass(w, m, n, n_tokens, &replayed, &why);
    hd__device_leave(w, m);
    if (status != HD_OK) {
        give_back(w, m, n, &why);
        return;
    }
    pthread_mutex_lock(&e->lock);
    if (d->is_up) /* not after a failure of the other stream */
        d->pause_ms = 0;
    d->n_batches++;
    d->n_replayed += replayed;
    d->n_texts += n;
    if (d->n_halved > 0 && ++d->n_passed == PASSES_TO_DOUBLE) {
        d->n_halved--;
        d->n_passed = 0;
    }
    hd__batch_count(e, n, (uint64_t)n_tokens, (uint64_t)w->slot.room.n_tokens);
    pthread_mutex_unlock(&e->lock);
    hd__batch_deliver(w, m, 0, n, &w->slot);
}

/* ---- threads ---- */

static bool is_free(const hd_device *d)
{
    bool any_is_busy = false;
    for (uint32_t i = 0; i < d->n_started; i++)
        any_is_busy |= d->workers[i].is_busy;
    return !any_is_busy;
}

/* With the lock, which is let go meanwhile: opens the device again when it is time, and nobody is on it. */
static void retry(hd_device *d, hd_engine *e)
{
    hd_error why;
    if (d->is_up || !is_free(d) || hd__now_ns() < d->retry_ns)
        return;
    pthread_mutex_unlock(&e->lock);
    const hd_status status = hd__accelerator_renew(d->accelerator, &why);
    pthread_mutex_lock(&e->lock);
    if (status != HD_OK) {
        put_down(d);
        hd__log(HD_LOG_INFO, "%s: %s; it is opened again in %u ms", d->name, why.text, d->pause_ms);
        return;
    }
    d->is_up = true;
    d->n_working = d->n_started < d->accelerator->n_streams ? d->n_started : d->accelerator->n_streams;
    pthread_cond_broadcast(&e->device_work);
    hd__log(HD_LOG_INFO, "%s is back", d->name);
}

/* With the lock: until there is work, or, for the first worker, the time to open the device again. */
static void wait_for_work(const hd_worker *w, hd_engine *e)
{
    const hd_device *d = w->device;
    const struct timespec until = {.tv_sec = (time_t)(d->retry_ns / 1000000000u),
                                   .tv_nsec = (long)(d->retry_ns % 1000000000u)};
    if (d->is_up || w->number > 0 || !is_free(d))
        pthread_cond_wait(&e->device_work, &e->lock);
    else
        pthread_cond_timedwait(&e->device_work, &e->lock, &until);
}

/* With the lock: whether a group is this worker's to take. */
static bool is_next(const hd_worker *w)
{
    const hd_device *d = w->device;
    for (uint32_t i = 0; i < w->number; i++) {
        if (!d->workers[i].is_busy)
            return false;
    }
    return d->is_up && w->number < d->n_working && !w->slot.is_emptied;
}

/* With the lock, which is let go meanwhile: a worker's stream is opened when the worker is needed. Without it the others do
 * all. */
static bool has_stream(hd_worker *w, hd_engine *e)
{
    hd_device *d = w->device;
    hd_error why;
    if (w->slot.stream->stream != NULL)
        return true;
    w->is_busy = true;
    pthread_mutex_unlock(&e->lock);
    const hd_status status = hd__device_stream_open(d->accelerator, w->number, &why);
    pthread_mutex_lock(&e->lock);
    w->is_busy = false;
    if (!d->is_up)
        pthread_cond_broadcast(&e->device_work); /* the first worker opens it again, once no other is busy */
    if (status == HD_OK)
        return is_next(w);
    d->n_working = w->number < d->n_working ? w->number : d->n_working;
    hd__log(HD_LOG_WARN, "%s computes %u groups at once, and no more: %s", d->name, d->n_working, why.text);
    return false;
}

/* With the lock: a group of the first crew that has one. What is left is for the next worker. */
static size_t take(hd_worker *w, hd_engine *e, int *n_tokens)
{
    size_t n = 0;
    for (int kind = 0; n == 0 && kind < HD_N_CREWS; kind++) {
        w->crew = &e->crews[kind];
        n = hd__queue_take(w, n_tokens);
    }
    w->is_busy = n > 0;
    w->failure = w->device->failure;
    if (n > 0 && e->queue_texts > 0)
        pthread_cond_broadcast(&e->device_work);
    return n;
}

static void *device_main(void *data)
{
    hd_worker *w = data;
    hd_engine *e = w->crew->engine;
    hd_device *d = w->device;
    hd__thread_name("heddle-device");
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        int n_tokens;
        if (w->number == 0)
            retry(d, e);
        const size_t n = is_next(w) && e->queue_texts > 0 && has_stream(w, e) ? take(w, e, &n_tokens) : 0;
        if (n > 0) {
            hd__slot_claim(w, w->taken[0]->job->model->base);
            pthread_mutex_unlock(&e->lock);
            run_group(w, n, n_tokens);
            pthread_mutex_lock(&e->lock);
            hd__crew_call_back(w->crew);
            w->is_busy = false;
            if (!d->is_up)
                pthread_cond_broadcast(&e->device_work); /* the first worker opens it again */
        } else if (!e->stop) {
            wait_for_work(w, e);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

static bool start_worker(hd_device *d, hd_engine *e)
{
    hd_worker *w = &d->workers[d->n_started];
    w->crew = &e->crews[HD_CREW_FOREGROUND];
    w->device = d;
    w->number = d->n_started;
    w->slot.stream = &d->accelerator->streams[w->number];
    if ((w->taken_capacity == 0 && !hd__taken_grow(w)) || pthread_create(&w->thread, NULL, device_main, w) != 0)
        return false;
    d->n_started++;
    return true;
}

void hd__devices_start(hd_engine *e)
{
    for (uint32_t i = 0; i < e->n_devices; i++) {
        hd_device *d = &e->devices[i];
        if (d->n_started > 0)
            continue;
        while (d->n_started < HD_DEVICE_STREAMS && start_worker(d, e))
            continue;
        d->n_working = d->n_started < d->accelerator->n_streams ? d->n_started : d->accelerator->n_streams;
        d->is_up = d->n_working > 0;
        if (!d->is_up)
            hd__log(HD_LOG_WARN, "%s is not used: no memory for its thread", d->name);
    }
}

/* After the CPU's workers were told to stop, and before they are waited for: what devices leave is theirs. */
void hd__devices_stop(hd_engine *e)
{
    pthread_cond_broadcast(&e->device_work);
    for (uint32_t i = 0; i < e->n_devices; i++) {
        hd_device *d = &e->devices[i];
        for (uint32_t k = 0; k < d->n_started; k++) {
            pthread_join(d->workers[k].thread, NULL);
            hd__device_stream_stage(d->workers[k].slot.stream, NULL, 0);
        }
        pthread_mutex_lock(&e->lock);
        d->is_up = false;
        d->n_started = 0;
        for (uint32_t k = 0; k < HD_DEVICE_STREAMS; k++) {
            hd__slot_clear(&d->workers[k].slot);
            hd__free(d->workers[k].taken);
            d->workers[k] = (hd_worker){0};
        }
        pthread_mutex_unlock(&e->lock);
    }
    for (int kind = 0; kind < HD_N_CREWS; kind++)
        pthread_cond_broadcast(&e->crews[kind].work);
}

void hd__crew_wake(hd_crew *c)
{
    pthread_cond_broadcast(&c->work);
    if (c->engine->n_devices > 0)
        pthread_cond_broadcast(&c->engine->device_work);
}

/* ---- looking ---- */

uint32_t hd_engine_open_devices(hd_engine *e)
{
    hd__devices_open(e);
    return e->n_devices;
}

bool hd_engine_get_device(hd_engine *e, uint32_t i, hd_device_info *info)
{
    if (pthread_mutex_trylock(&e->devices_lock) != 0)
        return false;
    const uint32_t n = e->n_devices;
    pthread_mutex_unlock(&e->devices_lock);
    if (i >= n)
        return false;
    hd_device *d = &e->devices[i];
    hd_plugin_state state;
    const bool is_open = hd__accelerator_look(d->accelerator, &state);
    *info = (hd_device_info){
        .memory_bytes = state.memory_bytes,
        .free_bytes = is_open ? state.free_bytes : 0,
        .used_bytes = hd__accelerator_used(d->accelerator),
        .utilisation_percent = is_open ? state.utilisation_percent : -1,
        .temperature_c = is_open ? state.temperature_c : -1,
        .clock_mhz = is_open ? state.clock_mhz : -1,
    };
    snprintf(info->name, sizeof info->name, "%s", d->name);
    snprintf(info->hardware, sizeof info->hardware, "%s", state.name);
    snprintf(info->driver, sizeof info->driver, "%s", state.driver);
    pthread_mutex_lock(&e->lock);
    info->is_up = d->is_up || (is_open && d->n_started == 0);
    info->n_batches = d->n_batches;
    info->n_replayed = d->n_replayed;
    info->n_texts = d->n_texts;
    info->n_out_of_memory = d->n_out_of_memory;
    info->n_failures = d->n_failures;
    info->n_returned = d->n_returned;
    pthread_mutex_unlock(&e->lock);
    return true;
}
