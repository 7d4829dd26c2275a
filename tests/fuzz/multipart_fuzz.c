/* A multipart form: its Content-Type, a newline, its body. Every part lies within the body, after the part before it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "wire/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const hd_part *parts, size_t n, hd_span body)
{
    const char *at = body.ptr;
    if (n > HD_LIMIT_FORM_PARTS)
        abort();
    for (size_t i = 0; i < n; i++) {
        const hd_span b = parts[i].body;
        if (parts[i].name.ptr == NULL || b.ptr < at || b.ptr + b.len > body.ptr + body.len)
            abort();
        at = b.ptr + b.len;
        volatile char sum = 0; /* all of it is there to be read */
        const hd_span spans[] = {parts[i].name, parts[i].filename, parts[i].type};
        for (size_t k = 0; k < sizeof spans / sizeof *spans; k++)
            for (size_t c = 0; c < spans[k].len; c++)
                sum = (char)(sum ^ spans[k].ptr[c]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    if (end == NULL)
        return 0;
    const size_t n_type = (size_t)(end - text);
    const hd_span body = hd__span(end + 1, size - n_type - 1);
    hd_arena arena;
    hd_part *parts;
    hd_error err;
    size_t n;
    hd__arena_init(&arena);
    if (hd__multipart_parse(hd__span(text, n_type), body, &arena, &parts, &n, &err) == HD_OK)
        check(parts, n, body);
    hd__arena_clear(&arena);
    return 0;
}
