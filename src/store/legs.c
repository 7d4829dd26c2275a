/* legs.c - see legs.h: hands a snapshot's connection, its live chunks and what the store holds in memory to those who
 * search.
 */
#include "store/legs.h"

#include <math.h>

#include "kernel/kernels.h"
#include "store/store_int.h"
#include "store/token_vectors.h"
#include "store/trigram.h"

static const hd_bitmap *allowed_in(hd_snapshot *snapshot, const hd_bitmap *allowed)
{
    return allowed != NULL ? allowed : &snapshot->live->chunks;
}

hd_status hd__leg_bm25(hd_snapshot *snapshot, hd_span query, size_t k, const hd_bitmap *allowed, hd_ranked *out, size_t *n,
                       hd_error *err)
{
    return hd__postings_bm25(snapshot->layout->postings, snapshot->connection.db, query, k, allowed_in(snapshot, allowed),
                             out, n, err);
}

hd_status hd__leg_trigram(hd_snapshot *snapshot, hd_span query, size_t k, const hd_bitmap *allowed, hd_ranked *out,
                          size_t *n, hd_error *err)
{
    return hd__trigram_search(&snapshot->connection, query, k, allowed_in(snapshot, allowed), out, n, err);
}

static hd_status fail_without(const hd_snapshot *snapshot, const char *what, hd_error *err)
{
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: it was made without %s", snapshot->store->path, what);
}

hd_status hd__leg_dense(hd_snapshot *snapshot, const float *query, size_t k, const hd_bitmap *allowed, bool exact,
                        hd_ranked *out, size_t *n, hd_error *err)
{
    hd_vectors *vectors = snapshot->layout->vectors;
    if (vectors == NULL)
        return fail_without(snapshot, "dense vectors", err);
    HD_TRY(hd__vectors_search(vectors, &snapshot->connection, query, k, allowed_in(snapshot, allowed), exact, out, n, err));
    if (hd__vectors_is_cold(vectors))
        hd__warmer_start(&snapshot->store->warmer, snapshot->store);
    return HD_OK;
}

hd_status hd__leg_sparse(hd_snapshot *snapshot, hd_sparse_vector query, size_t k, const hd_bitmap *allowed, hd_ranked *out,
                         size_t *n, hd_error *err)
{
    if (!snapshot->store->identity.has_sparse)
        return fail_without(snapshot, "sparse weights", err);
    return hd__postings_sparse(snapshot->layout->postings, snapshot->connection.db, query, k, allowed_in(snapshot, allowed),
                               out, n, err);
}

hd_status hd__leg_multi(hd_snapshot *snapshot, const float *query, size_t n_query_vectors, const hd_chunk_id *ids, size_t n,
                        float *scores, hd_error *err)
{
    const uint32_t width = snapshot->store->identity.n_token_dimensions;
    if (width == 0)
        return fail_without(snapshot, "token vectors", err);
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    for (size_t i = 0; i < n; i++) {
        hd_arena arena;
        hd__arena_init(&arena);
        float *vectors;
        size_t n_vectors;
        hd_status status = hd__token_vectors_get(&snapshot->connection, ids[i], width, &arena, &vectors, &n_vectors, err);
        if (status == HD_OK && n_vectors > 0 && n_query_vectors > 0)
            scores[i] = kernels.maxsim_f32(&(k_maxsim){.q = query,
                                                       .d = vectors,
                                                       .q_stride = width,
                                                       .d_stride = width,
                                                       .n_q = (int)n_query_vectors,
                                                       .n_d = (int)n_vectors,
                                                       .n = (int)width});
        else
            scores[i] = NAN;
        hd__arena_clear(&arena);
        HD_TRY(status);
    }
    return HD_OK;
}

hd_status hd__leg_vectors(hd_snapshot *snapshot, const hd_chunk_id *ids, size_t n, float *vectors, hd_error *err)
{
    if (snapshot->layout->vectors == NULL)
        return fail_without(snapshot, "dense vectors", err);
    return hd__vectors_get(snapshot->layout->vectors, &snapshot->connection, ids, n, vectors, err);
}

hd_status hd__leg_matches(hd_snapshot *snapshot, hd_span query, hd_span text, hd_match *matches, size_t max, size_t *n,
                          hd_error *err)
{
    return hd__postings_matches(snapshot->layout->postings, snapshot->connection.db, query, text, matches, max, n, err);
}

bool hd__leg_has_quotes(hd_span query)
{
    return hd__postings_has_quotes(query);
}

hd_status hd__leg_narrow(hd_snapshot *snapshot, hd_span query, hd_bitmap *chunks, hd_error *err)
{
    return hd__postings_narrow(snapshot->layout->postings, snapshot->connection.db, query, chunks, err);
}

hd_status hd__leg_admits(hd_snapshot *snapshot, hd_span query, const hd_span *texts, size_t n_texts, bool *admits,
                         hd_error *err)
{
    return hd__postings_admits(snapshot->layout->postings, query, texts, n_texts, admits, err);
}
