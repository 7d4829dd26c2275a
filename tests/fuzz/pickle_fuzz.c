/* The pickle machine by itself, without the archive around it. */
#include <stdint.h>
#include <stdlib.h>

#include "model/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_pickle_tensor *tensors;
    hd_error err;
    size_t n;
    hd__arena_init(&arena);
    if (hd__pickle_read(hd__span(data, size), "fuzz", &arena, &tensors, &n, &err) == HD_OK) {
        for (size_t i = 0; i < n; i++) {
            const char *begin = (const char *)data, *end = begin + size;
            if (tensors[i].name.ptr < begin || tensors[i].name.ptr + tensors[i].name.len > end ||
                tensors[i].n_dims > HD_LIMIT_TENSOR_DIMS)
                abort();
        }
    }
    hd__arena_clear(&arena);
    return 0;
}
