/* vectors.c - see vectors.h. */
#include "cli/vectors.h"

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

static void append_json(hd_buffer *buffer, const float *row, size_t n)
{
    hd__buffer_append_text(buffer, "{\"embedding\": [");
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
    hd__buffer_append_text(buffer, "]}\n");
}

void cli_rows_append(hd_buffer *buffer, cli_format format, const float *rows, size_t n, size_t dimensions)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are little-endian on disk");
    if (format != CLI_JSONL) {
        hd__buffer_append(buffer, rows, n * dimensions * sizeof *rows);
        return;
    }
    for (size_t i = 0; i < n; i++)
        append_json(buffer, rows + i * dimensions, dimensions);
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
