/* gemm_f32_amx.c - f32 products on AMX tiles, which multiply bfloat16: three of them make one f32.
 *
 * An f32 has 24 significant bits, a bfloat16 has 8. With h = x rounded to bfloat16, m = x - h rounded likewise and
 * l = x - h - m, all of them exact, |m| <= 2^-8 |x| and |l| <= 2^-16 |x|. Of
 *
 *   a w = ah wh + (ah wm + am wh) + (ah wl + am wm + al wh) + (am wl + al wm) + al wl
 *
 * the last three are left out: 2^-23 |a w| at most and 2^-26 as a rule, which is what rounding each product to f32 would
 * cost (Henry, Tang & Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
 * computations"). Tiles add the other six in f32, 16 pairs of k before they come to the sum, so that a sum is rounded less
 * often than by multiply-adds one after the other.
 *
 * TDPBF16PS takes denormals for zero. So both operands are multiplied by 2^24 first, which makes every part of every f32 a
 * normal number, and sums are divided by 2^48 at the end. What that costs is range: see gemm.h. Of infinity m is infinity
 * less infinity, so that it becomes NaN; l of a NaN is a NaN.
 *
 * Two rows of 16 f32 become three of 16 pairs of bfloat16, k being the first of a pair and k + 16 the second: nothing moves
 * across lanes, neither in a panel of weights nor in a row of activations. Both are split on the stack, a part at a time:
 *
 *   up to ROW_BLOCKS blocks of 16 rows
 *     up to PAIRS pairs of panels, whose sums rest in a buffer while the chunks pass
 *       a chunk of STEPS tiles of k; the rows' part of it is split here
 *         a pair of panels; its part was split while the pair before was multiplied
 *           a block of 16 rows by 32 columns
 *
 * A chunk of a block and of a pair fits in L1. As in gemm_amx.c few tile registers are in use, and the vector units make
 * outputs of one block while the next is multiplied.
 */
#if defined(__x86_64__)

#include "kernel/amx_tiles.h"
#include "kernel/gemm.h"
#include "kernel/vec_avx512.h"
#include "kernel/act_tmpl.h"

k_gemm_fn k_gemm_f32_amx;

#define UNIT 0x1p24f
enum {
    BLOCK_ROWS = 16,
    BLOCK_COLS = 32,
    ROW_BLOCKS = 16,
    PAIRS = 12,
    STEPS = 4,
    STEP = 32,        /* k of one tile */
    TILE = 1024,      /* bytes of one */
    SPLIT = 3 * TILE, /* the three parts of one: h, m, l */
    AHEAD = 2048      /* bytes of a panel fetched before they are split */
};

#define EP_COLS BLOCK_COLS
#define EP_INT 0
#define EP_EXACT 1
#define EP_UNIT (1.0f / (UNIT * UNIT))
#define EP_SUFFIX split
#include "kernel/epilogue_tmpl.h"

/* Sums of a block, whose rows [done, n_rows) wait for their epilogue. */
typedef struct f32_block {
    const int32_t *acc;
    int row, col, n_rows, done;
} f32_block;

/* Two panels' part of a chunk: of its n rows of pairs the first `done` are split. */
typedef struct f32_panels {
    const char *from; /* of the first panel */
    size_t panel_bytes;
    char *to; /* [2][STEPS] splits */
    int n, done;
} f32_panels;

typedef struct f32_pass {
    const k_gemm *g;
    int height;       /* rows of each block; the last may have fewer */
    f32_panels next;  /* being split, split_share rows of pairs at a time */
    f32_block before; /* being made into outputs, row_share rows at a time */
    int split_share, row_share;
    char a[ROW_BLOCKS][STEPS * SPLIT] __attribute__((aligned(64)));
    char b[2][2 * STEPS * SPLIT] __attribute__((aligned(64))); /* in turns */
    int32_t sums[PAIRS][ROW_BLOCKS][BLOCK_ROWS * BLOCK_COLS] __attribute__((aligned(64)));
} f32_pass;

