/* gemm_wide_tmpl.h - bf16 products at f32's arithmetic rate and half its memory; include a vec_*.h and act_tmpl.h, and
 * define GT_NAME, GT_ROWS, GT_COLS as for gemm_tmpl.h.
 *
 * Both operands are widened to f32 on the stack, a chunk of a panel once for a block of rows, a chunk of rows once for
 * a register tile, so that the inner loop is that of f32. Widened in the loop, a vector of a row would cost two
 * operations for each four multiply-adds. Of 2 * VF_LANES neighbouring k the even ones come first, then the odd ones:
 * two operations then widen them without moving any across lanes.
 */
#define EP_COLS GT_COLS
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

typedef vf gt_acc, gt_a, gt_b;
static inline gt_acc gt_zero(void)
{
    return vf_zero();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return vf_load(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    vf_store(p, x);
}
static inline gt_a gt_a_load(const char *p)
{
    return vf_set1(*(const float *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return vf_load((const void *)p);
}
static inline gt_acc gt_dot(gt_acc acc, gt_a a, gt_b b)
{
    return vf_accumulate(acc, a, b);
}

/* n_pairs neighbouring k of a row. n_pairs is a multiple of VF_LANES, as k_pad / 2 is. */
static void gt_widen_row(const char *from, int n_pairs, float *to)
{
    const uint16_t *pairs = (const void *)from;
    for (int i = 0; i < n_pairs; i += VF_LANES, pairs += 2 * VF_LANES, to += 2 * VF_LANES) {
        vf_store(to, vf_load_bf16_even(pairs));
        vf_store(to + VF_LANES, vf_load_bf16_odd(pairs));
    }
}

/* n_pairs rows of a panel, K_PANEL pairs each. */
static void gt_widen_panel(const char *from, int n_pairs, float *to)
{
    const uint16_t *pairs = (const void *)from;
    for (int block = 0; block < n_pairs; block += VF_LANES, to += 2 * VF_LANES * K_PANEL) {
        for (int i = 0; i < VF_LANES * K_PANEL; i += VF_LANES, pairs += 2 * VF_LANES) {
            vf_store(to + i, vf_load_bf16_even(pairs));
            vf_store(to + VF_LANES * K_PANEL + i, vf_load_bf16_odd(pairs));
        }
    }
}

#define GT_WIDE
#include "kernel/gemm_tmpl.h"
