/* pool.c: order, every task once, no more threads than allowed and as many as there is work for, no memory. */
#include "base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;

typedef struct task {
    hd_task_node node; /* first */
    int number;
    _Atomic int n_runs;
} task;

enum { MANY = 1000 };

static int order[MANY];
static _Atomic int n_done;

static void note(hd_task_node *node)
{
    task *t = (task *)(void *)node;
    t->n_runs++;
    order[n_done++] = t->number;
}

static hd_pool *open_pool(uint32_t n_threads)
{
    hd_pool *pool;
    assert_int_equal(hd__pool_open("test", n_threads, &pool, &err), HD_OK);
    n_done = 0;
    return pool;
}

static void test_order(void **state)
{
    (void)state;
    static task tasks[MANY];
    hd_pool *pool = open_pool(1);
    for (int i = 0; i < MANY; i++) {
        tasks[i] = (task){.node.run = note, .number = i};
        hd__pool_push(pool, &tasks[i].node);
    }
    hd__pool_close(pool); /* after the last */
    assert_int_equal(n_done, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(order[i], i);
}

/* ---- many threads push, many run ---- */

typedef struct pusher {
    hd_pool *pool;
    task tasks[MANY / 4];
    pthread_t thread;
} pusher;

static void count(hd_task_node *node)
{
    task *t = (task *)(void *)node;
    t->n_runs++;
    n_done++;
}

static void *push_main(void *data)
{
    pusher *p = data;
    for (int i = 0; i < MANY / 4; i++) {
        p->tasks[i] = (task){.node.run = count};
        hd__pool_push(p->pool, &p->tasks[i].node);
    }
    return NULL;
}

static void test_many(void **state)
{
    (void)state;
    static pusher pushers[4];
    hd_pool *pool = open_pool(3);
    for (int i = 0; i < 4; i++) {
        pushers[i].pool = pool;
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_main, &pushers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(pushers[i].thread, NULL);
    hd__pool_close(pool);
    assert_int_equal(n_done, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pushers[i % 4].tasks[i / 4].n_runs, 1);
}

/* ---- a task that pushes itself again: its node is its own once it runs ---- */

static hd_pool *again_pool;

static void again(hd_task_node *node)
{
    task *t = (task *)(void *)node;
    if (++t->n_runs < MANY)
        hd__pool_push(again_pool, node);
}

static void test_again(void **state)
{
    (void)state;
    task t = {.node.run = again};
    again_pool = open_pool(2);
    hd__pool_push(again_pool, &t.node);
    hd__pool_close(again_pool);
    assert_int_equal(t.n_runs, MANY);
}

/* ---- as many at once as there are threads ---- */

static _Atomic int n_inside, most_inside;

/* Waits until all of them are inside, at most ten seconds. */
static void meet(hd_task_node *node)
{
    task *t = (task *)(void *)node;
    const int inside = ++n_inside;
    if (inside > most_inside)
        most_inside = inside;
    for (int i = 0; i < 10000 && most_inside < t->number; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    n_inside--;
    n_done++;
}

/* A thread that is idle is for one task: those pushed behind it do not wait for its end when there may be more threads. */
static void test_all_threads(void **state)
{
    (void)state;
    enum { THREADS = 4, TASKS = 4 };
    task first = {.node.run = count}, tasks[TASKS];
    hd_pool *pool = open_pool(THREADS);
    hd__pool_push(pool, &first.node);
    while (n_done == 0)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    nanosleep(&(struct timespec){0, 10000000}, NULL); /* its thread is idle now */
    n_inside = most_inside = 0;
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (task){.node.run = meet, .number = THREADS};
        hd__pool_push(pool, &tasks[i].node);
    }
    hd__pool_close(pool);
    assert_int_equal(n_done, 1 + TASKS);
    assert_int_equal(most_inside, THREADS);
}

/* ---- without memory, without threads ---- */

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 2; n++) {
        hd_pool *pool;
        hd__alloc_fail_after(n, 1);
        const hd_status status = hd__pool_open("test", 4, &pool, &err);
        hd__alloc_fail_off();
        assert_int_equal(status, HD_ERR_MEMORY);
    }
    hd__pool_close(NULL);
}

static pthread_t runner;

static void note_thread(hd_task_node *node)
{
    (void)node;
    runner = pthread_self();
}

static void test_no_thread(void **state)
{
    (void)state;
    hd_task_node node = {.run = note_thread};
    pthread_attr_t usual, absurd; /* a stack for which there is no room in any address space */
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    pthread_attr_init(&absurd);
    assert_int_equal(pthread_attr_setstacksize(&absurd, (size_t)1 << 62), 0);
    hd_pool *pool = open_pool(2);
    assert_int_equal(pthread_setattr_default_np(&absurd), 0);
    hd__pool_push(pool, &node);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    assert_true(pthread_equal(runner, pthread_self()));
    hd__pool_push(pool, &node);
    hd__pool_close(pool);
    assert_false(pthread_equal(runner, pthread_self()));
    pthread_attr_destroy(&absurd);
    pthread_attr_destroy(&usual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),       cmocka_unit_test(test_many),      cmocka_unit_test(test_again),
        cmocka_unit_test(test_all_threads), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_no_thread),
    };
    return cmocka_run_group_tests_name("base_pool", tests, NULL, NULL);
}
