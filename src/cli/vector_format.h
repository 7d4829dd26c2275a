/* vector_format.h - vectors as text or bytes.
 *
 *   jsonl  {"embedding": [0.1, …]}, one line a vector, each number the shortest that reads back the same; with other heads
 *          more members, or others
 *   f32    rows of little-endian IEEE floats, nothing else
 *   npy    the same behind a NumPy header (format 1.0, numpy.lib.format), shape (n, dimensions)
 */
#ifndef HD_CLI_VECTOR_FORMAT_H
#define HD_CLI_VECTOR_FORMAT_H

#include "base/buffer.h"
#include "base/status.h"

typedef enum cli_format { CLI_JSONL, CLI_NPY, CLI_F32 } cli_format;

/* name NULL: by the ending of path (".npy", ".f32"), else jsonl. */
HD_MUST_USE hd_status cli_format_parse(const char *name, const char *path, cli_format *format, hd_error *err);

/* Appends one JSON line of what heads made of a text: {"embedding": […], "sparse": {"indices": […], "values": […]},
 * "colbert": [[…], …]}, each where it is wanted (hd_head bits). */
void cli_heads_append(hd_buffer *buffer, uint32_t heads, const float *row, size_t dimensions, const hd_output *output,
                      size_t token_dimensions);

/* Appends rows, [n, dimensions]. */
void cli_rows_append(hd_buffer *buffer, cli_format format, const float *rows, size_t n, size_t dimensions);

/* The header has the same length for every count, so that it can be written first and corrected last. */
#define CLI_NPY_HEADER_BYTES 128
void cli_npy_header(uint64_t n, size_t dimensions, char header[CLI_NPY_HEADER_BYTES]);

#endif
