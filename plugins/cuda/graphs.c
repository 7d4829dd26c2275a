/* graphs.c - see graphs.h. */
#include "graphs.h"

#include <stdio.h>
#include <string.h>

#include "stream.h"

static void clear(recorded_pass *pass)
{
    if (pass->launch != NULL)
        (void)cuda.cuGraphExecDestroy(pass->launch);
    *pass = (recorded_pass){0};
}

void graphs_close(graphs *g)
{
    for (size_t i = 0; i < N_GRAPHS; i++)
        clear(&g->passes[i]);
}

/* The key's; NULL: there is none. */
static recorded_pass *find(graphs *g, const hd_plugin_key *key)
{
    for (size_t i = 0; i < N_GRAPHS; i++) {
        if (g->passes[i].used_at != 0 && memcmp(&g->passes[i].key, key, sizeof *key) == 0)
            return &g->passes[i];
    }
    return NULL;
}

/* An empty place, or that of the one used longest ago. */
static recorded_pass *oldest(graphs *g)
{
    recorded_pass *pass = &g->passes[0];
    for (size_t i = 1; i < N_GRAPHS; i++)
        pass = g->passes[i].used_at < pass->used_at ? &g->passes[i] : pass;
    return pass;
}

static bool was_seen(const graphs *g, const hd_plugin_key *key)
{
    for (size_t i = 0; i < N_SEEN && i < g->n_seen; i++) {
        if (memcmp(&g->seen[i], key, sizeof *key) == 0)
            return true;
    }
    return false;
}

static void turn_off(hd_plugin_stream *s, const char *why)
{
    char line[HD_PLUGIN_TEXT_BYTES + 64];
    graphs_close(&s->graphs);
    s->graphs.is_off = true;
    snprintf(line, sizeof line, "%s: graphs are not used any more: %s", s->device->name, why);
    cuda.host->log(true, line);
}

bool graphs_spoil(graphs *g)
{
    g->is_spoiled = g->is_recording;
    return g->is_recording;
}

bool graphs_replay(hd_plugin_stream *s, const hd_plugin_key *key)
{
    graphs *g = &s->graphs;
    if (g->is_off || !stream_starts(s))
        return false;
    recorded_pass *pass = find(g, key);
    if (pass != NULL) {
        pass->used_at = ++g->now;
        stream_check(s, cuda.cuGraphLaunch(pass->launch, s->stream), "a graph");
        return true;
    }
    if (!was_seen(g, key)) {
        g->seen[g->n_seen++ % N_SEEN] = *key;
        return false;
    }
    /* Other threads go on allocating and waiting meanwhile: the capture forbids that to this one alone. */
    const CUresult result = cuda.cuStreamBeginCapture(s->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (result == CUDA_SUCCESS) {
        g->recording = *key;
        g->is_recording = true;
        g->is_spoiled = false;
    } else {
        char why[HD_PLUGIN_TEXT_BYTES];
        driver_failure(result, "a capture", why);
        turn_off(s, why);
    }
    return false;
}

/* What was captured since the capture began, as something that can be launched, and launched; NULL after a failure, or when
 * it is not to be kept. */
static CUgraphExec end_capture(hd_plugin_stream *s)
{
    CUgraph graph = NULL;
    CUgraphExec launch = NULL;
    const CUresult ended = cuda.cuStreamEndCapture(s->stream, &graph);
    stream_check(s, ended, "the end of a capture"); /* unless a call within has failed */
    const bool is_kept = s->status == HD_PLUGIN_OK && !s->graphs.is_spoiled;
    if (is_kept)
        stream_check(s, cuda.cuGraphInstantiate(&launch, graph, 0), "a graph");
    if (ended == CUDA_SUCCESS)
        (void)cuda.cuGraphDestroy(graph);
    if (!is_kept || s->status != HD_PLUGIN_OK)
        return NULL;
    stream_check(s, cuda.cuGraphLaunch(launch, s->stream), "a graph's first launch");
    return launch;
}

bool graphs_recorded(hd_plugin_stream *s)
{
    graphs *g = &s->graphs;
    if (!g->is_recording)
        return true;
    g->is_recording = false;
    CUgraphExec launch = end_capture(s);
    if (launch != NULL) {
        recorded_pass *pass = oldest(g);
        clear(pass);
        *pass = (recorded_pass){.key = g->recording, .used_at = ++g->now, .launch = launch};
    }
    if (s->status == HD_PLUGIN_OK)
        return !g->is_spoiled;
    turn_off(s, s->why);
    stream_forgive(s); /* what is wrong with the device, if anything is, the calls will find again */
    return false;
}
