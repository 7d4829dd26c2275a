/* job.c - texts in, vectors out: tokenising on the caller's thread, the queue, waiting. See heddle.h.
 *
 * The vector cache is asked here, by what determines a vector: the model, the token ids, and where pooling
 * begins. Texts that differ only in what the tokenizer drops share an entry.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "engine/engine_int.h"

/* What a call's options come to for this model. */
typedef struct job_plan {
    const char *prompt;
    uint32_t prompt_tokens; /* left out of pooling; 0: none */
    uint32_t n_dimensions;
    hd_tokenize_options tokenize;
    bool normalize, refuse_longer;
} job_plan;

static hd_status find_prompt(const hd_model *m, const hd_encode_options *o, const char **prompt, hd_error *err)
{
    const char *name = o->prompt_name != NULL ? o->prompt_name : m->settings.default_prompt_name;
    *prompt = "";
    if (o->prompt != NULL) {
        *prompt = o->prompt;
        return HD_OK;
    }
    if (name[0] == '\0')
        return HD_OK;
    for (uint32_t i = 0; i < m->settings.n_prompts; i++) {
        if (strcmp(m->settings.prompts[i].name, name) == 0) {
            *prompt = m->settings.prompts[i].text;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no prompt named \"%s\"", m->name, name);
}

static hd_status make_plan(const hd_model *m, const hd_encode_options *options, job_plan *plan, hd_error *err)
{
    static const hd_encode_options defaults;
    const hd_encode_options *o = options != NULL ? options : &defaults;
    uint32_t most = m->info.n_dimensions;
    if (o->dimensions > most)
        return hd__fail(err, HD_ERR_ARG, "%u dimensions, the model gives %u", o->dimensions, most);
    if (o->max_length > m->settings.max_length)
        return hd__fail(err, HD_ERR_ARG, "max_length %u, the model's is %u", o->max_length, m->settings.max_length);
    *plan = (job_plan){
        .n_dimensions = o->dimensions != 0 ? o->dimensions : most,
        .normalize = m->settings.normalize && !o->no_normalize,
        .tokenize =
            {
                .max_length = o->max_length != 0 ? o->max_length : m->settings.max_length,
                .lower_case = m->settings.lower_case,
                .strict = o->strict,
                .cut_front = o->cut_front,
                .no_specials = o->no_specials,
            },
        .refuse_longer = o->refuse_longer,
    };
    return find_prompt(m, o, &plan->prompt, err);
}

/* Tokens of the prompt with what the template puts before it: pooling begins after them. As
 * sentence-transformers does: the encoded prompt less its closing special token. */
static hd_status count_prompt(const hd_model *m, job_plan *plan, hd_error *err)
{
    if (m->settings.include_prompt || plan->prompt[0] == '\0')
        return HD_OK;
    hd_ids ids = {0};
    hd_status status = hd__tokenizer_encode(m->tokenizer, hd__span_of(plan->prompt), &plan->tokenize, &ids, NULL, err);
    plan->prompt_tokens = ids.n > 1 ? (uint32_t)ids.n - 1 : 0;
    hd__ids_clear(&ids);
    return status;
}

/* Text i has so many tokens, and nothing may be cut. */
static hd_status refuse(const hd_job *job, const job_plan *plan, size_t i, size_t n, hd_error *err)
{
    if (job->options.n_tokens != NULL)
        job->options.n_tokens[i] = (uint32_t)n;
    return hd__fail(err, HD_ERR_LIMIT, "text %zu has %zu tokens, the limit is %u", job->first_text + i, n,
                    plan->tokenize.max_length);
}

/* Appends the ids of prompt and text i to job->ids. */
static hd_status tokenize(hd_job *job, const job_plan *plan, size_t i, hd_text text, hd_buffer *joined, hd_error *err)
{
    hd_span whole = hd__span(text.ptr != NULL ? text.ptr : "", text.len);
    bool truncated;
    if (plan->prompt[0] != '\0') {
        hd__buffer_reset(joined);
        hd__buffer_append_text(joined, plan->prompt);
        hd__buffer_append(joined, text.ptr, text.len);
        if (joined->failed)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a text of %zu bytes", text.len);
        whole = hd__buffer_span(joined);
    }
    hd_error why;
    const size_t first = job->ids.n;
    hd_status status = hd__tokenizer_encode(job->model->tokenizer, whole, &plan->tokenize, &job->ids, &truncated, &why);
    if (status == HD_OK && truncated && plan->refuse_longer) {
        hd_tokenize_options whole_text = plan->tokenize;
        whole_text.max_length = 0;
        job->ids.n = first;
        status = hd__tokenizer_encode(job->model->tokenizer, whole, &whole_text, &job->ids, NULL, &why);
        if (status == HD_OK)
            return refuse(job, plan, i, job->ids.n - first, err);
    }
    if (status != HD_OK)
        return hd__fail(err, status, "text %zu: %s", job->first_text + i, why.text);
    job->stats.n_truncated += truncated;
    return HD_OK;
}

/* Appends ids that came in place of text i. */
static hd_status take_ids(hd_job *job, const job_plan *plan, size_t i, hd_token_ids given, hd_error *err)
{
    const size_t limit = plan->tokenize.max_length, n = given.n < limit ? given.n : limit;
    if (given.n > limit && plan->refuse_longer)
        return refuse(job, plan, i, given.n, err);
    HD_TRY(hd__ids_reserve(&job->ids, n, err));
    if (n > 0)
        memcpy(job->ids.ids + job->ids.n, given.ids + (plan->tokenize.cut_front ? given.n - n : 0), n * sizeof *given.ids);
    job->ids.n += n;
    job->stats.n_truncated += given.n > limit;
    return HD_OK;
}

/* A sequence needs a token: a tokenizer without special tokens gives none for empty text. */
static hd_status at_least_one_token(hd_job *job, size_t first, hd_error *err)
{
    hd_ids *ids = &job->ids;
    if (ids->n > first)
        return HD_OK;
    HD_TRY(hd__ids_reserve(ids, 1, err));
    int32_t pad = job->model->settings.pad_id;
    ids->ids[ids->n++] = pad >= 0 ? pad : 0;
    return HD_OK;
}

static hd_status check_ids(const hd_job *job, size_t first, size_t text, hd_error *err)
{
    const uint32_t vocab = job->model->settings.vocab_size;
    for (size_t i = first; i < job->ids.n; i++) {
        if ((uint32_t)job->ids.ids[i] >= vocab)
            return hd__fail(err, HD_ERR_FORMAT, "%s: text %zu has token id %d, but config.json's vocab_size is %u",
                            job->model->name, job->first_text + text, job->ids.ids[i], vocab);
    }
    return HD_OK;
}

static hd_status prepare(hd_job *job, const hd_text *texts, size_t n, const job_plan *plan, hd_error *err)
{
    hd_model *m = job->model;
    hd_buffer joined;
    hd__buffer_init(&joined);
    hd_status status = HD_OK;
    float *vector = NULL;
    const size_t n_out = (size_t)m->encoder->n_out;
    if (m->engine->cache != NULL && (vector = hd__malloc(n_out * sizeof *vector)) == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a vector of %zu values", n_out);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        size_t first = job->ids.n;
        const hd_token_ids *given = job->options.ids != NULL ? &job->options.ids[i] : NULL;
        if (given != NULL && given->ids == NULL)
            given = NULL;
        HD_TRY_OUT(given != NULL ? take_ids(job, plan, i, *given, err) : tokenize(job, plan, i, texts[i], &joined, err));
        HD_TRY_OUT(at_least_one_token(job, first, err));
        HD_TRY_OUT(check_ids(job, first, i, err));
        size_t n_tokens = job->ids.n - first;
        const uint32_t prompt_tokens = given != NULL ? 0 : plan->prompt_tokens;
        if (job->options.n_tokens != NULL)
            job->options.n_tokens[i] = (uint32_t)n_tokens;
        hd_sequence *s = &job->sequences[job->n_sequences];
        *s = (hd_sequence){
            .ids_at = first,
            .n_tokens = (int32_t)n_tokens,
            .pool_begin = (int32_t)(prompt_tokens < n_tokens ? prompt_tokens : n_tokens - 1),
            .row = (uint32_t)i,
            .job = job,
        };
        s->key = hd__hash128(hd__span(job->ids.ids + first, n_tokens * sizeof *job->ids.ids),
                             m->id << 32 | (uint32_t)s->pool_begin);
        if (m->engine->cache != NULL && hd__cache_get(m->engine->cache, s->key, vector, n_out)) {
            HD_TRY_OUT(hd__job_store(job, s, vector, err));
            job->ids.n = first;
            job->stats.n_cached++;
            continue;
        }
        job->stats.n_tokens += n_tokens;
        job->n_sequences++;
    }
out:
    hd__buffer_clear(&joined);
    hd__free(vector);
    return status;
}

static void free_job(hd_job *job)
{
    hd__ids_clear(&job->ids);
    hd__free(job->sequences);
    hd__free(job->store_keys);
    pthread_cond_destroy(&job->finished);
    hd__free(job);
}

/* Gives the prepared job to the workers, or first to the store that may have some of it; done at once when there is
 * nothing left to compute. */
static hd_status launch(hd_job *job, hd_error *err)
{
    hd_engine *e = job->model->engine;
    if (job->n_sequences == 0)
        return HD_OK;
    HD_TRY(hd__workers_start(e, err));
    job->queued_ns = hd__now_ns();
    if (hd__lookup_begin(job))
        return HD_OK;
    pthread_mutex_lock(&e->lock);
    hd_status status = hd__queue_push(e, job, err);
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->lock);
    return status;
}

