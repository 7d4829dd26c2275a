/* encoding.c - see encoding.h. */
#include "ingest/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/utf8.h"

#define HEAD_BYTES 65536u /* what the kind of bytes is told from */

/* Control characters that no text has: all but \t \n \v \f \r and ESC, which coloured logs have. */
static bool is_control(unsigned char c)
{
    return (c < 0x20 && !(c >= '\t' && c <= '\r') && c != 0x1B) || c == 0x7F;
}

static size_t count_control(hd_span text)
{
    const uint64_t ones = UINT64_MAX / 0xFF, high = 0x80 * ones;
    size_t n = 0;
    for (size_t at = 0; at < text.len;) {
        uint64_t eight;
        if (text.len - at >= 8) { /* none below 0x20, none above 0x7E: most of ASCII */
            memcpy(&eight, text.ptr + at, 8);
            if ((((eight - 0x20 * ones) | (eight + ones) | eight) & high) == 0) {
                at += 8;
                continue;
            }
        }
        for (size_t end = text.len - at >= 8 ? at + 8 : text.len; at < end; at++)
            n += is_control((unsigned char)text.ptr[at]);
    }
    return n;
}

/* UTF-16 without a mark: every other byte of ASCII is zero, and hardly any of the others. */
static hd_encoding utf16_of(hd_span head)
{
    size_t n_zero[2] = {0}, n = head.len & ~(size_t)1;
    for (size_t i = 0; i < n; i++)
        n_zero[i & 1] += head.ptr[i] == '\0';
    if (n >= 4 && n_zero[1] * 10 >= n * 2 && n_zero[0] * 50 <= n)
        return HD_ENCODING_UTF16_LE;
    if (n >= 4 && n_zero[0] * 10 >= n * 2 && n_zero[1] * 50 <= n)
        return HD_ENCODING_UTF16_BE;
    return HD_ENCODING_BINARY;
}

hd_encoding hd__encoding_of(hd_span bytes)
{
    hd_span head = hd__span(bytes.ptr, bytes.len < HEAD_BYTES ? bytes.len : HEAD_BYTES);
    if (head.len >= 4 && memcmp(head.ptr, "\xFF\xFE\0\0", 4) == 0)
        return HD_ENCODING_UTF32_LE;
    if (head.len >= 4 && memcmp(head.ptr, "\0\0\xFE\xFF", 4) == 0)
        return HD_ENCODING_UTF32_BE;
    if (hd__span_begins(head, "\xFF\xFE"))
        return HD_ENCODING_UTF16_LE;
    if (hd__span_begins(head, "\xFE\xFF"))
        return HD_ENCODING_UTF16_BE;
    if (head.len != 0 && memchr(head.ptr, '\0', head.len) != NULL)
        return utf16_of(head);
    if (count_control(head) * 50 > head.len)
        return HD_ENCODING_BINARY;
    size_t valid = hd__utf8_valid_len(head);
    return valid == head.len || (head.len < bytes.len && head.len - valid < 4) ? HD_ENCODING_UTF8 : HD_ENCODING_OTHER;
}

static hd_status refuse_binary(hd_span bytes, hd_error *err)
{
    const char *zero = memchr(bytes.ptr, '\0', bytes.len);
    if (zero != NULL)
        return hd__fail(err, HD_ERR_FORMAT, "binary, not text: byte %zu is zero", (size_t)(zero - bytes.ptr));
    return hd__fail(err, HD_ERR_FORMAT, "binary, not text: more than one byte in fifty is a control character");
}

/* Whether what is wrong in this UTF-8 is little beside what is right: damaged, and no other encoding. */
static bool is_damaged_utf8(hd_span bytes)
{
    size_t n_right = 0, n_wrong = 0;
    for (size_t at = 0, len; at < bytes.len; at += len) {
        bool valid;
        hd__utf8_decode(bytes, at, &len, &valid);
        n_right += valid && len > 1;
        n_wrong += !valid;
    }
    return n_wrong * 10 <= n_right;
}

/* ---- into UTF-8 ---- */

static void put(hd_buffer *out, uint32_t code_point)
{
    char *to = hd__buffer_reserve(out, 4);
    if (to != NULL)
        out->len += hd__utf8_encode(code_point, to);
}

static void from_utf8(hd_span bytes, hd_buffer *out)
{
    for (size_t at = 0; at < bytes.len;) {
        hd_span rest = hd__span(bytes.ptr + at, bytes.len - at);
        size_t valid = hd__utf8_valid_len(rest), len = 0;
        hd__buffer_append(out, rest.ptr, valid);
        if (valid < rest.len) {
            bool ok;
            put(out, hd__utf8_decode(rest, valid, &len, &ok));
        }
        at += valid + len;
    }
}

static uint32_t unit_at(hd_span bytes, size_t at, size_t n, bool big)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < n; i++)
        unit |= (uint32_t)(unsigned char)bytes.ptr[at + i] << (8 * (big ? n - 1 - i : i));
    return unit;
}

static void from_utf16(hd_span bytes, bool big, hd_buffer *out)
{
    for (size_t at = 0; at + 2 <= bytes.len; at += 2) {
        uint32_t c = unit_at(bytes, at, 2, big);
        if (c >= 0xD800 && c < 0xDC00 && at + 4 <= bytes.len) {
            uint32_t low = unit_at(bytes, at + 2, 2, big);
            if (low >= 0xDC00 && low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                at += 2;
            }
        }
        put(out, (c >= 0xD800 && c < 0xE000) || c == 0 ? HD_UTF8_REPLACEMENT : c);
    }
    if (bytes.len % 2 != 0)
        put(out, HD_UTF8_REPLACEMENT);
}

