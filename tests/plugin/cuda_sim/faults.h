/* faults.h - kernels that are wrong, each in one way, for faults_test.c. */
#ifndef CUDA_SIM_FAULTS_H
#define CUDA_SIM_FAULTS_H

#include <stddef.h>

#define FAULT_KERNELS(X)                                                                                                    \
    X(faults, k_right)                                                                                                      \
    X(faults, k_reads_too_early)                                                                                            \
    X(faults, k_writes_too_early)                                                                                           \
    X(faults, k_leaves_before_barrier)                                                                                      \
    X(faults, k_leaves_before_exchange)                                                                                     \
    X(faults, k_reads_behind)                                                                                               \
    X(faults, k_reads_shared_behind)                                                                                        \
    X(faults, k_reads_unwritten)                                                                                            \
    X(faults, k_reads_unwritten_shared)                                                                                     \
    X(faults, k_reads_other_block)                                                                                          \
    X(faults, k_reads_misaligned)                                                                                           \
    X(faults, k_reads_host)

enum { FAULT_THREADS = 64 };

/* Two blocks of FAULT_THREADS, as many floats of dynamic shared memory. */
typedef struct fault_parameters {
    float *values;     /* [2 * FAULT_THREADS], written; after them there is nothing */
    float *unwritten;  /* the same, not written */
    const float *host; /* memory of the host's */
} fault_parameters;

#endif
