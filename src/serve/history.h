/* history.h - what the last minutes were like, second by second: requests, faults, inputs, tokens, latency, phases.
 *
 * Made of the records of requests, for the page's plots: whoever opens the page sees what happened before. Requests that
 * ask for nothing to be computed (health, metrics, the page itself) are left out, unless they failed. Thread-safe.
 */
#ifndef HD_SERVE_HISTORY_H
#define HD_SERVE_HISTORY_H

#include "base/http.h"

typedef struct hd_history hd_history;

#define HD_HISTORY_SECONDS 180u /* remembered */
#define HD_HISTORY_WINDOW 60u   /* over which `window` is */

HD_MUST_USE hd_status hd__history_open(hd_history **history, hd_error *err);
void hd__history_close(hd_history *history); /* NULL allowed */

/* An hd_observer's request_done; data is the history. */
void hd__history_add(const hd_exchange *exchange, void *history);

/* Appends a JSON object: {"second": the second that runs, counted from open,
 *  "columns": names, "seconds": [[second, …], …] of whole seconds from `since` on in which something happened, oldest first,
 *  "window": {"seconds", "n_requests", "p50_us", "p95_us", "p99_us"} with null where nothing happened,
 *  "totals": {"n_requests", "n_errors", "n_inputs", "n_tokens", "n_cached"} since open,
 *  "errors": {kind: n} since open}. */
void hd__history_write(hd_history *history, uint64_t since, hd_buffer *body);

/* The same two at a time of one's own: hd__now_ns() and no earlier than any before. */
void hd__history_add_at(hd_history *history, const hd_http_record *record, uint64_t now_ns);
void hd__history_write_at(hd_history *history, uint64_t since, uint64_t now_ns, hd_buffer *body);

#endif
