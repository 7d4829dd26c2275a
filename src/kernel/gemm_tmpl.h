/* gemm_tmpl.h - the matrix product on vector registers, for every type and width.
 *
 * One step of the inner loop takes four bytes of a row of `a` (one f32, two bf16, four int8), broadcasts them,
 * and multiplies with one 64-byte row of each panel; what "multiply" is, is all that differs between types:
 *
 *   GT_NAME                        the kernel's symbol
 *   GT_ROWS, GT_COLS               the register tile: rows of a, columns of w (16 or 64)
 *   gt_acc, gt_zero, gt_acc_load, gt_acc_store   a vector of VF_LANES 32-bit accumulators
 *   gt_a, gt_a_load                the broadcast operand, from four bytes
 *   gt_b, gt_b_load                the panel operand: 4 * VF_LANES bytes
 *   gt_dot(acc, a, b)              acc + products
 *   GT_TOGETHER                    steps that these operands and gt_dot take at a time, where it is not one
 *
 * Loops, outermost first: a tile of columns, so that weights come from memory once; a block of up to GT_BLOCK rows; a
 * chunk of GT_CHUNK steps, so that the panels' part (GT_CHUNK * GT_COLS * 4 bytes) stays in L1 while the rows pass;
 * register tiles. With GT_WIDE, from gemm_wide_tmpl.h, that part is widened beforehand.
 * Between chunks accumulators rest in a buffer on the stack. Rows are shared out evenly among the tiles of a
 * block (65 rows by 6 are eleven tiles of 5 or 6), because a short last tile wastes most.
 *
 * A step of a tile of r rows and c vectors of columns is r c products, r broadcasts and c loads. Six by four has 1.4
 * operations for a product, fourteen by two 1.6, and unrolled loops next to none for pointers: two threads of a core share
 * its decoders and caches, and a neighbour is felt where a loop needs more than half of them (docs/SPEED.md).
 */
#include "kernel/gemm_ahead.h"

#define GT_BLOCK 112
#ifdef GT_WIDE
#define GT_STEPS 2 /* of a 64-byte row of a panel, after widening */
#else
#define GT_STEPS 1
#endif
#define GT_CHUNK ((GT_COLS > 32 ? 96 : 192) / GT_STEPS)
#define GT_UNROLL 4
#ifndef GT_TOGETHER
#define GT_TOGETHER 1
#endif
#define GT_RUN 16 /* steps between fetches ahead: more than a few lines at once would wait for each other */
#define GT_VECS (GT_COLS / VF_LANES)

/* acc[n_rows][GT_COLS] (+)= a . panels over `steps`; n_rows is a constant after inlining. */
static inline __attribute__((always_inline)) void gt_tile(const char *a, size_t a_bytes, const char *b, size_t panel_bytes,
                                                          int steps, bool first, int32_t *acc_out, k_ahead *ahead,
                                                          const int n_rows)
{
    gt_acc acc[GT_ROWS][GT_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < GT_VECS; v++)
            acc[r][v] = first ? gt_zero() : gt_acc_load(acc_out + r * GT_COLS + v * VF_LANES);
    }
    /* Three rows to a base pointer: x86 addresses base + {0, 1, 2} * stride without another register. */
    const char *base[(GT_ROWS + 2) / 3];
#pragma GCC unroll 8
    for (int i = 0; i < (n_rows + 2) / 3; i++)
        base[i] = a + (size_t)(3 * i) * a_bytes;

    for (int s = 0; s < steps; s += GT_UNROLL) {
        if (s % GT_RUN == 0)
            k_ahead_turn(ahead);
#pragma GCC unroll 16
        for (int u = 0; u < GT_UNROLL; u += GT_TOGETHER) {
            gt_b bv[GT_VECS];
#pragma GCC unroll 4
            for (int v = 0; v < GT_VECS; v++) {
                int per_panel = K_PANEL / VF_LANES;
                bv[v] =
                    gt_b_load(b + (size_t)(v / per_panel) * panel_bytes + (size_t)(v % per_panel) * VF_LANES * 4 + u * 64);
            }
#pragma GCC unroll 16
            for (int r = 0; r < n_rows; r++) {
                gt_a av = gt_a_load(base[r / 3] + (size_t)(r % 3) * a_bytes + u * 4);
#pragma GCC unroll 4
                for (int v = 0; v < GT_VECS; v++)
                    acc[r][v] = gt_dot(acc[r][v], av, bv[v]);
            }
        }
        b += GT_UNROLL * 64;
#pragma GCC unroll 8
        for (int i = 0; i < (n_rows + 2) / 3; i++)
            base[i] += GT_UNROLL * 4;
    }
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < GT_VECS; v++)
            gt_acc_store(acc_out + r * GT_COLS + v * VF_LANES, acc[r][v]);
    }
}

