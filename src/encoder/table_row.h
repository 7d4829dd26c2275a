/* table_row.h - one row of a table of words: where a static model has it.
 */
#ifndef HD_ENCODER_TABLE_ROW_H
#define HD_ENCODER_TABLE_ROW_H

#include "device/device.h"
#include "model/tensors.h"

/* The i-th of a list of integers, to be a row of so many. */
HD_MUST_USE hd_status hd__table_row_mapped(const hd_tensor *mapping, int i, uint64_t n_rows, uint64_t *row, hd_error *err);

/* A row of a static model's table. model2vec's int8 ones are the numbers as they stand: their scale is gone, and with it the
 * length of the vectors. */
HD_MUST_USE hd_status hd__table_row_static(const hd_tensor *table, uint64_t row, size_t n, float *values, hd_error *err);

#endif
