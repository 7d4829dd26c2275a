/* access_log.h - one line for each request, as text or JSON, on standard error.
 *
 * Whoever ends a request only appends to a buffer; a thread writes it out. When that cannot keep up, lines are left out
 * and their number is said.
 */
#ifndef HD_CLI_ACCESS_LOG_H
#define HD_CLI_ACCESS_LOG_H

#include "base/http.h"
#include "base/log.h"

HD_MUST_USE hd_status cli_access_log_open(bool json, hd_error *err);

/* An hd_observer's request_done. Health checks that went well are not logged. */
void cli_access_log_add(const hd_exchange *exchange, void *data);

/* An hd_log_fn: the error log, in the same form and in the same order. */
void cli_access_log_line(hd_log_level level, const char *line, void *data);

/* Writes what is left. */
void cli_access_log_close(void);

#endif
