/* torch.save's files: archive, pickle, tensors. What is accepted must lie inside the file and be readable. */
#include <stdint.h>
#include <stdlib.h>

#include "model/torch_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_tensor *tensors;
    hd_error err;
    size_t n;
    hd__arena_init(&arena);
    if (hd__torch_zip_parse(hd__span(data, size), "fuzz", &arena, &tensors, &n, &err) == HD_OK) {
        for (size_t i = 0; i < n; i++) {
            const hd_tensor *t = &tensors[i];
            const char *file = (const char *)data;
            if (t->bytes.ptr < file || t->bytes.len > size - (size_t)(t->bytes.ptr - file))
                abort();
            float values[16];
            for (uint64_t at = 0; hd__tensor_type_is_read(t->type) && at < t->n_elements; at += 16)
                HD_IGNORE(hd__tensor_read_f32(t, at, t->n_elements - at < 16 ? t->n_elements - at : 16, values, &err));
        }
    }
    hd__arena_clear(&arena);
    return 0;
}
