/* job.c - texts in, what the heads make of them out: a job from its start to its end. See heddle.h.
 *
 * prepare.c makes sequences of texts, the queue and the workers results of sequences, results.c what the caller asked for
 * of results.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/engine_int.h"

static void free_job(hd_job *job)
{
    hd__ids_clear(&job->ids);
    hd__ids_clear(&job->types);
    hd__free(job->sequences);
    if (job->rows != NULL)
        hd__free(job->out);
    hd__free(job->parts);
    hd__interaction_free(job->interaction, job->n_texts - 1);
    hd__free(job->store_keys);
    hd__free(job->cached);
    pthread_cond_destroy(&job->finished);
    hd__free(job);
}

/* Gives the prepared job to the workers, or first to the store that may have some of it; done at once when there is
 * nothing left to compute. */
static hd_status launch(hd_job *job, hd_error *err)
{
    hd_engine *e = job->model->engine;
    hd_crew *crew = job->crew;
    if (job->n_sequences == 0)
        return HD_OK;
    HD_TRY(hd__workers_start(crew, err));
    job->queued_ns = hd__now_ns();
    if (hd__lookup_begin(job))
        return HD_OK;
    pthread_mutex_lock(&e->lock);
    hd_status status = hd__queue_push(e, job, err);
    pthread_mutex_unlock(&e->lock);
    hd__crew_wake(crew); /* without the lock, which those who wake up take first of all */
    return status;
}

static hd_status check_queue(hd_engine *e, uint64_t *n_landed, hd_error *err)
{
    pthread_mutex_lock(&e->lock);
    const uint64_t n = e->queue_tokens;
    *n_landed = e->n_landed;
    pthread_mutex_unlock(&e->lock);
    if (e->max_queue_tokens == 0 || n < e->max_queue_tokens)
        return HD_OK;
    return hd__fail(err, HD_ERR_BUSY, "%llu tokens are queued, the limit is %llu", (unsigned long long)n,
                    (unsigned long long)e->max_queue_tokens);
}

static hd_status new_job(hd_model *m, const hd_job_request *r, const hd_plan *plan, hd_job **result, hd_error *err)
{
    hd_job *job = hd__calloc(1, sizeof *job);
    hd_sequence *sequences = hd__calloc(r->n > 0 ? r->n : 1, sizeof *sequences);
    if (job == NULL || sequences == NULL) {
        hd__free(job);
        hd__free(sequences);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a job of %zu texts", r->n);
    }
    pthread_cond_init(&job->finished, NULL);
    job->model = m;
    job->options = *r->job_options;
    job->crew = &m->engine->crews[job->options.background ? HD_CREW_BACKGROUND : HD_CREW_FOREGROUND];
    job->n_texts = r->n;
    job->first_text = r->first;
    job->heads = plan->heads;
    job->task = plan->task;
    job->n_dimensions = plan->n_dimensions;
    job->normalize = plan->normalize;
    job->raw_scores = plan->raw_scores;
    job->is_late = plan->long_text == HD_LONG_LATE;
    if (plan->long_text == HD_LONG_CUT)
        job->out = r->out;
    else
        job->rows = r->out;
    job->scores = r->scores;
    job->sequences = sequences;
    job->sequences_capacity = r->n > 0 ? r->n : 1;
    job->interaction = r->interaction;
    const size_t n_counts = r->n - (r->interaction != NULL);
    if (job->options.n_tokens != NULL && n_counts > 0)
        memset(job->options.n_tokens, 0, n_counts * sizeof *job->options.n_tokens);
    *result = job;
    return HD_OK;
}

/* What is wanted goes with what there is to put it. */
static hd_status check_request(const hd_model *m, const hd_job_request *r, const hd_plan *plan, hd_error *err)
{
    HD_TRY(hd__plan_check(m, plan, err));
    if (r->n > UINT32_MAX - 1)
        return hd__fail(err, HD_ERR_LIMIT, "%zu texts in one call, the limit is %u", r->n, UINT32_MAX - 1);
    if ((plan->heads & ~(uint32_t)HD_HEAD_DENSE) != 0 && r->scores == NULL && r->job_options->outputs == NULL)
        return hd__fail(err, HD_ERR_ARG, "heads other than dense are wanted, but there are no outputs for them");
    if ((plan->heads & HD_HEAD_DENSE) != 0 && r->out == NULL && r->n > 0)
        return hd__fail(err, HD_ERR_ARG, "dense vectors are wanted, but there is no place for them");
    return HD_OK;
}

hd_status hd__job_start(hd_model *model, const hd_job_request *r, hd_job **result, hd_error *err)
{
    hd_model *m = hd__model_of_side(model, r->options);
    hd_plan plan;
    hd_job *job = NULL;
    const uint64_t start_ns = hd__now_ns();
    uint64_t n_landed;
    HD_TRY(hd__plan_make(m, r->options, &plan, err));
    if (r->heads != 0)
        plan.heads = r->heads;
    HD_TRY(check_request(m, r, &plan, err));
    HD_TRY(check_queue(m->engine, &n_landed, err));
    HD_TRY(new_job(m, r, &plan, &job, err));
    job->n_landed = n_landed;
    if (job->options.outputs != NULL && r->n > 0)
        memset(job->options.outputs, 0, r->n * sizeof *job->options.outputs);
    hd_status status = hd__model_acquire(m, err);
    if (status != HD_OK) {
        job->interaction = NULL;
        free_job(job);
        return status;
    }
    status = hd__job_prepare(job, r->texts, &plan, err);
    job->options.pairs = NULL; /* the caller's, who may free them now */
    job->options.ids = NULL;
    job->stats.tokenize_ns = hd__now_ns() - start_ns;
    const bool computes = job->n_sequences > 0;
    if (status == HD_OK) {
        *result = job;
        status = launch(job, err); /* from here on the job may be gone at any time */
    }
    if (status != HD_OK) {
        hd__model_release(m);
        hd_outputs_free(r->job_options->outputs, r->n); /* of texts that were looked up */
        job->interaction = NULL;
        free_job(job);
        return status;
    }
    if (!computes && r->job_options->done != NULL)
        r->job_options->done(job, r->job_options->data);
    return HD_OK;
}

