/* mmr.c - see mmr.h. */
#include "search/mmr.h"

#include <math.h>

#include "base/alloc.h"

hd_status hd__mmr_pick(const float *scores, const float *vectors, size_t n, size_t n_dimensions, float lambda,
                       size_t n_picked, hd_mmr_wanted *wanted, void *data, hd_arena *arena, uint32_t *picked, hd_error *err)
{
    float *nearest = hd__arena_calloc(arena, n + 1, sizeof *nearest); /* to a picked one */
    bool *is_picked = hd__arena_calloc(arena, n + 1, sizeof *is_picked);
    if (nearest == NULL || is_picked == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the diversity of %zu hits", n);
    const float width = n > 0 ? scores[0] - scores[n - 1] : 0;
    for (size_t at = 0; at < n_picked; at++) {
        size_t best = n;
        if (wanted != NULL && !wanted(data))
            return hd__fail(err, HD_ERR_CANCELLED, "the search was cancelled");
        float best_value = 0;
        for (size_t i = 0; i < n; i++) {
            const float relevance = width > 0 ? (scores[i] - scores[n - 1]) / width : 1;
            const float value = lambda * relevance - (1 - lambda) * nearest[i];
            if (!is_picked[i] && (best == n || value > best_value)) {
                best = i;
                best_value = value;
            }
        }
        is_picked[best] = true;
        picked[at] = (uint32_t)best;
        for (size_t i = 0; i < n; i++) {
            const float cosine = hd_cosine(vectors + best * n_dimensions, vectors + i * n_dimensions, n_dimensions);
            nearest[i] = at == 0 ? cosine : fmaxf(nearest[i], cosine);
        }
    }
    return HD_OK;
}
