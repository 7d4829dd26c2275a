/* regex_memory.h - PCRE2's memory from this library's heap. */
#ifndef HD_BASE_REGEX_MEMORY_H
#define HD_BASE_REGEX_MEMORY_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/alloc.h"

static inline void *hd__regex_malloc(size_t bytes, void *unused)
{
    (void)unused;
    return hd__malloc(bytes);
}

static inline void hd__regex_free(void *memory, void *unused)
{
    (void)unused;
    hd__free(memory);
}

/* Freed by pcre2_general_context_free; NULL: no memory. */
static inline pcre2_general_context *hd__regex_memory(void)
{
    return pcre2_general_context_create(hd__regex_malloc, hd__regex_free, NULL);
}

#endif
