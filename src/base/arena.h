/* arena.h - memory that goes all at once: bump allocation in growing blocks, with cleanups.
 *
 * One arena for each lifetime (process, model, batch, request). Not thread-safe: an arena has one owner.
 * Under AddressSanitizer each allocation is a block of its own, so that overruns are seen.
 */
#ifndef HD_BASE_ARENA_H
#define HD_BASE_ARENA_H

#include "base/status.h"

typedef struct hd_arena_block hd_arena_block;
typedef struct hd_arena_cleanup hd_arena_cleanup;

typedef struct hd_arena {
    hd_arena_block *blocks;     /* newest first */
    hd_arena_cleanup *cleanups; /* newest first */
    char *at, *end;             /* free part of the newest block */
    size_t used_bytes;          /* handed out since init or reset */
} hd_arena;

void hd__arena_init(hd_arena *arena);

/* Runs cleanups, newest first, and frees every block. The arena may be used again. */
void hd__arena_clear(hd_arena *arena);

/* Aligned to 16 bytes, not zeroed; NULL when there is no memory. */
void *hd__arena_alloc(hd_arena *arena, size_t bytes) __attribute__((malloc, alloc_size(2)));
void *hd__arena_calloc(hd_arena *arena, size_t n, size_t bytes_each);

/* NUL-terminated copy. */
char *hd__arena_strndup(hd_arena *arena, const char *text, size_t len);

/* printf into the arena. */
char *hd__arena_printf(hd_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls run(data) when the arena is cleared. HD_ERR_MEMORY: run was not registered and not called. */
HD_MUST_USE hd_status hd__arena_on_clear(hd_arena *arena, void (*run)(void *), void *data);

#endif
