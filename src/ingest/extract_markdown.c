/* extract_markdown.c - CommonMark with GitHub's tables, by md4c.
 *
 * The text of the extract is the file's own. md4c hands out pieces of it in order, each in its block; a block here is made
 * of whole lines, from its first piece to its last. Lines between blocks that md4c has no text for (fences, underlines of
 * headings, rules, definitions of links) belong to the block before them, but for the fence that opens a code block.
 *
 * Source: CommonMark 0.31 (https://spec.commonmark.org), md4c.h.
 *
 * A file with a paragraph that would take too long is read as paragraphs alone.
 */
#include <md4c.h>

#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/front_matter.h"
#include "ingest/reader.h"

typedef struct markdown {
    hd_span text; /* after the front matter */
    hd_arena *arena;
    hd_block_list found; /* begin and end are those of the first and the last piece; `page` says whether it is fenced */
    hd_block block;      /* being read */
    bool open;
    hd_buffer name; /* of the heading being read */
    uint32_t list_depth, item_depth;
    uint64_t work, most_work; /* callbacks, and bytes that links repeat */
} markdown;

static void close_block(markdown *m)
{
    if (m->open && m->block.kind == HD_BLOCK_HEADING) {
        hd_span name = hd__ascii_trim(hd__buffer_span(&m->name));
        m->block.name = hd__arena_strndup(m->arena, name.len != 0 ? name.ptr : "", name.len);
        m->found.failed |= m->name.failed || m->block.name == NULL;
    }
    if (m->open)
        hd__block_list_add(&m->found, &m->block);
    m->open = false;
}

static void open_block(markdown *m, hd_block_kind kind, uint32_t level)
{
    close_block(m);
    m->open = true;
    m->block = (hd_block){.kind = kind, .begin = UINT32_MAX, .level = level};
    hd__buffer_reset(&m->name);
}

static int count(markdown *m, uint64_t work)
{
    m->work += work;
    return m->work > m->most_work;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *data)
{
    markdown *m = data;
    switch (type) {
    case MD_BLOCK_UL:
    case MD_BLOCK_OL: m->list_depth++; break;
    case MD_BLOCK_LI:
        m->item_depth++;
        open_block(m, HD_BLOCK_LIST_ITEM, m->list_depth - 1);
        break;
    case MD_BLOCK_H: open_block(m, HD_BLOCK_HEADING, ((const MD_BLOCK_H_DETAIL *)detail)->level); break;
    case MD_BLOCK_CODE:
        open_block(m, HD_BLOCK_CODE, 0);
        m->block.page = ((const MD_BLOCK_CODE_DETAIL *)detail)->fence_char != '\0';
        break;
    case MD_BLOCK_TABLE: open_block(m, HD_BLOCK_TABLE, 0); break;
    case MD_BLOCK_P:
    case MD_BLOCK_HTML:
        if (m->item_depth == 0)
            open_block(m, HD_BLOCK_PARAGRAPH, 0);
        else if (!m->open)
            open_block(m, HD_BLOCK_LIST_ITEM, m->list_depth - 1);
        break;
    default: break;
    }
    return count(m, 1);
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *data)
{
    markdown *m = data;
    (void)detail;
    if (type == MD_BLOCK_UL || type == MD_BLOCK_OL)
        m->list_depth--;
    if (type == MD_BLOCK_LI)
        m->item_depth--;
    if (type == MD_BLOCK_LI || type == MD_BLOCK_H || type == MD_BLOCK_CODE || type == MD_BLOCK_TABLE ||
        ((type == MD_BLOCK_P || type == MD_BLOCK_HTML) && m->item_depth == 0))
        close_block(m);
    return count(m, 1);
}

static int enter_span(MD_SPANTYPE type, void *detail, void *data)
{
    uint64_t work = 1;
    if (type == MD_SPAN_A)
        work += ((const MD_SPAN_A_DETAIL *)detail)->href.size + ((const MD_SPAN_A_DETAIL *)detail)->title.size;
    else if (type == MD_SPAN_IMG)
        work += ((const MD_SPAN_IMG_DETAIL *)detail)->src.size + ((const MD_SPAN_IMG_DETAIL *)detail)->title.size;
    return count(data, work);
}

static int leave_span(MD_SPANTYPE type, void *detail, void *data)
{
    (void)type;
    (void)detail;
    return count(data, 1);
}

/* The entities that prose has; others stay as they are written. */
static void append_entity(hd_buffer *name, hd_span entity)
{
    static const struct {
        const char *entity, *text;
    } known[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&nbsp;", " "}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (hd__span_is(entity, known[i].entity)) {
            hd__buffer_append_text(name, known[i].text);
            return;
        }
    }
    hd__buffer_append(name, entity.ptr, entity.len);
}

