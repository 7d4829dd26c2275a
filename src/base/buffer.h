/* buffer.h - bytes that grow. The error is sticky: after a failed append all later ones do nothing, so a
 * writer of twenty appends checks `failed` once, at the end.
 */
#ifndef HD_BASE_BUFFER_H
#define HD_BASE_BUFFER_H

#include "base/span.h"

typedef struct hd_buffer {
    char *ptr;
    size_t len, capacity;
    bool failed; /* an allocation failed; contents are what had been written until then */
} hd_buffer;

void hd__buffer_init(hd_buffer *buffer);
void hd__buffer_clear(hd_buffer *buffer); /* frees; may be used again */
void hd__buffer_reset(hd_buffer *buffer); /* empties and keeps the memory; forgets `failed` */

/* Room for n more bytes; returns where they go, or NULL with `failed` set. len is the caller's to raise. */
char *hd__buffer_reserve(hd_buffer *buffer, size_t n);

void hd__buffer_append(hd_buffer *buffer, const void *bytes, size_t n);
void hd__buffer_append_text(hd_buffer *buffer, const char *text);
void hd__buffer_append_char(hd_buffer *buffer, char c);
void hd__buffer_append_uint(hd_buffer *buffer, uint64_t value, size_t n_bytes); /* little-endian, up to 8 bytes */
void hd__buffer_append_json(hd_buffer *buffer, hd_span text);    /* in JSON's quotes; what is not UTF-8 becomes U+FFFD */
void hd__buffer_append_base64(hd_buffer *buffer, hd_span bytes); /* RFC 4648, with padding */
void hd__buffer_printf(hd_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bytes that base64 with its padding stands for; out has room for base64.len / 4 * 3. False when it is none. */
bool hd__base64_decode(hd_span base64, char *out, size_t *len);

static inline hd_span hd__buffer_span(const hd_buffer *buffer)
{
    return hd__span(buffer->ptr, buffer->len);
}

#endif
