/* span.h - bytes somebody else owns, and the only way to read bytes that came from outside: the cursor.
 *
 * A cursor never reads past its end: a short read returns zero (or an empty span) and sets `failed`, which
 * stays set, so that a parser may read a whole record and check once. Integers are little-endian.
 */
#ifndef HD_BASE_SPAN_H
#define HD_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct hd_span {
    const char *ptr;
    size_t len;
} hd_span;

static inline hd_span hd__span(const void *ptr, size_t len)
{
    return (hd_span){ptr, len};
}

static inline hd_span hd__span_of(const char *text)
{
    return (hd_span){text, strlen(text)};
}

static inline bool hd__span_equal(hd_span a, hd_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool hd__span_is(hd_span a, const char *text)
{
    return hd__span_equal(a, hd__span_of(text));
}

static inline bool hd__span_begins(hd_span a, const char *text)
{
    size_t n = strlen(text);
    return a.len >= n && memcmp(a.ptr, text, n) == 0;
}

typedef struct hd_cursor {
    const unsigned char *at, *end;
    bool failed;
} hd_cursor;

static inline hd_cursor hd__cursor(hd_span bytes)
{
    const unsigned char *ptr = (const unsigned char *)bytes.ptr;
    return (hd_cursor){ptr, ptr + bytes.len, false};
}

static inline size_t hd__cursor_left(const hd_cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next n bytes, or an empty span with `failed` set. */
static inline hd_span hd__cursor_take(hd_cursor *c, size_t n)
{
    if (c->failed || n > hd__cursor_left(c)) {
        c->failed = true;
        return (hd_span){"", 0};
    }
    hd_span taken = {(const char *)c->at, n};
    c->at += n;
    return taken;
}

static inline uint64_t hd__cursor_uint(hd_cursor *c, size_t n_bytes)
{
    hd_span bytes = hd__cursor_take(c, n_bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value |= (uint64_t)(unsigned char)bytes.ptr[i] << (8 * i);
    return value;
}

static inline uint8_t hd__cursor_u8(hd_cursor *c)
{
    return (uint8_t)hd__cursor_uint(c, 1);
}
static inline uint16_t hd__cursor_u16(hd_cursor *c)
{
    return (uint16_t)hd__cursor_uint(c, 2);
}
static inline uint32_t hd__cursor_u32(hd_cursor *c)
{
    return (uint32_t)hd__cursor_uint(c, 4);
}
static inline uint64_t hd__cursor_u64(hd_cursor *c)
{
    return hd__cursor_uint(c, 8);
}

#endif
