/* accelerator.c - see accelerator.h. */
#include "device/accelerator.h"

#include "base/alloc.h"
#include "base/status.h"

#define STREAMS_PART 4 /* several streams take no more than one of so many parts of the memory */

/* Plugins' failures as ours: what is neither a lack of memory nor of a device is the device's end. */
static hd_status fail(hd_error *err, hd_plugin_status status, uint32_t index, const char why[HD_PLUGIN_TEXT_BYTES])
{
    const hd_status ours = status == HD_PLUGIN_NO_MEMORY   ? HD_ERR_MEMORY
                           : status == HD_PLUGIN_NO_DEVICE ? HD_ERR_NOT_FOUND
                                                           : HD_ERR_IO;
    return hd__fail(err, ours, "device %u: %.*s", index, HD_PLUGIN_TEXT_BYTES - 1, why);
}

/* With the lock. */
static void unpin(hd_device_stream *s)
{
    if (s->is_pinned)
        s->accelerator->plugin->unpin(s->accelerator->device, s->staged);
    s->staged = NULL;
    s->is_pinned = false;
}

/* With the lock. */
static void close_device(hd_accelerator *a)
{
    for (uint32_t i = 0; i < HD_DEVICE_STREAMS; i++) {
        unpin(&a->streams[i]);
        if (a->streams[i].stream != NULL)
            a->plugin->stream_close(a->streams[i].stream);
        a->streams[i].stream = NULL;
    }
    if (a->device != NULL)
        a->plugin->close(a->device);
    a->device = NULL;
    a->used_bytes = 0;
    a->usable_bytes = 0;
    a->generation++;
}

/* With the lock. */
static hd_status open_stream(hd_accelerator *a, uint32_t i, hd_error *err)
{
    char why[HD_PLUGIN_TEXT_BYTES] = "";
    if (a->streams[i].stream != NULL)
        return HD_OK;
    const hd_plugin_status status = a->plugin->stream_open(a->device, &a->streams[i].stream, why);
    if (status == HD_PLUGIN_OK)
        return HD_OK;
    a->streams[i].stream = NULL;
    return fail(err, status, a->index, why);
}

/* What weights and batches may take, when streams that may be opened later have theirs. Where those would take much of it
 * there is one stream. */
static void plan_memory(hd_accelerator *a)
{
    const uint64_t all = a->memory_limit != 0 ? a->memory_limit : (uint64_t)((double)a->state.free_bytes * a->memory_share);
    a->n_streams = a->state.stream_bytes <= all / (STREAMS_PART * HD_DEVICE_STREAMS) ? HD_DEVICE_STREAMS : 1;
    const uint64_t streams = a->n_streams * a->state.stream_bytes;
    a->usable_bytes = all > streams ? all - streams : 0;
}

/* With the lock. */
static hd_status open_device(hd_accelerator *a, hd_error *err)
{
    char why[HD_PLUGIN_TEXT_BYTES] = "";
    const hd_plugin_status opened = a->plugin->open(a->index, &a->device, why);
    if (opened != HD_PLUGIN_OK) {
        a->device = NULL;
        return fail(err, opened, a->index, why);
    }
    a->plugin->look(a->device, &a->state);
    a->state.name[sizeof a->state.name - 1] = a->state.driver[sizeof a->state.driver - 1] = '\0';
    plan_memory(a);
    const hd_status status = open_stream(a, 0, err);
    if (status != HD_OK)
        close_device(a);
    return status;
}

