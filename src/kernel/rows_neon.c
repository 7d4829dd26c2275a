/* rows_neon.c - the rows family, 4 lanes. */
#if defined(__aarch64__)

#include "kernel/rows.h"
#include "kernel/vec_neon.h"

#define ROWS(name) k_##name##_neon
#include "kernel/rows_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
