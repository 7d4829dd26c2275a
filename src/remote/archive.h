/* archive.h - models that lie on this machine: in a folder, or in a zip archive (.zip, .whl). */
#ifndef HD_REMOTE_ARCHIVE_H
#define HD_REMOTE_ARCHIVE_H

#include "remote/pull.h"

/* Lists a folder that is a model. dir must live as long as the source. */
HD_MUST_USE hd_status hd__folder_source_open(hd_pull_source *source, const char *dir, hd_arena *arena, hd_error *err);

/* Opens an archive and finds the model in it: in `subfolder`, or, when that is NULL, in the one folder that has
 * config.json (or modules.json) and is not within another one that has. The archive is closed when the arena is
 * cleared. HD_ERR_FORMAT (damaged, or with names or links that lead out of it), HD_ERR_LIMIT, HD_ERR_NOT_FOUND
 * (no model inside), HD_ERR_ARG (several: the error names them). */
HD_MUST_USE hd_status hd__archive_source_open(hd_pull_source *source, const char *path, const char *subfolder,
                                              hd_arena *arena, hd_error *err);

#endif
