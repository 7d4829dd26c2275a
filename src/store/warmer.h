/* warmer.h - a thread that brings into memory what searches would otherwise read block by block.
 *
 * A million chunks are half a gigabyte of codes and links. The first search reads the few thousand blocks that its walk
 * passes and is done, which is all that a program needs that asks once. In one that goes on asking, each of the next twenty
 * searches would read some more, at ten times the cost of a search in memory; so the second of them starts a thread that
 * reads the rest in the order of the file. docs/SPEED.md has the measurements. Its failures are nobody's: a search that
 * needs a block that cannot be read says so.
 *
 * One at a time for each store; it holds a snapshot while it reads.
 */
#ifndef HD_STORE_WARMER_H
#define HD_STORE_WARMER_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/snapshot.h"

typedef struct hd_warmer {
    pthread_mutex_t lock; /* of `thread` and `has_thread` */
    pthread_t thread;
    bool has_thread; /* that was not waited for yet */
    atomic_bool works, stop;
} hd_warmer;

void hd__warmer_init(hd_warmer *warmer);
void hd__warmer_start(hd_warmer *warmer, hd_store *store); /* unless it works already, or no thread can be had */
void hd__warmer_end(hd_warmer *warmer);                    /* stops it, and waits for that; before the store is closed */

#endif
