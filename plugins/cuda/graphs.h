/* graphs.h - passes that a stream has seen before, as graphs: all their kernels are launched by one call, which costs about
 * as much as one kernel's. A key that is seen for the second time is captured, so that texts of lengths that do not come
 * back cost nothing, and drive no graph out; the first time has loaded all code that is needed, which cannot be done during
 * a capture. When there is no room, the one that was used longest ago goes.
 *
 * After a failure of a capture, of making a graph or of its first launch, the stream has none any more: its passes are
 * launched kernel by kernel. A capture in which something has to be asked first is dropped, and tried again with the next
 * pass of its key.
 *
 * Source: CUDA Driver API reference manual 13.0, "Graph Management", and the programming guide's "Stream Capture".
 */
#ifndef HD_CUDA_GRAPHS_H
#define HD_CUDA_GRAPHS_H

#include <cuda.h>

#include "heddle/plugin.h"

#define N_GRAPHS 64
#define N_SEEN 256

typedef struct recorded_pass {
    hd_plugin_key key;
    uint64_t used_at; /* 0: nothing is here */
    CUgraphExec launch;
} recorded_pass;

typedef struct graphs {
    recorded_pass passes[N_GRAPHS];
    hd_plugin_key seen[N_SEEN]; /* the keys last seen without a graph: number i at i % N_SEEN */
    uint64_t n_seen;
    uint64_t now; /* counts launches */
    hd_plugin_key recording;
    bool is_recording, is_spoiled, is_off;
} graphs;

void graphs_close(graphs *g);

/* Whether a pass is being captured: if so, what was captured is not kept. */
bool graphs_spoil(graphs *g);

/* hd_plugin's replay and recorded. */
bool graphs_replay(hd_plugin_stream *s, const hd_plugin_key *key);
bool graphs_recorded(hd_plugin_stream *s);

#endif
