/* gelu_avx512.h - the fast grade of x Phi(x) (act_tmpl.h) as quadratics from a table, for sixteen lanes.
 *
 * VPERMT2PS looks up sixteen of 32 values in registers. [-4.15, 4.15] is cut into 30 pieces of equal width; below them is
 * the piece 0 and above them the piece x. Seven operations where the polynomial takes twelve: on tiles, whose products leave
 * one port to the vector units, a quarter of a product with GELU. Absolute error 8.4e-5; zero stays zero, NaN and infinities
 * become NaN. Coefficients: tools/fit_polynomials.py.
 */
#ifndef HD_KERNEL_GELU_AVX512_H
#define HD_KERNEL_GELU_AVX512_H

#include "kernel/vec_avx512.h"

#define GELU_EDGE 4.15f
#define GELU_PIECES 30
#define RANGE_MIN_ABS_SIGN_OF_A 2 /* VRANGEPS: the lesser magnitude, with the sign of the first operand */

static inline vf vf_gelu_fast(vf x)
{
    static const float table[3][GELU_PIECES + 2] __attribute__((aligned(64))) = {
        /* c0 + c1 x + c2 x^2 */
        {0.0f,           -0.0169086438f,  -0.0369390808f,  -0.0731442645f,
         -0.13079524f,   -0.210224554f,   -0.30185768f,    -0.384065866f,
         -0.428178221f,  -0.411548793f,   -0.332874715f,   -0.217865497f,
         -0.107641466f,  -0.0348097906f,  -0.00502653141f, 0.0f,
         0.0f,           -0.00502653141f, -0.0348097906f,  -0.107641466f,
         -0.217865497f,  -0.332874715f,   -0.411548793f,   -0.428178221f,
         -0.384065866f,  -0.30185768f,    -0.210224554f,   -0.13079524f,
         -0.0731442645f, -0.0369390808f,  -0.0169086438f,  0.0f},
        {0.0f,           -0.0078723412f, -0.0182598885f, -0.0384732224f,
         -0.0733258724f, -0.1256731f,    -0.192023262f,  -0.258000165f,
         -0.297484905f,  -0.279492497f,  -0.183496013f,  -0.0159320887f,
         0.184078306f,   0.359323055f,   0.465343267f,   0.499050111f,
         0.500949919f,   0.534656763f,   0.640676975f,   0.815921664f,
         1.01593208f,    1.183496f,      1.2794925f,     1.29748487f,
         1.25800014f,    1.19202328f,    1.12567306f,    1.07332587f,
         1.03847325f,    1.01825988f,    1.00787234f,    1.0f},
        {0.0f,           -0.000919219339f, -0.00226605777f,  -0.0050876434f,
         -0.0103558572f, -0.0189820286f,   -0.0309952572f,   -0.0442361347f,
         -0.0530736595f, -0.0482145511f,   -0.0189185943f,   0.0421621799f,
         0.133011311f,   0.23866792f,      0.333479255f,     0.390853345f,
         0.390853345f,   0.333479255f,     0.23866792f,      0.133011311f,
         0.0421621799f,  -0.0189185943f,   -0.0482145511f,   -0.0530736595f,
         -0.0442361347f, -0.0309952572f,   -0.0189820286f,   -0.0103558572f,
         -0.0050876434f, -0.00226605777f,  -0.000919219339f, 0.0f},
    };
    const float per_piece = GELU_PIECES / (2.0f * GELU_EDGE);
    const vf first_integer = vf_set1(12582912.0f + GELU_PIECES / 2 + 1); /* 1.5 * 2^23: sums' last bits are whole numbers */
    /* Within the outer pieces, keeping the sign: the number of the piece, rounded down, fits five bits. */
    vf within = _mm512_range_ps(x, vf_set1(GELU_EDGE + 0.8f / per_piece), RANGE_MIN_ABS_SIGN_OF_A);
    __m512i piece = _mm512_castps_si512(
        _mm512_fmadd_round_ps(within, vf_set1(per_piece), first_integer, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    vf c[3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        c[i] = _mm512_permutex2var_ps(vf_load(table[i]), piece, vf_load(table[i] + VF_LANES));
    return vf_fma(vf_fma(c[2], x, c[1]), x, c[0]);
}

#endif
