/* uuid.h - the text of a UUID (RFC 9562, section 4). */
#ifndef HD_BASE_UUID_H
#define HD_BASE_UUID_H

#include "base/status.h"

#define HD_UUID_BYTES 16
#define HD_UUID_TEXT_BYTES 37 /* with the NUL */

/* "8-4-4-4-12" hexadecimal digits of the bytes, with the bits of the version and of the RFC's variant in their places. */
void hd__uuid_text(const unsigned char bytes[HD_UUID_BYTES], unsigned version, char text[HD_UUID_TEXT_BYTES]);

/* A random one, of version 4. HD_ERR_IO. */
HD_MUST_USE hd_status hd__uuid_random(char text[HD_UUID_TEXT_BYTES], hd_error *err);

#endif
