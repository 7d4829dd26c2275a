/* packed.h - zip archives for tests of what is read from them, by libzip: compressed, or encrypted. */
#ifndef UNIT_PACKED_H
#define UNIT_PACKED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zip.h>

#include "base/span.h"

typedef struct packed_entry {
    const char *name;
    hd_span bytes;
    bool encrypted;
} packed_entry;

/* A zip of these entries, in memory; free it. */
static inline hd_span pack(const packed_entry *entries, size_t n)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, &why);
    zip_t *zip = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &why);
    assert_non_null(zip);
    zip_source_keep(target);
    for (size_t i = 0; i < n; i++) {
        zip_source_t *bytes = zip_source_buffer(zip, entries[i].bytes.ptr, entries[i].bytes.len, 0);
        zip_int64_t at = zip_file_add(zip, entries[i].name, bytes, 0);
        assert_true(at >= 0);
        if (entries[i].encrypted)
            assert_int_equal(zip_file_set_encryption(zip, (zip_uint64_t)at, ZIP_EM_TRAD_PKWARE, "secret"), 0);
    }
    assert_int_equal(zip_close(zip), 0);
    zip_stat_t about;
    assert_int_equal(zip_source_stat(target, &about), 0);
    char *all = malloc(about.size);
    assert_int_equal(zip_source_open(target), 0);
    assert_int_equal(zip_source_read(target, all, about.size), about.size);
    zip_source_close(target);
    zip_source_free(target);
    zip_error_fini(&why);
    return hd__span(all, about.size);
}

#endif
