/* trace_context.c - see trace_context.h. */
#include "serve/trace_context.h"

enum { TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LENGTH = 55 };

/* n_digits of lower-case hexadecimal; false when one is anything else. */
static bool parse_hex(const char *text, size_t n_digits, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n_digits; i++) {
        const char c = text[i];
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return false;
        *value = *value << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool hd__trace_context_parse(hd_span text, hd_trace_context *context)
{
    hd_trace_context c = {0};
    uint64_t version, flags;
    if (text.len < LENGTH || text.ptr[2] != '-' || text.ptr[PARENT_AT - 1] != '-' || text.ptr[FLAGS_AT - 1] != '-')
        return false;
    if (!parse_hex(text.ptr, 2, &version) || !parse_hex(text.ptr + TRACE_AT, 16, &c.trace_high) ||
        !parse_hex(text.ptr + TRACE_AT + 16, 16, &c.trace_low) || !parse_hex(text.ptr + PARENT_AT, 16, &c.parent) ||
        !parse_hex(text.ptr + FLAGS_AT, 2, &flags))
        return false;
    if (version == 0xff || (version == 0 && text.len != LENGTH) || (text.len > LENGTH && text.ptr[LENGTH] != '-'))
        return false;
    if ((c.trace_high == 0 && c.trace_low == 0) || c.parent == 0)
        return false;
    c.sampled = (flags & 1) != 0;
    *context = c;
    return true;
}