static hd_status check_queue(hd_engine *e, hd_error *err)
{
    pthread_mutex_lock(&e->lock);
    const uint64_t n = e->queue_tokens;
    pthread_mutex_unlock(&e->lock);
    if (e->max_queue_tokens == 0 || n < e->max_queue_tokens)
        return HD_OK;
    return hd__fail(err, HD_ERR_BUSY, "%llu tokens are queued, the limit is %llu", (unsigned long long)n,
                    (unsigned long long)e->max_queue_tokens);
}

static hd_status new_job(hd_model *m, size_t n, const hd_job_options *options, const job_plan *plan, hd_job **result,
                         hd_error *err)
{
    hd_job *job = hd__calloc(1, sizeof *job);
    hd_sequence *sequences = hd__calloc(n, sizeof *sequences);
    if (job == NULL || sequences == NULL) {
        hd__free(job);
        hd__free(sequences);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a job of %zu texts", n);
    }
    pthread_cond_init(&job->finished, NULL);
    job->model = m;
    job->options = *options;
    job->n_dimensions = plan->n_dimensions;
    job->normalize = plan->normalize;
    job->sequences = sequences;
    *result = job;
    return HD_OK;
}

/* first: what to call the first text in errors. */
static hd_status start(hd_model *m, const hd_text *texts, size_t n, size_t first, const hd_encode_options *options,
                       const hd_job_options *job_options, float *out, hd_job **result, hd_error *err)
{
    job_plan plan;
    hd_job *job = NULL;
    const uint64_t start_ns = hd__now_ns();
    if (n > UINT32_MAX)
        return hd__fail(err, HD_ERR_LIMIT, "%zu texts in one call, the limit is %u", n, UINT32_MAX);
    HD_TRY(make_plan(m, options, &plan, err));
    HD_TRY(check_queue(m->engine, err));
    HD_TRY(new_job(m, n, job_options, &plan, &job, err));
    job->first_text = first;
    job->out = out;
    hd_status status = hd__model_acquire(m, err);
    if (status != HD_OK) {
        free_job(job);
        return status;
    }
    status = count_prompt(m, &plan, err);
    if (status == HD_OK)
        status = prepare(job, texts, n, &plan, err);
    job->stats.tokenize_ns = hd__now_ns() - start_ns;
    const bool computes = job->n_sequences > 0;
    if (status == HD_OK) {
        *result = job;
        status = launch(job, err); /* from here on the job may be gone at any time */
    }
    if (status != HD_OK) {
        hd__model_release(m);
        free_job(job);
        return status;
    }
    if (!computes && job_options->done != NULL)
        job_options->done(job, job_options->data);
    return HD_OK;
}

