/* charsmap.h - what a SentencePiece model makes of each character before anything else: its precompiled_charsmap.
 *
 *   u32 bytes of the trie   little endian, as all numbers
 *   u32 units of the trie   a double array (Darts-clone) over the bytes to be replaced; the value is a place in
 *   texts                   what they are replaced by, UTF-8, each ended by a NUL
 *
 * A unit of the double array: bits 0-7 and 31 its label, bit 8 whether a value is at its children's place, bits 10-30 the
 * way there, times 256 with bit 9. A unit with a value: bits 0-30.
 *
 * Follows `tokenizers` (normalizers/precompiled.rs and the crate spm_precompiled), not SentencePiece itself, which replaces
 * the longest match: a grapheme cluster of up to 5 bytes is replaced as a whole by what its shortest match says; of
 * any other, each character by itself.
 */
#ifndef HD_TOKEN_CHARSMAP_H
#define HD_TOKEN_CHARSMAP_H

#include "base/arena.h"
#include "base/span.h"
#include "token/normalizer.h"

struct hd_charsmap {
    const uint32_t *units; /* [n_units] */
    uint32_t n_units;
    hd_span texts;
};

/* Reads the format; `file` is for messages. What it needs lives in the arena. HD_ERR_FORMAT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__charsmap_read(hd_span bytes, const char *file, hd_arena *arena, hd_charsmap *map, hd_error *err);

/* The same from base64, as tokenizer.json has it. */
HD_MUST_USE hd_status hd__charsmap_read_base64(hd_span base64, const char *file, hd_arena *arena, hd_charsmap *map,
                                               hd_error *err);

/* What replaces these bytes: *text, if the shortest of their beginnings that the map knows is in it. */
bool hd__charsmap_find(const hd_charsmap *map, const char *bytes, size_t n, hd_span *text);

/* Replaces in text; spare is for its use. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__charsmap_run(const hd_charsmap *map, hd_norm_text *text, hd_norm_text *spare, hd_error *err);

#endif
