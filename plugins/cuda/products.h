/* products.h - products of a stream: cuBLASLt's, or our own where it has none, then our epilogue. Where nothing but a bias
 * is to be added to products of floats, and f32 or their own 16 bits are stored, or f32 is added to, cuBLASLt does all.
 *
 * out = a w^T with rows of w as channels is, in cuBLASLt's columns, sums (channels x rows) = w^T a, where w is k x channels
 * and a is k x rows: both as they lie. The one operation that is transposed is also the only one it has for bytes.
 * f32 without TF32, bf16, f16 and E4M3 with sums in f32, bytes with sums in int32.
 *
 * What products of 16 bits come to is rounded to their type before the epilogue where that is stored in the end; other sums
 * are written as they are. They go where the epilogue stores when what is there before is not needed and as wide; otherwise
 * to memory of the stream, as many rows at a time as it has room for.
 */
#ifndef HD_CUDA_PRODUCTS_H
#define HD_CUDA_PRODUCTS_H

#include "heddle/plugin.h"

#define WORKSPACE_BYTES ((size_t)16 << 20) /* what cuBLASLt may use of the device's memory */
#define SUMS_BYTES ((size_t)32 << 20)
#define PRODUCTS_BYTES (WORKSPACE_BYTES + SUMS_BYTES)

typedef struct products products;

/* In the current context, as well as what follows. */
hd_plugin_status products_open(products **out, char why[HD_PLUGIN_TEXT_BYTES]);
void products_close(products *p); /* NULL: nothing */

void products_linear(hd_plugin_stream *s, const hd_plugin_linear *t);

#endif
