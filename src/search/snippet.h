/* snippet.h - the part of a text that shows best why it was found, and where the query's words are in it.
 *
 * With words of the query in the text it is the window that has most of them: each different one counts what it weighs,
 * again a fifth. With a focus (the sentence that comes closest to the query) it is the window about that. Else it is the
 * beginning. Windows begin and end with sentences where they can, else between words; white space becomes single blanks;
 * what is left out inside of a sentence is "…".
 */
#ifndef HD_SEARCH_SNIPPET_H
#define HD_SEARCH_SNIPPET_H

#include "base/arena.h"
#include "heddle/index.h"
#include "store/legs.h"

#define HD_SNIPPET_LEAST_BYTES 16u

typedef struct hd_snippet {
    const char *text;
    const hd_span32 *highlights; /* [n_highlights] in `text`, ascending, apart from each other */
    size_t n_highlights;
} hd_snippet;

/* text is UTF-8; matches ascend and lie in it; of an empty focus there is none. The snippet is at most max_bytes long, which
 * is at least HD_SNIPPET_LEAST_BYTES, and on the arena. */
HD_MUST_USE hd_status hd__snippet_make(hd_span text, const hd_match *matches, size_t n_matches, hd_span32 focus,
                                       size_t max_bytes, hd_arena *arena, hd_snippet *snippet, hd_error *err);

/* The sentences of a text, in its order, at most `max`: they end at full stops, at blank lines, and before lines that begin
 * like headings and items of lists. Returns how many. */
size_t hd__snippet_sentences(hd_span text, hd_span32 *sentences, size_t max);

#endif
