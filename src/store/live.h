/* live.h - which chunks are alive: a bitmap for each version of the store that somebody looks at, shared and never changed.
 *
 * In the file it is blocks of HD_LIVE_BLOCK chunks, each with the version that changed it last: what other processes
 * committed is noticed by reading the blocks that have changed since.
 */
#ifndef HD_STORE_LIVE_H
#define HD_STORE_LIVE_H

#include <stdatomic.h>

#include "store/bitmap.h"
#include "store/connection.h"

#define HD_LIVE_BLOCK 16384u /* chunks; 2 KiB of bits */

/* The one row of table `state`. */
typedef struct hd_state {
    uint64_t version; /* goes up by one with every commit */
    uint64_t layout;  /* goes up when chunks are numbered anew */
    uint64_t n_documents;
    uint32_t n_chunks; /* numbers given so far */
    uint32_t n_live;
} hd_state;

typedef struct hd_live {
    atomic_uint n_holders;
    uint64_t version, layout;
    hd_bitmap chunks;
} hd_live;

HD_MUST_USE hd_status hd__live_read_state(hd_connection *connection, hd_state *state, hd_error *err);
HD_MUST_USE hd_status hd__live_write_state(hd_connection *connection, const hd_state *state, hd_error *err);

/* The bitmap of a state, read in its transaction: all of it, or what has changed since `before` (may be NULL). Has one
 * holder. HD_ERR_FORMAT when it is not what the state says. */
HD_MUST_USE hd_status hd__live_read(hd_connection *connection, const hd_state *state, const hd_live *before, hd_live **live,
                                    hd_error *err);

/* For a writer: a copy that it may change until others hold it. */
HD_MUST_USE hd_status hd__live_copy(const hd_live *from, hd_live **live, hd_error *err);

/* Writes the blocks for which `changed`, [n_blocks], is set. */
HD_MUST_USE hd_status hd__live_write(hd_connection *connection, const hd_live *live, const bool *changed, size_t n_blocks,
                                     hd_error *err);

hd_live *hd__live_hold(hd_live *live);
void hd__live_release(hd_live *live); /* NULL allowed */

static inline size_t hd__live_n_blocks(uint32_t n_chunks)
{
    return ((size_t)n_chunks + HD_LIVE_BLOCK - 1) / HD_LIVE_BLOCK;
}

#endif
