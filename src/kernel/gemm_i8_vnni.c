/* gemm_i8_vnni.c - int8 products by VPDPBUSD. */
#if defined(__x86_64__)

#define GT_NAME k_gemm_i8_vnni
#include "kernel/gemm_dpbusd_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
