/* parallel.h - a loop over independent pieces of heavy work, by several threads for as long as it takes. */
#ifndef HD_BASE_PARALLEL_H
#define HD_BASE_PARALLEL_H

#include "base/status.h"

/* One piece. worker is below n_threads, and no two calls with the same worker run at once: a place for buffers. */
typedef hd_status hd_piece_fn(void *data, size_t piece, uint32_t worker, hd_error *err);

/* Runs pieces [0, n), each once, in no order; the calling thread takes part, and does it alone when no other can be
 * started. After a failure no new piece is begun, and the first failure is returned. */
HD_MUST_USE hd_status hd__parallel(uint32_t n_threads, size_t n, hd_piece_fn *run, void *data, hd_error *err);

#endif
