/* alloc.h - the only way to the heap: failures can be injected, and hot phases prove they take nothing.
 *
 * Sizes of products go through hd__mul, so that an overflow is a failed allocation and not a short one.
 */
#ifndef HD_BASE_ALLOC_H
#define HD_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* a * b, or SIZE_MAX when that does not fit (which no allocation grants). */
static inline size_t hd__mul(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static inline size_t hd__add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* n rounded up to a multiple of `to`, a power of two. */
static inline size_t hd__round_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

/* Takes the next part of the block at *at, at a multiple of 64 bytes; with no base it only counts. Planning a block and
 * laying it out are then the same code. */
static inline void *hd__carve(char *base, size_t *at, size_t bytes)
{
    void *part = base != NULL ? base + *at : NULL;
    *at = hd__add(*at, hd__round_up(bytes, 64));
    return part;
}

void *hd__malloc(size_t bytes);
void *hd__calloc(size_t n, size_t bytes_each);
void *hd__realloc(void *ptr, size_t bytes);
void *hd__malloc_aligned(size_t bytes); /* at 64 bytes, a cache line and a vector; freed by hd__free */
char *hd__strdup(const char *text);
char *hd__strndup(const char *text, size_t len);
void hd__free(void *ptr);

/* Large zeroed blocks straight from the kernel: pages never touched cost nothing, and freeing gives them
 * back at once. Aligned to a page. */
void *hd__map_alloc(size_t bytes);

/* A block of hd__map_alloc in huge pages, as far as the kernel has them: fewer address translations. What was touched is
 * moved into such pages, the rest comes in them when it is touched, and takes longer to clear than a few small ones. */
void hd__map_widen(void *ptr, size_t bytes);
void hd__map_free(void *ptr, size_t bytes);

/* ---- for tests ---- */

/* Lets n more allocations succeed, then fails `count` of them (UINT64_MAX: all after that). Process wide. */
void hd__alloc_fail_after(uint64_t n, uint64_t count);
void hd__alloc_fail_off(void);
uint64_t hd__alloc_count(void); /* allocations asked for so far */

/* Between begin and end this thread must not allocate: a bug, so it aborts with the phase's name. */
void hd__no_alloc_begin(const char *phase);
void hd__no_alloc_end(void);

#endif
