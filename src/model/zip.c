/* zip.c - see zip.h. */
#include "model/zip.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"

#define LOCAL_SIGNATURE 0x04034b50u
#define ENTRY_SIGNATURE 0x02014b50u
#define END_SIGNATURE 0x06054b50u
#define END64_SIGNATURE 0x06064b50u
#define LOCATOR64_SIGNATURE 0x07064b50u
#define END_BYTES 22
#define LOCATOR64_BYTES 20
#define END64_BYTES 56
#define ENTRY_BYTES 46 /* without name, extra field and comment */
#define IN_ZIP64 0xffffffffu
#define EXTRA_ZIP64 1
#define FLAG_ENCRYPTED 1

bool hd__zip_is(hd_span bytes)
{
    return hd__span_begins(bytes, "PK\3\4");
}

static hd_cursor cursor_at(hd_span archive, uint64_t at)
{
    hd_cursor c = hd__cursor(archive);
    hd__cursor_take(&c, (size_t)at);
    return c;
}

typedef struct directory {
    uint64_t n, begin, bytes;
} directory;

/* The end record is the last thing in the file but for a comment that has the length it says. */
static hd_status find_end(hd_span archive, const char *file, uint64_t *at, hd_error *err)
{
    const size_t most_comment = 0xffff;
    for (size_t comment = 0; comment <= most_comment && END_BYTES + comment <= archive.len; comment++) {
        hd_cursor c = cursor_at(archive, archive.len - END_BYTES - comment);
        if (hd__cursor_u32(&c) != END_SIGNATURE)
            continue;
        hd__cursor_take(&c, 16);
        if (hd__cursor_u16(&c) == comment) {
            *at = archive.len - END_BYTES - comment;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_FORMAT, "%s: no end of a zip archive: cut short, or none", file);
}

/* The zip64 record takes the place of the old one's numbers, and must end where its locator begins. */
static hd_status read_end64(hd_span archive, const char *file, uint64_t end_at, directory *d, hd_error *err)
{
    hd_cursor c = cursor_at(archive, end_at - LOCATOR64_BYTES);
    bool is_locator = hd__cursor_u32(&c) == LOCATOR64_SIGNATURE && hd__cursor_u32(&c) == 0;
    uint64_t at = hd__cursor_u64(&c);
    if (!is_locator || at > end_at - LOCATOR64_BYTES || end_at - LOCATOR64_BYTES - at != END64_BYTES)
        return hd__fail(err, HD_ERR_FORMAT, "%s: its zip64 end is not where the locator says", file);
    c = cursor_at(archive, at);
    uint32_t signature = hd__cursor_u32(&c);
    uint64_t record = hd__cursor_u64(&c);
    hd__cursor_take(&c, 2 + 2 + 4 + 4); /* versions and disks */
    uint64_t n_here = hd__cursor_u64(&c);
    d->n = hd__cursor_u64(&c);
    d->bytes = hd__cursor_u64(&c);
    d->begin = hd__cursor_u64(&c);
    if (c.failed || signature != END64_SIGNATURE || record != END64_BYTES - 12 || n_here != d->n)
        return hd__fail(err, HD_ERR_FORMAT, "%s: its zip64 end is damaged", file);
    return HD_OK;
}

static hd_status read_end(hd_span archive, const char *file, directory *d, hd_error *err)
{
    uint64_t at = 0, limit;
    HD_TRY(find_end(archive, file, &at, err));
    hd_cursor c = cursor_at(archive, at + 4);
    uint32_t disks = hd__cursor_u32(&c);
    uint16_t n_here = hd__cursor_u16(&c);
    d->n = hd__cursor_u16(&c);
    d->bytes = hd__cursor_u32(&c);
    d->begin = hd__cursor_u32(&c);
    limit = at;
    if (disks != 0 || n_here != d->n)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: an archive over several disks", file);
    hd_cursor locator = cursor_at(archive, at >= LOCATOR64_BYTES ? at - LOCATOR64_BYTES : at);
    if (at >= LOCATOR64_BYTES + END64_BYTES && hd__cursor_u32(&locator) == LOCATOR64_SIGNATURE) {
        HD_TRY(read_end64(archive, file, at, d, err));
        limit = at - LOCATOR64_BYTES - END64_BYTES;
    }
    if (d->begin > limit || d->bytes != limit - d->begin)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: its directory (%llu bytes at %llu) does not end where its end begins (%llu)", file,
                        (unsigned long long)d->bytes, (unsigned long long)d->begin, (unsigned long long)limit);
    if (d->n > HD_LIMIT_ZIP_ENTRIES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %llu entries, the limit is %u", file, (unsigned long long)d->n,
                        HD_LIMIT_ZIP_ENTRIES);
    if (d->n > d->bytes / ENTRY_BYTES)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %llu entries do not fit its directory of %llu bytes", file,
                        (unsigned long long)d->n, (unsigned long long)d->bytes);
    return HD_OK;
}

