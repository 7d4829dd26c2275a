/* merge.h - a low-rank adapter for the whole model (model/peft.h) on its way into the weights: rows of W + scale B A, or of
 * a table's W + scale (B A)^T, from rows of W, in f32. Rows are added by a product of the gemm family, whatever a row's
 * neighbours are; any number of threads may add to rows of their own.
 */
#ifndef HD_ENCODER_MERGE_H
#define HD_ENCODER_MERGE_H

#include "device/device.h"
#include "model/peft.h"

/* What is added to a W of so many values in a row. */
typedef struct hd_merge {
    size_t rank, k;
    float *left;     /* [rows, rank] scale B, or of a table scale A^T; NULL: nothing is added */
    float *panels;   /* A, or of a table B^T, packed for products of MERGE_RANK inputs each (merge.c) */
    k_gemm_fn *gemm; /* f32 */
} hd_merge;

/* What the adapter (NULL: none) has for a module with W [rows, k]. To be ended, also after a failure. */
HD_MUST_USE hd_status hd__merge_begin(const hd_peft *peft, const char *module, bool is_table, size_t rows, size_t k,
                                      hd_merge *merge, hd_error *err);

/* Adds to rows [first, first + n) of W. */
void hd__merge_rows(const hd_merge *merge, size_t first, size_t n, float *rows /* [n, k] */);
void hd__merge_end(hd_merge *merge);

#endif
