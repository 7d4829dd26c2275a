/* status.h - how functions fail: a must-use status, and one line of text for the person reading it.
 *
 * A fallible function returns hd_status and takes `hd_error *err` last; err may be NULL. The text says what
 * failed, which value, which limit; it is written once, where the failure happened, and passed on as it is.
 */
#ifndef HD_BASE_STATUS_H
#define HD_BASE_STATUS_H

#include "heddle/heddle.h"

/* Writes status and text (printf rules) to err, when there is one; returns status. */
hd_status hd__fail(hd_error *err, hd_status status, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

/* The same with ": <strerror(saved_errno)>" at the end. */
hd_status hd__fail_errno(hd_error *err, int saved_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Return from the calling function when a call fails; nothing may be owned there. */
#define HD_TRY(call)                                                                                                        \
    do {                                                                                                                    \
        hd_status hd_try_status = (call);                                                                                   \
        if (hd_try_status != HD_OK)                                                                                         \
            return hd_try_status;                                                                                           \
    } while (0)

/* Go to the function's `out:` label, with `status` set, when a call fails. */
#define HD_TRY_OUT(call)                                                                                                    \
    do {                                                                                                                    \
        status = (call);                                                                                                    \
        if (status != HD_OK)                                                                                                \
            goto out;                                                                                                       \
    } while (0)

/* For results that do not matter, said aloud. */
#define HD_IGNORE(call)                                                                                                     \
    do {                                                                                                                    \
        hd_status hd_ignored = (call);                                                                                      \
        (void)hd_ignored;                                                                                                   \
    } while (0)

#endif
