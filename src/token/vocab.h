/* vocab.h - the vocabulary of a WordPiece model: bytes to id, longest match first; id to text.
 *
 * A hash table of 32-bit slots over packed records. Each entry can be found by its whole text, as the start
 * of a word, and, when it begins with the continuing prefix ("##"), by what follows the prefix, as a
 * continuation. For each first byte a bitmap says which lengths exist, so that a longest-match search asks
 * only for pieces that may be there. 30,522 entries take about 900 KB.
 *
 * Built with one owner, then read-only.
 */
#ifndef HD_TOKEN_VOCAB_H
#define HD_TOKEN_VOCAB_H

#include "base/buffer.h"
#include "base/status.h"

#define HD_VOCAB_PADDING 16 /* bytes that must be readable, whatever they are, after text given to a search */

typedef enum hd_piece_kind { HD_PIECE_FIRST, HD_PIECE_NEXT } hd_piece_kind;

typedef struct hd_vocab {
    hd_buffer records;  /* each: id u32, length u16, text, NUL; at multiples of 4, never at 0 */
    uint32_t *slots;    /* [slot_mask + 1] record place, kind and tag; 0: free */
    uint32_t *place_of; /* [n_ids] record of each id; 0: none */
    uint32_t slot_mask;
    uint32_t prefix_len; /* of the continuing prefix */
    uint32_t n_ids;      /* highest id + 1 */
    uint32_t n_records;  /* added; more than n_tokens when some came twice */
    uint32_t n_tokens;   /* distinct texts, known once built */
    uint32_t longest[2];
    uint64_t lengths[2][256]; /* [kind][first byte] bit n: a piece of n bytes may be there (n < 64) */
} hd_vocab;

void hd__vocab_init(hd_vocab *vocab);
void hd__vocab_clear(hd_vocab *vocab);

/* Adds an entry. `file` is for the message. HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__vocab_add(hd_vocab *vocab, hd_span text, uint64_t id, const char *file, hd_error *err);

/* Makes the texts of the entries' ids known, and nothing else. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__vocab_index(hd_vocab *vocab, hd_error *err);

/* Does that and makes the entries searchable; both do nothing to a vocabulary that was built. Of two with the same text the
 * later one counts. A prefix of NULL: no piece continues a word. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__vocab_build(hd_vocab *vocab, hd_span prefix, hd_error *err);

/* The arrays of a vocabulary that was built, lying elsewhere (token_tables.h): records with their padding; slots may be
 * empty. false when they are not such: nothing in them is believed. What else a vocabulary has is the caller's to set. */
bool hd__vocab_view(hd_vocab *vocab, hd_span records, hd_span places, hd_span slots);

/* The id of exactly these bytes (HD_VOCAB_PADDING more readable), or -1. */
int32_t hd__vocab_find(const hd_vocab *vocab, hd_span text, hd_piece_kind kind);

/* The id of the longest piece that text begins with and its length in *len, or -1. */
int32_t hd__vocab_find_longest(const hd_vocab *vocab, hd_span text, hd_piece_kind kind, size_t *len);

/* The text of an id, empty and NUL-terminated when there is none. */
hd_span hd__vocab_text(const hd_vocab *vocab, uint32_t id);

#endif
