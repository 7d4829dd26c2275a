/* gemm_amx_tmpl.h - the body of gemm_amx.c, once for each type: AMX_NAME the symbol, AMX_DOT the tile product. */

/* Accumulators waiting for their epilogue. */
typedef struct amx_block {
    int32_t acc[BLOCK * BLOCK] __attribute__((aligned(64)));
    int row, n_rows, col;
} amx_block;

void AMX_NAME(const k_gemm *g)
{
    const k_weights *w = g->w;
    size_t a_bytes = g->a_stride * k_type_bytes(w->type);
    int steps = (int)((size_t)w->k_pad * k_type_bytes(w->type) / 64);
    size_t panel_bytes = (size_t)steps * 1024;
    amx_block blocks[2], *now = &blocks[0], *before = &blocks[1];
    before->n_rows = 0;
    int configured = 0;

    for (int p = g->panel_begin; p < g->panel_end; p += 2) {
        const char *panel = (const char *)w->panels + (size_t)p * panel_bytes;
        for (int row = 0; row < g->rows; row += BLOCK) {
            now->row = row;
            now->n_rows = g->rows - row < BLOCK ? g->rows - row : BLOCK;
            now->col = p * K_PANEL;
            int upper = now->n_rows < 16 ? now->n_rows : 16, lower = now->n_rows - upper;
            if (configured != now->n_rows)
                configure(upper, lower);
            configured = now->n_rows;

            const char *a = (const char *)g->a + (size_t)row * a_bytes;
            const char *b = panel;
            int done = 0; /* rows of `before` finished */
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
                    int until = before->n_rows * (s + 1) / steps;
                    ep_rows(g, before->acc + done * BLOCK, before->row + done, until - done, before->col);
                    done = until;
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
                    int until = before->n_rows * (s + 1) / steps;
                    ep_rows(g, before->acc + done * BLOCK, before->row + done, until - done, before->col);
                    done = until;
                }
            }
            _tile_stored(0, now->acc, BLOCK * 4);
            _tile_stored(1, now->acc + 16, BLOCK * 4);
            amx_block *swap = before;
            before = now;
            now = swap;
        }
    }
    ep_rows(g, before->acc, before->row, before->n_rows, before->col);
    _tile_release();
}
