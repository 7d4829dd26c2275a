/* epilogue_tmpl.h - from accumulators to outputs; include a vec_*.h, act_tmpl.h, and say what they are:
 *
 *   EP_COLS         columns of a tile of accumulators, a multiple of VF_LANES
 *   EP_INT          1: int32 accumulators of the int8 product, 0: f32
 *   EP_EXACT        1: the exact activation functions
 *   EP_SUFFIX       of the functions' names, for files that include this twice
 *
 * See gemm.h for the formula. What is the same for a whole tile is loaded once, and everything the loops
 * need is in locals: stores through `out` could otherwise change it, as far as the compiler knows.
 */
#define EP_VECS (EP_COLS / VF_LANES)
#define EP_PASTE_(a, b) a##b
#define EP_PASTE(a, b) EP_PASTE_(a, b)
#define ep_rows EP_PASTE(ep_rows_, EP_SUFFIX)

/* y + sum_r low[r] * lift[r, :], r ascending. */
static inline __attribute__((always_inline)) vf EP_PASTE(ep_changed_, EP_SUFFIX)(const k_low_rank *change, const float *low,
                                                                                 const float *lift, size_t n_pad, vf y)
{
    for (int r = 0; r < change->rank; r++)
        y = vf_fma(vf_set1(low[r]), vf_load(lift + (size_t)r * n_pad), y);
    return y;
}

/* ep_rows, with or without a low-rank change; which, is a constant after inlining. */
static inline __attribute__((always_inline)) void
EP_PASTE(ep_all_, EP_SUFFIX)(const k_gemm *g, const int32_t *acc, int first, int n_rows, int col, const bool changed)
{
    const size_t stride = g->out_stride;
    float *wide = (float *)g->out + (size_t)first * stride + (size_t)col;
    uint16_t *half = (uint16_t *)g->out + (size_t)first * stride + (size_t)col;
    const float *low = changed ? g->change.low + (size_t)first * g->change.stride : NULL;
    const float *lift = changed ? g->change.lift + col : NULL;
    const size_t n_pad = (size_t)g->w->n_pad;
    vf bias[EP_VECS];
#if EP_INT
    const float *row_scale = g->a_scale + first, *row_offset = g->a_offset + first;
    vf scale[EP_VECS], sum[EP_VECS];
#endif
#pragma GCC unroll 4
    for (int v = 0; v < EP_VECS; v++) {
        bias[v] = vf_load(g->w->bias + col + v * VF_LANES);
#if EP_INT
        scale[v] = vf_load(g->w->scale + col + v * VF_LANES);
        sum[v] = vf_load(g->w->channel_sum + col + v * VF_LANES);
#endif
    }
#if EP_INT
#define EP_ROW vf rs = vf_set1(row_scale[r]), ro = vf_set1(row_offset[r]);
#define EP_Y vf_fma(vf_from_i32(acc + r * EP_COLS + v * VF_LANES), vf_mul(rs, scale[v]), vf_fma(ro, sum[v], bias[v]))
#else
#define EP_ROW
#define EP_Y vf_add(vf_load((const float *)acc + r * EP_COLS + v * VF_LANES), bias[v])
#endif
#define EP_LOOP(to, put, expression)                                                                                        \
    for (int r = 0; r < n_rows; r++) {                                                                                      \
        EP_ROW                                                                                                              \
        _Pragma("GCC unroll 4") for (int v = 0; v < EP_VECS; v++)                                                           \
        {                                                                                                                   \
            vf y = EP_Y;                                                                                                    \
            if (changed)                                                                                                    \
                y = EP_PASTE(ep_changed_, EP_SUFFIX)(&g->change, low + (size_t)r * g->change.stride, lift + v * VF_LANES,   \
                                                     n_pad, y);                                                             \
            put(to + (size_t)r * stride + v * VF_LANES, expression);                                                        \
        }                                                                                                                   \
    }
#define EP_EACH(expression)                                                                                                 \
    if (g->out_type == K_BF16)                                                                                              \
        EP_LOOP(half, vf_store_bf16, expression)                                                                            \
    else                                                                                                                    \
        EP_LOOP(wide, vf_store, expression)

    switch (g->epilogue) {
    case K_STORE: EP_EACH(y) break;
    case K_ADD: EP_LOOP(wide, vf_store, vf_add(y, vf_load(wide + (size_t)r * stride + v * VF_LANES))) break;
    case K_MUL:
        if (g->out_type == K_BF16)
            EP_LOOP(half, vf_store_bf16, vf_mul(y, vf_load_bf16(half + (size_t)r * stride + v * VF_LANES)))
        else
            EP_LOOP(wide, vf_store, vf_mul(y, vf_load(wide + (size_t)r * stride + v * VF_LANES)))
        break;
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
#undef EP_LOOP
#undef EP_Y
#undef EP_ROW
}

static __attribute__((noinline)) void EP_PASTE(ep_rows_changed_, EP_SUFFIX)(const k_gemm *g, const int32_t *acc, int first,
                                                                            int n_rows, int col)
{
    EP_PASTE(ep_all_, EP_SUFFIX)(g, acc, first, n_rows, col, true);
}

/* Rows [first, first + n_rows) of the matrix, whose accumulators are acc[n_rows][EP_COLS], columns from col. */
static inline __attribute__((always_inline)) void ep_rows(const k_gemm *g, const int32_t *acc, int first, int n_rows,
                                                          int col)
{
    if (g->change.rank > 0)
        EP_PASTE(ep_rows_changed_, EP_SUFFIX)(g, acc, first, n_rows, col);
    else
        EP_PASTE(ep_all_, EP_SUFFIX)(g, acc, first, n_rows, col, false);
}
