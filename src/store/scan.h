/* scan.h - the best of many rows of codes, all of them looked at: by several threads where there is work for them.
 *
 * Rows are taken 64 at a time, as a word of the bitmap of those that may be found: where most may, all are multiplied, else
 * those alone. The same rows give the same list whatever the number of threads.
 *
 * Threads: any.
 */
#ifndef HD_STORE_SCAN_H
#define HD_STORE_SCAN_H

#include "base/pool.h"
#include "store/codes.h"
#include "store/top.h"

typedef struct hd_scanner hd_scanner;

/* Threads are those of the caller and of a pool, which starts with the first scan that is long enough. */
HD_MUST_USE hd_status hd__scanner_open(uint32_t n_threads, hd_scanner **scanner, hd_error *err);
void hd__scanner_close(hd_scanner *scanner); /* NULL allowed */

/* Adds to `top` rows of [first, end) in `allowed`; all of those are in memory. */
HD_MUST_USE hd_status hd__scan(hd_scanner *scanner, const hd_codes *codes, const hd_query_codes *query, uint32_t first,
                               uint32_t end, const hd_bitmap *allowed, hd_top *top, hd_error *err);

#endif
