/* zip.h - the table of contents of a zip archive in memory, for archives whose entries are stored as they are.
 *
 *   entries, each behind a local header            then the central directory, then (zip64) its end and where that is,
 *   then the end of the central directory: how many entries, where the directory is, a comment
 *
 * Nothing is unpacked: an entry is a view of the archive, so it cannot be larger than the archive, and names never become
 * paths. Compressed and encrypted entries are refused, and so are entries that lie one over the other, outside of the part
 * before the directory, or under a name that the local header does not repeat.
 *
 * Source: PKWARE APPNOTE.TXT 6.3.9, sections 4.3 and 4.5.3 (zip64).
 */
#ifndef HD_MODEL_ZIP_H
#define HD_MODEL_ZIP_H

#include "base/arena.h"
#include "base/span.h"
#include "model/name_table.h"

typedef struct hd_zip_entry {
    hd_span name;
    hd_span bytes;
} hd_zip_entry;

typedef struct hd_zip {
    hd_zip_entry *entries; /* [n], in the order of the directory, on the arena */
    size_t n;
    hd_name_table names;
} hd_zip;

/* Whether bytes begin as an archive with at least one entry does. */
bool hd__zip_is(hd_span bytes);

/* HD_ERR_FORMAT (damaged, or lies), HD_ERR_LIMIT, HD_ERR_UNSUPPORTED (compressed, encrypted, several disks), HD_ERR_MEMORY.
 * Names and bytes point into the archive. */
HD_MUST_USE hd_status hd__zip_open(hd_span archive, const char *file, hd_arena *arena, hd_zip *zip, hd_error *err);

bool hd__zip_find(const hd_zip *zip, hd_span name, hd_span *bytes);

#endif
