/* front_matter.c - see front_matter.h. */
#include "ingest/front_matter.h"

#include <stdlib.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "ingest/block_list.h"

typedef struct line_reader {
    hd_span text;
    size_t at;
} line_reader;

static bool next_line(line_reader *r, hd_span *line)
{
    if (r->at >= r->text.len)
        return false;
    const char *begin = r->text.ptr + r->at;
    const char *newline = memchr(begin, '\n', r->text.len - r->at);
    *line = hd__span(begin, newline != NULL ? (size_t)(newline - begin) : r->text.len - r->at);
    r->at += line->len + 1;
    return true;
}

/* "key: …" or "key:": the key, and what stands after the colon. */
static bool split_key(hd_span line, hd_span *key, hd_span *value)
{
    size_t n = 0;
    while (n < line.len && line.ptr[n] != ':' && line.ptr[n] != '\n')
        n++;
    if (n == 0 || n == line.len || strchr(" \t-#[{\"'", line.ptr[0]) != NULL ||
        (n + 1 < line.len && line.ptr[n + 1] != ' ' && line.ptr[n + 1] != '\t'))
        return false;
    *key = hd__ascii_trim(hd__span(line.ptr, n));
    *value = hd__ascii_trim(hd__span(line.ptr + n + 1, line.len - n - 1));
    return true;
}

size_t hd__front_matter_len(hd_span text)
{
    line_reader r = {hd__span(text.ptr, text.len < HD_LIMIT_FRONT_MATTER_BYTES ? text.len : HD_LIMIT_FRONT_MATTER_BYTES), 0};
    hd_span line, key, value;
    if (!next_line(&r, &line) || !hd__span_is(line, "---"))
        return 0;
    bool any = false; /* a rule and a paragraph below it are Markdown */
    while (next_line(&r, &line)) {
        if (hd__span_is(hd__ascii_trim(line), "---") || hd__span_is(hd__ascii_trim(line), "..."))
            return any && r.at <= text.len + 1 ? (r.at <= text.len ? r.at : text.len) : 0;
        if (!any && !hd__ascii_is_blank(line) && line.ptr[0] != '#' && !split_key(line, &key, &value))
            return 0;
        any |= split_key(line, &key, &value);
    }
    return 0;
}

