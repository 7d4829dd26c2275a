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
 * Models whose dtype is f16 are that on devices that have it, and f32 on the CPU. Values past the range of f16 come out as
 * NaN: such a group goes back to the queue, and devices have the model in bf16 from then on.
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
#include "engine/engine_int.h"

#define FIRST_PAUSE_MS 250
#define LONGEST_PAUSE_MS 60000 /* and as long a model that did not fit is not tried again */
#define NS_OF_MS UINT64_C(1000000)
#define LEAST_ROWS 64       /* of results that there is room for, unless tokens are fewer */
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

/* What a model's products are on a device. Past the range of f16 it is bf16, or what the CPU has. */
static k_type type_on(const hd_device *d, const hd_model *m)
{
    const uint32_t types = d->accelerator->state.types;
    const k_type half = m->is_past_f16 ? K_BF16 : K_F16;
    return m->dtype == HD_DTYPE_F16 && (types & 1u << half) != 0 ? half : m->encoder->type;
}

static bool is_refused(const hd_device *d, const hd_model *m)
{
    const uint64_t until_ns = m->on[d->number].refused_until_ns;
    return until_ns != 0 && hd__now_ns() < until_ns;
}

static bool is_for(const hd_device *d, const hd_job *job)
{
    const hd_model *m = job->model;
    return d->is_up && job->n_device_failures < FAILURES_TO_CPU && !is_refused(d, m) &&
           hd__encoder_fits(m->encoder, type_on(d, m), d->accelerator);
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

/* Room for a group of so many tokens: for as many rows of results as texts have that are not very short, which take as much
 * as many tokens. */
static hd_room room_for(int n_tokens)
{
    const int rows = n_tokens / HD_DEVICE_ROW_TOKENS, least = n_tokens < LEAST_ROWS ? n_tokens : LEAST_ROWS;
    return (hd_room){.n_tokens = n_tokens, .n_rows = rows > least ? rows : least};
}

/* Bytes of a device's block. */
static size_t block_bytes(const hd_model *m, const hd_encoder *encoder, const hd_room *room, uint32_t heads)
{
    hd_slot plan;
    return hd__add(hd__slot_plan(m, room, heads, NULL, &plan), encoder->architecture->scratch_bytes(encoder, room));
}

/* For groups of so many tokens. */
static size_t group_bytes(const hd_model *m, const hd_encoder *encoder, int n_tokens, uint32_t heads)
{
    const hd_room room = room_for(n_tokens);
    return block_bytes(m, encoder, &room, heads);
}

static uint64_t bytes_there(const hd_device *d, const hd_device_memory *memory)
{
    return hd__accelerator_has(d->accelerator, memory) ? memory->bytes : 0;
}

/* With the lock: what all weights leave to each of a device's workers. */
static uint64_t block_share(const hd_device *d, const hd_engine *e)
{
    const uint64_t usable = hd__accelerator_usable(d->accelerator);
    uint64_t weights = 0;
    for (const hd_model *m = e->models; m != NULL; m = m->next)
        weights += bytes_there(d, &m->on[d->number].memory) + bytes_there(d, &m->on[d->number].before_memory);
    return usable > weights ? (usable - weights) / d->n_working : 0;
}

/* Until a model's weights are there, no more than a CPU's worker takes: how much they leave is not known. */
static int group_tokens(const hd_device *d, const hd_model *m, uint32_t heads)
{
    const hd_encoder *encoder = m->on[d->number].encoder;
    const uint64_t share = block_share(d, m->engine);
    int n_tokens = (encoder != NULL ? HD_DEVICE_GROUP_TOKENS : HD_GROUP_TOKENS) >> d->n_halved;
    while (encoder != NULL && n_tokens > 1 && group_bytes(m, encoder, n_tokens, heads) > share)
        n_tokens /= 2;
    return n_tokens > 1 ? n_tokens : 1;
}

uint64_t hd__worker_budget(const hd_worker *w, const hd_job *job)
{
    const hd_engine *e = w->crew->engine;
    const hd_model *m = job->model;
    const uint64_t pending = m->pending_tokens[job->crew->kind];
    uint32_t n_workers = w->device != NULL ? 0 : e->n_threads;
    for (uint32_t i = 0; i < e->n_devices && w->device != NULL; i++)
        n_workers += e->devices[i].is_up ? e->devices[i].n_working : 0;
    uint64_t share = (pending + n_workers - 1) / n_workers;
    if (w->device != NULL && share < HD_DEVICE_SHARE_TOKENS)
        share = HD_DEVICE_SHARE_TOKENS;
    const uint64_t most = (uint64_t)(w->device != NULL ? group_tokens(w->device, m, job->heads) : m->group_tokens);
    return share < most ? share : most;
}

size_t hd__worker_rows(const hd_worker *w, uint64_t n_tokens)
{
    return w->device != NULL ? (size_t)room_for((int)n_tokens).n_rows : SIZE_MAX;
}

/* ---- a model's weights ---- */

static void discard(const hd_device *d, hd_device_copy *copy)
{
    hd__accelerator_free(d->accelerator, &copy->memory);
    hd__accelerator_free(d->accelerator, &copy->before_memory);
    hd__encoder_close(copy->encoder);
    hd__encoder_close(copy->before);
    *copy = (hd_device_copy){0};
}

void hd__devices_forget(hd_model *m)
{
    hd_engine *e = m->engine;
    for (uint32_t i = 0; i < e->n_devices; i++) {
        pthread_mutex_lock(&e->lock); /* workers add up what all models have there */
        hd_device_copy gone = m->on[i];
        m->on[i] = (hd_device_copy){0};
        pthread_mutex_unlock(&e->lock);
        discard(&e->devices[i], &gone);
    }
}

/* With the lock: what is free to go of a device's memory, a model that nobody uses, or the block of an idle worker. Whether
 * there was any. */
static bool take_unused(hd_device *d, hd_engine *e, hd_device_copy *gone)
{
    for (hd_model *m = e->models; m != NULL; m = m->next) {
        hd_device_copy *copy = &m->on[d->number];
        if (m->state != HD_LOADED || m->n_users > 0 || (copy->encoder == NULL && copy->before == NULL))
            continue;
        *gone = *copy;
        *copy = (hd_device_copy){0};
        return true;
    }
    for (uint32_t i = 0; i < d->n_started; i++) {
        hd_worker *w = &d->workers[i];
        if (w->is_busy || w->block.address == NULL)
            continue;
        *gone = (hd_device_copy){.memory = w->block};
        w->block = (hd_device_memory){0};
        return true;
    }
    return false;
}

/* Frees what nobody uses of a device's memory. Whether there was any. */
static bool make_room(hd_device *d, hd_engine *e)
{
    for (bool any = false;; any = true) {
        hd_device_copy gone;
        pthread_mutex_lock(&e->lock);
        const bool found = take_unused(d, e, &gone);
        pthread_mutex_unlock(&e->lock);
        if (!found)
            return any;
        discard(d, &gone);
    }
}

/* With the lock: whether no other worker is on the device. */
static bool is_alone(const hd_worker *w)
{
    const hd_device *d = w->device;
    bool any_is_busy = false;
    for (uint32_t i = 0; i < d->n_started; i++)
        any_is_busy |= i != w->number && d->workers[i].is_busy;
    return !any_is_busy;
}

/* How long a model that does not fit is not tried again: not long when another group may have had the room. */
static uint64_t refusal_ns(const hd_worker *w)
{
    return (is_alone(w) ? LONGEST_PAUSE_MS : FIRST_PAUSE_MS) * NS_OF_MS;
}

/* With the lock: whether a worker of the device computes with the encoder. */
static bool is_in_use(const hd_device *d, const hd_encoder *encoder)
{
    bool any = false;
    for (uint32_t i = 0; i < d->n_started; i++)
        any |= encoder != NULL && d->workers[i].inside == encoder;
    return any;
}

/* With the lock: what there was of a model before, in another type, unless a worker is still in it. */
static void take_before(const hd_device *d, hd_device_copy *copy, hd_device_copy *gone)
{
    *gone = (hd_device_copy){0};
    if (is_in_use(d, copy->before))
        return;
    *gone = (hd_device_copy){.before = copy->before, .before_memory = copy->before_memory};
    copy->before = NULL;
    copy->before_memory = (hd_device_memory){0};
}

/* With the lock: what there is of a model, in another type or of the device as it was, goes, but for what another worker is
 * in. There are two workers: of what is here and what was before, one is in use at most. */
static void make_way(const hd_device *d, hd_device_copy *copy, hd_device_copy *gone)
{
    _Static_assert(HD_DEVICE_STREAMS == 2, "one other worker");
    take_before(d, copy, gone);
    if (is_in_use(d, copy->encoder)) {
        *copy = (hd_device_copy){.before = copy->encoder, .before_memory = copy->memory};
    } else {
        gone->encoder = copy->encoder;
        gone->memory = copy->memory;
        *copy = (hd_device_copy){.before = copy->before, .before_memory = copy->before_memory};
    }
}

static hd_status upload(hd_worker *w, hd_model *m, k_type type, hd_device_copy *copy, hd_error *err)
{
    hd_device *d = w->device;
    hd_engine *e = m->engine;
    hd_device_stream *stream = w->slot.stream;
    hd_device_copy fresh = {0};
    const bool had_block = w->block.address != NULL;
    hd_status status = hd__encoder_upload(m->encoder, type, stream, &fresh.encoder, &fresh.memory, err);
    if (status == HD_ERR_MEMORY) {
        hd__accelerator_free(d->accelerator, &w->block);
        if (make_room(d, e) || had_block)
            status = hd__encoder_upload(m->encoder, type, stream, &fresh.encoder, &fresh.memory, err);
    }
    pthread_mutex_lock(&e->lock);
    fresh.before = m->on[d->number].before;
    fresh.before_memory = m->on[d->number].before_memory;
    fresh.refused_until_ns = status == HD_ERR_MEMORY ? hd__now_ns() + refusal_ns(w) : 0;
    m->on[d->number] = fresh;
    w->inside = fresh.encoder;
    const int most = status == HD_OK ? group_tokens(d, m, hd__usual_heads(m)) : 0;
    const uint32_t n_working = d->n_working;
    pthread_mutex_unlock(&e->lock);
    *copy = fresh;
    if (status == HD_OK)
        hd__log(HD_LOG_INFO, "%s has %s, %.0f MB, and room for %u x %d tokens, %.0f MB each", d->name, m->name,
                (double)fresh.memory.bytes / 1e6, n_working, most,
                (double)group_bytes(m, fresh.encoder, most, hd__usual_heads(m)) / 1e6);
    return status;
}

/* Whether the model is on the device, and what is there, in which the worker then is: not when it went as the device was
 * opened anew. */
static bool is_there(hd_worker *w, const hd_model *m, hd_device_copy *copy)
{
    const hd_device *d = w->device;
    pthread_mutex_lock(&m->engine->lock);
    *copy = m->on[d->number];
    const bool is =
        copy->encoder != NULL && hd__accelerator_has(d->accelerator, &copy->memory) && copy->encoder->type == type_on(d, m);
    w->inside = is ? copy->encoder : NULL;
    pthread_mutex_unlock(&m->engine->lock);
    return is;
}

/* The model on the device, uploaded at its first use by whichever worker is first; the others wait for it. */
static hd_status bring(hd_worker *w, hd_model *m, hd_device_copy *copy, hd_error *err)
{
    hd_device *d = w->device;
    hd_status status = HD_OK;
    if (is_there(w, m, copy))
        return HD_OK;
    pthread_mutex_lock(&d->upload_lock);
    if (!is_there(w, m, copy)) {
        hd_device_copy gone = {0};
        pthread_mutex_lock(&m->engine->lock);
        const bool refused = is_refused(d, m);
        const k_type type = type_on(d, m);
        if (!refused)
            make_way(d, &m->on[d->number], &gone);
        pthread_mutex_unlock(&m->engine->lock);
        discard(d, &gone);
        status = refused ? hd__fail(err, HD_ERR_MEMORY, "%s does not fit", m->name) : upload(w, m, type, copy, err);
    }
    pthread_mutex_unlock(&d->upload_lock);
    return status;
}

/* ---- one group ---- */

/* Makes the worker's slot hold n_tokens and n_rows of results: the host's side of a batch. It is laid out for no more than
 * the device has room for. */
static hd_status fit_slot(hd_worker *w, const hd_model *m, int n_tokens, int n_rows, uint32_t heads, hd_error *err)
{
    hd_engine *e = w->crew->engine;
    hd_slot *slot = &w->slot, plan;
    const int before = slot->room.n_tokens;
    const uint32_t all_heads = heads | slot->heads;
    pthread_mutex_lock(&e->lock);
    const int group = group_tokens(w->device, m, all_heads), most = n_tokens > group ? n_tokens : group;
    pthread_mutex_unlock(&e->lock);
    if (n_tokens <= before && before <= most && n_rows <= slot->room.n_rows && all_heads == slot->heads)
        return HD_OK;
    const int doubled = 2 * before < most ? 2 * before : most;
    hd_room room = room_for(n_tokens > doubled ? n_tokens : doubled);
    room.n_rows = n_rows > room.n_rows ? n_rows : room.n_rows;
    const size_t bytes = hd__slot_plan(m, &room, all_heads, NULL, &plan);
    if (bytes > slot->block_bytes) {
        hd__device_stream_stage(slot->stream, NULL, 0);
        pthread_mutex_lock(&e->lock);
        hd__slot_clear(slot);
        pthread_mutex_unlock(&e->lock);
        if (!hd__slot_map(e, slot, bytes, false))
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a batch of %d tokens", m->name, n_tokens);
    }
    hd__slot_plan(m, &room, all_heads, slot->block, slot);
    slot->room = room;
    slot->heads = all_heads;
    return HD_OK;
}

/* And the device's: the same arrays at the same places of its block, and scratch behind them. A block that is more than the
 * worker's share, from the time before another model came, becomes smaller. */
static hd_status fit_block(hd_worker *w, const hd_model *m, const hd_encoder *encoder, hd_error *err)
{
    hd_device *d = w->device;
    hd_engine *e = m->engine;
    const size_t bytes = block_bytes(m, encoder, &w->slot.room, w->slot.heads);
    pthread_mutex_lock(&e->lock);
    const uint64_t share = block_share(d, e);
    pthread_mutex_unlock(&e->lock);
    if (hd__accelerator_has(d->accelerator, &w->block) && w->block.bytes >= bytes &&
        (w->block.bytes == bytes || w->block.bytes <= share))
        return HD_OK;
    hd__accelerator_free(d->accelerator, &w->block);
    const hd_status status = hd__accelerator_alloc(d->accelerator, bytes, &w->block, err);
    return status == HD_ERR_MEMORY && make_room(d, e) ? hd__accelerator_alloc(d->accelerator, bytes, &w->block, err)
                                                      : status;
}

/* Where a part of the slot's block is on the device. */
static void *there(const hd_worker *w, const void *part)
{
    return part != NULL ? w->block.address + ((const char *)part - w->slot.block) : NULL;
}

static void send(const hd_worker *w, const int32_t *values, int n)
{
    const hd_device_stream *s = w->slot.stream;
    if (values != NULL)
        s->accelerator->plugin->upload(s->stream, there(w, values), values, (size_t)n * sizeof *values);
}

static void fetch(const hd_worker *w, float *values, size_t n_rows, size_t n)
{
    const hd_device_stream *s = w->slot.stream;
    if (values != NULL)
        s->accelerator->plugin->download(s->stream, values, there(w, values), n_rows * n * sizeof *values);
}

static void send_batch(const hd_worker *w, const hd_batch *b)
{
    send(w, b->begin, b->n_sequences + 1);
    send(w, b->ids, b->n_tokens);
    send(w, b->positions, b->n_tokens);
    send(w, b->types, b->n_tokens);
    send(w, b->pool_begin, b->n_sequences);
    send(w, b->span_begin, b->n_spans);
    send(w, b->span_end, b->n_spans);
    send(w, b->n_seen, b->n_sequences);
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
        .type = (uint32_t)copy->encoder->type,
        .parts = (uint32_t)(b->types != NULL) | (uint32_t)(b->n_seen != NULL) << 1,
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
    HD_TRY(bring(w, m, &copy, err));
    const hd_encoder *encoder = copy.encoder;
    HD_TRY(fit_slot(w, m, n_tokens, (int)n_rows, w->taken[0]->job->heads, err));
    HD_TRY(fit_block(w, m, encoder, err));
    hd__device_stream_stage(slot->stream, slot->block, slot->block_bytes);
    hd__batch_fill(w, 0, n, slot, &batch);
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
    d->pause_ms = d->pause_ms == 0                     ? FIRST_PAUSE_MS
                  : 2 * d->pause_ms < LONGEST_PAUSE_MS ? 2 * d->pause_ms
                                                       : LONGEST_PAUSE_MS;
    d->retry_ns = hd__now_ns() + d->pause_ms * NS_OF_MS;
}

typedef enum cause { PAST_F16, NO_ROOM_FOR_WEIGHTS, NO_ROOM, FAILURE } cause;

/* With the lock. */
static cause cause_of(const hd_device *d, const hd_model *m, hd_status status)
{
    if (status == HD_ERR_NUMERIC)
        return PAST_F16;
    if (status != HD_ERR_MEMORY)
        return FAILURE;
    return is_refused(d, m) ? NO_ROOM_FOR_WEIGHTS : NO_ROOM;
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

/* The worker is in its encoder no more; what there was of the model before in another type goes with the last that was in
 * it. The model is in use as long as the group is the worker's. */
static void leave(hd_worker *w, hd_model *m)
{
    hd_engine *e = w->crew->engine;
    hd_device_copy gone;
    pthread_mutex_lock(&e->lock);
    w->inside = NULL;
    take_before(w->device, &m->on[w->device->number], &gone);
    pthread_mutex_unlock(&e->lock);
    discard(w->device, &gone);
}

static void run_group(hd_worker *w, size_t n, int n_tokens)
{
    hd_engine *e = w->crew->engine;
    hd_device *d = w->device;
    hd_model *m = w->taken[0]->job->model;
    hd_error why = {0};
    bool replayed = false;
    const hd_status status = pass(w, m, n, n_tokens, &replayed, &why);
    leave(w, m);
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
            hd__slot_claim(w, w->taken[0]->job->model);
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

bool hd__device_clear_unused(hd_worker *w)
{
    hd_slot *slot = &w->slot;
    if (slot->model == NULL || slot->model->n_users > 0)
        return false;
    hd_engine *e = slot->model->engine;
    hd_device_memory block = w->block;
    const bool any = slot->block_bytes > 0;
    slot->model = NULL;
    slot->is_emptied = true;
    w->block = (hd_device_memory){0};
    pthread_mutex_unlock(&e->lock);
    hd__device_stream_stage(slot->stream, NULL, 0);
    hd__accelerator_free(w->device->accelerator, &block);
    pthread_mutex_lock(&e->lock);
    hd__slot_clear(slot);
    pthread_cond_broadcast(&e->device_work);
    return any;
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
