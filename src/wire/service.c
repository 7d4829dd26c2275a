/* service.c - see service.h.
 *
 * An exchange goes through read → (load) → run → write. Each step runs on whatever thread the step before ended on,
 * unless it is heavy: then on the service's own. `s->lock` guards what cancelling and deadlines touch: a work's job,
 * its flags and its place in the list of deadlines.
 */
#include "wire/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/thread_name.h"

#define LIGHT_BODY_BYTES 16384u /* parsed and tokenised in well under a millisecond */
#define LIGHT_VALUES 16384u     /* of vectors; written in about as much */
#define MILLISECOND_NS 1000000ull

typedef struct work {
    hd_task_node node; /* in the pool; first, so that a node is its work */
    hd_service *service;
    const hd_service_path *path;
    const hd_route *route; /* NULL: not chosen yet */
    hd_exchange *exchange;
    hd_wire_request request;
    hd_call call;
    hd_result result;
    hd_model_entry *entry;
    hd_model_card card;
    json_t *body;
    bool on_pool;     /* this step runs on one of the service's threads */
    bool holds_model; /* hd_model_end is due */
    uint64_t step_ns; /* when this step began */

    float *vectors;
    hd_output *outputs; /* [n_inputs] freed with the exchange's arena; NULL: no head but DENSE is wanted */
    float *scores;      /* RERANK: [n_inputs] */
    uint32_t *n_tokens;
    hd_job *own_job;    /* from submit to wait */
    _Atomic int n_refs; /* who submits, and the callback: the last one goes on */

    hd_job *job; /* what to cancel; with the lock, as all below */
    bool cancelled, timed_out;
    uint64_t deadline_ns; /* 0: none, and not in the list */
    struct work *earlier, *later;
} work;

struct hd_service {
    pthread_mutex_t lock;
    pthread_cond_t timer_wake; /* a deadline before timer_ns, or stop */
    pthread_t timer;
    bool timer_started, stop;
    uint64_t timer_ns;  /* when the timer looks at the deadlines again; UINT64_MAX: not by itself */
    work *first, *last; /* by deadline */

    hd_engine *engine;
    hd_models *models;
    hd_service_options options;
    hd_pool *pool;
    hd_route *routes; /* the protocols' tables one after the other, with their dialects filled in */
    hd_service_path *paths;
    size_t n_paths;
    atomic_bool ready;
    _Atomic uint32_t n_in_flight;

    uint64_t sampled_ns, sampled_tokens; /* for the rate that Retry-After is made of; with the lock */
    double tokens_per_s;
};

/* ---- the end of an exchange ---- */

static const char *const task_names[] = {"reply",  "model",    "embed",    "embed_all", "sparse",
                                         "rerank", "classify", "tokenize", "detokenize"};

const char *hd__task_name(hd_task task)
{
    return task_names[task];
}

static void leave_list(hd_service *s, work *w)
{
    *(w->earlier != NULL ? &w->earlier->later : &s->first) = w->later;
    *(w->later != NULL ? &w->later->earlier : &s->last) = w->earlier;
    w->earlier = w->later = NULL;
    w->deadline_ns = 0;
}

/* The response is complete. The work is gone after this. */
static void finish(work *w)
{
    hd_service *s = w->service;
    hd_exchange *x = w->exchange;
    pthread_mutex_lock(&s->lock);
    if (w->deadline_ns != 0)
        leave_list(s, w);
    x->work = NULL; /* nothing to cancel any more */
    pthread_mutex_unlock(&s->lock);
    if (w->holds_model)
        hd_model_end(hd__models_handle(w->entry));
    json_decref(w->body);
    x->record.handled_ns = hd__now_ns();
    atomic_fetch_sub(&s->n_in_flight, 1);
    s->options.finish(x);
}

static const hd_dialect *dialect_of(const work *w)
{
    return w->route != NULL ? w->route->dialect : w->path->dialect;
}

