/* redis.h - a Redis as the store of vectors that several processes share.
 *
 * One thread and one connection. Whatever waits is sent together: the keys of all requests as MGETs, computed vectors as
 * SETs behind them, all in one pipeline. A request that is not answered in time is given up and with it the connection,
 * which is tried again later and later, up to RETRY_MOST_MS; meanwhile nobody asks.
 *
 *   key    "heddle:1:" and 64 hex digits
 *   value  the floats, 4 bytes each, little-endian
 */
#ifndef HD_REMOTE_REDIS_H
#define HD_REMOTE_REDIS_H

#include "base/vector_store.h"
#include "remote/redis_url.h"

#define HD_REDIS_KEY_BYTES (9 + 64)

typedef struct hd_redis hd_redis;

typedef struct hd_redis_options {
    const char *url;
    uint32_t timeout_ms; /* for an answer */
    uint32_t ttl_s;      /* vectors are forgotten after so long; 0: as Redis's own settings have it */
} hd_redis_options;

/* Returns before there is a connection. Errors are those of the URL and of a missing hiredis. */
HD_MUST_USE hd_status hd__redis_open(const hd_redis_options *options, hd_redis **redis, hd_error *err);
void hd__redis_close(hd_redis *redis); /* sends what waits, within the timeout; NULL allowed */

const hd_vector_store *hd__redis_store(hd_redis *redis);

/* The coding of keys and values; false for a value of another width or with a NaN or an infinity. */
void hd__redis_key_write(const hd_store_key *key, char text[HD_REDIS_KEY_BYTES]);
void hd__redis_value_write(const float *vector, size_t n, char *bytes /* [4 n] */);
bool hd__redis_value_read(hd_span bytes, float *vector, size_t n);

#endif
