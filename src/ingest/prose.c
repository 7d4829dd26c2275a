/* prose.c - see prose.h. */
#include "ingest/prose.h"

#include "base/limits.h"

void hd__prose_init(hd_prose *prose, hd_arena *arena)
{
    *prose = (hd_prose){.blocks = {.arena = arena}};
    hd__buffer_init(&prose->text);
}

void hd__prose_clear(hd_prose *prose)
{
    hd__buffer_clear(&prose->text);
}

void hd__prose_begin(hd_prose *prose, hd_block_kind kind, uint32_t level, uint32_t line)
{
    hd__prose_end(prose);
    prose->open = true;
    prose->space = prose->row = prose->cell = false;
    prose->prefix[0] = '\0';
    prose->block = (hd_block){.kind = kind, .level = level, .line = line, .page = prose->page, .begin = UINT32_MAX};
}

void hd__prose_prefix(hd_prose *prose, const char *prefix)
{
    snprintf(prose->prefix, sizeof prose->prefix, "%s", prefix);
}

/* What stands before the first text of a block: the distance to the one above, and its prefix. */
static void start(hd_prose *prose)
{
    if (prose->blocks.n > 0) {
        bool items =
            prose->block.kind == HD_BLOCK_LIST_ITEM && prose->blocks.items[prose->blocks.n - 1].kind == HD_BLOCK_LIST_ITEM;
        hd__buffer_append_text(&prose->text, items ? "\n" : "\n\n");
    }
    prose->block.begin = (uint32_t)prose->text.len;
    hd__buffer_append_text(&prose->text, prose->prefix);
    prose->prefix_at = prose->row_at = prose->text.len;
    prose->space = false;
}

/* Before something is written: opens and starts the block, separates cells. False when no more is taken. */
static bool ready(hd_prose *prose)
{
    if (prose->text.len > HD_LIMIT_DOCUMENT_BYTES)
        prose->too_long = true;
    if (prose->too_long || prose->text.failed)
        return false;
    if (!prose->open)
        hd__prose_begin(prose, HD_BLOCK_PARAGRAPH, 0, prose->line);
    if (prose->block.begin == UINT32_MAX)
        start(prose);
    return true;
}

void hd__prose_text(hd_prose *prose, hd_span text)
{
    bool code = prose->open && prose->block.kind == HD_BLOCK_CODE;
    if (code && prose->block.begin == UINT32_MAX && hd__span_begins(text, "\n")) /* after <pre> */
        text = hd__span(text.ptr + 1, text.len - 1);
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        if (!code && hd__ascii_is_space(text.ptr[at])) {
            prose->space = true;
            at++;
            continue;
        }
        while (end < text.len && (code || !hd__ascii_is_space(text.ptr[end])))
            end++;
        if (!ready(prose))
            return;
        if (prose->space && prose->text.len > prose->prefix_at && prose->text.ptr[prose->text.len - 1] != '\n')
            hd__buffer_append_char(&prose->text, ' ');
        prose->space = false;
        prose->row = true;
        hd__buffer_append(&prose->text, text.ptr + at, end - at);
        at = end;
    }
}

void hd__prose_space(hd_prose *prose)
{
    prose->space = true;
}

void hd__prose_break(hd_prose *prose)
{
    if (prose->open && prose->block.begin != UINT32_MAX && prose->text.len > prose->prefix_at &&
        prose->text.ptr[prose->text.len - 1] != '\n' && prose->block.kind != HD_BLOCK_HEADING)
        hd__buffer_append_char(&prose->text, '\n');
    prose->space = true;
}

void hd__prose_row(hd_prose *prose)
{
    if (prose->open && prose->block.begin != UINT32_MAX) {
        if (!prose->row) /* empty cells alone */
            prose->text.len = prose->row_at;
        hd__prose_break(prose);
        prose->row_at = prose->text.len;
    }
    prose->row = prose->cell = false;
}

void hd__prose_cell(hd_prose *prose)
{
    if (prose->cell && ready(prose)) {
        hd__buffer_append_text(&prose->text, prose->text.len > prose->row_at ? " |" : "|");
        prose->space = true;
    }
    prose->cell = true;
}

void hd__prose_end(hd_prose *prose)
{
    if (!prose->open)
        return;
    if (prose->block.kind == HD_BLOCK_TABLE)
        hd__prose_row(prose);
    prose->open = false;
    if (prose->block.begin == UINT32_MAX || prose->text.failed)
        return;
    while (prose->text.len > prose->prefix_at && hd__ascii_is_space(prose->text.ptr[prose->text.len - 1]))
        prose->text.len--;
    hd_span all = hd__span(prose->text.ptr + prose->block.begin, prose->text.len - prose->block.begin);
    size_t before = prose->blocks.n > 0 ? prose->blocks.items[prose->blocks.n - 1].end : 0;
    if (prose->text.len == prose->prefix_at || prose->too_long) { /* a prefix alone, or cut anywhere */
        prose->text.len = before;
        return;
    }
    if (prose->block.kind == HD_BLOCK_HEADING) {
        prose->block.name = hd__arena_strndup(prose->blocks.arena, all.ptr, all.len);
        prose->blocks.failed |= prose->block.name == NULL;
    }
    prose->block.end = (uint32_t)prose->text.len;
    hd__block_list_add(&prose->blocks, &prose->block);
}

void hd__prose_filter(hd_prose *prose, bool (*keep)(const hd_block *block))
{
    hd__prose_end(prose);
    size_t n = 0, len = 0;
    for (size_t i = 0; i < prose->blocks.n && !prose->blocks.failed; i++) {
        hd_block block = prose->blocks.items[i];
        if (!keep(&block))
            continue;
        size_t bytes = block.end - block.begin;
        if (n > 0) {
            bool items = block.kind == HD_BLOCK_LIST_ITEM && prose->blocks.items[n - 1].kind == HD_BLOCK_LIST_ITEM;
            memcpy(prose->text.ptr + len, "\n\n", items ? 1 : 2); /* never more than stood there */
            len += items ? 1 : 2;
        }
        memmove(prose->text.ptr + len, prose->text.ptr + block.begin, bytes);
        block.begin = (uint32_t)len;
        len += bytes;
        block.end = (uint32_t)len;
        prose->blocks.items[n++] = block;
    }
    prose->blocks.n = n;
    prose->text.len = len;
}

hd_status hd__prose_end_document(hd_prose *prose, hd_reader *reader, hd_error *err)
{
    hd__prose_end(prose);
    if (prose->too_long)
        return hd__fail(err, HD_ERR_LIMIT, "more than %u bytes of text", HD_LIMIT_DOCUMENT_BYTES);
    hd_span text = prose->text.len > 0 ? hd__buffer_span(&prose->text) : hd__span("", 0);
    char *copy = prose->text.failed ? NULL : hd__arena_strndup(reader->arena, text.ptr, text.len);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of text", text.len);
    hd__line_ends(copy, text.len);
    reader->extract->text = hd__span(copy, text.len);
    return hd__reader_end(reader, &prose->blocks, err);
}
