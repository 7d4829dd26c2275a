/* gemm_ahead.h - the next columns' weights, fetched into L2 while these columns' are at work.
 *
 * A model's weights are larger than L2, so each panel comes from L3 or memory, once in a product. Left to the
 * hardware, the first rows of each tile's panels wait for most of its lines. A pass over some panels therefore fetches as
 * many next ones, a share in each of its turns; after the last of a product those that its caller says come next.
 */
#ifndef HD_KERNEL_GEMM_AHEAD_H
#define HD_KERNEL_GEMM_AHEAD_H

#include "kernel/gemm.h"

#define K_AHEAD_GROUP 256 /* bytes, four lines: the loop costs as much as what it fetches if it takes one at a time */

typedef struct k_ahead {
    const char *at, *end; /* what is left of the next panels */
    size_t share;         /* bytes in each turn: whole groups */
} k_ahead;

/* For a pass of n_turns over n_panels panels from `panel` on. */
static inline k_ahead k_ahead_of(const k_gemm *g, int panel, int n_panels, int n_turns)
{
    const k_weights *w = g->w;
    const size_t panel_bytes = (size_t)w->k_pad * k_type_bytes(w->type) * K_PANEL;
    const int first = panel + n_panels, left = g->panel_end - first;
    const char *at = left > 0 ? (const char *)w->panels + (size_t)first * panel_bytes : g->next;
    const size_t bytes = at == NULL ? 0 : (size_t)(left > 0 && left < n_panels ? left : n_panels) * panel_bytes;
    const size_t groups = bytes / (size_t)n_turns / K_AHEAD_GROUP + 1;
    return (k_ahead){.at = at, .end = at + bytes, .share = groups * K_AHEAD_GROUP};
}

static inline void k_ahead_turn(k_ahead *x)
{
    if (x->at >= x->end)
        return;
    const size_t left = (size_t)(x->end - x->at);
    const char *to = x->at + (x->share < left ? x->share : left);
    for (; x->at < to; x->at += K_AHEAD_GROUP) {
        __builtin_prefetch(x->at, 0, 2);
        __builtin_prefetch(x->at + 64, 0, 2);
        __builtin_prefetch(x->at + 128, 0, 2);
        __builtin_prefetch(x->at + 192, 0, 2);
    }
}

#endif
