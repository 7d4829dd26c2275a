/* gemm_i8_tmpl.h - int8 products in vector registers: unsigned rows of four bytes broadcast, signed panels. Include a
 * vec_*.h and act_tmpl.h, and define GT_NAME, GT_ROWS, GT_COLS and gt_dot (four products for each 32-bit lane) before; with
 * GT_TOGETHER the operands, too.
 */
k_gemm_fn GT_NAME;

#define EP_COLS GT_COLS
#define EP_INT 1
#define EP_EXACT 0
#define EP_SUFFIX tile
#include "kernel/epilogue_tmpl.h"

typedef vi gt_acc;
static inline gt_acc gt_zero(void)
{
    return vi_zero();
}
static inline gt_acc gt_acc_load(const void *p)
{
    return vi_load(p);
}
static inline void gt_acc_store(void *p, gt_acc x)
{
    vi_store(p, x);
}
#ifndef GT_TOGETHER
typedef vi gt_a, gt_b;
static inline gt_a gt_a_load(const char *p)
{
    return vi_set1(*(const int32_t *)(const void *)p);
}
static inline gt_b gt_b_load(const char *p)
{
    return vi_load(p);
}
#endif
#include "kernel/gemm_tmpl.h"
