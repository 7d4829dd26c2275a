/* convert.h - numbers as model files store them, to f32, with the check that all of them are finite.
 *
 * Input has no alignment and is little-endian, output must not overlap it. Each function converts n values
 * and returns true when every result is finite; a false one has converted everything all the same.
 * Conversions are exact, but for f64, which is rounded to nearest (and may overflow: not finite).
 */
#ifndef HD_MODEL_CONVERT_H
#define HD_MODEL_CONVERT_H

#include <stdbool.h>
#include <stddef.h>

bool hd__convert_f64(const char *in, size_t n, float *out /* [n] */);
bool hd__convert_f32(const char *in, size_t n, float *out /* [n] */);
bool hd__convert_f16(const char *in, size_t n, float *out /* [n] */);
bool hd__convert_bf16(const char *in, size_t n, float *out /* [n] */);

#endif
