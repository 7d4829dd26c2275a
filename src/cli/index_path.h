/* index_path.h - which index a command is about. */
#ifndef HD_CLI_INDEX_PATH_H
#define HD_CLI_INDEX_PATH_H

#include "base/limits.h"
#include "base/status.h"

#define CLI_INDEX_NAME ".heddle.db"

typedef struct cli_index_path {
    char text[HD_LIMIT_PATH_BYTES];
} cli_index_path;

/* What was given (--db; NULL: nothing), else HEDDLE_DB, else the file .heddle.db of the working folder or of the nearest
 * folder above that has one. When none has: with `create` the one that the working folder will have, else HD_ERR_NOT_FOUND.
 */
HD_MUST_USE hd_status cli_index_path_find(const char *given, bool create, cli_index_path *path, hd_error *err);

#endif
