/* gemm_signed_tmpl.h - int8 products on machines that multiply signed bytes by signed bytes only.
 *
 * An activation is u in [0, 255]; u ^ 0x80 as a signed byte is u - 128, and
 *
 *   sum_k u q = sum_k (u - 128) q + 128 sum_k q
 *
 * The last sum is taken from the panel when a tile is finished: the work of one more row of at most GT_BLOCK.
 * GT_NAME and gt_dot (four products of signed bytes for each 32-bit lane) are the including file's.
 */
k_gemm_fn GT_NAME;

#define EP_COLS 16
#define EP_INT 1
#define EP_EXACT 0
static inline vf vf_from_i32(const int32_t *p)
{
    return vcvtq_f32_s32(vld1q_s32(p));
}
#include "kernel/epilogue_tmpl.h"

#define GT_ROWS 6
#define GT_COLS 16
typedef int32x4_t gt_acc;
static inline gt_acc gt_zero(void)
{
    return vdupq_n_s32(0);
}
static inline gt_acc gt_acc_load(const int32_t *p)
{
    return vld1q_s32(p);
}
static inline void gt_acc_store(int32_t *p, gt_acc x)
{
    vst1q_s32(p, x);
}
static inline gt_a gt_a_load(const char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
}
static inline gt_b gt_b_load(const char *p)
{
    return vld1q_s8((const int8_t *)(const void *)p);
}

/* Adds what the shift of the activations took away, then finishes the rows. */
static void signed_rows(const k_gemm *g, int32_t *acc, int first, int n_rows, int col)
{
    const char *panel = (const char *)g->w->panels + (size_t)col * (size_t)g->w->k_pad;
    int32x4_t sum[4] = {gt_zero(), gt_zero(), gt_zero(), gt_zero()};
    for (int i = 0; i < g->w->k_pad / 4; i++) {
        for (int v = 0; v < 4; v++)
            sum[v] = gt_dot(sum[v], vdupq_n_s8(1), gt_b_load(panel + i * 64 + v * 16));
    }
    for (int r = 0; r < n_rows; r++) {
        for (int v = 0; v < 4; v++) {
            int32_t *p = acc + r * GT_COLS + v * 4;
            vst1q_s32(p, vaddq_s32(vld1q_s32(p), vshlq_n_s32(sum[v], 7)));
        }
    }
    ep_rows(g, acc, first, n_rows, col);
}

#undef ep_rows
#define ep_rows signed_rows
#include "kernel/gemm_tmpl.h"
