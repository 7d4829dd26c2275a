/* vectors_state.h - the inside of hd_vectors, for its own files. The lock is hd_vectors.lock: what is committed, the graph
 * in use with its holders, and walks at rest. What the writer has not committed is the writer's.
 */
#ifndef HD_STORE_VECTORS_STATE_H
#define HD_STORE_VECTORS_STATE_H

#include "base/half.h"
#include "store/hnsw.h"
#include "store/scan.h"
#include "store/vectors.h"

struct hd_vectors {
    pthread_mutex_t lock;
    uint32_t n_dimensions, n_threads;
    bool unit;
    hd_vectors_tuning tuning;
    k_half_dot_fn *half_dot;
    hd_codes *codes;
    hd_scanner *scanner;
    hd_vector_state state;    /* committed, as far as it is known here */
    hd_graph *graph;          /* of state; NULL: none */
    hd_walk *walks;           /* at rest */
    atomic_uint n_cold_walks; /* that began when something of the graph or of its codes was missing */

    bool writing; /* the writer's transaction has begun with `next` */
    hd_vector_state next;
    hd_graph *next_graph; /* of next, when that is not state's */
};

/* Rows of halves in a block: of one page, or of 2, 4, … where a seventh of those would be left over. */
static inline uint32_t hd__halves_in_block(uint32_t n_dimensions)
{
    const uint32_t each = n_dimensions * (uint32_t)sizeof(uint16_t);
    uint32_t bytes = HD_HALVES_BYTES;
    while (bytes < each || bytes % each > bytes / 7)
        bytes *= 2;
    return bytes / each;
}

static inline void hd__halves_widen(const uint16_t *halves, uint32_t n_dimensions, float *row)
{
    for (uint32_t j = 0; j < n_dimensions; j++)
        row[j] = hd__float_of_bits(hd__half_widen(halves[j]));
}

/* What a row is multiplied by before it is kept, or compared with those that are. False: a value of it is no number. */
bool hd__vectors_scale(const hd_vectors *vectors, const float *row, float *scale);

/* Reads the state that a connection sees; when it is newer than what is known, that becomes known. */
HD_MUST_USE hd_status hd__vectors_see(hd_vectors *vectors, hd_block_io *io, hd_vector_state *seen, hd_error *err);

/* Graph of a state, held until let go; NULL when there is none, or another one by now. */
hd_graph *hd__vectors_hold(hd_vectors *vectors, const hd_vector_state *seen);
void hd__vectors_let_go(hd_vectors *vectors, hd_graph *graph);

/* A walk's memory, from those at rest. */
HD_MUST_USE hd_status hd__vectors_walk_take(hd_vectors *vectors, uint32_t beam, hd_walk **walk, hd_error *err);
void hd__vectors_walk_give(hd_vectors *vectors, hd_walk *walk);

/* Reads what is not here of rows [0, n) and of a graph (NULL: none), until *stop (NULL: to the end). */
HD_MUST_USE hd_status hd__vectors_load(hd_vectors *vectors, hd_block_io *io, hd_graph *graph, uint32_t n,
                                       const atomic_bool *stop, hd_error *err);

/* Row `id` in the block of halves that holds it; *halves lives until another block is read. */
HD_MUST_USE hd_status hd__halves_get(hd_block_io *io, uint32_t n_dimensions, uint32_t id, const uint16_t **halves,
                                     hd_error *err);

#endif
