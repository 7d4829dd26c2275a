/* The safetensors header. What is accepted must be what it says: tensors inside the file, none over another. */
#include <stdint.h>
#include <stdlib.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_tensor *tensors;
    hd_error err;
    size_t n;
    hd__arena_init(&arena);
    if (hd__safetensors_parse(hd__span(data, size), "fuzz", &arena, &tensors, &n, &err) == HD_OK) {
        const char *end = (const char *)data + size;
        for (size_t i = n; i-- > 0;) {
            uint64_t elements = 1;
            for (uint32_t d = 0; d < tensors[i].n_dims; d++)
                elements *= tensors[i].dims[d];
            if (tensors[i].bytes.ptr + tensors[i].bytes.len != end || elements != tensors[i].n_elements ||
                elements * hd__tensor_type_bytes(tensors[i].type) != tensors[i].bytes.len)
                abort();
            end = tensors[i].bytes.ptr;
        }
        if (end < (const char *)data + 8)
            abort();
    }
    hd__arena_clear(&arena);
    return 0;
}
