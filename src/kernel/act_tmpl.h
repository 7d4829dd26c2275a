/* act_tmpl.h - activation functions on vectors; include a vec_*.h first.
 *
 * Two grades: `exact` for f32 weights (within 1e-6), fast for bf16 and int8 (within 1e-4), where the result is
 * rounded to 8 bits or fewer anyway. Coefficients: tools/fit_polynomials.py.
 *
 * NaN stays NaN in all of them.
 */
#ifndef HD_KERNEL_ACT_TMPL_H
#define HD_KERNEL_ACT_TMPL_H

/* 2^x, zero far below; relative error 1.1e-7 + rounding. */
static inline vf vf_exp2(vf x)
{
    vf n = vf_round(x);
    vf f = vf_sub(x, n);
    vf p = vf_fma(vf_set1(0.001326472731307149f), f, vf_set1(0.009671512991189957f));
    p = vf_fma(p, f, vf_set1(0.05550733581185341f));
    p = vf_fma(p, f, vf_set1(0.24022242426872253f));
    p = vf_fma(p, f, vf_set1(0.6931470036506653f));
    p = vf_fma(p, f, vf_set1(1.0f));
    return vf_scale2(p, n);
}

/* 2^x for results rounded to bfloat16 or less: relative error 1e-4. */
static inline vf vf_exp2_fast(vf x)
{
    vf n = vf_round(x);
    vf f = vf_sub(x, n);
    vf p = vf_fma(vf_set1(0.05500893294811249f), f, vf_set1(0.24221095442771912f));
    p = vf_fma(p, f, vf_set1(0.6932829022407532f));
    p = vf_fma(p, f, vf_set1(1.0f));
    return vf_scale2(p, n);
}

/* x Phi(x) with Phi(x) = 1 - erfc(z) / 2, z = |x| / sqrt(2), erfc by formula 7.1.26 of Abramowitz & Stegun
 * (1964): exp(-z^2) (a1 t + ... + a5 t^5), t = 1 / (1 + 0.3275911 z). */
static inline vf vf_gelu_exact(vf x)
{
    vf a = vf_abs(x);
    vf t = vf_div(vf_set1(1.0f), vf_fma(a, vf_set1(0.3275911f * 0.70710678f), vf_set1(1.0f)));
    vf p = vf_fma(vf_set1(1.061405429f), t, vf_set1(-1.453152027f));
    p = vf_fma(p, t, vf_set1(1.421413741f));
    p = vf_fma(p, t, vf_set1(-0.284496736f));
    p = vf_fma(p, t, vf_set1(0.254829592f));
    p = vf_mul(p, t);
    vf e = vf_exp2(vf_mul(vf_mul(a, a), vf_set1(-0.5f * 1.44269504f)));
    vf half_erfc = vf_mul(vf_mul(p, e), vf_set1(0.5f)); /* the upper tail at |x| */
    /* x > 0: x - x tail; x < 0: x tail. Both are max(x, 0) - |x| tail. NaN comes back through vf_max. */
    return vf_fnma(a, half_erfc, vf_max(vf_zero(), x));
}

#if VF_LANES == 16
#include "kernel/gelu_avx512.h"
#else
/* x Phi(x) with Phi(x) = 1/2 + x P(x^2), exact beyond 4.2. Absolute error 7.8e-5. */
static inline vf vf_gelu_fast(vf x)
{
    vf c = vf_max(vf_set1(-4.2f), vf_min(vf_set1(4.2f), x));
    vf u = vf_mul(c, c);
    vf p = vf_fma(vf_set1(-9.017536717337293e-10f), u, vf_set1(7.941342516915029e-08f));
    p = vf_fma(p, u, vf_set1(-3.0379324016394094e-06f));
    p = vf_fma(p, u, vf_set1(6.689070869470015e-05f));
    p = vf_fma(p, u, vf_set1(-0.0009506575879640877f));
    p = vf_fma(p, u, vf_set1(0.009298229590058327f));
    p = vf_fma(p, u, vf_set1(-0.06552819907665253f));
    p = vf_fma(p, u, vf_set1(0.3984658718109131f));
    return vf_mul(x, vf_fma(p, c, vf_set1(0.5f)));
}
#endif

/* 1 / (1 + exp(-x)) */
static inline vf vf_sigmoid(vf x)
{
    vf clamped = vf_max(vf_set1(-87.0f), vf_min(vf_set1(87.0f), x));
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp2(vf_mul(clamped, vf_set1(-1.44269504f)))));
}

static inline vf vf_silu(vf x)
{
    return vf_mul(x, vf_sigmoid(x));
}

/* x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), which is the tanh form of Hendrycks & Gimpel (2016). */
static inline vf vf_gelu_tanh(vf x)
{
    vf inner = vf_mul(x, vf_fma(vf_mul(x, x), vf_set1(0.044715f * 1.5957691216f), vf_set1(1.5957691216f)));
    return vf_mul(x, vf_sigmoid(inner));
}

static inline vf vf_tanh(vf x)
{
    return vf_fma(vf_set1(2.0f), vf_sigmoid(vf_add(x, x)), vf_set1(-1.0f));
}

static inline vf vf_relu(vf x)
{
    return vf_max(vf_zero(), x);
}

#endif
