/* device_memory.c - see device_memory.h. */
#include "engine/device_memory.h"

#include "base/clock.h"
#include "base/log.h"
#include "encoder/upload.h"

#define ROOMY_TOKENS                                                                                                        \
    4096              /* a group of so many computes as fast as a larger one: words stay behind for it, and not for more */
#define LEAST_ROWS 64 /* of results that there is room for, unless tokens are fewer */

/* ---- what a model is there ---- */

/* What a model's products are on a device: in place of fp8 f16. Past the range of f16 it is bf16, or what the CPU has. */
k_type hd__device_type(const hd_device *d, const hd_model *m)
{
    const uint32_t types = d->accelerator->state.types;
    const k_type half = m->is_past_f16 ? K_BF16 : K_F16;
    if (m->dtype == HD_DTYPE_FP8 && half == K_F16 && hd__encoder_fits(m->encoder, K_F8, d->accelerator))
        return K_F8;
    return (m->dtype == HD_DTYPE_F16 || m->dtype == HD_DTYPE_FP8) && (types & 1u << half) != 0 ? half : m->encoder->type;
}

bool hd__device_refuses(const hd_device *d, const hd_model *m)
{
    const uint64_t until_ns = m->on[d->number].refused_until_ns;
    return until_ns != 0 && hd__now_ns() < until_ns;
}

/* ---- groups and their blocks ---- */

/* Room for a group of so many tokens: for as many rows of results as texts have that are not very short, which take as much
 * as many tokens. */
hd_room hd__device_room(int n_tokens)
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
    const hd_room room = hd__device_room(n_tokens);
    return block_bytes(m, encoder, &room, heads);
}

static uint64_t bytes_there(const hd_device *d, const hd_device_memory *memory)
{
    return hd__accelerator_has(d->accelerator, memory) ? memory->bytes : 0;
}

