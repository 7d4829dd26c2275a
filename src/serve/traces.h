/* traces.h - requests as OpenTelemetry spans: taken from records, queued without waiting, sent in batches by one thread.
 *
 * Each request is a server span, child of what the client's traceparent names, with its phases as children (body, read,
 * tokenize, queue, compute, write, send). A request is never held up: when the queue is full, because the collector is
 * slow or away, its spans are dropped and counted. Bodies are OTLP in JSON (trace_json.h); how they travel is the
 * sender's, which is a function.
 */
#ifndef HD_SERVE_TRACES_H
#define HD_SERVE_TRACES_H

#include "base/http.h"

typedef struct hd_traces hd_traces;

/* A resource attribute. */
typedef struct hd_trace_attribute {
    const char *key, *value;
} hd_trace_attribute;

/* Zero means the default, which is in brackets. */
typedef struct hd_traces_options {
    const hd_trace_attribute *attributes; /* [n_attributes] of the resource, service.name among them */
    size_t n_attributes;
    const char *version; /* of the instrumentation scope */
    double ratio;        /* part of the traces kept of those that nobody has decided about; as it is, no default */
    bool ignores_parent; /* the ratio decides about all, the client's own decision does not count */
    uint32_t queue_size; /* requests waiting to be sent [2048] */
    uint32_t batch_size; /* requests sent together [512] */
    uint32_t delay_ms;   /* most time between taking and sending [5000] */
    uint32_t retry_ms;   /* before the second try, doubled for each later one, at most 32 times this [1000] */
    uint32_t n_tries;    /* of a batch before it is dropped [5] */
    uint32_t close_ms;   /* what close may take to send the rest [2000] */
    /* Sends one body. HD_ERR_PEER and HD_ERR_BUSY may pass, all else is final. It asks go_on now and then and gives up with
     * HD_ERR_CANCELLED when that is false. *n_rejected: spans that the collector refused of a body that it took. Called
     * from one thread at a time. */
    hd_status (*send)(void *sender, hd_span body, bool (*go_on)(void *data), void *data, uint64_t *n_rejected,
                      hd_error *err);
    void *sender;
} hd_traces_options;

/* Starts the thread. Attributes are used until close. HD_ERR_MEMORY, HD_ERR_IO. */
HD_MUST_USE hd_status hd__traces_open(const hd_traces_options *options, hd_traces **traces, hd_error *err);

/* Sends what is queued, within close_ms. No request may be observed any more. NULL allowed. */
void hd__traces_close(hd_traces *traces);

/* An hd_observer's request_done; data is the hd_traces. Any thread; never waits, allocates nothing. */
void hd__traces_take(const hd_exchange *exchange, void *traces);

/* Requests, but for the last. */
typedef struct hd_traces_stats {
    uint64_t n_taken, n_exported, n_dropped_queue, n_dropped_export;
    uint64_t n_rejected_spans;
} hd_traces_stats;

void hd__traces_get_stats(const hd_traces *traces, hd_traces_stats *stats); /* NULL: zeroes */

#endif
