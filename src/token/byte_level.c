/* byte_level.c - see byte_level.h. The bytes that do not stand for themselves are three runs: 00-20, 7F-A0, AD. */
#include "token/byte_level.h"

uint32_t hd__byte_level_char(uint8_t byte)
{
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte >= 0x7F && byte <= 0xA0)
        return 0x121u + byte - 0x7F;
    return byte == 0xAD ? 0x143u : byte;
}

int hd__byte_level_byte(uint32_t c)
{
    if (c >= 0x100 && c <= 0x120)
        return (int)(c - 0x100);
    if (c >= 0x121 && c <= 0x142)
        return (int)(c - 0x121 + 0x7F);
    if (c == 0x143)
        return 0xAD;
    return c < 0x100 && hd__byte_level_char((uint8_t)c) == c ? (int)c : -1;
}
