/* maxsim_avx512.c - maxsim in f32 on 16 lanes. */
#if defined(__x86_64__)

#include "kernel/maxsim.h"
#include "kernel/vec_avx512.h"

k_maxsim_fn k_maxsim_f32_avx512, k_maxsim_bf16_avx512;

#define MS_SUFFIX avx512
#include "kernel/maxsim_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