static void answer_fault(work *w, const hd_fault *fault)
{
    hd_exchange *x = w->exchange;
    x->record.fault = fault->kind;
    x->record.dialect = dialect_of(w)->name;
    x->response.n_headers = 0;
    dialect_of(w)->write_fault(fault, &x->request, &x->arena, &x->response);
    finish(w);
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
static void say_too_long(const work *w, hd_fault *fault)
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

/* What the engine's status means to the client. */
static void answer_status(work *w, hd_status status, const hd_error *error)
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
    pthread_mutex_lock(&s->lock);
    const bool timed_out = w->timed_out;
    pthread_mutex_unlock(&s->lock);
    if (status == HD_ERR_CANCELLED)
        kind = timed_out ? HD_FAULT_DEADLINE : HD_FAULT_CANCELLED;
    const char *field = kind != HD_FAULT_VALUE ? NULL : status == HD_ERR_NOT_FOUND ? "prompt_name" : "input";
    HD_IGNORE(hd__fault(&fault, kind, field, "%s", kind == HD_FAULT_DEADLINE ? "not done in time" : error->text));
    if (status == HD_ERR_LIMIT && w->n_tokens != NULL)
        say_too_long(w, &fault);
    if (kind == HD_FAULT_OVERLOADED)
        fault.retry_after_s = retry_after_s(s);
    answer_fault(w, &fault);
}

static void answer_memory(work *w)
{
    hd_fault fault;
    HD_IGNORE(hd__fault(&fault, HD_FAULT_MEMORY, NULL, "no memory for this request"));
    answer_fault(w, &fault);
}

/* ---- steps ---- */

static void push(work *w, void (*step)(hd_task_node *))
{
    w->on_pool = true;
    w->node.run = step;
    hd__pool_push(w->service->pool, &w->node);
}

static void write_step(hd_task_node *node)
{
    work *w = (work *)node;
    hd_exchange *x = w->exchange;
    const uint64_t start_ns = hd__now_ns();
    w->result.times.total = start_ns - x->record.start_ns;
    w->route->write(&w->request, &w->call, &w->result, &x->response);
    x->record.write_ns = hd__now_ns() - start_ns;
    if (x->response.body.failed) {
        answer_memory(w);
        return;
    }
    if (x->response.status == 0)
        x->response.status = 200;
    if (x->response.content_type == NULL)
        x->response.content_type = "application/json";
    x->response.is_noise = w->result.vectors != NULL || w->result.outputs != NULL;
    finish(w);
}

static int compare_scores(const void *a, const void *b)
{
    const hd_score *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Sorts what scores there are: of the inputs for a query, or of each input's labels. */
static bool rank(work *w)
{
    hd_result *r = &w->result;
    const hd_call *c = &w->call;
    const bool reranks = c->task == HD_TASK_RERANK;
    if (!reranks && c->task != HD_TASK_CLASSIFY)
        return true;
    const size_t n_rows = reranks ? 1 : c->n_inputs, n = reranks ? c->n_inputs : w->card.info.n_labels;
    hd_score *scores = hd__arena_calloc(&w->exchange->arena, hd__mul(n_rows, n), sizeof *scores);
    if (scores == NULL)
        return false;
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t k = 0; k < n; k++)
            scores[i * n + k] = (hd_score){(uint32_t)k, reranks ? w->scores[k] : w->outputs[i].scores[k]};
        qsort(scores + i * n, n, sizeof *scores, compare_scores);
    }
    r->scores = scores;
    r->n_scores = reranks && c->top_n != 0 && c->top_n < n ? c->top_n : n_rows * n;
    r->labels = w->card.info.labels;
    r->n_labels = reranks ? 0 : n;
    return true;
}

