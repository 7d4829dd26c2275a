/* posting_list.h - the chunks of one term in one segment, as bytes: local numbers (from 0, ascending) with a payload each, 1
 * to 65535: how often a word is in the chunk, or the bits of a positive half, which order as the numbers do.
 *
 *   list       = postings, up to HD_POSTING_BLOCK of them | directory block … tail
 *   postings   = for each: varint((id - id before - 1) << 1 | payload is 1), then varint(payload) unless it is 1
 *   directory  = for each block, the tail too: varint(last id - last of the block before - 1) varint(bytes of the block)
 *                u8(number of fronts) and for each varint(payload) varint(length)
 *   block      = u8(bits of ids) u8(bits of payloads) varint(least payload) ids payloads: HD_POSTING_BLOCK numbers each,
 *                id - id before - 1 and payload - least payload, as 32 rows of 4: number i is in row i / 4, column i % 4,
 *                and the numbers of a column follow each other as bits in little-endian 32-bit words, the words of the
 *                four columns in turn (vertical layout: Lemire and Boytsov 2015)
 *   tail       = postings, 1 to HD_POSTING_BLOCK of them
 *
 * "id before" of the first is -1. Fronts are a block's bounds: no posting has a greater payload and a lesser chunk length
 * than any front has, so the best front's score is no less than any posting's, whatever the mean length has become (Lucene's
 * "impacts"; at most HD_POSTING_FRONTS, of which some then stand for more than is there). Lengths are those of the
 * segment's chunks, 0 without any.
 */
#ifndef HD_STORE_POSTING_LIST_H
#define HD_STORE_POSTING_LIST_H

#include "base/buffer.h"

enum { HD_POSTING_BLOCK = 128, HD_POSTING_FRONTS = 4 };

typedef struct hd_front {
    uint16_t payload, length;
} hd_front;

typedef struct hd_posting_dir {
    uint32_t last;   /* id of its last posting */
    uint32_t offset; /* in the list's bytes */
    uint32_t front;  /* number of its first front; they end where those of the next begin */
} hd_posting_dir;

/* A list of more than one block, opened. */
typedef struct hd_posting_list {
    hd_span bytes;
    uint32_t n, n_blocks;
    hd_posting_dir *dir; /* [n_blocks + 1] the last: where all ends */
    hd_front *fronts;
} hd_posting_list;

/* Postings of one block, decoded; after the n-th, ids that no chunk has. */
#define HD_POSTING_NO_ID ((uint32_t)INT32_MAX)
typedef struct hd_posting_block {
    uint32_t n;
    uint32_t ids[HD_POSTING_BLOCK], payloads[HD_POSTING_BLOCK];
} hd_posting_block;

/* Appends a list. lengths: of all chunks of the segment, NULL: none. A failure is the buffer's. */
void hd__posting_list_write(hd_buffer *out, const uint32_t *ids, const uint16_t *payloads, size_t n,
                            const uint16_t *lengths);

/* What the directory needs in memory, for lists of more than one block. */
size_t hd__posting_list_memory(uint32_t n);

/* Reads the directory into `memory` of that size, at a multiple of 8. Ids are below n_chunks. False: not a list of n. */
bool hd__posting_list_open(hd_span bytes, uint32_t n, uint32_t n_chunks, void *memory, hd_posting_list *list);
bool hd__posting_list_decode(const hd_posting_list *list, uint32_t block, hd_posting_block *out);

/* A list of one block. */
bool hd__posting_list_decode_short(hd_span bytes, uint32_t n, uint32_t n_chunks, hd_posting_block *out);

/* The whole list, of any length: [n] each. memory: as for open. */
bool hd__posting_list_decode_all(hd_span bytes, uint32_t n, uint32_t n_chunks, void *memory, uint32_t *ids,
                                 uint16_t *payloads);

/* The fronts of postings; returns how many. */
size_t hd__posting_fronts(const uint32_t *ids, const uint16_t *payloads, size_t n, const uint16_t *lengths,
                          hd_front fronts[HD_POSTING_FRONTS]);

/* Integers of 7 bits a byte, the least first; the high bit says that there are more. */
void hd__varint_append(hd_buffer *out, uint64_t value);
uint64_t hd__varint_read(hd_cursor *cursor);

#endif
