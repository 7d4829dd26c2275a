/* gguf_writer.c - see gguf_writer.h. */
#include "model/gguf_writer.h"

#include "base/alloc.h"

#define ALIGNMENT 32 /* the format's default */

void hd__gguf_writer_init(hd_gguf_writer *writer)
{
    *writer = (hd_gguf_writer){0};
    hd__buffer_init(&writer->pairs);
    hd__buffer_init(&writer->tensors);
}

void hd__gguf_writer_clear(hd_gguf_writer *writer)
{
    hd__buffer_clear(&writer->pairs);
    hd__buffer_clear(&writer->tensors);
}

static void put_text(hd_buffer *to, hd_span text)
{
    hd__buffer_append_uint(to, text.len, 8);
    hd__buffer_append(to, text.ptr, text.len);
}

static void begin_pair(hd_gguf_writer *writer, const char *key, hd_gguf_type type)
{
    put_text(&writer->pairs, hd__span_of(key));
    hd__buffer_append_uint(&writer->pairs, type, 4);
    writer->n_pairs++;
}

void hd__gguf_put_uint(hd_gguf_writer *writer, const char *key, uint32_t value)
{
    begin_pair(writer, key, HD_GGUF_U32);
    hd__buffer_append_uint(&writer->pairs, value, 4);
}

void hd__gguf_put_real(hd_gguf_writer *writer, const char *key, float value)
{
    begin_pair(writer, key, HD_GGUF_F32);
    hd__buffer_append(&writer->pairs, &value, sizeof value);
}

void hd__gguf_put_bool(hd_gguf_writer *writer, const char *key, bool value)
{
    begin_pair(writer, key, HD_GGUF_BOOL);
    hd__buffer_append_uint(&writer->pairs, value, 1);
}

void hd__gguf_put_text(hd_gguf_writer *writer, const char *key, hd_span value)
{
    begin_pair(writer, key, HD_GGUF_TEXT);
    put_text(&writer->pairs, value);
}

void hd__gguf_put_array(hd_gguf_writer *writer, const char *key, hd_gguf_type type, uint64_t n, hd_span values)
{
    begin_pair(writer, key, HD_GGUF_ARRAY);
    hd__buffer_append_uint(&writer->pairs, type, 4);
    hd__buffer_append_uint(&writer->pairs, n, 8);
    hd__buffer_append(&writer->pairs, values.ptr, values.len);
}

void hd__gguf_put_tensor(hd_gguf_writer *writer, const char *name, hd_tensor_type type, uint32_t n_dims,
                         const uint64_t *dims)
{
    hd_buffer *to = &writer->tensors;
    uint64_t n = 1, bytes = 0;
    put_text(to, hd__span_of(name));
    hd__buffer_append_uint(to, n_dims, 4);
    for (uint32_t i = n_dims; i-- > 0; n *= dims[i])
        hd__buffer_append_uint(to, dims[i], 8);
    hd__buffer_append_uint(to, hd__gguf_tensor_type(type), 4);
    hd__buffer_append_uint(to, writer->data_bytes, 8);
    if (!hd__tensor_type_size(type, n, &bytes))
        to->failed = true;
    writer->data_bytes += hd__round_up((size_t)bytes, ALIGNMENT);
    writer->n_tensors++;
}

hd_status hd__gguf_writer_end(const hd_gguf_writer *writer, hd_file_writer *file, hd_error *err)
{
    hd_buffer head;
    if (writer->pairs.failed || writer->tensors.failed)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its header", file->path);
    hd__buffer_init(&head);
    hd__buffer_append_text(&head, "GGUF");
    hd__buffer_append_uint(&head, 3, 4);
    hd__buffer_append_uint(&head, writer->n_tensors, 8);
    hd__buffer_append_uint(&head, writer->n_pairs, 8);
    hd__file_writer_add(file, hd__buffer_span(&head));
    hd__file_writer_add(file, hd__buffer_span(&writer->pairs));
    hd__file_writer_add(file, hd__buffer_span(&writer->tensors));
    hd__file_writer_align(file, ALIGNMENT);
    const bool failed = head.failed;
    hd__buffer_clear(&head);
    return failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its header", file->path) : HD_OK;
}
