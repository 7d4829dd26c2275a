/* cmd_kcheck.c - `heddle kcheck`: runs heddle-kcheck, which checks and times every kernel on this machine.
 *
 * It is a program of its own because the reference code and the test data have no place in this one. It is
 * looked for beside this program, then in PATH.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/config.h"

static int kcheck(int n_args, char **args)
{
    (void)n_args; /* execv's array ends with NULL, as args does */
    hd_error err;
    const hd_status status = cli_config_load_env(&err); /* HEDDLE_CPU may be in .env */
    if (status != HD_OK)
        return cli_exit_code(status, &err);
    char path[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "heddle-kcheck");
    char *slash = n > 0 ? strrchr(path, '/') : NULL;
    char *argv0 = args[-1]; /* "kcheck": there is always one */
    args[-1] = "heddle-kcheck";
    if (slash != NULL) {
        memcpy(slash + 1, "heddle-kcheck", sizeof "heddle-kcheck");
        execv(path, args - 1);
    }
    execvp("heddle-kcheck", args - 1);
    args[-1] = argv0;
    return cli_exit_code(hd__fail_errno(&err, errno, "heddle-kcheck, which comes with the tests and 'make install'"), &err);
}

const cli_command cli_kcheck = {
    .name = "kcheck",
    .arguments = "[ARGUMENT...]",
    .summary = "Checks and times every kernel on this machine",
    .hands_on = true,
    .run = kcheck,
};