static int text_piece(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *data)
{
    markdown *m = data;
    uintptr_t begin = (uintptr_t)m->text.ptr, at = (uintptr_t)text;
    if (!m->open) /* of a list's item whose paragraphs have no block of their own */
        open_block(m, m->item_depth > 0 ? HD_BLOCK_LIST_ITEM : HD_BLOCK_PARAGRAPH,
                   m->list_depth > 0 ? m->list_depth - 1 : 0);
    if (m->block.kind == HD_BLOCK_HEADING) {
        if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR)
            hd__buffer_append_char(&m->name, ' ');
        else if (type == MD_TEXT_ENTITY)
            append_entity(&m->name, hd__span(text, size));
        else if (type != MD_TEXT_HTML)
            hd__buffer_append(&m->name, text, size);
    }
    if (size > 0 && at >= begin && at + size <= begin + m->text.len) { /* line ends and spaces may be md4c's own */
        uint32_t first = (uint32_t)(at - begin);
        m->block.begin = first < m->block.begin ? first : m->block.begin;
        m->block.end = first + size > m->block.end ? first + size : m->block.end;
    }
    return count(m, 1);
}

/* ---- from pieces to lines ---- */

static size_t line_begin(hd_span text, size_t at)
{
    const char *newline = at > 0 ? memrchr(text.ptr, '\n', at) : NULL;
    return newline != NULL ? (size_t)(newline + 1 - text.ptr) : 0;
}

static size_t line_end(hd_span text, size_t at)
{
    const char *newline = memchr(text.ptr + at, '\n', text.len - at);
    return newline != NULL ? (size_t)(newline - text.ptr) : text.len;
}

/* The line of the fence above a code block: the last one that is not blank between `from` and the block. */
static size_t fence_begin(hd_span text, size_t from, size_t block)
{
    size_t at = block;
    while (at > from) {
        size_t begin = line_begin(text, at - 1);
        if (begin < from)
            break;
        if (!hd__ascii_is_blank(hd__span(text.ptr + begin, at - begin)))
            return begin;
        at = begin;
    }
    return block;
}

/* Blocks as whole lines of the text that begins at `offset` in the file's. */
static void add_lines(const markdown *m, hd_span file, size_t offset, hd_block_list *blocks)
{
    hd_line_counter lines = {file, 0, 1};
    size_t done = 0; /* all before is in a block */
    for (size_t i = 0; i < m->found.n; i++) {
        hd_block block = m->found.items[i];
        size_t begin = line_begin(m->text, block.begin), end = line_end(m->text, block.end - 1);
        if (begin < done) /* a line of two blocks stays with the first */
            begin = done;
        if (block.kind == HD_BLOCK_CODE && block.page != 0)
            begin = fence_begin(m->text, done, begin);
        if (end <= begin)
            continue;
        hd_span between = hd__ascii_trim(hd__span(m->text.ptr + done, begin - done));
        if (blocks->n > 0 && between.len > 0)
            blocks->items[blocks->n - 1].end = (uint32_t)(offset + (size_t)(between.ptr + between.len - m->text.ptr));
        else if (between.len > 0)
            begin = (size_t)(between.ptr - m->text.ptr);
        hd_span all = hd__ascii_trim(hd__span(m->text.ptr + begin, end - begin));
        done = end;
        if (all.len == 0)
            continue;
        block.page = 0;
        block.begin = (uint32_t)(offset + (size_t)(all.ptr - m->text.ptr));
        block.end = (uint32_t)(block.begin + all.len);
        block.line = hd__line_of(&lines, block.begin);
        hd__block_list_add(blocks, &block);
    }
    hd_span rest = hd__ascii_trim(hd__span(m->text.ptr + done, m->text.len - done));
    uint32_t end = (uint32_t)(offset + (size_t)(rest.ptr + rest.len - m->text.ptr));
    if (rest.len > 0 && blocks->n > 0 && !blocks->failed)
        blocks->items[blocks->n - 1].end = end;
    else if (rest.len > 0) /* rules and definitions of links alone */
        hd__block_list_add(
            blocks, &(hd_block){.begin = end - (uint32_t)rest.len, .end = end, .line = hd__line_of(&lines, end - rest.len)});
}

