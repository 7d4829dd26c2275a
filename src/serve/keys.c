/* keys.c - "Authorization: Bearer KEY" (RFC 6750) and "X-Api-Key: KEY". */
#include <strings.h>

#include "serve/server_int.h"

static bool equal_in_constant_time(hd_span given, hd_span key)
{
    size_t difference = given.len ^ key.len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (size_t)(unsigned char)given.ptr[i] ^ (size_t)(unsigned char)key.ptr[key.len > 0 ? i % key.len : 0];
    return difference == 0;
}

static hd_span sent_key(const hd_http_request *request)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof scheme - 1;
    const hd_span header = hd__http_header(request, "Authorization");
    if (header.len > n && strncasecmp(header.ptr, scheme, n) == 0)
        return hd__span(header.ptr + n, header.len - n);
    return hd__http_header(request, "X-Api-Key");
}

bool hd__key_fits(const hd_server *server, const hd_http_request *request, hd_span *key)
{
    const hd_server_options *o = &server->options;
    *key = sent_key(request);
    bool fits = false;
    for (size_t i = 0; i < o->n_keys; i++)
        fits |= equal_in_constant_time(*key, o->keys[i]);
    return o->n_keys == 0 || (key->ptr != NULL && fits);
}
