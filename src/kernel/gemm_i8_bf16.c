/* gemm_i8_bf16.c - int8 products by VPDPBUSD where the hardware rounds to bfloat16: nine operations less for each vector
 * of queries, keys and values. */
#if defined(__x86_64__)

#define GT_NAME k_gemm_i8_bf16
#include "kernel/gemm_dpbusd_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
