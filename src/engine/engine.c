/* engine.c - opening, closing and looking at an engine. See heddle.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/timed_cond.h"
#include "cpu/machine.h"
#include "engine/engine_int.h"

#define MEMORY_SHARE 0.8

static hd_status open_crews(hd_engine *e, hd_error *err)
{
    e->workers = hd__calloc((size_t)HD_N_CREWS * e->n_threads, sizeof *e->workers);
    if (e->workers != NULL)
        e->n_workers = HD_N_CREWS * e->n_threads;
    for (int kind = 0; kind < HD_N_CREWS; kind++) {
        hd_crew *crew = &e->crews[kind];
        *crew = (hd_crew){.engine = e, .kind = (hd_crew_kind)kind, .workers = e->workers + (uint32_t)kind * e->n_threads};
        hd__timed_cond_init(&crew->work);
    }
    hd__timed_cond_init(&e->device_work);
    return e->workers != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for %u threads", e->n_threads);
}

hd_status hd_engine_open(const hd_engine_options *options, hd_engine **out, hd_error *err)
{
    static const hd_engine_options defaults;
    const hd_engine_options *o = options != NULL ? options : &defaults;
    if (o->n_threads > HD_LIMIT_THREADS)
        return hd__fail(err, HD_ERR_ARG, "%u threads, the limit is %u", o->n_threads, HD_LIMIT_THREADS);
    int device_choice;
    HD_TRY(hd__devices_parse(o->device, &device_choice, err));
    if (!(o->device_memory_share >= 0.0 && o->device_memory_share <= 1.0))
        return hd__fail(err, HD_ERR_ARG, "device_memory_share %g is not between 0 and 1", o->device_memory_share);
    HD_TRY(hd__isa_init(err));
    hd_machine machine;
    hd__machine_get(&machine);

    hd_engine *e = hd__calloc(1, sizeof *e);
    if (e == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for an engine");
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->devices_lock, NULL);
    e->n_threads = o->n_threads != 0 ? o->n_threads : machine.n_cpus_allowed;
    if (e->n_threads > HD_LIMIT_THREADS)
        e->n_threads = HD_LIMIT_THREADS;
    e->idle_unload_s = o->idle_unload_s;
    e->memory_limit =
        o->memory_limit_bytes != 0 ? o->memory_limit_bytes : (uint64_t)((double)machine.memory_bytes * MEMORY_SHARE);
    e->cache_bytes = o->cache_bytes;
    e->max_queue_tokens = o->max_queue_tokens;
    e->use_packed = !o->no_packed_cache;
    e->device_choice = device_choice;
    e->device_memory_share = o->device_memory_share;
    e->device_memory_bytes = o->device_memory_bytes;
    hd_status status = open_crews(e, err);
    if (status == HD_OK && o->cache_dir != NULL && (e->cache_dir = hd__strdup(o->cache_dir)) == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for an engine");
    if (status == HD_OK && o->cache_bytes > 0)
        status = hd__cache_open(o->cache_bytes, &e->cache, err);
    if (status != HD_OK) {
        hd_engine_close(e);
        return status;
    }
    *out = e;
    return HD_OK;
}

void hd_engine_close(hd_engine *e)
{
    if (e == NULL)
        return;
    hd__workers_stop(e);
    while (e->models != NULL)
        hd_model_close(e->models->documents != NULL ? e->models->documents : e->models);
    hd__devices_close(e);
    hd__cache_close(e->cache);
    for (int kind = 0; kind < HD_N_CREWS; kind++)
        pthread_cond_destroy(&e->crews[kind].work);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->device_work);
    pthread_mutex_destroy(&e->devices_lock);
    hd__free(e->workers);
    hd__free(e->flights);
    hd__free(e->cache_dir);
    hd__free(e);
}

void hd_engine_get_stats(hd_engine *e, hd_engine_stats *stats)
{
    *stats = (hd_engine_stats){.n_threads = e->n_threads};
    pthread_mutex_lock(&e->lock);
    stats->n_texts = e->n_texts;
    stats->n_tokens = e->n_tokens;
    stats->queue_texts = e->queue_texts;
    stats->queue_tokens = e->queue_tokens;
    stats->n_shared = e->n_shared;
    stats->store_hits = e->n_store_hits;
    stats->store_misses = e->n_store_misses;
    stats->n_batches = e->n_batches;
    stats->n_batch_texts = e->n_batch_texts;
    stats->n_batch_tokens = e->n_batch_tokens;
    stats->n_batch_capacity = e->n_batch_capacity;
    stats->scratch_bytes = hd__memory_of_slots(e, true);
    for (const hd_model *m = e->models; m != NULL; m = m->next) {
        if (m->base != m || m->state != HD_LOADED)
            continue;
        stats->n_models_loaded++;
        stats->weights_bytes += m->weights_bytes;
    }
    pthread_mutex_unlock(&e->lock);
    if (e->store != NULL) {
        hd_store_stats s;
        e->store->get_stats(e->store->data, &s);
        stats->has_store = true;
        stats->store_connected = s.connected;
        stats->store_puts = s.n_put;
        stats->store_dropped = s.n_dropped;
        stats->store_invalid = s.n_invalid;
        stats->store_failures = s.n_failures;
    }
    if (e->cache != NULL) {
        hd_cache_stats c;
        hd__cache_get_stats(e->cache, &c);
        stats->cache_hits = c.n_hits;
        stats->cache_misses = c.n_misses;
        stats->cache_entries = c.n_entries;
        stats->cache_used_bytes = c.used_bytes;
    }
}

float hd_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0.0 && bb > 0.0 ? (float)(ab / __builtin_sqrt(aa * bb)) : 0.0f;
}
