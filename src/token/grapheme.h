/* grapheme.h - where extended grapheme clusters end: Unicode Standard Annex 29, section 3.1.1, rules GB3 to GB999.
 *
 * The properties are those of the Unicode version that `tokenizers` has (grapheme_table.c), so that a Precompiled
 * normaliser sees the same clusters.
 */
#ifndef HD_TOKEN_GRAPHEME_H
#define HD_TOKEN_GRAPHEME_H

#include <stdbool.h>
#include <stdint.h>

extern const uint8_t hd__grapheme_index[8704];
extern const uint8_t hd__grapheme_block[20992]; /* class, and the two bits of grapheme.c */

/* What is known of the text before a code point. Zeroed: the text begins. */
typedef struct hd_grapheme_state {
    uint8_t before;   /* class of the code point before */
    uint8_t conjunct; /* 0: none; 1: a consonant has begun one; 2: and a linker follows */
    uint8_t emoji;    /* 0: none; 1: a pictograph has begun one; 2: and a joiner follows */
    bool odd_flags;   /* an odd number of regional indicators */
} hd_grapheme_state;

/* Whether a cluster ends before `c`; `c` is then the code point before. */
bool hd__grapheme_ends(hd_grapheme_state *state, uint32_t c);

/* Whether `c` begins and ends a cluster unless the code point before or after it is not of this kind. */
static inline bool hd__grapheme_is_plain(uint32_t c)
{
    return hd__grapheme_block[hd__grapheme_index[c >> 7] * 128u + (c & 127)] == 0;
}

#endif
