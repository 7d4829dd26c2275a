/* pool.h - threads that run tasks in the order they came. A task lives in the caller's storage: pushing allocates
 * nothing and cannot fail.
 */
#ifndef HD_BASE_POOL_H
#define HD_BASE_POOL_H

#include "base/status.h"

typedef struct hd_pool hd_pool;

typedef struct hd_task_node {
    struct hd_task_node *next; /* the pool's */
    void (*run)(struct hd_task_node *node);
} hd_task_node;

/* Threads start with the first task. `name` is theirs (thread_name.h) and lives as long as the pool. */
HD_MUST_USE hd_status hd__pool_open(const char *name, uint32_t n_threads, hd_pool **pool, hd_error *err);

/* Any thread. The node is the pool's until run is called, and the task's from then on. When not even one thread can
 * be started the task runs here and now. */
void hd__pool_push(hd_pool *pool, hd_task_node *node);

/* Runs what has been pushed, then joins. NULL allowed. */
void hd__pool_close(hd_pool *pool);

#endif
