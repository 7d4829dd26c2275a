/* wordpiece.h - the WordPiece model: one word to the ids of its pieces, longest match first.
 *
 * Follows `tokenizers` (models/wordpiece): a word of more than max_word_chars code points, or one with a
 * place where no piece fits, is one unknown token.
 */
#ifndef HD_TOKEN_WORDPIECE_H
#define HD_TOKEN_WORDPIECE_H

#include "token/vocab.h"

typedef struct hd_wordpiece {
    const hd_vocab *vocab;
    int32_t unk_id;
    uint32_t max_word_chars;
} hd_wordpiece;

/* Makes the vocabulary, whose entries have been added and which stays in place, searchable and finds the unknown token in
 * it. `file` is for the message. HD_ERR_FORMAT when it is not there, HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__wordpiece_build(hd_wordpiece *model, hd_vocab *vocab, hd_span prefix, hd_span unk_token,
                                          const char *file, hd_error *err);

/* Writes the pieces' ids, and where each ends in the word when `ends` is not NULL; both have room for
 * word.len. The word has n_chars code points, at least one, and HD_VOCAB_PADDING readable bytes after it.
 * Returns how many pieces, at least 1. */
size_t hd__wordpiece_encode(const hd_wordpiece *model, hd_span word, size_t n_chars, int32_t *ids, uint32_t *ends);

#endif
