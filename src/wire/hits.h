/* hits.h - what the native protocol's answers about the index share. */
#ifndef HD_WIRE_HITS_H
#define HD_WIRE_HITS_H

#include <jansson.h>

#include "wire/call.h"

#define HD_FILTER_ALL "id EXISTS" /* holds for every document */

extern const char *const hd__leg_names[HD_N_LEGS + 1]; /* "bm25", … in the order of the bits; ends with NULL */

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
