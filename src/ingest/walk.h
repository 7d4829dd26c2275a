/* walk.h - the files below folders: in the order of their paths' bytes, each once, without what ignore files leave out.
 *
 * Symbolic links to what lies outside of the root are followed, each file and folder once; what lies inside is found where
 * it is, and a link to a folder that the root lies in would lead around. .git and other folders of version control are never
 * entered; hidden files are read; sockets, pipes and devices are no files.
 *
 * .gitignore (ignore.h) and .heddleignore, which has the same rules and the last word, count from the folder they stand in;
 * those of the folders above the root count too, up to the one of the repository or to `top`. A link to a folder counts
 * as a folder. What the caller excludes is left out whatever they say.
 */
#ifndef HD_INGEST_WALK_H
#define HD_INGEST_WALK_H

#include "base/arena.h"
#include "base/status.h"

typedef struct hd_walk_file {
    const char *path; /* absolute, any bytes */
    const char *name; /* below `top`: part of `path` */
    uint64_t size, mtime_ns, device, inode;
} hd_walk_file;

typedef struct hd_walk_options {
    const char
        *top; /* a folder that the root is or lies in, absolute; NULL: the root, or the folder of a root that is a file */
    const char *const *exclude; /* [n_exclude] patterns as in .gitignore, at `top` */
    size_t n_exclude;
    bool no_gitignore;
    hd_status (*file)(const hd_walk_file *file, void *data, hd_error *err);
    hd_status (*folder)(const char *path, void *data, hd_error *err);  /* before what is in it; NULL: not told */
    void (*failed)(const char *path, const hd_error *why, void *data); /* unreadable folder, broken link, loop */
    void *data;
} hd_walk_options;

/* root: a folder, or one file, which no pattern leaves out; absolute, without links (realpath). Errors of `file` and
 * `folder` end it; HD_ERR_NOT_FOUND and HD_ERR_IO when the root cannot be read. */
HD_MUST_USE hd_status hd__walk_files(const char *root, const hd_walk_options *options, hd_error *err);

/* Whether an absolute path is a folder, or lies in it. */
bool hd__path_lies_in(const char *path, const char *folder);

#endif
