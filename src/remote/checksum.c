/* checksum.c - see checksum.h. */
#include "remote/checksum.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "base/file.h"

hd_checksum hd__checksum_parse(const char *text)
{
    hd_checksum sum = {HD_CHECKSUM_NONE, ""};
    if (strncmp(text, "W/", 2) == 0)
        text += 2;
    text += text[0] == '"';
    size_t n = strcspn(text, "\"");
    if (n != 40 && n != 64)
        return sum;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return sum;
        sum.hex[i] = c;
    }
    sum.kind = n == 64 ? HD_CHECKSUM_SHA256 : HD_CHECKSUM_GIT_BLOB;
    return sum;
}

/* Hex digits of the digest of prefix and contents; false when libcrypto fails. */
static bool digest_of(const EVP_MD *method, hd_span prefix, hd_span contents, char hex[HD_CHECKSUM_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, method, NULL) == 1 &&
                EVP_DigestUpdate(context, prefix.ptr, prefix.len) == 1 &&
                EVP_DigestUpdate(context, contents.ptr, contents.len) == 1 && EVP_DigestFinal_ex(context, digest, &n) == 1;
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; done && i < n; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return done;
}

hd_status hd__checksum_verify(const hd_checksum *checksum, const char *path, hd_error *err)
{
    if (checksum->kind == HD_CHECKSUM_NONE)
        return HD_OK;
    hd_file_map map;
    HD_TRY(hd__file_map_open(path, &map, err));
    bool is_git = checksum->kind == HD_CHECKSUM_GIT_BLOB;
    char prefix[32], hex[HD_CHECKSUM_HEX_BYTES] = "";
    int n = is_git ? snprintf(prefix, sizeof prefix, "blob %llu", (unsigned long long)map.size) + 1 : 0; /* with its NUL */
    bool done = digest_of(is_git ? EVP_sha1() : EVP_sha256(), hd__span(prefix, (size_t)n), map.bytes, hex);
    hd__file_map_close(&map);
    if (!done)
        return hd__fail(err, HD_ERR_MEMORY, "%s: libcrypto could not compute its checksum", path);
    if (strcmp(hex, checksum->hex) != 0)
        return hd__fail(err, HD_ERR_PEER, "%s: has %s %s, the hub says %s", path, is_git ? "git blob id" : "SHA-256", hex,
                        checksum->hex);
    return HD_OK;
}
