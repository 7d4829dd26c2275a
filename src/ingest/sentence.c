/* sentence.c - see sentence.h. */
#include "ingest/sentence.h"

#include <utf8proc.h>

#include "base/utf8.h"

bool hd__is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* The code point before an offset, of text that is UTF-8 or nearly so; *begin is where it is. */
static uint32_t code_before(hd_span text, size_t at, size_t *begin)
{
    size_t len;
    bool valid;
    for (*begin = at - 1; *begin > 0 && at - *begin < 4 && ((unsigned char)text.ptr[*begin] & 0xC0) == 0x80;)
        --*begin;
    return hd__utf8_decode(text, *begin, &len, &valid);
}

hd_span hd__strip(hd_span text)
{
    size_t begin = 0, end = text.len, at, len;
    bool valid;
    while (begin < end && hd__is_space(hd__utf8_decode(text, begin, &len, &valid)))
        begin += len;
    while (end > begin && hd__is_space(code_before(text, end, &at)))
        end = at;
    return hd__span(text.ptr + begin, end - begin);
}

/* Ends a sentence without a blank after it. */
static bool is_full_stop(uint32_t c)
{
    return c == 0x3002 || c == 0xFF0E || c == 0xFF01 || c == 0xFF1F || c == 0xFF61 || c == 0xFE52 || c == 0xFE56 ||
           c == 0xFE57;
}

/* Ends a sentence when a blank follows. */
static bool is_end_mark(uint32_t c)
{
    static const uint32_t marks[] = {'.',    '?',    '!',    0x589,  0x61D,  0x61E,  0x61F,  0x6D4,  0x700,
                                     0x701,  0x702,  0x964,  0x965,  0x104A, 0x104B, 0x1362, 0x1367, 0x1368,
                                     0x166E, 0x1803, 0x1809, 0x2026, 0x203C, 0x203D, 0x2047, 0x2048, 0x2049};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (marks[i] == c)
            return true;
    return false;
}

/* Quotes and brackets that may stand between the mark and the end. */
static bool is_closing(uint32_t c)
{
    if (c == '"' || c == '\'' || c == '*' || c == '_' || c == '`')
        return true;
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_PE || category == UTF8PROC_CATEGORY_PF || category == UTF8PROC_CATEGORY_PI;
}

static bool is_lower(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LL;
}

static bool is_letter_or_number(uint32_t c)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) || category == UTF8PROC_CATEGORY_ND;
}

/* Words before a full stop that seldom ends a sentence there: titles, and what stands before numbers and names. */
static bool is_abbreviation(hd_span word)
{
    static const char *const words[] = {"mr",   "mrs", "ms",     "dr",  "prof", "st",  "vs",  "fig",  "figs", "eq",
                                        "eqs",  "no",  "nos",    "vol", "pp",   "cf",  "al",  "eg",   "ie",   "e.g",
                                        "i.e",  "z.b", "d.h",    "bzw", "ca",   "nr",  "bd",  "hrsg", "sr",   "jr",
                                        "inc",  "ltd", "co",     "gen", "col",  "sgt", "rev", "hon",  "sec",  "ch",
                                        "chap", "art", "approx", "ed",  "eds",  "tab", "mme", "mlle"};
    char lower[8];
    if (word.len == 0 || word.len >= sizeof lower)
        return false;
    for (size_t i = 0; i < word.len; i++)
        lower[i] = (char)(word.ptr[i] >= 'A' && word.ptr[i] <= 'Z' ? word.ptr[i] + 32 : word.ptr[i]);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (hd__span_is(hd__span(lower, word.len), words[i]))
            return true;
    return false;
}

/* Whether the full stop at `at` belongs to what is before it: an initial, an abbreviation, the number of a list's item. */
static bool stop_is_of_word(hd_span text, size_t first, size_t at)
{
    size_t begin = at, n_letters = 0;
    bool all_digits = true;
    while (begin > first) {
        size_t before;
        const uint32_t c = code_before(text, begin, &before);
        if (!is_letter_or_number(c) && c != '.')
            break;
        all_digits = all_digits && c >= '0' && c <= '9';
        n_letters++;
        begin = before;
    }
    if (n_letters == 0)
        return false;
    if (all_digits)
        return hd__strip(hd__span(text.ptr + first, begin - first)).len == 0; /* "1. First" */
    size_t len;
    bool valid;
    const uint32_t initial = hd__utf8_decode(text, begin, &len, &valid);
    const bool is_initial =
        n_letters == 1 && utf8proc_category((utf8proc_int32_t)initial) == UTF8PROC_CATEGORY_LU && initial != 'I';
    return is_initial || is_abbreviation(hd__span(text.ptr + begin, at - begin));
}

/* Past the blanks from `at`; *paragraph when there is an empty line among them. */
static size_t skip_blanks(hd_span text, size_t at, bool *paragraph)
{
    size_t len, n_newlines = 0;
    bool valid;
    while (at < text.len) {
        const uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        if (!hd__is_space(c))
            break;
        n_newlines += c == '\n' || c == 0x2029;
        at += len;
    }
    *paragraph = n_newlines > 1;
    return at;
}

/* Whether a sentence ends with the mark at `at`, which is `mark_len` long; *end is then after it and its blanks. */
static bool ends_here(hd_span text, size_t first, size_t at, uint32_t mark, size_t mark_len, size_t *end)
{
    size_t next = at + mark_len, len = 0;
    bool valid, paragraph;
    uint32_t c = 0;
    for (; next < text.len; next += len) { /* further marks and what closes */
        c = hd__utf8_decode(text, next, &len, &valid);
        if (!is_closing(c) && !is_end_mark(c) && !is_full_stop(c))
            break;
    }
    *end = skip_blanks(text, next, &paragraph);
    if (*end == text.len || is_full_stop(mark) || paragraph)
        return true;
    if (*end == next) /* "3.14", "a.b" */
        return false;
    const uint32_t after = hd__utf8_decode(text, *end, &len, &valid);
    if ((mark == '.' || mark == 0x2026) && is_lower(after))
        return false;
    return mark != '.' || !stop_is_of_word(text, first, at);
}

size_t hd__sentence_end(hd_span text, size_t first)
{
    size_t len, end;
    bool valid;
    for (size_t at = first; at < text.len; at += len) {
        const unsigned char byte = (unsigned char)text.ptr[at];
        len = 1;
        if (byte < 0x80 && byte != '.' && byte != '?' && byte != '!' && byte != '\n')
            continue;
        const uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        if (c == '\n') {
            bool paragraph;
            end = skip_blanks(text, at, &paragraph);
            if (paragraph)
                return end;
        } else if ((is_end_mark(c) || is_full_stop(c)) && ends_here(text, first, at, c, len, &end)) {
            return end;
        }
    }
    return text.len;
}
