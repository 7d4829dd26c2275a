/* epilogue_tmpl.h - from accumulators to outputs; include a vec_*.h, act_tmpl.h, and say what they are:
 *
 *   EP_COLS         columns of a tile of accumulators, a multiple of VF_LANES
 *   EP_INT          1: int32 accumulators of the int8 product, 0: f32
 *   EP_EXACT        1: the exact activation functions
 *
 * See gemm.h for the formula.
 */
#include <string.h>

#define EP_VECS (EP_COLS / VF_LANES)

/* One vector of accumulators to y. */
static inline vf ep_y(const k_gemm *g, const void *acc, int row, int col)
{
    vf bias = vf_load(g->w->bias + col);
#if EP_INT
    vf sums = vf_from_i32(acc);
    vf base = vf_fma(vf_set1(g->a_offset[row]), vf_load(g->w->channel_sum + col), bias);
    return vf_fma(sums, vf_mul(vf_set1(g->a_scale[row]), vf_load(g->w->scale + col)), base);
#else
    (void)row;
    return vf_add(vf_load(acc), bias);
#endif
}

static inline void ep_put(const k_gemm *g, int row, int col, vf y)
{
    size_t at = (size_t)row * g->out_stride + (size_t)col;
    if (g->out_type == K_BF16)
        vf_store_bf16((uint16_t *)g->out + at, y);
    else
        vf_store((float *)g->out + at, y);
}

/* Rows [first, first + n_rows) of the matrix, whose accumulators are acc[n_rows][EP_COLS], columns from col. */
static inline __attribute__((always_inline)) void ep_rows(const k_gemm *g, const int32_t *acc, int first, int n_rows, int col)
{
#define EP_EACH(expression)                                                      \
    for (int r = 0; r < n_rows; r++) {                                           \
        for (int v = 0; v < EP_VECS; v++) {                                      \
            int c = col + v * VF_LANES;                                          \
            vf y = ep_y(g, acc + r * EP_COLS + v * VF_LANES, first + r, c);      \
            ep_put(g, first + r, c, expression);                                 \
        }                                                                        \
    }
    switch (g->epilogue) {
    case K_STORE: EP_EACH(y) break;
    case K_ADD: EP_EACH(vf_add(y, vf_load((const float *)g->out + (size_t)(first + r) * g->out_stride + (size_t)c))) break;
#if EP_EXACT
    case K_GELU: EP_EACH(vf_gelu_exact(y)) break;
#else
    case K_GELU: EP_EACH(vf_gelu_fast(y)) break;
#endif
    case K_GELU_TANH: EP_EACH(vf_gelu_tanh(y)) break;
    case K_RELU: EP_EACH(vf_relu(y)) break;
    case K_SILU: EP_EACH(vf_silu(y)) break;
    case K_TANH: EP_EACH(vf_tanh(y)) break;
    }
#undef EP_EACH
}
