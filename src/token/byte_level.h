/* byte_level.h - the alphabet of byte-level BPE: one printable character for each byte.
 *
 * Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 on, in order (GPT-2's bytes_to_unicode).
 */
#ifndef HD_TOKEN_BYTE_LEVEL_H
#define HD_TOKEN_BYTE_LEVEL_H

#include <stdint.h>

#define HD_BYTE_LEVEL_END 0x144 /* one past the last character of the alphabet */
#define HD_BYTE_LEVEL_SPACE 0x120

/* The character of a byte. */
uint32_t hd__byte_level_char(uint8_t byte);

/* The byte of a character, or -1. */
int hd__byte_level_byte(uint32_t c);

#endif
