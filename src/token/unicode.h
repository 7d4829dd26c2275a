/* unicode.h - what each code point is and becomes, as the Hugging Face `tokenizers` library sees it.
 *
 * That library mixes Unicode versions (categories of Unicode 8, decompositions of 13, lower case of Rust's
 * release), so ids equal to its own need its own tables: unicode_table.c, which tools/make_unicode_tables.py
 * reads off the library. No version of the Unicode data, and no system library, decides a token here.
 *
 * Tables are of two stages: index[c >> shift] names a block, block[...] holds the value.
 */
#ifndef HD_TOKEN_UNICODE_H
#define HD_TOKEN_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum {
    HD_UNICODE_SPACE = 1 << 0,       /* White_Space */
    HD_UNICODE_CONTROL = 1 << 1,     /* Cc, Cf, Co, U+0000, U+FFFD: what BertNormalizer's clean_text drops */
    HD_UNICODE_PUNCTUATION = 1 << 2, /* ASCII punctuation and P* */
    HD_UNICODE_NONSPACING = 1 << 3,  /* Mn: what BertNormalizer's strip_accents drops */
    HD_UNICODE_MARK = 1 << 4,        /* M*: what StripAccents drops */
    HD_UNICODE_WORD = 1 << 5,        /* \w */
    HD_UNICODE_CHINESE = 1 << 6,     /* what handle_chinese_chars puts spaces around */
    HD_UNICODE_HAS_LOWER = 1 << 7,   /* hd__unicode_lower changes it */
    HD_UNICODE_HAS_NFD = 1 << 8,     /* its canonical decomposition is another text */
    HD_UNICODE_HAS_NFKD = 1 << 9,    /* its compatibility decomposition is another text */
    HD_UNICODE_HAS_CLASS = 1 << 10,  /* its canonical combining class is not 0 */
    HD_UNICODE_COMPOSES = 1 << 11,   /* may be the second of a pair that composes */
    HD_UNICODE_LETTER = 1 << 12,     /* \p{L} of a regular expression */
    HD_UNICODE_NUMBER = 1 << 13,     /* \p{N} of one */
    HD_UNICODE_NUMERIC = 1 << 14,    /* what Digits splits at */
    HD_UNICODE_HAS_NFC = 1 << 15,    /* its canonical composition is another text */
};

#define HD_UNICODE_MAX_LOWER 3       /* code points one becomes in lower case */
#define HD_UNICODE_MAX_DECOMPOSED 18 /* code points one decomposes into */

extern const uint8_t hd__unicode_flag_index[8704];
extern const uint16_t hd__unicode_flag_block[];

/* HD_UNICODE_* bits of a code point up to 0x10FFFF. */
static inline uint32_t hd__unicode_flags(uint32_t c)
{
    return hd__unicode_flag_block[hd__unicode_flag_index[c >> 7] * 128u + (c & 127)];
}

/* Canonical combining class of a code point that does not decompose. */
uint32_t hd__unicode_class(uint32_t c);

/* Each writes what c becomes and returns how many code points that is (1: c itself, when nothing changes). */
size_t hd__unicode_lower(uint32_t c, uint32_t out[HD_UNICODE_MAX_LOWER]);
size_t hd__unicode_nfd(uint32_t c, uint32_t out[HD_UNICODE_MAX_DECOMPOSED]);
size_t hd__unicode_nfkd(uint32_t c, uint32_t out[HD_UNICODE_MAX_DECOMPOSED]);

/* What first and second compose into, or 0. */
uint32_t hd__unicode_compose(uint32_t first, uint32_t second);

#endif
