/* buffer.c - see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/utf8.h"

void hd__buffer_init(hd_buffer *buffer)
{
    *buffer = (hd_buffer){0};
}

void hd__buffer_clear(hd_buffer *buffer)
{
    hd__free(buffer->ptr);
    hd__buffer_init(buffer);
}

void hd__buffer_reset(hd_buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
}

char *hd__buffer_reserve(hd_buffer *buffer, size_t n)
{
    if (buffer->failed)
        return NULL;
    size_t need = hd__add(buffer->len, n);
    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
        while (capacity < need && capacity < SIZE_MAX / 2)
            capacity *= 2;
        char *ptr = capacity < need ? NULL : hd__realloc(buffer->ptr, capacity);
        if (ptr == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->ptr = ptr;
        buffer->capacity = capacity;
    }
    return buffer->ptr + buffer->len;
}

void hd__buffer_append(hd_buffer *buffer, const void *bytes, size_t n)
{
    char *to = n != 0 ? hd__buffer_reserve(buffer, n) : NULL;
    if (to != NULL) {
        memcpy(to, bytes, n);
        buffer->len += n;
    }
}

void hd__buffer_append_text(hd_buffer *buffer, const char *text)
{
    hd__buffer_append(buffer, text, strlen(text));
}

void hd__buffer_append_char(hd_buffer *buffer, char c)
{
    hd__buffer_append(buffer, &c, 1);
}

void hd__buffer_append_uint(hd_buffer *buffer, uint64_t value, size_t n_bytes)
{
    char bytes[8];
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (char)(unsigned char)(value >> (8 * i));
    hd__buffer_append(buffer, bytes, n_bytes);
}

void hd__buffer_append_json(hd_buffer *buffer, hd_span text)
{
    static const char after_backslash[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    hd__buffer_append_char(buffer, '"');
    for (size_t at = 0; at < text.len;) {
        size_t plain = at; /* most text is ASCII without anything to escape */
        while (plain < text.len && (unsigned char)(text.ptr[plain] - 0x20) < 0x5F && text.ptr[plain] != '"' &&
               text.ptr[plain] != '\\')
            plain++;
        hd__buffer_append(buffer, text.ptr + at, plain - at);
        at = plain;
        if (at == text.len)
            break;
        size_t len;
        bool valid;
        const uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        if (c < sizeof after_backslash && after_backslash[c] != '\0') {
            hd__buffer_append_char(buffer, '\\');
            hd__buffer_append_char(buffer, after_backslash[c]);
        } else if (c < 0x20) {
            hd__buffer_printf(buffer, "\\u%04x", c);
        } else if (valid) {
            hd__buffer_append(buffer, text.ptr + at, len);
        } else {
            hd__buffer_append_text(buffer, "\xEF\xBF\xBD");
        }
        at += len;
    }
    hd__buffer_append_char(buffer, '"');
}

void hd__buffer_append_base64(hd_buffer *buffer, hd_span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = hd__buffer_reserve(buffer, (bytes.len + 2) / 3 * 4);
    if (to == NULL)
        return;
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    size_t i = 0;
    for (; i + 3 <= bytes.len; i += 3, to += 4) {
        const uint32_t v = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];
        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = digits[v >> 6 & 63];
        to[3] = digits[v & 63];
    }
    if (i < bytes.len) {
        const bool two = i + 1 < bytes.len;
        const uint32_t v = (uint32_t)from[i] << 16 | (two ? (uint32_t)from[i + 1] << 8 : 0);
        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = two ? digits[v >> 6 & 63] : '=';
        to[3] = '=';
    }
    buffer->len += (bytes.len + 2) / 3 * 4;
}

static uint32_t base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool hd__base64_decode(hd_span base64, char *out, size_t *len)
{
    *len = 0;
    if (base64.len % 4 != 0)
        return false;
    for (size_t at = 0; at < base64.len; at += 4) {
        size_t n = 4;
        while (at + 4 == base64.len && n > 2 && base64.ptr[at + n - 1] == '=')
            n--;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            uint32_t digit = i < n ? base64_digit(base64.ptr[at + i]) : 0;
            if (digit > 63)
                return false;
            bits = bits << 6 | digit;
        }
        for (size_t i = 0; i + 1 < n; i++)
            out[(*len)++] = (char)(bits >> (16 - 8 * i));
    }
    return true;
}

void hd__buffer_printf(hd_buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = n < 0 ? NULL : hd__buffer_reserve(buffer, (size_t)n + 1);
    if (to != NULL) {
        vsnprintf(to, (size_t)n + 1, format, again);
        buffer->len += (size_t)n;
    }
    va_end(again);
}
