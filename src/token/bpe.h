/* bpe.h - the BPE model: the characters of a word, joined pair by pair in the order of the merges.
 *
 * Follows `tokenizers` (models/bpe): of all neighbours that a merge joins, those of the earliest merge are joined first, the
 * leftmost before others, until none is left. Short words look through their few pairs again after each merge; long ones
 * keep them in a heap, so that a word of n characters takes n log n.
 *
 * A merge is found by the ids of its two pieces: an open hash table of 16 bytes a slot, at most half full.
 */
#ifndef HD_TOKEN_BPE_H
#define HD_TOKEN_BPE_H

#include "token/vocab.h"

#define HD_BPE_NO_RANK UINT32_MAX /* of a pair that nothing joins */

typedef struct hd_bpe_merge {
    uint32_t left, right; /* ids */
    uint32_t rank;        /* HD_BPE_NO_RANK: a free slot */
    uint32_t id;          /* of what they become */
} hd_bpe_merge;

typedef struct hd_bpe {
    const hd_vocab *vocab;
    hd_bpe_merge *slots; /* [slot_mask + 1] */
    uint32_t slot_mask;
    uint32_t n_merges;    /* read, also those that came twice */
    uint32_t last_made;   /* id of the last one */
    hd_span prefix;       /* continuing_subword_prefix: before every character but a word's first */
    hd_span suffix;       /* end_of_word_suffix: after its last */
    int32_t unk_id;       /* -1: what is not in the vocabulary is left out */
    bool fuse_unk;        /* unknown neighbours are one token */
    bool ignore_merges;   /* a word of the vocabulary is its token */
    bool byte_fallback;   /* what is not in the vocabulary becomes the tokens of its bytes, if it has them all */
    int32_t byte_id[256]; /* of "<0x00>" and so on, -1 where there is none */
} hd_bpe;

#define HD_BPE_AFFIX_BYTES 64 /* the longest prefix or suffix */

/* Ready for merges, or to be used when they are there already. The vocabulary has been built and stays in place; prefix,
 * suffix and the options are set. unk_token (ptr
 * NULL: none) is looked up: HD_ERR_FORMAT when it is not there. HD_ERR_LIMIT, HD_ERR_MEMORY. `file` is for messages. */
HD_MUST_USE hd_status hd__bpe_begin(hd_bpe *bpe, const hd_vocab *vocab, hd_span unk_token, const char *file, hd_error *err);
void hd__bpe_clear(hd_bpe *bpe);

/* The merges of a model over n_ids tokens, lying elsewhere (token_tables.h). false when they are not such: nothing in them
 * is believed. */
bool hd__bpe_view(hd_bpe *bpe, hd_span slots, uint32_t n_ids);

/* The next merge in order; a pair that came before moves to the later place. `file` is for the message. HD_ERR_FORMAT when a
 * piece, or what they make, is not in the vocabulary; HD_ERR_LIMIT; HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__bpe_add_merge(hd_bpe *bpe, hd_span left, hd_span right, const char *file, hd_error *err);

typedef struct hd_bpe_symbol {
    uint32_t id, n_bytes;
    uint32_t previous, next; /* in the heap's way only */
} hd_bpe_symbol;

/* What encoding needs, grown as it goes; one owner. Zeroed, it is empty. */
typedef struct hd_bpe_work {
    hd_bpe_symbol *symbols; /* [n] */
    size_t n, capacity;
    uint64_t *heap;
    size_t heap_capacity;
} hd_bpe_work;

void hd__bpe_work_clear(hd_bpe_work *work);

/* Room for n symbols in all. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__bpe_reserve(hd_bpe_work *work, size_t n, hd_error *err);

/* The pieces of a word, which has at least one byte, in work->symbols, with the bytes of the word that each stands for.
 * HD_VOCAB_PADDING more bytes of the word must be readable. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__bpe_encode(const hd_bpe *bpe, hd_span word, hd_bpe_work *work, hd_error *err);

/* The second half of it: joins work->symbols, whose ids and bytes are set. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__bpe_merge(const hd_bpe *bpe, hd_bpe_work *work, hd_error *err);

/* The same for few symbols, without any memory: ids and lens (may be NULL) are [n], n <= HD_BPE_SHORT. Returns how many are
 * left. */
#define HD_BPE_SHORT 48
size_t hd__bpe_merge_short(const hd_bpe *bpe, uint32_t *ids, uint32_t *lens, size_t n);

#endif
