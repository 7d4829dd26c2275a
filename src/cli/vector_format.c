/* vector_format.c - see vector_format.h. */
#include "cli/vector_format.h"

#include <stdio.h>

#include "base/float_text.h"

hd_status cli_format_parse(const char *name, const char *path, cli_format *format, hd_error *err)
{
    static const char *const names[] = {"jsonl", "npy", "f32"};
    const char *dot = path != NULL ? strrchr(path, '.') : NULL;
    *format = CLI_JSONL;
    if (name == NULL && dot == NULL)
        return HD_OK;
    for (cli_format i = CLI_JSONL; i <= CLI_F32; i++)
        if (strcmp(name != NULL ? name : dot + 1, names[i]) == 0) {
            *format = i;
            return HD_OK;
        }
    return name == NULL ? HD_OK : hd__fail(err, HD_ERR_ARG, "--output-format: '%s' is not one of jsonl, npy, f32", name);
}

/* [0.1, …] */
static void append_list(hd_buffer *buffer, const float *row, size_t n)
{
    hd__buffer_append_char(buffer, '[');
    char *to = hd__buffer_reserve(buffer, n * (HD_FLOAT_TEXT_BYTES + 2));
    if (to == NULL)
        return;
    char *at = to;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            *at++ = ',';
            *at++ = ' ';
        }
        at += hd__float_text(row[i], at);
    }
    buffer->len += (size_t)(at - to);
    hd__buffer_append_char(buffer, ']');
}

static void append_sparse(hd_buffer *buffer, const hd_sparse_vector *sparse)
{
    hd__buffer_append_text(buffer, "\"sparse\": {\"indices\": [");
    for (size_t i = 0; i < sparse->n; i++)
        hd__buffer_printf(buffer, i > 0 ? ", %u" : "%u", sparse->ids[i]);
    hd__buffer_append_text(buffer, "], \"values\": ");
    append_list(buffer, sparse->weights, sparse->n);
    hd__buffer_append_char(buffer, '}');
}

static void append_vectors(hd_buffer *buffer, const float *rows, size_t n_rows, size_t n)
{
    hd__buffer_append_text(buffer, "\"colbert\": [");
    for (size_t i = 0; i < n_rows; i++) {
        if (i > 0)
            hd__buffer_append_text(buffer, ", ");
        append_list(buffer, rows + i * n, n);
    }
    hd__buffer_append_char(buffer, ']');
}

void cli_heads_append(hd_buffer *buffer, uint32_t heads, const float *row, size_t dimensions, const hd_output *output,
                      size_t token_dimensions)
{
    const char *separator = "{";
    if ((heads & HD_HEAD_DENSE) != 0) {
        hd__buffer_append_text(buffer, "{\"embedding\": ");
        append_list(buffer, row, dimensions);
        separator = ", ";
    }
    if ((heads & HD_HEAD_SPARSE) != 0) {
        hd__buffer_append_text(buffer, separator);
        append_sparse(buffer, &output->sparse);
        separator = ", ";
    }
    if ((heads & HD_HEAD_MULTI) != 0) {
        hd__buffer_append_text(buffer, separator);
        append_vectors(buffer, output->token_vectors, output->n_token_vectors, token_dimensions);
    }
    hd__buffer_append_text(buffer, "}\n");
}

void cli_rows_append(hd_buffer *buffer, cli_format format, const float *rows, size_t n, size_t dimensions)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are little-endian on disk");
    if (format != CLI_JSONL) {
        hd__buffer_append(buffer, rows, n * dimensions * sizeof *rows);
        return;
    }
    for (size_t i = 0; i < n; i++)
        cli_heads_append(buffer, HD_HEAD_DENSE, rows + i * dimensions, dimensions, NULL, 0);
}

void cli_npy_header(uint64_t n, size_t dimensions, char header[CLI_NPY_HEADER_BYTES])
{
    /* "\x93NUMPY", version 1.0, length of the rest as u16, a Python literal padded with blanks, a line feed. */
    memset(header, ' ', CLI_NPY_HEADER_BYTES);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(CLI_NPY_HEADER_BYTES - 10);
    header[9] = 0;
    int len =
        snprintf(header + 10, CLI_NPY_HEADER_BYTES - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %zu), }",
                 (unsigned long long)n, dimensions);
    header[10 + len] = ' '; /* over snprintf's NUL */
    header[CLI_NPY_HEADER_BYTES - 1] = '\n';
}
