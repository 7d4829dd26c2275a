/* fusion.c - see fusion.h. Sums are of doubles in the order of the legs, so that the same lists give the same bits. */
#include "search/fusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const hd__leg_names[HD_N_LEGS + 1] = {"bm25", "dense", "sparse", "multi", "rerank", NULL};
const char *const hd__fusion_names[HD_FUSION_DBSF + 2] = {"rrf", "minmax", "zscore", "dbsf", NULL};

/* The place of a name, or of the NULL. */
static size_t find_name(const char *const *names, const char *name, size_t n)
{
    size_t i = 0;
    while (names[i] != NULL && (strlen(names[i]) != n || memcmp(names[i], name, n) != 0))
        i++;
    return i;
}

size_t hd__leg_find(const char *name, size_t n)
{
    return find_name(hd__leg_names, name, n);
}

bool hd__fusion_find(const char *name, size_t n, hd_fusion *fusion)
{
    const size_t i = find_name(hd__fusion_names, name, n);
    *fusion = (hd_fusion)i;
    return hd__fusion_names[i] != NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const hd_chunk_id i = ((const hd_candidate *)a)->id, k = ((const hd_candidate *)b)->id;
    return i < k ? -1 : i > k;
}

static int compare_scores(const void *a, const void *b)
{
    const hd_candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    const uint32_t rank_x = x->ranks[HD_AT_DENSE] - 1, rank_y = y->ranks[HD_AT_DENSE] - 1; /* none is past all others */
    if (rank_x != rank_y)
        return rank_x < rank_y ? -1 : 1;
    return compare_ids(a, b);
}

hd_status hd__candidates_collect(const hd_ranked_list lists[HD_N_LEGS], hd_arena *arena, hd_candidate **candidates,
                                 size_t *n, hd_error *err)
{
    size_t n_all = 0, n_unique = 0;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        n_all += lists[leg].n;
    hd_candidate *all = hd__arena_calloc(arena, n_all + 1, sizeof *all);
    if (all == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu candidates", n_all);
    hd_candidate *at = all;
    for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
        for (size_t i = 0; i < lists[leg].n; i++, at++) {
            at->id = lists[leg].items[i].id;
            for (size_t k = 0; k < HD_N_LEGS; k++)
                at->scores[k] = NAN;
            at->scores[leg] = lists[leg].items[i].score;
            at->ranks[leg] = (uint32_t)i + 1;
        }
    }
    qsort(all, n_all, sizeof *all, compare_ids);
    for (size_t i = 0; i < n_all; i++) {
        if (n_unique == 0 || all[n_unique - 1].id != all[i].id) {
            all[n_unique++] = all[i];
            continue;
        }
        for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
            if (all[i].ranks[leg] == 0)
                continue;
            all[n_unique - 1].scores[leg] = all[i].scores[leg];
            all[n_unique - 1].ranks[leg] = all[i].ranks[leg];
        }
    }
    *candidates = all;
    *n = n_unique;
    return HD_OK;
}

/* How a leg's scores become comparable: (score - origin) / width, then cut to [0, 1] if so; `equal` where width is 0. */
typedef struct scale {
    double origin, width, equal, missing;
    bool cut;
} scale;

static scale measure_scale(const hd_candidate *candidates, size_t n, size_t leg, hd_fusion fusion)
{
    double least = INFINITY, most = -INFINITY, sum = 0, squares = 0;
    size_t n_scored = 0;
    for (size_t i = 0; i < n; i++) {
        const double score = (double)candidates[i].scores[leg];
        if (isnan(score))
            continue;
        least = fmin(least, score);
        most = fmax(most, score);
        sum += score;
        n_scored++;
    }
    if (n_scored == 0 || least == most)
        return fusion == HD_FUSION_MINMAX   ? (scale){.equal = 1}
               : fusion == HD_FUSION_ZSCORE ? (scale){.equal = 0, .missing = -1}
                                            : (scale){.equal = 0.5};
    if (fusion == HD_FUSION_MINMAX)
        return (scale){.origin = least, .width = most - least, .cut = true};
    const double mean = sum / (double)n_scored;
    for (size_t i = 0; i < n; i++) {
        const double score = (double)candidates[i].scores[leg];
        squares += isnan(score) ? 0 : (score - mean) * (score - mean);
    }
    if (fusion == HD_FUSION_ZSCORE) {
        const double sd = sqrt(squares / (double)n_scored);
        return (scale){.origin = mean, .width = sd, .missing = (least - mean) / sd};
    }
    const double sd = sqrt(squares / (double)(n_scored - 1));
    return (scale){.origin = mean - 3 * sd, .width = 6 * sd, .cut = true};
}

static double scaled(const scale *s, float score)
{
    if (isnan(score))
        return s->missing;
    if (!(s->width > 0)) /* also where the differences are too small to be squared */
        return s->equal;
    const double value = ((double)score - s->origin) / s->width;
    return s->cut ? fmin(fmax(value, 0), 1) : value;
}

static double of_leg(const hd_candidate *c, size_t leg, const scale *s, const hd_fuse_options *options)
{
    if (options->fusion == HD_FUSION_RRF)
        return c->ranks[leg] > 0 ? 1 / ((double)options->rrf_k + c->ranks[leg]) : 0;
    return scaled(s, c->scores[leg]);
}

void hd__fuse(hd_candidate *candidates, size_t n, const hd_fuse_options *options)
{
    scale scales[HD_N_LEGS];
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        scales[leg] = measure_scale(candidates, n, leg, options->fusion);
    const bool alone = options->legs != 0 && (options->legs & (options->legs - 1)) == 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
            if ((options->legs >> leg & 1) == 0)
                continue;
            sum += alone ? (double)candidates[i].scores[leg]
                         : (double)options->weights[leg] * of_leg(&candidates[i], leg, &scales[leg], options);
        }
        candidates[i].fused = candidates[i].score = (float)sum;
    }
    hd__candidates_sort(candidates, n);
    for (size_t i = 0; i < n; i++)
        candidates[i].fused_rank = (uint32_t)i + 1;
}

void hd__candidates_sort(hd_candidate *candidates, size_t n)
{
    qsort(candidates, n, sizeof *candidates, compare_scores);
}
