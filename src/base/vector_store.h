/* vector_store.h - a place outside of the process where vectors are kept, as the engine sees it.
 *
 * It may be slow, forget, or be gone: nobody waits for it on a thread of the engine, and what it does not answer in time
 * counts as not found. Keys are SHA-256 in hex of all that determines a vector; values are as many floats as it has,
 * pooled, before they are cut or normalised.
 */
#ifndef HD_BASE_VECTOR_STORE_H
#define HD_BASE_VECTOR_STORE_H

#include "base/hash.h"

typedef struct hd_store_key {
    char hex[HD_SHA256_HEX_BYTES];
} hd_store_key;

/* Vectors that are asked for. The asker owns it; the store has it from `get` until `done`. */
typedef struct hd_store_request {
    struct hd_store_request *next; /* the store's */
    uint64_t deadline_ns;          /* the store's */
    size_t n, width;
    const hd_store_key *keys;                       /* [n] */
    float *vectors;                                 /* [n, width] received; of those not found unspecified */
    bool *found;                                    /* [n] false before, and set for finite vectors of the right width */
    void (*done)(struct hd_store_request *request); /* on a thread of the store, soon, whatever happens */
} hd_store_request;

typedef struct hd_store_stats {
    bool connected;
    uint64_t n_put;      /* vectors that it took */
    uint64_t n_dropped;  /* not kept, because it was away or slower than they came */
    uint64_t n_invalid;  /* values of the wrong size or not finite, which count as not found */
    uint64_t n_failures; /* connections lost or refused, answers too late, errors it reported */
} hd_store_stats;

/* Every function is thread-safe and returns at once. */
typedef struct hd_vector_store {
    bool (*ready)(void *data);
    bool (*get)(void *data, hd_store_request *request); /* false: not now; `done` will not be called */
    void (*put)(void *data, const hd_store_key *key, const float *vector, size_t n);
    void (*get_stats)(void *data, hd_store_stats *stats);
    void *data;
} hd_vector_store;

#endif
