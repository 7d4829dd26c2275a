/* bitmap.h - a set of chunk numbers: one bit each, in 64-bit words.
 */
#ifndef HD_STORE_BITMAP_H
#define HD_STORE_BITMAP_H

#include "store/store.h"

typedef struct hd_bitmap {
    uint64_t *words; /* [(n + 63) / 64] */
    uint32_t n;      /* numbers from 0 to n - 1 can be in it */
    uint32_t n_set;  /* that are */
} hd_bitmap;

static inline bool hd__bitmap_has(const hd_bitmap *set, hd_chunk_id id)
{
    return id < set->n && (set->words[id / 64] >> (id % 64) & 1) != 0;
}

#endif
