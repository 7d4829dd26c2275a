/* file.h - files: mapped read-only, read whole, written so that a reader sees the old or the new, never half.
 *
 * Error texts name the path and what the system said.
 */
#ifndef HD_BASE_FILE_H
#define HD_BASE_FILE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/span.h"

/* A read-only private mapping. Files that shrink while mapped raise SIGBUS: files of ours are only ever
 * replaced by rename. */
typedef struct hd_file_map {
    hd_span bytes;
    uint64_t size, mtime_ns, inode;
} hd_file_map;

HD_MUST_USE hd_status hd__file_map_open(const char *path, hd_file_map *map, hd_error *err);
void hd__file_map_close(hd_file_map *map);

/* Appends what tells this file from others that have been or will be at its path: "NAME size N mtime N inode N;". */
void hd__file_map_describe(const hd_file_map *map, const char *path, hd_buffer *text);

/* Reads a whole file of at most max_bytes into the arena (and a NUL after it). HD_ERR_NOT_FOUND, _LIMIT, _IO. */
HD_MUST_USE hd_status hd__file_read(const char *path, uint64_t max_bytes, hd_arena *arena, hd_span *bytes, hd_error *err);

/* Whether a path from outside names something below the folder it will be joined to: relative, of parts that
 * are neither empty nor "." nor "..", without backslash, colon or control character, of at most
 * HD_LIMIT_PATH_BYTES - 1 bytes. */
bool hd__path_is_below(hd_span path);

bool hd__file_exists(const char *path);
bool hd__dir_exists(const char *path);

/* Whether what may be a model's name or a path can only be a path, there or not: it begins with "/" or ".". */
bool hd__path_is_meant(const char *name_or_path);

/* Whether two folders are one, or have files of the same names that are one file each, by links, as the Hugging Face cache
 * keeps equal files. What is in their subfolders does not matter. */
bool hd__dir_is_same(const char *a, const char *b);
HD_MUST_USE hd_status hd__dir_make(const char *path, hd_error *err); /* with parents; fine when it exists */

/* A file under a temporary name beside `path` ("<path>.XXXXXX.tmp"), moved into place by commit (fsync + rename) and
 * removed by abandon. One of the two must be called. Write errors are sticky and reported by commit. The
 * temporary file is locked as long as its writer lives: _open removes those of the same path whose writer was killed, and
 * hd__file_sweep knows them. */
typedef struct hd_file_writer {
    char *path, *temp_path;
    int fd;
    int failed_errno; /* 0: none */
    uint64_t n_written;
    char *memory; /* NULL: not mapped */
    size_t memory_bytes;
} hd_file_writer;

HD_MUST_USE hd_status hd__file_writer_open(hd_file_writer *writer, const char *path, hd_error *err);
void hd__file_writer_add(hd_file_writer *writer, hd_span bytes);
void hd__file_writer_align(hd_file_writer *writer, size_t to); /* zeroes up to a multiple of a power of two */

/* The file's first `bytes` as memory to write to, in place of _add and _align: zeroed, and disk space set aside, so that
 * writing cannot fail. It is there until _keep, which makes the file `bytes` long, no more than before. */
HD_MUST_USE hd_status hd__file_writer_map(hd_file_writer *writer, size_t bytes, char **memory, hd_error *err);
void hd__file_writer_keep(hd_file_writer *writer, size_t bytes);

HD_MUST_USE hd_status hd__file_writer_commit(hd_file_writer *writer, hd_error *err);
void hd__file_writer_abandon(hd_file_writer *writer);

/* Removes the temporary files in a folder of Heddle's own whose writers were killed. Others may be writing there. What
 * cannot be removed stays: no error. */
void hd__file_sweep(const char *dir);

/* An exclusive lock on a file beside what it protects, freed by the kernel when its holder dies.
 * Waits up to wait_ms, then HD_ERR_BUSY. */
HD_MUST_USE hd_status hd__file_lock_open(const char *path, uint32_t wait_ms, int *fd, hd_error *err);
void hd__file_lock_close(int fd);

#endif
