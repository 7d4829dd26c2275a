/* model_tokenizer.c - see model_tokenizer.h. */
#include "engine/model_tokenizer.h"

#include "base/file.h"
#include "model/gguf_tokenizer.h"
#include "token/tokenizer_parts.h"

hd_status hd__model_tokenizer_open(const char *path, hd_tokenizer **tokenizer, hd_error *err)
{
    if (!hd__file_exists(path))
        return hd__tokenizer_open(path, tokenizer, err);
    hd_buffer json;
    hd__buffer_init(&json);
    hd_status status = hd__gguf_read_tokenizer(path, &json, err);
    if (status == HD_OK)
        status = hd__tokenizer_open_json(hd__buffer_span(&json), path, tokenizer, err);
    hd__buffer_clear(&json);
    return status;
}
