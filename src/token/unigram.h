/* unigram.h - the Unigram model: a word to the pieces whose scores have the highest sum.
 *
 * Follows `tokenizers` (models/unigram): scores are log probabilities, added in double from the front; of two equal sums
 * the first found stays. A character that is no piece by itself may be unknown, at 10 below the lowest score; unknown
 * neighbours are one token. With byte_fallback they are the pieces "<0x00>" to "<0xFF>" of their bytes instead, where the
 * vocabulary has them all.
 */
#ifndef HD_TOKEN_UNIGRAM_H
#define HD_TOKEN_UNIGRAM_H

#include "token/piece_trie.h"

typedef struct hd_unigram {
    const hd_vocab *vocab;
    double *scores; /* [n_ids] of the vocabulary */
    size_t n_scores, capacity;
    hd_piece_trie trie;
    double unk_score;
    int32_t unk_id; /* -1: none; a text that needs it is refused */
    bool byte_fallback;
    int32_t byte_ids[256]; /* -1: not in the vocabulary */
} hd_unigram;

/* The best way to here. */
typedef struct hd_unigram_node {
    double score;
    uint32_t begin; /* of its last piece, in bytes of the word; UINT32_MAX: there is no way */
    int32_t id;
} hd_unigram_node;

/* The score of the next id. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__unigram_add_score(hd_unigram *model, double score, hd_error *err);

/* Makes the vocabulary, whose entries have been added with a score each and which stays in place, searchable, unless the
 * trie is there already. unk_id: -1 for none. HD_ERR_FORMAT when it is out of range, HD_ERR_LIMIT, HD_ERR_MEMORY. `file` is
 * for the message. */
HD_MUST_USE hd_status hd__unigram_build(hd_unigram *model, hd_vocab *vocab, int64_t unk_id, bool byte_fallback,
                                        const char *file, hd_error *err);
void hd__unigram_clear(hd_unigram *model);

/* Finds the best way through a word, valid UTF-8 and not empty. nodes is [word.len + 1]. */
void hd__unigram_search(const hd_unigram *model, hd_span word, hd_unigram_node *nodes);

/* The pieces of the best way, which search has found; ids and, when not NULL, begins and ends have room for word.len.
 * Returns how many, 0 when there is an unknown character and no unknown token. */
size_t hd__unigram_pieces(const hd_unigram *model, hd_span word, hd_unigram_node *nodes, int32_t *ids, uint32_t *begins,
                          uint32_t *ends);

extern const char hd__no_unknown_token[]; /* what to say then */

#endif
