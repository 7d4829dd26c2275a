/* attention_neon.c - attention in f32 on 4 lanes. */
#if defined(__aarch64__)

#include "kernel/attention.h"
#include "kernel/vec_neon.h"
#include "kernel/act_tmpl.h"

k_attention_fn k_attention_f32_neon, k_attention_bf16_neon;

#define AT_SUFFIX neon
#include "kernel/attention_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
