/* hash.c - see hash.h. */
#include "base/hash.h"

#include <openssl/evp.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* hd_sha256 is libcrypto's context under a name of our own. */
static EVP_MD_CTX *evp(hd_sha256 *hash)
{
    return (EVP_MD_CTX *)(void *)hash;
}

hd_status hd__sha256_new(hd_sha256 **hash, hd_error *err)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        return hd__fail(err, HD_ERR_MEMORY, "libcrypto could not begin a SHA-256");
    }
    *hash = (hd_sha256 *)(void *)context;
    return HD_OK;
}

void hd__sha256_add(hd_sha256 *hash, hd_span bytes)
{
    EVP_DigestUpdate(evp(hash), bytes.ptr, bytes.len);
}

void hd__sha256_end(hd_sha256 *hash, char hex[HD_SHA256_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(evp(hash), digest, NULL);
    EVP_MD_CTX_free(evp(hash));
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = '\0';
}

hd_status hd__sha1(hd_span bytes, unsigned char digest[HD_SHA1_BYTES], hd_error *err)
{
    if (EVP_Digest(bytes.ptr, bytes.len, digest, NULL, EVP_sha1(), NULL) != 1)
        return hd__fail(err, HD_ERR_MEMORY, "libcrypto could not make a SHA-1");
    return HD_OK;
}

hd_hash128 hd__hash128(hd_span bytes, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes.ptr, bytes.len, seed);
    return (hd_hash128){h.low64, h.high64};
}

uint64_t hd__hash64(hd_span bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed);
}
