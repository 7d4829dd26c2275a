/* host_plugin.h - a device plugin on the host's own memory, in plain loops that sum in double, for tests: what a device
 * does, as slowly and as plainly as can be, and every way in which one fails, on command.
 *
 * Its addresses are none of the host's: who reads behind one without asking the plugin ends with a fault. New memory is full
 * of NaNs.
 *
 * Commands come from the environment, once, and after that from host_plugin_control, which the library exports:
 *
 *   HOST_PLUGIN_BEGIN    "missing" (a driver is), "none" (no device), "version", "size": how hd_plugin_begin disappoints
 *   HOST_PLUGIN_DEVICES  how many there are; 1
 *   HOST_PLUGIN_MEMORY   bytes of each; 1 GiB
 *   HOST_PLUGIN_FAIL     "<how>:<n>:<period>:<n_opens>": operation n, and then each period-th one (0: no other), fails as
 *                        "memory", "failed" or "lost"; after "failed" and "lost" n_opens attempts to open it fail, too
 */
#ifndef HOST_PLUGIN_H
#define HOST_PLUGIN_H

#include "heddle/plugin.h"

typedef struct host_plugin_orders {
    hd_plugin_status fails; /* HD_PLUGIN_OK: nothing does */
    uint64_t at, period;    /* operations from now on, the first is 1 */
    uint32_t n_opens;
    uint64_t memory_bytes;
    uint32_t n_together; /* nobody's wait ends before so many streams had something to do at once, but for ten seconds */
    uint32_t n_lost;     /* so many passes are recorded and not done */
    bool pins_nothing;
} host_plugin_orders;

typedef struct host_plugin_counts {
    uint64_t n_operations, n_failures, n_opens, n_allocated, allocated_bytes;
    uint32_t n_streams; /* that there are now */
    uint32_t n_working; /* of those: since they were last waited for something was called on them */
    uint32_t most_working;
    uint32_t n_pinned; /* ranges of the host's memory that are now */
    uint64_t n_pins;
} host_plugin_counts;

/* orders NULL: as they were. */
typedef void host_plugin_control_fn(const host_plugin_orders *orders, host_plugin_counts *counts);

#endif
