/* pool.c - see pool.h. One lock, pool->lock, guards all of a pool. */
#include "base/pool.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/thread_name.h"

struct hd_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a task, or stop */
    hd_task_node *head, *tail;
    pthread_t *threads; /* [n_threads], n_started of them live */
    uint32_t n_threads, n_started, n_idle;
    size_t n_waiting; /* tasks that no thread has */
    const char *name;
    bool stop;
};

hd_status hd__pool_open(const char *name, uint32_t n_threads, hd_pool **out, hd_error *err)
{
    hd_pool *p = hd__calloc(1, sizeof *p);
    pthread_t *threads = hd__calloc(n_threads, sizeof *threads);
    if (p == NULL || threads == NULL) {
        hd__free(p);
        hd__free(threads);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %u threads", n_threads);
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->name = name;
    p->threads = threads;
    p->n_threads = n_threads;
    *out = p;
    return HD_OK;
}

static void *pool_main(void *data)
{
    hd_pool *p = data;
    hd__thread_name(p->name);
    pthread_mutex_lock(&p->lock);
    while (!p->stop || p->head != NULL) {
        hd_task_node *node = p->head;
        if (node == NULL) {
            p->n_idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->n_idle--;
            continue;
        }
        p->n_waiting--;
        p->head = node->next;
        if (p->head == NULL)
            p->tail = NULL;
        pthread_mutex_unlock(&p->lock);
        node->run(node);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void hd__pool_push(hd_pool *p, hd_task_node *node)
{
    node->next = NULL;
    pthread_mutex_lock(&p->lock);
    /* The idle are for the tasks before it. While the pool is closed those that run do the rest. */
    const bool is_needed = !p->stop && p->n_idle <= p->n_waiting && p->n_started < p->n_threads;
    if (is_needed && pthread_create(&p->threads[p->n_started], NULL, pool_main, p) == 0)
        p->n_started++;
    const bool alone = p->n_started == 0;
    if (!alone) {
        if (p->tail != NULL)
            p->tail->next = node;
        else
            p->head = node;
        p->tail = node;
        p->n_waiting++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    if (alone)
        node->run(node);
}

void hd__pool_close(hd_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    hd__free(p->threads);
    hd__free(p);
}
