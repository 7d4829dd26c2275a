/* driver.h - what libcuda.so.1 of the simulated device does for libcublasLt.so.13 beside it, and exports for it. */
#ifndef CUDA_SIM_DRIVER_H
#define CUDA_SIM_DRIVER_H

#include "cuda.h"

#define SIM_EXPORT __attribute__((visibility("default")))

/* What is ordered of a call, or 0, which is success everywhere. */
SIM_EXPORT int sim_ordered(const char *call);

/* Calls later, when the stream is waited for, with a copy of data. False: it is not of the current context. */
SIM_EXPORT int sim_stream_add(CUstream stream, void (*run)(const void *data), const void *data, size_t bytes);

SIM_EXPORT CUcontext sim_current_context(void);
SIM_EXPORT int sim_is_capturing(void); /* whether a stream of the current context is captured, by whomever */
SIM_EXPORT void sim_count_product(void);
SIM_EXPORT int sim_capability(void); /* 89: compute capability 8.9 */

#endif
