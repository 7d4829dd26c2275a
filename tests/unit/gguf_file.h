/* gguf_file.h - GGUF files for tests, written piece by piece. */
#ifndef HD_TESTS_GGUF_FILE_H
#define HD_TESTS_GGUF_FILE_H

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "model/gguf.h"

static inline void gguf_uint(hd_buffer *b, uint64_t value, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        hd__buffer_append_char(b, (char)(unsigned char)(value >> (8 * i)));
}

static inline void gguf_text(hd_buffer *b, const char *text)
{
    gguf_uint(b, strlen(text), 8);
    hd__buffer_append_text(b, text);
}

static inline void gguf_begin(hd_buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_pairs)
{
    hd__buffer_init(b);
    hd__buffer_append_text(b, "GGUF");
    gguf_uint(b, version, 4);
    gguf_uint(b, n_tensors, 8);
    gguf_uint(b, n_pairs, 8);
}

static inline void gguf_pair_uint(hd_buffer *b, const char *key, hd_gguf_type type, uint64_t value, size_t n_bytes)
{
    gguf_text(b, key);
    gguf_uint(b, type, 4);
    gguf_uint(b, value, n_bytes);
}

static inline void gguf_pair_text(hd_buffer *b, const char *key, const char *value)
{
    gguf_text(b, key);
    gguf_uint(b, HD_GGUF_TEXT, 4);
    gguf_text(b, value);
}

static inline void gguf_pair_f32(hd_buffer *b, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    gguf_pair_uint(b, key, HD_GGUF_F32, bits, 4);
}

static inline void gguf_pair_array(hd_buffer *b, const char *key, hd_gguf_type type, uint64_t n)
{
    gguf_text(b, key);
    gguf_uint(b, HD_GGUF_ARRAY, 4);
    gguf_uint(b, type, 4);
    gguf_uint(b, n, 8);
}

/* dims as the file has them: the contiguous one first. */
static inline void gguf_tensor(hd_buffer *b, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
                               uint64_t offset)
{
    gguf_text(b, name);
    gguf_uint(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        gguf_uint(b, dims[i], 8);
    gguf_uint(b, type, 4);
    gguf_uint(b, offset, 8);
}

static inline void gguf_pad(hd_buffer *b, size_t to)
{
    while (b->len % to != 0)
        hd__buffer_append_char(b, 0);
}

/* The file in exactly as many bytes as it has, so that ASan sees a read past it. Freed by free. */
static inline hd_span gguf_end(hd_buffer *b)
{
    char *bytes = malloc(b->len);
    memcpy(bytes, b->ptr, b->len);
    hd_span span = hd__span(bytes, b->len);
    hd__buffer_clear(b);
    return span;
}

#endif
