/* vectors_search.c - the nearest chunks to a query: which way to look for candidates, and their scores. See vectors.h.
 *
 * Candidates are chosen by codes: by a scan of all rows that are allowed where that costs less, else by a walk through the
 * graph, whose list is so long that enough of its entries are allowed. Those are the nearest ones then, whatever is allowed;
 * a list with too few of them is no answer, and the allowed rows are scanned after all. What lies beyond the graph is
 * scanned. The best candidates, more than twice as many as asked for, are scored by their halves.
 */
#include "store/vectors_state.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

#define CANDIDATES_EACH 2u /* for each result that is wanted, and some more */
#define CANDIDATES_MORE 12u
#define ERROR_DEVIATIONS 5.0f
#define BEAM_MORE 1.25f        /* of allowed entries beside the candidates */
#define BEAM_OF_MILLION 320.0f /* docs/SPEED.md has the measurements */
#define BEAM_GROWTH 0.36f
#define BEAM_LEAST 64.0f
#define COLD_WALKS 2u /* before the rest is brought to memory */

typedef struct search {
    hd_vectors *vectors;
    hd_block_io io;
    hd_vector_state seen;
    uint32_t n_rows; /* of the snapshot, and in the bitmap */
    const hd_bitmap *allowed;
    hd_query_codes query;
    hd_walk *walk;
    hd_top candidates;
} search;

hd_status hd__halves_get(hd_block_io *io, uint32_t n_dimensions, uint32_t id, const uint16_t **halves, hd_error *err)
{
    const uint32_t in_block = hd__halves_in_block(n_dimensions), block = id / in_block;
    const size_t each = n_dimensions * sizeof **halves;
    if (io->halves_number != block + 1ull) {
        io->halves_number = 0;
        HD_TRY(hd__block_get(io, HD_BLOCK_HALVES, block, &io->halves, err));
        io->halves_number = block + 1ull;
    }
    if (io->halves.len < (id % in_block + 1) * each)
        return hd__block_fail(io, HD_BLOCK_HALVES, block, "its length is wrong", err);
    *halves = (const uint16_t *)(const void *)(io->halves.ptr + id % in_block * each);
    return HD_OK;
}

hd_status hd__vectors_get(hd_vectors *v, hd_connection *connection, const hd_chunk_id *ids, size_t n, float *rows,
                          hd_error *err)
{
    hd_block_io io = {.db = connection->db, .connection = connection};
    hd_vector_state seen;
    hd_status status;
    HD_TRY_OUT(hd__vectors_see(v, &io, &seen, err));
    for (size_t i = 0; i < n; i++) {
        const uint16_t *halves;
        float *row = rows + i * v->n_dimensions;
        memset(row, 0, v->n_dimensions * sizeof *row);
        if (ids[i] >= seen.n)
            continue;
        HD_TRY_OUT(hd__halves_get(&io, v->n_dimensions, ids[i], &halves, err));
        hd__halves_widen(halves, v->n_dimensions, row);
    }
out:
    hd__block_io_clear(&io);
    return status;
}

/* Rows [first, end) that are allowed. */
static hd_status scan(search *s, uint32_t first, uint32_t end, hd_error *err)
{
    hd_codes *codes = s->vectors->codes;
    end = end < s->n_rows ? end : s->n_rows;
    for (uint32_t at = first & ~63u; at < end && !hd__codes_complete(codes); at += HD_CODE_BLOCK) {
        const uint32_t last = end - at > HD_CODE_BLOCK ? at + HD_CODE_BLOCK - 1 : end - 1;
        if (s->allowed->words[at / 64] != 0)
            HD_TRY(hd__codes_need(codes, &s->io, last, s->seen.n, err));
    }
    return hd__scan(s->vectors->scanner, codes, &s->query, first, end, s->allowed, &s->candidates, err);
}
static_assert(HD_CODE_BLOCK == 64, "a block of codes is a word of the bitmap");

