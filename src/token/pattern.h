/* pattern.h - what a pre-tokenizer or normaliser looks for in a text: a literal, one of the word rules, or a regular
 * expression.
 *
 * Regular expressions of tokenizer.json are Oniguruma's in Ruby's syntax; here PCRE2 runs them, with ^ and $ at every line
 * and Oniguruma's \s, \w, \p{L} and \p{N}; of other classes PCRE2's own Unicode decides, which may be older. What means
 * something else in the two is refused by name: &&, \h, \K, {1,2}+ and so on.
 */
#ifndef HD_TOKEN_PATTERN_H
#define HD_TOKEN_PATTERN_H

#include "base/arena.h"
#include "base/json.h"
#include "token/word_rule.h"

typedef struct hd_pattern hd_pattern;

/* Reads {"Regex": "..."} or {"String": "..."}, or a string that is a literal. What it needs goes with the arena; `where` is
 * for messages. HD_ERR_FORMAT, HD_ERR_UNSUPPORTED, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pattern_parse(const json_t *json, const char *file, const char *where, hd_arena *arena,
                                        const hd_pattern **pattern, hd_error *err);

/* The pattern that is a word rule. NULL: it is another one. */
const hd_word_rule *hd__pattern_rule(const hd_pattern *pattern);
const hd_pattern *hd__pattern_of_rule(hd_word_rule rule);

/* Half-open ranges of bytes, or of characters; they grow, one owner. */
typedef struct hd_word {
    size_t begin, end;
} hd_word;

typedef struct hd_words {
    hd_word *words; /* [n] */
    size_t n, capacity;
} hd_words;

HD_MUST_USE hd_status hd__words_add(hd_words *words, size_t begin, size_t end, hd_error *err);

/* Replaces matches by all of the text's, left to right, none over another; some may be empty. The text is valid UTF-8.
 * HD_ERR_LIMIT when a regular expression takes too long, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pattern_find(const hd_pattern *pattern, hd_span text, hd_words *matches, hd_error *err);

#endif
