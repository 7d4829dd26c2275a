/* trace_context.h - the traceparent header: which trace a request belongs to.
 *
 * W3C Trace Context, level 2 (https://www.w3.org/TR/trace-context-2/): "00-<trace id>-<parent id>-<flags>", lower-case
 * hexadecimal. A header that is malformed counts as none; of versions to come the known beginning is read.
 */
#ifndef HD_SERVE_TRACE_CONTEXT_H
#define HD_SERVE_TRACE_CONTEXT_H

#include "base/span.h"

typedef struct hd_trace_context {
    uint64_t trace_high, trace_low; /* not both zero */
    uint64_t parent;                /* not zero */
    bool sampled;
} hd_trace_context;

/* False: no trace is named. */
bool hd__trace_context_parse(hd_span traceparent, hd_trace_context *context);

#endif
