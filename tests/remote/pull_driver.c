/* pull_driver.c - hd__hub_pull as a program, for tests that need a process to kill.
 *
 *   pull_driver [--as NAME] [--subfolder DIR] [--force] [--offline] [--cancel-after BYTES] [--events]
 *               [--fail-allocations STEP] SOURCE
 *
 * Prints the model's path; on failure "<status name>: <text>" on stderr, and exits with 1. --events prints one
 * line per file on stderr as it begins: "<index>/<n> <file> <done>/<total>". The cache folder comes from the
 * environment. --fail-allocations pulls again and again, with every allocation after the first 0, STEP, 2 STEP …
 * failing, until a pull succeeds; any failure but "memory" on the way is an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "remote/hub.h"

typedef struct watch {
    uint64_t cancel_after;
    bool events;
    char last[256];
} watch;

static bool on_progress(const hd_pull_progress *progress, void *data)
{
    watch *w = data;
    if (w->events && strcmp(progress->file, w->last) != 0) {
        snprintf(w->last, sizeof w->last, "%s", progress->file);
        fprintf(stderr, "%u/%u %s %llu/%llu\n", progress->file_index, progress->n_files, progress->file,
                (unsigned long long)progress->bytes_done, (unsigned long long)progress->bytes_total);
    }
    return progress->bytes_done < w->cancel_after;
}

/* Jansson's and libcurl's own allocations do not fail; what they hold must be freed all the same. */
static hd_status pull_without_memory(const char *source, const hd_pull_options *options, uint64_t step, char **path,
                                     hd_error *err)
{
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status == HD_ERR_MEMORY; n += step) {
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__hub_pull(source, options, path, err);
        hd__alloc_fail_off();
    }
    return status;
}

int main(int argc, char **argv)
{
    uint64_t step = 0;
    watch w = {.cancel_after = UINT64_MAX};
    hd_pull_options options = {.on_progress = on_progress, .progress_data = &w};
    const char *source = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--as") == 0)
            options.as_name = value, i++;
        else if (strcmp(argv[i], "--subfolder") == 0)
            options.subfolder = value, i++;
        else if (strcmp(argv[i], "--cancel-after") == 0)
            w.cancel_after = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--fail-allocations") == 0)
            step = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--force") == 0)
            options.force = true;
        else if (strcmp(argv[i], "--offline") == 0)
            options.offline = true;
        else if (strcmp(argv[i], "--events") == 0)
            w.events = true;
        else
            source = argv[i];
    }
    hd_error err;
    char *path = NULL;
    if (source == NULL)
        return 2;
    hd_status status =
        step > 0 ? pull_without_memory(source, &options, step, &path, &err) : hd__hub_pull(source, &options, &path, &err);
    if (status != HD_OK) {
        fprintf(stderr, "%s: %s\n", hd_status_name(status), err.text);
        return 1;
    }
    puts(path);
    hd__free(path);
    return 0;
}
