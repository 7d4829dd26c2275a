/* access.c - see access.h. Each byte has the stamps of its last write and of its last read: which block of which launch, how
 * many barriers of the block, and of the warp, before it, and which thread. Two accesses of a block's threads meet without
 * order when no barrier was between; those of two blocks of a launch always do.
 */
#include "access.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "grid.h"

#define PAGE ((size_t)4096)
#define ALIGNMENT ((size_t)256)
#define MOST_SPOILED ((size_t)1 << 20) /* what a test never touches costs it nothing */

/* Block (27 bits), the block's barriers (20), the warp's (5), who (12). */
#define BLOCK_SHIFT 37
#define INTERVAL_SHIFT 17
#define WARP_INTERVAL_SHIFT 12
#define ONE_LANE 0x000u      /* and the thread's number */
#define LANES_OF_WARP 0x400u /* and the warp's */
#define LANES_OF_BLOCK 0x800u
#define HOST ((uint64_t)1 << BLOCK_SHIFT)

typedef struct cell {
    uint64_t write, read;
} cell;

struct sim_memory {
    sim_memory *next;
    char *pages, *begin;
    size_t page_bytes, bytes;
    cell *cells; /* of each byte */
};

static sim_memory *all;

/* ---- memory ---- */

static void *map(size_t bytes, int protection)
{
    void *pages = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

sim_memory *sim_memory_new(size_t bytes)
{
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    sim_memory *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->bytes = bytes;
    m->page_bytes = (rounded + PAGE - 1) / PAGE * PAGE;
    m->pages = map(m->page_bytes + 2 * PAGE, PROT_NONE);
#ifdef SIM_CHECKS
    m->cells = map(bytes * sizeof(cell), PROT_READ | PROT_WRITE);
    if (m->cells == NULL)
        abort();
#endif
    if (m->pages == NULL)
        abort();
    m->begin = m->pages + PAGE + m->page_bytes - rounded;
    mprotect(m->pages + PAGE, m->page_bytes, PROT_READ | PROT_WRITE);
    memset(m->begin, 0xff, rounded < MOST_SPOILED ? rounded : MOST_SPOILED);
    mprotect(m->pages + PAGE, m->page_bytes, PROT_NONE);
    m->next = all;
    all = m;
    return m;
}

void sim_memory_free(sim_memory *m)
{
    sim_memory **at = &all;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    munmap(m->pages, m->page_bytes + 2 * PAGE);
    if (m->cells != NULL)
        munmap(m->cells, m->bytes * sizeof(cell));
    free(m);
}

char *sim_memory_address(const sim_memory *m)
{
    return m->begin;
}

sim_memory *sim_memory_find(const char *address)
{
    sim_memory *m = all;
    while (m != NULL && m->begin != address)
        m = m->next;
    return m;
}

static void protect(int protection)
{
    for (const sim_memory *m = all; m != NULL; m = m->next)
        mprotect(m->pages + PAGE, m->page_bytes, protection);
}

void sim_memory_open(void)
{
    protect(PROT_READ | PROT_WRITE);
}

void sim_memory_close(void)
{
    protect(PROT_NONE);
}

static sim_memory *memory_of(const char *address, size_t bytes)
{
    static sim_memory *last; /* the list's order is of no account: what was found is moved to its front */
    sim_memory **at = &all;
    if (all == NULL)
        return NULL;
    for (; *at != NULL; at = &(*at)->next) {
        sim_memory *m = *at;
        if (address < m->begin || address + bytes > m->begin + m->bytes)
            continue;
        if (m != last) {
            *at = m->next;
            m->next = all;
            all = last = m;
        }
        return m;
    }
    return NULL;
}

/* ---- what the driver and libraries do ---- */

void sim_check_range(const char *what, const void *address, size_t bytes, bool writes)
{
    const char *begin = address;
    sim_memory *m = memory_of(begin, bytes);
    if (m == NULL)
        sim_fault("%s: %zu bytes at %p are not of an allocation", what, bytes, address);
    for (size_t i = 0; m->cells != NULL && i < bytes; i++) {
        cell *c = &m->cells[begin - m->begin + (ptrdiff_t)i];
        if (!writes && c->write == 0)
            sim_fault("%s: byte %zu of %zu at %p was never written", what, i, bytes, address);
        if (writes)
            c->write = HOST;
    }
}

bool sim_check_is_written(const void *address, size_t bytes)
{
#ifdef SIM_CHECKS
    const char *begin = address;
    const sim_memory *m = memory_of(begin, bytes);
    for (size_t i = 0; m != NULL && i < bytes; i++) {
        if (m->cells[begin - m->begin + (ptrdiff_t)i].write == 0)
            return false;
    }
    return m != NULL;
#else
    (void)address, (void)bytes;
    return true;
#endif
}

#ifdef SIM_CHECKS
/* ---- what kernels do ---- */

static cell shared_cells[SIM_SHARED_BYTES + (256 << 10)]; /* and variables of all kernels */

static uint64_t stamp_of(const sim_place *p)
{
    if (p->block_serial >> (64 - BLOCK_SHIFT) != 0 || p->interval >> (BLOCK_SHIFT - INTERVAL_SHIFT) != 0)
        sim_fault("more blocks, or barriers in one, than stamps have room for");
    return (uint64_t)p->block_serial << BLOCK_SHIFT | (uint64_t)p->interval << INTERVAL_SHIFT |
           (uint64_t)(p->warp_interval % 32) << WARP_INTERVAL_SHIFT | p->thread;
}

/* Whether an access of that stamp and one of this thread are in no order. */
static bool meets(uint64_t stamp, uint64_t own, const sim_place *p, bool is_shared)
{
    const uint32_t who = stamp & 0xfff, warp = p->thread / SIM_LANES;
    if (stamp >> BLOCK_SHIFT != own >> BLOCK_SHIFT)
        return !is_shared && stamp >> BLOCK_SHIFT >= p->first_serial;
    if (stamp >> INTERVAL_SHIFT != own >> INTERVAL_SHIFT || who == p->thread)
        return false;
    if (who >= LANES_OF_BLOCK)
        return true;
    const uint32_t their_warp = who >= LANES_OF_WARP ? who - LANES_OF_WARP : who / SIM_LANES;
    return their_warp != warp || stamp >> WARP_INTERVAL_SHIFT == own >> WARP_INTERVAL_SHIFT;
}

/* The stamp of readers of one interval. */
static uint64_t with_reader(uint64_t before, uint64_t own, const sim_place *p)
{
    const uint32_t who = before & 0xfff, warp = p->thread / SIM_LANES;
    if (before >> INTERVAL_SHIFT != own >> INTERVAL_SHIFT || who == p->thread)
        return own;
    const bool same_warp = who < LANES_OF_BLOCK && (who >= LANES_OF_WARP ? who - LANES_OF_WARP : who / SIM_LANES) == warp;
    const uint64_t of_others = own & ~(uint64_t)0xfff;
    if (same_warp && before >> WARP_INTERVAL_SHIFT != own >> WARP_INTERVAL_SHIFT)
        return own; /* the warp has met since */
    return same_warp ? of_others | LANES_OF_WARP | warp : of_others | LANES_OF_BLOCK;
}

static void check_bytes(cell *cells, size_t n, bool writes, bool is_shared, const void *address)
{
    const char *where = is_shared ? "shared memory" : "memory";
    sim_place p;
    sim_grid_place(&p);
    const uint64_t own = stamp_of(&p);
    for (size_t i = 0; i < n; i++) {
        cell *c = &cells[i];
        if (!writes && (is_shared ? c->write >> BLOCK_SHIFT != p.block_serial : c->write == 0))
            sim_fault("reads %s at %p that was not written", where, address);
        if (meets(c->write, own, &p, is_shared))
            sim_fault("%s %s at %p that thread %u writes, without a barrier between", writes ? "writes" : "reads", where,
                      address, (unsigned)(c->write & 0xfff));
        if (writes && meets(c->read, own, &p, is_shared))
            sim_fault("writes %s at %p that others read (%03x), without a barrier between", where, address,
                      (unsigned)(c->read & 0xfff));
        if (writes)
            c->write = own;
        else
            c->read = with_reader(c->read, own, &p);
    }
}

static void check(const void *address, size_t bytes, bool writes)
{
    const char *at = address;
    char *begin, *end, *dynamic, *dynamic_end;
    if (sim_grid_is_own(at, bytes))
        return;
    if (bytes <= 16 && (uintptr_t)address % bytes != 0)
        sim_fault("%s %zu bytes at %p, which is no multiple of that", writes ? "writes" : "reads", bytes, address);
    sim_grid_shared(&begin, &end, &dynamic, &dynamic_end);
    if (end - begin > (ptrdiff_t)(sizeof shared_cells / sizeof shared_cells[0]))
        sim_fault("all kernels have %zu bytes of shared memory: more than access.c has room for", (size_t)(end - begin));
    if (at >= begin && at < end) {
        if (at >= dynamic_end && at < dynamic + SIM_SHARED_BYTES)
            sim_fault("byte %zu of shared memory is behind its end", (size_t)(at - dynamic));
        check_bytes(shared_cells + (at - begin), bytes, writes, true, address);
        return;
    }
    sim_memory *m = memory_of(at, bytes);
    if (m == NULL)
        sim_fault("%s %zu bytes at %p, which are not of the device", writes ? "writes" : "reads", bytes, address);
    check_bytes(m->cells + (at - m->begin), bytes, writes, false, address);
}

/* ---- what the compiler calls ---- */

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(const void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);

void __tsan_init(void) {}

void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void) {}

void __tsan_read_range(const void *address, size_t bytes)
{
    check(address, bytes, false);
}

void __tsan_write_range(void *address, size_t bytes)
{
    check(address, bytes, true);
}

#define ACCESS(name, bytes, writes)                                                                                         \
    void __tsan_##name(void *address);                                                                                      \
    void __tsan_##name(void *address)                                                                                       \
    {                                                                                                                       \
        check(address, bytes, writes);                                                                                      \
    }
#define ACCESSES(bytes)                                                                                                     \
    ACCESS(read##bytes, bytes, false)                                                                                       \
    ACCESS(write##bytes, bytes, true)                                                                                       \
    ACCESS(unaligned_read##bytes, bytes, false)                                                                             \
    ACCESS(unaligned_write##bytes, bytes, true)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
#endif
