/* relevance.c - documents by their relevance to a query. See heddle.h.
 *
 * Cross-encoders read query and document together. Models with a vector for each token read them apart; what is
 * compared then is their late interaction (MaxSim, Khattab and Zaharia 2020), as soon as the query is there, so that token
 * vectors of documents are not kept. Qwen3-Reranker reads a chat that asks for yes or no (qwen3_prompt.h).
 */
#include <string.h>

#include "base/alloc.h"
#include "engine/engine_int.h"
#include "model/qwen3_prompt.h"

/* ---- pairs ---- */

#define FIRST_SHARE(max_length) ((max_length) / 4 * 3 + (max_length) % 4 * 3 / 4) /* of a pair, before its second is cut */

/* The document is cut so that all of what follows it stays. */
static hd_status encode_chat(hd_job *job, const hd_plan *plan, const hd_tokenize_options *options, hd_span query,
                             hd_span document, bool *truncated, hd_error *err)
{
    const hd_tokenizer *tokenizer = job->model->tokenizer;
    const hd_tokenize_options whole = {.no_specials = true, .strict = options->strict};
    hd_tokenize_options cut = *options;
    hd_ids after = {0};
    hd_buffer body;
    hd_status status;
    const size_t first = job->ids.n;
    hd__buffer_init(&body);
    hd__buffer_printf(&body, "<Instruct>: %s\n<Query>: ", plan->prompt[0] != '\0' ? plan->prompt : HD_QWEN3_INSTRUCTION);
    hd__buffer_append(&body, query.ptr, query.len);
    hd__buffer_append_text(&body, "\n<Document>: ");
    hd__buffer_append(&body, document.ptr, document.len);
    if (body.failed)
        HD_TRY_OUT(hd__fail(err, HD_ERR_MEMORY, "no memory for a text of %zu bytes", query.len + document.len));
    HD_TRY_OUT(hd__tokenizer_encode(tokenizer, hd__span_of(HD_QWEN3_BEFORE), &whole, &job->ids, NULL, err));
    HD_TRY_OUT(hd__tokenizer_encode(tokenizer, hd__span_of(HD_QWEN3_AFTER), &whole, &after, NULL, err));
    const size_t around = job->ids.n - first + after.n;
    if (cut.max_length != 0 && cut.max_length <= around)
        HD_TRY_OUT(hd__fail(err, HD_ERR_LIMIT, "the prompt of %zu tokens leaves nothing of %u", around, cut.max_length));
    cut.max_length -= cut.max_length != 0 ? (uint32_t)around : 0;
    HD_TRY_OUT(hd__tokenizer_encode(tokenizer, hd__buffer_span(&body), &cut, &job->ids, truncated, err));
    HD_TRY_OUT(hd__ids_append(&job->ids, after.ids, after.n, err));
out:
    if (status != HD_OK)
        job->ids.n = first;
    hd__ids_clear(&after);
    hd__buffer_clear(&body);
    return status;
}

hd_status hd__pair_encode(hd_job *job, const hd_plan *plan, const hd_tokenize_options *options, hd_span first,
                          hd_span second, bool *truncated, hd_error *err)
{
    const hd_model *m = job->model;
    if (m->settings.judges)
        return encode_chat(job, plan, options, first, second, truncated, err);
    hd_tokenize_options o = *options;
    o.max_first = plan->cut_second ? FIRST_SHARE(o.max_length) : 0;
    const size_t at = job->types.n;
    HD_TRY(hd__tokenizer_encode_pair(m->tokenizer, first, second, &o,
                                     plan->cut_second ? HD_TRUNCATE_ONLY_SECOND : HD_TRUNCATE_LONGEST_FIRST, &job->ids,
                                     &job->types, truncated, err));
    if (m->settings.n_token_types < 2) /* a tokenizer may tell them apart; such a model is not told */
        memset(job->types.ids + at, 0, (job->types.n - at) * sizeof *job->types.ids);
    return HD_OK;
}

/* ---- late interaction ---- */

float hd_maxsim(const float *q, size_t n_q, const float *d, size_t n_d, size_t n)
{
    hd_kernels kernels;
    if (n_q == 0 || n_d == 0 || n == 0)
        return 0.0f;
    hd__kernels_fill(&kernels);
    return kernels.maxsim_f32(
        &(k_maxsim){.q = q, .d = d, .q_stride = n, .d_stride = n, .n_q = (int)n_q, .n_d = (int)n_d, .n = (int)n});
}