/* Entries of a walk's list: so many that those of them that are allowed are the candidates, and no fewer than what finds 98
 * of 100 of the nearest rows, which grows slowly with their number. */
static uint32_t beam_of(const search *s)
{
    const float n = (float)s->seen.n_graph, share = (float)s->allowed->n_set / (float)s->n_rows;
    const float least = BEAM_OF_MILLION * powf(n * 1e-6f, BEAM_GROWTH), all = BEAM_MORE * (float)s->candidates.k / share;
    const uint32_t asked = s->vectors->tuning.beam;
    float beam = asked > 0 ? (float)asked : least > BEAM_LEAST ? least : BEAM_LEAST;
    beam = beam > all ? beam : all;
    return beam < n ? (uint32_t)beam : s->seen.n_graph;
}

static bool is_complete(const hd_vectors *v, const hd_graph *graph)
{
    return hd__codes_complete(v->codes) && atomic_load_explicit(&graph->n_missing, memory_order_acquire) == 0;
}

/* What a walk finds; *enough false when that is too little, and nothing is added then. */
static hd_status walk(search *s, hd_graph *graph, uint32_t beam, size_t k, bool *enough, hd_error *err)
{
    hd_walk_task task = {.graph = graph, .codes = s->vectors->codes, .n_rows = s->seen.n, .query = &s->query};
    if (!is_complete(s->vectors, graph)) {
        task.io = &s->io;
        atomic_fetch_add_explicit(&s->vectors->n_cold_walks, 1, memory_order_relaxed);
    }
    HD_TRY(hd__walk_reserve(s->walk, s->vectors->codes, graph->n, beam, err));
    HD_TRY(hd__walk(s->walk, &task, beam, err));
    for (uint32_t i = 0; i < s->walk->n_beam; i++) {
        const uint64_t entry = s->walk->beam[i];
        if (hd__bitmap_has(s->allowed, hd__walk_slot(entry)) && hd__walk_slot(entry) < s->n_rows)
            hd__top_add(&s->candidates, hd__walk_score(entry), hd__walk_slot(entry));
    }
    *enough = s->candidates.n >= k;
    if (!*enough)
        hd__top_init(&s->candidates, s->candidates.keys, s->candidates.k);
    return HD_OK;
}

static hd_status find_candidates(search *s, size_t k, bool exact, hd_error *err)
{
    const uint32_t beam = beam_of(s);
    const bool walks = !exact && s->seen.n_graph > 0 && s->allowed->n_set / s->vectors->tuning.scan_for_beam > beam;
    hd_graph *graph = walks ? hd__vectors_hold(s->vectors, &s->seen) : NULL;
    if (graph == NULL)
        return scan(s, 0, s->n_rows, err);
    bool enough;
    hd_status status = walk(s, graph, beam, k, &enough, err);
    if (status == HD_OK)
        status = scan(s, enough ? graph->n : 0, s->n_rows, err);
    hd__vectors_let_go(s->vectors, graph);
    return status;
}

/* How far a candidate's score by codes may be from that by halves. Roundings of a vector's values are even in a step of its
 * scale, so that those of a product with a vector of length 1 have a deviation of scale / sqrt(12); both sides are rounded,
 * and ERROR_DEVIATIONS of these are met once in a million. */
static float most_error(const search *s, uint32_t id)
{
    const float row = hd__codes_scale(s->vectors->codes, id), query = s->query.scale;
    return ERROR_DEVIATIONS * sqrtf((row * row + query * query) / 12.0f);
}

/* Scores of candidates by their halves, and the best k of them. Those that no error of the codes can bring among these are
 * passed by, where vectors have length 1. */
