/* attention_avx512.c - attention in f32 on 16 lanes. */
#if defined(__x86_64__)

#include "kernel/attention.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_attention_fn k_attention_f32_avx512, k_attention_bf16_avx512;

#define AT_SUFFIX avx512
#include "kernel/attention_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
