/* prepare.c - from texts, pairs and token ids to a job's sequences, on the caller's thread.
 *
 * The vector cache is asked here, by what determines a vector: the model, the task, the token ids and types, and where
 * pooling begins. Texts that differ only in what the tokenizer drops share an entry.
 *
 * What is too long for one sequence becomes several (hd_long_text): their vectors are parts of a row (hd_part), which are
 * joined when all are there. Late chunking takes its windows as jina-ai's long late chunking does
 * (https://github.com/jina-ai/late-chunking, chunked_pooling): over the whole document with its special tokens.
 */
#include <string.h>

#include "base/alloc.h"
#include "engine/engine_int.h"

#define OVERLAP_SHARE 8 /* of a window of late chunking is context from the one before */

typedef struct preparation {
    hd_job *job;
    const hd_plan *plan;
    hd_buffer joined; /* prompt and text */
    hd_ids prompt;    /* long texts: the prompt's tokens alone */
    hd_ids content;   /* long texts: a text's tokens alone */
    hd_ids mixed;     /* ids with text among them, all as ids */
} preparation;

/* ---- room ---- */

static hd_status grow_sequences(hd_job *job, hd_error *err)
{
    if (job->n_sequences < job->sequences_capacity)
        return HD_OK;
    const size_t capacity = job->sequences_capacity * 2;
    hd_sequence *sequences = hd__realloc(job->sequences, hd__mul(capacity, sizeof *sequences));
    if (sequences == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a job of %zu sequences", capacity);
    job->sequences = sequences;
    job->sequences_capacity = capacity;
    return HD_OK;
}

/* One more part, and its vector in job->out. */
static hd_status add_part(hd_job *job, hd_part part, hd_error *err)
{
    if (job->n_parts == job->parts_capacity) {
        const size_t capacity = job->parts_capacity * 2 + 64;
        hd_part *parts = hd__realloc(job->parts, hd__mul(capacity, sizeof *parts));
        if (parts != NULL)
            job->parts = parts;
        float *vectors = hd__realloc(job->out, hd__mul(hd__mul(capacity, job->n_dimensions), sizeof *vectors));
        if (vectors != NULL)
            job->out = vectors;
        if (parts == NULL || vectors == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu windows", capacity);
        job->parts_capacity = capacity;
    }
    job->parts[job->n_parts++] = part;
    return HD_OK;
}

/* Makes the types as many as the ids: 0 for what has none. */
static hd_status pad_types(hd_job *job, hd_error *err)
{
    const size_t n = job->ids.n - job->types.n;
    HD_TRY(hd__ids_reserve(&job->types, n, err));
    if (n > 0)
        memset(job->types.ids + job->types.n, 0, n * sizeof *job->types.ids);
    job->types.n += n;
    return HD_OK;
}

/* ---- counting ---- */

/* Of a rerank by late interaction a pair's tokens are the query's and the document's. */
static void count_tokens(const hd_job *job, size_t i, size_t n)
{
    uint32_t *counts = job->options.n_tokens;
    if (counts == NULL)
        return;
    if (job->interaction == NULL) {
        counts[i] += (uint32_t)n;
    } else if (i > 0) {
        counts[i - 1] += (uint32_t)n;
    } else {
        for (size_t k = 0; k + 1 < job->n_texts; k++)
            counts[k] += (uint32_t)n;
    }
}

/* Text i has so many tokens, and nothing may be cut. */
static hd_status refuse(const hd_job *job, uint32_t limit, size_t i, size_t n, hd_error *err)
{
    count_tokens(job, i, n);
    return hd__fail(err, HD_ERR_LIMIT, "text %zu has %zu tokens, the limit is %u", job->first_text + i, n, limit);
}

/* Tokens of the prompt with what the template puts before it: pooling begins after them. As
 * sentence-transformers does: the encoded prompt less its closing special token. */
static hd_status count_prompt(const hd_model *m, hd_plan *plan, hd_error *err)
{
    if (m->settings.include_prompt || plan->prompt[0] == '\0')
        return HD_OK;
    hd_ids ids = {0};
    hd_status status = hd__tokenizer_encode(m->tokenizer, hd__span_of(plan->prompt), &plan->tokenize, &ids, NULL, err);
    plan->prompt_tokens = ids.n > 1 ? (uint32_t)ids.n - 1 : 0;
    hd__ids_clear(&ids);
    return status;
}

/* ---- one text ---- */

/* A sequence needs a token: a tokenizer without special tokens gives none for empty text. */
static hd_status at_least_one_token(hd_job *job, size_t first, hd_error *err)
{
    const int32_t pad = job->model->settings.pad_id, id = pad >= 0 ? pad : 0;
    return job->ids.n > first ? HD_OK : hd__ids_append(&job->ids, &id, 1, err);
}

static hd_status check_ids(const hd_job *job, size_t first, size_t text, hd_error *err)
{
    const hd_settings *s = &job->model->settings;
    for (size_t i = first; i < job->ids.n; i++) {
        if ((uint32_t)job->ids.ids[i] >= s->vocab_size)
            return hd__fail(err, HD_ERR_FORMAT, "%s: text %zu has token id %d, but config.json's vocab_size is %u",
                            job->model->name, job->first_text + text, job->ids.ids[i], s->vocab_size);
        if (i < job->types.n && s->n_token_types > 0 && (uint32_t)job->types.ids[i] >= s->n_token_types)
            return hd__fail(err, HD_ERR_FORMAT, "%s: pair %zu has token type %d, but config.json's type_vocab_size is %u",
                            job->model->name, job->first_text + text, job->types.ids[i], s->n_token_types);
    }
    return HD_OK;
}

/* Ends a sequence of the ids from `first` on; those whose vector is in the cache are done. */
static hd_status add_sequence(preparation *p, size_t first, size_t text, hd_sequence s, hd_error *err)
{
    hd_job *job = p->job;
    hd_model *m = job->model;
    HD_TRY(at_least_one_token(job, first, err));
    if (job->types.n > 0)
        HD_TRY(pad_types(job, err));
    HD_TRY(check_ids(job, first, text, err));
    const size_t n = job->ids.n - first, bytes = n * sizeof *job->ids.ids;
    s.ids_at = first;
    s.n_tokens = (int32_t)n;
    s.pool_begin = s.pool_begin < s.n_tokens ? s.pool_begin : s.n_tokens - 1;
    s.job = job;
    s.key = hd__hash128(hd__span(job->ids.ids + first, bytes), m->id << 32 | (uint32_t)s.pool_begin);
    if (job->task > 0)
        s.key = hd__hash128(hd__span(&job->task, sizeof job->task), s.key.low ^ s.key.high);
    if (job->types.n > 0)
        s.key = hd__hash128(hd__span(job->types.ids + first, bytes), s.key.low ^ s.key.high);
    if (s.n_seen > 0)
        s.key = hd__hash128(hd__span(&s.n_seen, sizeof s.n_seen), s.key.low ^ s.key.high);
    if (s.n_parts > 0)
        s.key = hd__hash128(hd__span(job->parts + s.row, s.n_parts * sizeof *job->parts), s.key.low ^ s.key.high);
    if (s.n_parts == 0)
        count_tokens(job, text, n);
    if (job->cached != NULL && hd__cache_get(m->engine->cache, s.key, job->cached, (size_t)m->encoder->n_out)) {
        job->ids.n = first;
        job->types.n = job->types.n < first ? job->types.n : first;
        job->stats.n_cached++;
        return hd__job_store_vector(job, s.row, job->cached, err);
    }
    HD_TRY(grow_sequences(job, err));
    job->stats.n_tokens += n;
    job->sequences[job->n_sequences++] = s;
    return HD_OK;
}

/* What the tokenizer reads: the text after the prompt. */
static hd_status join_prompt(preparation *p, const char *prompt, hd_text text, hd_span *whole, hd_error *err)
{
    *whole = hd__span(text.ptr != NULL ? text.ptr : "", text.len);
    if (prompt[0] == '\0')
        return HD_OK;
    hd__buffer_reset(&p->joined);
    hd__buffer_append_text(&p->joined, prompt);
    hd__buffer_append(&p->joined, text.ptr, text.len);
    *whole = hd__buffer_span(&p->joined);
    return p->joined.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a text of %zu bytes", text.len) : HD_OK;
}

/* The prompt goes before the first text, but where a reranker's own prompt has a place for it. */
static hd_status encode_pair(preparation *p, const hd_tokenize_options *options, hd_text first, hd_text second,
                             bool *truncated, hd_error *err)
{
    hd_job *job = p->job;
    hd_span whole = hd__span(first.ptr != NULL ? first.ptr : "", first.len);
    HD_TRY(pad_types(job, err));
    if (!job->model->settings.judges)
        HD_TRY(join_prompt(p, p->plan->prompt, first, &whole, err));
    return hd__pair_encode(job, p->plan, options, whole, hd__span(second.ptr, second.len), truncated, err);
}

/* Appends the ids of text i and of its pair, if it has one, to at most max_length (0: no limit) tokens. */
static hd_status encode(preparation *p, const hd_text *texts, size_t i, uint32_t max_length, bool *truncated, hd_error *err)
{
    hd_job *job = p->job;
    const hd_text *pair = job->options.pairs != NULL && job->options.pairs[i].ptr != NULL ? &job->options.pairs[i] : NULL;
    hd_tokenize_options options = p->plan->tokenize;
    hd_span whole;
    hd_error why;
    options.max_length = max_length;
    *truncated = false;
    hd_status status;
    if (pair != NULL) {
        status = encode_pair(p, &options, texts[i], *pair, truncated, &why);
    } else {
        const char *side = i == 0 ? p->plan->query_prompt : p->plan->document_prompt;
        HD_TRY(join_prompt(p, job->interaction != NULL ? side : p->plan->prompt, texts[i], &whole, err));
        status = hd__tokenizer_encode(job->model->tokenizer, whole, &options, &job->ids, truncated, &why);
    }
    return status == HD_OK ? HD_OK : hd__fail(err, status, "text %zu: %s", job->first_text + i, why.text);
}

/* p->mixed = the ids with the tokens of the texts among them. */
static hd_status mix(preparation *p, size_t i, hd_token_ids given, hd_error *err)
{
    hd_tokenize_options options = p->plan->tokenize;
    options.max_length = 0;
    p->mixed.n = 0;
    for (size_t k = 0; k < given.n; k++) {
        const int64_t text = -1 - (int64_t)given.ids[k];
        options.no_specials = k > 0 || p->plan->tokenize.no_specials;
        if (text < 0) {
            HD_TRY(hd__ids_append(&p->mixed, &given.ids[k], 1, err));
            continue;
        }
        if ((size_t)text >= given.n_texts)
            return hd__fail(err, HD_ERR_ARG, "text %zu: token id %d stands for text %lld of %zu", p->job->first_text + i,
                            given.ids[k], (long long)text, given.n_texts);
        const hd_span span = hd__span(given.texts[text].ptr != NULL ? given.texts[text].ptr : "", given.texts[text].len);
        HD_TRY(hd__tokenizer_encode(p->job->model->tokenizer, span, &options, &p->mixed, NULL, err));
    }
    return HD_OK;
}

/* The ids that came in place of text i; ids NULL: none did. Valid until the next call. */
static hd_status find_ids(preparation *p, size_t i, hd_token_ids *given, hd_error *err)
{
    const hd_job *job = p->job;
    *given = job->options.ids != NULL ? job->options.ids[i] : (hd_token_ids){0};
    if (given->ids == NULL || given->texts == NULL)
        return HD_OK;
    HD_TRY(mix(p, i, *given, err));
    *given = (hd_token_ids){.ids = p->mixed.ids != NULL ? p->mixed.ids : given->ids, .n = p->mixed.n};
    return HD_OK;
}

/* Appends ids that came in place of text i. */
static hd_status take_ids(preparation *p, size_t i, hd_token_ids given, hd_error *err)
{
    hd_job *job = p->job;
    const size_t limit = p->plan->tokenize.max_length, n = given.n < limit ? given.n : limit;
    if (given.n > limit && p->plan->refuse_longer)
        return refuse(job, p->plan->tokenize.max_length, i, given.n, err);
    job->stats.n_truncated += given.n > limit;
    return hd__ids_append(&job->ids, given.ids + (p->plan->tokenize.cut_front ? given.n - n : 0), n, err);
}

/* The weights of a query of the ids from `first` on: done, and no sequence. */
static hd_status look_up(preparation *p, size_t first, size_t i, hd_error *err)
{
    hd_job *job = p->job;
    const size_t n = job->ids.n - first;
    const int32_t *ids = n > 0 ? job->ids.ids + first : NULL;
    HD_TRY(hd__query_table_look_up(job->model, ids, n, &job->options.outputs[i], err));
    count_tokens(job, i, n);
    job->stats.n_tokens += n;
    job->ids.n = first;
    job->types.n = 0;
    return HD_OK;
}

static hd_status add_text(preparation *p, const hd_text *texts, size_t i, hd_error *err)
{
    hd_job *job = p->job;
    const size_t first = job->ids.n;
    hd_token_ids given;
    hd_sequence s = {.row = (uint32_t)i};
    HD_TRY(find_ids(p, i, &given, err));
    if (given.ids != NULL) {
        HD_TRY(take_ids(p, i, given, err));
        return p->plan->looks_up ? look_up(p, first, i, err) : add_sequence(p, first, i, s, err);
    }
    const hd_model *m = job->model;
    const bool is_query = job->interaction != NULL ? i == 0 : p->plan->is_query;
    const uint32_t limit = hd__late_limit(m, is_query, p->plan->tokenize.max_length);
    bool truncated;
    HD_TRY(encode(p, texts, i, limit, &truncated, err));
    if (truncated && p->plan->refuse_longer) {
        job->ids.n = first;
        job->types.n = job->types.n < first ? job->types.n : first;
        HD_TRY(encode(p, texts, i, 0, &truncated, err));
        return refuse(job, limit, i, job->ids.n - first, err);
    }
    if (m->settings.late != NULL)
        HD_TRY(hd__late_frame(job, first, is_query, p->plan->tokenize.max_length, &s, err));
    job->stats.n_truncated += truncated;
    s.pool_begin = (int32_t)p->plan->prompt_tokens;
    return p->plan->looks_up ? look_up(p, first, i, err) : add_sequence(p, first, i, s, err);
}

/* ---- long texts ---- */

/* A text's tokens alone. */
static hd_status encode_alone(const preparation *p, hd_span text, hd_ids *ids, hd_error *err)
{
    hd_tokenize_options options = p->plan->tokenize;
    options.max_length = 0;
    options.no_specials = true;
    return hd__tokenizer_encode(p->job->model->tokenizer, text, &options, ids, NULL, err);
}

/* Windows over n tokens: each with so many of them, and with what is to be around them. */
static hd_status add_windows(preparation *p, size_t i, const int32_t *tokens, size_t n, const hd_token_ids around[3],
                             hd_error *err)
{
    hd_job *job = p->job;
    const size_t taken = around[0].n + around[1].n + around[2].n, limit = p->plan->tokenize.max_length;
    if (taken >= limit)
        return hd__fail(err, HD_ERR_LIMIT, "text %zu: prompt and special tokens leave nothing of windows of %zu tokens",
                        job->first_text + i, limit);
    for (size_t at = 0; at < n; at += limit - taken) {
        const size_t first = job->ids.n, count = n - at < limit - taken ? n - at : limit - taken;
        HD_TRY(hd__ids_append(&job->ids, around[0].ids, around[0].n, err));
        HD_TRY(hd__ids_append(&job->ids, around[1].ids, around[1].n, err));
        HD_TRY(hd__ids_append(&job->ids, tokens + at, count, err));
        HD_TRY(hd__ids_append(&job->ids, around[2].ids, around[2].n, err));
        const hd_sequence s = {.row = (uint32_t)job->n_parts,
                               .pool_begin = around[0].n + around[1].n > 0 ? (int32_t)p->plan->prompt_tokens : 0};
        HD_TRY(add_part(job, (hd_part){.row = (uint32_t)i, .weight = (uint32_t)count}, err));
        HD_TRY(add_sequence(p, first, i, s, err));
    }
    return HD_OK;
}

/* A text in as many windows as it needs. */
static hd_status add_windowed(preparation *p, const hd_text *texts, size_t i, hd_error *err)
{
    static const hd_token_ids nothing[3];
    hd_job *job = p->job;
    const size_t first = job->ids.n;
    hd_token_ids given;
    bool truncated;
    HD_TRY(find_ids(p, i, &given, err));
    HD_TRY(given.ids != NULL ? hd__ids_append(&job->ids, given.ids, given.n, err) : encode(p, texts, i, 0, &truncated, err));
    if (job->ids.n - first <= p->plan->tokenize.max_length) {
        const hd_sequence s = {.row = (uint32_t)job->n_parts,
                               .pool_begin = given.ids == NULL ? (int32_t)p->plan->prompt_tokens : 0};
        HD_TRY(add_part(job, (hd_part){.row = (uint32_t)i, .weight = 1}, err));
        return add_sequence(p, first, i, s, err);
    }
    job->ids.n = first;
    if (given.ids != NULL)
        return add_windows(p, i, given.ids, given.n, nothing, err);
    p->content.n = 0;
    HD_TRY(encode_alone(p, hd__span(texts[i].ptr, texts[i].len), &p->content, err));
    hd_token_ids around[3] = {[1] = {.ids = p->prompt.ids, .n = p->prompt.n}};
    hd__tokenizer_specials(job->model->tokenizer, &around[0], &around[2]);
    return add_windows(p, i, p->content.ids, p->content.n, around, err);
}

/* One window of a document, [begin, end) of its tokens, of which those from `own` on count for the pieces they are in.
 * ends[i] is the end of piece i; *piece the one that `own` is in, and afterwards that of the window's end. */
static hd_status add_document_window(preparation *p, size_t begin, size_t own, size_t end, const size_t *ends, size_t *piece,
                                     hd_error *err)
{
    hd_job *job = p->job;
    const size_t first = job->ids.n;
    hd_sequence s = {.row = (uint32_t)job->n_parts};
    HD_TRY(hd__ids_append(&job->ids, p->content.ids + begin, end - begin, err));
    for (size_t at = own, stop; at < end; at = stop) {
        while (ends[*piece] <= at)
            ++*piece;
        stop = ends[*piece] < end ? ends[*piece] : end;
        HD_TRY(add_part(job,
                        (hd_part){
                            .row = (uint32_t)*piece,
                            .weight = (uint32_t)(stop - at),
                            .begin = (int32_t)(at - begin),
                            .end = (int32_t)(stop - begin),
                        },
                        err));
        s.n_parts++;
    }
    return add_sequence(p, first, *piece, s, err);
}

/* p->content = all pieces with prompt and specials around them; the end of each. */
static hd_status join_pieces(preparation *p, const hd_text *texts, size_t n, size_t *ends, hd_error *err)
{
    hd_job *job = p->job;
    hd_token_ids before, after;
    hd__tokenizer_specials(job->model->tokenizer, &before, &after);
    HD_TRY(hd__ids_append(&p->content, before.ids, before.n, err));
    HD_TRY(hd__ids_append(&p->content, p->prompt.ids, p->prompt.n, err));
    for (size_t i = 0; i < n; i++) {
        hd_token_ids given;
        const size_t first = p->content.n;
        HD_TRY(find_ids(p, i, &given, err));
        if (given.ids != NULL)
            HD_TRY(hd__ids_append(&p->content, given.ids, given.n, err));
        else
            HD_TRY(encode_alone(p, hd__span(texts[i].ptr, texts[i].len), &p->content, err));
        if (p->content.n == first)
            return hd__fail(err, HD_ERR_ARG, "text %zu has no tokens: late chunking has nothing to pool", i);
        ends[i] = p->content.n;
        count_tokens(job, i, ends[i] - first);
    }
    HD_TRY(hd__ids_append(&p->content, after.ids, after.n, err));
    ends[n - 1] = p->content.n;
    return HD_OK;
}

static hd_status add_document(preparation *p, const hd_text *texts, size_t n, hd_error *err)
{
    const size_t limit = p->plan->tokenize.max_length, overlap = limit / OVERLAP_SHARE;
    size_t *ends = hd__calloc(n, sizeof *ends), piece = 0;
    if (ends == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu pieces of a document", n);
    hd_status status = join_pieces(p, texts, n, ends, err);
    const size_t prompt = p->plan->prompt_tokens;
    for (size_t begin = 0, end = 0; status == HD_OK && end < p->content.n; begin += limit - overlap) {
        end = p->content.n - begin < limit ? p->content.n : begin + limit;
        const size_t own = begin > 0 ? begin + overlap : 0;
        if (prompt >= end)
            status = hd__fail(err, HD_ERR_LIMIT, "the prompt leaves nothing of windows of %zu tokens", limit);
        else
            status = add_document_window(p, begin, own > prompt ? own : prompt, end, ends, &piece, err);
    }
    hd__free(ends);
    return status;
}

/* ---- all of them ---- */

hd_status hd__job_prepare(hd_job *job, const hd_text *texts, hd_plan *plan, hd_error *err)
{
    const hd_model *m = job->model;
    preparation p = {.job = job, .plan = plan};
    const size_t n = job->n_texts, n_out = (size_t)m->encoder->n_out;
    const bool asks_cache = m->engine->cache != NULL && job->heads == HD_HEAD_DENSE && plan->long_text != HD_LONG_LATE;
    hd_status status;
    hd__buffer_init(&p.joined);
    if (asks_cache && (job->cached = hd__malloc(n_out * sizeof *job->cached)) == NULL)
        HD_TRY_OUT(hd__fail(err, HD_ERR_MEMORY, "no memory for a vector of %zu values", n_out));
    HD_TRY_OUT(count_prompt(m, plan, err));
    if (plan->long_text != HD_LONG_CUT)
        HD_TRY_OUT(encode_alone(&p, hd__span_of(plan->prompt), &p.prompt, err));
    if (plan->long_text == HD_LONG_LATE && n > 0)
        HD_TRY_OUT(add_document(&p, texts, n, err));
    for (size_t i = 0; i < n && plan->long_text != HD_LONG_LATE; i++)
        HD_TRY_OUT(plan->long_text == HD_LONG_WINDOWS ? add_windowed(&p, texts, i, err) : add_text(&p, texts, i, err));
out:
    hd__buffer_clear(&p.joined);
    hd__ids_clear(&p.prompt);
    hd__ids_clear(&p.content);
    hd__ids_clear(&p.mixed);
    return status;
}
