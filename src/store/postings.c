/* postings.c - see postings.h: what the store calls. The lock is for the idle readers of words alone.
 */
#include "store/postings.h"

#include <math.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/half.h"
#include "base/limits.h"
#include "store/pending.h"
#include "store/postings_query.h"
#include "store/postings_search.h"
#include "store/sql.h"
#include "store/words.h"

enum {
    MAX_IDLE = 8,                  /* readers of words that are kept */
    MAX_PENDING = 4 * 1024 * 1024, /* postings in memory; more are flushed */
    MAX_LENGTH = UINT16_MAX,
    SPARSE_TERM = 4, /* bytes */
};
#define MAX_WEIGHT 65504.0f /* the greatest half */

struct hd_postings {
    char *language;
    hd_views *views;
    hd_pending words, sparse;
    hd_words *writer_words; /* the writer's; opened at first use */
    pthread_mutex_t lock;
    hd_words *idle[MAX_IDLE];
    size_t n_idle;
};

hd_status hd__postings_create(sqlite3 *db, const char *language, hd_error *err)
{
    hd_words *words;
    HD_TRY(hd__words_open(language, &words, err)); /* only to know that there is one */
    hd__words_close(words);
    return hd__segment_create(db, language, err);
}

static hd_status read_language(sqlite3 *db, char **language, hd_error *err)
{
    sqlite3_stmt *state;
    HD_TRY(hd__sql_prepare(db, "SELECT language FROM postings_state", &state, err));
    bool row;
    hd_status status = hd__sql_next(state, &row, err);
    if (status == HD_OK && !row)
        status = hd__sql_damaged(db, err, "the index of words has no state");
    if (status == HD_OK) {
        const hd_span text = hd__sql_span(state, 0);
        *language = hd__strndup(text.ptr, text.len);
        if (*language == NULL)
            status = hd__fail(err, HD_ERR_MEMORY, "no memory for opening the index of words");
    }
    sqlite3_finalize(state);
    return status;
}

hd_status hd__postings_open(sqlite3 *db, hd_postings **postings, hd_error *err)
{
    hd_postings *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for opening the index of words");
    pthread_mutex_init(&opened->lock, NULL);
    hd__pending_init(&opened->words, HD_SEGMENT_WORDS);
    hd__pending_init(&opened->sparse, HD_SEGMENT_SPARSE);
    hd_status status = read_language(db, &opened->language, err);
    if (status == HD_OK)
        status = hd__views_open(&opened->views, err);
    if (status != HD_OK) {
        hd__postings_close(opened);
        return status;
    }
    *postings = opened;
    return HD_OK;
}

void hd__postings_close(hd_postings *postings)
{
    if (postings == NULL)
        return;
    hd__views_close(postings->views);
    hd__pending_clear(&postings->words);
    hd__pending_clear(&postings->sparse);
    hd__words_close(postings->writer_words);
    for (size_t i = 0; i < postings->n_idle; i++)
        hd__words_close(postings->idle[i]);
    pthread_mutex_destroy(&postings->lock);
    hd__free(postings->language);
    hd__free(postings);
}

/* ---- writing ------------------------------------------------------------------------------------ */

typedef struct field {
    hd_span text;
    uint32_t weight;
} field;

/* All fields' words, one field at a time: `take` gets each with its field's weight. *length: words by their weights, cut. */
static hd_status split_fields(hd_postings *postings, const field *fields, size_t n, uint16_t *length,
                              hd_status (*take)(hd_pending *pending, hd_span term, uint32_t weight, hd_error *err),
                              hd_error *err)
{
    if (postings->writer_words == NULL)
        HD_TRY(hd__words_open(postings->language, &postings->writer_words, err));
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        const hd_word *words;
        size_t n_words;
        HD_TRY(hd__words_split(postings->writer_words, fields[i].text, &words, &n_words, err));
        for (size_t j = 0; j < n_words; j++) {
            all += words[j].is_whole ? 0 : fields[i].weight;
            if (take != NULL)
                HD_TRY(take(&postings->words, hd__words_term(postings->writer_words, &words[j]), fields[i].weight, err));
        }
    }
    *length = (uint16_t)(all < MAX_LENGTH ? all : MAX_LENGTH);
    return HD_OK;
}

