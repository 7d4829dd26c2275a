/* checksum.h - the two names that a hub gives to a file's contents.
 *
 * Large files: SHA-256 of the contents (64 hex digits). Small ones: git's blob id, the SHA-1 (40 digits) of
 * "blob <length>" NUL contents. Source: git's documentation of objects (gitformat-pack, hash-object).
 */
#ifndef HD_REMOTE_CHECKSUM_H
#define HD_REMOTE_CHECKSUM_H

#include "base/status.h"

typedef enum hd_checksum_kind { HD_CHECKSUM_NONE, HD_CHECKSUM_SHA256, HD_CHECKSUM_GIT_BLOB } hd_checksum_kind;

#define HD_CHECKSUM_HEX_BYTES 65

typedef struct hd_checksum {
    hd_checksum_kind kind;
    char hex[HD_CHECKSUM_HEX_BYTES]; /* lower case */
} hd_checksum;

/* From an ETag or a field of the hub's JSON, with or without quotes and W/: told apart by its length; NONE
 * when it is neither. */
hd_checksum hd__checksum_parse(const char *text);

/* Computes a file's checksum of the kind wanted and compares. HD_ERR_PEER when it is another one. */
HD_MUST_USE hd_status hd__checksum_verify(const hd_checksum *checksum, const char *path, hd_error *err);

#endif
