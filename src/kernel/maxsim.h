/* maxsim.h - late interaction (Khattab & Zaharia 2020, "ColBERT"): the contract of the maxsim family.
 *
 *   sum over i of max over j of q[i] . d[j]
 *
 * The products of a block of queries with a block of documents' tokens are a matrix that never leaves L1: only maxima do.
 * NaN in q or d gives NaN. The result's bits depend on q, d and the level alone. Tolerance class: reduction.
 */
#ifndef HD_KERNEL_MAXSIM_H
#define HD_KERNEL_MAXSIM_H

#include "kernel/gemm.h"

typedef struct k_maxsim {
    const void *q, *d;         /* f32 or bf16: [n_q, q_stride] and [n_d, d_stride]; any alignment of the element */
    size_t q_stride, d_stride; /* elements */
    int n_q, n_d;              /* at least 1 */
    int n;                     /* values in a vector, at least 1 */
} k_maxsim;

typedef float k_maxsim_fn(const k_maxsim *maxsim);

#endif
