/* peak_neon.c - FMLA, and the widening multiply and pairwise add of an int8 product. See peak.h. */
#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_f32_neon
#define PEAK_VEC float32x4_t
#define PEAK_KEEP "w"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) vfmaq_f32(acc, a, b)
#include "kernel/peak_tmpl.h"

/* The product must not be the same each time, or it is taken out of the loop. */
static inline int32x4_t i8_step(int32x4_t acc, int32x4_t a, int32x4_t b)
{
    __asm__ volatile("" : "+w"(a));
    return vpadalq_s16(acc, vmull_s8(vget_low_s8(vreinterpretq_s8_s32(a)), vget_low_s8(vreinterpretq_s8_s32(b))));
}

#define PEAK_NAME k_peak_i8_neon
#define PEAK_VEC int32x4_t
#define PEAK_KEEP "w"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) i8_step(acc, a, b)
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
