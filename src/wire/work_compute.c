/* work_compute.c - the step that asks the engine for vectors or scores, and takes them when its callback comes. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "wire/work.h"

#define LIGHT_VALUES 16384u /* of vectors; written in well under a millisecond */

static int compare_scores(const void *a, const void *b)
{
    const hd_score *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Sorts what scores there are: of the inputs for a query, or of each input's labels. */
static bool rank(hd_work *w)
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

static void computed(hd_work *w)
{
    hd_exchange *x = w->exchange;
    hd_encode_stats stats = {0};
    hd_error error = {0};
    pthread_mutex_lock(&w->service->lock);
    w->job = NULL;
    pthread_mutex_unlock(&w->service->lock);
    const hd_status status = hd_job_wait(w->own_job, &stats, &error);
    if (status != HD_OK) {
        hd__work_status(w, status, &error);
        return;
    }
    hd_result *r = &w->result;
    r->vectors = w->vectors;
    r->outputs = w->outputs;
    r->n_tokens = w->n_tokens;
    r->n_truncated = stats.n_truncated;
    r->on_gpu = stats.n_on_devices > 0;
    for (size_t i = 0; i < w->call.n_inputs; i++)
        r->n_tokens_total += w->n_tokens[i];
    r->times.tokenize = x->record.tokenize_ns = stats.tokenize_ns;
    r->times.queue = x->record.queue_ns = stats.queue_ns;
    r->times.compute = x->record.compute_ns = stats.compute_ns;
    x->record.n_tokens = r->n_tokens_total;
    x->record.n_cached = stats.n_cached;
    if (!rank(w)) {
        hd__work_no_memory(w);
        return;
    }
    if (w->outputs == NULL && w->call.n_inputs * r->n_dimensions <= LIGHT_VALUES)
        hd__work_write(&w->node);
    else
        hd__work_push(w, hd__work_write);
}

static void release(hd_work *w)
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
    hd_work *w = data;
    hd_outputs_free(w->outputs, w->call.n_inputs);
}

/* Room for what the engine makes of the inputs. */
static bool alloc_results(hd_work *w)
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

static bool prepare(hd_work *w, engine_inputs *in)
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
static const char *text_of_prompt(const hd_work *w, const char *wanted)
{
    const char *name, *text;
    for (uint32_t i = 0; hd_model_get_prompt(hd__models_handle(w->entry), i, &name, &text); i++)
        if (strcmp(name, wanted) == 0)
            return text;
    return NULL;
}

/* The prompt that the call names, or the first of its names that the model has one by. */
static const char *prompt_name(const hd_work *w)
{
    const hd_call *c = &w->call;
    if (c->prompt_name != NULL || c->prompt_names == NULL)
        return c->prompt_name;
    for (const char *const *wanted = c->prompt_names; *wanted != NULL; wanted++)
        if (text_of_prompt(w, *wanted) != NULL)
            return *wanted;
    return NULL;
}

const char *hd__work_prompt_text(const hd_work *w)
{
    if (w->call.prompt != NULL)
        return w->call.prompt;
    const char *wanted = prompt_name(w);
    return text_of_prompt(w, wanted != NULL ? wanted : w->card.info.default_prompt_name);
}

/* The first of the call's names that is a task of the model's. */
static const char *task_name(const hd_work *w)
{
    const hd_model_info *info = &w->card.info;
    for (const char *const *wanted = w->call.prompt_names; wanted != NULL && *wanted != NULL; wanted++)
        for (uint32_t i = 0; i < info->n_tasks; i++)
            if (strcmp(info->tasks[i], *wanted) == 0)
                return *wanted;
    return NULL;
}

hd_encode_options hd__work_encode_options(const hd_work *w)
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
static bool too_many_dimensions(hd_work *w)
{
    const uint32_t wanted = w->call.dimensions, most = w->card.info.n_dimensions;
    hd_fault fault;
    if (wanted <= most)
        return false;
    HD_IGNORE(
        hd__fault(&fault, HD_FAULT_VALUE, "dimensions", "`dimensions` is %u, the model gives at most %u", wanted, most));
    fault.n = wanted;
    fault.limit = most;
    hd__work_fault(w, &fault);
    return true;
}

static hd_status submit(hd_work *w, const engine_inputs *in, hd_error *err)
{
    const hd_call *c = &w->call;
    const hd_encode_options options = hd__work_encode_options(w);
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

static bool cannot(hd_work *w)
{
    const hd_model_info *info = &w->card.info;
    hd_fault fault;
    const uint32_t lacks = w->call.task == HD_TASK_RERANK ? 0 : heads_of(&w->call) & ~info->heads;
    if (w->call.task == HD_TASK_RERANK ? info->reranks : lacks == 0)
        return false;
    if (w->call.heads != 0)
        HD_IGNORE(hd__fault(&fault, HD_FAULT_UNSUPPORTED, "heads", "the model %s has no head \"%s\"", w->card.name,
                            hd_head_name(lacks & (~lacks + 1))));
    else
        HD_IGNORE(hd__fault(&fault, HD_FAULT_UNSUPPORTED, NULL, "the model %s cannot %s", w->card.name,
                            hd__task_name(w->call.task)));
    hd__work_fault(w, &fault);
    return true;
}

void hd__work_compute(hd_work *w)
{
    engine_inputs in;
    hd_error error = {0};
    if (cannot(w) || too_many_dimensions(w))
        return;
    if (!prepare(w, &in)) {
        hd__work_no_memory(w);
        return;
    }
    atomic_store(&w->n_refs, 2);
    const hd_status status = submit(w, &in, &error);
    if (status != HD_OK) {
        hd__work_status(w, status, &error);
        return;
    }
    pthread_mutex_lock(&w->service->lock);
    w->job = w->own_job;
    if (w->cancelled || w->timed_out)
        hd_job_cancel(w->job);
    pthread_mutex_unlock(&w->service->lock);
    release(w);
}