static void from_utf32(hd_span bytes, bool big, hd_buffer *out)
{
    for (size_t at = 0; at + 4 <= bytes.len; at += 4) {
        uint32_t c = unit_at(bytes, at, 4, big);
        put(out, c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? HD_UTF8_REPLACEMENT : c);
    }
    if (bytes.len % 4 != 0)
        put(out, HD_UTF8_REPLACEMENT);
}

static void from_windows_1252(hd_span bytes, hd_buffer *out)
{
    static const uint16_t high[32] = {0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
                                      0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                      0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        put(out, c >= 0x80 && c < 0xA0 ? high[c - 0x80] : c);
    }
}

/* Names as the IANA registers them; none that iconv would take for a wish of its own ("//TRANSLIT"). */
static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+");
    return n > 0 && name[n] == '\0' && n <= HD_LIMIT_ENCODING_NAME_BYTES;
}

static hd_status from_named(hd_span bytes, const char *named, hd_buffer *out, hd_error *err)
{
    iconv_t converter = is_name(named) ? iconv_open("UTF-8", named) : (iconv_t)-1;
    if (converter == (iconv_t)-1)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "encoding \"%.40s\" is not known here", named);
    char *from = (char *)(uintptr_t)bytes.ptr; /* iconv does not write there */
    size_t left = bytes.len;
    while (left > 0 && !out->failed) {
        char part[4096], *to = part;
        size_t room = sizeof part, before = left;
        size_t n = iconv(converter, &from, &left, &to, &room);
        hd__buffer_append(out, part, sizeof part - room);
        if (n == (size_t)-1 && errno != E2BIG && left > 0) { /* not a character of this encoding, or half of one */
            put(out, HD_UTF8_REPLACEMENT);
            from++;
            left--;
        } else if (left == before && room == sizeof part) {
            break;
        }
    }
    iconv_close(converter);
    return HD_OK;
}

/* \r\n and \r alone become \n. */
static void end_lines(char *text, size_t *len)
{
    size_t to = 0;
    for (size_t i = 0; i < *len; i++) {
        if (text[i] != '\r')
            text[to++] = text[i];
        else if (i + 1 == *len || text[i + 1] != '\n')
            text[to++] = '\n';
    }
    *len = to;
}

static hd_status convert(hd_span bytes, hd_encoding encoding, const char *named, hd_arena *arena, hd_span *text,
                         hd_error *err)
{
    hd_status status = HD_OK;
    hd_buffer out;
    hd__buffer_init(&out);
    if (encoding == HD_ENCODING_UTF16_LE || encoding == HD_ENCODING_UTF16_BE)
        from_utf16(bytes, encoding == HD_ENCODING_UTF16_BE, &out);
    else if (encoding == HD_ENCODING_UTF32_LE || encoding == HD_ENCODING_UTF32_BE)
        from_utf32(bytes, encoding == HD_ENCODING_UTF32_BE, &out);
    else if (encoding == HD_ENCODING_UTF8 || is_damaged_utf8(bytes))
        from_utf8(bytes, &out);
    else if (named != NULL && strcasecmp(named, "utf-8") != 0)
        HD_TRY_OUT(from_named(bytes, named, &out, err));
    else
        from_windows_1252(bytes, &out);
    hd_span all = hd__buffer_span(&out);
    if (hd__span_begins(all, "\xEF\xBB\xBF"))
        all = hd__span(all.ptr + 3, all.len - 3);
    char *copy = out.failed ? NULL : hd__arena_strndup(arena, all.len != 0 ? all.ptr : "", all.len);
    if (copy == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of text", out.len);
        goto out;
    }
    end_lines(copy, &all.len);
    *text = hd__span(copy, all.len);
out:
    hd__buffer_clear(&out);
    return status;
}

hd_status hd__encoding_decode(hd_span bytes, const char *named, hd_arena *arena, hd_span *text, hd_error *err)
{
    if (bytes.len > HD_LIMIT_DOCUMENT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%zu bytes of text, at most %u are read", bytes.len, HD_LIMIT_DOCUMENT_BYTES);
    if (bytes.len == 0) {
        *text = hd__span("", 0);
        return HD_OK;
    }
    hd_encoding encoding = hd__encoding_of(bytes);
    bool wide = encoding >= HD_ENCODING_UTF16_LE && encoding <= HD_ENCODING_UTF32_BE;
    if (encoding == HD_ENCODING_BINARY || (!wide && memchr(bytes.ptr, '\0', bytes.len) != NULL))
        return refuse_binary(bytes, err);
    if (!wide && hd__span_begins(bytes, "\xEF\xBB\xBF")) {
        bytes = hd__span(bytes.ptr + 3, bytes.len - 3);
        named = NULL;
    }
    if (!wide && hd__utf8_valid_len(bytes) == bytes.len) {
        *text = bytes;
        if (bytes.len == 0 || memchr(bytes.ptr, '\r', bytes.len) == NULL)
            return HD_OK;
        encoding = HD_ENCODING_UTF8;
    } else if (!wide) {
        encoding = HD_ENCODING_OTHER;
    }
    return convert(bytes, encoding, named, arena, text, err);
}
