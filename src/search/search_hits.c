/* search_hits.c - what is shown of a search: rows, snippets, facets (searcher.h). */
#include <math.h>
#include <string.h>

#include "search/ranking.h"
#include "search/searcher.h"
#include "search/snippet.h"

#define MAX_MATCHES 256u    /* of the query's words in one text that are looked at */
#define TELLING_SHARE 0.25f /* of the weight of the query's rarest word in a text */
#define FACET_VALUES 100u

static hd_status no_memory(size_t n, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu hits", n);
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

/* Words that are nearly everywhere ("the") tell nothing beside those that are not. */
static size_t keep_telling(hd_match *matches, size_t n)
{
    float most = 0;
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, matches[i].weight);
    for (size_t i = 0; i < n; i++)
        if (matches[i].weight >= TELLING_SHARE * most)
            matches[n_kept++] = matches[i];
    return n_kept;
}

static hd_status make_snippet(hd_searching *s, const hd_candidate *c, hd_hit *hit, hd_error *err)
{
    hd_match matches[MAX_MATCHES];
    hd_snippet snippet;
    size_t n = 0;
    HD_TRY(hd__leg_matches(s->snapshot, s->query, c->found->chunk.text, matches, MAX_MATCHES, &n, err));
    n = keep_telling(matches, n);
    HD_TRY(hd__snippet_make(c->found->chunk.text, matches, n, (hd_span32){0, 0}, s->wanted.snippet_bytes, s->arena, &snippet,
                            err));
    hit->snippet = snippet.text;
    hit->highlights = snippet.highlights;
    hit->n_highlights = snippet.n_highlights;
    return HD_OK;
}

static hd_status make_hit(hd_searching *s, const hd_candidate *c, hd_hit *hit, hd_error *err)
{
    const hd_document_row *document = c->found->document;
    const hd_chunk_row *chunk = &c->found->chunk;
    *hit = (hd_hit){.document_id = document->id,
                    .chunk_id = chunk->key[0] != '\0' ? chunk->key
                                                      : hd__arena_printf(s->arena, "%s#%u", document->id, chunk->ordinal),
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
    return make_snippet(s, c, hit, err);
}

hd_status hd__search_make_hits(hd_searching *s, size_t first, size_t n, hd_error *err)
{
    hd_hit *hits = hd__arena_calloc(s->arena, n + 1, sizeof *hits);
    uint32_t *order = hd__arena_calloc(s->arena, n + 1, sizeof *order);
    if (hits == NULL || order == NULL)
        return no_memory(n, err);
    HD_TRY(hd__search_read_rows(s, first, first + n, err));
    if (s->wanted.order == HD_ORDER_SANDWICH)
        hd__ranking_sandwich(order, n);
    for (size_t i = 0; i < n; i++) {
        const size_t place = s->wanted.order == HD_ORDER_SANDWICH ? order[i] : i;
        HD_TRY(make_hit(s, &s->candidates[first + place], &hits[i], err));
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
