/* snapshot.h - what the other files of the store see of a snapshot; store.c makes and ends it.
 */
#ifndef HD_STORE_SNAPSHOT_H
#define HD_STORE_SNAPSHOT_H

#include <sqlite3.h>

#include "store/filter.h"

/* Its connection, in a read transaction. */
sqlite3 *hd__snapshot_db(hd_snapshot *snapshot);

/* The chunks that are alive in it. */
const hd_bitmap *hd__snapshot_live(hd_snapshot *snapshot);

/* The store's cache of filters, and what this snapshot holds of it until it ends. */
hd_filter_cache *hd__snapshot_filters(hd_snapshot *snapshot);
hd_filter_hold **hd__snapshot_holds(hd_snapshot *snapshot);

#endif
