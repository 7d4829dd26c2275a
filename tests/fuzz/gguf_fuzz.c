/* A whole GGUF file: header, settings, tokenizer. Tensors that are accepted must be what they say, inside the file, none
 * over another, and readable. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "model/gguf_names.h"
#include "model/gguf_settings.h"
#include "model/gguf_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensor(const hd_gguf *gguf, size_t i, hd_span file)
{
    const hd_tensor *t = &gguf->tensors[i];
    uint64_t elements = 1, bytes;
    for (uint32_t d = 0; d < t->n_dims; d++)
        elements *= t->dims[d];
    if (elements != t->n_elements || !hd__tensor_type_size(t->type, elements, &bytes) || bytes != t->bytes.len ||
        t->bytes.ptr < file.ptr || t->bytes.len > file.len - (size_t)(t->bytes.ptr - file.ptr))
        abort();
    for (size_t k = 0; k < i && i < 64; k++) {
        const hd_tensor *other = &gguf->tensors[k];
        if (other->bytes.ptr < t->bytes.ptr + t->bytes.len && t->bytes.ptr < other->bytes.ptr + other->bytes.len)
            abort();
    }
    float values[40];
    hd_error err;
    for (uint64_t at = 0; hd__tensor_type_is_read(t->type) && at < elements; at += 40)
        HD_IGNORE(hd__tensor_read_f32(t, at, elements - at < 40 ? elements - at : 40, values, &err));
}

static void check_tokenizer(const hd_gguf *gguf)
{
    hd_buffer json;
    hd_error err;
    json_t *root = NULL;
    hd__buffer_init(&json);
    if (hd__gguf_write_tokenizer(gguf, &json, &err) == HD_OK)
        HD_IGNORE(hd__json_parse(hd__buffer_span(&json), "written", &root, &err));
    json_decref(root);
    hd__buffer_clear(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_gguf gguf;
    hd_error err;
    hd__arena_init(&arena);
    if (hd__gguf_parse(hd__span(data, size), "fuzz", &arena, &gguf, &err) == HD_OK) {
        const char *model_type, *name;
        hd_settings settings;
        hd_settings_source source = hd__gguf_settings_source(&gguf);
        for (size_t i = 0; i < gguf.n_tensors; i++)
            check_tensor(&gguf, i, hd__span(data, size));
        if (hd__gguf_model_type(&gguf, &model_type, &err) == HD_OK && gguf.n_tensors > 0)
            HD_IGNORE(hd__gguf_name_to_hub(hd__gguf_names(model_type), gguf.tensors[0].name, hd__gguf_has_head(&gguf),
                                           &arena, &name, &err));
        HD_IGNORE(hd__settings_read_from(&source, "fuzz", &arena, &settings, &err));
        check_tokenizer(&gguf);
    }
    hd__arena_clear(&arena);
    return 0;
}
