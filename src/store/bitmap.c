/* bitmap.c - see bitmap.h. */
#include "store/bitmap.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

hd_status hd__bitmap_init(hd_bitmap *set, uint32_t n, hd_error *err)
{
    const size_t n_words = hd__bitmap_n_words(n);
    uint64_t *words = hd__calloc(n_words > 0 ? n_words : 1, sizeof *words);
    if (words == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a set of %u chunks", n);
    *set = (hd_bitmap){.words = words, .n = n};
    return HD_OK;
}

void hd__bitmap_clear(hd_bitmap *set)
{
    hd__free(set->words);
    *set = (hd_bitmap){0};
}

hd_status hd__bitmap_copy(hd_bitmap *to, const hd_bitmap *from, hd_error *err)
{
    HD_TRY(hd__bitmap_init(to, from->n, err));
    memcpy(to->words, from->words, hd__bitmap_n_words(from->n) * sizeof *to->words);
    to->n_set = from->n_set;
    return HD_OK;
}

hd_status hd__bitmap_grow(hd_bitmap *set, uint32_t n, hd_error *err)
{
    assert(n >= set->n);
    const size_t before = hd__bitmap_n_words(set->n), after = hd__bitmap_n_words(n);
    if (after > before) {
        uint64_t *words = hd__realloc(set->words, hd__mul(after, sizeof *words));
        if (words == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a set of %u chunks", n);
        memset(words + before, 0, (after - before) * sizeof *words);
        set->words = words;
    }
    set->n = n;
    return HD_OK;
}

void hd__bitmap_set_range(hd_bitmap *set, uint32_t begin, uint32_t end, bool in)
{
    assert(end <= set->n);
    for (uint64_t at = begin; at < end;) {
        const uint64_t word_end = at / 64 * 64 + 64, stop = word_end < end ? word_end : end;
        const uint64_t width = stop - at; /* 1 to 64 */
        const uint64_t mask = (width < 64 ? ((uint64_t)1 << width) - 1 : UINT64_MAX) << (at % 64);
        uint64_t *word = &set->words[at / 64];
        const uint64_t changed = in ? mask & ~*word : mask & *word;
        const uint32_t n_changed = (uint32_t)__builtin_popcountll(changed);
        set->n_set = in ? set->n_set + n_changed : set->n_set - n_changed;
        *word ^= changed;
        at = stop;
    }
}

void hd__bitmap_recount(hd_bitmap *set)
{
    uint32_t n_set = 0;
    for (size_t i = 0; i < hd__bitmap_n_words(set->n); i++)
        n_set += (uint32_t)__builtin_popcountll(set->words[i]);
    set->n_set = n_set;
}

hd_status hd__bitmap_ranks_init(hd_bitmap_ranks *ranks, const hd_bitmap *set, hd_error *err)
{
    const size_t n_words = hd__bitmap_n_words(set->n);
    *ranks = (hd_bitmap_ranks){set, hd__malloc((n_words + 1) * sizeof *ranks->before)};
    if (ranks->before == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a set of %u chunks", set->n);
    uint32_t n = 0;
    for (size_t i = 0; i < n_words; i++) {
        ranks->before[i] = n;
        n += (uint32_t)__builtin_popcountll(set->words[i]);
    }
    return HD_OK;
}

void hd__bitmap_ranks_clear(hd_bitmap_ranks *ranks)
{
    hd__free(ranks->before);
    *ranks = (hd_bitmap_ranks){0};
}
