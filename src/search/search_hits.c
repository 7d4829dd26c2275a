/* search_hits.c - what is shown of a search: rows, snippets, facets (searcher.h). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "search/ranking.h"
#include "search/searcher.h"
#include "search/snippet.h"

#define MAX_MATCHES 256u    /* of the query's words in one text that are looked at */
#define TELLING_SHARE 0.25f /* of the weight of the query's rarest word in the texts */
#define MAX_SENTENCES 32u   /* embedded for one search: a small batch */
#define SENTENCES_EACH 8u
#define FACET_VALUES 100u

static hd_status no_memory(size_t n, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu hits", n);
}

const char *hd__search_chunk_id(const char *document_id, const hd_chunk_row *chunk, hd_arena *arena)
{
    return chunk->key[0] != '\0' ? chunk->key : hd__arena_printf(arena, "%s#%u", document_id, chunk->ordinal);
}

hd_status hd__search_read_rows(hd_searching *s, size_t begin, size_t end, hd_error *err)
{
    const size_t most = end - begin;
    hd_chunk_id *ids = hd__arena_alloc(s->arena, (most + 1) * sizeof *ids);
    hd_chunk_found *found = hd__arena_calloc(s->arena, most + 1, sizeof *found);
    size_t n = 0;
    if (ids == NULL || found == NULL)
        return no_memory(most, err);
    for (size_t i = begin; i < end; i++)
        if (s->candidates[i].found == NULL)
            ids[n++] = s->candidates[i].id;
    if (n == 0)
        return HD_OK;
    HD_TRY(hd__chunk_get(s->snapshot, ids, n, s->arena, found, err));
    for (size_t i = begin, at = 0; i < end; i++) {
        if (s->candidates[i].found != NULL)
            continue;
        if (found[at].document == NULL)
            return hd__fail(err, HD_ERR_FORMAT, "%s: the file is damaged: chunk %u has no row: 'heddle db check' says more",
                            hd__store_path(s->index->store), s->candidates[i].id);
        s->candidates[i].found = &found[at++];
    }
    return HD_OK;
}

/* ---- snippets ---- */

/* A hit on its way. */
typedef struct shown {
    const hd_candidate *candidate;
    hd_match *matches; /* [n] */
    size_t n;
    hd_span32 focus;
} shown;

/* The query's words in each text. Words that are nearly everywhere ("the") tell nothing beside those that are not: they are
 * left out. */
static hd_status find_matches(hd_searching *s, shown *all, size_t n, hd_error *err)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        all[i].matches = hd__arena_alloc(s->arena, MAX_MATCHES * sizeof *all[i].matches);
        if (all[i].matches == NULL)
            return no_memory(n, err);
        HD_TRY(hd__search_keep_going(s, err));
        HD_TRY(hd__leg_matches(s->snapshot, s->query, all[i].candidate->found->chunk.text, all[i].matches, MAX_MATCHES,
                               &all[i].n, err));
        for (size_t k = 0; k < all[i].n; k++)
            most = fmaxf(most, all[i].matches[k].weight);
    }
    for (size_t i = 0; i < n; i++) {
        size_t n_kept = 0;
        for (size_t k = 0; k < all[i].n; k++)
            if (all[i].matches[k].weight >= TELLING_SHARE * most)
                all[i].matches[n_kept++] = all[i].matches[k];
        all[i].n = n_kept;
    }
    return HD_OK;
}

typedef struct sentence {
    shown *of;
    hd_span32 span;
} sentence;

/* Sentences of long texts that have none of the query's words: of the first hits, as many as one small batch holds. */
static size_t collect_sentences(const hd_searching *s, shown *all, size_t n, sentence sentences[MAX_SENTENCES],
                                hd_text texts[MAX_SENTENCES])
{
    size_t n_sentences = 0;
    for (size_t i = 0; i < n && n_sentences + SENTENCES_EACH <= MAX_SENTENCES; i++) {
        const hd_span text = all[i].candidate->found->chunk.text;
        hd_span32 spans[SENTENCES_EACH];
        if (all[i].n > 0 || text.len <= s->wanted.snippet_bytes)
            continue;
        const size_t n_spans = hd__snippet_sentences(text, spans, SENTENCES_EACH);
        for (size_t k = 0; k < n_spans; k++) {
            sentences[n_sentences] = (sentence){&all[i], spans[k]};
            texts[n_sentences++] = (hd_text){text.ptr + spans[k].begin, spans[k].end - spans[k].begin};
        }
    }
    return n_sentences;
}

