/* cuda_sim.h - a simulated GPU for tests of plugins/cuda: libcuda.so.1, libcublasLt.so.13 and libnvidia-ml.so.1, written
 * against NVIDIA's manuals, which run the plugin's own kernels on this machine (grid.h) and find their mistakes (access.h).
 * Programs find them through LD_LIBRARY_PATH, as they would find NVIDIA's.
 *
 * As on a GPU, nothing that is called on a stream happens before it is waited for: uploads read the host's memory then. An
 * error other than a lack of memory is its context's end: every later call in it returns the same. What is called on a
 * stream that is captured is kept for a graph; calls that the manual forbids meanwhile spoil the capture, and so, here, does
 * a copy.
 *
 * It says nothing of speed, of registers, of cuBLASLt's own demands beyond those that its manual names, or of what happens
 * between two instructions of a GPU.
 *
 * From the environment, when the library is first used:
 *
 *   CUDA_SIM_DEVICES   how many there are; 1. It is looked at again whenever devices are counted
 *   CUDA_SIM_MEMORY    bytes of each; 1 GiB
 *   CUDA_SIM_DRIVER    13000 is CUDA 13.0; as libraries.c needs
 *   CUDA_SIM_CAPABILITY  75 is sm_75; 90
 *   CUDA_SIM_ORDER     of threads: "ascending", "descending", or a seed; see sim_grid_order
 *   CUDA_SIM_PRODUCTS  what cuBLASLt has: "all" of what its manual allows, "aligned" operands (16 bytes) alone, or "none"
 */
#ifndef CUDA_SIM_H
#define CUDA_SIM_H

#include <stdint.h>

/* In place of a function's name: all that put something on a stream. */
#define CUDA_SIM_ANY_OPERATION "operations"

/* The n-th call from now on of a function, "cuMemAlloc", and then each period-th one (0: no other), returns the result, a
 * CUresult or a cublasStatus_t. After one that ends the context, n_opens attempts to make another fail alike. */
typedef struct cuda_sim_orders {
    const char *call; /* NULL: nothing fails; lives as long as the orders */
    int result;
    uint64_t at, period;
    uint32_t n_opens;
} cuda_sim_orders;

typedef struct cuda_sim_counts {
    uint64_t n_failures;             /* that were ordered */
    uint64_t n_contexts;             /* that there are now */
    uint64_t n_allocated, n_streams; /* of those */
    uint64_t n_graphs, n_pinned;     /* graphs, to be launched or not, and ranges of the host's memory, of those */
    uint64_t n_launches, n_products; /* that ran, since the process began */
    uint64_t n_graph_launches;
} cuda_sim_counts;

/* libcuda.so.1 exports it. orders NULL: as they were; counts NULL: not asked for. */
typedef void cuda_sim_control_fn(const cuda_sim_orders *orders, cuda_sim_counts *counts);
cuda_sim_control_fn cuda_sim_control;

#endif