uint64_t hd__device_weights_bytes(const hd_model *m)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < HD_LIMIT_DEVICES; i++)
        if (m->on[i].encoder != NULL)
            bytes += bytes_there(&m->engine->devices[i], &m->on[i].memory);
    return bytes;
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
int hd__device_group_tokens(const hd_device *d, const hd_model *m, uint32_t heads)
{
    const hd_encoder *encoder = m->on[d->number].encoder;
    const uint64_t share = block_share(d, m->engine);
    int n_tokens = (encoder != NULL ? HD_DEVICE_GROUP_TOKENS : HD_GROUP_TOKENS) >> d->n_halved;
    while (encoder != NULL && n_tokens > 1 && group_bytes(m, encoder, n_tokens, heads) > share)
        n_tokens /= 2;
    return n_tokens > 1 ? n_tokens : 1;
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
    return (is_alone(w) ? HD_DEVICE_LONGEST_PAUSE_MS : HD_DEVICE_FIRST_PAUSE_MS) * HD_NS_OF_MS;
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

/* Whether a model's words are to stay behind. Not when that is no help. */
static bool leaves_words(const hd_device *d, const hd_model *m, const hd_upload *whole)
{
    const uint32_t heads = hd__usual_heads(m);
    const hd_room room = hd__device_room(ROOMY_TOKENS);
    uint64_t weights, scratch;
    hd_error err;
    hd_slot plan;
    if (!hd__encoder_can_gather(m->encoder) ||
        hd__encoder_measure_there(m->encoder, whole, &room, &weights, &scratch, &err) != HD_OK)
        return false;
    pthread_mutex_lock(&m->engine->lock);
    const uint64_t share = block_share(d, m->engine), n_working = d->n_working;
    pthread_mutex_unlock(&m->engine->lock);
    return weights + n_working * (scratch + hd__slot_plan(m, &room, heads, NULL, &plan)) > n_working * share;
}

static hd_status upload(hd_worker *w, hd_model *m, k_type type, hd_device_copy *copy, hd_error *err)
{
    hd_device *d = w->device;
    hd_engine *e = m->engine;
    hd_device_stream *stream = w->slot.stream;
    hd_device_copy fresh = {0};
    const bool had_block = w->block.address != NULL;
    hd_upload how = {.type = type, .n_threads = e->n_threads};
    how.gathers = leaves_words(d, m, &how);
    hd_status status = hd__encoder_upload(m->encoder, &how, stream, &fresh.encoder, &fresh.memory, err);
    if (status == HD_ERR_MEMORY) {
        hd__accelerator_free(d->accelerator, &w->block);
        if (make_room(d, e) || had_block)
            status = hd__encoder_upload(m->encoder, &how, stream, &fresh.encoder, &fresh.memory, err);
    }
    pthread_mutex_lock(&e->lock);
    fresh.before = m->on[d->number].before;
    fresh.before_memory = m->on[d->number].before_memory;
    fresh.refused_until_ns = status == HD_ERR_MEMORY ? hd__now_ns() + refusal_ns(w) : 0;
    m->on[d->number] = fresh;
    w->inside = fresh.encoder;
    const int most = status == HD_OK ? hd__device_group_tokens(d, m, hd__usual_heads(m)) : 0;
    const uint32_t n_working = d->n_working;
    pthread_mutex_unlock(&e->lock);
    *copy = fresh;
    if (status == HD_OK)
        hd__log(HD_LOG_INFO, "%s has %s%s, %.0f MB, and room for %u x %d tokens, %.0f MB each", d->name, m->name,
                how.gathers ? " without its words" : "", (double)fresh.memory.bytes / 1e6, n_working, most,
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
    const bool is = copy->encoder != NULL && hd__accelerator_has(d->accelerator, &copy->memory) &&
                    copy->encoder->normed_type == hd__device_type(d, m);
    w->inside = is ? copy->encoder : NULL;
    pthread_mutex_unlock(&m->engine->lock);
    return is;
}

/* The model on the device, uploaded at its first use by whichever worker is first; the others wait for it. */
hd_status hd__device_bring(hd_worker *w, hd_model *m, hd_device_copy *copy, hd_error *err)
{
    hd_device *d = w->device;
    hd_status status = HD_OK;
    if (is_there(w, m, copy))
        return HD_OK;
    pthread_mutex_lock(&d->upload_lock);
    if (!is_there(w, m, copy)) {
        hd_device_copy gone = {0};
        pthread_mutex_lock(&m->engine->lock);
        const bool refused = hd__device_refuses(d, m);
        const k_type type = hd__device_type(d, m);
        if (!refused)
            make_way(d, &m->on[d->number], &gone);
        pthread_mutex_unlock(&m->engine->lock);
        discard(d, &gone);
        status = refused ? hd__fail(err, HD_ERR_MEMORY, "%s does not fit", m->name) : upload(w, m, type, copy, err);
    }
    pthread_mutex_unlock(&d->upload_lock);
    return status;
}

/* The worker is in its encoder no more; what there was of the model before in another type goes with the last that was in
 * it. The model is in use as long as the group is the worker's. */
void hd__device_leave(hd_worker *w, hd_model *m)
{
    hd_engine *e = w->crew->engine;
    hd_device_copy gone;
    pthread_mutex_lock(&e->lock);
    w->inside = NULL;
    take_before(w->device, &m->on[w->device->number], &gone);
    pthread_mutex_unlock(&e->lock);
    discard(w->device, &gone);
}

/* ---- a worker's room ---- */

/* The host's side: arrays, and rows of words where x is there. */
static size_t lay_out(const hd_model *m, const hd_encoder *encoder, const hd_room *room, uint32_t heads, char *base,
                      hd_slot *slot)
{
    const size_t row = k_row_stride(encoder->embedding.n, K_F32) * sizeof(float);
    size_t at = hd__slot_plan(m, room, heads, base, slot);
    slot->scratch = hd__carve(base, &at, encoder->embedding.is_gathered ? (size_t)room->n_tokens * row : 0);
    return at;
}

/* It is laid out for no more than the device has room for. */
hd_status hd__device_fit_slot(hd_worker *w, const hd_model *m, const hd_encoder *encoder, int n_tokens, int n_rows,
                              uint32_t heads, hd_error *err)
{
    hd_engine *e = w->crew->engine;
    hd_slot *slot = &w->slot, plan;
    const int before = slot->room.n_tokens;
    const uint32_t all_heads = heads | slot->heads;
    pthread_mutex_lock(&e->lock);
    const int group = hd__device_group_tokens(w->device, m, all_heads), most = n_tokens > group ? n_tokens : group;
    pthread_mutex_unlock(&e->lock);
    if (n_tokens <= before && before <= most && n_rows <= slot->room.n_rows && all_heads == slot->heads &&
        lay_out(m, encoder, &slot->room, all_heads, NULL, &plan) <= slot->block_bytes)
        return HD_OK;
    const int doubled = 2 * before < most ? 2 * before : most;
    hd_room room = hd__device_room(n_tokens > doubled ? n_tokens : doubled);
    room.n_rows = n_rows > room.n_rows ? n_rows : room.n_rows;
    const size_t bytes = lay_out(m, encoder, &room, all_heads, NULL, &plan);
    if (bytes > slot->block_bytes) {
        hd__device_stream_stage(slot->stream, NULL, 0);
        pthread_mutex_lock(&e->lock);
        hd__slot_clear(slot);
        pthread_mutex_unlock(&e->lock);
        if (!hd__slot_map(e, slot, bytes, false))
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a batch of %d tokens", m->name, n_tokens);
    }
    lay_out(m, encoder, &room, all_heads, slot->block, slot);
    slot->room = room;
    slot->heads = all_heads;
    return HD_OK;
}

/* And the device's: the same arrays at the same places of its block, and scratch behind them. A block that is more than the
 * worker's share, from the time before another model came, becomes smaller. */
hd_status hd__device_fit_block(hd_worker *w, const hd_model *m, const hd_encoder *encoder, hd_error *err)
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
