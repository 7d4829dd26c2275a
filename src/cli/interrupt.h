/* interrupt.h - Ctrl-C and its relatives, made orderly.
 *
 * begin blocks SIGINT, SIGTERM and SIGHUP in every thread started after it and lets one watcher thread wait
 * for them. The first signal cancels the jobs being watched, makes the descriptor readable and sets the flag;
 * the main thread then cleans up and exits. Should it not be able to (it is writing to a pipe nobody reads),
 * a second signal or three seconds end the process; the temporary file is removed first.
 */
#ifndef HD_CLI_INTERRUPT_H
#define HD_CLI_INTERRUPT_H

#include "base/status.h"

HD_MUST_USE hd_status cli_interrupt_begin(hd_error *err);

/* Thirty seconds instead of three, for who commits what is begun: a busy disk takes its time. */
void cli_interrupt_await_commit(void);

/* The signal that came; 0 while none has. */
int cli_interrupted(void);

/* For hd_search.keep_going: none has. */
bool cli_interrupt_keep_going(void *unused);

/* Readable once a signal has come: for poll(). */
int cli_interrupt_fd(void);

/* Jobs to cancel. watch says HD_ERR_CANCELLED when the signal has come already. */
HD_MUST_USE hd_status cli_interrupt_watch(hd_job *job);
void cli_interrupt_unwatch(hd_job *job);

/* The file to remove when the process has to end at once; NULL: none. The text must live on. */
void cli_interrupt_guard_file(const char *temp_path);

#endif
