/* attention_tile.h - which queries a block of an attention kernel has, and which keys.
 *
 * Blocks know no sequences. With n queries to a block, where r queries are before sequence i, it has slots from r / n + i
 * on. Its tiles, a last and partial one included, end before those of the next, floor(a + b) being at least
 * floor(a) + floor(b): a block finds its sequence by bisection. Slots without a tile have nothing to do.
 */
#ifndef HD_CUDA_ATTENTION_TILE_H
#define HD_CUDA_ATTENTION_TILE_H

#include "kernels.h"

/* Queries of a block, and the keys that at least one of them may see. */
typedef struct tile {
    int32_t first_row, n_rows; /* of q */
    int64_t place;             /* of the first in its sequence */
    int64_t first_key, last_key;
    size_t kv_row; /* the sequence's first row of k and v */
} tile;

template <int QUERIES> static __device__ int32_t slot_of(const hd_plugin_attention &t, int32_t sequence)
{
    return (t.q_begin[sequence] - t.q_begin[0]) / QUERIES + sequence;
}

template <int QUERIES> static __device__ tile find_tile(const hd_plugin_attention &t, int32_t slot)
{
    int32_t i = 0, end = t.n_sequences; /* the last sequence that begins at or before the slot is in [i, end) */
    while (end - i > 1) {
        const int32_t middle = i + (end - i) / 2;
        if (slot_of<QUERIES>(t, middle) <= slot)
            i = middle;
        else
            end = middle;
    }
    const int32_t before = (slot - slot_of<QUERIES>(t, i)) * QUERIES, left = t.q_begin[i + 1] - t.q_begin[i] - before;
    const int64_t n_keys = t.n_seen != NULL ? t.n_seen[i] : t.kv_begin[i + 1] - t.kv_begin[i];
    tile s;
    s.first_row = t.q_begin[i] + before;
    s.n_rows = left < QUERIES ? left : QUERIES;
    s.place = (int64_t)before + (t.q_first != NULL ? t.q_first[i] : 0);
    s.first_key = s.place > t.reach_back ? s.place - t.reach_back : 0;
    s.last_key = s.place + s.n_rows - 1 + t.reach_ahead;
    s.last_key = s.last_key < n_keys - 1 ? s.last_key : n_keys - 1;
    s.kv_row = (size_t)t.kv_begin[i];
    return s;
}

#endif
