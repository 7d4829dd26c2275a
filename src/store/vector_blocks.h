/* vector_blocks.h - the tables of dense vectors: one row that says what there is, and blocks of bytes by number.
 *
 *   vector_state  one row: n rows of vectors, n_graph of them in the graph, version of all, graph_version of the links
 *   vector_codes  rows [64 b, 64 b + 64) of block b: their scales, f32, then their codes (codes.h)
 *   vector_halves rows of IEEE halves, n_dimensions each, as many as hd__halves_in_block says
 *   vector_links  level << 32 | block: 2,048 or 4,096 links, u32 (hnsw.h)
 *
 * All of it is little-endian. A block whose rows are not all there yet is shorter. Sizes are chosen so that blocks fill
 * SQLite's pages of 8,192 bytes (docs/STORE.md), and so that a search reads few bytes of a file just opened. Halves are read
 * a row here and a row there: a block of them lies within one page where that wastes little of it, since SQLite then shows
 * it in place, and copies it otherwise.
 */
#ifndef HD_STORE_VECTOR_BLOCKS_H
#define HD_STORE_VECTOR_BLOCKS_H

#include "store/connection.h"

#define HD_HALVES_BYTES 8140u /* of a page, less what SQLite needs in it */

typedef struct hd_vector_state {
    uint32_t n, n_graph;
    int64_t version, graph_version; /* raised by each transaction that changes vectors; links */
} hd_vector_state;

typedef enum hd_block_kind { HD_BLOCK_CODES, HD_BLOCK_HALVES, HD_BLOCK_LINKS, HD_N_BLOCK_KINDS } hd_block_kind;

/* Statements of one connection, each prepared when first needed. Zeroed but for db at the beginning, and for the connection
 * where it has one that keeps statements: preparing costs as much as reading. */
typedef struct hd_block_io {
    sqlite3 *db;
    hd_connection *connection;
    sqlite3_stmt *get[HD_N_BLOCK_KINDS], *put[HD_N_BLOCK_KINDS];
    hd_span halves; /* the last block of them, and its number + 1 */
    uint64_t halves_number;
} hd_block_io;

/* Resets kept statements, finalizes others. */
void hd__block_io_clear(hd_block_io *io);

HD_MUST_USE hd_status hd__blocks_create(sqlite3 *db, hd_error *err);

/* *state of what the connection sees. HD_ERR_FORMAT for one that cannot be. */
HD_MUST_USE hd_status hd__blocks_state(hd_block_io *io, hd_vector_state *state, hd_error *err);
HD_MUST_USE hd_status hd__blocks_set_state(sqlite3 *db, const hd_vector_state *state, hd_error *err);

/* *bytes lives until the next block of the kind is read. HD_ERR_FORMAT when there is no such block. */
HD_MUST_USE hd_status hd__block_get(hd_block_io *io, hd_block_kind kind, uint64_t number, hd_span *bytes, hd_error *err);
HD_MUST_USE hd_status hd__block_put(hd_block_io *io, hd_block_kind kind, uint64_t number, hd_span bytes, hd_error *err);

/* HD_ERR_FORMAT: "block <number> of <table>: <what>" */
hd_status hd__block_fail(hd_block_io *io, hd_block_kind kind, uint64_t number, const char *what, hd_error *err);

HD_MUST_USE hd_status hd__blocks_drop_links(sqlite3 *db, hd_error *err);

#endif
