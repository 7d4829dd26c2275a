/* multipart.h - bodies of type multipart/form-data: the parts of a form, files among them.
 *
 * Source: RFC 7578 (forms), RFC 2046, section 5.1 (boundaries). Transfer encodings are not undone, as RFC 7578 says.
 */
#ifndef HD_WIRE_MULTIPART_H
#define HD_WIRE_MULTIPART_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_part {
    hd_span name;
    hd_span filename; /* as sent; ptr NULL: the part is no file */
    hd_span type;     /* Content-Type without its parameters; empty when there is none */
    hd_span body;     /* part of the whole body */
} hd_part;

/* The parts, on the arena, in their order. HD_ERR_FORMAT says what is wrong with the form, HD_ERR_LIMIT past
 * HD_LIMIT_FORM_PARTS and HD_LIMIT_FORM_HEAD_BYTES. */
HD_MUST_USE hd_status hd__multipart_parse(hd_span content_type, hd_span body, hd_arena *arena, hd_part **parts, size_t *n,
                                          hd_error *err);

/* The first part of that name; NULL: none. */
const hd_part *hd__multipart_find(const hd_part *parts, size_t n, const char *name);

#endif
