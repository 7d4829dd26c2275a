/* otlp.h - an OpenTelemetry collector: where it is and what it is to be told, from the usual variables, and one POST.
 *
 * OpenTelemetry specification: "OpenTelemetry Protocol Exporter", "Environment Variable Specification" (OTEL_*), OTLP/HTTP
 * with JSON bodies. A variable of traces alone (OTEL_EXPORTER_OTLP_TRACES_…) wins over the one for all signals; empty
 * counts as not set.
 */
#ifndef HD_REMOTE_OTLP_H
#define HD_REMOTE_OTLP_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_otlp_pair {
    const char *key, *value;
} hd_otlp_pair;

/* Strings are on the arena or the environment's. */
typedef struct hd_otlp_settings {
    const char *url;            /* of traces; NULL: nothing is exported */
    const char *const *headers; /* [n_headers] "name: value" */
    size_t n_headers;
    const char *ca_file;            /* NULL: the system's */
    uint32_t timeout_ms;            /* of one POST */
    const hd_otlp_pair *attributes; /* [n_attributes] of the resource: service.name, then OTEL_RESOURCE_ATTRIBUTES */
    size_t n_attributes;
    double ratio;                              /* part of the traces kept of those that nobody has decided about */
    bool ignores_parent;                       /* OTEL_TRACES_SAMPLER without "parentbased_" */
    uint32_t queue_size, batch_size, delay_ms; /* OTEL_BSP_…; 0: the default */
} hd_otlp_settings;

/* get(data, name) is the variable's text, or NULL. HD_ERR_ARG names the variable, its value and what it may be. */
HD_MUST_USE hd_status hd__otlp_settings_read(const char *(*get)(void *data, const char *name), void *data, hd_arena *arena,
                                             hd_otlp_settings *settings, hd_error *err);

typedef struct hd_otlp hd_otlp; /* for one thread at a time */

/* Settings must live until close. libcurl is opened with the first POST, on its thread. */
HD_MUST_USE hd_status hd__otlp_open(const hd_otlp_settings *settings, hd_otlp **otlp, hd_error *err);
void hd__otlp_close(hd_otlp *otlp); /* NULL allowed */

/* One try. go_on is asked now and then; false: HD_ERR_CANCELLED. *n_rejected: spans that the collector says it refused
 * of a body that it took. HD_ERR_PEER: no answer, or one of those that may pass (408, 429, 5xx); HD_ERR_FORMAT: any other
 * answer than success, which the same body would get again. otlp is the hd_otlp, so that this fits where senders go. */
HD_MUST_USE hd_status hd__otlp_send(void *otlp, hd_span body, bool (*go_on)(void *data), void *data, uint64_t *n_rejected,
                                    hd_error *err);

#endif
