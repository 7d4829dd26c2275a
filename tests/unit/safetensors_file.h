/* safetensors_file.h - safetensors files for tests, from a header in JSON and the data behind it. */
#ifndef HD_TESTS_SAFETENSORS_FILE_H
#define HD_TESTS_SAFETENSORS_FILE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

/* The whole file in exactly as many bytes as it needs, so that ASan sees a read past it. Freed by free. */
static inline hd_span safetensors_file(const char *header, const void *data, size_t n_data)
{
    size_t n_header = strlen(header), n = 8 + n_header + n_data;
    char *bytes = malloc(n);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)(unsigned char)((uint64_t)n_header >> (8 * i));
    memcpy(bytes + 8, header, n_header);
    if (data != NULL && n_data > 0)
        memcpy(bytes + 8 + n_header, data, n_data);
    else
        memset(bytes + 8 + n_header, 0, n_data);
    return hd__span(bytes, n);
}

#endif
