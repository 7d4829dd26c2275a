/* device.c - devices and their memory: see stream.h. Kernels come in fat binaries that are part of this library
 * (images.S): the driver takes the code for its device's architecture, or translates the newest PTX.
 */
#include "stream.h"

#include <stdio.h>
#include <string.h>

#define LEAST_MAJOR 7 /* compute capability 7.5: the oldest that the 13.0 compiler writes for */
#define LEAST_MINOR 5
#define TENSOR_CORES_MAJOR 8 /* those that tensor_cores.h is for */
#define LEAST_F8 89          /* compute capability 8.9: the oldest that multiplies E4M3 */

extern const char image_rows[], image_product[], image_attention[], image_tensor_attention[], image_heads[];

/* ---- kernels ---- */

typedef enum image_id { IMAGE_rows, IMAGE_product, IMAGE_attention, IMAGE_tensor_attention, IMAGE_heads, N_IMAGES } image_id;

static CUresult load_kernels(hd_plugin_device *d)
{
#define KERNEL(image, kernel) {IMAGE_##image, #kernel},
    static const struct {
        image_id image;
        const char *name;
    } kernels[] = {CUDA_KERNELS(KERNEL)};
#undef KERNEL
    const char *const images[N_IMAGES] = {[IMAGE_rows] = image_rows,
                                          [IMAGE_product] = image_product,
                                          [IMAGE_attention] = image_attention,
                                          [IMAGE_tensor_attention] = image_tensor_attention,
                                          [IMAGE_heads] = image_heads};
    CUmodule modules[N_IMAGES]; /* which go with the context */
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < N_IMAGES && result == CUDA_SUCCESS; i++)
        result = cuda.cuModuleLoadData(&modules[i], images[i]);
    for (size_t i = 0; i < N_KERNELS && result == CUDA_SUCCESS; i++)
        result = cuda.cuModuleGetFunction(&d->kernels[i], modules[kernels[i].image], kernels[i].name);
    for (int i = ID_k_attention_f32; i <= ID_k_attention_f16 && result == CUDA_SUCCESS; i++)
        result = cuda.cuFuncSetAttribute(d->kernels[i], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                         (int)ATTENTION_SHARED_BYTES(MOST_HEAD_DIM));
    return result;
}

/* ---- opening ---- */

static void name_driver(hd_plugin_device *d)
{
    char version[32] = "";
    const int major = cuda.driver_version / 1000, minor = cuda.driver_version % 1000 / 10;
    if (cuda.has_nvml && cuda.nvmlSystemGetDriverVersion(version, sizeof version) == NVML_SUCCESS)
        snprintf(d->driver, sizeof d->driver, "driver %.31s, CUDA %d.%d", version, major, minor);
    else
        snprintf(d->driver, sizeof d->driver, "CUDA %d.%d", major, minor);
}

/* NVML numbers devices otherwise than the driver does: the bus is what both know. */
static void find_management(hd_plugin_device *d)
{
    char bus_id[32];
    if (!cuda.has_nvml || cuda.cuDeviceGetPCIBusId(bus_id, (int)sizeof bus_id, d->device) != CUDA_SUCCESS ||
        cuda.nvmlDeviceGetHandleByPciBusId_v2(bus_id, &d->management) != NVML_SUCCESS)
        d->management = NULL;
}

static hd_plugin_status open_device(hd_plugin_device *d, uint32_t index, char *why)
{
    int major = 0, minor = 0;
    CUresult result = cuda.cuDeviceGet(&d->device, (int)index);
    if (result == CUDA_SUCCESS)
        result = cuda.cuDeviceGetName(d->name, (int)sizeof d->name, d->device);
    if (result == CUDA_SUCCESS)
        result = cuda.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d->device);
    if (result == CUDA_SUCCESS)
        result = cuda.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d->device);
    if (result != CUDA_SUCCESS)
        return driver_failure(result, "a device", why);
    if (major * 10 + minor < LEAST_MAJOR * 10 + LEAST_MINOR) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "%s has compute capability %d.%d, %d.%d is needed", d->name, major, minor,
                 LEAST_MAJOR, LEAST_MINOR);
        return HD_PLUGIN_NO_DEVICE;
    }
    d->has_tensor_cores = major >= TENSOR_CORES_MAJOR;
    d->has_f8 = major * 10 + minor >= LEAST_F8;
    result = cuda.cuCtxCreate(&d->context, NULL, CU_CTX_SCHED_BLOCKING_SYNC, d->device);
    if (result != CUDA_SUCCESS) {
        d->context = NULL;
        return driver_failure(result, "a context", why);
    }
    result = load_kernels(d);
    return result == CUDA_SUCCESS ? HD_PLUGIN_OK : driver_failure(result, "the plugin's kernels", why);
}

