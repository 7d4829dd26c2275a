/* answer.h - writing JSON into a response's body. Errors are the buffer's: sticky. */
#ifndef HD_WIRE_ANSWER_H
#define HD_WIRE_ANSWER_H

#include "wire/call.h"

void hd__write_cstr(hd_buffer *body, const char *text); /* NULL is null */
void hd__write_uint(hd_buffer *body, uint64_t n);
void hd__write_float(hd_buffer *body, float value);

/* One row as the call asks: [0.1, …], or base64 in quotes. Integers are written without a point. int8 and uint8 are
 * scaled by the row's largest absolute value to ±127 (uint8: + 128); binary packs signs, first value highest bit, into
 * int8 (ubinary: uint8) as sentence-transformers' quantize_embeddings does. */
void hd__write_vector(hd_buffer *body, const float *row, size_t n, hd_vector_type type, bool base64);

/* [[0.1, …], …]: n_rows of n values. */
void hd__write_rows(hd_buffer *body, const float *rows, size_t n_rows, size_t n);

#endif
