/* extract_code.c - source code in functions and types, without a parser for any language.
 *
 * Code that people write is indented as it is nested, so lines tell the structure: a unit begins at a line that stands no
 * deeper than its level, and goes on until the next one. What stands at that level and begins nothing (closing brackets,
 * "else", labels, the inside of comments and of strings over lines) goes on with the unit before; comments, decorators and
 * attributes directly above a unit belong to it. A class or namespace that is long is cut into its members, one level
 * deeper. Units that define nothing (imports, constants) are joined.
 *
 * Names are found by the words of the language (language.c) or as what stands before the first parenthesis. A file that
 * keeps to none of this still comes out whole: blocks cover all of it.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/reader.h"

#define JOINED_BYTES 1500u /* of units that define nothing, in one block */
#define LONG_BYTES 1500u   /* a class is cut into its members from here on */
#define HEADER_BYTES 512u  /* that a name is looked for in */

typedef struct line {
    uint32_t begin, end;
    uint32_t indent; /* a tab is four */
    uint32_t below;  /* the next line that is neither blank nor a note, nor inside one, nor the preprocessor's */
    bool blank;
    bool inside; /* begins in a comment or a string */
    bool note;   /* a comment, a decorator or an attribute: stands for what is below it */
} line;

typedef struct code {
    hd_span text;
    const hd_language *language;
    hd_arena *arena;
    line *lines;
    size_t n_lines;
    hd_block_list *blocks;
    hd_block joined; /* units that define nothing, not added yet; end 0: none */
    bool opens[256]; /* bytes that a comment or a string may begin with */
} code;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

static bool begins_at(hd_span text, size_t at, const char *token)
{
    return token != NULL && hd__span_begins(hd__span(text.ptr + at, text.len - at), token);
}

/* ---- lines ---- */

/* Where comments and strings over several lines end; a kind whose end is missing once is not looked for again. */
typedef struct scan {
    size_t at;
    bool no_block_end, no_triple[2], no_backtick;
} scan;

/* The end of what is closed by `token`, from `from` on; `from` when it is not closed. */
static size_t closed(hd_span text, size_t from, const char *token, bool *missing)
{
    const char *end = *missing ? NULL : memmem(text.ptr + from, text.len - from, token, strlen(token));
    *missing = end == NULL;
    return end != NULL ? (size_t)(end - text.ptr) + strlen(token) : from;
}

/* A string within a line: past its end, or the end of the line. */
static size_t string_end(hd_span text, size_t at)
{
    char quote = text.ptr[at++];
    while (at < text.len && text.ptr[at] != '\n' && text.ptr[at] != quote)
        at += text.ptr[at] == '\\' && at + 1 < text.len && text.ptr[at + 1] != '\n' ? 2 : 1;
    return at < text.len && text.ptr[at] == quote ? at + 1 : at;
}

/* Past the comment or string that begins at s->at, or one byte on. */
static void step(const code *c, scan *s)
{
    const hd_language *language = c->language;
    hd_span text = c->text;
    char byte = text.ptr[s->at];
    size_t at = s->at;
    if (begins_at(text, at, language->block_comment)) {
        s->at = closed(text, at + strlen(language->block_comment), language->block_end, &s->no_block_end);
    } else if (begins_at(text, at, language->comment) || begins_at(text, at, language->comment_also)) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        s->at = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
    } else if ((language->traits & HD_LANGUAGE_TRIPLE) && begins_at(text, at, "\"\"\"")) {
        s->at = closed(text, at + 3, "\"\"\"", &s->no_triple[0]);
    } else if ((language->traits & HD_LANGUAGE_TRIPLE) && begins_at(text, at, "'''")) {
        s->at = closed(text, at + 3, "'''", &s->no_triple[1]);
    } else if (byte == '`' && (language->traits & HD_LANGUAGE_BACKTICK)) {
        s->at = closed(text, at + 1, "`", &s->no_backtick);
    } else if (byte != '\0' && strchr(language->quotes, byte) != NULL) {
        s->at = string_end(text, at);
    } else {
        s->at++;
    }
}

