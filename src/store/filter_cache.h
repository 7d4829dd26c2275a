/* filter_cache.h - bitmaps of filters, by what they were made of. What is held lives on when it leaves the cache.
 */
#ifndef HD_STORE_FILTER_CACHE_H
#define HD_STORE_FILTER_CACHE_H

#include "store/filter.h"

#define HD_FILTER_CACHE_ENTRIES 64u
#define HD_FILTER_CACHE_BYTES (32u << 20) /* of bitmaps; the newest stays whatever it takes */

/* A bitmap that was put for this text and version, held by `holds` from now on; NULL when there is none, or no memory to
 * hold it. */
const hd_bitmap *hd__filter_cache_get(hd_filter_cache *cache, hd_span text, uint64_t version, hd_filter_hold **holds);

/* Takes the bitmap, also on failure (HD_ERR_MEMORY), and holds it as get does. Two that put the same both keep theirs. */
HD_MUST_USE hd_status hd__filter_cache_put(hd_filter_cache *cache, hd_span text, uint64_t version, hd_bitmap *bitmap,
                                           hd_filter_hold **holds, const hd_bitmap **held, hd_error *err);

#endif
