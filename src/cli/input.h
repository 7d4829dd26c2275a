/* input.h - texts from a file or a pipe, one a line, in windows of bounded size.
 *
 * Plain: each line is a text; the line end is "\n" or "\r\n"; an empty line is an empty text; a byte order
 * mark at the start is not part of it. JSON lines: each line is an object with a string "text", or with the strings that are
 * asked for; other members are ignored, and so are blank lines. Bytes that are not UTF-8 stay as they are in plain text (the
 * tokenizer replaces them) and become U+FFFD in JSON; with `strict` they are an error that names the line.
 */
#ifndef HD_CLI_INPUT_H
#define HD_CLI_INPUT_H

#include "base/buffer.h"
#include "base/status.h"

/* Consecutive texts; their bytes lie one after the other in `bytes`. */
typedef struct cli_window {
    hd_buffer bytes;
    hd_text *texts; /* [n], valid after a fill */
    size_t n, capacity;
    uint64_t first_line; /* of the first text, counted from 1 */
    uint64_t end_byte;   /* of the input: what has been read up to the window's end */
} cli_window;

void cli_window_clear(cli_window *window);

typedef struct cli_input {
    const char *name;
    int fd;
    bool jsonl, strict;
    const char *const *members; /* of a JSON line, whose texts follow each other in a window; ends with NULL. NULL: "text" */
    bool at_end;
    uint64_t n_lines;
    uint64_t n_bytes;       /* read so far, the chunk included */
    uint64_t n_bytes_total; /* 0: unknown, as of a pipe */
    char *chunk;
    size_t at, end;  /* what is left of the chunk */
    hd_buffer line;  /* the beginning of a line whose end has not been read */
    hd_buffer fixed; /* a JSON line with its bytes made valid */
} cli_input;

/* "lines" or "jsonl"; name NULL: by the path's ending (path NULL: standard input, lines). */
HD_MUST_USE hd_status cli_input_format(const char *name, const char *path, bool *jsonl, hd_error *err);

/* path "-": standard input. */
HD_MUST_USE hd_status cli_input_open(cli_input *input, const char *path, bool jsonl, bool strict, hd_error *err);
void cli_input_close(cli_input *input);

/* Fills the window with at most max_texts, fewer when max_bytes are passed, when the input ends, or when it has
 * no more for the moment: then with as many as there are, none only if may_wait is false or the input is at its
 * end. HD_ERR_FORMAT names file and line; HD_ERR_CANCELLED after a signal. */
HD_MUST_USE hd_status cli_input_fill(cli_input *input, cli_window *window, size_t max_texts, size_t max_bytes, bool may_wait,
                                     hd_error *err);

#endif
