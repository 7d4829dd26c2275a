/* child.h - another program run on bytes from outside, as if it were hostile itself: own process group, limits on time,
 * memory and files, no descriptor but its three, no shell, output read up to a bound.
 */
#ifndef HD_INGEST_CHILD_H
#define HD_INGEST_CHILD_H

#include "base/buffer.h"
#include "base/status.h"

typedef struct hd_child {
    const char *program;          /* looked for in the folders of PATH */
    const char *const *arguments; /* the program's name first, NULL last */
    hd_span input;                /* a file without name, as its standard input: it may seek there */
    uint32_t seconds;             /* of a processor; twice as many by the clock */
    uint64_t memory_bytes;        /* of addresses */
    size_t most_output;           /* bytes */
} hd_child;

typedef enum hd_child_end {
    HD_CHILD_EXITED,
    HD_CHILD_KILLED, /* by a signal of its own, or over its memory */
    HD_CHILD_TOO_SLOW,
    HD_CHILD_TOO_LONG, /* more output than allowed */
} hd_child_end;

/* Runs it to its end. `output` receives what it writes, `messages` the first bytes of what it writes to standard error;
 * both are the caller's to clear. *code: exit status of HD_CHILD_EXITED, signal of HD_CHILD_KILLED. HD_ERR_UNSUPPORTED when
 * there is no such program, HD_ERR_IO when it cannot be started, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__child_run(const hd_child *child, hd_buffer *output, hd_buffer *messages, hd_child_end *end,
                                    int *code, hd_error *err);

#endif
