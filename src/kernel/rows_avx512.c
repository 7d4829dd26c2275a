/* rows_avx512.c - the rows family, 16 lanes. */
#if defined(__x86_64__)

#include "kernel/rows.h"
#include "kernel/vec_avx512.h"

#define ROWS(name) k_##name##_avx512
#include "kernel/rows_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
