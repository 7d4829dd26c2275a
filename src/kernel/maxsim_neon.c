/* maxsim_neon.c - maxsim in f32 on 4 lanes. */
#if defined(__aarch64__)

#include "kernel/maxsim.h"
#include "kernel/vec_neon.h"

k_maxsim_fn k_maxsim_f32_neon, k_maxsim_bf16_neon;

#define MS_SUFFIX neon
#include "kernel/maxsim_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
