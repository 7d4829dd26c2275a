/* compress.c - gzip for responses, gzip and deflate for requests (zlib). RFC 1952, RFC 1950. */
#include <zlib.h>

#include "serve/server_int.h"

enum {
    GZIP_WINDOW = 15 + 16,   /* write gzip */
    EITHER_WINDOW = 15 + 32, /* read gzip or zlib, by the header */
    LEVEL = 1,               /* text shrinks to about a third at hundreds of megabytes a second */
    STEP = 64 << 10
};

void hd__gzip(hd_buffer *body, bool *compressed)
{
    z_stream z = {0};
    hd_buffer out;
    *compressed = false;
    if (body->len > UINT32_MAX / 2 || deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    hd__buffer_init(&out);
    const size_t most = deflateBound(&z, (uLong)body->len);
    char *to = hd__buffer_reserve(&out, most);
    if (to != NULL) {
        z.next_in = (Bytef *)body->ptr;
        z.avail_in = (uInt)body->len;
        z.next_out = (Bytef *)to;
        z.avail_out = (uInt)most;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < body->len) {
            out.len = z.total_out;
            hd_buffer plain = *body;
            *body = out;
            out = plain;
            *compressed = true;
        }
    }
    deflateEnd(&z);
    hd__buffer_clear(&out);
}

hd_status hd__inflate(hd_span bytes, uint64_t max_bytes, hd_buffer *out, hd_error *err)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes.ptr, .avail_in = (uInt)bytes.len};
    if (bytes.len > UINT32_MAX / 2)
        return hd__fail(err, HD_ERR_LIMIT, "a compressed body of %zu bytes", bytes.len);
    if (inflateInit2(&z, EITHER_WINDOW) != Z_OK)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to inflate the body");
    hd_status status = HD_OK;
    for (int result = Z_OK; status == HD_OK && result != Z_STREAM_END;) {
        char *to = hd__buffer_reserve(out, STEP);
        if (to == NULL) {
            status = hd__fail(err, HD_ERR_MEMORY, "no memory to inflate the body");
            break;
        }
        z.next_out = (Bytef *)to;
        z.avail_out = STEP;
        result = inflate(&z, Z_NO_FLUSH);
        const size_t n = STEP - z.avail_out;
        out->len += n;
        if (out->len > max_bytes)
            status = hd__fail(err, HD_ERR_LIMIT, "the body inflates to more than %llu bytes", (unsigned long long)max_bytes);
        else if ((result != Z_OK && result != Z_STREAM_END) || (n == 0 && result != Z_STREAM_END))
            status = hd__fail(err, HD_ERR_FORMAT, "the body does not inflate: %s", z.msg != NULL ? z.msg : "it is cut off");
    }
    if (status == HD_OK && z.avail_in > 0)
        status = hd__fail(err, HD_ERR_FORMAT, "%u bytes follow the compressed body", z.avail_in);
    inflateEnd(&z);
    return status;
}