hd_status hd__postings_add_text(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_span title, hd_span section,
                                hd_span text, hd_error *err)
{
    const field fields[] = {{title, HD_BM25_HEADING_WEIGHT}, {section, HD_BM25_HEADING_WEIGHT}, {text, 1}};
    if (postings->words.n_postings >= MAX_PENDING)
        HD_TRY(hd__pending_flush(&postings->words, db, err));
    HD_TRY(hd__pending_begin_chunk(&postings->words, id, err));
    uint16_t length;
    HD_TRY(split_fields(postings, fields, 3, &length, hd__pending_add, err));
    hd__pending_end_chunk(&postings->words, length);
    return HD_OK;
}

static hd_status remove_term(hd_pending *pending, hd_span term, uint32_t weight, hd_error *err)
{
    (void)weight;
    return hd__pending_remove(pending, term, err);
}

hd_status hd__postings_remove_text(hd_postings *postings, hd_span title, hd_span section, hd_span text, hd_error *err)
{
    const field fields[] = {{title, HD_BM25_HEADING_WEIGHT}, {section, HD_BM25_HEADING_WEIGHT}, {text, 1}};
    hd__pending_begin_removal(&postings->words);
    uint16_t length;
    HD_TRY(split_fields(postings, fields, 3, &length, remove_term, err));
    hd__pending_end_removal(&postings->words, length);
    return HD_OK;
}

static hd_span sparse_term(uint32_t id, char term[SPARSE_TERM])
{
    for (int i = 0; i < SPARSE_TERM; i++)
        term[i] = (char)(id >> (24 - 8 * i));
    return hd__span(term, SPARSE_TERM);
}

hd_status hd__postings_add_sparse(hd_postings *postings, sqlite3 *db, hd_chunk_id id, hd_sparse_vector weights,
                                  hd_error *err)
{
    if (postings->sparse.n_postings >= MAX_PENDING)
        HD_TRY(hd__pending_flush(&postings->sparse, db, err));
    HD_TRY(hd__pending_begin_chunk(&postings->sparse, id, err));
    for (size_t i = 0; i < weights.n; i++) {
        const float weight = weights.weights[i];
        if (i > 0 && weights.ids[i] <= weights.ids[i - 1])
            return hd__fail(err, HD_ERR_ARG, "sparse weights whose ids do not ascend: %u after %u", weights.ids[i],
                            weights.ids[i - 1]);
        if (!isfinite(weight))
            return hd__fail(err, HD_ERR_ARG, "the sparse weight of token %u is no finite number", weights.ids[i]);
        char term[SPARSE_TERM];
        const uint16_t half = weight > 0 ? hd__half_of(weight < MAX_WEIGHT ? weight : MAX_WEIGHT) : 0;
        if (half > 0)
            HD_TRY(hd__pending_add(&postings->sparse, sparse_term(weights.ids[i], term), half, err));
    }
    return HD_OK;
}

hd_status hd__postings_flush(hd_postings *postings, sqlite3 *db, hd_error *err)
{
    HD_TRY(hd__pending_flush(&postings->words, db, err));
    return hd__pending_flush(&postings->sparse, db, err);
}

void hd__postings_rollback(hd_postings *postings)
{
    hd__pending_reset(&postings->words);
    hd__pending_reset(&postings->sparse);
}

/* ---- searching ---------------------------------------------------------------------------------- */

static hd_status take_words(hd_postings *postings, hd_words **words, hd_error *err)
{
    pthread_mutex_lock(&postings->lock);
    *words = postings->n_idle > 0 ? postings->idle[--postings->n_idle] : NULL;
    pthread_mutex_unlock(&postings->lock);
    return *words != NULL ? HD_OK : hd__words_open(postings->language, words, err);
}

static void give_words(hd_postings *postings, hd_words *words)
{
    if (words == NULL)
        return;
    pthread_mutex_lock(&postings->lock);
    const bool kept = postings->n_idle < MAX_IDLE;
    if (kept)
        postings->idle[postings->n_idle++] = words;
    pthread_mutex_unlock(&postings->lock);
    if (!kept)
        hd__words_close(words);
}

hd_status hd__postings_bm25(hd_postings *postings, sqlite3 *db, hd_span query, size_t k, const hd_bitmap *allowed,
                            hd_ranked *out, size_t *n, hd_error *err)
{
    hd_words *words = NULL;
    hd_query parsed = {0};
    hd_view_reader reader = {0};
    hd_status status = HD_OK;
    HD_TRY_OUT(take_words(postings, &words, err));
    HD_TRY_OUT(hd__query_parse(query, words, &parsed, err));
    HD_TRY_OUT(hd__view_begin(&reader, postings->views, db, err));
    HD_TRY_OUT(hd__postings_rank(&reader, HD_SEGMENT_WORDS, parsed.terms, parsed.n_terms, k, allowed, out, n, err));
out:
    hd__view_end(&reader);
    hd__query_clear(&parsed);
    give_words(postings, words);
    return status;
}

