/* alloc.c - see alloc.h. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_bool inject;
static atomic_uint_fast64_t n_asked;
static atomic_uint_fast64_t fail_from, fail_to; /* ordinals, counted by n_asked */
static _Thread_local const char *no_alloc_phase;

/* Counts one allocation; says whether it may go on. */
static bool granted(size_t bytes)
{
    if (no_alloc_phase != NULL) {
        fprintf(stderr, "heddle: bug: allocation of %zu bytes during '%s'\n", bytes, no_alloc_phase);
        abort();
    }
    uint64_t ordinal = atomic_fetch_add_explicit(&n_asked, 1, memory_order_relaxed);
    if (atomic_load_explicit(&inject, memory_order_relaxed))
        return ordinal < atomic_load(&fail_from) || ordinal >= atomic_load(&fail_to);
    return bytes <= PTRDIFF_MAX;
}

void *hd__malloc(size_t bytes)
{
    return granted(bytes) ? malloc(bytes != 0 ? bytes : 1) : NULL;
}

void *hd__calloc(size_t n, size_t bytes_each)
{
    return granted(hd__mul(n, bytes_each)) ? calloc(n != 0 ? n : 1, bytes_each != 0 ? bytes_each : 1) : NULL;
}

void *hd__realloc(void *ptr, size_t bytes)
{
    return granted(bytes) ? realloc(ptr, bytes != 0 ? bytes : 1) : NULL;
}

void *hd__malloc_aligned(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - 64 || !granted(bytes))
        return NULL;
    return aligned_alloc(64, hd__round_up(bytes != 0 ? bytes : 1, 64));
}

char *hd__strndup(const char *text, size_t len)
{
    char *copy = hd__malloc(hd__add(len, 1));
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *hd__strdup(const char *text)
{
    return hd__strndup(text, strlen(text));
}

void hd__free(void *ptr)
{
    free(ptr);
}

void *hd__map_alloc(size_t bytes)
{
    if (!granted(bytes))
        return NULL;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *ptr = mmap(NULL, bytes != 0 ? bytes : 1, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (ptr == MAP_FAILED)
        return NULL;
    return ptr;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

void hd__map_widen(void *ptr, size_t bytes)
{
    madvise(ptr, bytes, MADV_HUGEPAGE); /* no matter when it cannot be had */
    madvise(ptr, bytes, MADV_COLLAPSE);
}

void hd__map_free(void *ptr, size_t bytes)
{
    if (ptr != NULL)
        munmap(ptr, bytes != 0 ? bytes : 1);
}

void hd__alloc_fail_after(uint64_t n, uint64_t count)
{
    uint64_t from = atomic_load(&n_asked) + n;
    atomic_store(&fail_from, from);
    atomic_store(&fail_to, count > UINT64_MAX - from ? UINT64_MAX : from + count);
    atomic_store(&inject, true);
}

void hd__alloc_fail_off(void)
{
    atomic_store(&inject, false);
}

uint64_t hd__alloc_count(void)
{
    return atomic_load(&n_asked);
}

void hd__no_alloc_begin(const char *phase)
{
    no_alloc_phase = phase;
}

void hd__no_alloc_end(void)
{
    no_alloc_phase = NULL;
}
