/* memory.c - the one account of what the models of an engine hold, and the token budgets that follow from it.
 *
 * Every model has two entries: its weights, and the scratch of its slots. Bytes are entered before they are
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
    return m->state == HD_LOADED && m->n_users == 0;
}

static uint64_t held(const hd_engine *e, bool also_unused)
{
    uint64_t bytes = e->cache_bytes;
    for (const hd_model *m = e->models; m != NULL; m = m->next) {
        if (also_unused || !is_unused(m))
            bytes += m->weights_bytes + m->scratch_bytes;
    }
    return bytes;
}

uint64_t hd__memory_in_use(const hd_engine *e)
{
    return held(e, false);
}

bool hd__memory_take(hd_engine *e, uint64_t *entry, uint64_t bytes)
{
    if (bytes > left_of(e->memory_limit, held(e, true)))
        return false;
    *entry += bytes;
    return true;
}

bool hd__memory_make_room(hd_engine *e, uint64_t bytes)
{
    while (bytes > left_of(e->memory_limit, held(e, true))) {
        if (bytes > left_of(e->memory_limit, held(e, false)))
            return false;
        hd_model *oldest = NULL;
        for (hd_model *m = e->models; m != NULL; m = m->next) {
            if (is_unused(m) && (oldest == NULL || m->last_used_ns < oldest->last_used_ns))
                oldest = m;
        }
        hd__model_unload_unused(oldest);
    }
    return true;
}

uint64_t hd__memory_share(const hd_model *m)
{
    return left_of(m->engine->memory_limit, held(m->engine, true) - m->scratch_bytes) / m->engine->n_threads;
}

void hd__memory_plan(hd_engine *e)
{
    for (hd_model *m = e->models; m != NULL; m = m->next) {
        if (m->state == HD_LOADED)
            m->group_tokens = hd__plan_group_tokens(m);
    }
}
