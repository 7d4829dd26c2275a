/* block_list.h - the blocks of an extract while they are found. The error is sticky, as a buffer's is: a reader adds
 * blocks and asks `failed` once, at the end.
 */
#ifndef HD_INGEST_BLOCK_LIST_H
#define HD_INGEST_BLOCK_LIST_H

#include "ingest/extract.h"

typedef struct hd_block_list {
    hd_arena *arena;
    hd_block *items; /* [n], on the arena */
    size_t n, capacity;
    bool failed;
} hd_block_list;

/* Blocks without bytes are left out. */
void hd__block_list_add(hd_block_list *list, const hd_block *block);

/* Lines of a text, counted as far as was asked: offsets must not fall. */
typedef struct hd_line_counter {
    hd_span text;
    size_t at;
    uint32_t line; /* of `at`, from 1 */
} hd_line_counter;

uint32_t hd__line_of(hd_line_counter *counter, size_t offset);

/* Carriage returns that escapes of a format have put into a text become line ends, in place, so that offsets stay. */
void hd__line_ends(char *text, size_t len);

static inline bool hd__ascii_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether bytes of UTF-8 between begin and end are ASCII's white space, all. */
bool hd__ascii_is_blank(hd_span text);

/* Without white space (ASCII's) at either end. */
hd_span hd__ascii_trim(hd_span text);

#endif
