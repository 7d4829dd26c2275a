/* safetensors.h - the header of one safetensors file, parsed and checked.
 *
 *   offset  bytes  what
 *   0       8      n, length of the header, little-endian
 *   8       n      JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …},
 *                  and perhaps "__metadata__": {"key": "text", …}
 *   8 + n          data; offsets count from here
 *
 * Sorted by offset the tensors touch one another and end with the file: no gap, no overlap, nothing behind.
 * Source: https://huggingface.co/docs/safetensors (format) and the checks of its reference implementation.
 * Stricter here: a name may occur once.
 */
#ifndef HD_MODEL_SAFETENSORS_H
#define HD_MODEL_SAFETENSORS_H

#include "base/arena.h"
#include "model/tensors.h"

/* Parses a whole file in memory. *tensors are in the order of their data; they and their names live in the
 * arena, their bytes point into `bytes`. `file` is for error texts and is kept in the tensors.
 * HD_ERR_FORMAT (damaged), HD_ERR_LIMIT, HD_ERR_UNSUPPORTED (a dtype Heddle does not know), HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__safetensors_parse(hd_span bytes, const char *file, hd_arena *arena, hd_tensor **tensors, size_t *n,
                                            hd_error *err);

#endif
