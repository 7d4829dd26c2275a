/* layout.h - what a process holds in memory of one numbering of the chunks: parts of the vectors and of the postings.
 *
 * Numbers are only ever added, so readers of all versions share it. Compaction numbers anew: that is another layout, and the
 * old one goes with its last reader.
 */
#ifndef HD_STORE_LAYOUT_H
#define HD_STORE_LAYOUT_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/connection.h"
#include "store/postings.h"
#include "store/vectors.h"

typedef struct hd_layout {
    atomic_uint n_holders;
    uint64_t number; /* state.layout */
    hd_postings *postings;
    hd_vectors *vectors; /* NULL: the store has no dense vectors */
    pthread_mutex_t lock;
    uint64_t seen; /* the version that `vectors` has noticed, guarded by the lock */
} hd_layout;

/* In the transaction of a state of this number and version. Has one holder. */
HD_MUST_USE hd_status hd__layout_open(hd_connection *connection, const hd_identity *identity, uint32_t n_threads,
                                      uint64_t number, uint64_t version, hd_layout **layout, hd_error *err);
hd_layout *hd__layout_hold(hd_layout *layout);
void hd__layout_release(hd_layout *layout); /* NULL allowed */

/* Notices what other processes have committed up to the version that the connection's transaction sees. */
HD_MUST_USE hd_status hd__layout_refresh(hd_layout *layout, hd_connection *connection, uint64_t version, hd_error *err);

/* The writer of this process is about to commit a version, or could not: then what is in memory is looked through again. */
void hd__layout_will_commit(hd_layout *layout, uint64_t version);
void hd__layout_failed(hd_layout *layout);

#endif
