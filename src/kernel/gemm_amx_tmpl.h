/* gemm_amx_tmpl.h - the body of gemm_amx.c, once for each type: AMX_NAME the symbol, AMX_DOT the tile product; include
 * epilogue_tmpl.h first. */

#define finish EP_PASTE(finish_, EP_SUFFIX)
#define multiply EP_PASTE(multiply_, EP_SUFFIX)
#define columns EP_PASTE(columns_, EP_SUFFIX)

/* Row `done` of a block and those after it, up to n; returns the first that is not done. */
static inline __attribute__((always_inline)) int finish(const k_gemm *g, const amx_block *block, int done, int n)
{
    if (done >= block->n_rows)
        return done;
    n = n < block->n_rows - done ? n : block->n_rows - done;
    ep_rows(g, block->acc + done * BLOCK_COLS, block->row + done, n, block->col);
    return done + n;
}

/* to = from (NULL: zero) + a . b over n steps, b1 being the second panel; beside it, `share` rows of `before` in each
 * step. */
static inline __attribute__((always_inline)) void multiply(const k_gemm *g, const char *a, const char *b, const char *b1,
                                                           int n, const int32_t *from, int32_t *to, amx_block *before,
                                                           int share, k_ahead *ahead)
{
    const size_t a_bytes = g->a_stride * k_type_bytes(g->w->type);
    if (from == NULL) {
        _tile_zero(0);
        _tile_zero(1);
    } else {
        _tile_loadd(0, from, BLOCK_COLS * 4);
        _tile_loadd(1, from + K_PANEL, BLOCK_COLS * 4);
    }
    int done = before->done;
    for (int s = 0; s < n; s++, a += 64, b += 1024, b1 += 1024) {
        _tile_loadd(4, a, a_bytes);
        _tile_loadd(6, b, 64);
        AMX_DOT(0, 4, 6);
        _tile_zero(6);
        _tile_loadd(7, b1, 64);
        AMX_DOT(1, 4, 7);
        _tile_zero(4);
        _tile_zero(7);
        k_ahead_turn(ahead);
        done = finish(g, before, done, share);
    }
    before->done = done;
    _tile_stored(0, to, BLOCK_COLS * 4);
    _tile_stored(1, to + K_PANEL, BLOCK_COLS * 4);
}

/* Columns of the panels p and p + 1. Of the two blocks one is multiplied and the other made into outputs, in turns. */
static inline __attribute__((always_inline)) void columns(const k_gemm *g, int p, int n_blocks, int height,
                                                          amx_block blocks[2], int *turn)
{
    int32_t resting[RESTING][BLOCK_ROWS * BLOCK_COLS] __attribute__((aligned(64)));
    const k_weights *w = g->w;
    const size_t a_bytes = g->a_stride * k_type_bytes(w->type);
    const int steps = (int)((size_t)w->k_pad * k_type_bytes(w->type) / 64);
    const int n_chunks = n_blocks > FEW ? (steps + CHUNK - 1) / CHUNK : 1;
    const size_t panel_bytes = (size_t)steps * 1024;
    const char *panel = (const char *)w->panels + (size_t)p * panel_bytes;
    const bool plain = g->epilogue == K_STORE || g->epilogue == K_ADD || g->epilogue == K_MUL;
    const int even = (height * n_chunks + steps - 1) / steps, least = plain ? PLAIN_SHARE : ACTIVE_SHARE;
    const int share = even > least ? even : least; /* rows of the other block finished in each step */
    k_ahead ahead = n_blocks > FEW ? k_ahead_of(g, p, 2, n_blocks * steps) : (k_ahead){0};
    for (int first = 0; first < n_blocks; first += RESTING) {
        const int end = n_blocks - first < RESTING ? n_blocks : first + RESTING;
        for (int c = 0, step = 0, n; c < n_chunks; c++, step += n) {
            n = (steps - step) / (n_chunks - c);
            for (int i = first; i < end; i++) {
                const bool last = step + n == steps;
                const int row = i * height + height <= g->rows ? i * height : g->rows - height;
                const char *a = (const char *)g->a + (size_t)row * a_bytes + (size_t)step * 64;
                const char *b = panel + (size_t)step * 1024;
                amx_block *now = &blocks[*turn & 1], *before = &blocks[~*turn & 1];
                int32_t *rest = resting[i - first];
                multiply(g, a, b, b + panel_bytes, n, step == 0 ? NULL : rest, last ? now->acc : rest, before, share,
                         &ahead);
                if (!last)
                    continue;
                finish(g, before, before->done, height);
                now->row = row;
                now->col = p * K_PANEL;
                now->n_rows = height;
                now->done = i * height - row;
                ++*turn;
            }
        }
    }
}

/* Rows are shared out evenly among blocks, all of the same height so that tiles are configured once; the last block
 * begins early, and the rows it shares with the one before are done. */
void AMX_NAME(const k_gemm *g)
{
    if (g->rows == 0)
        return;
    const int n_blocks = (g->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, height = (g->rows + n_blocks - 1) / n_blocks;
    amx_block blocks[2];
    int turn = 0;
    blocks[1].n_rows = blocks[1].done = 0;
    amx_configure((int[8]){height, height, 1, 1, height, 1, 16, 16});
    for (int p = g->panel_begin; p < g->panel_end; p += 2)
        columns(g, p, n_blocks, height, blocks, &turn);
    const amx_block *last = &blocks[~turn & 1];
    finish(g, last, last->done, height);
    _tile_release();
}

#undef finish
#undef multiply
#undef columns