static hd_status score_candidates(search *s, const float *query, hd_top *best, hd_error *err)
{
    const hd_top *candidates = &s->candidates;
    for (size_t i = 0; i < candidates->n; i++) {
        const uint32_t id = hd__top_id(candidates->keys[i]);
        const float by_codes = hd__top_score(candidates->keys[i]) * s->query.scale;
        const uint16_t *halves;
        if (s->vectors->unit && best->n == best->k && by_codes + most_error(s, id) < best->worst)
            continue;
        HD_TRY(hd__halves_get(&s->io, s->vectors->n_dimensions, id, &halves, err));
        const float score = s->vectors->half_dot(query, halves, s->vectors->n_dimensions);
        if (isnan(score))
            return hd__sql_damaged(s->io.db, err, "the vector of chunk %u has a value that is no number", id);
        hd__top_add(best, score, id);
    }
    hd__top_sort(best);
    return HD_OK;
}

/* The query as it is compared, to scaled[n_dimensions]. */
static hd_status scale_query(const hd_vectors *v, const float *query, float *scaled, hd_error *err)
{
    float scale;
    if (!hd__vectors_scale(v, query, &scale))
        return hd__fail(err, HD_ERR_ARG, "the query's vector has a value that is no number");
    for (uint32_t j = 0; j < v->n_dimensions; j++)
        scaled[j] = query[j] * scale;
    return HD_OK;
}

hd_status hd__vectors_search(hd_vectors *v, hd_connection *connection, const float *query, size_t k,
                             const hd_bitmap *allowed, bool exact, hd_ranked *out, size_t *n, hd_error *err)
{
    *n = 0;
    k = k < allowed->n_set ? k : allowed->n_set;
    if (k == 0)
        return HD_OK;
    search s = {.vectors = v, .io = {.db = connection->db, .connection = connection}, .allowed = allowed};
    const size_t n_candidates = k * CANDIDATES_EACH + CANDIDATES_MORE;
    uint64_t *keys = hd__malloc(hd__mul(n_candidates + k, sizeof *keys));
    float *scaled = hd__malloc(v->n_dimensions * sizeof *scaled);
    hd_top best;
    hd_status status = HD_OK;
    if (keys == NULL || scaled == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", n_candidates);
        goto out;
    }
    hd__top_init(&s.candidates, keys, n_candidates);
    HD_TRY_OUT(scale_query(v, query, scaled, err));
    HD_TRY_OUT(hd__vectors_see(v, &s.io, &s.seen, err));
    s.n_rows = s.seen.n < allowed->n ? s.seen.n : allowed->n;
    HD_TRY_OUT(hd__vectors_walk_take(v, 1, &s.walk, err));
    hd__codes_query(v->codes, scaled, s.walk->query_bytes, &s.query);
    HD_TRY_OUT(find_candidates(&s, k, exact, err));
    hd__top_sort(&s.candidates);
    hd__top_init(&best, keys + n_candidates, k);
    HD_TRY_OUT(score_candidates(&s, scaled, &best, err));
    for (; *n < best.n; ++*n)
        out[*n] = (hd_ranked){hd__top_id(best.keys[*n]), hd__top_score(best.keys[*n])};
out:
    if (s.walk != NULL)
        hd__vectors_walk_give(v, s.walk);
    hd__block_io_clear(&s.io);
    hd__free(keys);
    hd__free(scaled);
    return status;
}

bool hd__vectors_is_cold(const hd_vectors *v)
{
    return atomic_load_explicit(&v->n_cold_walks, memory_order_relaxed) >= COLD_WALKS;
}

hd_status hd__vectors_warm(hd_vectors *v, hd_connection *connection, const atomic_bool *stop, hd_error *err)
{
    hd_block_io io = {.db = connection->db, .connection = connection};
    hd_vector_state seen;
    hd_status status = hd__vectors_see(v, &io, &seen, err);
    if (status == HD_OK) {
        hd_graph *graph = hd__vectors_hold(v, &seen);
        status = hd__vectors_load(v, &io, graph, seen.n, stop, err);
        if (graph != NULL)
            hd__vectors_let_go(v, graph);
    }
    atomic_store_explicit(&v->n_cold_walks, 0, memory_order_relaxed);
    hd__block_io_clear(&io);
    return status;
}