/* What an entry's extra field says about numbers that do not fit 32 bits, in this order and only those. */
static bool read_extra64(hd_span extra, uint64_t *size, uint64_t *packed, uint64_t *at)
{
    hd_cursor c = hd__cursor(extra);
    uint64_t *const wanted[] = {size, packed, at};
    while (hd__cursor_left(&c) > 0 && !c.failed) {
        uint16_t kind = hd__cursor_u16(&c), n = hd__cursor_u16(&c);
        hd_cursor field = hd__cursor(hd__cursor_take(&c, n));
        if (kind != EXTRA_ZIP64)
            continue;
        for (size_t i = 0; i < 3; i++) {
            if (*wanted[i] == IN_ZIP64)
                *wanted[i] = hd__cursor_u64(&field);
        }
        return !field.failed;
    }
    return !c.failed && *size != IN_ZIP64 && *packed != IN_ZIP64 && *at != IN_ZIP64;
}

/* Where an entry's bytes begin: behind its local header, whose lengths may differ from the directory's. */
static hd_status place_entry(hd_span before, const char *file, uint64_t at, uint64_t size, hd_zip_entry *entry,
                             hd_error *err)
{
    hd_cursor c = cursor_at(before, at);
    uint32_t signature = hd__cursor_u32(&c);
    hd__cursor_take(&c, 22);
    uint16_t n_name = hd__cursor_u16(&c), n_extra = hd__cursor_u16(&c);
    hd_span name = hd__cursor_take(&c, n_name);
    hd__cursor_take(&c, n_extra);
    entry->bytes = hd__cursor_take(&c, (size_t)size);
    if (c.failed || signature != LOCAL_SIGNATURE || !hd__span_equal(name, entry->name))
        return hd__fail(err, HD_ERR_FORMAT, "%s: entry \"%.*s\" is not where the directory says", file,
                        (int)(entry->name.len < 200 ? entry->name.len : 200), entry->name.ptr);
    return HD_OK;
}

