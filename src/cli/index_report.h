/* index_report.h - what `heddle index` says: a line of progress meanwhile, a summary and the list of failures at the end.
 */
#ifndef HD_CLI_INDEX_REPORT_H
#define HD_CLI_INDEX_REPORT_H

#include "base/buffer.h"
#include "cli/progress.h"
#include "heddle/index.h"

typedef struct cli_index_report {
    cli_progress progress;
    hd_ingest_progress result;
    hd_ingest_state state;         /* last shown */
    hd_buffer failed;              /* "path: why", a line each */
    hd_buffer failed_json;         /* objects, with commas between them */
    uint64_t n_failed, n_textless; /* of them, files of kinds that hold no text, which are only counted */
} cli_index_report;

void cli_index_report_begin(cli_index_report *report);

/* The callbacks of hd_ingest_options. */
bool cli_index_report_progress(const hd_ingest_progress *progress, void *report);
void cli_index_report_failed(const char *path, const hd_error *why, void *report);

/* The summary, also of a run that was interrupted when it had begun, or as JSON of one that failed; frees the report. */
void cli_index_report_end(cli_index_report *report, const char *index, bool json, hd_status status);

/* One line after each run of --watch that changed something, and its failures. Ready for the next run. */
void cli_index_report_turn(cli_index_report *report);

#endif
