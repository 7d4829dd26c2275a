/* map64.h - 64-bit values by 64-bit keys that are hashes already: 16 bytes an entry and room to spare, open addressing. */
#ifndef HD_BASE_MAP64_H
#define HD_BASE_MAP64_H

#include "base/status.h"

typedef struct hd_map64 {
    uint64_t (*entries)[2]; /* [capacity] key, value; key 0: free */
    size_t n, capacity;     /* a power of two, at most 3/4 used */
} hd_map64;

/* Zeroed is empty. */
void hd__map64_clear(hd_map64 *map);

/* The place of a key's value, 0 when it is new; NULL: no memory. It moves with the next put. */
uint64_t *hd__map64_put(hd_map64 *map, uint64_t key);

/* NULL when the key is not there. */
uint64_t *hd__map64_get(const hd_map64 *map, uint64_t key);

#endif
