/* answer.c - see answer.h. */
#include "wire/answer.h"

#include <math.h>

#include "base/float_text.h"
#include "base/half.h"

void hd__write_cstr(hd_buffer *body, const char *text)
{
    if (text != NULL)
        hd__buffer_append_json(body, hd__span_of(text));
    else
        hd__buffer_append_text(body, "null");
}

void hd__write_uint(hd_buffer *body, uint64_t n)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    hd__buffer_append(body, text + at, sizeof text - at);
}

void hd__write_float(hd_buffer *body, float value)
{
    char *to = hd__buffer_reserve(body, HD_FLOAT_TEXT_BYTES);
    if (to != NULL)
        body->len += hd__float_text(value, to);
}

/* ---- vectors ---- */

/* How many bytes one row takes. */
static size_t row_bytes(size_t n, hd_vector_type type)
{
    switch (type) {
    case HD_VECTOR_F32: return n * 4;
    case HD_VECTOR_F16: return n * 2;
    case HD_VECTOR_INT8:
    case HD_VECTOR_UINT8: return n;
    case HD_VECTOR_BINARY:
    case HD_VECTOR_UBINARY: return (n + 7) / 8;
    }
    return 0;
}

static void pack_bits(const float *row, size_t n, uint8_t flip, uint8_t *out)
{
    memset(out, 0, (n + 7) / 8);
    for (size_t i = 0; i < n; i++)
        out[i / 8] = (uint8_t)(out[i / 8] | (row[i] > 0.0f ? 0x80 >> i % 8 : 0));
    for (size_t i = 0; i < (n + 7) / 8; i++)
        out[i] ^= flip;
}

static void pack_bytes(const float *row, size_t n, int offset, uint8_t *out)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(row[i]));
    const float scale = most > 0.0f ? 127.0f / most : 0.0f;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(lrintf(row[i] * scale) + offset);
}

/* A row's little-endian bytes. */
static void pack(const float *row, size_t n, hd_vector_type type, uint8_t *out)
{
    switch (type) {
    case HD_VECTOR_F32: memcpy(out, row, n * sizeof *row); break;
    case HD_VECTOR_F16:
        for (size_t i = 0; i < n; i++) {
            const uint16_t half = hd__half_of(row[i]);
            memcpy(out + 2 * i, &half, sizeof half);
        }
        break;
    case HD_VECTOR_INT8:
    case HD_VECTOR_UINT8: pack_bytes(row, n, type == HD_VECTOR_UINT8 ? 128 : 0, out); break;
    case HD_VECTOR_BINARY: /* int8: 128 less than the unsigned byte */
    case HD_VECTOR_UBINARY: pack_bits(row, n, type == HD_VECTOR_BINARY ? 0x80 : 0, out); break;
    }
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are copied as they lie in memory");

static void write_floats(hd_buffer *body, const float *row, size_t n)
{
    char *start = hd__buffer_reserve(body, n * (HD_FLOAT_TEXT_BYTES + 1) + 2), *to = start;
    if (start == NULL)
        return;
    *to++ = '[';
    for (size_t i = 0; i < n; i++) {
        to += hd__float_text(row[i], to);
        *to++ = ',';
    }
    to[n > 0 ? -1 : 0] = ']';
    body->len += (size_t)(to - start) + (n == 0);
}

static void write_packed(hd_buffer *body, const uint8_t *bytes, size_t n_bytes, hd_vector_type type)
{
    hd__buffer_append_char(body, '[');
    for (size_t i = 0; i < n_bytes; i++) {
        if (i > 0)
            hd__buffer_append_char(body, ',');
        if (type == HD_VECTOR_F16) {
            hd__write_float(body, hd__float_of_bits(hd__half_widen((uint16_t)(bytes[i] | bytes[i + 1] << 8))));
            i++;
            continue;
        }
        const bool is_signed = type == HD_VECTOR_INT8 || type == HD_VECTOR_BINARY;
        const int value = is_signed ? (int8_t)bytes[i] : bytes[i];
        if (value < 0)
            hd__buffer_append_char(body, '-');
        hd__write_uint(body, (uint64_t)(value < 0 ? -value : value));
    }
    hd__buffer_append_char(body, ']');
}

void hd__write_vector(hd_buffer *body, const float *row, size_t n, hd_vector_type type, bool base64)
{
    const size_t n_bytes = row_bytes(n, type);
    if (type == HD_VECTOR_F32 && !base64) {
        write_floats(body, row, n);
    } else if (type == HD_VECTOR_F32) {
        hd__buffer_append_char(body, '"');
        hd__buffer_append_base64(body, hd__span(row, n_bytes));
        hd__buffer_append_char(body, '"');
    } else {
        hd_buffer packed;
        hd__buffer_init(&packed);
        char *bytes = hd__buffer_reserve(&packed, n_bytes);
        if (bytes == NULL) {
            body->failed = true;
            return;
        }
        pack(row, n, type, (uint8_t *)bytes);
        if (base64) {
            hd__buffer_append_char(body, '"');
            hd__buffer_append_base64(body, hd__span(bytes, n_bytes));
            hd__buffer_append_char(body, '"');
        } else {
            write_packed(body, (const uint8_t *)bytes, n_bytes, type);
        }
        hd__buffer_clear(&packed);
    }
}

void hd__write_rows(hd_buffer *body, const float *rows, size_t n_rows, size_t n)
{
    hd__buffer_append_char(body, '[');
    for (size_t i = 0; i < n_rows; i++) {
        if (i > 0)
            hd__buffer_append_char(body, ',');
        hd__write_vector(body, rows + i * n, n, HD_VECTOR_F32, false);
    }
    hd__buffer_append_char(body, ']');
}
