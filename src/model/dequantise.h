/* dequantise.h - GGUF's blocks of quantised values to f32, with the check that all of them are finite.
 *
 * A block is stored little-endian, without alignment. In all of them d and m are f16, q an unsigned integer of as many
 * bits as the name says, and a value is
 *
 *   Q4_0  d (q - 8)     32 values   d, then 16 bytes: value i in the low half of byte i, value 16 + i in the high half
 *   Q4_1  d q + m       32          d, m, the same 16 bytes
 *   Q5_0  d (q - 16)    32          d, 32 fifth bits (bit i of value i), the same 16 bytes
 *   Q5_1  d q + m       32          d, m, 32 fifth bits, the same 16 bytes
 *   Q8_0  d q           32          d, 32 signed bytes
 *
 * The K types have 256 values in 8 or 16 groups, whose scale s and minimum t are small integers of their own:
 *
 *   Q4_K  d s q - m t   8 x 32      d, m, 12 bytes of s and t (6 bits each), 128 bytes: for each pair of groups 32 bytes
 *                                   with the first group in the low halves and the second in the high ones
 *   Q5_K  d s q - m t   8 x 32      d, m, the same 12 bytes, 32 bytes with the fifth bits (bit g of byte i is of value i in
 *                                   group g), the same 128 bytes
 *   Q6_K  d s (q - 32)  16 x 16     128 bytes of low halves, 64 bytes of pairs of high bits, 16 signed s, d
 *
 * Source: ggml's ggml-common.h (blocks) and ggml-quants.c (dequantize_row_*), whose order of operations is kept, so that
 * results are the same bits.
 */
#ifndef HD_MODEL_DEQUANTISE_H
#define HD_MODEL_DEQUANTISE_H

#include <stddef.h>

#include "model/tensor_type.h"

#define HD_LARGEST_BLOCK 256 /* values */

/* Converts n_blocks blocks of one of the types above. A false one has converted everything all the same. */
bool hd__dequantise(hd_tensor_type type, const char *in, size_t n_blocks, float *out /* [n_blocks * block] */);

#endif
