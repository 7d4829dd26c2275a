/* progress.h - one line on a terminal that says how far things are. Nothing is shown elsewhere. */
#ifndef HD_CLI_PROGRESS_H
#define HD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_progress {
    bool shown;
    uint64_t start_ns, drawn_ns;
} cli_progress;

/* Shown when standard error is a terminal and --quiet was not given. */
void cli_progress_begin(cli_progress *progress);

/* Draws at most ten times a second. `share` is 0…1, or below 0 when the end is not known; `text` stands before
 * the bar. */
void cli_progress_draw(cli_progress *progress, double share, const char *text);

/* Removes the line. */
void cli_progress_end(cli_progress *progress);

double cli_progress_seconds(const cli_progress *progress);

/* Numbers for people: 12345678 is "12,345,678", 1536 bytes are "1.5 KiB", 75 s are "1:15". */
const char *cli_count_text(uint64_t n, char text[32]);
const char *cli_bytes_text(uint64_t n, char text[32]);
const char *cli_duration_text(double seconds, char text[32]);

#endif
