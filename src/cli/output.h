/* output.h - where results go: standard output, a device or pipe, or a regular file.
 *
 * A regular file is written under a temporary name beside it and renamed when all is there, so that a failed
 * or interrupted run leaves what was there before. Anything else is written as it comes.
 */
#ifndef HD_CLI_OUTPUT_H
#define HD_CLI_OUTPUT_H

#include "base/buffer.h"
#include "base/file.h"

typedef struct cli_output {
    const char *name; /* for messages */
    int fd;
    bool to_file; /* through writer */
    hd_file_writer writer;
    hd_buffer pending; /* not yet written */
} cli_output;

/* path "-": standard output. */
HD_MUST_USE hd_status cli_output_open(cli_output *output, const char *path, hd_error *err);

/* What is to be written next is appended to output->pending; this writes it out when there is enough.
 * When the reader of a pipe has gone, the error's text is empty: nobody needs to be told. */
HD_MUST_USE hd_status cli_output_flush(cli_output *output, bool all, hd_error *err);

/* Overwrites bytes at the start of a regular file; for headers that hold a count. to_file only. */
HD_MUST_USE hd_status cli_output_patch(cli_output *output, hd_span header, hd_error *err);

/* One of the two ends it. */
HD_MUST_USE hd_status cli_output_commit(cli_output *output, hd_error *err);
void cli_output_abandon(cli_output *output);

#endif
