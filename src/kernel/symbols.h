/* symbols.h - every kernel's prototype, from kernels.inc. For the files that define kernels; all others go
 * through the table of kernels.h. */
#ifndef HD_KERNEL_SYMBOLS_H
#define HD_KERNEL_SYMBOLS_H

#include "kernel/kernels.h"

#define K(entry, type, isa, symbol) type symbol;
#include "kernel/kernels.inc"
#undef K

#endif
