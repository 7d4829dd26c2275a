/* written_date.c - see written_date.h. The text is written anew as base/date.h reads it: digits in their groups, each with
 * the mark that stands before it there, whatever mark or none stood before it here.
 */
#include "ingest/written_date.h"

#include <ctype.h>

#include "base/date.h"

#define MAX_BYTES 64

typedef struct writer {
    hd_span rest;
    char text[MAX_BYTES];
    size_t n;
} writer;

static void put(writer *w, char c)
{
    if (w->n < sizeof w->text)
        w->text[w->n++] = c;
}

static bool next_is(const writer *w, const char *any)
{
    return w->rest.len > 0 && w->rest.ptr[0] != '\0' && strchr(any, w->rest.ptr[0]) != NULL;
}

static void drop(writer *w)
{
    w->rest = hd__span(w->rest.ptr + 1, w->rest.len - 1);
}

static bool digits_follow(const writer *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i >= w->rest.len || !isdigit((unsigned char)w->rest.ptr[i]))
            return false;
    }
    return true;
}

/* A group of digits, behind one of `marks` or none, is written behind `mark`. False, and nothing taken, when there is none.
 */
static bool group(writer *w, const char *marks, char mark, size_t n_digits)
{
    const hd_span before = w->rest;
    if (next_is(w, marks))
        drop(w);
    if (!digits_follow(w, n_digits)) {
        w->rest = before;
        return false;
    }
    if (mark != '\0')
        put(w, mark);
    for (size_t i = 0; i < n_digits; i++, drop(w))
        put(w, w->rest.ptr[0]);
    return true;
}

/* Hours and minutes are needed for a time; seconds and their fraction are not. */
static void time_and_zone(writer *w)
{
    if (group(w, "Tt ", 'T', 2) && group(w, ":", ':', 2) && group(w, ":", ':', 2)) {
        while (next_is(w, ".,0123456789")) {
            put(w, w->rest.ptr[0]);
            drop(w);
        }
    }
    if (next_is(w, " "))
        drop(w);
    if (hd__span_is(w->rest, "Z00'00'")) /* PDF's UTC, as some write it */
        w->rest.len = 1;
    const char sign = next_is(w, "+") ? '+' : '-';
    if (next_is(w, "+-") && group(w, "+-", sign, 2) && group(w, ":'", ':', 2) && next_is(w, "'"))
        drop(w);
}

bool hd__written_date_parse(hd_span text, int64_t *seconds)
{
    writer w = {.rest = text};
    if (hd__span_begins(text, "D:"))
        w.rest = hd__span(text.ptr + 2, text.len - 2);
    if (group(&w, "", '\0', 4) && group(&w, "-/", '-', 2) && group(&w, "-/", '-', 2))
        time_and_zone(&w);
    while (w.rest.len > 0 && w.n < sizeof w.text) { /* what is no date stays none */
        put(&w, w.rest.ptr[0]);
        drop(&w);
    }
    int64_t parsed;
    if (w.rest.len > 0 || !hd__date_parse(hd__span(w.text, w.n), &parsed))
        return false;
    *seconds = parsed;
    return true;
}
