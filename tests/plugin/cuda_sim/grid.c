/* grid.c - see grid.h. A thread's stack and fiber are made once and serve all launches.
 */
#include "grid.h"

#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"

typedef enum thread_state { READY, AT_BARRIER, AT_BARRIER_AND, AT_EXCHANGE, AT_WARP_BARRIER, DONE } thread_state;

typedef struct thread {
    sim_dims index;
    thread_state state;
    int vote;
    unsigned n_exchanges;
    char *stack; /* NULL: it never ran */
    fiber_place jump;
} thread;

typedef struct warp {
    unsigned n_waiting, interval;
    sim_words words[2][SIM_LANES]; /* of exchanges of even and of odd number */
} warp;

sim_machine sim_now;
_Alignas(16) _Thread_local float shared[SIM_SHARED_BYTES / sizeof(float)]; /* what kernels call extern __shared__ */

static thread threads[SIM_MOST_THREADS];
static warp warps[SIM_MOST_THREADS / SIM_LANES];
static const sim_launch *now;
static unsigned n_threads, current;
static int votes;
static sim_place place = {.block_serial = 1};
static fiber_place scheduler;
static bool is_descending;
static uint32_t seed; /* 0: not shuffled */

void sim_fault(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "simulated GPU: ");
    if (now != NULL)
        fprintf(stderr, "%s, block (%u, %u), thread (%u, %u): ", now->kernel->name, sim_now.block.x, sim_now.block.y,
                threads[current].index.x, threads[current].index.y);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    abort();
}

/* ---- fibers ---- */

/* A thread of all launches. */
static void live(unsigned number)
{
    for (;;) {
        now->kernel->run(now->parameters);
        threads[number].state = DONE;
        fiber_change(threads[number].jump, scheduler);
    }
}

/* Until the thread waits or ends. */
static void resume(unsigned number)
{
    current = number;
    sim_now.thread = &threads[number].index;
    if (threads[number].stack != NULL) {
        fiber_change(scheduler, threads[number].jump);
        return;
    }
    threads[number].stack = fiber_stack();
    fiber_begin(scheduler, threads[number].stack, live, number);
}

static void wait_as(thread_state state)
{
    threads[current].state = state;
    fiber_change(threads[current].jump, scheduler);
}

/* ---- what threads wait for ---- */

void sim_barrier(void)
{
    wait_as(AT_BARRIER);
}

int sim_barrier_and(int value)
{
    threads[current].vote = value;
    wait_as(AT_BARRIER_AND);
    return votes;
}

/* With the last lane all go on. */
static void wait_for_warp(uint32_t mask, thread_state state)
{
    const unsigned first = current / SIM_LANES * SIM_LANES;
    warp *w = &warps[current / SIM_LANES];
    if (mask != 0xffffffffu || first + SIM_LANES > n_threads)
        sim_fault("lanes %08x of a warp of %u are to meet", mask, n_threads - first);
    if (++w->n_waiting < SIM_LANES) {
        wait_as(state);
        return;
    }
    w->n_waiting = 0;
    for (unsigned i = first; i < first + SIM_LANES; i++) {
        if (i != current && threads[i].state != state)
            sim_fault("thread %u of the warp waits for something else", i);
        threads[i].state = READY;
    }
    w->interval += state == AT_WARP_BARRIER;
}

void sim_warp_barrier(uint32_t mask)
{
    wait_for_warp(mask, AT_WARP_BARRIER);
}

/* A lane is at most one exchange ahead of the others of its warp. */
const sim_words *sim_exchange(uint32_t mask, const uint32_t *words, size_t n)
{
    thread *t = &threads[current];
    sim_words *all = warps[current / SIM_LANES].words[t->n_exchanges++ % 2];
    memcpy(all[current % SIM_LANES], words, n * sizeof *words);
    wait_for_warp(mask, AT_EXCHANGE);
    return (const sim_words *)all;
}

/* All are at one barrier, or something is wrong. */
static void release_barrier(void)
{
    const thread_state state = threads[0].state;
    votes = 1;
    for (unsigned i = 0; i < n_threads; i++) {
        current = i;
        if (threads[i].state != state || (state != AT_BARRIER && state != AT_BARRIER_AND))
            sim_fault("the block stands still: threads 0 and %u are in states %d and %d (see thread_state)", i, (int)state,
                      (int)threads[i].state);
        votes = votes && threads[i].vote;
        threads[i].state = READY;
    }
    place.interval++;
}

/* ---- orders ---- */

