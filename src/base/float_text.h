/* float_text.h - a float as the shortest decimal that reads back as the same float.
 *
 * Of all decimals that round to the value, the one with the fewest digits, and among those the nearest. It is
 * valid JSON: "0.1", "-2.5e-7", "1.0" (integers keep a point, so that every reader takes them for floats).
 * Plain notation from 1e-5 up to 1e9, an exponent outside. JSON has no NaN and no infinities: they are "null".
 */
#ifndef HD_BASE_FLOAT_TEXT_H
#define HD_BASE_FLOAT_TEXT_H

#include <stddef.h>

#define HD_FLOAT_TEXT_BYTES 24

/* Writes at most HD_FLOAT_TEXT_BYTES, no NUL; returns how many. */
size_t hd__float_text(float value, char out[HD_FLOAT_TEXT_BYTES]);

#endif