static void computed(work *w)
{
    hd_exchange *x = w->exchange;
    hd_encode_stats stats = {0};
    hd_error error = {0};
    pthread_mutex_lock(&w->service->lock);
    w->job = NULL;
    pthread_mutex_unlock(&w->service->lock);
    const hd_status status = hd_job_wait(w->own_job, &stats, &error);
    if (status != HD_OK) {
        answer_status(w, status, &error);
        return;
    }
    hd_result *r = &w->result;
    r->vectors = w->vectors;
    r->outputs = w->outputs;
    r->n_tokens = w->n_tokens;
    r->n_truncated = stats.n_truncated;
    for (size_t i = 0; i < w->call.n_inputs; i++)
        r->n_tokens_total += w->n_tokens[i];
    r->times.tokenize = x->record.tokenize_ns = stats.tokenize_ns;
    r->times.queue = x->record.queue_ns = stats.queue_ns;
    r->times.compute = x->record.compute_ns = stats.compute_ns;
    x->record.n_tokens = r->n_tokens_total;
    x->record.n_cached = stats.n_cached;
    if (!rank(w)) {
        answer_memory(w);
        return;
    }
    if (w->outputs == NULL && w->call.n_inputs * r->n_dimensions <= LIGHT_VALUES)
        write_step(&w->node);
    else
        push(w, write_step);
}

static void release(work *w)
{
    if (atomic_fetch_sub(&w->n_refs, 1) == 1)
        computed(w);
}

static void on_done(hd_job *job, void *data)
{
    (void)job;
    release(data);
}

/* What the call wants of the model. */
static uint32_t heads_of(const hd_call *c)
{
    switch (c->task) {
    case HD_TASK_EMBED_ALL: return HD_HEAD_TOKENS;
    case HD_TASK_SPARSE: return HD_HEAD_SPARSE;
    case HD_TASK_CLASSIFY: return HD_HEAD_SCORES;
    default: return c->heads != 0 ? c->heads : HD_HEAD_DENSE;
    }
}

static void free_outputs(void *data)
{
    work *w = data;
    hd_outputs_free(w->outputs, w->call.n_inputs);
}

/* Room for what the engine makes of the inputs. */
static bool alloc_results(work *w)
{
    hd_arena *arena = &w->exchange->arena;
    const size_t n = w->call.n_inputs;
    const uint32_t heads = heads_of(&w->call);
    w->result.n_dimensions = w->call.dimensions != 0 ? w->call.dimensions : w->card.info.n_dimensions;
    w->n_tokens = hd__arena_calloc(arena, n, sizeof *w->n_tokens);
    if (w->n_tokens == NULL)
        return false;
    if (w->call.task == HD_TASK_RERANK) {
        w->scores = hd__arena_calloc(arena, n, sizeof *w->scores);
        return w->scores != NULL;
    }
    if ((heads & HD_HEAD_DENSE) != 0) {
        w->vectors = hd__arena_alloc(arena, hd__mul(hd__mul(n, w->result.n_dimensions), sizeof *w->vectors));
        if (w->vectors == NULL)
            return false;
    }
    if (heads == HD_HEAD_DENSE)
        return true;
    w->outputs = hd__arena_calloc(arena, n, sizeof *w->outputs);
    return w->outputs != NULL && hd__arena_on_clear(arena, free_outputs, w) == HD_OK;
}

/* The call's inputs as the engine takes them. */
typedef struct engine_inputs {
    hd_text *texts, *pairs; /* pairs NULL: none */
    hd_token_ids *ids;      /* NULL: none */
} engine_inputs;

static bool prepare(work *w, engine_inputs *in)
{
    const hd_call *c = &w->call;
    hd_arena *arena = &w->exchange->arena;
    in->texts = hd__arena_calloc(arena, c->n_inputs, sizeof *in->texts);
    in->pairs = hd__arena_calloc(arena, c->n_inputs, sizeof *in->pairs);
    in->ids = hd__arena_calloc(arena, c->n_inputs, sizeof *in->ids);
    if (in->texts == NULL || in->pairs == NULL || in->ids == NULL || !alloc_results(w))
        return false;
    bool any_ids = false, any_pairs = false;
    for (size_t i = 0; i < c->n_inputs; i++) {
        in->texts[i] = c->inputs[i].text;
        in->pairs[i] = c->inputs[i].pair;
        in->ids[i] = c->inputs[i].ids;
        any_ids |= c->inputs[i].ids.ids != NULL;
        any_pairs |= c->inputs[i].pair.ptr != NULL;
    }
    in->ids = any_ids ? in->ids : NULL;
    in->pairs = any_pairs ? in->pairs : NULL;
    return true;
}