static hd_status read_entry(hd_cursor *c, hd_span before, const char *file, size_t i, hd_zip_entry *entry, hd_error *err)
{
    uint32_t signature = hd__cursor_u32(c);
    hd__cursor_take(c, 4); /* versions */
    uint16_t flags = hd__cursor_u16(c), method = hd__cursor_u16(c);
    hd__cursor_take(c, 8); /* time, checksum */
    uint64_t packed = hd__cursor_u32(c), size = hd__cursor_u32(c);
    uint16_t n_name = hd__cursor_u16(c), n_extra = hd__cursor_u16(c), n_comment = hd__cursor_u16(c);
    hd__cursor_take(c, 8); /* disk, attributes */
    uint64_t at = hd__cursor_u32(c);
    entry->name = hd__cursor_take(c, n_name);
    hd_span extra = hd__cursor_take(c, n_extra);
    hd__cursor_take(c, n_comment);
    if (c->failed || signature != ENTRY_SIGNATURE || !read_extra64(extra, &size, &packed, &at))
        return hd__fail(err, HD_ERR_FORMAT, "%s: entry %zu of its directory is damaged", file, i);
    const int n_shown = n_name < 200 ? n_name : 200;
    if ((flags & FLAG_ENCRYPTED) != 0 || method != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: entry \"%.*s\" is %s; torch stores entries as they are", file, n_shown,
                        entry->name.ptr, method != 0 ? "compressed" : "encrypted");
    if (size != packed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: entry \"%.*s\" is stored as it is, in %llu bytes of which it takes %llu",
                        file, n_shown, entry->name.ptr, (unsigned long long)packed, (unsigned long long)size);
    if (!hd__path_is_below(entry->name))
        return hd__fail(err, HD_ERR_FORMAT, "%s: entry \"%.*s\": not a path below the archive", file, n_shown,
                        entry->name.ptr);
    return place_entry(before, file, at, size, entry, err);
}

static int by_place(const void *left, const void *right)
{
    const hd_zip_entry *a = *(hd_zip_entry *const *)left, *b = *(hd_zip_entry *const *)right;
    if (a->bytes.ptr != b->bytes.ptr)
        return a->bytes.ptr < b->bytes.ptr ? -1 : 1;
    return (a->bytes.len > b->bytes.len) - (a->bytes.len < b->bytes.len);
}

/* Entries with the same bytes are how small archives become large ones. */
static hd_status check_overlaps(const hd_zip *zip, const char *file, hd_arena *arena, hd_error *err)
{
    const hd_zip_entry **sorted = hd__arena_calloc(arena, zip->n, sizeof *sorted);
    if (sorted == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu entries", file, zip->n);
    for (size_t i = 0; i < zip->n; i++)
        sorted[i] = &zip->entries[i];
    if (zip->n > 1)
        qsort(sorted, zip->n, sizeof *sorted, by_place);
    for (size_t i = 1; i < zip->n; i++) {
        if (sorted[i - 1]->bytes.ptr + sorted[i - 1]->bytes.len > sorted[i]->bytes.ptr)
            return hd__fail(err, HD_ERR_FORMAT, "%s: entries \"%.*s\" and \"%.*s\" lie one over the other", file,
                            (int)sorted[i - 1]->name.len, sorted[i - 1]->name.ptr, (int)sorted[i]->name.len,
                            sorted[i]->name.ptr);
    }
    return HD_OK;
}

hd_status hd__zip_open(hd_span archive, const char *file, hd_arena *arena, hd_zip *zip, hd_error *err)
{
    directory d;
    HD_TRY(read_end(archive, file, &d, err));
    zip->n = (size_t)d.n;
    zip->entries = hd__arena_calloc(arena, zip->n, sizeof *zip->entries);
    if (zip->entries == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu entries", file, zip->n);
    HD_TRY(hd__name_table_init(&zip->names, zip->n, arena, err));
    hd_cursor c = hd__cursor(hd__span(archive.ptr + d.begin, (size_t)d.bytes));
    for (size_t i = 0; i < zip->n; i++) {
        HD_TRY(read_entry(&c, hd__span(archive.ptr, (size_t)d.begin), file, i, &zip->entries[i], err));
        if (!hd__name_table_add(&zip->names, zip->entries[i].name, (uint32_t)i))
            return hd__fail(err, HD_ERR_FORMAT, "%s: entry \"%.*s\" is there twice", file, (int)zip->entries[i].name.len,
                            zip->entries[i].name.ptr);
    }
    return check_overlaps(zip, file, arena, err);
}

bool hd__zip_find(const hd_zip *zip, hd_span name, hd_span *bytes)
{
    uint32_t i;
    if (!hd__name_table_find(&zip->names, name, &i))
        return false;
    *bytes = zip->entries[i].bytes;
    return true;
}
