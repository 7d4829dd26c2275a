/* index_stdin.h - documents from standard input: JSON lines, or one document of whatever kind its bytes are. */
#ifndef HD_CLI_INDEX_STDIN_H
#define HD_CLI_INDEX_STDIN_H

#include "cli/index_report.h"

/* Of the options the source (NULL: "stdin") and how text is cut count. What is committed when an error or Ctrl-C ends it
 * stays. */
HD_MUST_USE hd_status cli_index_stdin(hd_index *index, const hd_ingest_options *options, cli_index_report *report,
                                      hd_error *err);

#endif
