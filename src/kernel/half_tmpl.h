/* half_tmpl.h - a query in f32 by a row of halves: four sums side by side, then the rest one by one. HF_NAME is the kernel's
 * name; a vec_*.h and hf_load, which widens VF_LANES halves, come before. */
#include "base/half.h"

#define HF_SUMS 4

float HF_NAME(const float *query, const uint16_t *row, size_t n)
{
    vf sums[HF_SUMS] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    size_t j = 0;
    for (; j + HF_SUMS * VF_LANES <= n; j += HF_SUMS * VF_LANES) {
#pragma GCC unroll 4
        for (size_t s = 0; s < HF_SUMS; s++)
            sums[s] = vf_fma(vf_load(query + j + s * VF_LANES), hf_load(row + j + s * VF_LANES), sums[s]);
    }
    for (; j + VF_LANES <= n; j += VF_LANES)
        sums[0] = vf_fma(vf_load(query + j), hf_load(row + j), sums[0]);
    float sum = vf_sum(vf_add(vf_add(sums[0], sums[1]), vf_add(sums[2], sums[3])));
    for (; j < n; j++)
        sum += query[j] * hd__float_of_bits(hd__half_widen(row[j]));
    return sum;
}