/* The text of the model's prompt of that name; NULL: it has none. */
static const char *text_of_prompt(const work *w, const char *wanted)
{
    const char *name, *text;
    for (uint32_t i = 0; hd_model_get_prompt(hd__models_handle(w->entry), i, &name, &text); i++)
        if (strcmp(name, wanted) == 0)
            return text;
    return NULL;
}

/* The prompt that the call names, or the first of its names that the model has one by. */
static const char *prompt_name(const work *w)
{
    const hd_call *c = &w->call;
    if (c->prompt_name != NULL || c->prompt_names == NULL)
        return c->prompt_name;
    for (const char *const *wanted = c->prompt_names; *wanted != NULL; wanted++)
        if (text_of_prompt(w, *wanted) != NULL)
            return *wanted;
    return NULL;
}

/* The first of the call's names that is a task of the model's. */
static const char *task_name(const work *w)
{
    const hd_model_info *info = &w->card.info;
    for (const char *const *wanted = w->call.prompt_names; wanted != NULL && *wanted != NULL; wanted++)
        for (uint32_t i = 0; i < info->n_tasks; i++)
            if (strcmp(info->tasks[i], *wanted) == 0)
                return *wanted;
    return NULL;
}

static hd_encode_options encode_options(const work *w)
{
    const hd_call *c = &w->call;
    const uint32_t most = w->card.info.max_length;
    const bool cuts =
        c->truncate != HD_TRUNCATE_DEFAULT ? c->truncate != HD_TRUNCATE_NONE : w->service->options.settings.auto_truncate;
    return (hd_encode_options){
        .heads = heads_of(c),
        .long_text = c->long_text,
        .raw_scores = c->raw_scores,
        .prompt_name = prompt_name(w),
        .prompt = c->prompt,
        .task = task_name(w),
        .dimensions = c->dimensions,
        .max_length = c->max_length < most ? c->max_length : most,
        .no_normalize = c->no_normalize,
        .no_specials = c->no_specials,
        .refuse_longer = !cuts,
        .cut_front = c->truncate == HD_TRUNCATE_START,
    };
}

/* More values than the model gives have words of their own in many protocols. */
static bool too_many_dimensions(work *w)
{
    const uint32_t wanted = w->call.dimensions, most = w->card.info.n_dimensions;
    hd_fault fault;
    if (wanted <= most)
        return false;
    HD_IGNORE(
        hd__fault(&fault, HD_FAULT_VALUE, "dimensions", "`dimensions` is %u, the model gives at most %u", wanted, most));
    fault.n = wanted;
    fault.limit = most;
    answer_fault(w, &fault);
    return true;
}

static hd_status submit(work *w, const engine_inputs *in, hd_error *err)
{
    const hd_call *c = &w->call;
    const hd_encode_options options = encode_options(w);
    hd_model *model = hd__models_handle(w->entry);
    hd_job_options job_options = {
        .done = on_done, .data = w, .caller = w->exchange->request.caller, .n_tokens = w->n_tokens};
    if (c->task == HD_TASK_RERANK)
        return hd_rerank_submit(model, c->query, in->texts, c->n_inputs, &options, &job_options, w->scores, &w->own_job,
                                err);
    job_options.ids = in->ids;
    job_options.pairs = in->pairs;
    job_options.outputs = w->outputs;
    return hd_job_submit(model, in->texts, c->n_inputs, &options, &job_options, w->vectors, &w->own_job, err);
}

static bool cannot(work *w)
{
    const hd_model_info *info = &w->card.info;
    hd_fault fault;
    if (w->call.task == HD_TASK_RERANK ? info->reranks : (heads_of(&w->call) & ~info->heads) == 0)
        return false;
    HD_IGNORE(
        hd__fault(&fault, HD_FAULT_UNSUPPORTED, NULL, "the model %s cannot %s", w->card.name, hd__task_name(w->call.task)));
    answer_fault(w, &fault);
    return true;
}

