/* http.c - see http.h. Header names compare as RFC 9110, section 5.1 says; query strings decode as the URL standard's
 * application/x-www-form-urlencoded parser does.
 */
#include "base/http.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

hd_span hd__http_header(const hd_http_request *request, const char *name)
{
    const size_t len = strlen(name);
    for (size_t i = 0; i < request->n_headers; i++) {
        hd_span sent = request->headers[i].name;
        if (sent.len == len && strncasecmp(sent.ptr, name, len) == 0)
            return request->headers[i].value;
    }
    return hd__span(NULL, 0);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

hd_span hd__http_unescape(hd_span text, bool plus_is_blank, hd_arena *arena)
{
    char *out = hd__arena_alloc(arena, text.len + 1);
    if (out == NULL)
        return hd__span(NULL, 0);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const int high = i + 2 < text.len && c == '%' ? hex_digit(text.ptr[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = c == '+' && plus_is_blank ? ' ' : c;
        }
    }
    out[n] = '\0';
    return hd__span(out, n);
}

hd_span hd__http_query(const hd_http_request *request, const char *name, hd_arena *arena)
{
    hd_span rest = request->query;
    const size_t len = strlen(name);
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        const size_t n = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        if (n >= len && memcmp(rest.ptr, name, len) == 0 && (n == len || rest.ptr[len] == '='))
            return n == len ? hd__span("", 0) : hd__http_unescape(hd__span(rest.ptr + len + 1, n - len - 1), true, arena);
        rest = end != NULL ? hd__span(end + 1, rest.len - n - 1) : hd__span(NULL, 0);
    }
    return hd__span(NULL, 0);
}

void hd__http_set(hd_http_response *response, const char *name, hd_span value)
{
    assert(response->n_headers < HD_HTTP_MAX_HEADERS);
    response->headers[response->n_headers++] = (hd_http_header){hd__span_of(name), value};
}

void hd__http_setf(hd_http_response *response, hd_arena *arena, const char *name, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    const char *value = hd__arena_strndup(arena, text, len);
    if (value != NULL)
        hd__http_set(response, name, hd__span(value, len));
}

hd_status hd__fault(hd_fault *fault, hd_fault_kind kind, const char *field, const char *format, ...)
{
    *fault = (hd_fault){.kind = kind, .field = field};
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    if (n >= (int)sizeof fault->text)
        memcpy(fault->text + sizeof fault->text - 4, "...", 4);
    return HD_ERR_ARG;
}

const char *hd__fault_name(hd_fault_kind kind)
{
    static const char *const names[HD_FAULT_KINDS] = {
        [HD_FAULT_NONE] = "none",
        [HD_FAULT_HTTP] = "http",
        [HD_FAULT_ROUTE] = "route",
        [HD_FAULT_METHOD] = "method",
        [HD_FAULT_KEY] = "key",
        [HD_FAULT_BODY_BYTES] = "body_bytes",
        [HD_FAULT_ENCODING] = "encoding",
        [HD_FAULT_BODY_TIME] = "body_time",
        [HD_FAULT_JSON] = "json",
        [HD_FAULT_MISSING] = "missing",
        [HD_FAULT_TYPE] = "type",
        [HD_FAULT_VALUE] = "value",
        [HD_FAULT_EMPTY] = "empty",
        [HD_FAULT_INPUTS] = "inputs",
        [HD_FAULT_TOKENS] = "tokens",
        [HD_FAULT_MODEL] = "model",
        [HD_FAULT_UNSUPPORTED] = "unsupported",
        [HD_FAULT_OVERLOADED] = "overloaded",
        [HD_FAULT_DEADLINE] = "deadline",
        [HD_FAULT_CANCELLED] = "cancelled",
        [HD_FAULT_LOADING] = "loading",
        [HD_FAULT_STOPPING] = "stopping",
        [HD_FAULT_MEMORY] = "memory",
        [HD_FAULT_LOAD] = "load",
        [HD_FAULT_NUMERIC] = "numeric",
        [HD_FAULT_INTERNAL] = "internal",
    };
    return kind < HD_FAULT_KINDS ? names[kind] : "internal";
}
