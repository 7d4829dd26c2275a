/* filter_cache.h - bitmaps of filters and counts of facets, by what they were made of. A bitmap that is held lives on when
 * it leaves the cache; counts are copied.
 */
#ifndef HD_STORE_FILTER_CACHE_H
#define HD_STORE_FILTER_CACHE_H

#include "store/filter.h"

#define HD_FILTER_CACHE_ENTRIES 64u
#define HD_FACET_CACHE_ENTRIES 64u
#define HD_FILTER_CACHE_BYTES (32u << 20) /* of bitmaps; the newest stays whatever it takes */

/* A bitmap that was put for this text and version, held by `holds` from now on; NULL when there is none, or no memory to
 * hold it. */
const hd_bitmap *hd__filter_cache_get(hd_filter_cache *cache, hd_span text, uint64_t version, hd_filter_hold **holds);

/* Takes the bitmap, also on failure (HD_ERR_MEMORY), and holds it as get does. Two that put the same both keep theirs. */
HD_MUST_USE hd_status hd__filter_cache_put(hd_filter_cache *cache, hd_span text, uint64_t version, hd_bitmap *bitmap,
                                           hd_filter_hold **holds, const hd_bitmap **held, hd_error *err);

/* The counts put for this key, version and limit, on the arena; false when there are none, or no memory. */
bool hd__facet_cache_get(hd_filter_cache *cache, hd_span key, uint64_t version, size_t limit, hd_arena *arena,
                         hd_value_count **values, size_t *n);

/* Without memory nothing is put. */
void hd__facet_cache_put(hd_filter_cache *cache, hd_span key, uint64_t version, size_t limit, const hd_value_count *values,
                         size_t n);

#endif
