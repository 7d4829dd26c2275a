/* pull.h - what pulling has in common, wherever the files come from: choose, fetch, check, put into place.
 *
 * Files gather in a staging folder under <cache>/pull, on the file system of the store. Settings are fetched
 * and understood first, so that a model that Heddle does not run costs no gigabytes. A complete folder goes to
 * its place in one rename.
 */
#ifndef HD_REMOTE_PULL_H
#define HD_REMOTE_PULL_H

#include "remote/file_list.h"
#include "remote/hub.h"

/* Progress over all files of one pull. */
typedef struct hd_pull_meter {
    const hd_pull_options *options;
    hd_pull_progress progress;
    uint64_t bytes_before; /* of files already complete */
} hd_pull_meter;

/* Says how much of the current file is there; HD_ERR_CANCELLED when the caller wants no more. */
HD_MUST_USE hd_status hd__meter_set(hd_pull_meter *meter, uint64_t file_bytes, hd_error *err);

typedef struct hd_pull_source {
    hd_file_list files;
    /* Brings one file to path `to`, whole and checked. */
    hd_status (*fetch)(void *data, hd_remote_file *file, const char *to, hd_pull_meter *meter, hd_error *err);
    void *data;
    const char *dir; /* of a folder: it is checked there, so that faults are told by its name; NULL: no folder */
} hd_pull_source;

/* Fetches into `staging` all that Heddle needs of the source. Files that are there already are kept. Equal ones with one
 * name, in different folders, become links to one file. The model whose weights an adapter changes must be in cache_dir. */
HD_MUST_USE hd_status hd__pull_fetch(hd_pull_source *source, const char *staging, const char *cache_dir,
                                     hd_pull_meter *meter, hd_error *err);

/* Moves a folder to its place, in exchange for one that may be there, which is removed. */
HD_MUST_USE hd_status hd__pull_place(const char *staging, const char *place, hd_error *err);

/* Removes a folder and all in it; links are not followed. */
void hd__pull_wipe(const char *dir);

/* Makes the folders that a file's path needs. */
HD_MUST_USE hd_status hd__pull_make_parent(const char *path, hd_error *err);

#endif
