/* index_watch.h - `heddle index --watch`: an index that follows its folders until a signal comes. */
#ifndef HD_CLI_INDEX_WATCH_H
#define HD_CLI_INDEX_WATCH_H

#include "cli/index_report.h"

typedef struct cli_index_watch {
    hd_index *index;
    const char *const *paths; /* [n_paths] */
    size_t n_paths;
    const hd_ingest_options *options;
    cli_index_report *report;
} cli_index_watch;

/* Returns HD_ERR_CANCELLED after a signal; otherwise errors of the first run, or of watching. */
HD_MUST_USE hd_status cli_index_watch_run(const cli_index_watch *watch, hd_error *err);

#endif
