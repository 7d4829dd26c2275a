/* language.h - programming languages by the names of files, and what is needed to find their functions and types without
 * a parser for each.
 */
#ifndef HD_INGEST_LANGUAGE_H
#define HD_INGEST_LANGUAGE_H

#include "base/span.h"

typedef enum hd_language_traits {
    HD_LANGUAGE_SEMICOLONS = 1,   /* a line that ends without one goes on */
    HD_LANGUAGE_PREPROCESSOR = 2, /* lines "#…" */
    HD_LANGUAGE_CALLS = 4,        /* functions have no word in front: "type name(…)" */
    HD_LANGUAGE_METHODS = 8,      /* inside classes they have none: "name(…) {" */
    HD_LANGUAGE_TRIPLE = 16,      /* strings between three quotes, over lines */
    HD_LANGUAGE_BACKTICK = 32,    /* strings between backticks, over lines */
    HD_LANGUAGE_FLAT = 64,        /* no functions: settings, markup */
    HD_LANGUAGE_ARROW = 128,      /* "name <- function" */
    HD_LANGUAGE_ANY_CASE = 256,   /* words in capitals too */
} hd_language_traits;

typedef struct hd_language {
    const char *name;
    const char *suffixes; /* separated by spaces, between spaces */
    const char *names;    /* of files and of interpreters ("#!"), the same */
    unsigned traits;
    const char *comment, *comment_also;    /* begin a comment to the end of the line; NULL: none */
    const char *block_comment, *block_end; /* NULL: none */
    const char *quotes;                    /* characters that begin and end a string within a line */
    const char *words;                     /* that stand before the name of what is defined, between spaces */
} hd_language;

/* NULL when the name says none. */
const hd_language *hd__language_of_name(hd_span file_name);
const hd_language *hd__language_of_interpreter(hd_span program);

/* Whether a word is in a list "  a b c " of words between spaces. */
bool hd__word_in(const char *list, hd_span word, bool any_case);

#endif