static bool is_note(const code *c, const line *l)
{
    size_t at = l->begin;
    while (at < l->end && (c->text.ptr[at] == ' ' || c->text.ptr[at] == '\t'))
        at++;
    hd_span rest = hd__span(c->text.ptr + at, l->end - at);
    if (begins_at(c->text, at, c->language->comment) || begins_at(c->text, at, c->language->comment_also) ||
        begins_at(c->text, at, c->language->block_comment))
        return true;
    bool attribute = hd__span_begins(rest, "#[") || (hd__span_begins(rest, "[") && rest.ptr[rest.len - 1] == ']');
    bool decorator = hd__span_begins(rest, "@") && !hd__span_begins(rest, "@interface") && !hd__span_begins(rest, "@impl") &&
                     !hd__span_begins(rest, "@protocol");
    return attribute || decorator ||
           (hd__span_begins(rest, "template") && memchr(rest.ptr, '<', rest.len) != NULL && rest.ptr[rest.len - 1] == '>');
}

static hd_span line_text(const code *c, size_t i)
{
    return hd__ascii_trim(hd__span(c->text.ptr + c->lines[i].begin, c->lines[i].end - c->lines[i].begin));
}

static void look_below(code *c)
{
    bool preprocessor = (c->language->traits & HD_LANGUAGE_PREPROCESSOR) != 0;
    size_t below = c->n_lines;
    for (size_t i = c->n_lines; i-- > 0;) {
        const line *l = &c->lines[i];
        if (!l->blank && !l->note && !l->inside && !(preprocessor && line_text(c, i).ptr[0] == '#'))
            below = i;
        c->lines[i].below = (uint32_t)below;
    }
}

static void find_openers(code *c)
{
    const hd_language *language = c->language;
    const char *const tokens[] = {language->comment, language->comment_also, language->block_comment};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        if (tokens[i] != NULL)
            c->opens[(unsigned char)tokens[i][0]] = true;
    }
    for (const char *quote = language->quotes; *quote != '\0'; quote++)
        c->opens[(unsigned char)*quote] = true;
    if (language->traits & HD_LANGUAGE_TRIPLE)
        c->opens['"'] = c->opens['\''] = true;
    if (language->traits & HD_LANGUAGE_BACKTICK)
        c->opens['`'] = true;
}

