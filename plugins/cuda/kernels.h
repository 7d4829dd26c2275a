/* kernels.h - the kernels there are, for both sides: the host's C, which launches them, and the device's code. Each takes
 * one struct by value: an operation of heddle/plugin.h as it came, or the one below.
 */
#ifndef HD_CUDA_KERNELS_H
#define HD_CUDA_KERNELS_H

#include "heddle/plugin.h"

/* X(image, kernel): the file that a kernel is in, and its name. */
#define CUDA_KERNELS(X)                                                                                                     \
    X(rows, k_embed)                                                                                                        \
    X(rows, k_change_rows)                                                                                                  \
    X(rows, k_norm)                                                                                                         \
    X(rows, k_norm_of_warp)                                                                                                 \
    X(rows, k_convert)                                                                                                      \
    X(rows, k_rotate)                                                                                                       \
    X(rows, k_copy)                                                                                                         \
    X(rows, k_unit)                                                                                                         \
    X(product, k_product_f32)                                                                                               \
    X(product, k_product_bf16)                                                                                              \
    X(product, k_product_i8)                                                                                                \
    X(product, k_product_f16)                                                                                               \
    X(product, k_product_f8)                                                                                                \
    X(product, k_epilogue)                                                                                                  \
    X(attention, k_attention_f32)                                                                                           \
    X(attention, k_attention_bf16)                                                                                          \
    X(attention, k_attention_f16)                                                                                           \
    X(tensor_attention, k_tensor_attention_bf16_32)                                                                         \
    X(tensor_attention, k_tensor_attention_bf16_64)                                                                         \
    X(tensor_attention, k_tensor_attention_bf16_128)                                                                        \
    X(tensor_attention, k_tensor_attention_f16_32)                                                                          \
    X(tensor_attention, k_tensor_attention_f16_64)                                                                          \
    X(tensor_attention, k_tensor_attention_f16_128)                                                                         \
    X(heads, k_pick)                                                                                                        \
    X(heads, k_pool)                                                                                                        \
    X(heads, k_collect)                                                                                                     \
    X(heads, k_weigh)

/* Rows [first_row, first_row + n_rows) of a product: its plain sums, and where they are between the product and its
 * epilogue. That may be where the epilogue stores them. */
typedef struct product_part {
    hd_plugin_linear linear;
    int32_t first_row, n_rows;
    hd_plugin_type sums_type; /* I8: int32; otherwise F32, or that of weights and out */
    void *sums;               /* [n_rows, sums_stride]; column 0 is channel `first` */
    size_t sums_stride;       /* elements */
} product_part;

enum {
    ROW_THREADS = 256,        /* a block for each row, or for each 256 values of one */
    ROTATE_WARPS = 4,         /* of a block, each with a head */
    NORM_WARPS = 4,           /* of a block, each with a row .. */
    MOST_HADAMARD = 4096,     /* values of a row that is multiplied by H (heddle/plugin.h) */
    MOST_NORM_OF_WARP = 1024, /* .. of so many values at most .. */
    NORM_ALIGNMENT = 16,      /* .. at multiples of so many bytes, as are numbers of values */

    PRODUCT_TILE = 64, /* rows and channels of a block .. */
    PRODUCT_SIDE = 16, /* .. of 16 x 16 threads */

    EPILOGUE_THREADS = 128, /* of a block, at most .. */
    EPILOGUE_EACH = 8,      /* .. each with so many values, which are 16 bytes of 16 bits */

    ATTENTION_QUERIES = 16, /* of a block */
    ATTENTION_KEYS = 32,    /* looked at at once: one for each lane */
    ATTENTION_WARPS = 4,
    MOST_HEAD_DIM = 256,

    TENSOR_QUERIES = 64, /* of a block of tensor_attention.cu */
    TENSOR_WARPS = 4,
    TENSOR_ALIGNMENT = 16, /* bytes: of addresses and of rows */

    POOL_COLUMNS = 32, /* of a block */
    POOL_LANES = 8     /* that share a column's rows */
};

/* A block's shared memory: its queries, and keys or values with one float between rows, so that lanes that read a column
 * meet in no bank. */
#define ATTENTION_SHARED_BYTES(head_dim)                                                                                    \
    (((size_t)ATTENTION_QUERIES * (size_t)(head_dim) + (size_t)ATTENTION_KEYS * ((size_t)(head_dim) + 1)) * sizeof(float))

#endif