static void compute(work *w)
{
    engine_inputs in;
    hd_error error = {0};
    if (cannot(w) || too_many_dimensions(w))
        return;
    if (!prepare(w, &in)) {
        answer_memory(w);
        return;
    }
    atomic_store(&w->n_refs, 2);
    const hd_status status = submit(w, &in, &error);
    if (status != HD_OK) {
        answer_status(w, status, &error);
        return;
    }
    pthread_mutex_lock(&w->service->lock);
    w->job = w->own_job;
    if (w->cancelled || w->timed_out)
        hd_job_cancel(w->job);
    pthread_mutex_unlock(&w->service->lock);
    release(w);
}

/* ---- tokens ---- */

static void free_tokens(void *data)
{
    hd_tokens_free(data);
}

static hd_status tokenize_all(work *w, hd_tokens *all, hd_error *err)
{
    hd_model *model = hd__models_handle(w->entry);
    const hd_encode_options options = encode_options(w);
    for (size_t i = 0; i < w->call.n_inputs; i++) {
        HD_TRY(hd_tokenize(model, w->call.inputs[i].text, &options, &all[i], err));
        hd_status status = hd__arena_on_clear(&w->exchange->arena, free_tokens, &all[i]);
        if (status != HD_OK) {
            hd_tokens_free(&all[i]);
            return hd__fail(err, status, "no memory for tokens");
        }
        w->n_tokens[i] = (uint32_t)all[i].n;
        w->result.n_tokens_total += all[i].n;
        w->result.n_truncated += all[i].truncated;
    }
    return HD_OK;
}

/* What hd_tokenize puts before each text. */
static const char *prompt_text(const work *w)
{
    if (w->call.prompt != NULL)
        return w->call.prompt;
    const char *wanted = prompt_name(w);
    return text_of_prompt(w, wanted != NULL ? wanted : w->card.info.default_prompt_name);
}

static void tokenize(work *w)
{
    hd_arena *arena = &w->exchange->arena;
    hd_error error = {0};
    hd_tokens *all = hd__arena_calloc(arena, w->call.n_inputs, sizeof *all);
    w->n_tokens = hd__arena_calloc(arena, w->call.n_inputs, sizeof *w->n_tokens);
    if (all == NULL || w->n_tokens == NULL) {
        answer_memory(w);
        return;
    }
    const hd_status status = tokenize_all(w, all, &error);
    const char **texts = status == HD_OK ? hd__arena_calloc(arena, w->result.n_tokens_total + 1, sizeof *texts) : NULL;
    if (status != HD_OK) {
        answer_status(w, status, &error);
        return;
    }
    if (texts == NULL) {
        answer_memory(w);
        return;
    }
    size_t at = 0; /* the model stays loaded until the answer is written: its texts need no copies */
    for (size_t i = 0; i < w->call.n_inputs; i++)
        for (size_t k = 0; k < all[i].n; k++)
            texts[at++] = hd_token_text(hd__models_handle(w->entry), all[i].tokens[k].id);
    w->result.tokens = all;
    w->result.token_texts = texts;
    w->result.prompt = prompt_text(w);
    w->result.n_tokens = w->n_tokens;
    w->exchange->record.n_tokens = w->result.n_tokens_total;
    w->exchange->record.tokenize_ns = hd__now_ns() - w->step_ns;
    write_step(&w->node);
}

static void free_text(void *data)
{
    hd_text_free(data);
}

static hd_status detokenize_all(work *w, hd_text *all, hd_error *err)
{
    for (size_t i = 0; i < w->call.n_inputs; i++) {
        const hd_token_ids *input = &w->call.inputs[i].ids;
        HD_TRY(hd_detokenize(hd__models_handle(w->entry), input->ids, input->n, w->call.no_specials, &all[i], err));
        hd_status status = hd__arena_on_clear(&w->exchange->arena, free_text, &all[i]);
        if (status != HD_OK) {
            hd_text_free(&all[i]);
            return hd__fail(err, status, "no memory for texts");
        }
        w->result.n_tokens_total += input->n;
    }
    return HD_OK;
}

