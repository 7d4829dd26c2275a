/* page_status.h - the page's endpoints: its files (public), and GET /page/status, what it draws (with a key, when there
 * are keys).
 *
 * GET /page/status?since=SECOND →
 *   {"version", "now_s", "start_s", "ready", "device",
 *    "gpus": [{"name", "hardware", "driver", "up", "memory_bytes", "free_bytes", "used_bytes", "n_batches", "n_texts",
 *              "n_failures", and as far as they are known "utilisation_percent", "temperature_c", "clock_mhz"}, …],
 *    "machine": {"cpu", "n_cpus", "memory_bytes", "memory_free_bytes"},
 *    "process": {"rss_bytes", "cpu_us", "n_in_flight", "n_connections"},
 *    "engine": {the fields of hd_engine_stats}, "history": {see serve/history.h},
 *    "models": [{"name", "path", "state", …}], "settings": [{"name", "value"}, …]}
 */
#ifndef HD_CLI_PAGE_STATUS_H
#define HD_CLI_PAGE_STATUS_H

#include <pthread.h>

#include "cli/serve_config.h"
#include "cpu/machine.h"
#include "serve/history.h"

typedef struct cli_page {
    hd_engine *engine;
    hd_models *models;
    hd_service *service;
    const cli_serve_config *config;
    hd_server *_Atomic server; /* NULL until it is open, which is after the first request may have come */
    hd_history *history;
    pthread_mutex_t lock; /* of what follows */
    hd_machine machine;
    uint64_t machine_ns; /* when it was read */
} cli_page;

/* The caller has filled what comes before `server`. */
HD_MUST_USE hd_status cli_page_open(cli_page *page, hd_error *err);
void cli_page_close(cli_page *page); /* also after a failed open, or none */

/* The endpoints, and how many they are. endpoints may be NULL: to be counted alone. */
size_t cli_page_endpoints(cli_page *page, hd_endpoint *endpoints);

/* What adds each request to the page's history. */
hd_observer cli_page_observer(const cli_page *page);

#endif
