/* redis_url.c - see redis_url.h. */
#include "remote/redis_url.h"

#include <string.h>

#include "base/span.h"

#define DEFAULT_PORT 6379
#define MAX_DB 1000000u

static hd_status bad(hd_error *err, const char *what)
{
    return hd__fail(err, HD_ERR_ARG, "the Redis URL %s; it is redis://[[user]:password@]host[:port][/db]", what);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static hd_status decode(hd_span text, hd_arena *arena, const char **result, hd_error *err)
{
    char *out = hd__arena_strndup(arena, text.ptr, text.len);
    if (out == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the Redis URL");
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            out[n++] = text.ptr[i];
            continue;
        }
        const bool has_two = text.len - i > 2;
        const int high = has_two ? digit_of(text.ptr[i + 1]) : -1, low = has_two ? digit_of(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return bad(err, "has a '%' in user or password that no two digits follow, or a NUL");
        out[n++] = (char)(high << 4 | low);
        i += 2;
    }
    out[n] = '\0';
    *result = out;
    return HD_OK;
}

static hd_status parse_number(hd_span text, uint32_t max, uint32_t *number, const char *what, hd_error *err)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 9)
        return bad(err, what);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return bad(err, what);
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (value > max)
        return bad(err, what);
    *number = (uint32_t)value;
    return HD_OK;
}

static hd_status parse_account(hd_span text, hd_arena *arena, hd_redis_url *url, hd_error *err)
{
    const char *colon = memchr(text.ptr, ':', text.len);
    if (colon == NULL)
        return bad(err, "has a user and no password");
    const size_t n_user = (size_t)(colon - text.ptr);
    if (n_user > 0)
        HD_TRY(decode(hd__span(text.ptr, n_user), arena, &url->user, err));
    return decode(hd__span(colon + 1, text.len - n_user - 1), arena, &url->password, err);
}

static hd_status parse_place(hd_span text, hd_arena *arena, hd_redis_url *url, hd_error *err)
{
    const char *end = text.len > 0 && text.ptr[0] == '[' ? memchr(text.ptr, ']', text.len) : NULL;
    const bool in_brackets = end != NULL;
    if (!in_brackets && (end = memchr(text.ptr, ':', text.len)) == NULL)
        end = text.ptr + text.len;
    hd_span host = hd__span(text.ptr + in_brackets, (size_t)(end - text.ptr) - in_brackets);
    if (host.len == 0 || host.len > 255 || memchr(host.ptr, '%', host.len) != NULL)
        return bad(err, "has no host");
    if ((url->host = hd__arena_strndup(arena, host.ptr, host.len)) == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the Redis URL");
    end += in_brackets;
    uint32_t port = DEFAULT_PORT;
    if (end < text.ptr + text.len) {
        if (*end != ':')
            return bad(err, "has something other than a port after its host");
        HD_TRY(parse_number(hd__span(end + 1, (size_t)(text.ptr + text.len - end) - 1), 65535, &port,
                            "has a port that is none from 1 to 65535", err));
        if (port == 0)
            return bad(err, "has a port that is none from 1 to 65535");
    }
    url->port = (uint16_t)port;
    return HD_OK;
}

hd_status hd__redis_url_parse(const char *text, hd_arena *arena, hd_redis_url *url, hd_error *err)
{
    static const char scheme[] = "redis://";
    hd_redis_url parsed = {0};
    if (strncmp(text, "rediss://", 9) == 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "rediss:// (Redis over TLS) is not supported; reach it by redis:// through a TLS tunnel");
    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return bad(err, "does not begin with redis://");
    text += sizeof scheme - 1;
    const size_t n_authority = strcspn(text, "/?#");
    hd_span authority = hd__span(text, n_authority);
    const char *at = n_authority > 0 ? memrchr(text, '@', n_authority) : NULL;
    if (at != NULL) {
        HD_TRY(parse_account(hd__span(text, (size_t)(at - text)), arena, &parsed, err));
        authority = hd__span(at + 1, n_authority - (size_t)(at - text) - 1);
    }
    HD_TRY(parse_place(authority, arena, &parsed, err));
    text += n_authority;
    if (*text == '/' && text[1] != '\0')
        HD_TRY(parse_number(hd__span_of(text + 1), MAX_DB, &parsed.db, "has a database that is no number", err));
    else if (*text != '/' && *text != '\0')
        return bad(err, "has a query");
    *url = parsed;
    return HD_OK;
}
