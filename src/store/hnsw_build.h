/* hnsw_build.h - making a graph, or a larger one from one there is, by several threads.
 *
 * Threads: one calls; codes of all rows are in memory.
 */
#ifndef HD_STORE_HNSW_BUILD_H
#define HD_STORE_HNSW_BUILD_H

#include "store/hnsw.h"

/* Rows [old->n, n) into a copy of `old` (all of which is in memory; NULL: nothing), *graph, whose blocks are in memory;
 * those that changed are written. `progress` is asked every few thousand rows and ends it with false: then the graph covers
 * fewer rows. */
HD_MUST_USE hd_status hd__graph_build(const hd_graph *old, hd_codes *codes, uint32_t n, int64_t version, uint32_t n_threads,
                                      bool (*progress)(uint64_t done, uint64_t all, void *data), void *data, hd_block_io *io,
                                      hd_graph **graph, hd_error *err);

#endif
