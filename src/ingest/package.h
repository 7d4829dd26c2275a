/* package.h - the zip archives that Office files and EPUB are: parts read by name, into memory, within limits.
 *
 * Names never become paths of files, so what they hold is of no matter. Sizes that an archive claims are held to
 * HD_LIMIT_ARCHIVE_ENTRY_BYTES, _UNPACKED_BYTES and _RATIO before anything is unpacked, and to the truth afterwards.
 */
#ifndef HD_INGEST_PACKAGE_H
#define HD_INGEST_PACKAGE_H

#include <zip.h>

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_package {
    zip_t *zip;
    hd_arena *arena;
    uint64_t n_unpacked; /* bytes so far */
} hd_package;

/* HD_ERR_FORMAT, HD_ERR_LIMIT, HD_ERR_MEMORY. The bytes must outlive it. */
HD_MUST_USE hd_status hd__package_open(hd_span bytes, hd_arena *arena, hd_package *package, hd_error *err);
void hd__package_close(hd_package *package);

bool hd__package_has(const hd_package *package, const char *part);

/* A part, on the arena. HD_ERR_UNSUPPORTED (encrypted), HD_ERR_FORMAT (also when there is none), HD_ERR_LIMIT,
 * HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__package_read(hd_package *package, const char *part, hd_span *bytes, hd_error *err);

/* The name of the part that `target` means, seen from the part `from`: "../b.xml" from "a/c/d.xml" is "a/b.xml"; a leading
 * slash is the root, %XX one byte, and "#…" is cut off. On the arena; NULL when there is no memory. */
const char *hd__package_name(hd_arena *arena, const char *from, const char *target);

#endif
