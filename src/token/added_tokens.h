/* added_tokens.h - tokens that are found in the text before anything else cuts it: "[CLS]", "<mask>".
 *
 * Follows `tokenizers` (tokenizer/added_vocabulary.rs): tokens with normalized = false are searched in the
 * text as given, the others in the normalised text between them; leftmost, then longest. A match refused by
 * single_word still uses up its characters. Up to a few thousand tokens: those with one first byte are
 * tried one after the other, longest first.
 */
#ifndef HD_TOKEN_ADDED_TOKENS_H
#define HD_TOKEN_ADDED_TOKENS_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_added_token {
    hd_span pattern; /* what is searched for: the content, normalised where that is asked */
    hd_span content; /* as in the file, NUL-terminated */
    int32_t id;
    bool single_word; /* not inside a word */
    bool lstrip;      /* takes the white space on its left */
    bool rstrip;      /* and on its right */
    bool normalized;
    bool special; /* not part of what people write */
} hd_added_token;

typedef struct hd_added_set {
    const hd_added_token *tokens; /* by first byte, then longest first */
    size_t n;
    uint32_t first[257]; /* tokens of first byte b: first[b] to first[b + 1] */
} hd_added_set;

/* Sorts tokens in place and keeps pointing at them. HD_ERR_FORMAT when a pattern is empty or comes twice. */
HD_MUST_USE hd_status hd__added_set_build(hd_added_set *set, hd_added_token *tokens, size_t n, const char *file,
                                          hd_error *err);

/* The longest token that text has at `at`, or NULL. */
const hd_added_token *hd__added_set_find(const hd_added_set *set, hd_span text, size_t at);

/* Whether single_word, if asked, lets a token be at text[begin, end). */
bool hd__added_token_fits(const hd_added_token *token, hd_span text, size_t begin, size_t end);

/* Walks text from match to match. */
typedef struct hd_added_walk {
    const hd_added_set *set;
    hd_span text;
    size_t search_at; /* where the next match may begin */
    size_t done;      /* end of the last match, white space included */
} hd_added_walk;

/* The next match, NULL at the end. [*gap_begin, *gap_end) is the text between it and the match before (or
 * all that is left), possibly empty; [*begin, *end) the match with the white space it takes. */
const hd_added_token *hd__added_walk_next(hd_added_walk *walk, size_t *gap_begin, size_t *gap_end, size_t *begin,
                                          size_t *end);

#endif