static float interact(const hd_job *job, const float *vectors, size_t n)
{
    const hd_interaction *x = job->interaction;
    const float sum = hd_maxsim(x->query, x->n_query, vectors, n, (size_t)job->model->encoder->n_token_out);
    return job->raw_scores || x->n_query == 0 ? sum : sum / (float)x->n_query;
}

hd_status hd__interaction_store(hd_job *job, const hd_sequence *s, const hd_rows *rows, hd_error *err)
{
    hd_interaction *x = job->interaction;
    hd_output o;
    HD_TRY(hd__job_output(job, s, rows, &o, err));
    if (s->row == 0) {
        x->query = o.token_vectors;
        x->n_query = o.n_token_vectors;
        x->query_memory = o.memory;
        atomic_store(&x->ready, true);
    } else if (atomic_load(&x->ready)) {
        job->scores[s->row - 1] = interact(job, o.token_vectors, o.n_token_vectors);
        hd_outputs_free(&o, 1);
    } else {
        x->waiting[s->row - 1] = o;
    }
    return HD_OK;
}

void hd__interaction_end(hd_job *job)
{
    hd_output *waiting = job->interaction->waiting;
    for (size_t i = 0; i + 1 < job->n_texts; i++)
        if (waiting[i].memory != NULL)
            job->scores[i] = interact(job, waiting[i].token_vectors, waiting[i].n_token_vectors);
}

void hd__interaction_free(hd_interaction *x, size_t n)
{
    if (x == NULL)
        return;
    hd_outputs_free(x->waiting, n);
    hd__free(x->query_memory);
    hd__free(x);
}

/* ---- reranking ---- */

static hd_status start_interaction(hd_model *m, hd_text query, const hd_text *documents, hd_job_request *request,
                                   hd_job **job, hd_error *err)
{
    const size_t n = request->n;
    hd_interaction *x = hd__calloc(1, hd__add(sizeof *x, hd__mul(n, sizeof *x->waiting)));
    hd_text *texts = hd__calloc(hd__add(n, 1), sizeof *texts);
    hd_status status = HD_ERR_MEMORY;
    if (x == NULL || texts == NULL) {
        HD_IGNORE(hd__fail(err, HD_ERR_MEMORY, "no memory for %zu documents", n));
    } else {
        texts[0] = query;
        if (n > 0)
            memcpy(texts + 1, documents, n * sizeof *texts);
        request->texts = texts;
        request->n = n + 1;
        request->heads = HD_HEAD_MULTI;
        request->interaction = x;
        status = hd__job_start(m, request, job, err);
    }
    if (status != HD_OK)
        hd__free(x);
    hd__free(texts);
    return status;
}

static hd_status start_pairs(hd_model *m, hd_text query, const hd_text *documents, hd_job_request *request, hd_job **job,
                             hd_error *err)
{
    hd_job_options options = *request->job_options;
    const size_t n = request->n;
    hd_text *both = hd__calloc(n, 2 * sizeof *both);
    if (both == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        both[i] = query;
        both[n + i] = documents[i].ptr != NULL ? documents[i] : (hd_text){"", 0};
    }
    options.pairs = both + n;
    request->texts = both;
    request->heads = HD_HEAD_SCORES;
    request->job_options = &options;
    const hd_status status = hd__job_start(m, request, job, err);
    hd__free(both);
    return status;
}

hd_status hd_rerank_submit(hd_model *m, hd_text query, const hd_text *documents, size_t n, const hd_encode_options *options,
                           const hd_job_options *job_options, float *scores, hd_job **job, hd_error *err)
{
    static const hd_job_options defaults;
    hd_job_request request = {.n = n, .options = options, .scores = scores};
    request.job_options = job_options != NULL ? job_options : &defaults;
    if (request.job_options->ids != NULL || request.job_options->pairs != NULL || request.job_options->outputs != NULL)
        return hd__fail(err, HD_ERR_ARG, "a rerank takes texts alone: no token ids, pairs or outputs");
    if (!m->info.reranks)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: the model does not rerank: it gives neither a score for pairs of texts nor a vector for each "
                        "token",
                        m->name);
    return (m->info.heads & HD_HEAD_SCORES) != 0 ? start_pairs(m, query, documents, &request, job, err)
                                                 : start_interaction(m, query, documents, &request, job, err);
}

hd_status hd_rerank(hd_model *m, hd_text query, const hd_text *documents, size_t n, const hd_encode_options *options,
                    float *scores, hd_encode_stats *stats, hd_error *err)
{
    hd_job *job;
    HD_TRY(hd_rerank_submit(m, query, documents, n, options, NULL, scores, &job, err));
    return hd_job_wait(job, stats, err);
}
