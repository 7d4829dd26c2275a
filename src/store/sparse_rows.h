/* sparse_rows.h - the sparse weights of given chunks, read back out of the index that has them by token: for exports.
 */
#ifndef HD_STORE_SPARSE_ROWS_H
#define HD_STORE_SPARSE_ROWS_H

#include <sqlite3.h>

#include "heddle/heddle.h"
#include "store/bitmap.h"

typedef struct hd_sparse_rows {
    hd_bitmap_ranks ranks; /* of the chunks that were read */
    size_t *begins;        /* [n_set + 1] where each one's begin */
    uint32_t *tokens;      /* ascending in each */
    float *weights;
} hd_sparse_rows;

/* Reads through the whole index once, whatever the number of chunks, which live as long as the rows. Takes 20 bytes for each
 * of their weights. `clear` after failure, too; a zeroed one may be cleared. */
HD_MUST_USE hd_status hd__sparse_rows_read(sqlite3 *db, const hd_bitmap *chunks, hd_sparse_rows *rows, hd_error *err);
void hd__sparse_rows_clear(hd_sparse_rows *rows);

/* Of one of the chunks, none of others; lives as long as the rows. */
hd_sparse_vector hd__sparse_rows_get(const hd_sparse_rows *rows, hd_chunk_id id);

#endif
