/* hnsw.h - a graph over codes that leads a search to the rows near it: hierarchical navigable small world (Malkov and
 * Yashunin 2016, arXiv:1603.09320).
 *
 * Level 0 has every row below n; a row's level is the number of zero hexadecimal digits that end a hash of its number, so
 * that one in 16 is on level 1, one in 256 on level 2. On a level nodes have slots, in the order of their numbers; links are
 * slots, HD_GRAPH_LINKS of them (twice as many on level 0), the first HD_GRAPH_NONE ending them. What is not derived from
 * numbers is the links alone, and only they are kept in the file, in blocks of 2,048 (level 0: 4,096), which are read when
 * a search comes by.
 *
 * A graph is not changed while it is searched: building makes another one, which takes the place of the first when it is
 * committed. Nodes are never taken out; what is dead is passed through.
 *
 * Threads: searches from any; the lock is hd_graph.lock: reading blocks.
 */
#ifndef HD_STORE_HNSW_H
#define HD_STORE_HNSW_H

#include "store/codes.h"
#include "store/top.h"

#define HD_GRAPH_LINKS 16u
#define HD_GRAPH_NONE UINT32_MAX
#define HD_GRAPH_LEVELS 7u /* 16^7 = 2^28 rows */
#define HD_LINK_BLOCK_SHIFT 7
#define HD_LINK_BLOCK (1u << HD_LINK_BLOCK_SHIFT) /* slots */

typedef struct hd_graph_level {
    uint32_t n, n_links;      /* slots, and links of each */
    uint32_t capacity;        /* slots there is memory for */
    uint32_t *ids, *down;     /* [n] number, and slot on the level below; NULL on level 0, where both are the slot */
    _Atomic uint32_t *links;  /* [n, n_links] */
    _Atomic uint8_t *is_here; /* [blocks] */
} hd_graph_level;

typedef struct hd_graph {
    pthread_mutex_t lock;
    uint32_t n_holders; /* under the lock of hd_vectors */
    uint32_t n;
    int64_t version;
    uint32_t n_levels; /* with nodes */
    hd_graph_level levels[HD_GRAPH_LEVELS];
    uint32_t n_blocks;
    _Atomic uint32_t n_missing; /* blocks that are not here */
} hd_graph;

/* What a search needs beside the graph; kept for the next. Zeroed at the beginning. */
typedef struct hd_walk {
    int8_t *query_bytes; /* [row_bytes] */
    uint64_t *beam;      /* [beam_capacity] best first: score, slot, whether its links were followed */
    uint32_t n_beam, beam_capacity;
    uint64_t *seen;       /* [seen_words] a bit for each slot; all clear between searches */
    uint32_t *seen_slots; /* [seen_capacity] those that are set */
    size_t seen_words;
    uint32_t n_seen, seen_capacity;
    struct hd_walk *next; /* in the pool */
} hd_walk;

/* What is looked for, and where. */
typedef struct hd_walk_task {
    hd_graph *graph;
    hd_codes *codes;
    hd_block_io *io; /* NULL: all is in memory */
    uint32_t n_rows; /* there are in what the connection sees */
    const hd_query_codes *query;
} hd_walk_task;

uint32_t hd__graph_level_of(uint32_t id);

/* Over rows [0, n), with nothing of it in memory. */
HD_MUST_USE hd_status hd__graph_new(uint32_t n, int64_t version, hd_graph **graph, hd_error *err);
void hd__graph_free(hd_graph *graph); /* NULL allowed */
uint64_t hd__graph_memory(const hd_graph *graph);

/* Links in huge pages, when most of them are or will be in memory. */
void hd__graph_widen(hd_graph *graph);

/* Leaves rows [0, n). */
void hd__graph_shrink(hd_graph *graph, uint32_t n);

/* All of it into memory, until *stop (NULL: to the end). */
HD_MUST_USE hd_status hd__graph_load(hd_graph *graph, hd_block_io *io, const atomic_bool *stop, hd_error *err);

/* Reads the block of a slot. */
HD_MUST_USE hd_status hd__graph_load_block(hd_graph *graph, hd_block_io *io, uint32_t level, uint32_t slot, hd_error *err);

/* Marks the slots that those in queue[0, n), which are marked, lead to, and puts them behind: `queue` has room for all of
 * the level. Returns how many are in it then. */
uint32_t hd__graph_reach(const hd_graph_level *level, uint8_t *reached, uint32_t *queue, uint32_t n);

HD_MUST_USE hd_status hd__walk_reserve(hd_walk *walk, const hd_codes *codes, uint32_t n_slots, uint32_t beam, hd_error *err);
void hd__walk_clear(hd_walk *walk);

/* Leaves in walk->beam the nodes nearest to the query that a search with a list of `beam` nodes finds on level 0, best
 * first. */
HD_MUST_USE hd_status hd__walk(hd_walk *walk, const hd_walk_task *task, uint32_t beam, hd_error *err);

/* The parts of it: from the top down to the level above `level`; and on one level, from what is in the beam. */
HD_MUST_USE hd_status hd__walk_descend(const hd_walk_task *task, uint32_t from_level, uint32_t from_slot, uint32_t level,
                                       uint32_t *slot, hd_error *err);
HD_MUST_USE hd_status hd__walk_level(hd_walk *walk, const hd_walk_task *task, uint32_t level, uint32_t slot, uint32_t beam,
                                     hd_error *err);

static inline uint32_t hd__walk_slot(uint64_t entry)
{
    return ~(uint32_t)entry >> 1;
}

static inline float hd__walk_score(uint64_t entry)
{
    return hd__top_score(entry);
}

static inline uint32_t hd__graph_id(const hd_graph_level *level, uint32_t slot)
{
    return level->ids != NULL ? level->ids[slot] : slot;
}

static inline uint32_t hd__graph_down(const hd_graph_level *level, uint32_t slot)
{
    return level->down != NULL ? level->down[slot] : slot;
}

static inline _Atomic uint32_t *hd__graph_links(const hd_graph_level *level, uint32_t slot)
{
    return level->links + (size_t)slot * level->n_links;
}

#endif
