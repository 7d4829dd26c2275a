/* snippet.c - see snippet.h. */
#include "search/snippet.h"

#include <string.h>

#define ELLIPSIS "\xE2\x80\xA6"
#define ELLIPSIS_BYTES 3u

/* ---- where texts can be cut ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool in_code_point(hd_span text, size_t at)
{
    return at < text.len && ((unsigned char)text.ptr[at] & 0xC0) == 0x80;
}

/* Whether a sentence ends right before text[at]: . ! ? and their closing quotes, or the full stops of Chinese and Japanese.
 */
static bool ends_sentence(hd_span text, size_t at)
{
    static const char *const wide[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F"}; /* 。！？ */
    for (size_t i = 0; i < sizeof wide / sizeof *wide && at >= 3; i++)
        if (memcmp(text.ptr + at - 3, wide[i], 3) == 0)
            return true;
    if (at < text.len && !is_blank(text.ptr[at]))
        return false;
    while (at > 0 && strchr("\"')]", text.ptr[at - 1]) != NULL && text.ptr[at - 1] != '\0')
        at--;
    return at > 0 && (text.ptr[at - 1] == '.' || text.ptr[at - 1] == '!' || text.ptr[at - 1] == '?');
}

/* Whether the line that begins at text[at], after a line's end, is the beginning of something else. */
static bool begins_block(hd_span text, size_t at)
{
    if (at < 2 || text.ptr[at - 1] != '\n')
        return false;
    return text.ptr[at - 2] == '\n' || strchr("#-*|>+=", text.ptr[at]) != NULL;
}

/* Whether a sentence begins at text[at], which is no blank. */
static bool begins_sentence(hd_span text, size_t at)
{
    if (begins_block(text, at))
        return true;
    size_t before = at;
    while (before > 0 && is_blank(text.ptr[before - 1])) {
        before--;
        if (begins_block(text, before))
            return true;
    }
    return before == 0 || ends_sentence(text, before);
}

size_t hd__snippet_sentences(hd_span text, hd_span32 *sentences, size_t max)
{
    size_t n = 0, at = 0;
    while (n < max) {
        while (at < text.len && is_blank(text.ptr[at]))
            at++;
        if (at == text.len)
            break;
        size_t end = at + 1;
        while (end < text.len && (in_code_point(text, end) || is_blank(text.ptr[end]) || !begins_sentence(text, end)))
            end++;
        const size_t next = end;
        while (is_blank(text.ptr[end - 1]))
            end--;
        sentences[n++] = (hd_span32){(uint32_t)at, (uint32_t)end};
        at = next;
    }
    return n;
}

/* The nearest place from `at` on where a word begins, at most `last`; else where a character does. */
static size_t next_word(hd_span text, size_t at, size_t last)
{
    size_t i = at;
    while (i < last && !(i == 0 || is_blank(text.ptr[i - 1])))
        i++;
    if (i == last && i > 0 && !is_blank(text.ptr[i - 1]))
        i = at;
    while (in_code_point(text, i))
        i++;
    return i;
}

/* The last place up to `at` where a word ends, at least `first`; else where a character does. */
static size_t last_word(hd_span text, size_t at, size_t first)
{
    size_t i = at;
    while (i > first && i < text.len && !is_blank(text.ptr[i]))
        i--;
    if (i == first && !is_blank(text.ptr[i]))
        i = at;
    while (in_code_point(text, i))
        i--;
    return i;
}

/* ---- which window ---- */

/* The matches [*first, *last] of the window with the greatest weight, the first of equal ones. n is at least 1. */
static void best_matches(const hd_match *matches, size_t n, size_t window, size_t *first, size_t *last)
{
    float best = -1;
    for (size_t i = 0; i < n; i++) {
        float weight = 0;
        size_t k = i;
        for (; k < n && (k == i || matches[k].end - matches[i].begin <= window); k++) {
            bool again = false;
            for (size_t j = i; j < k && !again; j++)
                again = matches[j].term == matches[k].term;
            weight += again ? 0.2f * matches[k].weight : matches[k].weight;
        }
        if (weight > best) {
            best = weight;
            *first = i;
            *last = k - 1;
        }
    }
}

/* A window of at most `size` bytes that has what is wanted, or its beginning: from a sentence's begin when that is near
 * enough, else with a third of what is left before. */
static hd_span32 place_window(hd_span text, hd_span32 wanted, size_t size)
{
    const size_t room = wanted.end - wanted.begin < size ? size - (wanted.end - wanted.begin) : 0;
    size_t begin = wanted.begin, end;
    const size_t least = wanted.begin > room ? wanted.begin - room : 0;
    size_t sentence = wanted.begin;
    while (sentence > least &&
           !(!is_blank(text.ptr[sentence]) && !in_code_point(text, sentence) && begins_sentence(text, sentence)))
        sentence--;
    const bool at_sentence = sentence == 0 || (!is_blank(text.ptr[sentence]) && !in_code_point(text, sentence) &&
                                               begins_sentence(text, sentence));
    begin = at_sentence ? sentence : next_word(text, wanted.begin > room / 3 ? wanted.begin - room / 3 : 0, wanted.begin);
    if (text.len - begin < size && !at_sentence && text.len > size) /* what follows is short: more of what stands before */
        begin = next_word(text, text.len - size, wanted.begin);
    if (text.len - begin <= size)
        return (hd_span32){(uint32_t)begin, (uint32_t)text.len};
    end = begin + size;
    const size_t enough = wanted.end > begin + size / 2 ? wanted.end : begin + size / 2;
    for (size_t at = end; at >= enough; at--)
        if (!in_code_point(text, at) && ends_sentence(text, at))
            return (hd_span32){(uint32_t)begin, (uint32_t)at};
    return (hd_span32){(uint32_t)begin, (uint32_t)last_word(text, end, wanted.end < end ? wanted.end : end)};
}

/* ---- the snippet ---- */

/* What is written, and where bytes of the text went. */
typedef struct writer {
    char *out;
    size_t n;
    hd_span32 *highlights;
    size_t n_highlights;
} writer;

static void add_highlight(writer *w, size_t begin)
{
    if (begin >= w->n)
        return;
    if (w->n_highlights > 0 && w->highlights[w->n_highlights - 1].end >= begin)
        w->highlights[w->n_highlights - 1].end = (uint32_t)w->n;
    else
        w->highlights[w->n_highlights++] = (hd_span32){(uint32_t)begin, (uint32_t)w->n};
}

/* The window with single blanks; matches in it become highlights. */
static void write_window(writer *w, hd_span text, hd_span32 window, const hd_match *matches, size_t n_matches)
{
    const size_t start = w->n;
    size_t next = 0, highlight = SIZE_MAX;
    for (size_t at = window.begin; at < window.end; at++) {
        while (highlight == SIZE_MAX && next < n_matches && (matches[next].begin < at || matches[next].end > window.end))
            next++;
        const bool blank = is_blank(text.ptr[at]) || text.ptr[at] == '\0';
        if (highlight == SIZE_MAX && next < n_matches && matches[next].begin == at && !blank)
            highlight = w->n;
        if (!blank)
            w->out[w->n++] = text.ptr[at];
        else if (w->n > start && w->out[w->n - 1] != ' ')
            w->out[w->n++] = ' ';
        if (highlight != SIZE_MAX && matches[next].end <= at + 1) {
            add_highlight(w, highlight);
            highlight = SIZE_MAX;
        }
    }
    while (w->n > start && w->out[w->n - 1] == ' ')
        w->n--;
}

hd_status hd__snippet_make(hd_span text, const hd_match *matches, size_t n_matches, hd_span32 focus, size_t max_bytes,
                           hd_arena *arena, hd_snippet *snippet, hd_error *err)
{
    hd_span32 wanted = focus;
    const size_t window = max_bytes - 2 * ELLIPSIS_BYTES;
    if (focus.begin == focus.end && n_matches > 0) {
        size_t first = 0, last = 0;
        best_matches(matches, n_matches, window, &first, &last);
        wanted = (hd_span32){matches[first].begin, matches[last].end};
    } else if (focus.begin == focus.end) {
        while (wanted.begin < text.len && is_blank(text.ptr[wanted.begin]))
            wanted.begin = wanted.end = wanted.begin + 1;
    }
    const hd_span32 shown = place_window(text, wanted, window);
    writer w = {.out = hd__arena_alloc(arena, max_bytes + 1),
                .highlights = hd__arena_calloc(arena, n_matches + 1, sizeof *w.highlights)};
    if (w.out == NULL || w.highlights == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a snippet of %zu bytes", max_bytes);
    size_t begin = shown.begin, end = shown.end;
    while (begin < end && is_blank(text.ptr[begin]))
        begin++;
    while (end > begin && is_blank(text.ptr[end - 1]))
        end--;
    if (begin < end && !begins_sentence(text, begin)) {
        memcpy(w.out, ELLIPSIS, ELLIPSIS_BYTES);
        w.n = ELLIPSIS_BYTES;
    }
    write_window(&w, text, shown, matches, n_matches);
    size_t rest = end;
    while (rest < text.len && is_blank(text.ptr[rest]))
        rest++;
    if (rest < text.len && !ends_sentence(text, end) && !(rest > end && begins_sentence(text, rest))) {
        memcpy(w.out + w.n, ELLIPSIS, ELLIPSIS_BYTES);
        w.n += ELLIPSIS_BYTES;
    }
    w.out[w.n] = '\0';
    *snippet = (hd_snippet){w.out, w.highlights, w.n_highlights};
    return HD_OK;
}
