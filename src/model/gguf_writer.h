/* gguf_writer.h - writing a GGUF file, version 3 (gguf.h): pairs, then tensors, then their data a piece at a time.
 *
 * Errors of pairs and of tensors' names are sticky and reported by gguf_writer_end.
 */
#ifndef HD_MODEL_GGUF_WRITER_H
#define HD_MODEL_GGUF_WRITER_H

#include "base/buffer.h"
#include "base/file.h"
#include "model/gguf.h"

typedef struct hd_gguf_writer {
    hd_buffer pairs, tensors; /* as in the file */
    uint64_t n_pairs, n_tensors, data_bytes;
} hd_gguf_writer;

void hd__gguf_writer_init(hd_gguf_writer *writer);
void hd__gguf_writer_clear(hd_gguf_writer *writer);

void hd__gguf_put_uint(hd_gguf_writer *writer, const char *key, uint32_t value);
void hd__gguf_put_real(hd_gguf_writer *writer, const char *key, float value);
void hd__gguf_put_bool(hd_gguf_writer *writer, const char *key, bool value);
void hd__gguf_put_text(hd_gguf_writer *writer, const char *key, hd_span value);

/* An array's values as in the file: numbers side by side, texts each behind its length. */
void hd__gguf_put_array(hd_gguf_writer *writer, const char *key, hd_gguf_type type, uint64_t n, hd_span values);

/* Announces a tensor; dims are row-major. Data are written in the order of the announcements. */
void hd__gguf_put_tensor(hd_gguf_writer *writer, const char *name, hd_tensor_type type, uint32_t n_dims,
                         const uint64_t *dims);

/* Writes all but the data, which the caller adds: each tensor's bytes, then hd__file_writer_align(file, 32). */
HD_MUST_USE hd_status hd__gguf_writer_end(const hd_gguf_writer *writer, hd_file_writer *file, hd_error *err);

#endif
