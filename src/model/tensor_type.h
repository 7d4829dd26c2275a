/* tensor_type.h - how model files store numbers: one by one, or in blocks that share a scale (GGUF). */
#ifndef HD_MODEL_TENSOR_TYPE_H
#define HD_MODEL_TENSOR_TYPE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum hd_tensor_type {
    HD_TENSOR_F64,
    HD_TENSOR_F32,
    HD_TENSOR_F16,
    HD_TENSOR_BF16,
    HD_TENSOR_I64,
    HD_TENSOR_I32,
    HD_TENSOR_I16,
    HD_TENSOR_I8,
    HD_TENSOR_U64,
    HD_TENSOR_U32,
    HD_TENSOR_U16,
    HD_TENSOR_U8,
    HD_TENSOR_BOOL,
    HD_TENSOR_F8_E4M3,
    HD_TENSOR_F8_E5M2,
    HD_TENSOR_Q4_0, /* this and all below: dequantise.h */
    HD_TENSOR_Q4_1,
    HD_TENSOR_Q5_0,
    HD_TENSOR_Q5_1,
    HD_TENSOR_Q8_0,
    HD_TENSOR_Q4_K,
    HD_TENSOR_Q5_K,
    HD_TENSOR_Q6_K,
} hd_tensor_type;

enum { HD_TENSOR_PIECE = 16384 }; /* values converted at a time, a multiple of every block */

/* "F32" */
const char *hd__tensor_type_name(hd_tensor_type type);

/* Values in a block, and its bytes; for the types that are stored one by one the block is one value. */
uint32_t hd__tensor_type_block(hd_tensor_type type);
uint32_t hd__tensor_type_bytes(hd_tensor_type type);

/* Bytes of n values; false when they do not fit 64 bits or n is no multiple of the block. */
bool hd__tensor_type_size(hd_tensor_type type, uint64_t n, uint64_t *bytes);

/* Whether hd__tensor_read_f32 reads it: not integers, nor f8. */
bool hd__tensor_type_is_read(hd_tensor_type type);

/* A type of safetensors files by its name there. */
bool hd__tensor_type_parse(const char *name, hd_tensor_type *type);

#endif
