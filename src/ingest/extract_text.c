/* extract_text.c - plain text, and the light markups that read as plain text: paragraphs between blank lines, and headings
 * by the marks of the format that the name says.
 *
 *   reStructuredText   a line and below it a line of one punctuation character, as long at least, perhaps one above it, too;
 *                      the levels are in the order in which these ways appear (docutils, "Sections")
 *   AsciiDoc           "= Title", "== Section", …
 *   Org                "* Title", "** Section", …
 *   LaTeX              \part{…}, \chapter{…}, \section{…}, \subsection{…}, …, and \title{…}
 */
#include <ctype.h>

#include "base/utf8.h"
#include "ingest/encoding.h"
#include "ingest/reader.h"

typedef struct markup {
    hd_span text;
    hd_block_list *blocks;
    hd_arena *arena;
    int adornments[6]; /* of reStructuredText, in the order of levels: the character, negative with a line above, too */
    uint32_t n_adornments;
} markup;

/* A line that may be a heading. */
typedef struct heading {
    uint32_t level; /* 0: none */
    hd_span name;
    size_t end; /* past its last line */
} heading;

static size_t line_end(hd_span text, size_t at)
{
    const char *newline = memchr(text.ptr + at, '\n', text.len - at);
    return newline != NULL ? (size_t)(newline - text.ptr) : text.len;
}

static hd_span line_at(hd_span text, size_t at)
{
    return at < text.len ? hd__span(text.ptr + at, line_end(text, at) - at) : hd__span("", 0);
}

/* "== Section" by a run of one character and a space; "" as name for none. */
static heading marked(hd_span line, char mark)
{
    heading found = {0};
    size_t n = 0;
    while (n < line.len && line.ptr[n] == mark)
        n++;
    if (n >= 1 && n < line.len && line.ptr[n] == ' ') {
        found.name = hd__ascii_trim(hd__span(line.ptr + n, line.len - n));
        found.level = found.name.len > 0 ? (uint32_t)(n < 6 ? n : 6) : 0;
    }
    return found;
}

static heading latex(hd_span line)
{
    static const struct {
        const char *command;
        uint32_t level;
    } commands[] = {{"\\title", 1},      {"\\part", 1},          {"\\chapter", 1},  {"\\section", 2},
                    {"\\subsection", 3}, {"\\subsubsection", 4}, {"\\paragraph", 5}};
    heading found = {0};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        size_t n = strlen(commands[i].command);
        if (!hd__span_begins(line, commands[i].command))
            continue;
        n += n < line.len && line.ptr[n] == '*';
        const char *close = n < line.len && line.ptr[n] == '{' ? memrchr(line.ptr + n, '}', line.len - n) : NULL;
        if (close != NULL) {
            found.name = hd__ascii_trim(hd__span(line.ptr + n + 1, (size_t)(close - line.ptr) - n - 1));
            found.level = found.name.len > 0 ? commands[i].level : 0;
        }
    }
    return found;
}

static bool is_adornment(hd_span line)
{
    if (line.len < 2 || strchr("=-`:.'\"~^_*+#<>", line.ptr[0]) == NULL || line.ptr[0] == '\0')
        return false;
    for (size_t i = 1; i < line.len; i++) {
        if (line.ptr[i] != line.ptr[0])
            return false;
    }
    return true;
}

static hd_span trim_right(hd_span line)
{
    while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
        line.len--;
    return line;
}

/* A title with a line below it, perhaps also one above it, which begins the heading then. */
static heading restructured(markup *m, size_t at)
{
    heading found = {0};
    hd_span first = trim_right(line_at(m->text, at));
    bool above = is_adornment(first);
    size_t title_at = above ? at + first.len + 1 : at;
    hd_span title = trim_right(line_at(m->text, title_at));
    size_t below_at = title_at < m->text.len ? line_end(m->text, title_at) + 1 : m->text.len;
    hd_span below = trim_right(line_at(m->text, below_at));
    if (hd__ascii_is_blank(title) || is_adornment(title) || !is_adornment(below) || below.len < hd__utf8_count(title) ||
        (above && (below.ptr[0] != first.ptr[0] || line_end(m->text, at) + 1 != title_at)) ||
        (!above && title.ptr[0] == ' '))
        return found;
    const int way = above ? -below.ptr[0] : below.ptr[0];
    uint32_t level = 0;
    while (level < m->n_adornments && m->adornments[level] != way)
        level++;
    if (level == m->n_adornments && level < sizeof m->adornments / sizeof m->adornments[0])
        m->adornments[m->n_adornments++] = way;
    found.level = level < 6 ? level + 1 : 6;
    found.name = hd__ascii_trim(title);
    found.end = below_at + below.len;
    return found;
}

