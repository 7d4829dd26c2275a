/* redis_url.h - where a Redis is: redis://[[user]:password@]host[:port][/db], as redis-cli -u takes it.
 *
 * User and password are percent-decoded; an IPv6 address is in brackets. Error texts never show the URL, which may hold
 * a password.
 */
#ifndef HD_REMOTE_REDIS_URL_H
#define HD_REMOTE_REDIS_URL_H

#include "base/arena.h"
#include "base/status.h"

typedef struct hd_redis_url {
    const char *user, *password; /* NULL: none */
    const char *host;            /* without brackets */
    uint16_t port;               /* 6379 */
    uint32_t db;                 /* 0 */
} hd_redis_url;

/* Texts live in the arena. HD_ERR_ARG; HD_ERR_UNSUPPORTED for rediss://. */
HD_MUST_USE hd_status hd__redis_url_parse(const char *text, hd_arena *arena, hd_redis_url *url, hd_error *err);

#endif
