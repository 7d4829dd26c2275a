/* stream.c - streams: see stream.h. */
#include "stream.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MOST_BLOCKS_Y 65535

static CUdeviceptr number_of(const void *address)
{
    return (CUdeviceptr)(uintptr_t)address;
}

/* ---- failures ---- */

void stream_fail(hd_plugin_stream *s, hd_plugin_status status, const char *why)
{
    if (s->status != HD_PLUGIN_OK)
        return;
    s->status = status;
    snprintf(s->why, sizeof s->why, "%s", why);
}

void stream_check(hd_plugin_stream *s, CUresult result, const char *what)
{
    char why[HD_PLUGIN_TEXT_BYTES];
    if (result != CUDA_SUCCESS)
        stream_fail(s, driver_failure(result, what, why), why);
}

void stream_forgive(hd_plugin_stream *s)
{
    s->status = HD_PLUGIN_OK;
    s->why[0] = '\0';
}

bool stream_starts(hd_plugin_stream *s)
{
    if (s->status == HD_PLUGIN_OK)
        stream_check(s, cuda.cuCtxSetCurrent(s->device->context), "the device's context");
    return s->status == HD_PLUGIN_OK;
}

/* What the host waits for is over even when a call before it failed. */
hd_plugin_status stream_wait(hd_plugin_stream *s, char *why)
{
    if (cuda.cuCtxSetCurrent(s->device->context) == CUDA_SUCCESS)
        stream_check(s, cuda.cuStreamSynchronize(s->stream), "the device");
    const hd_plugin_status status = s->status;
    memcpy(why, s->why, sizeof s->why);
    stream_forgive(s);
    return status;
}

/* ---- opening ---- */

hd_plugin_status stream_open(hd_plugin_device *device, hd_plugin_stream **out, char *why)
{
    hd_plugin_status status = HD_PLUGIN_OK;
    hd_plugin_stream *s = cuda.host->alloc(sizeof *s);
    if (s == NULL) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "no memory of the host");
        return HD_PLUGIN_NO_MEMORY;
    }
    *s = (hd_plugin_stream){.device = device};
    CUresult result = cuda.cuCtxSetCurrent(device->context);
    result = result == CUDA_SUCCESS ? cuda.cuStreamCreate(&s->stream, CU_STREAM_NON_BLOCKING) : result;
    status = result == CUDA_SUCCESS ? products_open(&s->products, why) : driver_failure(result, "a stream", why);
    if (status != HD_PLUGIN_OK) {
        stream_close(s);
        return status;
    }
    *out = s;
    return HD_PLUGIN_OK;
}

/* What fails here was on a device that has failed, and goes with its context. */
void stream_close(hd_plugin_stream *s)
{
    if (cuda.cuCtxSetCurrent(s->device->context) == CUDA_SUCCESS) {
        if (s->stream != NULL)
            (void)cuda.cuStreamSynchronize(s->stream);
        graphs_close(&s->graphs);
        products_close(s->products);
        if (s->stream != NULL)
            (void)cuda.cuStreamDestroy(s->stream);
    }
    cuda.host->free(s);
}

/* ---- memory and kernels ---- */

void stream_upload(hd_plugin_stream *s, void *address, const void *host, size_t bytes)
{
    if (bytes > 0 && stream_starts(s))
        stream_check(s, cuda.cuMemcpyHtoDAsync(number_of(address), host, bytes, s->stream), "an upload");
}

void stream_download(hd_plugin_stream *s, void *host, const void *address, size_t bytes)
{
    if (bytes > 0 && stream_starts(s))
        stream_check(s, cuda.cuMemcpyDtoHAsync(host, number_of(address), bytes, s->stream), "a download");
}

void stream_clear(hd_plugin_stream *s, void *address, size_t bytes)
{
    if (bytes > 0 && stream_starts(s))
        stream_check(s, cuda.cuMemsetD8Async(number_of(address), 0, bytes, s->stream), "clearing memory");
}

void stream_launch(hd_plugin_stream *s, kernel_id kernel, grid g, const void *parameters)
{
#define KERNEL_NAME(image, kernel) #kernel,
    static const char *const names[] = {CUDA_KERNELS(KERNEL_NAME)};
#undef KERNEL_NAME
    void *all[] = {(void *)(uintptr_t)parameters}; /* which the driver copies, and does not change */
    if (g.x == 0 || g.y == 0 || !stream_starts(s))
        return;
    if (g.x > INT_MAX || g.y > MOST_BLOCKS_Y) {
        char why[HD_PLUGIN_TEXT_BYTES];
        snprintf(why, sizeof why, "%s: %zu x %zu blocks are more than %d x %d", names[kernel], g.x, g.y, INT_MAX,
                 MOST_BLOCKS_Y);
        stream_fail(s, HD_PLUGIN_FAILED, why);
        return;
    }
    stream_check(s,
                 cuda.cuLaunchKernel(s->device->kernels[kernel], (unsigned)g.x, (unsigned)g.y, 1, g.threads_x, g.threads_y,
                                     1, (unsigned)g.shared_bytes, s->stream, all, NULL),
                 names[kernel]);
}