static bool read_lines(code *c)
{
    size_t n = 1;
    for (const char *at = c->text.ptr, *end = at + c->text.len; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        n++;
    c->lines = hd__malloc(hd__mul(n, sizeof *c->lines));
    if (c->lines == NULL)
        return false;
    scan s = {0};
    find_openers(c);
    for (size_t at = 0, end; at <= c->text.len && c->n_lines < n; at = end + 1) {
        const char *newline = at < c->text.len ? memchr(c->text.ptr + at, '\n', c->text.len - at) : NULL;
        end = newline != NULL ? (size_t)(newline - c->text.ptr) : c->text.len;
        line *l = &c->lines[c->n_lines++];
        *l = (line){.begin = (uint32_t)at, .end = (uint32_t)end};
        size_t first = at;
        for (; first < end && (c->text.ptr[first] == ' ' || c->text.ptr[first] == '\t'); first++)
            l->indent += c->text.ptr[first] == '\t' ? 4 : 1;
        l->blank = hd__ascii_is_blank(hd__span(c->text.ptr + first, end - first));
        l->inside = s.at > at;
        while (s.at <= end && s.at < c->text.len) {
            if (c->opens[(unsigned char)c->text.ptr[s.at]])
                step(c, &s);
            else
                s.at++;
        }
        l->note = !l->blank && !l->inside && is_note(c, l);
    }
    look_below(c);
    return true;
}

/* ---- units ---- */

static hd_span first_word(hd_span text)
{
    size_t n = 0;
    while (n < text.len && is_word(text.ptr[n]))
        n++;
    return hd__span(text.ptr, n);
}

/* What closes or goes on with what is above: brackets, words, labels. */
static bool goes_on(const code *c, size_t i)
{
    hd_span text = line_text(c, i), word = first_word(text);
    if (text.len == 0 || strchr("}])", text.ptr[0]) != NULL || (text.ptr[0] == '{' && c->language->block_comment != NULL))
        return true;
    if (hd__word_in(
            " else elif elsif elseif except finally catch rescue ensure then do done fi esac end begin where and or ", word,
            (c->language->traits & HD_LANGUAGE_ANY_CASE) != 0))
        return true;
    return (c->language->traits & HD_LANGUAGE_SEMICOLONS) && word.len > 0 && word.len + 1 == text.len &&
           text.ptr[word.len] == ':'; /* label, "public:" */
}

/* Whether the statement above line i has not ended: "static int\nmain(void)". */
static bool unfinished_above(const code *c, size_t i)
{
    if (!(c->language->traits & HD_LANGUAGE_SEMICOLONS) || i == 0 || c->lines[i - 1].blank || c->lines[i - 1].note ||
        c->lines[i - 1].inside)
        return false;
    hd_span above = line_text(c, i - 1);
    char last = above.ptr[above.len - 1];
    return above.ptr[0] != '#' && (is_word(last) || strchr("*&,(=|+<", last) != NULL);
}

static bool begins_unit(const code *c, size_t i, size_t end, uint32_t indent)
{
    const line *l = &c->lines[i];
    if (l->blank || l->inside || l->indent > indent || goes_on(c, i) || unfinished_above(c, i))
        return false;
    size_t next = l->below; /* notes in the middle of a unit stand further left than what they are about */
    return next == i || next >= end || (c->lines[next].indent <= indent && !goes_on(c, next));
}

/* The line of a unit that says what it is: the first below its notes. */
static size_t header_line(const code *c, size_t begin, size_t end)
{
    while (begin + 1 < end && (c->lines[begin].note || c->lines[begin].inside) &&
           (!c->lines[begin + 1].blank || c->lines[begin + 1].inside))
        begin++;
    return begin;
}

/* The word (with "::", "." and what operators and destructors have) at `at`, which may not be one. */
static hd_span name_at(hd_span text, size_t at)
{
    size_t end = at;
    while (end < text.len && (is_word(text.ptr[end]) || strchr(":.~!?-", text.ptr[end]) != NULL))
        end++;
    while (end > at && strchr(":.-", text.ptr[end - 1]) != NULL)
        end--;
    return hd__span(text.ptr + at, end - at);
}

static size_t skip_spaces(hd_span text, size_t at)
{
    while (at < text.len && strchr(" \t\n*&", text.ptr[at]) != NULL)
        at++;
    return at;
}

/* What stands before the first parenthesis, when that is no word of control. */
static hd_span called_name(hd_span header)
{
    const char *open = memchr(header.ptr, '(', header.len);
    size_t end = open != NULL ? (size_t)(open - header.ptr) : 0;
    while (end > 0 && header.ptr[end - 1] == ' ')
        end--;
    size_t begin = end;
    while (begin > 0 && (is_word(header.ptr[begin - 1]) || strchr(":~.-", header.ptr[begin - 1]) != NULL))
        begin--;
    hd_span name = hd__span(header.ptr + begin, end - begin);
    bool assigned = end > 0 && memchr(header.ptr, '=', end) != NULL;
    if (assigned || hd__word_in(" if for while switch return catch do else defined sizeof assert static_assert "
                                "_Static_assert __attribute__ new throw using require import function ",
                                name, false))
        name.len = 0;
    return name;
}

/* What stands after one of the language's words: "def name", "func (r *T) name", "impl<T> name". */
static hd_span word_name(const code *c, hd_span header)
{
    bool any_case = (c->language->traits & HD_LANGUAGE_ANY_CASE) != 0;
    for (size_t at = 0; at < header.len;) {
        size_t end = at;
        while (end < header.len && (is_word(header.ptr[end]) || strchr("@!(.#", header.ptr[end]) != NULL) &&
               (end == at || header.ptr[end] != '('))
            end++;
        hd_span word = hd__span(header.ptr + at, end - at);
        if (strchr("{;=\"", header.ptr[at]) != NULL)
            break;
        if (!hd__word_in(c->language->words, word, any_case) &&
            !(word.len > 1 && word.ptr[0] == '#' &&
              hd__word_in(c->language->words, hd__span(word.ptr + 1, word.len - 1), false))) {
            at = end > at ? end : at + 1;
            continue;
        }
        at = skip_spaces(header, end);
        char open = at < header.len ? header.ptr[at] : '\0', close = open == '(' ? ')' : '>';
        if (open == '(' || open == '<') { /* Go's receiver, Rust's parameters of types */
            const char *past = memchr(header.ptr + at, close, header.len - at);
            at = past != NULL ? skip_spaces(header, (size_t)(past + 1 - header.ptr)) : header.len;
        }
        hd_span name = name_at(header, at);
        while (any_case && name.len > 0 && hd__word_in(" if not exists ", name, true)) {
            at = skip_spaces(header, at + name.len);
            name = name_at(header, at);
        }
        if (name.len > 0 && !hd__word_in(c->language->words, name, any_case))
            return name;
    }
    return hd__span(header.ptr, 0);
}

/* The name of what lines [begin, end) define; empty for none. *called: found by its parenthesis, so no type. */
static hd_span unit_name(const code *c, size_t begin, size_t end, uint32_t level, bool *called)
{
    size_t first = header_line(c, begin, end), from = c->lines[first].begin, to = c->lines[end - 1].end;
    hd_span header = hd__ascii_trim(hd__span(c->text.ptr + from, to - from < HEADER_BYTES ? to - from : HEADER_BYTES));
    unsigned traits = c->language->traits;
    hd_span name = hd__span("", 0);
    *called = false;
    if (traits & HD_LANGUAGE_ARROW) {
        const char *arrow = memmem(header.ptr, header.len, "<- function", 11);
        return arrow != NULL ? name_at(header, 0) : name;
    }
    hd_span head = header;
    const char *stop = memchr(header.ptr, '{', header.len);
    if (stop != NULL)
        head.len = (size_t)(stop - header.ptr);
    if (traits & HD_LANGUAGE_CALLS && !hd__span_begins(header, "#"))
        name = called_name(head);
    *called = name.len > 0;
    if (name.len == 0)
        name = word_name(c, header);
    if (name.len == 0 && (traits & HD_LANGUAGE_METHODS) && level > 0)
        name = called_name(head);
    return name;
}

static bool holds_members(hd_span header)
{
    for (size_t at = 0; at < header.len;) {
        hd_span word = first_word(hd__span(header.ptr + at, header.len - at));
        if (hd__word_in(" class struct interface trait impl namespace module object protocol extension record enum mod "
                        "defmodule package contract library service actor mixin @interface @implementation ",
                        word, true))
            return true;
        if (word.len == 0 && strchr("{(=;", header.ptr[at]) != NULL)
            return false;
        at += word.len > 0 ? word.len : 1;
    }
    return false;
}

static void flush_joined(code *c)
{
    if (c->joined.end > 0)
        hd__block_list_add(c->blocks, &c->joined);
    c->joined = (hd_block){.end = 0};
}

/* Lines [begin, end) as a block, without the blank lines around; without a name they are joined with others. */
static void add_lines(code *c, size_t begin, size_t end, uint32_t level, hd_span name)
{
    while (begin < end && c->lines[begin].blank)
        begin++;
    while (end > begin && c->lines[end - 1].blank)
        end--;
    if (begin == end)
        return;
    hd_block block = {.kind = HD_BLOCK_CODE,
                      .begin = c->lines[begin].begin,
                      .end = c->lines[end - 1].end,
                      .level = level,
                      .line = (uint32_t)begin + 1};
    if (name.len == 0) {
        if (c->joined.end > 0 && (c->joined.level != level || block.end - c->joined.begin > JOINED_BYTES))
            flush_joined(c);
        if (c->joined.end > 0)
            c->joined.end = block.end;
        else
            c->joined = block;
        return;
    }
    flush_joined(c);
    block.name = hd__arena_strndup(c->arena, name.ptr, name.len);
    c->blocks->failed |= block.name == NULL;
    hd__block_list_add(c->blocks, &block);
}

static void add_units(code *c, size_t begin, size_t end, uint32_t indent, uint32_t level);

static void add_unit(code *c, size_t begin, size_t end, uint32_t level)
{
    while (end > begin + 1 && c->lines[end - 1].blank)
        end--;
    size_t header = header_line(c, begin, end), member = header + 1;
    bool called;
    hd_span name = unit_name(c, begin, end, level, &called);
    const line *first = &c->lines[header];
    bool is_long = c->lines[end - 1].end - c->lines[begin].begin > LONG_BYTES;
    while (member < end && (c->lines[member].blank || c->lines[member].inside || c->lines[member].indent <= first->indent))
        member++;
    if (is_long && name.len > 0 && !called && member < end && level + 1 < HD_LIMIT_CODE_NESTING &&
        holds_members(hd__span(c->text.ptr + first->begin, c->lines[end - 1].end - first->begin))) {
        uint32_t indent = c->lines[member].indent;
        while (member < end && !begins_unit(c, member, end, indent))
            member++;
        add_lines(c, begin, member, level, name);
        flush_joined(c);
        add_units(c, member, end, indent, level + 1);
        flush_joined(c);
        return;
    }
    bool bare = end - begin < 2; /* a line without a comment: a prototype, a constant */
    add_lines(c, begin, end, level, bare ? hd__span("", 0) : name);
}

static void add_units(code *c, size_t begin, size_t end, uint32_t indent, uint32_t level)
{
    size_t unit = begin;
    for (size_t i = begin; i < end; i++) {
        if (i != unit && begins_unit(c, i, end, indent)) {
            add_unit(c, unit, i, level);
            unit = i;
        }
        if (i == unit)
            i = header_line(c, i, end);
    }
    if (unit < end)
        add_unit(c, unit, end, level);
}

hd_status hd__read_code(hd_reader *reader, hd_error *err)
{
    hd_extract *extract = reader->extract;
    HD_TRY(hd__encoding_decode(reader->bytes, NULL, reader->arena, &extract->text, err));
    hd_block_list blocks = {.arena = reader->arena};
    code c = {.text = extract->text, .language = reader->type.language, .arena = reader->arena, .blocks = &blocks};
    hd_status status = HD_OK;
    if (c.language->traits & HD_LANGUAGE_FLAT) {
        hd__paragraphs_add(&blocks, c.text, 0, c.text.len, 1);
        for (size_t i = 0; i < blocks.n; i++)
            blocks.items[i].kind = HD_BLOCK_CODE;
    } else if (c.text.len > 0) {
        if (!read_lines(&c)) {
            status = hd__fail(err, HD_ERR_MEMORY, "no memory for the lines of %zu bytes of code", c.text.len);
            goto out;
        }
        add_units(&c, 0, c.n_lines, 0, 0);
        flush_joined(&c);
    }
    HD_TRY_OUT(hd__reader_end(reader, &blocks, err));
out:
    hd__free(c.lines);
    return status;
}
