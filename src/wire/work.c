/* work.c - see work.h: how an exchange ends. */
#include "wire/work.h"

#include "base/clock.h"
#include "wire/deadline.h"

static const char *const task_names[] = {"reply",  "model",    "embed",    "embed_all",  "sparse",
                                         "rerank", "classify", "tokenize", "detokenize", "search",
                                         "put",    "remove",   "list",     "get",        "stats"};

const char *hd__task_name(hd_task task)
{
    return task_names[task];
}

void hd__work_finish(hd_work *w)
{
    hd_service *s = w->service;
    hd_exchange *x = w->exchange;
    pthread_mutex_lock(&s->lock);
    if (w->deadline_ns != 0)
        hd__deadline_leave(s, w);
    x->work = NULL; /* nothing to cancel any more */
    pthread_mutex_unlock(&s->lock);
    if (w->holds_model)
        hd_model_end(hd__models_handle(w->entry));
    json_decref(w->body);
    x->record.handled_ns = hd__now_ns();
    atomic_fetch_sub(&s->n_in_flight, 1);
    s->options.finish(x);
}

static const hd_dialect *dialect_of(const hd_work *w)
{
    return w->route != NULL ? w->route->dialect : w->path->dialect;
}

void hd__work_fault(hd_work *w, const hd_fault *fault)
{
    hd_exchange *x = w->exchange;
    x->record.fault = fault->kind;
    x->record.dialect = dialect_of(w)->name;
    x->response.n_headers = 0;
    dialect_of(w)->write_fault(fault, &x->request, &x->arena, &x->response);
    hd__work_finish(w);
}

static uint32_t retry_after_s(hd_service *s)
{
    hd_engine_stats stats;
    hd_engine_get_stats(s->engine, &stats);
    const uint64_t now_ns = hd__now_ns();
    pthread_mutex_lock(&s->lock);
    const double passed_s = (double)(now_ns - s->sampled_ns) * 1e-9;
    if (passed_s >= 1.0) {
        s->tokens_per_s = (double)(stats.n_tokens - s->sampled_tokens) / passed_s;
        s->sampled_ns = now_ns;
        s->sampled_tokens = stats.n_tokens;
    }
    const double wait_s = s->tokens_per_s > 0.0 ? (double)stats.queue_tokens / s->tokens_per_s : 1.0;
    pthread_mutex_unlock(&s->lock);
    return wait_s < 1.0 ? 1 : wait_s > 60.0 ? 60 : (uint32_t)(wait_s + 0.5);
}

/* The first input that is too long, of those that have been counted. */
static void say_too_long(const hd_work *w, hd_fault *fault)
{
    const hd_call *c = &w->call;
    const uint32_t most =
        c->max_length != 0 && c->max_length < w->card.info.max_length ? c->max_length : w->card.info.max_length;
    for (size_t i = 0; i < c->n_inputs; i++) {
        if (w->n_tokens[i] <= most)
            continue;
        HD_IGNORE(hd__fault(fault, HD_FAULT_TOKENS, "input", "input %zu has %u tokens, the model takes at most %u", i,
                            w->n_tokens[i], most));
        fault->n = w->n_tokens[i];
        fault->limit = most;
        return;
    }
}

void hd__work_status(hd_work *w, hd_status status, const hd_error *error)
{
    hd_service *s = w->service;
    hd_fault fault = {0};
    static const struct {
        hd_status status;
        hd_fault_kind kind;
    } kinds[] = {
        {HD_ERR_ARG, HD_FAULT_VALUE},       {HD_ERR_FORMAT, HD_FAULT_VALUE},
        {HD_ERR_NOT_FOUND, HD_FAULT_VALUE}, {HD_ERR_LIMIT, HD_FAULT_VALUE},
        {HD_ERR_BUSY, HD_FAULT_OVERLOADED}, {HD_ERR_MEMORY, HD_FAULT_MEMORY},
        {HD_ERR_NUMERIC, HD_FAULT_NUMERIC}, {HD_ERR_UNSUPPORTED, HD_FAULT_UNSUPPORTED},
    };
    hd_fault_kind kind = HD_FAULT_INTERNAL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].status == status)
            kind = kinds[i].kind;
    if (status == HD_ERR_FORMAT && w->call.index != NULL && w->call.task != HD_TASK_PUT)
        kind = HD_FAULT_INTERNAL; /* the index's file is damaged: no document came that could be */
    pthread_mutex_lock(&s->lock);
    const bool timed_out = w->timed_out;
    pthread_mutex_unlock(&s->lock);
    if (status == HD_ERR_CANCELLED)
        kind = timed_out ? HD_FAULT_DEADLINE : HD_FAULT_CANCELLED;
    const char *field = kind != HD_FAULT_VALUE || w->call.index != NULL ? NULL
                        : status == HD_ERR_NOT_FOUND                    ? "prompt_name"
                                                                        : "input";
    HD_IGNORE(hd__fault(&fault, kind, field, "%s", kind == HD_FAULT_DEADLINE ? "not done in time" : error->text));
    if (status == HD_ERR_LIMIT && w->n_tokens != NULL)
        say_too_long(w, &fault);
    if (kind == HD_FAULT_OVERLOADED)
        fault.retry_after_s = retry_after_s(s);
    hd__work_fault(w, &fault);
}

void hd__work_no_memory(hd_work *w)
{
    hd_fault fault;
    HD_IGNORE(hd__fault(&fault, HD_FAULT_MEMORY, NULL, "no memory for this request"));
    hd__work_fault(w, &fault);
}

/* ---- steps ---- */

void hd__work_push(hd_work *w, void (*step)(hd_task_node *))
{
    w->on_pool = true;
    w->node.run = step;
    hd__pool_push(w->service->pool, &w->node);
}

void hd__work_write(hd_task_node *node)
{
    hd_work *w = (hd_work *)node;
    hd_exchange *x = w->exchange;
    const uint64_t start_ns = hd__now_ns();
    w->result.times.total = start_ns - x->record.start_ns;
    w->route->write(&w->request, &w->call, &w->result, &x->response);
    x->record.write_ns = hd__now_ns() - start_ns;
    if (x->response.body.failed) {
        hd__work_no_memory(w);
        return;
    }
    if (x->response.status == 0)
        x->response.status = 200;
    if (x->response.content_type == NULL)
        x->response.content_type = "application/json";
    x->response.is_noise = w->result.vectors != NULL || w->result.outputs != NULL;
    hd__work_finish(w);
}
