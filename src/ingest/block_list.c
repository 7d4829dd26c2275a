/* block_list.c - see block_list.h. */
#include "ingest/block_list.h"

#include "base/alloc.h"

void hd__block_list_add(hd_block_list *list, const hd_block *block)
{
    if (list->failed || block->begin >= block->end)
        return;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        hd_block *items = hd__arena_alloc(list->arena, hd__mul(capacity, sizeof *items));
        if (items == NULL) {
            list->failed = true;
            return;
        }
        if (list->n != 0)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = *block;
}

uint32_t hd__line_of(hd_line_counter *counter, size_t offset)
{
    while (counter->at < offset) {
        const char *newline = memchr(counter->text.ptr + counter->at, '\n', offset - counter->at);
        if (newline == NULL) {
            counter->at = offset;
        } else {
            counter->at = (size_t)(newline + 1 - counter->text.ptr);
            counter->line++;
        }
    }
    return counter->line;
}

bool hd__ascii_is_blank(hd_span text)
{
    return hd__ascii_trim(text).len == 0;
}

hd_span hd__ascii_trim(hd_span text)
{
    while (text.len > 0 && hd__ascii_is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && hd__ascii_is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

void hd__line_ends(char *text, size_t len)
{
    for (char *at = text; (at = memchr(at, '\r', (size_t)(text + len - at))) != NULL; at++)
        *at = at + 1 < text + len && at[1] == '\n' ? ' ' : '\n';
}
