/* trace_context.h - the traceparent header: which trace a request belongs to.
 *
 * W3C Trace Context, level 2 (https://www.w3.org/TR/trace-context-2/): "00-<trace id>-<parent id>-<flags>", lower-case
 * hexadecimal. A header that is malformed counts as none; of versions to come the known beginning is read.
 */
#ifndef HD_SERVE_TRACE_CONTEXT_H
#define HD_SERVE_TRACE_CONTEXT_H

#include "base/http.h"

/* False: no trace is named. The span is left 0. */
bool hd__trace_context_parse(hd_span traceparent, hd_trace_context *context);

#endif
