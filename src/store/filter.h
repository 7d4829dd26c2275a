/* filter.h - which documents: a small typed language over what is known about them.
 *
 *   filter     = or
 *   or         = and { "OR" and }
 *   and        = not { "AND" not }
 *   not        = ["NOT"] ( "(" or ")" | test )
 *   test       = field op value | field "IN" "(" value { "," value } ")" | field "EXISTS"
 *   op         = "=" "!=" "<" "<=" ">" ">=" "~" (a pattern with * and ?)  "^=" (begins with)
 *   field      = id | source | path | title | url | author | mime | section | created_at | size
 *              | metadata.a.b | a (metadata's)
 *   value      = "text" | 'text' | word | number | true | false | null | date (2024-05-01, 2024-05-01T10:00:00Z)
 *
 * A value's type is the comparison's: text with text, numbers with numbers; a document whose field has another type or
 * is missing does not match, not even "!=" (NOT (a = b) does). Arrays in metadata match when one element does. A filter
 * becomes one parameterised SQL condition: nothing of it is ever part of the SQL text.
 */
#ifndef HD_STORE_FILTER_H
#define HD_STORE_FILTER_H

#include "store/bitmap.h"

typedef struct hd_filter hd_filter;

/* On the arena. HD_ERR_ARG shows where and what was expected; HD_ERR_LIMIT past HD_LIMIT_FILTER_BYTES, _NESTING, _VALUES. */
HD_MUST_USE hd_status hd__filter_parse(hd_span text, hd_arena *arena, const hd_filter **filter, hd_error *err);

/* The live chunks for which it holds (NULL: all live chunks). The bitmap is the store's, kept for the next search with the
 * same filter, and lives until the snapshot ends. */
HD_MUST_USE hd_status hd__filter_chunks(hd_snapshot *snapshot, const hd_filter *filter, const hd_bitmap **chunks,
                                        hd_error *err);

/* The ids of the documents for which it holds, in their order, from `offset`, at most `limit`; *n_all counts them all. */
HD_MUST_USE hd_status hd__filter_documents(hd_snapshot *snapshot, const hd_filter *filter, uint64_t offset, uint64_t limit,
                                           hd_arena *arena, const char ***ids, size_t *n, uint64_t *n_all, hd_error *err);

/* The bitmaps of filters asked for lately, one cache for each open store; for all threads. A snapshot keeps a list of those
 * that it was given, which store.c begins as NULL and releases when the snapshot ends. */
typedef struct hd_filter_cache hd_filter_cache;
typedef struct hd_filter_hold hd_filter_hold;

HD_MUST_USE hd_status hd__filter_cache_new(hd_filter_cache **cache, hd_error *err);
void hd__filter_cache_free(hd_filter_cache *cache); /* no holds may be left. NULL allowed */
void hd__filter_release(hd_filter_cache *cache, hd_filter_hold **holds);

typedef struct hd_value_count {
    const char *value;
    uint64_t n;
} hd_value_count;

/* How many of the chunks that a filter lets through (NULL: of all) have each value of a field, most frequent first, at most
 * `limit` values. Kept for the next time, as bitmaps are. HD_ERR_ARG: no such field. */
HD_MUST_USE hd_status hd__filter_facet(hd_snapshot *snapshot, const char *field, const hd_filter *filter, size_t limit,
                                       hd_arena *arena, hd_value_count **values, size_t *n, hd_error *err);

#endif