/* The 16 values at `low` and those at `high` become a row of three tiles, the first of which is at `to`. */
static inline __attribute__((always_inline)) void split(const float *low, const float *high, char *to)
{
    const __m512i half = _mm512_set1_epi32(0x8000), top = _mm512_set1_epi32((int)0xffff0000u);
    const __m512 unit = _mm512_set1_ps(UNIT);
    __m512 x0 = _mm512_mul_ps(_mm512_loadu_ps(low), unit), x1 = _mm512_mul_ps(_mm512_loadu_ps(high), unit);
#pragma GCC unroll 2
    for (int part = 0; part < 2; part++, to += TILE) {
        const __m512i u0 = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x0), half), top);
        const __m512i u1 = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x1), half), top);
        _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(u0, 16), u1));
        x0 = _mm512_sub_ps(x0, _mm512_castsi512_ps(u0));
        x1 = _mm512_sub_ps(x1, _mm512_castsi512_ps(u1));
    }
    _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(x0), 16), _mm512_castps_si512(x1)));
}

/* The next n rows of pairs, or what is left of them. */
static inline __attribute__((always_inline)) void split_panels(f32_panels *x, int n)
{
    const int end = x->n - x->done < n ? x->n : x->done + n;
    for (int i = x->done; i < end; i++) {
        const char *from = x->from + (size_t)(i / 16 * STEP + i % 16) * 64;
        char *to = x->to + i / 16 * SPLIT + i % 16 * 64;
        for (int panel = 0; panel < 2; panel++, from += x->panel_bytes, to += STEPS * SPLIT) {
            __builtin_prefetch(from + AHEAD, 0, 2);
            __builtin_prefetch(from + AHEAD + 1024, 0, 2);
            split((const void *)from, (const void *)(from + 1024), to);
        }
    }
    x->done = end;
}

/* Rows [first, first + n_rows) of a, k in [k, k + steps * STEP). */
static void split_rows(f32_pass *t, int first, int n_rows, int k, int steps)
{
    for (int r = 0; r < n_rows; r++) {
        const float *from = (const float *)t->g->a + (size_t)(first + r) * t->g->a_stride + k;
        char *to = t->a[r / t->height] + r % t->height * 64;
        for (int s = 0; s < steps; s++, from += STEP, to += SPLIT)
            split(from, from + 16, to);
    }
}

/* The next n rows of the block before, or what is left of them. */
static inline __attribute__((always_inline)) void finish(f32_pass *t, int n)
{
    f32_block *b = &t->before;
    if (b->done >= b->n_rows)
        return;
    n = n < b->n_rows - b->done ? n : b->n_rows - b->done;
    ep_rows(t->g, b->acc + b->done * BLOCK_COLS, b->row + b->done, n, b->col);
    b->done += n;
}

static inline __attribute__((always_inline)) void beside(f32_pass *t)
{
    split_panels(&t->next, t->split_share);
    finish(t, t->row_share);
}

/* acc (+)= a . b over `steps`, one panel after the other; a is [STEPS] splits, b [2][STEPS]. */
static inline __attribute__((always_inline)) void multiply(f32_pass *t, const char *a, const char *b, int steps, bool first,
                                                           int32_t *acc)
{
    for (int panel = 0; panel < 2; panel++, acc += K_PANEL, b += STEPS * SPLIT) {
        if (first)
            _tile_zero(0);
        else
            _tile_loadd(0, acc, BLOCK_COLS * 4);
        for (int s = 0; s < steps; s++) {
            const char *as = a + s * SPLIT, *bs = b + s * SPLIT;
            _tile_loadd(4, as, 64);
            _tile_loadd(6, bs + 2 * TILE, 64);
            _tile_dpbf16ps(0, 4, 6); /* h l */
            _tile_zero(6);
            _tile_loadd(6, bs + TILE, 64);
            _tile_dpbf16ps(0, 4, 6); /* h m */
            _tile_zero(4);
            _tile_loadd(4, as + TILE, 64);
            _tile_dpbf16ps(0, 4, 6); /* m m */
            _tile_zero(6);
            beside(t);
            _tile_loadd(6, bs, 64);
            _tile_dpbf16ps(0, 4, 6); /* m h */
            _tile_zero(4);
            _tile_loadd(4, as + 2 * TILE, 64);
            _tile_dpbf16ps(0, 4, 6); /* l h */
            _tile_zero(4);
            _tile_loadd(4, as, 64);
            _tile_dpbf16ps(0, 4, 6); /* h h */
            _tile_zero(4);
            _tile_zero(6);
            beside(t);
        }
        _tile_stored(0, acc, BLOCK_COLS * 4);
    }
    _tile_zero(0);
}

