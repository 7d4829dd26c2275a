/* uuid.c - see uuid.h. */
#include "base/uuid.h"

#include <errno.h>
#include <sys/random.h>

void hd__uuid_text(const unsigned char bytes[HD_UUID_BYTES], unsigned version, char text[HD_UUID_TEXT_BYTES])
{
    for (int i = 0; i < HD_UUID_BYTES; i++) {
        unsigned byte = bytes[i];
        if (i == 6)
            byte = (byte & 0x0F) | version << 4;
        else if (i == 8)
            byte = (byte & 0x3F) | 0x80;
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = "0123456789abcdef"[byte >> 4 & 15];
        *text++ = "0123456789abcdef"[byte & 15];
    }
    *text = '\0';
}

hd_status hd__uuid_random(char text[HD_UUID_TEXT_BYTES], hd_error *err)
{
    unsigned char bytes[HD_UUID_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return hd__fail_errno(err, errno, "no random numbers for an id");
    hd__uuid_text(bytes, 4, text);
    return HD_OK;
}
