/* uuid.h - the text of a UUID (RFC 9562, section 4). */
#ifndef HD_BASE_UUID_H
#define HD_BASE_UUID_H

#define HD_UUID_BYTES 16
#define HD_UUID_TEXT_BYTES 37 /* with the NUL */

/* "8-4-4-4-12" hexadecimal digits of the bytes, with the bits of the version and of the RFC's variant in their places. */
void hd__uuid_text(const unsigned char bytes[HD_UUID_BYTES], unsigned version, char text[HD_UUID_TEXT_BYTES]);

#endif