/* Steps [step, step + steps) of rows [first, first + n_rows), which are split, and of panels [begin, end). */
static void chunk(f32_pass *t, int first, int n_rows, int step, int steps, int begin, int end)
{
    const k_weights *w = t->g->w;
    const int n_blocks = (n_rows + t->height - 1) / t->height;
    const bool last = (step + steps) * STEP == w->k_pad;
    const size_t panel_bytes = (size_t)w->k_pad * K_PANEL * sizeof(float);
    const char *panel =
        (const char *)w->panels + (size_t)begin * panel_bytes + (size_t)step * STEP * K_PANEL * sizeof(float);
    t->next = (f32_panels){panel, panel_bytes, t->b[0], 16 * steps, 0};
    for (int pair = 0, p = begin; p < end; p += 2, pair++) {
        split_panels(&t->next, t->next.n);
        panel += 2 * panel_bytes;
        if (p + 2 < end)
            t->next = (f32_panels){panel, panel_bytes, t->b[(pair + 1) % 2], 16 * steps, 0};
        for (int i = 0; i < n_blocks; i++) {
            const int row = i * t->height, left = n_rows - row;
            int32_t *acc = t->sums[pair][i];
            multiply(t, t->a[i], t->b[pair % 2], steps, step == 0, acc);
            if (!last)
                continue;
            finish(t, BLOCK_ROWS);
            t->before = (f32_block){acc, first + row, p * K_PANEL, left < t->height ? left : t->height, 0};
        }
    }
}

/* Rows [first, first + n_rows), ROW_BLOCKS blocks at most. */
static void rows_of(f32_pass *t, int first, int n_rows)
{
    const k_gemm *g = t->g;
    const int n_steps = g->w->k_pad / STEP, n_blocks = (n_rows + t->height - 1) / t->height;
    t->split_share = (16 + 4 * n_blocks - 1) / (4 * n_blocks); /* beside() is called four times a step of a block */
    for (int begin = g->panel_begin; begin < g->panel_end; begin += 2 * PAIRS) {
        const int end = g->panel_end - begin < 2 * PAIRS ? g->panel_end : begin + 2 * PAIRS;
        for (int step = 0; step < n_steps; step += STEPS) {
            const int steps = n_steps - step < STEPS ? n_steps - step : STEPS;
            t->row_share = (t->height + 4 * steps - 1) / (4 * steps);
            split_rows(t, first, n_rows, step * STEP, steps);
            chunk(t, first, n_rows, step, steps, begin, end);
        }
        finish(t, BLOCK_ROWS); /* the next columns' sums come to the same place */
    }
}

/* Rows are shared out evenly among blocks, so that tiles are configured once. What the last block lacks is left from
 * blocks before it, or not even that, and its sums go nowhere. */
void k_gemm_f32_amx(const k_gemm *g)
{
    if (g->rows == 0)
        return;
    const int n_blocks = (g->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, height = (g->rows + n_blocks - 1) / n_blocks;
    const int n_passes = (n_blocks + ROW_BLOCKS - 1) / ROW_BLOCKS;
    f32_pass t;
    t.g = g;
    t.height = height;
    t.before.n_rows = t.before.done = 0;
    amx_configure((int[8]){height, 1, 1, 1, height, 1, 16, 1});
    for (int i = 0, first = 0; i < n_passes; i++) {
        const int passed = n_blocks * (i + 1) / n_passes * height, end = passed < g->rows ? passed : g->rows;
        rows_of(&t, first, end - first);
        first = end;
    }
    _tile_release();
}

#else
typedef int hd_not_this_machine;
#endif
