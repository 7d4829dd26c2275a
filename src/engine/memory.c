/* memory.c - the one account of what an engine holds, and the token budgets that follow from it.
 *
 * Every model has an entry, its weights, and so has every worker, its slot. Bytes are entered before they are
 * taken and struck out after they are given back, so that the sum of all entries and of the vector cache's
 * greatest size never passes the limit. Tokenizers, settings and jobs are small beside these and not counted.
 */
#include "engine/engine_int.h"

static uint64_t left_of(uint64_t limit, uint64_t bytes)
{
    return limit > bytes ? limit - bytes : 0;
}

static bool is_unused(const hd_model *m)
{
    return m->base == m && m->state == HD_LOADED && m->n_users == 0;
}

uint64_t hd__memory_of_weights(const hd_engine *e, bool also_unused)
{
    uint64_t bytes = e->cache_bytes;
    for (const hd_model *m = e->models; m != NULL; m = m->next) {
        if (also_unused || !is_unused(m))
            bytes += m->weights_bytes;
    }
    return bytes;
}

static uint64_t bytes_of(const hd_slot *slot, bool also_unused)
{
    const bool is_used = slot->is_emptied || (slot->model != NULL && slot->model->n_users > 0);
    return also_unused || is_used ? slot->block_bytes : 0;
}

uint64_t hd__memory_of_slots(const hd_engine *e, bool also_unused)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < e->n_workers; i++)
        bytes += bytes_of(&e->workers[i].slot, also_unused);
    for (uint32_t i = 0; i < e->n_devices; i++) {
        for (uint32_t k = 0; k < HD_DEVICE_STREAMS; k++)
            bytes += bytes_of(&e->devices[i].workers[k].slot, also_unused);
    }
    return bytes;
}

/* What the limit leaves beside all that is held, or beside what is in use. */
static uint64_t left(const hd_engine *e, bool also_unused)
{
    return left_of(e->memory_limit, hd__memory_of_weights(e, also_unused) + hd__memory_of_slots(e, also_unused));
}

bool hd__memory_take(hd_engine *e, uint64_t *entry, uint64_t bytes)
{
    if (bytes > left(e, true))
        return false;
    *entry += bytes;
    return true;
}

bool hd__memory_make_room(hd_engine *e, uint64_t bytes)
{
    while (bytes > left(e, true)) {
        if (bytes > left(e, false))
            return false;
        if (hd__slots_clear_unused(e))
            continue;
        hd_model *oldest = NULL;
        for (hd_model *m = e->models; m != NULL; m = m->next) {
            if (is_unused(m) && (oldest == NULL || m->last_used_ns < oldest->last_used_ns))
                oldest = m;
        }
        hd__model_unload_unused(oldest);
    }
    return true;
}

uint32_t hd__memory_n_shares(const hd_engine *e)
{
    uint32_t n_crews = 0;
    for (int kind = 0; kind < HD_N_CREWS; kind++)
        n_crews += e->crews[kind].n_started > 0;
    return e->n_threads * (n_crews > 1 ? n_crews : 1);
}

uint64_t hd__memory_share(const hd_engine *e)
{
    return left_of(e->memory_limit, hd__memory_of_weights(e, true)) / hd__memory_n_shares(e);
}

void hd__memory_plan(hd_engine *e)
{
    for (hd_model *m = e->models; m != NULL; m = m->next) {
        if (m->state == HD_LOADED)
            m->group_tokens = hd__plan_group_tokens(m);
    }
}
