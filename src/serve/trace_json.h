/* trace_json.h - spans of requests as one OTLP body in JSON.
 *
 * opentelemetry-proto, trace/v1/trace.proto, by the rules of OTLP/JSON: ids in hexadecimal, 64-bit integers in quotes,
 * enums as numbers. Attributes are named by OpenTelemetry's semantic conventions (HTTP server spans, GenAI), what they do
 * not name by heddle.*.
 */
#ifndef HD_SERVE_TRACE_JSON_H
#define HD_SERVE_TRACE_JSON_H

#include "serve/traces.h"

#define HD_TRACE_SPANS 8 /* of one request: itself and seven phases */
#define HD_TRACE_STATE_BYTES 512
#define HD_TRACE_TEXT_BYTES 128

/* All that is needed of an exchange after it is gone. Texts are cut to their room. */
typedef struct hd_trace_record {
    hd_http_record http;     /* its route, dialect and task must live on; its model is the text below */
    uint64_t unix_offset_ns; /* Unix time of hd__now_ns() 0 */
    hd_http_method method;
    int status;
    char state[HD_TRACE_STATE_BYTES + 1]; /* tracestate, passed on as it came */
    char model[HD_TRACE_TEXT_BYTES], request_id[HD_TRACE_TEXT_BYTES], peer[HD_TRACE_TEXT_BYTES];
    char path[HD_TRACE_TEXT_BYTES], agent[HD_TRACE_TEXT_BYTES];
} hd_trace_record;

void hd__trace_json_begin(hd_buffer *body, const hd_traces_options *options);
/* span_ids: [HD_TRACE_SPANS], none of them zero, the first the request's own. */
void hd__trace_json_add(hd_buffer *body, const hd_trace_record *record, const uint64_t *span_ids);
void hd__trace_json_end(hd_buffer *body);

#endif
