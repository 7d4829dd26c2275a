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

/* The key's, or, when there is none, the one that was used longest ago. */
static recorded_pass *find(graphs *g, const hd_plugin_key *key)
{
    recorded_pass *oldest = &g->passes[0];
    for (size_t i = 0; i < N_GRAPHS; i++) {
        recorded_pass *pass = &g->passes[i];
        if (pass->used_at != 0 && memcmp(&pass->key, key, sizeof *key) == 0)
            return pass;
        oldest = pass->used_at < oldest->used_at ? pass : oldest;
    }
    return oldest;
}

static void turn_off(hd_plugin_stream *s, const char *why)
{
    char line[HD_PLUGIN_TEXT_BYTES + 64];
    graphs_close(&s->graphs);
    s->graphs.is_off = true;
    snprintf(line, sizeof line, "%s: graphs are not used any more: %s", s->device->name, why);
    cuda.host->log(true, line);
}

bool graphs_replay(hd_plugin_stream *s, const hd_plugin_key *key)
{
    graphs *g = &s->graphs;
    if (g->is_off || !stream_starts(s))
        return false;
    recorded_pass *pass = find(g, key);
    if (pass->used_at == 0 || memcmp(&pass->key, key, sizeof *key) != 0) {
        clear(pass);
        *pass = (recorded_pass){.key = *key, .used_at = ++g->now};
        return false;
    }
    pass->used_at = ++g->now;
    if (pass->launch != NULL) {
        stream_check(s, cuda.cuGraphLaunch(pass->launch, s->stream), "a graph");
        return true;
    }
    /* Other threads go on allocating and waiting meanwhile: the capture forbids that to this one alone. */
    const CUresult result = cuda.cuStreamBeginCapture(s->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (result == CUDA_SUCCESS) {
        g->recording = pass;
    } else {
        char why[HD_PLUGIN_TEXT_BYTES];
        driver_failure(result, "a capture", why);
        turn_off(s, why);
    }
    return false;
}

/* What was captured since the capture began, as something that can be launched, and launched. */
static void end_capture(hd_plugin_stream *s, recorded_pass *pass)
{
    CUgraph graph = NULL;
    const CUresult ended = cuda.cuStreamEndCapture(s->stream, &graph);
    stream_check(s, ended, "the end of a capture"); /* unless a call within has failed */
    if (s->status == HD_PLUGIN_OK)
        stream_check(s, cuda.cuGraphInstantiate(&pass->launch, graph, 0), "a graph");
    if (ended == CUDA_SUCCESS)
        (void)cuda.cuGraphDestroy(graph);
    if (s->status == HD_PLUGIN_OK)
        stream_check(s, cuda.cuGraphLaunch(pass->launch, s->stream), "a graph's first launch");
    else
        pass->launch = NULL;
}

bool graphs_recorded(hd_plugin_stream *s)
{
    graphs *g = &s->graphs;
    recorded_pass *pass = g->recording;
    if (pass == NULL)
        return true;
    g->recording = NULL;
    end_capture(s, pass);
    if (s->status == HD_PLUGIN_OK)
        return true;
    turn_off(s, s->why);
    stream_forgive(s); /* what is wrong with the device, if anything is, the calls will find again */
    return false;
}
