/* vectors.h - dense vectors of chunks: 8-bit codes for scanning, 16-bit copies for scores, a graph over most of them (HNSW,
 * Malkov and Yashunin 2016). A part of the store (store.c is its only caller but for tests); docs/STORE.md has its tables.
 *
 * The tables are the truth. In memory are the codes and links read so far, a block at a time at first use, shared by all
 * readers of a process: numbers are only ever appended, so a reader with an older snapshot sees rows too many and leaves out
 * what its bitmap of live chunks does not have. What another process committed is noticed at the next search or write, or by
 * `refresh`. Compaction renumbers: it makes a new hd_vectors, and the old one goes when its last reader ends (store.c
 * counts).
 *
 * The graph covers chunks [0, n_graph); the others are scanned exactly, dead ones are stepped through and never given. It is
 * derived: when a check of it fails it is made anew, nothing else is lost. A snapshot that is older than the graph in memory
 * is searched without one.
 *
 * Threads: search, get, warm, refresh and stats from any thread, each with a connection of its own; append, build,
 * drop_graph, commit and rollback by the one writer. A search takes the lock for a moment at its beginning and its end, and
 * for each block that it has read; it never waits for the writer. After a failure of the writer's functions only rollback
 * may follow.
 */
#ifndef HD_STORE_VECTORS_H
#define HD_STORE_VECTORS_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "store/connection.h"
#include "store/legs.h"

typedef struct hd_vectors hd_vectors;

/* Where searching changes from one way to another, chosen by measurement (docs/SPEED.md). Tests and measurements set others.
 */
typedef struct hd_vectors_tuning {
    uint32_t scan_max;      /* no graph below so many chunks */
    uint32_t tail_max;      /* so many chunks may lie beyond the graph before `build` takes them into it */
    uint32_t scan_for_beam; /* allowed chunks that are scanned in the time that one entry of a walk's list takes */
    uint32_t beam;          /* entries of a walk's list at least; 0: by the number of chunks */
} hd_vectors_tuning;
extern const hd_vectors_tuning hd__vectors_tuning;
void hd__vectors_tune(hd_vectors *vectors, const hd_vectors_tuning *tuning);

/* The tables, in a write transaction. */
HD_MUST_USE hd_status hd__vectors_create(sqlite3 *db, hd_error *err);

/* Reads how many there are, and nothing more. unit: vectors are scaled to length 1 when appended (cosine). */
HD_MUST_USE hd_status hd__vectors_open(sqlite3 *db, uint32_t n_dimensions, bool unit, uint32_t n_threads,
                                       hd_vectors **vectors, hd_error *err);
void hd__vectors_close(hd_vectors *vectors);

/* Notices what other processes have committed; called at the beginning of a snapshot whose file has changed. */
HD_MUST_USE hd_status hd__vectors_refresh(hd_vectors *vectors, sqlite3 *db, hd_error *err);

/* Rows of chunks first … first + n - 1, [n, n_dimensions], in the writer's transaction; first is one past the last appended.
 */
HD_MUST_USE hd_status hd__vectors_append(hd_vectors *vectors, sqlite3 *db, hd_chunk_id first, const float *rows, size_t n,
                                         hd_error *err);

/* Takes all chunks into the graph, by all threads, when there are so many that it pays (hd_vectors_tuning); `progress` (may
 * be NULL) is asked now and then and ends it early with false, which is no error. Reading and searching go on. In the
 * writer's transaction. */
HD_MUST_USE hd_status hd__vectors_build(hd_vectors *vectors, sqlite3 *db,
                                        bool (*progress)(uint64_t done, uint64_t all, void *data), void *data,
                                        hd_error *err);

/* How many chunks the graph covers in the writer's transaction, for the writer. */
uint32_t hd__vectors_n_graph(hd_vectors *vectors);

/* The writer's transaction is over: what it appended may be found, or never was. */
void hd__vectors_commit(hd_vectors *vectors);
void hd__vectors_rollback(hd_vectors *vectors);

/* As hd__leg_dense; allowed is never NULL (all live chunks, or some of them). HD_ERR_ARG for a query with a value that is no
 * number. */
HD_MUST_USE hd_status hd__vectors_search(hd_vectors *vectors, hd_connection *connection, const float *query, size_t k,
                                         const hd_bitmap *allowed, bool exact, hd_ranked *out, size_t *n, hd_error *err);

/* Searches go through a graph of which much is not in memory: it pays to bring the rest there behind their back. One search
 * alone, as a program makes it that ends then, does not make it so. */
bool hd__vectors_is_cold(const hd_vectors *vectors);

/* Reads all codes and links that are not here, until *stop. */
HD_MUST_USE hd_status hd__vectors_warm(hd_vectors *vectors, hd_connection *connection, const atomic_bool *stop,
                                       hd_error *err);

/* [n, n_dimensions] from the 16-bit copies; zeros for a chunk that has none. */
HD_MUST_USE hd_status hd__vectors_get(hd_vectors *vectors, hd_connection *connection, const hd_chunk_id *ids, size_t n,
                                      float *rows, hd_error *err);

typedef struct hd_vectors_stats {
    uint64_t n, n_graph, memory_bytes;
} hd_vectors_stats;
void hd__vectors_get_stats(hd_vectors *vectors, hd_vectors_stats *stats);

/* Reads all of it: every code against its copy, every link within bounds and to its level, everything reachable. Calls
 * `found` for each fault, which is in the graph alone (made anew by dropping it) or in a vector. */
HD_MUST_USE hd_status hd__vectors_check(sqlite3 *db, uint32_t n_dimensions,
                                        void (*found)(bool in_graph, const char *what, void *data), void *data,
                                        hd_error *err);

/* Forgets the graph; the next build makes it. In the writer's transaction. */
HD_MUST_USE hd_status hd__vectors_drop_graph(hd_vectors *vectors, sqlite3 *db, hd_error *err);

/* Copies the live rows of one database's tables to another's empty ones, numbered anew in their order, without a graph. */
HD_MUST_USE hd_status hd__vectors_compact(sqlite3 *from, sqlite3 *to, uint32_t n_dimensions, const hd_bitmap *live,
                                          hd_error *err);

#endif
