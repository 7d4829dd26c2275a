/* log.h - one line for a person or a log collector. Silent below the level; the CLI sets both.
 *
 * Thread-safe. Messages say what happened and with which values; no newline at the end.
 */
#ifndef HD_BASE_LOG_H
#define HD_BASE_LOG_H

typedef enum hd_log_level { HD_LOG_ERROR, HD_LOG_WARN, HD_LOG_INFO, HD_LOG_DEBUG } hd_log_level;

typedef void hd_log_fn(hd_log_level level, const char *line, void *data);

void hd__log_set_level(hd_log_level level);         /* HD_LOG_WARN at start */
void hd__log_set_sink(hd_log_fn *sink, void *data); /* NULL: stderr, "heddle: warning: ..." */

void hd__log(hd_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
