/* An extract as text that a test can hold against what it expects: a line of what it is, then a line for each block,
 *   KIND level @line[/page] <name> |the block's text, its line ends as \n|
 */
#ifndef UNIT_EXTRACT_DUMP_H
#define UNIT_EXTRACT_DUMP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/block_list.h"
#include "ingest/extract.h"

static hd_error err;

/* What every extract must keep to: valid UTF-8 without zeros and \r; blocks in order that cover all but blanks. */
static inline void check_extract(const hd_extract *e)
{
    assert_int_equal(hd__utf8_valid_len(e->text), e->text.len);
    if (e->text.len > 0) {
        assert_null(memchr(e->text.ptr, '\0', e->text.len));
        assert_null(memchr(e->text.ptr, '\r', e->text.len));
    }
    size_t at = 0;
    for (size_t i = 0; i < e->n_blocks; i++) {
        const hd_block *b = &e->blocks[i];
        assert_true(b->begin >= at && b->begin < b->end && b->end <= e->text.len);
        if (i > 0 || e->kind != HD_KIND_MARKDOWN)
            assert_true(hd__ascii_is_blank(hd__span(e->text.ptr + at, b->begin - at)));
        assert_true(b->kind != HD_BLOCK_HEADING || b->name != NULL);
        at = b->end;
    }
    if (e->n_blocks > 0 || e->kind != HD_KIND_MARKDOWN)
        assert_true(hd__ascii_is_blank(hd__span(e->text.ptr + at, e->text.len - at)));
}

static inline void dump_text(hd_buffer *out, hd_span text)
{
    hd__buffer_append_char(out, '|');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n')
            hd__buffer_append_text(out, "\\n");
        else
            hd__buffer_append_char(out, text.ptr[i]);
    }
    hd__buffer_append_text(out, "|\n");
}

static inline hd_status dump_document(const hd_extract *e, void *data, hd_error *unused)
{
    static const char *const kinds[] = {"P", "H", "CODE", "TABLE", "ITEM"};
    hd_buffer *out = data;
    (void)unused;
    check_extract(e);
    hd__buffer_printf(out, "%s", e->mime);
    if (e->title[0] != '\0')
        hd__buffer_printf(out, " title=%s", e->title);
    if (e->author[0] != '\0')
        hd__buffer_printf(out, " author=%s", e->author);
    if (e->id != NULL)
        hd__buffer_printf(out, " id=%s", e->id);
    if (e->url != NULL)
        hd__buffer_printf(out, " url=%s", e->url);
    if (e->source != NULL)
        hd__buffer_printf(out, " source=%s", e->source);
    if (e->created_at != 0)
        hd__buffer_printf(out, " created=%lld", (long long)e->created_at);
    if (e->metadata != NULL)
        hd__buffer_printf(out, " %s", e->metadata);
    hd__buffer_append_char(out, '\n');
    for (size_t i = 0; i < e->n_blocks; i++) {
        const hd_block *b = &e->blocks[i];
        hd__buffer_printf(out, "%s %u @%u", kinds[b->kind], b->level, b->line);
        if (b->page != 0)
            hd__buffer_printf(out, "/%u", b->page);
        if (b->name != NULL)
            hd__buffer_printf(out, " <%s>", b->name);
        hd__buffer_append_char(out, ' ');
        dump_text(out, hd__span(e->text.ptr + b->begin, b->end - b->begin));
    }
    return HD_OK;
}

/* The dump of all documents in the bytes, which are copied so that reads past their end are seen; free it. */
static inline char *dump(hd_span bytes, const char *name, const char *mime, hd_status *status)
{
    hd_arena arena;
    hd_buffer out;
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    hd__arena_init(&arena);
    hd__buffer_init(&out);
    memset(&err, 0, sizeof err);
    *status = hd__extract(hd__span(copy, bytes.len), name, mime, &arena, dump_document, &out, &err);
    hd__buffer_append_char(&out, '\0');
    char *text = strdup(out.ptr);
    hd__buffer_clear(&out);
    hd__arena_clear(&arena);
    free(copy);
    return text;
}

static inline void gives(hd_span bytes, const char *name, const char *expected)
{
    hd_status status;
    char *text = dump(bytes, name, NULL, &status);
    if (status != HD_OK || strcmp(text, expected) != 0)
        fail_msg("%s: status %d \"%s\", found\n%s\nexpected\n%s", name, (int)status, err.text, text, expected);
    free(text);
}

static inline void text_gives(const char *bytes, const char *name, const char *expected)
{
    gives(hd__span_of(bytes), name, expected);
}

static inline void refuses(hd_span bytes, const char *name, hd_status wanted, const char *says)
{
    hd_status status;
    char *text = dump(bytes, name, NULL, &status);
    if (status != wanted || strstr(err.text, says) == NULL)
        fail_msg("%s: status %d \"%s\", wanted %d \"%s\"", name, (int)status, err.text, (int)wanted, says);
    free(text);
}

#endif