hd_status hd__accelerator_open(const hd_plugin *plugin, uint32_t index, double memory_share, uint64_t memory_limit,
                               hd_accelerator **out, hd_error *err)
{
    hd_accelerator *a = hd__calloc(1, sizeof *a);
    if (a == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a device");
    *a = (hd_accelerator){.plugin = plugin, .index = index, .memory_share = memory_share, .memory_limit = memory_limit};
    for (uint32_t i = 0; i < HD_DEVICE_STREAMS; i++)
        a->streams[i].accelerator = a;
    pthread_mutex_init(&a->lock, NULL);
    const hd_status status = open_device(a, err);
    if (status != HD_OK) {
        hd__accelerator_close(a);
        return status;
    }
    *out = a;
    return HD_OK;
}

void hd__accelerator_close(hd_accelerator *a)
{
    if (a == NULL)
        return;
    close_device(a);
    pthread_mutex_destroy(&a->lock);
    hd__free(a);
}

hd_status hd__accelerator_renew(hd_accelerator *a, hd_error *err)
{
    pthread_mutex_lock(&a->lock);
    close_device(a);
    const hd_status status = open_device(a, err);
    pthread_mutex_unlock(&a->lock);
    return status;
}

/* ---- memory ---- */

hd_status hd__accelerator_alloc(hd_accelerator *a, size_t bytes, hd_device_memory *memory, hd_error *err)
{
    char why[HD_PLUGIN_TEXT_BYTES] = "";
    void *address = NULL;
    hd_status status = HD_OK;
    pthread_mutex_lock(&a->lock);
    const uint64_t usable = a->usable_bytes;
    if (a->device == NULL) {
        status = hd__fail(err, HD_ERR_IO, "device %u is not open", a->index);
    } else if (bytes > usable - a->used_bytes) {
        status = hd__fail(err, HD_ERR_MEMORY, "device %u: %zu bytes do not fit: %llu of %llu are taken", a->index, bytes,
                          (unsigned long long)a->used_bytes, (unsigned long long)usable);
    } else {
        const hd_plugin_status got = a->plugin->alloc(a->device, bytes, &address, why);
        if (got != HD_PLUGIN_OK)
            status = fail(err, got, a->index, why);
    }
    if (status == HD_OK) {
        a->used_bytes += bytes;
        *memory = (hd_device_memory){.address = address, .bytes = bytes, .generation = a->generation};
    }
    pthread_mutex_unlock(&a->lock);
    return status;
}

void hd__accelerator_free(hd_accelerator *a, hd_device_memory *memory)
{
    pthread_mutex_lock(&a->lock);
    if (memory->address != NULL && memory->generation == a->generation && a->device != NULL) {
        a->plugin->free(a->device, memory->address);
        a->used_bytes -= memory->bytes;
    }
    pthread_mutex_unlock(&a->lock);
    *memory = (hd_device_memory){0};
}

bool hd__accelerator_has(const hd_accelerator *a, const hd_device_memory *memory)
{
    return memory->address != NULL && memory->generation == a->generation;
}

uint64_t hd__accelerator_usable(const hd_accelerator *a)
{
    return a->usable_bytes;
}

uint64_t hd__accelerator_used(hd_accelerator *a)
{
    pthread_mutex_lock(&a->lock);
    const uint64_t bytes = a->used_bytes;
    pthread_mutex_unlock(&a->lock);
    return bytes;
}

bool hd__accelerator_look(hd_accelerator *a, hd_plugin_state *state)
{
    pthread_mutex_lock(&a->lock);
    const bool is_open = a->device != NULL;
    *state = a->state;
    if (is_open)
        a->plugin->look(a->device, state);
    pthread_mutex_unlock(&a->lock);
    if (is_open)
        state->name[sizeof state->name - 1] = state->driver[sizeof state->driver - 1] = '\0';
    return is_open;
}

/* ---- streams ---- */

hd_status hd__device_stream_open(hd_accelerator *a, uint32_t i, hd_error *err)
{
    pthread_mutex_lock(&a->lock);
    const hd_status status =
        a->device != NULL ? open_stream(a, i, err) : hd__fail(err, HD_ERR_IO, "device %u is not open", a->index);
    pthread_mutex_unlock(&a->lock);
    return status;
}

void hd__device_stream_stage(hd_device_stream *s, void *memory, size_t bytes)
{
    hd_accelerator *a = s->accelerator;
    pthread_mutex_lock(&a->lock);
    if (s->staged != memory) {
        unpin(s);
        s->staged = memory;
        s->is_pinned = memory != NULL && a->device != NULL && a->plugin->pin(a->device, memory, bytes);
    }
    pthread_mutex_unlock(&a->lock);
}

hd_status hd__device_stream_wait(hd_device_stream *s, hd_error *err)
{
    char why[HD_PLUGIN_TEXT_BYTES] = "";
    const hd_plugin_status status = s->accelerator->plugin->wait(s->stream, why);
    return status == HD_PLUGIN_OK ? HD_OK : fail(err, status, s->accelerator->index, why);
}