void sim_grid_order(const char *order)
{
    is_descending = order != NULL && strcmp(order, "descending") == 0;
    seed = order != NULL ? (uint32_t)strtoul(order, NULL, 10) : 0;
}

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u; /* Numerical Recipes' */
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static void make_order(unsigned *order, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        order[i] = is_descending ? n - 1 - i : i;
    for (unsigned i = n; seed != 0 && i > 1; i--) {
        const unsigned other = random_below(i), before = order[other];
        order[other] = order[i - 1];
        order[i - 1] = before;
    }
}

/* ---- shared memory ---- */

static int find_own_variables(struct dl_phdr_info *info, size_t bytes, void *data)
{
    (void)bytes;
    char **range = data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_TLS || info->dlpi_tls_data == NULL)
            continue;
        char *begin = info->dlpi_tls_data;
        if ((char *)shared >= begin && (char *)shared < begin + h->p_memsz) {
            range[0] = begin;
            range[1] = begin + h->p_memsz;
            return 1;
        }
    }
    return 0;
}

void sim_grid_shared(char **begin, char **end, char **dynamic, char **dynamic_end)
{
    static char *range[2];
    static const float *of; /* the thread of the host that the range is of */
    if (of != shared) {
        of = shared;
        dl_iterate_phdr(find_own_variables, range);
    }
    *begin = range[0];
    *end = range[1];
    *dynamic = (char *)shared;
    *dynamic_end = *dynamic + (now != NULL ? now->shared_bytes : 0);
}

/* What a block finds in shared memory is anything: NaNs. */
static void spoil_shared(void)
{
    char *begin, *end, *dynamic, *dynamic_end;
    sim_grid_shared(&begin, &end, &dynamic, &dynamic_end);
    memset(begin, 0xff, (size_t)(dynamic - begin));
    memset(dynamic, 0xff, (size_t)(dynamic_end - dynamic));
    memset(dynamic + sizeof shared, 0xff, (size_t)(end - dynamic) - sizeof shared);
}

/* ---- blocks ---- */

static void run_warp(unsigned number, const unsigned *lanes)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < SIM_LANES; i++) {
            const unsigned t = number * SIM_LANES + lanes[i];
            if (t < n_threads && threads[t].state == READY) {
                resume(t);
                moved = true;
            }
        }
    }
}

static void run_block(void)
{
    unsigned lanes[SIM_LANES], order[SIM_MOST_THREADS / SIM_LANES];
    const unsigned n_warps = (n_threads + SIM_LANES - 1) / SIM_LANES;
    spoil_shared();
    place.block_serial++;
    place.interval = 0;
    for (unsigned i = 0; i < n_threads; i++)
        threads[i].state = READY;
    for (unsigned i = 0; i < n_warps; i++)
        warps[i].n_waiting = warps[i].interval = 0;
    for (;;) {
        unsigned n_done = 0;
        make_order(lanes, SIM_LANES);
        make_order(order, n_warps);
        for (unsigned i = 0; i < n_warps; i++)
            run_warp(order[i], lanes);
        for (unsigned i = 0; i < n_threads; i++)
            n_done += threads[i].state == DONE;
        if (n_done == n_threads)
            return;
        release_barrier();
    }
}

void sim_grid_run(const sim_launch *launch)
{
    const sim_dims n = launch->threads;
    now = launch;
    n_threads = n.x * n.y * n.z;
    for (unsigned i = 0; i < n_threads; i++) {
        threads[i].index = (sim_dims){i % n.x, i / n.x % n.y, i / (n.x * n.y)};
        threads[i].n_exchanges = 0;
    }
    sim_now.n_threads = launch->threads;
    sim_now.n_blocks = launch->blocks;
    place.first_serial = place.block_serial + 1;
    const uint64_t n_blocks = (uint64_t)launch->blocks.x * launch->blocks.y;
    for (uint64_t i = 0; i < n_blocks; i++) {
        const uint64_t at = is_descending ? n_blocks - 1 - i : i;
        sim_now.block = (sim_dims){(unsigned)(at % launch->blocks.x), (unsigned)(at / launch->blocks.x), 0};
        run_block();
    }
    now = NULL;
}

/* ---- for access.c ---- */

void sim_grid_place(sim_place *out)
{
    *out = place;
    out->warp_interval = warps[current / SIM_LANES].interval;
    out->thread = current;
}

int sim_grid_is_own(const char *address, size_t bytes)
{
    const char *stack = threads[current].stack;
    const char *parameters = now->parameters;
    return (address >= stack && address + bytes <= stack + FIBER_STACK_BYTES) ||
           (address >= parameters && address + bytes <= parameters + now->kernel->parameter_bytes) ||
           (address >= (const char *)&sim_now && address < (const char *)(&sim_now + 1)) ||
           (address >= (const char *)warps && address < (const char *)(warps + SIM_MOST_THREADS / SIM_LANES)) ||
           (address >= (const char *)threads && address < (const char *)(threads + SIM_MOST_THREADS));
}
