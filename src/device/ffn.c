/* ffn.c - the feed-forward (hd_ffn in device.h) out of a device's products. */
#include "device/device.h"

void hd__device_ffn(const hd_device_ops *device, const hd_kernels *kernels, hd_run *run, const hd_ffn *f)
{
    const bool converts = f->middle_act.type == K_I8;
    const hd_act *middle = converts ? &f->middle : &f->middle_act;
    const int n_blocks = (f->n_rows + f->block_rows - 1) / f->block_rows;
    for (int b = 0, row = 0, rows; b < n_blocks; b++, row += rows) {
        rows = (f->n_rows - row) / (n_blocks - b); /* even blocks */
        const hd_act in = hd__act_from(&f->act, (size_t)row);
        if (f->gate != NULL)
            device->linear(kernels, run, f->gate, NULL, &in, rows, 0, f->gate->n_pad / K_PANEL, f->activation, middle->type,
                           middle->data, middle->stride);
        device->linear(kernels, run, f->up, &f->up_change, &in, rows, 0, f->up->n_pad / K_PANEL,
                       f->gate != NULL ? K_MUL : f->activation, middle->type, middle->data, middle->stride);
        if (converts)
            device->convert(kernels, run, middle, rows, f->up->n, &f->middle_act);
        device->linear(kernels, run, f->down, &f->down_change, &f->middle_act, rows, 0, f->down->n_pad / K_PANEL,
                       f->stores ? K_STORE : K_ADD, K_F32, f->x + (size_t)row * f->x_stride, f->x_stride);
    }
}
