/* distance_avx512.c - products of halves on 16 lanes. */
#if defined(__x86_64__)

#include "kernel/distance.h"

#include "kernel/vec_avx512.h"

k_half_dot_fn k_half_dot_avx512;

static inline vf hf_load(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
#define HF_NAME k_half_dot_avx512
#include "kernel/half_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
