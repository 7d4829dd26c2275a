/* words.h - a text's words as an index knows them: the same for documents and for queries.
 *
 *   words         letters, digits and marks (Unicode's categories L, M, N); an apostrophe is in a word in English alone
 *   folded        NFKC, case folding, no accents (combining marks U+0300 and alike; those of other scripts are vowels and
 *                 stay)
 *   stemmed       Snowball's stemmer of the language. English knows no accents, so they go before; for other languages
 *                 after
 *   identifiers   HTTPServer, snake_case, os.path, std::vector and 3.11 are words of several parts: each part counts, and
 *                 the whole is a term, too. So are c++ and c#
 *   scripts without spaces (Han, kana, Hangul, Thai, Lao, Khmer, Burmese) are cut into pairs of neighbours, a single one is
 *                 a term by itself. Hangul has spaces, but between words with endings
 *   length        what is longer than HD_LIMIT_WORD_BYTES is cut there
 *
 * There are no stop words: how rare a term is weighs it.
 */
#ifndef HD_STORE_WORDS_H
#define HD_STORE_WORDS_H

#include "base/span.h"
#include "base/status.h"

typedef struct hd_words hd_words;

typedef struct hd_word {
    uint32_t at, len;    /* of the term in hd__words_term's memory */
    uint32_t begin, end; /* bytes in the text */
    uint32_t position;   /* 0, 1, …: a word more each */
    bool is_whole;       /* an identifier whose parts are words by themselves: has the position of the first */
} hd_word;

/* language: "none" or one of Snowball's; HD_ERR_ARG lists them. One thread at a time uses a hd_words. */
HD_MUST_USE hd_status hd__words_open(const char *language, hd_words **words, hd_error *err);
void hd__words_close(hd_words *words); /* NULL allowed */

/* The words of a text in its order; they and their terms live until the next call. HD_ERR_MEMORY; texts of more than
 * HD_LIMIT_TEXT_BYTES are HD_ERR_LIMIT. */
HD_MUST_USE hd_status hd__words_split(hd_words *words, hd_span text, const hd_word **split, size_t *n, hd_error *err);
hd_span hd__words_term(const hd_words *words, const hd_word *word);

#endif
