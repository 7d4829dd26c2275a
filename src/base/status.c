/* status.c - see status.h. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *hd_status_name(hd_status status)
{
    switch (status) {
    case HD_OK: return "ok";
    case HD_ERR_ARG: return "argument";
    case HD_ERR_LIMIT: return "limit";
    case HD_ERR_FORMAT: return "format";
    case HD_ERR_NOT_FOUND: return "not found";
    case HD_ERR_IO: return "io";
    case HD_ERR_PEER: return "peer";
    case HD_ERR_MEMORY: return "memory";
    case HD_ERR_BUSY: return "busy";
    case HD_ERR_CANCELLED: return "cancelled";
    case HD_ERR_UNSUPPORTED: return "unsupported";
    case HD_ERR_NUMERIC: return "numeric";
    }
    return "unknown";
}

#define HD_STRINGIFY_(x) #x
#define HD_STRINGIFY(x) HD_STRINGIFY_(x)

const char *hd_version(void)
{
    return HD_STRINGIFY(HD_VERSION_MAJOR) "." HD_STRINGIFY(HD_VERSION_MINOR) "." HD_STRINGIFY(HD_VERSION_PATCH);
}

/* Makes one line of the text, which may quote names and values from files and servers: no line breaks, nothing
 * that a terminal obeys. Marks a text that did not fit, so that nobody takes the stump for the whole. */
static void finish(hd_error *err, int wanted)
{
    if (wanted >= HD_ERROR_TEXT_BYTES)
        memcpy(err->text + HD_ERROR_TEXT_BYTES - 4, "...", 4);
    for (char *c = err->text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

hd_status hd__fail(hd_error *err, hd_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->status = status;
        finish(err, vsnprintf(err->text, sizeof err->text, format, args));
        va_end(args);
    }
    return status;
}

hd_status hd__fail_errno(hd_error *err, int saved_errno, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->status = HD_ERR_IO;
        int n = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        if (n >= 0 && n < HD_ERROR_TEXT_BYTES) {
            size_t at = (size_t)n;
            n += snprintf(err->text + at, sizeof err->text - at, ": %s", strerror(saved_errno));
        }
        finish(err, n);
    }
    return HD_ERR_IO;
}
