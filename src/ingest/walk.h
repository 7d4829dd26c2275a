/* walk.h - the files below folders: sorted, each once, without what ignore files leave out.
 *
 * Symbolic links to files are followed, to folders too but never around (device and inode of all folders above are known).
 * .git and other folders of version control are never entered; hidden files are read. .gitignore (git's rules: gitignore(5))
 * and .heddleignore, which has the same rules and the last word, count from the folder they stand in.
 */
#ifndef HD_INGEST_WALK_H
#define HD_INGEST_WALK_H

#include "base/arena.h"
#include "base/status.h"

typedef struct hd_walk_file {
    const char *path; /* absolute, any bytes */
    const char *name; /* below the root: part of `path` */
    uint64_t size, mtime_ns, device, inode;
} hd_walk_file;

typedef struct hd_walk_options {
    const char *const *exclude; /* [n_exclude] patterns as in .gitignore, at the root */
    size_t n_exclude;
    bool no_gitignore;
    hd_status (*file)(const hd_walk_file *file, void *data, hd_error *err);
    void (*failed)(const char *path, const hd_error *why, void *data); /* unreadable folder, broken link, loop */
    void *data;
} hd_walk_options;

/* root: a folder, or one file. Errors of `file` end it. */
HD_MUST_USE hd_status hd__walk(const char *root, const hd_walk_options *options, hd_error *err);

#endif