/* The text between quotes. Of escapes in "…" those of JSON's one letter are read. */
static json_t *quoted(hd_span text)
{
    hd_buffer out;
    hd__buffer_init(&out);
    char quote = text.ptr[0];
    for (size_t i = 1; i + 1 < text.len; i++) {
        char c = text.ptr[i];
        bool doubled = quote == '\'' && c == '\'' && text.ptr[i + 1] == '\'' && i + 2 < text.len;
        if ((quote == '"' && c == '\\' && i + 2 < text.len) || doubled) {
            c = text.ptr[++i];
            c = doubled ? c : c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        hd__buffer_append_char(&out, c);
    }
    json_t *value = out.failed ? NULL : json_stringn(out.len != 0 ? out.ptr : "", out.len);
    hd__buffer_clear(&out);
    return value;
}

static json_t *scalar(hd_span text)
{
    char number[40], *end;
    if (text.len >= 2 && (text.ptr[0] == '"' || text.ptr[0] == '\'') && text.ptr[text.len - 1] == text.ptr[0])
        return quoted(text);
    const char *comment = memmem(text.ptr, text.len, " #", 2);
    if (comment != NULL)
        text = hd__ascii_trim(hd__span(text.ptr, (size_t)(comment - text.ptr)));
    if (text.len == 0 || hd__span_is(text, "~") || hd__span_is(text, "null"))
        return json_null();
    if (hd__span_is(text, "true") || hd__span_is(text, "false"))
        return json_boolean(text.ptr[0] == 't');
    if (text.len < sizeof number) {
        memcpy(number, text.ptr, text.len);
        number[text.len] = '\0';
    }
    if (text.len < sizeof number && strspn(number, "+-.0123456789eE") == text.len) {
        long long integer = strtoll(number, &end, 10);
        if (*end == '\0' && text.len < 19)
            return json_integer(integer);
        double real = strtod(number, &end);
        if (*end == '\0' && real == real && real < 1e300 && real > -1e300)
            return json_real(real);
    }
    return json_stringn(text.ptr, text.len);
}

/* "[a, "b, c", 3]". */
static json_t *flow_list(hd_span text)
{
    json_t *list = json_array();
    text = hd__ascii_trim(hd__span(text.ptr + 1, text.len - 2));
    for (size_t at = 0; at < text.len && list != NULL;) {
        size_t end = at;
        char quote = '\0';
        while (end < text.len && (quote != '\0' || text.ptr[end] != ',')) {
            char c = text.ptr[end++];
            if (quote == c && c == '\'' && end < text.len && text.ptr[end] == c)
                end++; /* a quote in quotes */
            else if (quote == c)
                quote = '\0';
            else if (quote == '\0' && (c == '"' || c == '\'') && hd__ascii_is_blank(hd__span(text.ptr + at, end - 1 - at)))
                quote = c;
        }
        hd_span item = hd__ascii_trim(hd__span(text.ptr + at, end - at));
        if (item.len > 0 && json_array_append_new(list, scalar(item)) != 0) {
            json_decref(list);
            list = NULL;
        }
        at = end + 1;
    }
    return list;
}

/* The lines below a key that belong to it: "- item" makes a list, others are the text of ">" and "|". */
static json_t *block_value(line_reader *r, char style)
{
    hd_span line;
    hd_buffer text;
    json_t *list = NULL, *value = NULL;
    bool failed = false;
    hd__buffer_init(&text);
    for (line_reader ahead = *r; next_line(&ahead, &line) && !failed; *r = ahead) {
        hd_span item = hd__ascii_trim(line);
        bool is_item = style == '\0' && (hd__span_begins(item, "- ") || hd__span_is(item, "-"));
        if (item.len > 0 && !is_item && line.ptr[0] != ' ' && line.ptr[0] != '\t')
            break;
        if (is_item) {
            list = list != NULL ? list : json_array();
            failed = list == NULL ||
                     json_array_append_new(list, scalar(hd__ascii_trim(hd__span(item.ptr + 1, item.len - 1)))) != 0;
        } else if (style != '\0') {
            if (text.len > 0)
                hd__buffer_append_char(&text, style == '|' ? '\n' : ' ');
            hd__buffer_append(&text, item.ptr, item.len);
        }
    }
    hd_span all = hd__ascii_trim(hd__buffer_span(&text));
    failed |= text.failed;
    if (!failed)
        value = list != NULL    ? json_incref(list)
                : style != '\0' ? json_stringn(all.len != 0 ? all.ptr : "", all.len)
                                : json_null();
    json_decref(list);
    hd__buffer_clear(&text);
    return value;
}

json_t *hd__front_matter_parse(hd_span front_matter)
{
    line_reader r = {front_matter, 0};
    hd_span line, key, text;
    json_t *object = json_object();
    while (object != NULL && next_line(&r, &line)) {
        json_t *value;
        if (!split_key(line, &key, &text))
            continue;
        if (text.len == 0)
            value = block_value(&r, '\0');
        else if (text.ptr[0] == '>' || text.ptr[0] == '|')
            value = block_value(&r, text.ptr[0]);
        else if (text.ptr[0] == '[' && text.ptr[text.len - 1] == ']' && text.len >= 2)
            value = flow_list(text);
        else if (text.ptr[0] == '{' || text.ptr[0] == '&' || text.ptr[0] == '*' || text.ptr[0] == '!')
            continue;
        else
            value = scalar(text);
        bool empty = json_is_null(value);
        char name[128];
        if (empty || key.len >= sizeof name || memchr(key.ptr, '\0', key.len) != NULL) {
            json_decref(value);
            continue;
        }
        memcpy(name, key.ptr, key.len);
        name[key.len] = '\0';
        if (value == NULL || json_object_set_new(object, name, value) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}
