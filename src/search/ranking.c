/* ranking.c - see ranking.h. */
#include "search/ranking.h"

#include <math.h>
#include <string.h>

static float to_unit(float value, float least, float most)
{
    return most > least ? (value - least) / (most - least) : 1;
}

void hd__ranking_blend(hd_candidate *candidates, size_t n, size_t leg, float blend)
{
    float least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY}; /* reranked, fused */
    for (size_t i = 0; i < n; i++) {
        hd_candidate *c = &candidates[i];
        c->score = isnan(c->scores[leg]) ? 0 : c->scores[leg];
        least[0] = fminf(least[0], c->score);
        most[0] = fmaxf(most[0], c->score);
        least[1] = fminf(least[1], c->fused);
        most[1] = fmaxf(most[1], c->fused);
    }
    for (size_t i = 0; i < n && blend < 1; i++) {
        hd_candidate *c = &candidates[i];
        c->score = blend * to_unit(c->score, least[0], most[0]) + (1 - blend) * to_unit(c->fused, least[1], most[1]);
    }
    hd__candidates_sort(candidates, n);
}

size_t hd__ranking_floor(hd_candidate *candidates, size_t n, size_t leg, float least)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        const float score = leg < HD_N_LEGS ? candidates[i].scores[leg] : candidates[i].score;
        if (score >= least) /* not of NaN */
            candidates[n_kept++] = candidates[i];
    }
    return n_kept;
}

size_t hd__ranking_group(hd_candidate *candidates, const char **documents, size_t n)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n_kept && strcmp(documents[k], documents[i]) != 0)
            k++;
        if (k < n_kept)
            continue;
        candidates[n_kept] = candidates[i];
        documents[n_kept++] = documents[i];
    }
    return n_kept;
}

void hd__ranking_sandwich(uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)(n < 4 || i < 2 ? i : i < n - 2 ? i + 2 : i + 4 - n);
}
