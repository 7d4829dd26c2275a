/* hash.h - SHA-256 for identity, SHA-1 for others' ids (libcrypto), XXH3-128 for keys and checksums of our own files
 * (libxxhash). */
#ifndef HD_BASE_HASH_H
#define HD_BASE_HASH_H

#include "base/span.h"
#include "base/status.h"

#define HD_SHA256_HEX_BYTES 65 /* 64 digits and the NUL */

typedef struct hd_sha256 hd_sha256;

HD_MUST_USE hd_status hd__sha256_new(hd_sha256 **hash, hd_error *err);
void hd__sha256_add(hd_sha256 *hash, hd_span bytes);
void hd__sha256_end(hd_sha256 *hash, char hex[HD_SHA256_HEX_BYTES]); /* lower case; frees hash */

#define HD_SHA1_BYTES 20

/* For ids that others have defined by it (RFC 9562, UUIDs of version 5), never for trust. */
HD_MUST_USE hd_status hd__sha1(hd_span bytes, unsigned char digest[HD_SHA1_BYTES], hd_error *err);

typedef struct hd_hash128 {
    uint64_t low, high;
} hd_hash128;

hd_hash128 hd__hash128(hd_span bytes, uint64_t seed);
uint64_t hd__hash64(hd_span bytes, uint64_t seed);

#endif