hd_status hd__postings_sparse(hd_postings *postings, sqlite3 *db, hd_sparse_vector query, size_t k, const hd_bitmap *allowed,
                              hd_ranked *out, size_t *n, hd_error *err)
{
    hd_search_term *terms = NULL;
    char *texts = NULL;
    hd_view_reader reader = {0};
    hd_status status = HD_OK;
    const size_t max = query.n < HD_LIMIT_QUERY_TERMS ? query.n : HD_LIMIT_QUERY_TERMS;
    terms = hd__malloc((max + 1) * sizeof *terms);
    texts = hd__malloc((max + 1) * SPARSE_TERM);
    if (terms == NULL || texts == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a query of %zu weights", query.n);
        goto out;
    }
    size_t n_terms = 0;
    for (size_t i = 0; i < query.n && n_terms < max; i++) {
        if (!(query.weights[i] > 0) || !isfinite(query.weights[i]))
            continue;
        const hd_span text = sparse_term(query.ids[i], texts + n_terms * SPARSE_TERM);
        terms[n_terms++] = (hd_search_term){text, query.weights[i]};
    }
    HD_TRY_OUT(hd__view_begin(&reader, postings->views, db, err));
    HD_TRY_OUT(hd__postings_rank(&reader, HD_SEGMENT_SPARSE, terms, n_terms, k, allowed, out, n, err));
out:
    hd__view_end(&reader);
    hd__free(terms);
    hd__free(texts);
    return status;
}

static hd_status find_idf(hd_view_reader *reader, hd_span text, float *idf, hd_error *err)
{
    const hd_view *view = reader->view;
    uint64_t n_postings = 0, n_removed = 0;
    for (size_t i = 0; i < view->n_segments[HD_SEGMENT_WORDS]; i++) {
        hd_term term;
        HD_TRY(hd__view_term(reader, &view->segments[HD_SEGMENT_WORDS][i], text, &term, err));
        n_postings += term.n_postings;
        n_removed += term.n_removed;
    }
    *idf = hd__bm25_idf(view->n_counted, n_postings > n_removed ? n_postings - n_removed : 0);
    return HD_OK;
}

hd_status hd__postings_matches(hd_postings *postings, sqlite3 *db, hd_span query, hd_span text, hd_match *matches,
                               size_t max, size_t *n, hd_error *err)
{
    hd_words *words = NULL;
    hd_query parsed = {0};
    hd_view_reader reader = {0};
    float *idf = NULL;
    hd_status status = HD_OK;
    *n = 0;
    HD_TRY_OUT(take_words(postings, &words, err));
    HD_TRY_OUT(hd__query_parse(query, words, &parsed, err));
    HD_TRY_OUT(hd__view_begin(&reader, postings->views, db, err));
    idf = hd__malloc((parsed.n_terms + 1) * sizeof *idf);
    if (idf == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a query of %zu words", parsed.n_terms);
        goto out;
    }
    for (size_t i = 0; i < parsed.n_terms; i++)
        HD_TRY_OUT(find_idf(&reader, parsed.terms[i].text, &idf[i], err));
    const hd_word *list;
    size_t n_list;
    HD_TRY_OUT(hd__words_split(words, text, &list, &n_list, err));
    for (size_t i = 0; i < n_list && *n < max; i++) {
        size_t term;
        if (hd__query_find(&parsed, hd__words_term(words, &list[i]), &term))
            matches[(*n)++] = (hd_match){list[i].begin, list[i].end, idf[term], (uint32_t)term};
    }
out:
    hd__free(idf);
    hd__view_end(&reader);
    hd__query_clear(&parsed);
    give_words(postings, words);
    return status;
}

/* ---- quotes ------------------------------------------------------------------------------------- */

bool hd__postings_has_quotes(hd_span query)
{
    return hd__query_has_quotes(query);
}