hd_plugin_status device_open(uint32_t index, hd_plugin_device **out, char *why)
{
    hd_plugin_device *d = cuda.host->alloc(sizeof *d);
    if (d == NULL) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "no memory of the host");
        return HD_PLUGIN_NO_MEMORY;
    }
    *d = (hd_plugin_device){0};
    const hd_plugin_status status = open_device(d, index, why);
    if (status != HD_PLUGIN_OK) {
        device_close(d);
        return status;
    }
    name_driver(d);
    find_management(d);
    *out = d;
    return HD_PLUGIN_OK;
}

void device_close(hd_plugin_device *d)
{
    if (d->context != NULL)
        (void)cuda.cuCtxDestroy(d->context); /* of a device that is lost, it fails, and there is nothing more to do */
    cuda.host->free(d);
}

void device_look(hd_plugin_device *d, hd_plugin_state *state)
{
    size_t free_bytes = 0, bytes = 0;
    nvmlUtilization_t utilisation;
    unsigned value;
    *state = (hd_plugin_state){
        .stream_bytes = PRODUCTS_BYTES,
        .types = 1u << HD_PLUGIN_F32 | 1u << HD_PLUGIN_BF16 | 1u << HD_PLUGIN_I8 | 1u << HD_PLUGIN_F16 |
                 (d->has_f8 ? 1u << HD_PLUGIN_F8 : 0),
        .utilisation_percent = -1,
        .temperature_c = -1,
        .clock_mhz = -1,
    };
    memcpy(state->name, d->name, sizeof state->name);
    memcpy(state->driver, d->driver, sizeof state->driver);
    if (cuda.cuCtxSetCurrent(d->context) == CUDA_SUCCESS && cuda.cuMemGetInfo(&free_bytes, &bytes) == CUDA_SUCCESS) {
        state->memory_bytes = bytes;
        state->free_bytes = free_bytes;
    }
    if (d->management == NULL)
        return;
    if (cuda.nvmlDeviceGetUtilizationRates(d->management, &utilisation) == NVML_SUCCESS)
        state->utilisation_percent = (int32_t)utilisation.gpu;
    if (cuda.nvmlDeviceGetTemperature(d->management, NVML_TEMPERATURE_GPU, &value) == NVML_SUCCESS)
        state->temperature_c = (int32_t)value;
    if (cuda.nvmlDeviceGetClockInfo(d->management, NVML_CLOCK_SM, &value) == NVML_SUCCESS)
        state->clock_mhz = (int32_t)value;
}

/* ---- memory ---- */

hd_plugin_status device_alloc(hd_plugin_device *d, size_t bytes, void **address, char *why)
{
    CUdeviceptr got = 0;
    CUresult result = cuda.cuCtxSetCurrent(d->context);
    if (result == CUDA_SUCCESS)
        result = cuda.cuMemAlloc(&got, bytes > 0 ? bytes : 1); /* at a multiple of 256 at least */
    if (result != CUDA_SUCCESS) {
        char what[64];
        snprintf(what, sizeof what, "%zu bytes", bytes);
        return driver_failure(result, what, why);
    }
    *address = (void *)(uintptr_t)got;
    return HD_PLUGIN_OK;
}

/* What cannot be freed goes with the context. */
void device_free(hd_plugin_device *d, void *address)
{
    if (cuda.cuCtxSetCurrent(d->context) == CUDA_SUCCESS)
        (void)cuda.cuMemFree((CUdeviceptr)(uintptr_t)address);
}

bool device_pin(hd_plugin_device *d, void *host, size_t bytes)
{
    return cuda.cuCtxSetCurrent(d->context) == CUDA_SUCCESS && cuda.cuMemHostRegister(host, bytes, 0) == CUDA_SUCCESS;
}

void device_unpin(hd_plugin_device *d, void *host)
{
    if (cuda.cuCtxSetCurrent(d->context) == CUDA_SUCCESS)
        (void)cuda.cuMemHostUnregister(host);
}
