/* work_index.c - the steps that ask the index: they wait for the disk and for the engine, so they run on threads of their
 * own. Searches have several; documents are written by one, which is all that a file takes at a time, so that a search never
 * waits for writes that wait for each other.
 *
 * What waits for a thread is bounded, and looked at again when its turn comes: a request whose client has gone or whose
 * time is over is not begun. A search that has begun ends at its next step; what writes runs to its end, as its effect could
 * not be taken back.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wire/deadline.h"
#include "wire/work.h"

static bool is_write(hd_task task)
{
    return task == HD_TASK_PUT || task == HD_TASK_REMOVE;
}

/* ---- what the index gives lives as long as the exchange ---- */

static void free_results(void *data)
{
    hd_results_free(data);
}

static void free_text(void *data)
{
    hd_text_free(data);
}

static void free_listing(void *data)
{
    hd_listing_free(data);
}

/* ---- tasks ---- */

static void record_search(hd_http_record *record, const hd_results *r)
{
    record->n_searches++;
    record->search_ns[HD_SEARCH_EMBED] += (uint64_t)(r->embed_ms * 1e6);
    record->search_ns[HD_SEARCH_TOTAL] += (uint64_t)(r->total_ms * 1e6);
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        record->search_ns[HD_SEARCH_BM25 + leg] += (uint64_t)(r->leg_ms[leg] * 1e6);
}

static bool is_wanted(void *data)
{
    hd_work *w = data;
    pthread_mutex_lock(&w->service->lock);
    const bool is_over = w->cancelled || w->timed_out;
    pthread_mutex_unlock(&w->service->lock);
    return !is_over;
}

static hd_status search(hd_work *w, hd_error *err)
{
    const hd_index_call *c = w->call.index;
    hd_arena *arena = &w->exchange->arena;
    w->index.searches = hd__arena_calloc(arena, c->n_searches, sizeof *w->index.searches);
    if (w->index.searches == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu searches", c->n_searches);
    for (size_t i = 0; i < c->n_searches; i++) {
        hd_results *r = &w->index.searches[i];
        hd_search one = c->searches[i];
        one.keep_going = is_wanted;
        one.data = w;
        HD_TRY(hd_index_search(w->asked_index, &one, r, err));
        const hd_status status = hd__arena_on_clear(arena, free_results, r);
        if (status != HD_OK) {
            hd_results_free(r);
            return hd__fail(err, status, "no memory for hits");
        }
        record_search(&w->exchange->record, r);
    }
    return HD_OK;
}

static hd_status put(hd_work *w, hd_error *err)
{
    const hd_index_call *c = w->call.index;
    hd_arena *arena = &w->exchange->arena;
    w->index.ids = hd__arena_calloc(arena, c->n_documents, sizeof *w->index.ids);
    /* Room for the cleanups is taken first: what has been written must not be answered with "no memory". */
    for (size_t i = 0; w->index.ids != NULL && i < c->n_documents; i++)
        if (hd__arena_on_clear(arena, free_text, &w->index.ids[i]) != HD_OK)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu ids", c->n_documents);
    if (w->index.ids == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu ids", c->n_documents);
    w->exchange->record.n_inputs = (uint32_t)c->n_documents;
    return c->n_documents == 0 ? HD_OK : hd_index_put(w->asked_index, c->documents, c->n_documents, w->index.ids, err);
}

static hd_status read_listing(hd_work *w, hd_error *err)
{
    const hd_index_call *c = w->call.index;
    hd_index *index = w->asked_index;
    hd_listing *listing = &w->index.listing;
    if (w->call.task == HD_TASK_GET)
        HD_TRY(hd_index_get(index, c->ids[0], listing, err));
    else
        HD_TRY(hd_index_list(index, c->filter, c->offset, c->limit, listing, err));
    const hd_status status = hd__arena_on_clear(&w->exchange->arena, free_listing, listing);
    if (status == HD_OK)
        return HD_OK;
    hd_listing_free(listing);
    return hd__fail(err, status, "no memory for documents");
}

static hd_status run(hd_work *w, hd_error *err)
{
    const hd_index_call *c = w->call.index;
    hd_index *index = w->asked_index;
    switch (w->call.task) {
    case HD_TASK_SEARCH: return search(w, err);
    case HD_TASK_PUT: return put(w, err);
    case HD_TASK_REMOVE: return hd_index_remove(index, c->ids, c->n_ids, c->filter, &w->index.n_removed, err);
    case HD_TASK_LIST:
    case HD_TASK_GET: return read_listing(w, err);
    default: return hd_index_get_stats(index, &w->index.stats, err);
    }
}

static bool reranks(const hd_call *call)
{
    const hd_index_call *c = call->index;
    bool any = false;
    for (size_t i = 0; i < c->n_searches; i++)
        any |= c->searches[i].rerank;
    return any;
}

/* ---- steps ---- */

static void index_step(hd_task_node *node)
{
    hd_work *w = (hd_work *)node;
    hd_service *s = w->service;
    hd_error error = {0};
    hd_fault fault;
    atomic_fetch_sub(is_write(w->call.task) ? &s->n_waiting_writes : &s->n_waiting_searches, 1);
    const uint64_t start_ns = hd__now_ns();
    w->exchange->record.queue_ns = start_ns - w->step_ns;
    if (s->options.find_index(s->options.index_data, reranks(&w->call), &w->asked_index, &fault) != HD_OK) {
        hd__work_fault(w, &fault);
        return;
    }
    const hd_status status = is_wanted(w) ? run(w, &error) : hd__fail(&error, HD_ERR_CANCELLED, "cancelled");
    w->exchange->record.compute_ns = hd__now_ns() - start_ns;
    w->result.index = &w->index;
    if (status == HD_OK)
        hd__work_write(&w->node);
    else
        hd__work_status(w, status, &error);
}

void hd__work_index(hd_work *w)
{
    hd_service *s = w->service;
    hd_fault fault;
    const bool writes = is_write(w->call.task);
    _Atomic uint32_t *n_waiting = writes ? &s->n_waiting_writes : &s->n_waiting_searches;
    const uint32_t limit = writes ? HD_LIMIT_WAITING_WRITES : HD_LIMIT_WAITING_SEARCHES;
    if (s->options.find_index == NULL) {
        HD_IGNORE(hd__fault(&fault, HD_FAULT_ROUTE, NULL, "this server has no index: start it with --index FILE"));
        hd__work_fault(w, &fault);
        return;
    }
    if (atomic_fetch_add(n_waiting, 1) >= limit) {
        atomic_fetch_sub(n_waiting, 1);
        HD_IGNORE(hd__fault(&fault, HD_FAULT_OVERLOADED, NULL, "%u %s wait already", limit,
                            writes ? "writes of documents" : "searches"));
        fault.retry_after_s = 1;
        hd__work_fault(w, &fault);
        return;
    }
    hd__deadline_set(w);
    w->step_ns = hd__now_ns();
    w->on_pool = true;
    w->node.run = index_step;
    hd__pool_push(writes ? s->writer : s->searchers, &w->node);
}
