/* stream.h - devices, streams and what is called on them: the first failure is kept, and nothing is done after it.
 *
 * A device is a context of its own, not the process's primary one: closing it frees all that it had, and a device whose
 * context a fault has spoiled is as new when it is opened again.
 */
#ifndef HD_CUDA_STREAM_H
#define HD_CUDA_STREAM_H

#include "graphs.h"
#include "kernels.h"
#include "libraries.h"
#include "products.h"

#define KERNEL_ID(image, kernel) ID_##kernel,
typedef enum kernel_id { CUDA_KERNELS(KERNEL_ID) N_KERNELS } kernel_id;
#undef KERNEL_ID

struct hd_plugin_device {
    CUdevice device;
    CUcontext context;
    CUfunction kernels[N_KERNELS];
    nvmlDevice_t management; /* NULL: not known */
    bool has_tensor_cores;   /* for attention */
    bool has_f8;
    char name[64], driver[64];
};

struct hd_plugin_stream {
    hd_plugin_device *device;
    CUstream stream;
    products *products;
    graphs graphs;
    hd_plugin_status status;
    char why[HD_PLUGIN_TEXT_BYTES];
};

hd_plugin_status device_open(uint32_t index, hd_plugin_device **out, char *why);
void device_close(hd_plugin_device *device);
void device_look(hd_plugin_device *device, hd_plugin_state *state);
hd_plugin_status device_alloc(hd_plugin_device *device, size_t bytes, void **address, char *why);
void device_free(hd_plugin_device *device, void *address);
bool device_pin(hd_plugin_device *device, void *host, size_t bytes);
void device_unpin(hd_plugin_device *device, void *host);

hd_plugin_status stream_open(hd_plugin_device *device, hd_plugin_stream **out, char *why);
void stream_close(hd_plugin_stream *s);
hd_plugin_status stream_wait(hd_plugin_stream *s, char *why);
void stream_upload(hd_plugin_stream *s, void *address, const void *host, size_t bytes);
void stream_download(hd_plugin_stream *s, void *host, const void *address, size_t bytes);
void stream_clear(hd_plugin_stream *s, void *address, size_t bytes);

/* Before every operation: whether it is to be done. The device's context is then this thread's. */
bool stream_starts(hd_plugin_stream *s);

/* Keeps the first failure; forgets it. */
void stream_check(hd_plugin_stream *s, CUresult result, const char *what);
void stream_forgive(hd_plugin_stream *s);
void stream_fail(hd_plugin_stream *s, hd_plugin_status status, const char *why);

/* How many blocks of how many threads; y counts columns' blocks, of which there are at most 65,535. */
typedef struct grid {
    size_t x, y;
    unsigned threads_x, threads_y;
    size_t shared_bytes;
} grid;

/* Calls a kernel with its one struct. Grids without a block are nothing to do. */
void stream_launch(hd_plugin_stream *s, kernel_id kernel, grid g, const void *parameters);

#endif
