/* libraries.h - what the plugin stands on, opened at run time, so that it can say what is missing: NVIDIA's driver
 * (libcuda), its library of products (cuBLASLt), and its management library (NVML), which only tells how a device feels and
 * may be missing. The CUDA runtime is not needed. Functions are called through the table: cuda.cuMemAlloc(..).
 *
 * Sources: CUDA Driver API, cuBLAS and NVML reference manuals, 13.0. NVML's header is in none of the toolkit's parts that
 * the build fetches; the few declarations needed are here.
 */
#ifndef HD_CUDA_LIBRARIES_H
#define HD_CUDA_LIBRARIES_H

#include <cublasLt.h>
#include <cuda.h>

#include "heddle/plugin.h"

#define DRIVER_FUNCTIONS(X)                                                                                                 \
    X(cuInit)                                                                                                               \
    X(cuDriverGetVersion)                                                                                                   \
    X(cuGetErrorString)                                                                                                     \
    X(cuDeviceGetCount)                                                                                                     \
    X(cuDeviceGet)                                                                                                          \
    X(cuDeviceGetName)                                                                                                      \
    X(cuDeviceGetAttribute)                                                                                                 \
    X(cuDeviceGetPCIBusId)                                                                                                  \
    X(cuCtxCreate)                                                                                                          \
    X(cuCtxDestroy)                                                                                                         \
    X(cuCtxSetCurrent)                                                                                                      \
    X(cuModuleLoadData)                                                                                                     \
    X(cuModuleGetFunction)                                                                                                  \
    X(cuFuncSetAttribute)                                                                                                   \
    X(cuMemGetInfo)                                                                                                         \
    X(cuMemAlloc)                                                                                                           \
    X(cuMemFree)                                                                                                            \
    X(cuMemHostRegister)                                                                                                    \
    X(cuMemHostUnregister)                                                                                                  \
    X(cuMemcpyHtoDAsync)                                                                                                    \
    X(cuMemcpyDtoHAsync)                                                                                                    \
    X(cuMemsetD8Async)                                                                                                      \
    X(cuStreamCreate)                                                                                                       \
    X(cuStreamDestroy)                                                                                                      \
    X(cuStreamSynchronize)                                                                                                  \
    X(cuStreamBeginCapture)                                                                                                 \
    X(cuStreamEndCapture)                                                                                                   \
    X(cuGraphInstantiate)                                                                                                   \
    X(cuGraphDestroy)                                                                                                       \
    X(cuGraphLaunch)                                                                                                        \
    X(cuGraphExecDestroy)                                                                                                   \
    X(cuLaunchKernel)

#define PRODUCT_FUNCTIONS(X)                                                                                                \
    X(cublasLtCreate)                                                                                                       \
    X(cublasLtDestroy)                                                                                                      \
    X(cublasLtMatmulDescCreate)                                                                                             \
    X(cublasLtMatmulDescDestroy)                                                                                            \
    X(cublasLtMatmulDescSetAttribute)                                                                                       \
    X(cublasLtMatrixLayoutCreate)                                                                                           \
    X(cublasLtMatrixLayoutDestroy)                                                                                          \
    X(cublasLtMatrixLayoutSetAttribute)                                                                                     \
    X(cublasLtMatmulPreferenceCreate)                                                                                       \
    X(cublasLtMatmulPreferenceDestroy)                                                                                      \
    X(cublasLtMatmulPreferenceSetAttribute)                                                                                 \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                                       \
    X(cublasLtMatmul)

typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct nvmlUtilization_t {
    unsigned gpu, memory; /* percent */
} nvmlUtilization_t;

enum { NVML_SUCCESS = 0, NVML_TEMPERATURE_GPU = 0, NVML_CLOCK_SM = 1 };

int nvmlInit_v2(void);
int nvmlSystemGetDriverVersion(char *version, unsigned bytes);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device);
int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilisation);
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *celsius);
int nvmlDeviceGetClockInfo(nvmlDevice_t device, int clock, unsigned *mhz);

#define MANAGEMENT_FUNCTIONS(X)                                                                                             \
    X(nvmlInit_v2)                                                                                                          \
    X(nvmlSystemGetDriverVersion)                                                                                           \
    X(nvmlDeviceGetHandleByPciBusId_v2)                                                                                     \
    X(nvmlDeviceGetUtilizationRates)                                                                                        \
    X(nvmlDeviceGetTemperature)                                                                                             \
    X(nvmlDeviceGetClockInfo)

#define FIELD(name) __typeof__(name) *name;
typedef struct libraries {
    const hd_plugin_host *host;
    bool has_nvml;
    int driver_version; /* of CUDA: 13000 is 13.0 */
    DRIVER_FUNCTIONS(FIELD)
    PRODUCT_FUNCTIONS(FIELD)
    MANAGEMENT_FUNCTIONS(FIELD)
} libraries;
#undef FIELD

/* Written by libraries_open alone, before anything else is called. */
extern libraries cuda;

/* Opens what is not open yet; false, and one line in `why`, when the driver or cuBLASLt is missing or too old. Not for two
 * threads at once. */
bool libraries_open(const hd_plugin_host *host, char why[HD_PLUGIN_TEXT_BYTES]);

/* A failure of the driver's as the plugin's, and one line about it: "what: the driver's words (its number)". */
hd_plugin_status driver_failure(CUresult result, const char *what, char why[HD_PLUGIN_TEXT_BYTES]);

#endif
