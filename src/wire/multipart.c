/* multipart.c - see multipart.h.
 *
 *   --boundary CRLF head CRLF CRLF body CRLF --boundary CRLF … CRLF --boundary--
 *
 * What stands before the first delimiter and after the last is not looked at. A line of a body that begins as a delimiter
 * and goes on otherwise is the body's.
 */
#include "wire/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"

#define BOUNDARY_BYTES 70u /* at most, says RFC 2046 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static hd_span skip(hd_span text, size_t n)
{
    return hd__span(text.ptr + n, text.len - n);
}

static hd_span trim(hd_span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = skip(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool begins_with(hd_span text, const char *word)
{
    const size_t n = strlen(word);
    return text.len >= n && strncasecmp(text.ptr, word, n) == 0;
}

/* ---- parameters of a header: ; name=token; name="quoted \" string" ---- */

/* The length of a parameter's value at the beginning of text. */
static size_t value_length(hd_span text)
{
    size_t n = 0;
    if (text.len > 0 && text.ptr[0] == '"') {
        for (n = 1; n < text.len && text.ptr[n] != '"'; n++)
            n += text.ptr[n] == '\\' && n + 1 < text.len && text.ptr[n + 1] == '"';
        return n < text.len ? n + 1 : n;
    }
    while (n < text.len && text.ptr[n] != ';')
        n++;
    return n;
}

/* Without quotes; \" is a quote, any other backslash itself, as browsers send paths of Windows. */
static bool unquote(hd_span value, hd_arena *arena, hd_span *plain)
{
    *plain = trim(value);
    if (plain->len < 2 || plain->ptr[0] != '"' || plain->ptr[plain->len - 1] != '"')
        return true;
    const hd_span inside = hd__span(plain->ptr + 1, plain->len - 2);
    char *out = hd__arena_strndup(arena, inside.ptr, inside.len);
    if (out == NULL)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < inside.len; i++) {
        i += inside.ptr[i] == '\\' && i + 1 < inside.len && inside.ptr[i + 1] == '"';
        out[n++] = inside.ptr[i];
    }
    out[n] = '\0';
    *plain = hd__span(out, n);
    return true;
}

/* A parameter's value; ptr NULL when the header has none of that name. */
static hd_status parameter(hd_span header, const char *name, hd_arena *arena, hd_span *value, hd_error *err)
{
    *value = hd__span(NULL, 0);
    const size_t first = value_length(header);
    header = skip(header, first);
    while (header.len > 0) {
        header = trim(skip(header, 1)); /* the semicolon */
        const char *equals = memchr(header.ptr, '=', header.len);
        const char *end = memchr(header.ptr, ';', header.len);
        if (equals == NULL || (end != NULL && end < equals)) {
            header = end != NULL ? skip(header, (size_t)(end - header.ptr)) : hd__span(NULL, 0);
            continue;
        }
        const hd_span key = trim(hd__span(header.ptr, (size_t)(equals - header.ptr)));
        header = trim(skip(header, (size_t)(equals + 1 - header.ptr)));
        const size_t n = value_length(header);
        if (key.len == strlen(name) && begins_with(key, name))
            return unquote(hd__span(header.ptr, n), arena, value) ? HD_OK
                                                                  : hd__fail(err, HD_ERR_MEMORY, "no memory for a form");
        header = skip(header, n);
        const char *next = header.len > 0 ? memchr(header.ptr, ';', header.len) : NULL;
        header = next != NULL ? skip(header, (size_t)(next - header.ptr)) : hd__span(NULL, 0);
    }
    return HD_OK;
}

/* ---- delimiters ---- */

typedef enum mark { MARK_NONE, MARK_PART, MARK_END } mark;

/* What a delimiter that ends before `at` is: the rest of its line says so. *next is where a part's head begins. */
static mark mark_of(hd_span body, size_t at, size_t *next)
{
    if (body.len - at >= 2 && body.ptr[at] == '-' && body.ptr[at + 1] == '-')
        return MARK_END;
    while (at < body.len && is_blank(body.ptr[at]))
        at++;
    if (body.len - at < 2 || body.ptr[at] != '\r' || body.ptr[at + 1] != '\n')
        return MARK_NONE;
    *next = at + 2;
    return MARK_PART;
}

/* The next delimiter from `from`: *begin is where the bytes before it end. `line` is CR LF -- boundary. */
static mark next_mark(hd_span body, size_t from, hd_span line, size_t *begin, size_t *next)
{
    while (from < body.len) {
        const char *found = memmem(body.ptr + from, body.len - from, line.ptr, line.len);
        if (found == NULL)
            return MARK_NONE;
        *begin = (size_t)(found - body.ptr);
        const mark m = mark_of(body, *begin + line.len, next);
        if (m != MARK_NONE)
            return m;
        from = *begin + 1;
    }
    return MARK_NONE;
}

/* ---- parts ---- */

/* Fills the part of its head, lines that end in CR LF. */
static hd_status read_head(hd_span head, hd_arena *arena, hd_part *part, hd_error *err)
{
    while (head.len > 0) {
        const char *end = memmem(head.ptr, head.len, "\r\n", 2);
        const size_t n = end != NULL ? (size_t)(end - head.ptr) : head.len;
        const hd_span line = hd__span(head.ptr, n);
        if (begins_with(line, "Content-Disposition:")) {
            const hd_span value = trim(skip(line, strlen("Content-Disposition:")));
            HD_TRY(parameter(value, "name", arena, &part->name, err));
            HD_TRY(parameter(value, "filename", arena, &part->filename, err));
        } else if (begins_with(line, "Content-Type:")) {
            const hd_span value = trim(skip(line, strlen("Content-Type:")));
            part->type = trim(hd__span(value.ptr, value_length(value)));
        }
        head = end != NULL ? skip(head, n + 2) : hd__span(NULL, 0);
    }
    if (part->name.ptr == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "a part of the form has no name");
    return HD_OK;
}

/* The part that begins at `at`, whose body ends before `end`. */
static hd_status read_part(hd_span body, size_t at, size_t end, hd_arena *arena, hd_part *part, hd_error *err)
{
    const hd_span whole = hd__span(body.ptr + at, end - at);
    size_t n_head = 0, n_skip = 2; /* a head of no lines: the blank line at once */
    if (whole.len < 2 || memcmp(whole.ptr, "\r\n", 2) != 0) {
        const char *blank = memmem(whole.ptr, whole.len, "\r\n\r\n", 4);
        if (blank == NULL)
            return hd__fail(err, HD_ERR_FORMAT, "a part of the form has no end to its head");
        n_head = (size_t)(blank - whole.ptr);
        n_skip = n_head + 4;
    }
    if (n_head > HD_LIMIT_FORM_HEAD_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "the head of a part of the form has %zu bytes, the limit is %u", n_head,
                        HD_LIMIT_FORM_HEAD_BYTES);
    *part = (hd_part){.type = hd__span("", 0), .body = skip(whole, n_skip)};
    return read_head(hd__span(whole.ptr, n_head), arena, part, err);
}

static hd_status make_line(hd_span content_type, hd_arena *arena, hd_span *line, hd_error *err)
{
    hd_span boundary;
    if (!begins_with(content_type, "multipart/form-data"))
        return hd__fail(err, HD_ERR_FORMAT, "the body is no form: Content-Type is not multipart/form-data");
    HD_TRY(parameter(content_type, "boundary", arena, &boundary, err));
    if (boundary.len == 0 || boundary.len > BOUNDARY_BYTES)
        return hd__fail(err, HD_ERR_FORMAT, "the form's boundary has %zu bytes, allowed are 1 to %u", boundary.len,
                        BOUNDARY_BYTES);
    const char *text = hd__arena_printf(arena, "\r\n--%.*s", (int)boundary.len, boundary.ptr);
    if (text == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a form");
    *line = hd__span_of(text);
    return HD_OK;
}

hd_status hd__multipart_parse(hd_span content_type, hd_span body, hd_arena *arena, hd_part **parts_out, size_t *n,
                              hd_error *err)
{
    hd_span line;
    size_t begin = 0, next = 0;
    *n = 0;
    HD_TRY(make_line(content_type, arena, &line, err));
    hd_part *parts = hd__arena_calloc(arena, HD_LIMIT_FORM_PARTS, sizeof *parts);
    if (parts == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a form");
    *parts_out = parts;
    /* The first delimiter may be the body's first line: no line ends before it. */
    const bool at_once = body.len >= line.len - 2 && memcmp(body.ptr, line.ptr + 2, line.len - 2) == 0;
    mark m = at_once ? mark_of(body, line.len - 2, &next) : MARK_NONE;
    if (m == MARK_NONE)
        m = next_mark(body, 0, line, &begin, &next);
    if (m == MARK_NONE)
        return hd__fail(err, HD_ERR_FORMAT, "the form's boundary is nowhere in the body");
    while (m == MARK_PART) {
        const size_t at = next;
        m = next_mark(body, at, line, &begin, &next);
        if (m == MARK_NONE)
            return hd__fail(err, HD_ERR_FORMAT, "the form ends within a part: its last boundary is missing");
        if (*n == HD_LIMIT_FORM_PARTS)
            return hd__fail(err, HD_ERR_LIMIT, "the form has more than %u parts", HD_LIMIT_FORM_PARTS);
        HD_TRY(read_part(body, at, begin, arena, &parts[*n], err));
        ++*n;
    }
    return HD_OK;
}

const hd_part *hd__multipart_find(const hd_part *parts, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (hd__span_is(parts[i].name, name))
            return &parts[i];
    return NULL;
}