static const hd_job_options no_job_options;

hd_status hd_job_start(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options, float *out,
                       hd_job **result, hd_error *err)
{
    hd_job *job;
    HD_TRY(start(m, texts, n, 0, options, &no_job_options, out, &job, err));
    *result = job;
    return HD_OK;
}

hd_status hd_job_submit(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options,
                        const hd_job_options *job_options, float *out, hd_job **result, hd_error *err)
{
    return start(m, texts, n, 0, options, job_options != NULL ? job_options : &no_job_options, out, result, err);
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
    hd__model_release(m);
    free_job(job);
    return status;
}

void hd_job_cancel(hd_job *job)
{
    pthread_mutex_lock(&job->model->engine->lock);
    if (job->asks_store)
        job->cancelled = true;
    else if (job->n_done < job->n_sequences)
        hd__queue_drop(job);
    pthread_mutex_unlock(&job->model->engine->lock);
}

/* Without memory for all of them at once, the halves one after the other. Adds to *stats. */
static hd_status encode(hd_model *m, const hd_text *texts, size_t n, size_t first, const hd_encode_options *options,
                        float *out, hd_encode_stats *stats, hd_error *err)
{
    hd_encode_stats more = {0};
    hd_job *job;
    hd_status status = start(m, texts, n, first, options, &no_job_options, out, &job, err);
    if (status == HD_OK)
        status = hd_job_wait(job, &more, err);
    if (status == HD_ERR_MEMORY && n > 1) {
        const size_t half = n / 2;
        const size_t width = options != NULL && options->dimensions != 0 ? options->dimensions : m->info.n_dimensions;
        HD_TRY(encode(m, texts, half, first, options, out, stats, err));
        return encode(m, texts + half, n - half, first + half, options, out + half * width, stats, err);
    }
    stats->n_tokens += more.n_tokens;
    stats->n_truncated += more.n_truncated;
    stats->n_cached += more.n_cached;
    return status;
}

