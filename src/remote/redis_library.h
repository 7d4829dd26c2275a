/* redis_library.h - hiredis, opened when a Redis is asked for.
 *
 * Few processes share vectors, and those that do not need no hiredis. Its structures are not the same from one soname to
 * the next, so it is the soname of the headers that Heddle was built with that is opened.
 */
#ifndef HD_REMOTE_REDIS_LIBRARY_H
#define HD_REMOTE_REDIS_LIBRARY_H

#include <hiredis/hiredis.h>

#include "base/status.h"

typedef struct hd_redis_library {
    redisContext *(*connect_non_block)(const char *host, int port);
    void (*free)(redisContext *context);
    int (*append_argv)(redisContext *context, int n, const char **args, const size_t *lengths);
    int (*buffer_read)(redisContext *context);
    int (*buffer_write)(redisContext *context, int *done);
    int (*get_reply)(redisContext *context, void **reply);
    void (*free_reply)(void *reply);
} hd_redis_library;

/* The table, the same for every caller and never closed. HD_ERR_UNSUPPORTED when there is no hiredis. */
HD_MUST_USE hd_status hd__redis_library_open(const hd_redis_library **library, hd_error *err);

#endif
