/* distance_neon.c - products of codes by SMULL in 16 bits, and of halves. */
#if defined(__aarch64__)

#include "kernel/distance.h"

#include <arm_neon.h>

#include "kernel/vec_neon.h"

k_codes_dot_fn k_codes_dot_neon;
k_codes_flip_fn k_codes_flip_neon;
k_half_dot_fn k_half_dot_neon;

#define CD_NAME k_codes_dot_neon
#include "kernel/codes_neon.h"
/* |q| <= 127 on both sides: two products stay below 2^15. */
static inline cd_acc cd_dot(cd_acc acc, cd_row u, cd_query q)
{
    int16x8_t pairs = vmull_s8(vget_low_s8(u), vget_low_s8(q));
    pairs = vmlal_high_s8(pairs, u, q);
    return vpadalq_s16(acc, pairs);
}
#include "kernel/codes_tmpl.h"

int32_t k_codes_flip_neon(const uint8_t *row, int n, int8_t *query)
{
    int32x4_t sum = vdupq_n_s32(0);
    for (int j = 0; j < n; j += CD_BYTES) {
        const int8x16_t q = cd_row_load(row + j);
        vst1q_s8(query + j, q);
        sum = vpadalq_s16(sum, vpaddlq_s8(q));
    }
    return K_CODES_ZERO * vaddvq_s32(sum);
}

static inline vf hf_load(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
#define HF_NAME k_half_dot_neon
#include "kernel/half_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
