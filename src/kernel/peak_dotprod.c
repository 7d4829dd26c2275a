/* peak_dotprod.c - SDOT. See peak.h. */
#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernel/peak.h"

#define PEAK_NAME k_peak_i8_dotprod
#define PEAK_VEC int32x4_t
#define PEAK_KEEP "w"
#define PEAK_STEPS PEAK_CHAINS
#define PEAK_DOT(acc, a, b) vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#include "kernel/peak_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
