/* distance_dotprod.c - products of codes by SDOT. */
#if defined(__aarch64__)

#include "kernel/distance.h"

#include <arm_neon.h>

k_codes_dot_fn k_codes_dot_dotprod;

#define CD_NAME k_codes_dot_dotprod
#include "kernel/codes_neon.h"
static inline cd_acc cd_dot(cd_acc acc, cd_row u, cd_query q)
{
    return vdotq_s32(acc, u, q);
}
#include "kernel/codes_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
