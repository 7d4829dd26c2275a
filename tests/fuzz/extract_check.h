/* extract_check.h - what every extract keeps to, whatever the bytes: valid UTF-8 without zeros and carriage returns; blocks
 * in order, inside the text, with all that is not blank in one of them. */
#ifndef FUZZ_EXTRACT_CHECK_H
#define FUZZ_EXTRACT_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "ingest/block_list.h"
#include "ingest/extract.h"

static inline void check_text(const char *text)
{
    if (text != NULL && hd__utf8_valid_len(hd__span_of(text)) != strlen(text))
        abort();
}

static inline hd_status check_extract(const hd_extract *e, void *data, hd_error *err)
{
    (void)data;
    (void)err;
    check_text(e->title);
    check_text(e->author);
    check_text(e->metadata);
    check_text(e->id);
    check_text(e->url);
    if (hd__utf8_valid_len(e->text) != e->text.len)
        abort();
    if (e->text.len > 0 &&
        (memchr(e->text.ptr, '\0', e->text.len) != NULL || memchr(e->text.ptr, '\r', e->text.len) != NULL))
        abort();
    bool markdown = e->kind == HD_KIND_MARKDOWN;
    size_t at = 0;
    for (size_t i = 0; i < e->n_blocks; i++) {
        const hd_block *b = &e->blocks[i];
        if (b->begin < at || b->begin >= b->end || b->end > e->text.len || (b->kind == HD_BLOCK_HEADING && b->name == NULL))
            abort();
        if ((i > 0 || !markdown) && !hd__ascii_is_blank(hd__span(e->text.ptr + at, b->begin - at)))
            abort();
        check_text(b->name);
        at = b->end;
    }
    if ((e->n_blocks > 0 || !markdown) && !hd__ascii_is_blank(hd__span(e->text.ptr + at, e->text.len - at)))
        abort();
    return HD_OK;
}

static inline void extract_and_check(hd_span bytes, const char *name)
{
    hd_arena arena;
    hd_error err;
    hd__arena_init(&arena);
    hd_status status = hd__extract(bytes, name, NULL, &arena, check_extract, NULL, &err);
    if (status != HD_OK && (err.status != status || err.text[0] == '\0'))
        abort();
    hd__arena_clear(&arena);
}

#endif