static const hd_job_options no_job_options;

hd_status hd_job_start(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options, float *out,
                       hd_job **result, hd_error *err)
{
    return hd_job_submit(m, texts, n, options, NULL, out, result, err);
}

hd_status hd_job_submit(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options,
                        const hd_job_options *job_options, float *out, hd_job **result, hd_error *err)
{
    const hd_job_request request = {
        .texts = texts,
        .n = n,
        .options = options,
        .job_options = job_options != NULL ? job_options : &no_job_options,
        .out = out,
    };
    return hd__job_start(m, &request, result, err);
}

/* After the last sequence. */
static void complete(hd_job *job)
{
    if (job->parts != NULL)
        hd__job_join_parts(job);
    if (job->interaction != NULL)
        hd__interaction_end(job);
}

hd_status hd_job_wait(hd_job *job, hd_encode_stats *stats, hd_error *err)
{
    hd_model *m = job->model;
    pthread_mutex_lock(&m->engine->lock);
    while (job->n_done < job->n_sequences)
        pthread_cond_wait(&job->finished, &m->engine->lock);
    pthread_mutex_unlock(&m->engine->lock);
    hd_status status = job->error.status;
    if (status != HD_OK && err != NULL)
        *err = job->error;
    if (status == HD_OK && stats != NULL)
        *stats = job->stats;
    if (status == HD_OK)
        complete(job);
    else
        hd_outputs_free(job->options.outputs, job->n_texts);
    hd__model_release(m);
    free_job(job);
    return status;
}

void hd_job_cancel(hd_job *job)
{
    hd_engine *e = job->model->engine;
    pthread_mutex_lock(&e->lock);
    if (job->asks_store)
        job->cancelled = true;
    else if (job->n_done < job->n_sequences)
        hd__queue_drop(job);
    if (job->crew->finished != NULL)
        pthread_cond_signal(&job->crew->work);
    pthread_mutex_unlock(&e->lock);
}

/* The texts [first, first + n) of a request. */
static hd_job_request part_of(const hd_job_request *r, const hd_model *m, size_t first, size_t n, hd_job_options *options)
{
    hd_job_request part = *r;
    const size_t width = r->options != NULL && r->options->dimensions != 0 ? r->options->dimensions : m->info.n_dimensions;
    *options = *r->job_options;
    if (options->pairs != NULL)
        options->pairs += first;
    if (options->outputs != NULL)
        options->outputs += first;
    part.job_options = options;
    part.texts += first;
    part.n = n;
    part.first += first;
    if (part.out != NULL)
        part.out += first * width;
    return part;
}

/* Without memory for all of them at once, the halves one after the other; a document of late chunking has none. Adds to
 * *stats. */
static hd_status encode(hd_model *m, const hd_job_request *r, hd_encode_stats *stats, hd_error *err)
{
    hd_encode_stats more = {0};
    hd_job *job;
    hd_status status = hd__job_start(m, r, &job, err);
    if (status == HD_OK)
        status = hd_job_wait(job, &more, err);
    if (status == HD_ERR_MEMORY && r->n > 1 && (r->options == NULL || r->options->long_text != HD_LONG_LATE)) {
        const size_t half = r->n / 2;
        hd_job_options options;
        hd_job_request part = part_of(r, m, 0, half, &options);
        HD_TRY(encode(m, &part, stats, err));
        part = part_of(r, m, half, r->n - half, &options);
        status = encode(m, &part, stats, err);
        if (status != HD_OK)
            hd_outputs_free(r->job_options->outputs, half);
        return status;
    }
    stats->n_tokens += more.n_tokens;
    stats->n_truncated += more.n_truncated;
    stats->n_on_devices += more.n_on_devices;
    stats->n_cached += more.n_cached;
    return status;
}

hd_status hd_encode_outputs(hd_model *m, const hd_text *texts, const hd_text *pairs, size_t n,
                            const hd_encode_options *options, float *out, hd_output *outputs, hd_encode_stats *stats,
                            hd_error *err)
{
    hd_encode_stats sum = {0};
    const hd_job_options job_options = {.pairs = pairs, .outputs = outputs};
    const hd_job_request request = {.texts = texts, .n = n, .options = options, .job_options = &job_options, .out = out};
    if (outputs != NULL && n > 0)
        memset(outputs, 0, n * sizeof *outputs);
    hd_model *side = hd__model_of_side(m, options);
    HD_TRY(hd__model_acquire(side, err)); /* a model that cannot be loaded cannot be for fewer texts either */
    hd__model_release(side);
    HD_TRY(encode(m, &request, &sum, err));
    if (stats != NULL)
        *stats = sum;
    return HD_OK;
}

hd_status hd_encode(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options, float *out,
                    hd_encode_stats *stats, hd_error *err)
{
    return hd_encode_outputs(m, texts, NULL, n, options, out, NULL, stats, err);
}
