/* rows_avx2.c - the rows family, 8 lanes. */
#if defined(__x86_64__)

#include "kernel/rows.h"
#include "kernel/vec_avx2.h"

#define ROWS(name) k_##name##_avx2
#include "kernel/rows_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
