/* packed.h - what one model comes down to in one file (*.heddle), mapped at the next start: packed weights, or the tables of
 * its tokenizer.
 *
 * A file holds named blobs, each at a multiple of 64 bytes and ready for the kernels:
 *
 *   offset  bytes  what                                      (all integers little-endian)
 *   0       8      "HEDDLE\0" and the format version in one byte
 *   8       8      length of the table
 *   16      16     XXH3-128 of the table
 *   32      8      length of the whole file
 *   40      24     zero
 *   64             the table: key (length u32, bytes), n blobs (u32), then for each blob: name (length u16,
 *                  bytes), offset u64, length u64, XXH3-64 of the contents u64
 *   …              blobs, each at a multiple of 4096 bytes when longer than that, else of 64
 *
 * The key says what the blobs were made from and how (file identity, dtype, pack layout version); a file
 * with another key is not used. The table's checksum and all bounds are checked at open; contents are
 * checked by hd__packed_verify, which reads the whole file.
 */
#ifndef HD_MODEL_PACKED_H
#define HD_MODEL_PACKED_H

#include "base/span.h"
#include "base/status.h"

typedef struct hd_packed hd_packed;

/* Maps a file. HD_ERR_NOT_FOUND: no such file, or its key is another. HD_ERR_FORMAT: damaged. */
HD_MUST_USE hd_status hd__packed_open(const char *path, const char *key, hd_packed **packed, hd_error *err);
void hd__packed_close(hd_packed *packed); /* NULL allowed */

/* A blob's bytes, valid while open; false when there is none of that name. */
bool hd__packed_find(const hd_packed *packed, const char *name, hd_span *bytes);
uint64_t hd__packed_bytes(const hd_packed *packed); /* length of the file */

/* Checks every blob against its checksum. */
HD_MUST_USE hd_status hd__packed_verify(const hd_packed *packed, hd_error *err);

/* ---- writing ---- */

/* What a file will hold, which must be known before: the table stands in front. Zeroed at first. */
typedef struct hd_packed_plan {
    size_t n_blobs, name_bytes, blob_bytes;
} hd_packed_plan;

void hd__packed_plan_add(hd_packed_plan *plan, size_t name_len, size_t bytes);

/* Writes a new file in place and atomically: blobs are filled where they will lie, in a temporary file whose disk space is
 * set aside, which commit moves to `path`. Any number of processes may write the same path at once: the last one
 * wins and readers see a whole file. */
typedef struct hd_packed_writer hd_packed_writer;

HD_MUST_USE hd_status hd__packed_writer_open(const char *path, const char *key, const hd_packed_plan *plan,
                                             hd_packed_writer **writer, hd_error *err);

/* A blob to be filled until commit or abandon: zeroed, 64-byte aligned. name lives as long. NULL: not in the plan. */
void *hd__packed_writer_add(hd_packed_writer *writer, const char *name, size_t bytes);

/* Both free the writer; blobs are gone. */
HD_MUST_USE hd_status hd__packed_writer_commit(hd_packed_writer *writer, hd_error *err);
void hd__packed_writer_abandon(hd_packed_writer *writer); /* NULL allowed */

#endif