hd_status hd_encode(hd_model *m, const hd_text *texts, size_t n, const hd_encode_options *options, float *out,
                    hd_encode_stats *stats, hd_error *err)
{
    hd_encode_stats sum = {0};
    HD_TRY(hd_model_load(m, err)); /* a model that cannot be loaded cannot be for fewer texts either */
    HD_TRY(encode(m, texts, n, 0, options, out, &sum, err));
    if (stats != NULL)
        *stats = sum;
    return HD_OK;
}

hd_status hd__job_store(hd_job *job, const hd_sequence *s, const float *vector, hd_error *err)
{
    float *row = job->out + (size_t)s->row * job->n_dimensions;
    const size_t n_all = (size_t)job->model->encoder->n_out;
    float check = 0.0f; /* x * 0 is 0 for finite x and NaN for the others */
    for (size_t i = 0; i < n_all; i++)
        check += vector[i] * 0.0f;
    if (check != 0.0f)
        return hd__fail(err, HD_ERR_NUMERIC, "%s: text %zu gave a vector with a NaN or an infinity", job->model->name,
                        job->first_text + s->row);
    double sum = 0.0;
    for (uint32_t i = 0; i < job->n_dimensions; i++)
        sum += (double)vector[i] * (double)vector[i];
    double norm = sqrt(sum);
    float scale = job->normalize ? (float)(1.0 / (norm > 1e-12 ? norm : 1e-12)) : 1.0f;
    for (uint32_t i = 0; i < job->n_dimensions; i++)
        row[i] = vector[i] * scale;
    return HD_OK;
}

hd_status hd_tokenize(hd_model *m, hd_text text, const hd_encode_options *options, hd_tokens *tokens, hd_error *err)
{
    job_plan plan;
    HD_TRY(make_plan(m, options, &plan, err));
    HD_TRY(hd__model_acquire(m, err));
    hd_buffer joined;
    hd__buffer_init(&joined);
    hd__buffer_append_text(&joined, plan.prompt);
    hd__buffer_append(&joined, text.ptr, text.len);
    hd_status status =
        joined.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a text of %zu bytes", text.len)
                      : hd__tokenizer_encode_offsets(m->tokenizer, hd__buffer_span(&joined), &plan.tokenize, tokens, err);
    hd__buffer_clear(&joined);
    hd__model_release(m);
    return status;
}

const char *hd_token_text(hd_model *m, int32_t id)
{
    pthread_mutex_lock(&m->engine->lock);
    const char *text = m->state == HD_LOADED ? hd__tokenizer_token(m->tokenizer, id) : "";
    pthread_mutex_unlock(&m->engine->lock);
    return text;
}

hd_status hd_detokenize(hd_model *m, const int32_t *ids, size_t n, bool no_specials, hd_text *text, hd_error *err)
{
    hd_buffer decoded;
    hd__buffer_init(&decoded);
    HD_TRY(hd__model_acquire(m, err));
    hd_status status = hd__tokenizer_decode(m->tokenizer, ids, n, no_specials, &decoded, err);
    hd__model_release(m);
    if (status != HD_OK)
        hd__buffer_clear(&decoded);
    else
        *text = (hd_text){decoded.ptr, decoded.len};
    return status;
}

void hd_text_free(hd_text *text)
{
    hd__free((void *)(uintptr_t)text->ptr);
    *text = (hd_text){NULL, 0};
}
