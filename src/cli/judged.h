/* judged.h - `heddle eval` and `heddle tune --search`: an index, and files that say what it should find. */
#ifndef HD_CLI_JUDGED_H
#define HD_CLI_JUDGED_H

#include "cli/index_open.h"
#include "search/evaluation.h"

extern const cli_option cli_judged_options[]; /* --queries, --qrels */

typedef struct cli_judged {
    cli_config config;
    cli_index opened;
    hd_index_stats stats;
    hd_arena arena;
    hd_judged_query *queries; /* [n] */
    size_t n;
} cli_judged;

/* After cli_args_parse: reads the files, opens the index with its models. */
HD_MUST_USE hd_status cli_judged_open(cli_judged *judged, const cli_index_options *options, hd_error *err);
void cli_judged_close(cli_judged *judged);

/* Searches for all queries, with a line that says how far it is. */
HD_MUST_USE hd_status cli_judged_run(cli_judged *judged, const hd_search *search, hd_evaluation *evaluation, hd_error *err);

/* "minmax, bm25 0.3, dense 0.7"; "" for one leg alone. */
const char *cli_fuse_text(const hd_fuse_options *options, char text[160]);

#endif
