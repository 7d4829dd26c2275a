/* graphs.h - passes that a stream has seen before, as graphs: all their kernels are launched by one call, which costs about
 * as much as one kernel's. A key that is seen for the second time is captured, so that texts of lengths that do not come
 * back cost nothing; the first time has loaded all code that is needed, which cannot be done during a capture. When there is
 * no room, the one that was used longest ago goes.
 *
 * After a failure of a capture, of making a graph or of its first launch, the stream has none any more: its passes are
 * launched kernel by kernel.
 *
 * Source: CUDA Driver API reference manual 13.0, "Graph Management", and the programming guide's "Stream Capture".
 */
#ifndef HD_CUDA_GRAPHS_H
#define HD_CUDA_GRAPHS_H

#include <cuda.h>

#include "heddle/plugin.h"

#define N_GRAPHS 64

typedef struct recorded_pass {
    hd_plugin_key key;
    uint64_t used_at;   /* 0: nothing is here */
    CUgraphExec launch; /* NULL: seen, and not captured */
} recorded_pass;

typedef struct graphs {
    recorded_pass passes[N_GRAPHS];
    uint64_t now;             /* counts passes */
    recorded_pass *recording; /* NULL: none */
    bool is_off;
} graphs;

void graphs_close(graphs *g);

/* hd_plugin's replay and recorded. */
bool graphs_replay(hd_plugin_stream *s, const hd_plugin_key *key);
bool graphs_recorded(hd_plugin_stream *s);

#endif
