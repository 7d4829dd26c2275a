/* rows_bf16.c - what of the rows family ends in bfloat16, with the hardware's rounding. */
#if defined(__x86_64__)

#include "kernel/rows.h"
#include "kernel/vec_avx512.h"

#define ROWS(name) k_##name##_bf16
#define ROWS_CONVERSIONS_ONLY
#include "kernel/rows_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
