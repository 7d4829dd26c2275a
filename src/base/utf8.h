/* utf8.h - reading UTF-8 one code point at a time.
 *
 * Invalid bytes become U+FFFD, one for each maximal subpart (Unicode 15, section 3.9, table 3-8), which is
 * what Python's errors="replace" and Rust's from_utf8_lossy do.
 */
#ifndef HD_BASE_UTF8_H
#define HD_BASE_UTF8_H

#include "base/span.h"

#define HD_UTF8_REPLACEMENT 0xFFFDu

/* Decodes the code point at text[at] (at < text.len), sets *len to the bytes it took (1 to 4). */
uint32_t hd__utf8_decode(hd_span text, size_t at, size_t *len, bool *valid);

/* Writes 1 to 4 bytes, returns how many. */
size_t hd__utf8_encode(uint32_t code_point, char out[4]);

/* How many that are. */
static inline size_t hd__utf8_len(uint32_t code_point)
{
    return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

/* Code points in valid UTF-8: bytes that begin one. */
static inline size_t hd__utf8_count(hd_span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* The offset of the first invalid byte, or text.len when all is valid. */
size_t hd__utf8_valid_len(hd_span text);

#endif