static heading heading_at(markup *m, const char *mime, size_t at)
{
    hd_span line = line_at(m->text, at);
    heading found = {0};
    if (strcmp(mime, "text/x-rst") == 0)
        return restructured(m, at);
    if (strcmp(mime, "text/asciidoc") == 0)
        found = marked(line, '=');
    else if (strcmp(mime, "text/org") == 0)
        found = marked(line, '*');
    else if (strcmp(mime, "text/x-tex") == 0)
        found = latex(line);
    found.end = at + line.len;
    return found;
}

void hd__paragraphs_add(hd_block_list *blocks, hd_span text, size_t begin, size_t end, uint32_t line)
{
    hd_block paragraph = {.line = 0};
    for (size_t at = begin; at < end; line++) {
        size_t stop = line_end(hd__span(text.ptr, end), at);
        if (hd__ascii_is_blank(hd__span(text.ptr + at, stop - at))) {
            hd__block_list_add(blocks, &paragraph);
            paragraph.line = 0;
            paragraph.end = 0;
        } else {
            if (paragraph.line == 0) {
                paragraph.begin = (uint32_t)at;
                paragraph.line = line;
            }
            paragraph.end = (uint32_t)stop;
        }
        at = stop + 1;
    }
    hd__block_list_add(blocks, &paragraph);
}

/* A heading without reStructuredText's roles and literals: ":mod:`heapq` --- a queue" is "heapq --- a queue". */
static const char *plain_name(hd_span name, bool is_rst, hd_arena *arena)
{
    char *plain = hd__arena_strndup(arena, name.ptr, name.len);
    size_t n = 0;
    for (size_t i = 0; i < name.len && is_rst && plain != NULL;) {
        size_t role = i + 1;
        while (role < name.len && name.ptr[i] == ':' && (isalnum((unsigned char)name.ptr[role]) || name.ptr[role] == '-'))
            role++;
        if (name.ptr[i] == ':' && role > i + 1 && role + 1 < name.len && name.ptr[role] == ':' && name.ptr[role + 1] == '`')
            i = role + 2;
        else if (name.ptr[i] == '`')
            i++;
        else
            plain[n++] = name.ptr[i++];
    }
    if (is_rst && plain != NULL)
        plain[n] = '\0';
    return plain;
}

static void read_marked(markup *m, const char *mime)
{
    hd_line_counter lines = {m->text, 0, 1};
    size_t paragraphs = 0; /* where what is no heading begins */
    for (size_t at = 0; at < m->text.len;) {
        heading found = heading_at(m, mime, at);
        if (found.level == 0) {
            at = line_end(m->text, at) + 1;
            continue;
        }
        hd__paragraphs_add(m->blocks, m->text, paragraphs, at, hd__line_of(&lines, paragraphs));
        const char *name = plain_name(found.name, strcmp(mime, "text/x-rst") == 0, m->arena);
        m->blocks->failed |= name == NULL;
        hd__block_list_add(m->blocks, &(hd_block){.kind = HD_BLOCK_HEADING,
                                                  .begin = (uint32_t)at,
                                                  .end = (uint32_t)found.end,
                                                  .level = found.level,
                                                  .line = hd__line_of(&lines, at),
                                                  .name = name});
        at = found.end + 1;
        paragraphs = at;
    }
    if (paragraphs < m->text.len)
        hd__paragraphs_add(m->blocks, m->text, paragraphs, m->text.len, hd__line_of(&lines, paragraphs));
}

hd_status hd__read_text(hd_reader *reader, hd_error *err)
{
    hd_extract *extract = reader->extract;
    HD_TRY(hd__encoding_decode(reader->bytes, NULL, reader->arena, &extract->text, err));
    hd_block_list blocks = {.arena = reader->arena};
    markup m = {.text = extract->text, .blocks = &blocks, .arena = reader->arena};
    if (strcmp(extract->mime, "text/plain") == 0)
        hd__paragraphs_add(&blocks, extract->text, 0, extract->text.len, 1);
    else
        read_marked(&m, extract->mime);
    HD_TRY(hd__reader_end(reader, &blocks, err));
    hd__reader_title(reader);
    return HD_OK;
}
