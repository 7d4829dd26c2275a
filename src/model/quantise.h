/* quantise.h - f32 to the types that GGUF files are written in.
 *
 * Source: ggml's quantize_row_q8_0_ref, bit for bit: d = largest |x| / 127 as f16, q = x / d rounded to nearest, halves away
 * from zero; f16 is rounded to nearest, ties to even.
 */
#ifndef HD_MODEL_QUANTISE_H
#define HD_MODEL_QUANTISE_H

#include <stddef.h>

/* n values; for Q8_0 n is a multiple of 32. Output has no alignment. Values past f16's range become infinite. */
void hd__quantise_f16(const float *in, size_t n, char *out /* [2 n] */);
void hd__quantise_q8_0(const float *in, size_t n, char *out /* [34 n / 32] */);

#endif
