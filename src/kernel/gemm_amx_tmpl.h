/* gemm_amx_tmpl.h - the body of gemm_amx.c, once for each type: AMX_NAME the symbol, AMX_DOT the tile product. */

/* Rows are shared out evenly among blocks, all of the same height so that tiles are configured once; the last block
 * begins early and skips the rows it shares with the one before. */
void AMX_NAME(const k_gemm *g)
{
    if (g->rows == 0)
        return;
    const k_weights *w = g->w;
    const size_t a_bytes = g->a_stride * k_type_bytes(w->type);
    const int steps = (int)((size_t)w->k_pad * k_type_bytes(w->type) / 64);
    const size_t panel_bytes = (size_t)steps * 1024;
    const int n_blocks = (g->rows + BLOCK - 1) / BLOCK, height = (g->rows + n_blocks - 1) / n_blocks;
    const int upper = height < 16 ? height : 16, lower = height - upper;
    amx_block blocks[2], *now = &blocks[0], *before = &blocks[1];
    before->n_rows = before->skip = before->row = before->col = 0;
    const int share = (height + steps - 1) / steps; /* rows of the previous block finished in each step */
    amx_configure((int[8]){upper, upper, lower, lower, upper, lower, 16, 16});

    for (int p = g->panel_begin; p < g->panel_end; p += 2) {
        const char *panel = (const char *)w->panels + (size_t)p * panel_bytes;
        k_ahead ahead = k_ahead_of(g, p, 2, n_blocks * steps);
        for (int i = 0; i < n_blocks; i++) {
            now->row = i * height + height <= g->rows ? i * height : g->rows - height;
            now->skip = i * height - now->row;
            now->n_rows = height;
            now->col = p * K_PANEL;
            const char *a = (const char *)g->a + (size_t)now->row * a_bytes;
            const char *b = panel;
            int done = before->skip; /* rows of `before` finished */
#define AMX_BEFORE                                                                                                          \
    k_ahead_turn(&ahead);                                                                                                   \
    if (done < before->n_rows) {                                                                                            \
        int n = before->n_rows - done < share ? before->n_rows - done : share;                                              \
        ep_rows(g, before->acc + done * BLOCK, before->row + done, n, before->col);                                         \
        done += n;                                                                                                          \
    }
            _tile_zero(0);
            _tile_zero(1);
            if (lower > 0) {
                _tile_zero(2);
                _tile_zero(3);
                for (int s = 0; s < steps; s++, a += 64, b += 1024) {
                    _tile_loadd(6, b, 64);
                    _tile_loadd(4, a, a_bytes);
                    _tile_loadd(7, b + panel_bytes, 64);
                    _tile_loadd(5, a + 16 * a_bytes, a_bytes);
                    AMX_DOT(0, 4, 6);
                    AMX_DOT(1, 4, 7);
                    AMX_DOT(2, 5, 6);
                    AMX_DOT(3, 5, 7);
                    AMX_BEFORE
                }
                _tile_stored(2, now->acc + 16 * BLOCK, BLOCK * 4);
                _tile_stored(3, now->acc + 16 * BLOCK + 16, BLOCK * 4);
            } else {
                for (int s = 0; s < steps; s++, a += 64, b += 1024) {
                    _tile_loadd(6, b, 64);
                    _tile_loadd(4, a, a_bytes);
                    _tile_loadd(7, b + panel_bytes, 64);
                    AMX_DOT(0, 4, 6);
                    AMX_DOT(1, 4, 7);
                    AMX_BEFORE
                }
            }
#undef AMX_BEFORE
            _tile_stored(0, now->acc, BLOCK * 4);
            _tile_stored(1, now->acc + 16, BLOCK * 4);
            amx_block *swap = before;
            before = now;
            now = swap;
        }
    }
    ep_rows(g, before->acc + before->skip * BLOCK, before->row + before->skip, before->n_rows - before->skip, before->col);
    _tile_release();
}