/* The sentence of each such text that comes closest to the query; when the model fails, the text's beginning has to do. */
static void find_focus(hd_searching *s, shown *all, size_t n)
{
    sentence sentences[MAX_SENTENCES];
    hd_text texts[MAX_SENTENCES];
    const uint64_t start = hd__now_ns();
    const hd_embedder *embedder = s->index->embedder;
    hd_embedded *embedded;
    const hd_chunk_vectors *vectors;
    uint64_t n_tokens;
    const size_t n_sentences = collect_sentences(s, all, n, sentences, texts);
    if (n_sentences == 0 || embedder->start(embedder->data, texts, n_sentences, &embedded, NULL) != HD_OK)
        return;
    float best = -INFINITY;
    if (embedder->wait(embedded, &vectors, &n_tokens, NULL) == HD_OK) {
        for (size_t i = 0; i < n_sentences; i++) {
            const float cosine = hd_cosine(vectors[i].dense, s->vectors.dense, s->identity->n_dimensions);
            if (i > 0 && sentences[i].of == sentences[i - 1].of && cosine <= best)
                continue;
            best = cosine;
            sentences[i].of->focus = sentences[i].span;
        }
    }
    embedder->free(embedded);
    s->results->embed_ms += hd__seconds_since(start) * 1e3;
}

static hd_status make_snippet(hd_searching *s, const shown *hit_shown, hd_hit *hit, hd_error *err)
{
    hd_snippet snippet;
    HD_TRY(hd__snippet_make(hit_shown->candidate->found->chunk.text, hit_shown->matches, hit_shown->n, hit_shown->focus,
                            s->wanted.snippet_bytes, s->arena, &snippet, err));
    hit->snippet = snippet.text;
    hit->highlights = snippet.highlights;
    hit->n_highlights = snippet.n_highlights;
    return HD_OK;
}

/* ---- hits ---- */

static hd_status make_hit(hd_searching *s, const shown *hit_shown, hd_hit *hit, hd_error *err)
{
    const hd_candidate *c = hit_shown->candidate;
    const hd_document_row *document = c->found->document;
    const hd_chunk_row *chunk = &c->found->chunk;
    *hit = (hd_hit){.document_id = document->id,
                    .chunk_id = hd__search_chunk_id(document->id, chunk, s->arena),
                    .ordinal = chunk->ordinal,
                    .source = document->source,
                    .path = document->path,
                    .url = document->url,
                    .author = document->author,
                    .mime = document->mime,
                    .title = document->title,
                    .section = chunk->section,
                    .text = hd__arena_strndup(s->arena, chunk->text.ptr, chunk->text.len),
                    .metadata = document->metadata,
                    .created_at = document->created_at,
                    .span = {chunk->begin, chunk->end},
                    .line = chunk->line,
                    .page = chunk->page,
                    .score = c->score,
                    .fused = c->fused,
                    .fused_rank = c->fused_rank};
    memcpy(hit->scores, c->scores, sizeof hit->scores);
    memcpy(hit->ranks, c->ranks, sizeof hit->ranks);
    if (hit->chunk_id == NULL || hit->text == NULL)
        return no_memory(1, err);
    return make_snippet(s, hit_shown, hit, err);
}

hd_status hd__search_make_hits(hd_searching *s, size_t first, size_t n, hd_error *err)
{
    hd_hit *hits = hd__arena_calloc(s->arena, n + 1, sizeof *hits);
    uint32_t *order = hd__arena_calloc(s->arena, n + 1, sizeof *order);
    shown *all = hd__arena_calloc(s->arena, n + 1, sizeof *all);
    if (hits == NULL || order == NULL || all == NULL)
        return no_memory(n, err);
    HD_TRY(hd__search_read_rows(s, first, first + n, err));
    for (size_t i = 0; i < n; i++)
        all[i].candidate = &s->candidates[first + i];
    HD_TRY(find_matches(s, all, n, err));
    if (s->wanted.snippets_by_meaning && s->vectors.dense != NULL)
        find_focus(s, all, n);
    if (s->wanted.order == HD_ORDER_SANDWICH)
        hd__ranking_sandwich(order, n);
    for (size_t i = 0; i < n; i++) {
        const size_t place = s->wanted.order == HD_ORDER_SANDWICH ? order[i] : i;
        HD_TRY(hd__search_keep_going(s, err));
        HD_TRY(make_hit(s, &all[place], &hits[i], err));
    }
    s->results->hits = hits;
    s->results->n = n;
    return HD_OK;
}

hd_status hd__search_make_facets(hd_searching *s, hd_error *err)
{
    hd_facet *facets = hd__arena_calloc(s->arena, s->wanted.n_facets + 1, sizeof *facets);
    if (facets == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu facets", s->wanted.n_facets);
    for (size_t i = 0; i < s->wanted.n_facets; i++) {
        const char *field = s->wanted.facets[i];
        hd_value_count *counts;
        size_t n;
        HD_TRY(hd__search_keep_going(s, err));
        HD_TRY(hd__filter_facet(s->snapshot, field, s->filter, FACET_VALUES, s->arena, &counts, &n, err));
        hd_facet_value *values = hd__arena_calloc(s->arena, n + 1, sizeof *values);
        facets[i] = (hd_facet){.field = hd__arena_strndup(s->arena, field, strlen(field)), .values = values, .n = n};
        if (values == NULL || facets[i].field == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a facet of %zu values", n);
        for (size_t k = 0; k < n; k++)
            values[k] = (hd_facet_value){counts[k].value, counts[k].n};
    }
    s->results->facets = facets;
    s->results->n_facets = s->wanted.n_facets;
    return HD_OK;
}
