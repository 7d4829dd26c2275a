/* index_path.c - see index_path.h. */
#include "cli/index_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static hd_status take_path(const char *text, const char *source, cli_index_path *path, hd_error *err)
{
    const size_t len = strlen(text);
    if (len >= sizeof path->text)
        return hd__fail(err, HD_ERR_ARG, "%s: %zu bytes, a path has at most %zu", source, len, sizeof path->text - 1);
    memcpy(path->text, text, len + 1);
    return HD_OK;
}

/* "<folder>/.heddle.db" for the folder's first n bytes; false when it is no path or not there. */
static bool is_in(const char *folder, size_t n, cli_index_path *path)
{
    if (n + sizeof "/" CLI_INDEX_NAME > sizeof path->text)
        return false;
    memcpy(path->text, folder, n);
    memcpy(path->text + n, "/" CLI_INDEX_NAME, sizeof "/" CLI_INDEX_NAME);
    return hd__file_exists(path->text);
}

hd_status cli_index_path_find(const char *given, bool create, cli_index_path *path, hd_error *err)
{
    if (given != NULL)
        return take_path(given, "--db", path, err);
    const char *set = getenv("HEDDLE_DB");
    if (set != NULL && set[0] != '\0')
        return take_path(set, "HEDDLE_DB", path, err);
    char folder[HD_LIMIT_PATH_BYTES];
    if (getcwd(folder, sizeof folder) == NULL)
        return hd__fail_errno(err, errno, "cannot tell the working folder");
    for (size_t n = strlen(folder);; n--) {
        const bool is_folder = n == 0 || folder[n] == '\0' || folder[n] == '/';
        if (is_folder && !(n == 1 && folder[0] == '/') && is_in(folder, n, path)) /* "/" is looked at as "" */
            return HD_OK;
        if (n == 0)
            break;
    }
    if (create)
        return take_path(CLI_INDEX_NAME, CLI_INDEX_NAME, path, err);
    return hd__fail(err, HD_ERR_NOT_FOUND,
                    "no " CLI_INDEX_NAME " in %s or above it: 'heddle index FOLDER' makes one, --db names one", folder);
}
