/* accelerator.h - a device of a plugin (heddle/plugin.h), its memory, and the operations of encoders on it.
 *
 * Passes run beside each other, each on a stream and on the one thread that the stream is used by. Memory may be freed by
 * anybody. When an operation has failed or the device is lost, all of its memory is gone with it, and so are its streams:
 * hd__accelerator_renew, while no pass runs, opens the device again, and what was allocated before is known by its
 * generation and need not be freed.
 */
#ifndef HD_DEVICE_ACCELERATOR_H
#define HD_DEVICE_ACCELERATOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "device/device.h"
#include "heddle/plugin.h"

/* Most passes at once. One of two is computed while the host reads what the other made and prepares the next. */
#define HD_DEVICE_STREAMS 2

/* One thread's. */
typedef struct hd_device_stream {
    struct hd_accelerator *accelerator;
    hd_plugin_stream *stream; /* NULL: not open */
    void *staged;             /* memory of the host that is copied from and to; NULL: none. With the lock */
    bool is_pinned;           /* and its pages are locked */
} hd_device_stream;

typedef struct hd_accelerator {
    const hd_plugin *plugin; /* these are constant */
    uint32_t index;
    double memory_share;   /* of what is free when it is opened, */
    uint64_t memory_limit; /* or 0, or so many bytes */
    pthread_mutex_t lock;  /* guards the rest, but for streams, which are their threads', and what is atomic. The driver is
                            * called with it: nobody waits for it who has a lock that others are to get soon */
    hd_plugin_device *device; /* NULL: it failed and is not open again */
    hd_device_stream streams[HD_DEVICE_STREAMS];
    uint32_t n_streams;    /* that its memory is enough for */
    hd_plugin_state state; /* when it was opened */
    _Atomic uint64_t generation;
    _Atomic uint64_t usable_bytes; /* without what the plugin takes for streams; 0: it is not open */
    uint64_t used_bytes;
} hd_accelerator;

/* Part of a device's memory. */
typedef struct hd_device_memory {
    char *address; /* of the device; NULL: none */
    size_t bytes;
    uint64_t generation;
} hd_device_memory;

/* Opens device `index` of a plugin and the first stream. It may take memory_limit bytes, 0: memory_share of what is free
 * now. */
HD_MUST_USE hd_status hd__accelerator_open(const hd_plugin *plugin, uint32_t index, double memory_share,
                                           uint64_t memory_limit, hd_accelerator **accelerator, hd_error *err);
void hd__accelerator_close(hd_accelerator *accelerator); /* NULL allowed */

/* Closes the device, and with it all of its memory, and opens it again. After a failure it stays closed. */
HD_MUST_USE hd_status hd__accelerator_renew(hd_accelerator *accelerator, hd_error *err);

/* HD_ERR_MEMORY: it is full, or its limit is reached. */
HD_MUST_USE hd_status hd__accelerator_alloc(hd_accelerator *accelerator, size_t bytes, hd_device_memory *memory,
                                            hd_error *err);
void hd__accelerator_free(hd_accelerator *accelerator, hd_device_memory *memory); /* none is allowed */
bool hd__accelerator_has(const hd_accelerator *accelerator,
                         const hd_device_memory *memory); /* there is some, and not gone; without the lock */

/* Bytes that may be taken in all, without the lock, and those that are. */
uint64_t hd__accelerator_usable(const hd_accelerator *accelerator);
uint64_t hd__accelerator_used(hd_accelerator *accelerator);

/* What is known of it now; false, and what was known when it was opened last, when it is not open. */
bool hd__accelerator_look(hd_accelerator *accelerator, hd_plugin_state *state);

/* Opens stream `i`, unless it is open. */
HD_MUST_USE hd_status hd__device_stream_open(hd_accelerator *accelerator, uint32_t i, hd_error *err);

/* Memory of the host that a stream copies from and to, in place of what it was before; NULL: none any more. Its pages are
 * locked where that is possible, until another takes its place or the device is closed. */
void hd__device_stream_stage(hd_device_stream *stream, void *memory, size_t bytes);

/* Until the stream has done all. HD_ERR_MEMORY: the device had too little, and goes on. Any other failure: it has to be
 * renewed. */
HD_MUST_USE hd_status hd__device_stream_wait(hd_device_stream *stream, hd_error *err);

/* Operations of encoders, on hd_run.stream. */
const hd_device_ops *hd__device_accelerator(void);

#endif
