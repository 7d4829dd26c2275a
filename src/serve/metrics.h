/* metrics.h - what Prometheus is told: Heddle's own families (heddle_*), those of text-embeddings-inference (te_*), so that
 * dashboards made for it go on working, and the process's (process_*).
 *
 * Requests are counted as an observer sees them, without a lock. What others count (engine, server, models, traces) is
 * looked at when Prometheus asks. Units and meanings are in each family's HELP line.
 */
#ifndef HD_SERVE_METRICS_H
#define HD_SERVE_METRICS_H

#include "heddle/index.h"
#include "serve/server.h"
#include "serve/traces.h"

typedef struct hd_metrics hd_metrics;

typedef struct hd_metrics_model {
    const char *name;
    const char *state; /* one of hd_metrics_options.states */
    uint64_t weights_bytes;
} hd_metrics_model;

/* What others know now. */
typedef struct hd_metrics_sample {
    hd_engine_stats engine;
    hd_server_stats server;
    hd_traces_stats traces;
    hd_index_stats index;
    bool has_index;
    const hd_metrics_model *models; /* [n_models] on the arena */
    size_t n_models;
    const hd_device_info *devices; /* [n_devices] on the arena */
    size_t n_devices;
    bool ready;
} hd_metrics_sample;

typedef struct hd_metrics_options {
    const char *version, *device; /* of heddle_build_info */
    const char *const *states;    /* of models; ends with NULL */
    uint32_t n_cpus;              /* that this process may use */
    uint64_t max_queue_tokens;
    uint64_t start_s;                                                     /* Unix time at which the process started */
    void (*look)(hd_metrics_sample *sample, hd_arena *arena, void *data); /* fills a zeroed sample */
    void *data;
} hd_metrics_options;

/* What options point to must live until close. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__metrics_open(const hd_metrics_options *options, hd_metrics **metrics, hd_error *err);
void hd__metrics_close(hd_metrics *metrics); /* NULL allowed */

/* An hd_observer's request_done; data is the hd_metrics. Any thread, never waits. */
void hd__metrics_count(const hd_exchange *exchange, void *metrics);

/* The response to GET /metrics. Any thread. Memory that is missing shows in response.body.failed. */
void hd__metrics_write(hd_metrics *metrics, hd_arena *arena, hd_http_response *response);

#endif
