/* gemm_amx.c - int8 and bf16 products on AMX tiles.
 *
 * A tile register holds 16 rows of 64 bytes. TDPBUSD and TDPBF16PS add the product of a 16 x 64-byte tile of `a`
 * (rows as they lie) and a 64-byte x 16 tile of w (16 consecutive rows of a panel, gemm.h) to 16 x 16
 * 32-bit accumulators. A block is 32 rows by 32 columns:
 *
 *          B0 B1        tmm0 tmm1 = rows 0..15,  tmm2 tmm3 = rows 16..31
 *      A0  C0 C1        tmm4 tmm5 = A0 A1,       tmm6 tmm7 = B0 B1
 *      A1  C2 C3        four products for four loads
 *
 * The tile unit and the vector units are different ports: while the tiles of one block multiply, the vector
 * units turn the previous block's accumulators into outputs. To let them, each step of the inner loop is
 * followed by its share of the previous block's rows.
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

#define BLOCK 32 /* rows and columns */

/* Accumulators waiting for their epilogue: rows of the matrix, the first `skip` of which are done already. */
typedef struct amx_block {
    int32_t acc[BLOCK * BLOCK] __attribute__((aligned(64)));
    int row, skip, n_rows, col;
} amx_block;

#define AMX_NAME k_gemm_i8_amx
#define AMX_DOT _tile_dpbusd
#define EP_COLS BLOCK
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
#define EP_COLS BLOCK
#define EP_INT 0
#define EP_EXACT 0
#define EP_SUFFIX bf16
#include "kernel/epilogue_tmpl.h"
#include "kernel/gemm_amx_tmpl.h"

#else
typedef int hd_not_this_machine;
#endif
