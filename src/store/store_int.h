/* store_int.h - what a store, a snapshot and a write are, for the files that work inside of them.
 */
#ifndef HD_STORE_STORE_INT_H
#define HD_STORE_STORE_INT_H

#include <pthread.h>

#include "store/layout.h"
#include "store/live.h"
#include "store/snapshot.h"
#include "store/warmer.h"

struct hd_snapshot {
    hd_store *store;
    hd_connection connection; /* in a read transaction while the snapshot is open */
    hd_state state;
    hd_live *live;     /* held */
    hd_layout *layout; /* held */
    hd_filter_hold *filters;
    bool (*keep_going)(void *data); /* asked by `asker` alone */
    void *keep_going_data;
    pthread_t asker;
    uint64_t asked_ns;
    hd_snapshot *next; /* idle ones */
};

struct hd_write {
    hd_store *store;
    hd_connection connection; /* in a write transaction while `active` */
    hd_state state;           /* as it will be */
    hd_live *live;            /* its own: nobody else has seen it */
    hd_layout *layout;        /* held */
    bool *changed_blocks;     /* [n_changed_blocks] of `live` */
    size_t n_changed_blocks;
    bool active, changed;
    hd_error failure; /* of the first change that failed: what there is then is half a change, and cannot be committed */
};

struct hd_store {
    char *path;
    hd_arena arena; /* strings of identity */
    hd_identity identity;
    hd_connection_mode read_mode;
    bool read_only;
    uint32_t busy_ms, n_threads;
    hd_filter_cache *filters;
    hd_write write;
    hd_warmer warmer;

    pthread_mutex_t lock; /* guards what follows; never held while SQLite works */
    pthread_cond_t writer_left;
    bool writing;
    hd_snapshot *idle;    /* with open connections, for the next readers */
    uint32_t n_idle;
    hd_live *live;     /* the newest that was read or written; NULL: none yet */
    hd_layout *layout; /* likewise */
};

/* A change begins: from here to its end a failure makes the write one that can only be abandoned. */
HD_MUST_USE hd_status hd__write_check(const hd_write *write, hd_error *err);
hd_status hd__write_done(hd_write *write, hd_status status, const hd_error *err);

/* Chunks [begin, end) are alive, or dead, from now on. Numbers given for the first time are below `n`. */
HD_MUST_USE hd_status hd__write_set_live(hd_write *write, hd_chunk_id begin, hd_chunk_id end, bool alive, hd_error *err);

#endif
