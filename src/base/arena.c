/* arena.c - see arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define HD_ARENA_FIRST_BYTES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HD_ARENA_FIRST_BYTES 0
#endif
#endif
#ifndef HD_ARENA_FIRST_BYTES
#define HD_ARENA_FIRST_BYTES 4096
#endif
#define HD_ARENA_MOST_BYTES (1u << 20)

struct hd_arena_block {
    hd_arena_block *next;
    size_t bytes;
};

struct hd_arena_cleanup {
    hd_arena_cleanup *next;
    void (*run)(void *);
    void *data;
};

void hd__arena_init(hd_arena *arena)
{
    *arena = (hd_arena){0};
}

void hd__arena_clear(hd_arena *arena)
{
    for (hd_arena_cleanup *c = arena->cleanups; c != NULL; c = c->next)
        c->run(c->data);
    for (hd_arena_block *block = arena->blocks; block != NULL;) {
        hd_arena_block *next = block->next;
        hd__free(block);
        block = next;
    }
    hd__arena_init(arena);
}

static bool grow(hd_arena *arena, size_t bytes)
{
    size_t last = arena->blocks != NULL ? arena->blocks->bytes : HD_ARENA_FIRST_BYTES / 2;
    size_t want = last < HD_ARENA_MOST_BYTES ? last * 2 : HD_ARENA_MOST_BYTES;
    if (HD_ARENA_FIRST_BYTES == 0 || want < bytes)
        want = bytes;
    hd_arena_block *block = hd__malloc_aligned(hd__add(want, 64));
    if (block == NULL)
        return false;
    *block = (hd_arena_block){.next = arena->blocks, .bytes = want};
    arena->blocks = block;
    arena->at = (char *)block + 64;
    arena->end = arena->at + want;
    return true;
}

void *hd__arena_alloc(hd_arena *arena, size_t bytes)
{
    if (bytes > PTRDIFF_MAX / 2)
        return NULL;
    bytes = hd__round_up(bytes != 0 ? bytes : 1, 16);
    if ((size_t)(arena->end - arena->at) < bytes && !grow(arena, bytes))
        return NULL;
    void *ptr = arena->at;
    arena->at += bytes;
    arena->used_bytes += bytes;
    return ptr;
}

void *hd__arena_calloc(hd_arena *arena, size_t n, size_t bytes_each)
{
    size_t bytes = hd__mul(n, bytes_each);
    void *ptr = hd__arena_alloc(arena, bytes);
    return ptr != NULL ? memset(ptr, 0, bytes) : NULL;
}

char *hd__arena_strndup(hd_arena *arena, const char *text, size_t len)
{
    char *copy = hd__arena_alloc(arena, hd__add(len, 1));
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *hd__arena_printf(hd_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : hd__arena_alloc(arena, (size_t)n + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

hd_status hd__arena_on_clear(hd_arena *arena, void (*run)(void *), void *data)
{
    hd_arena_cleanup *c = hd__arena_alloc(arena, sizeof *c);
    if (c == NULL)
        return HD_ERR_MEMORY;
    *c = (hd_arena_cleanup){.next = arena->cleanups, .run = run, .data = data};
    arena->cleanups = c;
    return HD_OK;
}
