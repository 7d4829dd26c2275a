/* row_checksum.h - what the rows of documents and chunks held when they were written, as a number in each: a check finds the
 * letter that a disk has turned, which no index knows of and SQLite has no checksum against.
 *
 * row_checksum(…), a function of SQL, is XXH3-64 of its arguments one after the other, each with the hash of those before it
 * as the seed, integers as 8 bytes, little-endian. No schema names it, so that other programs can read the file.
 */
#ifndef HD_STORE_ROW_CHECKSUM_H
#define HD_STORE_ROW_CHECKSUM_H

#include <sqlite3.h>

#include "base/status.h"

/* Of a row's columns, but for numbers, which compaction gives anew, and a document's place (id, source, root, path, size and
 * time of its file), which moves give it. Rows of version 3 have these: other columns are another version's. */
#define HD_CHECKSUM_DOCUMENT "row_checksum(title, url, author, mime, metadata, cut, created_at, hash, n_chunks)"
#define HD_CHECKSUM_CHUNK "row_checksum(ordinal, begin_byte, end_byte, line, page, is_code, key, section, text)"

/* What a connection needs before it writes such rows or checks them. */
HD_MUST_USE hd_status hd__row_checksum_attach(sqlite3 *db, hd_error *err);

#endif
