/* bitmap.h - a set of chunk numbers: one bit each, in 64-bit words.
 */
#ifndef HD_STORE_BITMAP_H
#define HD_STORE_BITMAP_H

#include "store/store.h"

typedef struct hd_bitmap {
    uint64_t *words; /* [(n + 63) / 64]; bits from n on are 0 */
    uint32_t n;      /* numbers from 0 to n - 1 can be in it */
    uint32_t n_set;  /* that are */
} hd_bitmap;

static inline bool hd__bitmap_has(const hd_bitmap *set, hd_chunk_id id)
{
    return id < set->n && (set->words[id / 64] >> (id % 64) & 1) != 0;
}

static inline size_t hd__bitmap_n_words(uint32_t n)
{
    return ((size_t)n + 63) / 64;
}

/* An empty set of numbers below n. HD_ERR_MEMORY. clear frees it; a zeroed set may be cleared. */
HD_MUST_USE hd_status hd__bitmap_init(hd_bitmap *set, uint32_t n, hd_error *err);
void hd__bitmap_clear(hd_bitmap *set);

/* A set of its own with the same numbers. */
HD_MUST_USE hd_status hd__bitmap_copy(hd_bitmap *to, const hd_bitmap *from, hd_error *err);

/* Numbers below n can be in it from now on: n is at least set->n. On failure it is as it was. */
HD_MUST_USE hd_status hd__bitmap_grow(hd_bitmap *set, uint32_t n, hd_error *err);

/* Puts in, or takes out, the numbers [begin, end); end is at most set->n. */
void hd__bitmap_set_range(hd_bitmap *set, uint32_t begin, uint32_t end, bool in);

/* Counts again, after words were written to. */
void hd__bitmap_recount(hd_bitmap *set);

/* How many members stand before each number: their places when they follow each other. The set lives as long, unchanged. */
typedef struct hd_bitmap_ranks {
    const hd_bitmap *set;
    uint32_t *before; /* each word */
} hd_bitmap_ranks;

/* HD_ERR_MEMORY. clear frees it; a zeroed one may be cleared. */
HD_MUST_USE hd_status hd__bitmap_ranks_init(hd_bitmap_ranks *ranks, const hd_bitmap *set, hd_error *err);
void hd__bitmap_ranks_clear(hd_bitmap_ranks *ranks);

/* id is below set->n. */
static inline uint32_t hd__bitmap_rank(const hd_bitmap_ranks *ranks, hd_chunk_id id)
{
    const uint64_t below = ranks->set->words[id / 64] & (((uint64_t)1 << id % 64) - 1);
    return ranks->before[id / 64] + (uint32_t)__builtin_popcountll(below);
}

#endif
