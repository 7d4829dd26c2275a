/* zip_file.h - zip archives for tests, entry by entry, with the lies that a test asks for. */
#ifndef HD_TESTS_ZIP_FILE_H
#define HD_TESTS_ZIP_FILE_H

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define ZIP_MAX_ENTRIES 8

typedef struct zip_entry {
    const char *name;
    hd_span bytes;
    uint32_t at;            /* of the local header: set by zip_write */
    const char *local_name; /* NULL: name */
    uint16_t flags, method;
    int64_t size_lie, at_lie; /* added to what the directory says */
} zip_entry;

typedef struct zip_file {
    zip_entry entries[ZIP_MAX_ENTRIES];
    size_t n;
    bool zip64;                        /* numbers in zip64 fields and records */
    int64_t n_lie, begin_lie, end_lie; /* added to what the end record says of the directory's entries, place and size */
    const char *comment;
} zip_file;

static inline void zip_uint(hd_buffer *b, uint64_t value, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        hd__buffer_append_char(b, i < sizeof value ? (char)(unsigned char)(value >> (8 * i)) : 0);
}

static inline zip_entry *zip_add(zip_file *z, const char *name, const void *bytes, size_t n)
{
    z->entries[z->n] = (zip_entry){.name = name, .bytes = hd__span(bytes, n)};
    return &z->entries[z->n++];
}

static inline void zip_local(hd_buffer *b, zip_entry *e)
{
    const char *name = e->local_name != NULL ? e->local_name : e->name;
    e->at = (uint32_t)b->len;
    zip_uint(b, 0x04034b50, 4);
    zip_uint(b, 0, 2);
    zip_uint(b, e->flags, 2);
    zip_uint(b, e->method, 2);
    zip_uint(b, 0, 16); /* as torch writes it: sizes stand in the directory */
    zip_uint(b, strlen(name), 2);
    zip_uint(b, 0, 2);
    hd__buffer_append_text(b, name);
    hd__buffer_append(b, e->bytes.ptr, e->bytes.len);
}

static inline void zip_central(hd_buffer *b, const zip_entry *e, bool zip64)
{
    const uint64_t size = e->bytes.len + (uint64_t)e->size_lie, at = e->at + (uint64_t)e->at_lie;
    zip_uint(b, 0x02014b50, 4);
    zip_uint(b, 0, 4);
    zip_uint(b, e->flags, 2);
    zip_uint(b, e->method, 2);
    zip_uint(b, 0, 8);
    zip_uint(b, zip64 ? 0xffffffff : e->bytes.len + (e->method != 0 ? 0u : (uint64_t)e->size_lie), 4);
    zip_uint(b, zip64 ? 0xffffffff : size, 4);
    zip_uint(b, strlen(e->name), 2);
    zip_uint(b, zip64 ? 28 : 0, 2);
    zip_uint(b, 0, 2);
    zip_uint(b, 0, 8);
    zip_uint(b, zip64 ? 0xffffffff : at, 4);
    hd__buffer_append_text(b, e->name);
    if (zip64) {
        zip_uint(b, 1, 2);
        zip_uint(b, 24, 2);
        zip_uint(b, size, 8);
        zip_uint(b, size, 8);
        zip_uint(b, at, 8);
    }
}

/* The archive in exactly as many bytes as it has, so that ASan sees a read past it. Freed by free. */
static inline hd_span zip_write(zip_file *z)
{
    hd_buffer b;
    hd__buffer_init(&b);
    for (size_t i = 0; i < z->n; i++)
        zip_local(&b, &z->entries[i]);
    const uint64_t begin = b.len;
    for (size_t i = 0; i < z->n; i++)
        zip_central(&b, &z->entries[i], z->zip64);
    const uint64_t end = b.len, n = z->n + (uint64_t)z->n_lie;
    const uint64_t said = begin + (uint64_t)z->begin_lie, bytes = end - begin + (uint64_t)z->end_lie;
    if (z->zip64) {
        zip_uint(&b, 0x06064b50, 4);
        zip_uint(&b, 44, 8);
        zip_uint(&b, 0, 12);
        zip_uint(&b, n, 8);
        zip_uint(&b, n, 8);
        zip_uint(&b, bytes, 8);
        zip_uint(&b, said, 8);
        zip_uint(&b, 0x07064b50, 4);
        zip_uint(&b, 0, 4);
        zip_uint(&b, end, 8);
        zip_uint(&b, 1, 4);
    }
    const size_t n_comment = z->comment != NULL ? strlen(z->comment) : 0;
    zip_uint(&b, 0x06054b50, 4);
    zip_uint(&b, 0, 4);
    zip_uint(&b, n, 2);
    zip_uint(&b, n, 2);
    zip_uint(&b, z->zip64 ? 0xffffffff : bytes, 4);
    zip_uint(&b, z->zip64 ? 0xffffffff : said, 4);
    zip_uint(&b, n_comment, 2);
    hd__buffer_append(&b, z->comment, n_comment);
    char *kept = malloc(b.len);
    memcpy(kept, b.ptr, b.len);
    hd_span span = hd__span(kept, b.len);
    hd__buffer_clear(&b);
    return span;
}

#endif
