/* postings_cache.h - parts of segments in memory, so that they are read once: least recently used ones go when they are
 * more than a number of bytes. What is in use stays. A part never changes: segments are written once and their numbers are
 * not given twice; the epoch tells files apart.
 *
 * Threads: any; the lock is held for moments. Parts are read without it.
 */
#ifndef HD_STORE_POSTINGS_CACHE_H
#define HD_STORE_POSTINGS_CACHE_H

#include "base/status.h"

typedef struct hd_postings_cache hd_postings_cache;

typedef enum hd_part_kind { HD_PART_INDEX, HD_PART_TERMS, HD_PART_LIST, HD_PART_LENGTHS } hd_part_kind;

typedef struct hd_part_key {
    int64_t epoch;
    uint64_t place; /* where it begins in its stream */
    uint32_t segment, kind;
} hd_part_key;

typedef struct hd_part {
    hd_part_key key;
    struct hd_part *chained, *newer, *older; /* the cache's */
    uint32_t n_users;
    size_t bytes; /* of data */
    char data[] __attribute__((aligned(16)));
} hd_part;

HD_MUST_USE hd_status hd__postings_cache_open(uint64_t max_bytes, hd_postings_cache **cache, hd_error *err);
void hd__postings_cache_close(hd_postings_cache *cache); /* none is in use. NULL allowed */

/* NULL: it is not there. Else it stays until it is released. */
hd_part *hd__postings_cache_take(hd_postings_cache *cache, const hd_part_key *key);

/* Room for a part, to be filled and put, or freed by hd__free. NULL: no memory. */
hd_part *hd__postings_part_new(const hd_part_key *key, size_t bytes);

/* Takes the part over. Returns it, or the one of its key that came first; in use by the caller. */
hd_part *hd__postings_cache_put(hd_postings_cache *cache, hd_part *part);
void hd__postings_cache_release(hd_postings_cache *cache, hd_part *part); /* NULL allowed */

uint64_t hd__postings_cache_bytes(hd_postings_cache *cache);

#endif
