/* gemm_wide_tmpl.h - bf16 weights with f32 rows, where bf16 has no products of its own: f32's arithmetic, half its weights;
 * include a vec_*.h and act_tmpl.h, and define GT_NAME, GT_ROWS, GT_COLS as for gemm_tmpl.h.
 *
 * A chunk of a panel is widened to f32 on the stack, once for a block of rows, so that the inner loop is that of f32.
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

/* n_pairs rows of a panel, each of K_PANEL channels and two k, to one row for each k. */
static void gt_widen_panel(const char *from, int n_pairs, float *to)
{
    const uint16_t *pairs = (const void *)from;
    for (int pair = 0; pair < n_pairs; pair++, to += 2 * K_PANEL) {
        for (int i = 0; i < K_PANEL; i += VF_LANES, pairs += 2 * VF_LANES) {
            vf_store(to + i, vf_load_bf16_even(pairs));
            vf_store(to + K_PANEL + i, vf_load_bf16_odd(pairs));
        }
    }
}

#define GT_WIDE
#include "kernel/gemm_tmpl.h"
