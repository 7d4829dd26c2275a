/* hits.h - what the protocols that ask the index share: their calls, members of their answers. */
#ifndef HD_WIRE_HITS_H
#define HD_WIRE_HITS_H

#include <jansson.h>

#include "wire/protocol.h"

#define HD_FILTER_ALL "id EXISTS" /* holds for every document */

/* Makes the call one of the index: *asked is zeroed, on the arena. */
HD_MUST_USE hd_status hd__index_call(const hd_wire_request *request, hd_task task, hd_call *call, hd_index_call **asked,
                                     hd_fault *fault);

/* Members, each with a comma before it: "name":"text". The second: null for "". */
void hd__write_member(hd_buffer *b, const char *name, const char *text);
void hd__write_member_or_null(hd_buffer *b, const char *name, const char *text);
void hd__write_member_uint(hd_buffer *b, const char *name, uint64_t n);
/* "name":{"start":n,"end":n} */
void hd__write_member_span(hd_buffer *b, const char *name, hd_span32 span);
/* "name": seconds as "2024-05-01T10:00:00Z"; 0: null */
void hd__write_member_date(hd_buffer *b, const char *name, int64_t unix_s);
/* "metadata": the index's JSON object as it is; {} when it is none */
void hd__write_member_metadata(hd_buffer *b, const char *metadata);

#endif