static void detokenize(work *w)
{
    hd_error error = {0};
    hd_text *all = hd__arena_calloc(&w->exchange->arena, w->call.n_inputs, sizeof *all);
    if (all == NULL) {
        answer_memory(w);
        return;
    }
    const hd_status status = detokenize_all(w, all, &error);
    if (status != HD_OK) {
        answer_status(w, status, &error);
        return;
    }
    w->result.texts = all;
    w->exchange->record.n_tokens = w->result.n_tokens_total;
    w->exchange->record.tokenize_ns = hd__now_ns() - w->step_ns;
    write_step(&w->node);
}

/* ---- from a request to a call ---- */

static void run(work *w)
{
    w->step_ns = hd__now_ns();
    if (w->call.task == HD_TASK_TOKENIZE)
        tokenize(w);
    else if (w->call.task == HD_TASK_DETOKENIZE)
        detokenize(w);
    else
        compute(w);
}

static void load_step(hd_task_node *node)
{
    work *w = (work *)node;
    hd_error error = {0};
    hd_fault fault;
    const uint64_t start_ns = hd__now_ns();
    const hd_status status = hd_model_begin(hd__models_handle(w->entry), &error);
    w->result.times.load = hd__now_ns() - start_ns;
    if (status == HD_OK) {
        w->holds_model = true;
        run(w);
        return;
    }
    HD_IGNORE(hd__fault(&fault, status == HD_ERR_MEMORY ? HD_FAULT_MEMORY : HD_FAULT_LOAD, "model", "%s", error.text));
    answer_fault(w, &fault);
}

static void set_deadline(work *w)
{
    hd_service *s = w->service;
    const uint32_t own = w->call.timeout_ms, most = s->options.timeout_ms;
    const uint32_t timeout_ms = own != 0 && (most == 0 || own < most) ? own : most;
    if (timeout_ms == 0)
        return;
    pthread_mutex_lock(&s->lock);
    w->deadline_ns = w->exchange->record.start_ns + timeout_ms * MILLISECOND_NS;
    work *before = s->last; /* most come in the order of their deadlines */
    while (before != NULL && before->deadline_ns > w->deadline_ns)
        before = before->earlier;
    w->earlier = before;
    w->later = before != NULL ? before->later : s->first;
    *(w->earlier != NULL ? &w->earlier->later : &s->first) = w;
    *(w->later != NULL ? &w->later->earlier : &s->last) = w;
    if (w->deadline_ns < s->timer_ns)
        pthread_cond_signal(&s->timer_wake);
    pthread_mutex_unlock(&s->lock);
}

/* The call is read: finds its model and goes on. */
static void begin_call(work *w)
{
    hd_service *s = w->service;
    hd_exchange *x = w->exchange;
    hd_fault fault;
    hd_error error;
    const hd_task task = w->call.task;
    x->record.task = hd__task_name(task);
    x->record.n_inputs = (uint32_t)w->call.n_inputs;
    for (size_t i = 0; i < w->call.n_inputs; i++)
        x->record.n_characters += w->call.inputs[i].text.len;
    w->result.ready = hd__service_ready(s);
    w->result.n_in_flight = atomic_load(&s->n_in_flight);
    if (task != HD_TASK_REPLY) {
        if (hd__models_find(s->models, w->call.model, &w->entry, &fault) != HD_OK) {
            answer_fault(w, &fault);
            return;
        }
        hd__models_card(w->entry, &w->card);
        w->result.model = &w->card;
        w->result.echo = w->call.model != NULL && w->call.model[0] != '\0' ? w->call.model : w->card.name;
        x->record.model = w->card.name;
    }
    if (task == HD_TASK_REPLY || task == HD_TASK_MODEL) {
        if (hd__models_list(s->models, &x->arena, &w->result.models, &w->result.n_models, &error) == HD_OK)
            write_step(&w->node);
        else
            answer_memory(w);
        return;
    }
    set_deadline(w);
    if (w->card.info.loaded || w->on_pool)
        load_step(&w->node);
    else
        push(w, load_step);
}

/* Nesting deeper than the limit; brackets inside strings do not count. */
static bool too_deep(hd_span json)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        const char c = json.ptr[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > HD_LIMIT_BODY_JSON_DEPTH)
                return true;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        }
    }
    return false;
}

