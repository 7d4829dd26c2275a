/* maxsim_avx2.c - maxsim in f32 on 8 lanes. */
#if defined(__x86_64__)

#include "kernel/maxsim.h"
#include "kernel/vec_avx2.h"

k_maxsim_fn k_maxsim_f32_avx2, k_maxsim_bf16_avx2;

#define MS_SUFFIX avx2
#include "kernel/maxsim_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
