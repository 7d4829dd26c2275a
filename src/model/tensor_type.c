/* tensor_type.c - see tensor_type.h. */
#include "model/tensor_type.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    uint16_t block, bytes;
    bool is_read;
} types[] = {
    [HD_TENSOR_F64] = {"F64", 1, 8, true},          [HD_TENSOR_F32] = {"F32", 1, 4, true},
    [HD_TENSOR_F16] = {"F16", 1, 2, true},          [HD_TENSOR_BF16] = {"BF16", 1, 2, true},
    [HD_TENSOR_I64] = {"I64", 1, 8, false},         [HD_TENSOR_I32] = {"I32", 1, 4, false},
    [HD_TENSOR_I16] = {"I16", 1, 2, false},         [HD_TENSOR_I8] = {"I8", 1, 1, false},
    [HD_TENSOR_U64] = {"U64", 1, 8, false},         [HD_TENSOR_U32] = {"U32", 1, 4, false},
    [HD_TENSOR_U16] = {"U16", 1, 2, false},         [HD_TENSOR_U8] = {"U8", 1, 1, false},
    [HD_TENSOR_BOOL] = {"BOOL", 1, 1, false},       [HD_TENSOR_F8_E4M3] = {"F8_E4M3", 1, 1, false},
    [HD_TENSOR_F8_E5M2] = {"F8_E5M2", 1, 1, false}, [HD_TENSOR_Q4_0] = {"Q4_0", 32, 18, true},
    [HD_TENSOR_Q4_1] = {"Q4_1", 32, 20, true},      [HD_TENSOR_Q5_0] = {"Q5_0", 32, 22, true},
    [HD_TENSOR_Q5_1] = {"Q5_1", 32, 24, true},      [HD_TENSOR_Q8_0] = {"Q8_0", 32, 34, true},
    [HD_TENSOR_Q4_K] = {"Q4_K", 256, 144, true},    [HD_TENSOR_Q5_K] = {"Q5_K", 256, 176, true},
    [HD_TENSOR_Q6_K] = {"Q6_K", 256, 210, true},
};

const char *hd__tensor_type_name(hd_tensor_type type)
{
    return types[type].name;
}

uint32_t hd__tensor_type_block(hd_tensor_type type)
{
    return types[type].block;
}

uint32_t hd__tensor_type_bytes(hd_tensor_type type)
{
    return types[type].bytes;
}

bool hd__tensor_type_size(hd_tensor_type type, uint64_t n, uint64_t *bytes)
{
    return n % types[type].block == 0 && !__builtin_mul_overflow(n / types[type].block, (uint64_t)types[type].bytes, bytes);
}

bool hd__tensor_type_is_read(hd_tensor_type type)
{
    return types[type].is_read;
}

bool hd__tensor_type_parse(const char *name, hd_tensor_type *type)
{
    for (size_t i = 0; i <= HD_TENSOR_F8_E5M2; i++) {
        if (strcmp(name, types[i].name) == 0) {
            *type = (hd_tensor_type)i;
            return true;
        }
    }
    return false;
}
