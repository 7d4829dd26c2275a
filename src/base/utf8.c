/* utf8.c - see utf8.h. Ranges of the second byte are those of Unicode 15 table 3-7. */
#include "base/utf8.h"

uint32_t hd__utf8_decode(hd_span text, size_t at, size_t *len, bool *valid)
{
    const unsigned char *s = (const unsigned char *)text.ptr + at;
    size_t left = text.len - at;
    *valid = true;
    *len = 1;
    if (s[0] < 0x80)
        return s[0];

    size_t n;
    uint32_t value;
    unsigned char low = 0x80, high = 0xBF; /* allowed second byte */
    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        n = 2;
        value = s[0] & 0x1Fu;
    } else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        n = 3;
        value = s[0] & 0x0Fu;
        low = s[0] == 0xE0 ? 0xA0 : 0x80;
        high = s[0] == 0xED ? 0x9F : 0xBF;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        n = 4;
        value = s[0] & 0x07u;
        low = s[0] == 0xF0 ? 0x90 : 0x80;
        high = s[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        *valid = false;
        return HD_UTF8_REPLACEMENT;
    }
    for (size_t i = 1; i < n; i++) {
        if (i >= left || s[i] < low || s[i] > high) {
            *valid = false;
            *len = i;
            return HD_UTF8_REPLACEMENT;
        }
        value = value << 6 | (s[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *len = n;
    return value;
}

size_t hd__utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The length of a code point below U+10000 whose second byte may be any continuation; 0: look closer. */
static inline size_t plain_len(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    if (left >= 2 && s[0] >= 0xC2 && s[0] <= 0xDF && (s[1] & 0xC0) == 0x80)
        return 2;
    bool any_second = s[0] > 0xE0 && s[0] < 0xF0 && s[0] != 0xED;
    return left >= 3 && any_second && (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80 ? 3 : 0;
}

size_t hd__utf8_valid_len(hd_span text)
{
    size_t at = 0;
    while (at < text.len) {
        uint64_t eight;
        if (text.len - at >= 8 && (memcpy(&eight, text.ptr + at, 8), (eight & 0x8080808080808080u) == 0)) {
            at += 8;
            continue;
        }
        const unsigned char *s = (const unsigned char *)text.ptr + at;
        size_t len = plain_len(s, text.len - at);
        bool valid = true;
        if (len == 0)
            hd__utf8_decode(text, at, &len, &valid);
        if (!valid)
            return at;
        at += len;
    }
    return at;
}
