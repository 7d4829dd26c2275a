/* parallel.c - see parallel.h. Threads take the next piece from a counter. */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread_name.h"

#define MAX_HELPERS 31

typedef struct loop {
    hd_piece_fn *run;
    void *data;
    size_t n;
    _Atomic size_t next;
    _Atomic uint32_t n_workers;
    pthread_mutex_t lock; /* of status and error */
    hd_status status;
    hd_error error;
} loop;

static void *work(void *data)
{
    loop *l = data;
    const uint32_t worker = atomic_fetch_add(&l->n_workers, 1);
    hd_error error;
    for (size_t i; (i = atomic_fetch_add(&l->next, 1)) < l->n;) {
        hd_status status = l->run(l->data, i, worker, &error);
        if (status == HD_OK)
            continue;
        atomic_store(&l->next, l->n);
        pthread_mutex_lock(&l->lock);
        if (l->status == HD_OK) {
            l->status = status;
            l->error = error;
        }
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

static void *helper_main(void *data)
{
    hd__thread_name("heddle-parallel");
    return work(data);
}

hd_status hd__parallel(uint32_t n_threads, size_t n, hd_piece_fn *run, void *data, hd_error *err)
{
    loop l = {.run = run, .data = data, .n = n, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t helpers[MAX_HELPERS];
    uint32_t n_helpers = 0;
    while (n_helpers < MAX_HELPERS && n_helpers + 1 < n_threads && n_helpers + 1 < n &&
           pthread_create(&helpers[n_helpers], NULL, helper_main, &l) == 0)
        n_helpers++;
    work(&l);
    for (uint32_t i = 0; i < n_helpers; i++)
        pthread_join(helpers[i], NULL);
    if (l.status != HD_OK && err != NULL)
        *err = l.error;
    return l.status;
}
