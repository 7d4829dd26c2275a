/* cache.h - vectors already computed: a table with least-recently-used eviction by bytes. Thread-safe.
 *
 * The key is a 128-bit hash of what determines a vector: the model's identity and the token ids. Stored are
 * pooled vectors before they are cut or normalised, so that every option is served.
 */
#ifndef HD_ENGINE_CACHE_H
#define HD_ENGINE_CACHE_H

#include "base/hash.h"
#include "base/status.h"

typedef struct hd_cache hd_cache;

typedef struct hd_cache_stats {
    uint64_t n_hits, n_misses, n_entries, used_bytes;
} hd_cache_stats;

HD_MUST_USE hd_status hd__cache_open(uint64_t max_bytes, hd_cache **cache, hd_error *err);
void hd__cache_close(hd_cache *cache); /* NULL allowed */

/* Copies the vector of n values to out; false when it is not there. */
bool hd__cache_get(hd_cache *cache, hd_hash128 key, float *out, size_t n);

/* For a vector that was not there a moment ago. When it is there now, the call before counts as the hit. */
bool hd__cache_get_again(hd_cache *cache, hd_hash128 key, float *out, size_t n);

/* Keeps a copy, at the cost of the least recently used. Without memory it keeps nothing. */
void hd__cache_put(hd_cache *cache, hd_hash128 key, const float *vector, size_t n);

void hd__cache_get_stats(hd_cache *cache, hd_cache_stats *stats);

#endif
