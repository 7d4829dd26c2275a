/* cpu_rows.h - the CPU's operations on rows between and behind the layers: what hd_device_ops says of each (device.h). */
#ifndef HD_DEVICE_CPU_ROWS_H
#define HD_DEVICE_CPU_ROWS_H

#include "device/device.h"

void hd__cpu_change_rows(const hd_kernels *kernels, hd_run *run, const hd_table_adapter *adapter, int task,
                         const int32_t *ids, int n_rows, int n, float *x, size_t stride);
void hd__cpu_pick(const hd_kernels *kernels, hd_run *run, const hd_pick *pick);
void hd__cpu_copy(const hd_kernels *kernels, hd_run *run, const hd_copy *copy);
void hd__cpu_pool(const hd_kernels *kernels, hd_run *run, const hd_pool *pool);
void hd__cpu_unit(const hd_kernels *kernels, hd_run *run, const float *from, size_t from_stride, int n_rows, int n,
                  float *to, size_t to_stride);
void hd__cpu_collect(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *pool);
void hd__cpu_weigh(const hd_kernels *kernels, hd_run *run, const hd_vocab_pool *pool);

#endif
