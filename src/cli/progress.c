/* progress.c - see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/args.h"

#define BAR_CELLS 24
#define LEAST_SHARE 0.02 /* from which on the time left is told: before, it is that of the beginning many times over */

void cli_progress_begin(cli_progress *progress)
{
    *progress = (cli_progress){.shown = !cli_quiet && isatty(STDERR_FILENO) == 1, .start_ns = hd__now_ns()};
}

double cli_progress_seconds(const cli_progress *progress)
{
    return hd__seconds_since(progress->start_ns);
}

/* Cuts a line, '\r' first, to what a terminal of so many columns shows in one row: rows before the last would stay there. A
 * column takes one byte at least. */
static void cut_to(char *line, int columns)
{
    if (strlen(line) <= (size_t)columns)
        return;
    while (columns > 1 && ((unsigned char)line[columns] & 0xC0) == 0x80)
        columns--;
    line[columns] = '\0';
}

/* A bar of BAR_CELLS cells in eighths: U+2588 is full, U+2589…U+258F are seven to one eighths. */
static void append_bar(char *line, size_t bytes, double share)
{
    int eighths = (int)(share * BAR_CELLS * 8 + 0.5);
    size_t at = strlen(line);
    for (int cell = 0; cell < BAR_CELLS && at + 4 < bytes; cell++, eighths -= 8) {
        unsigned char last = eighths >= 8 ? 0x88 : (unsigned char)(0x90 - eighths);
        if (eighths > 0)
            at += (size_t)snprintf(line + at, bytes - at, "\xE2\x96%c", last);
        else
            at += (size_t)snprintf(line + at, bytes - at, " ");
    }
}

void cli_progress_draw(cli_progress *progress, double share, const char *text)
{
    uint64_t now = hd__now_ns();
    if (!progress->shown || now - progress->drawn_ns < 100000000)
        return;
    progress->drawn_ns = now;
    char line[512], left[32];
    int n = snprintf(line, sizeof line, "\r%s", text);
    struct winsize size = {0};
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
    if (share >= 0 && n > 0 && n + BAR_CELLS + 18 < columns && n < 300) {
        double seconds = cli_progress_seconds(progress);
        snprintf(line + n, sizeof line - (size_t)n, "  \xE2\x96\x95");
        append_bar(line, sizeof line, share);
        size_t at = strlen(line);
        snprintf(line + at, sizeof line - at, "\xE2\x96\x8F %3.0f %%", 100 * share);
        if (share >= LEAST_SHARE && seconds > 1) {
            at = strlen(line);
            snprintf(line + at, sizeof line - at, "  %s left", cli_duration_text(seconds * (1 - share) / share, left));
        }
    } else {
        cut_to(line, columns);
    }
    fprintf(stderr, "%s\x1b[K", line); /* K: clear what a longer line left behind */
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->shown && progress->drawn_ns != 0)
        fputs("\r\x1b[K", stderr);
    progress->shown = false;
}

const char *cli_count_text(uint64_t n, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *cli_bytes_text(uint64_t n, char text[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)n;
    size_t unit = 0;
    for (; value >= 1023.95 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *cli_duration_text(double seconds, char text[32])
{
    unsigned long whole = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (whole >= 3600)
        snprintf(text, 32, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 32, "%lu:%02lu", whole / 60, whole % 60);
    return text;
}
