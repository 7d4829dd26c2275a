/* attention_avx2.c - attention in f32 on 8 lanes. */
#if defined(__x86_64__)

#include "kernel/attention.h"
#include "kernel/vec_avx2.h"
#include "kernel/act_tmpl.h"

k_attention_fn k_attention_f32_avx2, k_attention_bf16_avx2;

#define AT_SUFFIX avx2
#include "kernel/attention_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
