/* maxsim_ref.c - the formula of maxsim.h as it stands there, in double. */
#include <math.h>

#include "kernel/maxsim.h"

k_maxsim_fn k_maxsim_f32_ref, k_maxsim_bf16_ref;

static double element(k_type type, const void *array, size_t i)
{
    return (double)(type == K_F32 ? ((const float *)array)[i] : k_f32_from_bf16(((const uint16_t *)array)[i]));
}

static float maxsim(k_type type, const k_maxsim *m)
{
    double sum = 0.0;
    for (int i = 0; i < m->n_q; i++) {
        double most = -INFINITY;
        for (int j = 0; j < m->n_d; j++) {
            double dot = 0.0;
            for (int k = 0; k < m->n; k++)
                dot += element(type, m->q, (size_t)i * m->q_stride + (size_t)k) *
                       element(type, m->d, (size_t)j * m->d_stride + (size_t)k);
            most = dot > most || isnan(dot) ? dot : most; /* once NaN, nothing is greater */
        }
        sum += most;
    }
    return (float)sum;
}

float k_maxsim_f32_ref(const k_maxsim *m)
{
    return maxsim(K_F32, m);
}

float k_maxsim_bf16_ref(const k_maxsim *m)
{
    return maxsim(K_BF16, m);
}