/* Takes from `chunks` those that have the term, or those that have not. */
static hd_status narrow_by(hd_view_reader *reader, hd_span text, bool keep, hd_bitmap *chunks, uint64_t *found,
                           hd_error *err)
{
    const hd_view *view = reader->view;
    memset(found, 0, ((size_t)chunks->n + 63) / 64 * sizeof *found);
    for (size_t i = 0; i < view->n_segments[HD_SEGMENT_WORDS]; i++)
        HD_TRY(hd__view_chunks(reader, &view->segments[HD_SEGMENT_WORDS][i], text, chunks->n, found, err));
    chunks->n_set = 0;
    for (size_t i = 0; i < ((size_t)chunks->n + 63) / 64; i++) {
        chunks->words[i] &= keep ? found[i] : ~found[i];
        chunks->n_set += (uint32_t)__builtin_popcountll(chunks->words[i]);
    }
    return HD_OK;
}

hd_status hd__postings_narrow(hd_postings *postings, sqlite3 *db, hd_span query, hd_bitmap *chunks, hd_error *err)
{
    hd_words *words = NULL;
    hd_query parsed = {0};
    hd_view_reader reader = {0};
    uint64_t *found = NULL;
    hd_status status = HD_OK;
    HD_TRY_OUT(take_words(postings, &words, err));
    HD_TRY_OUT(hd__query_parse(query, words, &parsed, err));
    HD_TRY_OUT(hd__view_begin(&reader, postings->views, db, err));
    found = hd__malloc(((size_t)chunks->n + 64) / 64 * sizeof *found);
    if (found == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a set of %u chunks", chunks->n);
        goto out;
    }
    for (size_t i = 0; i < parsed.n_quotes; i++) {
        const hd_query_quote *quote = &parsed.quotes[i];
        if (quote->is_excluded && quote->n != 1)
            continue; /* a chunk may have all of its words and not the quote */
        for (size_t j = 0; j < quote->n; j++)
            HD_TRY_OUT(narrow_by(&reader, parsed.quoted[quote->first + j], !quote->is_excluded, chunks, found, err));
    }
out:
    hd__free(found);
    hd__view_end(&reader);
    hd__query_clear(&parsed);
    give_words(postings, words);
    return status;
}

hd_status hd__postings_admits(hd_postings *postings, hd_span query, const hd_span *texts, size_t n_texts, bool *admits,
                              hd_error *err)
{
    hd_words *words = NULL;
    hd_query parsed = {0};
    hd_status status = HD_OK;
    *admits = true;
    HD_TRY_OUT(take_words(postings, &words, err));
    HD_TRY_OUT(hd__query_parse(query, words, &parsed, err));
    HD_TRY_OUT(hd__query_admits(&parsed, words, texts, n_texts, admits, err));
out:
    hd__query_clear(&parsed);
    give_words(postings, words);
    return status;
}

/* ---- about -------------------------------------------------------------------------------------- */

hd_status hd__postings_get_stats(hd_postings *postings, sqlite3 *db, hd_postings_stats *stats, hd_error *err)
{
    hd_view_reader reader = {0};
    *stats = (hd_postings_stats){.memory_bytes = hd__views_bytes(postings->views)};
    hd_status status = hd__view_begin(&reader, postings->views, db, err);
    for (int kind = 0; status == HD_OK && kind < HD_N_SEGMENT_KINDS; kind++) {
        for (size_t i = 0; i < reader.view->n_segments[kind]; i++) {
            const hd_segment *segment = &reader.view->segments[kind][i];
            stats->n_segments++;
            stats->n_terms += kind == HD_SEGMENT_WORDS ? segment->n_terms : 0;
            for (int stream = 0; stream < HD_N_STREAMS; stream++)
                stats->disk_bytes += segment->stream_bytes[stream];
        }
    }
    hd__view_end(&reader);
    return status;
}

hd_status hd__postings_check(sqlite3 *db, uint32_t n_chunks, void (*found)(const char *what, void *data), void *data,
                             hd_error *err)
{
    HD_TRY(hd__segment_check(db, HD_SEGMENT_WORDS, n_chunks, found, data, err));
    return hd__segment_check(db, HD_SEGMENT_SPARSE, n_chunks, found, data, err);
}

hd_status hd__postings_compact(sqlite3 *from, sqlite3 *to, const hd_bitmap *live, hd_error *err)
{
    HD_TRY(hd__segment_compact(from, to, HD_SEGMENT_WORDS, live, err));
    return hd__segment_compact(from, to, HD_SEGMENT_SPARSE, live, err);
}