static hd_status take_front_matter(hd_reader *reader, hd_span front_matter, hd_error *err)
{
    json_t *metadata = hd__front_matter_parse(front_matter);
    if (metadata == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the front matter");
    hd_status status = hd__metadata_take(reader, metadata, err);
    json_decref(metadata);
    return status;
}

/* Whether a line ends a paragraph above it: a blank one, a heading, an item with text. Those in code and HTML do not always,
 * and not all that do are known: paragraphs are taken to be longer than they are. */
static bool ends_paragraph(hd_span line)
{
    size_t at = 0;
    while (at < line.len && at < 3 && line.ptr[at] == ' ')
        at++;
    const hd_span rest = hd__span(line.ptr + at, line.len - at);
    if (hd__ascii_is_blank(line) || hd__span_begins(rest, "# ") || hd__span_begins(rest, "## "))
        return true;
    return rest.len > 2 && strchr("-*+", rest.ptr[0]) != NULL && rest.ptr[1] == ' ' && !hd__ascii_is_space(rest.ptr[2]);
}

static bool is_delimiter_row(hd_span line)
{
    size_t n = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (strchr("|-: \t\r", line.ptr[i]) == NULL)
            return false;
        n += line.ptr[i] == '|' || line.ptr[i] == '-';
    }
    return n >= 2;
}

/* MD4C goes through a paragraph's lines from the first on for each bracket in it: hours for some megabytes of one. */
static bool has_costly_paragraph(hd_span text)
{
    uint64_t n_lines = 0, n_steps = 0;
    bool is_table = false;
    for (size_t at = 0; at < text.len && n_steps <= HD_LIMIT_MARKDOWN_STEPS;) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        const size_t end = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        const hd_span line = hd__span(text.ptr + at, end - at);
        n_lines = ends_paragraph(line) ? 0 : n_lines + 1;
        is_table = n_lines > 1 && (is_table || (n_lines == 2 && is_delimiter_row(line))); /* whose rows are lines alone */
        const char *bracket = line.len > 0 && !is_table ? memchr(line.ptr, '[', line.len) : NULL;
        for (; bracket != NULL; bracket = memchr(bracket + 1, '[', (size_t)(line.ptr + line.len - bracket - 1)))
            n_steps += n_lines;
        at = end + 1;
    }
    return n_steps > HD_LIMIT_MARKDOWN_STEPS;
}

hd_status hd__read_markdown(hd_reader *reader, hd_error *err)
{
    static const MD_PARSER parser = {.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS,
                                     .enter_block = enter_block,
                                     .leave_block = leave_block,
                                     .enter_span = enter_span,
                                     .leave_span = leave_span,
                                     .text = text_piece};
    hd_extract *extract = reader->extract;
    hd_status status = HD_OK;
    HD_TRY(hd__encoding_decode(reader->bytes, NULL, reader->arena, &extract->text, err));
    extract->text.ptr = hd__arena_strndup(reader->arena, extract->text.ptr, extract->text.len);
    if (extract->text.ptr == NULL) /* a copy, since MD4C looks for ends of lines until a NUL, past the text's end */
        return hd__fail(err, HD_ERR_MEMORY, "no memory for its text");
    size_t skipped = hd__front_matter_len(extract->text);
    if (skipped > 0)
        HD_TRY(take_front_matter(reader, hd__span(extract->text.ptr, skipped), err));
    markdown m = {.text = hd__span(extract->text.ptr + skipped, extract->text.len - skipped),
                  .arena = reader->arena,
                  .found = {.arena = reader->arena},
                  .most_work = 4096 + (uint64_t)HD_LIMIT_MARKDOWN_EXPANSION * extract->text.len};
    hd_block_list blocks = {.arena = reader->arena};
    const bool is_costly = has_costly_paragraph(m.text);
    if (is_costly) /* which no person wrote */
        hd__paragraphs_add(&blocks, extract->text, skipped, extract->text.len,
                           hd__line_of(&(hd_line_counter){extract->text, 0, 1}, skipped));
    int code = m.text.len > 0 && !is_costly ? md_parse(m.text.ptr, (MD_SIZE)m.text.len, &parser, &m) : 0;
    if (code > 0) {
        status = hd__fail(err, HD_ERR_LIMIT, "its links and tables stand for more than %u times its size",
                          HD_LIMIT_MARKDOWN_EXPANSION);
        goto out;
    }
    blocks.failed |= code < 0 || m.found.failed;
    if (!blocks.failed && !is_costly)
        add_lines(&m, extract->text, skipped, &blocks);
    HD_TRY_OUT(hd__reader_end(reader, &blocks, err));
    hd__reader_title(reader);
out:
    hd__buffer_clear(&m.name);
    return status;
}
