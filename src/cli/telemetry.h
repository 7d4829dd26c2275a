/* telemetry.h - what `heddle serve` tells of itself to others: GET /metrics for Prometheus, spans to an OpenTelemetry
 * collector when the environment names one (OTEL_EXPORTER_OTLP_ENDPOINT and its kin, see remote/otlp.h).
 */
#ifndef HD_CLI_TELEMETRY_H
#define HD_CLI_TELEMETRY_H

#include "base/pool.h"
#include "cli/serve_index.h"
#include "remote/otlp.h"
#include "serve/metrics.h"
#include "wire/service.h"

#define CLI_TELEMETRY_ENDPOINTS 1
#define CLI_TELEMETRY_OBSERVERS 2 /* at most */

typedef struct cli_telemetry {
    hd_engine *engine;
    hd_models *models;
    hd_service *service;
    const hd_wire_settings *settings;
    const cli_serve_index *index;
    _Atomic(hd_server *) server; /* set once it is open; its numbers are zeroes until then */

    hd_metrics *metrics;
    hd_pool *writer; /* one thread, begun by the first to ask: writing takes longer than a network thread has */
    hd_arena arena;
    hd_otlp_settings otlp_settings;
    hd_otlp *otlp;     /* NULL: no collector is named */
    hd_traces *traces; /* the same */
} cli_telemetry;

/* The caller has filled what comes before `server`. HD_ERR_ARG for variables that make no sense. */
HD_MUST_USE hd_status cli_telemetry_open(cli_telemetry *telemetry, hd_error *err);

/* After the server is closed: sends the spans that are left, for two seconds at most. Also after a failed open, or none. */
void cli_telemetry_close(cli_telemetry *telemetry);

/* Fill [CLI_TELEMETRY_ENDPOINTS], [CLI_TELEMETRY_OBSERVERS]; how many they are. */
size_t cli_telemetry_endpoints(cli_telemetry *telemetry, hd_endpoint *endpoints);
size_t cli_telemetry_observers(const cli_telemetry *telemetry, hd_observer *observers);

#endif
