/* late.c - late interaction as ColBERT has it (Khattab and Zaharia 2020): queries and documents begin with a token that says
 * which they are; queries are filled up with mask tokens, which the model makes more of the query of; punctuation in
 * documents gives no vectors. The names of the tokens are in model/late_config.h.
 *
 * A query is what has the prompt "query", and the query of a rerank; everything else is a document.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/engine_int.h"

static hd_status find_prefix(const hd_model *m, const char *text, int32_t *id, hd_error *err)
{
    *id = text[0] != '\0' ? hd__tokenizer_id(m->tokenizer, text) : -1;
    return *id >= 0 || text[0] == '\0'
               ? HD_OK
               : hd__fail(err, HD_ERR_FORMAT, "%s: the prefix \"%s\" is no token of the vocabulary", m->name, text);
}

static int compare_ids(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

hd_status hd__late_find_ids(hd_model *m, hd_error *err)
{
    const hd_late_settings *late = m->settings.late;
    if (late == NULL)
        return HD_OK;
    HD_TRY(find_prefix(m, late->document_prefix, &m->late.document_prefix, err));
    HD_TRY(find_prefix(m, late->query_prefix, &m->late.query_prefix, err));
    m->late.expansion = hd__tokenizer_id(m->tokenizer, late->expansion);
    if (late->expanded_length > 0 && m->late.expansion < 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\", which queries are filled up with, is no token of the vocabulary",
                        m->name, late->expansion);
    if (m->late.skipped == NULL)
        m->late.skipped = hd__arena_calloc(&m->arena, late->n_skipped + 1, sizeof *m->late.skipped);
    if (m->late.skipped == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", m->name);
    for (uint32_t i = 0; i < late->n_skipped; i++) {
        const int32_t id = hd__tokenizer_id(m->tokenizer, late->skipped[i]);
        m->late.skipped[i] = id >= 0 || !late->skips_unknown ? id : hd__tokenizer_unknown_id(m->tokenizer);
    }
    qsort(m->late.skipped, late->n_skipped, sizeof *m->late.skipped, compare_ids);
    return HD_OK;
}

/* Of a query or a document, prefix included. */
static uint32_t most_tokens(const hd_late_settings *late, bool is_query, uint32_t max_length)
{
    const uint32_t most = is_query ? late->query_length : late->document_length;
    return max_length < most ? max_length : most;
}

static int32_t prefix_of(const hd_model *m, bool is_query)
{
    return is_query ? m->late.query_prefix : m->late.document_prefix;
}

uint32_t hd__late_limit(const hd_model *m, bool is_query, uint32_t max_length)
{
    if (m->settings.late == NULL)
        return max_length;
    const uint32_t most = most_tokens(m->settings.late, is_query, max_length);
    return prefix_of(m, is_query) >= 0 && most > 1 ? most - 1 : most;
}

hd_status hd__late_frame(hd_job *job, size_t first, bool is_query, uint32_t max_length, hd_sequence *s, hd_error *err)
{
    const hd_model *m = job->model;
    const hd_late_settings *late = m->settings.late;
    const int32_t prefix = prefix_of(m, is_query);
    hd_ids *ids = &job->ids;
    s->is_query = is_query;
    if (prefix >= 0) {
        const size_t at = ids->n > first ? first + 1 : first; /* behind the first special token */
        HD_TRY(hd__ids_append(ids, &prefix, 1, err));
        memmove(ids->ids + at + 1, ids->ids + at, (ids->n - 1 - at) * sizeof *ids->ids);
        ids->ids[at] = prefix;
    }
    const size_t n = ids->n - first, most = late->expanded_length < max_length ? late->expanded_length : max_length;
    const size_t wanted = is_query ? most : 0;
    for (size_t i = n; i < wanted; i++)
        HD_TRY(hd__ids_append(ids, &m->late.expansion, 1, err));
    if (n < wanted && !late->attends)
        s->n_seen = (int32_t)n;
    return HD_OK;
}

bool hd__late_keeps(const hd_job *job, const hd_sequence *s, size_t i)
{
    const hd_model *m = job->model;
    if (m->settings.late == NULL)
        return i > 0 || !m->encoder->skip_first_token;
    return s->is_query || bsearch(&job->ids.ids[s->ids_at + i], m->late.skipped, m->settings.late->n_skipped,
                                  sizeof *m->late.skipped, compare_ids) == NULL;
}
