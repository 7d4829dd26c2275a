/* gemm_ref.c - the formula of gemm.h as it stands there, with sums in double (integers for int8).
 *
 * Every other gemm kernel is tested against these; they are also what runs where no level is granted.
 */
#include <math.h>

#include "kernel/gemm.h"

k_gemm_fn k_gemm_f32_ref, k_gemm_bf16_ref, k_gemm_i8_ref;

static double epilogue(k_epilogue kind, double y)
{
    switch (kind) {
    case K_STORE:
    case K_ADD:
    case K_MUL: return y;
    case K_GELU: return 0.5 * y * erfc(-y * 0.70710678118654752440); /* y Phi(y), Phi(y) = erfc(-y / sqrt(2)) / 2 */
    case K_GELU_TANH: return 0.5 * y * (1.0 + tanh(0.79788456080286535588 * (y + 0.044715 * y * y * y))); /* sqrt(2 / pi) */
    case K_RELU: return y < 0.0 ? 0.0 : y;                                                                /* NaN stays */
    case K_SILU: return y / (1.0 + exp(-y));
    case K_TANH: return tanh(y);
    }
    return y;
}

/* out[row, 16 * panel ...] = epilogue(sum + bias). */
static void store_panel(const k_gemm *gemm, int row, int panel, const double sum[K_PANEL])
{
    size_t at = (size_t)row * gemm->out_stride + (size_t)panel * K_PANEL;
    const float *bias = gemm->w->bias + (size_t)panel * K_PANEL;
    const k_low_rank *change = &gemm->change;
    for (int c = 0; c < K_PANEL; c++) {
        double changed = sum[c] + (double)bias[c];
        for (int r = 0; r < change->rank; r++)
            changed += (double)change->low[(size_t)row * change->stride + (size_t)r] *
                       (double)change->lift[(size_t)r * (size_t)gemm->w->n_pad + (size_t)panel * K_PANEL + (size_t)c];
        double y = epilogue(gemm->epilogue, changed);
        float *wide = (float *)gemm->out + at + c;
        uint16_t *half = (uint16_t *)gemm->out + at + c;
        if (gemm->epilogue == K_ADD)
            y += (double)*wide;
        if (gemm->epilogue == K_MUL)
            y *= (double)(gemm->out_type == K_BF16 ? k_f32_from_bf16(*half) : *wide);
        if (gemm->out_type == K_BF16)
            *half = k_bf16_from_f32((float)y);
        else
            *wide = (float)y;
    }
}

void k_gemm_f32_ref(const k_gemm *gemm)
{
    const k_weights *w = gemm->w;
    for (int row = 0; row < gemm->rows; row++) {
        const float *a = (const float *)gemm->a + (size_t)row * gemm->a_stride;
        for (int panel = gemm->panel_begin; panel < gemm->panel_end; panel++) {
            const float *p = (const float *)w->panels + (size_t)panel * K_PANEL * (size_t)w->k_pad; /* [k_pad][16] */
            double sum[K_PANEL] = {0};
            for (int k = 0; k < w->k_pad; k++, p += K_PANEL) {
                for (int c = 0; c < K_PANEL; c++)
                    sum[c] += (double)a[k] * (double)p[c];
            }
            store_panel(gemm, row, panel, sum);
        }
    }
}

void k_gemm_bf16_ref(const k_gemm *gemm)
{
    const k_weights *w = gemm->w;
    for (int row = 0; row < gemm->rows; row++) {
        const float *a = (const float *)gemm->a + (size_t)row * gemm->a_stride;
        for (int panel = gemm->panel_begin; panel < gemm->panel_end; panel++) {
            /* [k_pad / 2][16][2] */
            const uint16_t *p = (const uint16_t *)w->panels + (size_t)panel * K_PANEL * (size_t)w->k_pad;
            double sum[K_PANEL] = {0};
            for (int k = 0; k < w->k_pad; k += 2, p += K_PANEL * 2) {
                double a0 = (double)a[k], a1 = (double)a[k + 1];
                for (int c = 0; c < K_PANEL; c++)
                    sum[c] += a0 * (double)k_f32_from_bf16(p[2 * c]) + a1 * (double)k_f32_from_bf16(p[2 * c + 1]);
            }
            store_panel(gemm, row, panel, sum);
        }
    }
}

void k_gemm_i8_ref(const k_gemm *gemm)
{
    const k_weights *w = gemm->w;
    for (int row = 0; row < gemm->rows; row++) {
        const uint8_t *a = (const uint8_t *)gemm->a + (size_t)row * gemm->a_stride;
        for (int panel = gemm->panel_begin; panel < gemm->panel_end; panel++) {
            /* [k_pad / 4][16][4] */
            const int8_t *p = (const int8_t *)w->panels + (size_t)panel * K_PANEL * (size_t)w->k_pad;
            int32_t dot[K_PANEL] = {0};
            for (int k = 0; k < w->k_pad; k += 4, p += K_PANEL * 4) {
                for (int c = 0; c < K_PANEL; c++)
                    for (int g = 0; g < 4; g++)
                        dot[c] += (int32_t)a[k + g] * p[4 * c + g];
            }
            double sum[K_PANEL];
            for (int c = 0; c < K_PANEL; c++) {
                size_t n = (size_t)panel * K_PANEL + (size_t)c;
                sum[c] = (double)gemm->a_scale[row] * (double)w->scale[n] * dot[c] +
                         (double)gemm->a_offset[row] * (double)w->channel_sum[n];
            }
            store_panel(gemm, row, panel, sum);
        }
    }
}
