/* json_scan.c - see json_scan.h. */
#include "token/json_scan.h"

#include "base/utf8.h"

/* Bytes of a string that are not simply part of it. */
static const bool special[256] = {
    ['"'] = true, ['\\'] = true, [0] = true,  [1] = true,  [2] = true,  [3] = true,  [4] = true,  [5] = true,  [6] = true,
    [7] = true,   [8] = true,    [9] = true,  [10] = true, [11] = true, [12] = true, [13] = true, [14] = true, [15] = true,
    [16] = true,  [17] = true,   [18] = true, [19] = true, [20] = true, [21] = true, [22] = true, [23] = true, [24] = true,
    [25] = true,  [26] = true,   [27] = true, [28] = true, [29] = true, [30] = true, [31] = true,
};

bool hd__json_scan_string(hd_json_scan *scan, hd_span *raw)
{
    if (!hd__json_scan_take(scan, '"'))
        return false;
    const char *begin = scan->at, *at = begin, *const end = scan->end;
    for (;; at = end - at > 2 ? at + 2 : end) { /* past an escape */
        while (at < end && !special[(unsigned char)*at])
            at++;
        if (at >= end || *at != '\\')
            break;
    }
    scan->at = at < end ? at : end;
    if (at >= end || *at != '"')
        return false;
    *raw = hd__span(begin, (size_t)(at - begin));
    scan->at++;
    return true;
}

/* Any value: a balanced run of brackets, a string, or a run without punctuation. */
bool hd__json_scan_skip(hd_json_scan *scan)
{
    hd_span raw;
    size_t depth = 0;
    do {
        char c = hd__json_scan_peek(scan);
        if (c == '"') {
            if (!hd__json_scan_string(scan, &raw))
                return false;
            continue;
        }
        if (c == '\0' || ((c == ']' || c == '}') && depth == 0))
            return false;
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        scan->at++;
        if (depth == 0 && c != ']' && c != '}') /* a number or a name, to its end */
            while (scan->at < scan->end && *scan->at != ',' && *scan->at != '}' && *scan->at != ']')
                scan->at++;
    } while (depth > 0);
    return true;
}

bool hd__json_scan_key(hd_json_scan *scan, const char *key)
{
    hd_span raw;
    do {
        if (!hd__json_scan_string(scan, &raw) || !hd__json_scan_take(scan, ':'))
            return false;
        if (hd__span_is(raw, key))
            return true;
        if (!hd__json_scan_skip(scan))
            return false;
    } while (hd__json_scan_take(scan, ','));
    return false;
}

static bool take_hex4(const char *at, const char *end, uint32_t *value)
{
    *value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16u;
        if (digit == 16)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* \uXXXX or a surrogate pair of them; *at is after the 'u'. */
static bool take_unicode(const char **at, const char *end, uint32_t *c)
{
    uint32_t low;
    if (!take_hex4(*at, end, c))
        return false;
    *at += 4;
    if (*c < 0xD800 || *c > 0xDFFF)
        return true;
    if (*c > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !take_hex4(*at + 2, end, &low) ||
        low < 0xDC00 || low > 0xDFFF)
        return false;
    *at += 6;
    *c = 0x10000 + ((*c - 0xD800) << 10 | (low - 0xDC00));
    return true;
}

bool hd__json_unescape(hd_span raw, char *out, size_t *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    *len = 0;
    while (at < end) {
        char c = *at++;
        if (c != '\\') {
            out[(*len)++] = c;
            continue;
        }
        c = *at++; /* hd__json_scan_string saw it */
        uint32_t code_point;
        const char *simple = c != '\0' ? strchr(from, c) : NULL;
        if (simple != NULL)
            out[(*len)++] = to[simple - from];
        else if (c == 'u' && take_unicode(&at, end, &code_point))
            *len += hd__utf8_encode(code_point, out + *len);
        else
            return false;
    }
    return true;
}