static void gt_tile_any(const char *a, size_t a_bytes, const char *b, size_t panel_bytes, int steps, bool first,
                        int32_t *acc_out, k_ahead *ahead, int n_rows)
{
    switch (n_rows) {
#define GT_CASE(n)                                                                                                          \
    case n: gt_tile(a, a_bytes, b, panel_bytes, steps, first, acc_out, ahead, n); break;
        GT_CASE(1)
        GT_CASE(2)
        GT_CASE(3)
#if GT_ROWS > 3
        GT_CASE(4)
        GT_CASE(5)
        GT_CASE(6)
#endif
#undef GT_CASE
    default: __builtin_unreachable();
    }
}

/* Rows [first, first + n_rows), n_rows at most GT_BLOCK, columns [col, col + GT_COLS). */
static void gt_block(const k_gemm *g, int first, int n_rows, int col, k_ahead *ahead)
{
    int32_t acc[GT_BLOCK * GT_COLS] __attribute__((aligned(64)));
    const k_weights *w = g->w;
    size_t a_bytes = g->a_stride * k_type_bytes(w->type) * GT_STEPS;
    int steps = (int)((size_t)w->k_pad * k_type_bytes(w->type) / 4);
    size_t panel_bytes = (size_t)steps * 64;
    const char *a = (const char *)g->a + (size_t)first * a_bytes;
    const char *panel = (const char *)w->panels + (size_t)(col / K_PANEL) * panel_bytes;
    int n_tiles = (n_rows + GT_ROWS - 1) / GT_ROWS;

    for (int s = 0; s < steps; s += GT_CHUNK) {
        int n_steps = steps - s < GT_CHUNK ? steps - s : GT_CHUNK;
        const char *b = panel + (size_t)s * 64;
        bool last = s + n_steps == steps;
#ifdef GT_WIDE
        float wide_b[GT_COLS / K_PANEL][2 * GT_CHUNK * K_PANEL] __attribute__((aligned(64)));
        for (int i = 0; i < GT_COLS / K_PANEL; i++)
            gt_widen_panel(b + (size_t)i * panel_bytes, n_steps, wide_b[i]);
#endif
        for (int t = 0, r = 0; t < n_tiles; t++) {
            int rows = (n_rows - r) / (n_tiles - t);
            const char *rows_a = a + (size_t)r * a_bytes + (size_t)s * 4 * GT_STEPS;
            int32_t *tile = steps > GT_CHUNK ? acc + r * GT_COLS : acc; /* one chunk: nothing has to rest */
#ifdef GT_WIDE
            gt_tile_any(rows_a, a_bytes, (const char *)wide_b, sizeof wide_b[0], GT_STEPS * n_steps, s == 0, tile, ahead,
                        rows);
#else
            gt_tile_any(rows_a, a_bytes, b, panel_bytes, n_steps, s == 0, tile, ahead, rows);
#endif
            if (last) /* now: stores and activations of a tile then overlap with the products of the next */
                ep_rows(g, tile, first + r, rows, col);
            r += rows;
        }
    }
}

void GT_NAME(const k_gemm *g)
{
    const int n_blocks = (g->rows + GT_BLOCK - 1) / GT_BLOCK;
    const int steps = (int)((size_t)g->w->k_pad * k_type_bytes(g->w->type) / 4) * GT_STEPS;
    const int n_turns = (g->rows + GT_ROWS - 1) / GT_ROWS * (steps / GT_RUN);
    for (int p = g->panel_begin; p < g->panel_end; p += GT_COLS / K_PANEL) {
        k_ahead ahead = k_ahead_of(g, p, GT_COLS / K_PANEL, n_turns);
        for (int i = 0, r = 0; i < n_blocks; i++) {
            int rows = (g->rows - r) / (n_blocks - i);
            gt_block(g, r, rows, p * K_PANEL, &ahead);
            r += rows;
        }
    }
}
