/* gemm_amx.c - int8 and bf16 products on AMX tiles.
 *
 * A tile register holds 16 rows of 64 bytes. TDPBUSD and TDPBF16PS add the product of a 16 x 64-byte tile of `a`
 * (rows as they lie) and a 64-byte x 16 tile of w (16 consecutive rows of a panel, gemm.h) to 16 x 16
 * 32-bit accumulators. A block is 16 rows by 32 columns:
 *
 *         B0 B1        tmm0 tmm1 = sums
 *      A  C0 C1        tmm4 = A, tmm6 = B0, tmm7 = B1
 *
 * Four tiles of sums would need a third fewer loads. But a core has no more than a few tile registers beside the eight
 * that have names, and shares them with its other hyperthread: while that one is busy, an instruction that writes a
 * tile waits until an earlier one has retired. With eight tiles in use they run one after the other, at a quarter of
 * the speed; with five of them, each zeroed after its last use, which gives its register back, at half (docs/SPEED.md).
 *
 * A chunk of CHUNK steps of both panels stays in L1 while the rows pass. Between chunks sums rest in a buffer, so that
 * rows are taken RESTING blocks at a time. FEW blocks read each panel once or twice: then there are no chunks, and
 * the processor's own fetching ahead does as well as ours.
 *
 * The tile unit and the vector units are different ports: while the tiles of one block multiply, the vector
 * units turn the previous block's accumulators into outputs. For that, a step of the inner loop is followed by some of
 * the previous block's rows: few enough for the core's window of instructions to reach the next tiles beyond them, and
 * as many as that allows, because each time costs some fifty instructions more.
 *
 * Tiles are configured at entry and released at exit; no tile state survives the call. Source: Intel SDM
 * volume 1 chapter 18; Intel Optimization Reference Manual chapter 20.
 */
#if defined(__x86_64__)

#include "kernel/amx_tiles.h"
#include "kernel/gemm_ahead.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_i8_amx, k_gemm_bf16_amx;

#define BLOCK_ROWS 16
#define BLOCK_COLS 32
#define CHUNK 12   /* steps: 24 KB of two panels */
#define RESTING 16 /* blocks: 32 KB of sums */
#define FEW 2      /* blocks */

/* Rows of the previous block that follow a step, at least. */
#define PLAIN_SHARE 16
#define ACTIVE_SHARE 2 /* with an activation: some twenty instructions for each 16 outputs */

/* Accumulators on their way to outputs: n_rows from `row` of the matrix on, of which the first `done` are there. */
typedef struct amx_block {
    int32_t acc[BLOCK_ROWS * BLOCK_COLS] __attribute__((aligned(64)));
    int row, col, n_rows, done;
} amx_block;

#define AMX_NAME k_gemm_i8_amx
#define AMX_DOT _tile_dpbusd
#define EP_COLS BLOCK_COLS
#define EP_INT 1
#define EP_EXACT 0
#define EP_SUFFIX i8
#include "kernel/epilogue_tmpl.h"
#include "kernel/gemm_amx_tmpl.h"
#undef AMX_NAME
#undef AMX_DOT
#undef EP_COLS
#undef EP_INT
#undef EP_EXACT
#undef EP_SUFFIX
#undef EP_VECS
#undef EP_PASTE_
#undef EP_PASTE
#undef ep_rows

#define AMX_NAME k_gemm_bf16_amx
#define AMX_DOT _tile_dpbf16ps
#define EP_COLS BLOCK_COLS
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX bf16
#include "kernel/epilogue_tmpl.h"
#include "kernel/gemm_amx_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