static hd_status parse(work *w, hd_fault *fault)
{
    const hd_span text = w->exchange->request.body;
    json_error_t e;
    if (text.len == 0)
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the request has no body");
    if (too_deep(text))
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body nests deeper than %u levels", HD_LIMIT_BODY_JSON_DEPTH);
    w->body = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &e);
    if (w->body == NULL && json_error_code(&e) == json_error_out_of_memory)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    if (w->body == NULL)
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body is not JSON: line %d column %d: %s", e.line, e.column,
                         e.text);
    if (!json_is_object(w->body))
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body is not a JSON object");
    w->request.body = w->body;
    return HD_OK;
}

/* Of the routes that share the path, whose request this is. */
static const hd_route *choose(const work *w)
{
    const hd_route *unclaimed = NULL;
    for (size_t i = 0; i < w->path->n_routes; i++) {
        const hd_route *r = w->path->routes[i];
        if (r->claims == NULL)
            unclaimed = unclaimed != NULL ? unclaimed : r;
        else if (r->claims(&w->request))
            return r;
    }
    return unclaimed != NULL ? unclaimed : w->path->routes[0];
}

static void read_step(hd_task_node *node)
{
    work *w = (work *)node;
    hd_fault fault = {0};
    const uint64_t start_ns = hd__now_ns();
    hd_status status = w->path->routes[0]->has_body ? parse(w, &fault) : HD_OK;
    if (status == HD_OK) {
        w->route = choose(w);
        w->exchange->record.dialect = w->route->dialect->name;
        status = w->route->read(&w->request, &w->call, &fault);
    }
    w->result.times.read = w->exchange->record.read_ns = hd__now_ns() - start_ns;
    if (status == HD_OK)
        begin_call(w);
    else
        answer_fault(w, &fault);
}

static hd_span rest_of(const hd_service_path *path, const hd_http_request *request)
{
    const size_t n = strlen(path->path);
    return path->path[n - 1] == '*' && request->path.len >= n - 1
               ? hd__span(request->path.ptr + n - 1, request->path.len - (n - 1))
               : hd__span("", 0);
}

void hd__service_begin(const hd_service_path *path, hd_exchange *x)
{
    hd_service *s = path->service;
    work *w = hd__arena_calloc(&x->arena, 1, sizeof *w);
    x->record.route = path->path;
    if (w == NULL) {
        hd_fault fault;
        HD_IGNORE(hd__fault(&fault, HD_FAULT_MEMORY, NULL, "no memory for this request"));
        x->record.fault = fault.kind;
        path->dialect->write_fault(&fault, &x->request, &x->arena, &x->response);
        s->options.finish(x);
        return;
    }
    w->service = s;
    w->path = path;
    w->exchange = x;
    w->request = (hd_wire_request){
        .http = &x->request, .rest = rest_of(path, &x->request), .arena = &x->arena, .settings = &s->options.settings};
    atomic_fetch_add(&s->n_in_flight, 1);
    x->work = w;
    if (x->request.body.len > LIGHT_BODY_BYTES)
        push(w, read_step);
    else
        read_step(&w->node);
}

void hd__service_cancel(const hd_service_path *path, hd_exchange *x)
{
    hd_service *s = path->service;
    pthread_mutex_lock(&s->lock);
    work *w = x->work;
    if (w != NULL) {
        w->cancelled = true;
        if (w->job != NULL)
            hd_job_cancel(w->job);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- deadlines ---- */

static void *timer_main(void *data)
{
    hd_service *s = data;
    hd__thread_name("heddle-timer");
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        work *w = s->first;
        const uint64_t now_ns = hd__now_ns();
        if (w == NULL) {
            s->timer_ns = UINT64_MAX;
            pthread_cond_wait(&s->timer_wake, &s->lock);
        } else if (w->deadline_ns > now_ns) {
            const struct timespec until = {(time_t)(w->deadline_ns / 1000000000u), (long)(w->deadline_ns % 1000000000u)};
            s->timer_ns = w->deadline_ns;
            pthread_cond_timedwait(&s->timer_wake, &s->lock, &until);
        } else {
            leave_list(s, w);
            w->timed_out = true;
            if (w->job != NULL)
                hd_job_cancel(w->job);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening ---- */

static hd_service_path *path_of(hd_service *s, const hd_route *route)
{
    for (size_t i = 0; i < s->n_paths; i++)
        if (s->paths[i].method == route->method && strcmp(s->paths[i].path, route->path) == 0)
            return &s->paths[i];
    return NULL;
}

static bool add_route(hd_service *s, hd_route *route)
{
    hd_service_path *p = path_of(s, route);
    if (p == NULL) {
        p = &s->paths[s->n_paths++];
        *p = (hd_service_path){.method = route->method, .path = route->path, .is_public = route->is_public, .service = s};
    }
    const hd_route **routes = hd__realloc((void *)(uintptr_t)p->routes, (p->n_routes + 1) * sizeof *routes);
    if (routes == NULL)
        return false;
    routes[p->n_routes++] = route;
    p->routes = routes;
    return true;
}

static hd_status collect_paths(hd_service *s, hd_error *err)
{
    size_t n = 0;
    for (size_t i = 0; hd__protocols[i] != NULL; i++)
        n += hd__protocols[i]->n_routes;
    s->paths = hd__calloc(n, sizeof *s->paths);
    s->routes = hd__calloc(n, sizeof *s->routes);
    if (s->paths == NULL || s->routes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu routes", n);
    hd_route *next = s->routes;
    for (size_t i = 0; hd__protocols[i] != NULL; i++) {
        for (size_t k = 0; k < hd__protocols[i]->n_routes; k++, next++) {
            *next = hd__protocols[i]->routes[k];
            if (next->dialect == NULL)
                next->dialect = hd__protocols[i]->dialect;
            if (!add_route(s, next))
                return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu routes", n);
        }
    }
    for (size_t i = 0; i < s->n_paths; i++) {
        hd_service_path *p = &s->paths[i];
        p->dialect = p->routes[0]->dialect;
        for (size_t k = p->n_routes; k-- > 0;)
            if (p->routes[k]->claims == NULL)
                p->dialect = p->routes[k]->dialect;
    }
    return HD_OK;
}

hd_status hd__service_open(hd_engine *engine, hd_models *models, const hd_service_options *options, hd_service **out,
                           hd_error *err)
{
    hd_service *s = hd__calloc(1, sizeof *s);
    if (s == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a service");
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->timer_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->engine = engine;
    s->models = models;
    s->options = *options;
    s->sampled_ns = hd__now_ns();
    hd_status status;
    HD_TRY_OUT(collect_paths(s, err));
    HD_TRY_OUT(hd__pool_open("heddle-wire", options->n_threads != 0 ? options->n_threads : 2, &s->pool, err));
    int failed = pthread_create(&s->timer, NULL, timer_main, s);
    s->timer_started = failed == 0;
    if (failed != 0)
        status = hd__fail_errno(err, failed, "cannot start a thread");
out:
    if (status != HD_OK) {
        hd__service_close(s);
        return status;
    }
    *out = s;
    return HD_OK;
}

void hd__service_close(hd_service *s)
{
    if (s == NULL)
        return;
    hd__pool_close(s->pool);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->timer_wake);
    pthread_mutex_unlock(&s->lock);
    if (s->timer_started)
        pthread_join(s->timer, NULL);
    for (size_t i = 0; i < s->n_paths; i++)
        hd__free((void *)(uintptr_t)s->paths[i].routes);
    hd__free(s->paths);
    hd__free(s->routes);
    pthread_cond_destroy(&s->timer_wake);
    pthread_mutex_destroy(&s->lock);
    hd__free(s);
}

const hd_service_path *hd__service_paths(const hd_service *s, size_t *n)
{
    *n = s->n_paths;
    return s->paths;
}

bool hd__service_ready(const hd_service *s)
{
    return atomic_load(&s->ready);
}

void hd__service_set_ready(hd_service *s, bool ready)
{
    atomic_store(&s->ready, ready);
}
