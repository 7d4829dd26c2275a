/* measures.c - see measures.h. */
#include "search/measures.h"

#include <math.h>
#include <stdlib.h>

#define AT 10u
#define FAR_AT 100u

static int compare_grades(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x > y ? -1 : x < y;
}

static double gain(const int32_t *grades, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n && i < AT; i++)
        sum += grades[i] > 0 ? grades[i] / log2((double)i + 2) : 0;
    return sum;
}

static size_t count_relevant(const int32_t *grades, size_t n)
{
    size_t n_relevant = 0;
    for (size_t i = 0; i < n; i++)
        n_relevant += grades[i] > 0;
    return n_relevant;
}

hd_measures hd__measures_of(const int32_t *ranked, size_t n_ranked, int32_t *judged, size_t n_judged)
{
    hd_measures m = {0};
    const size_t n_relevant = count_relevant(judged, n_judged);
    if (n_relevant == 0)
        return m;
    qsort(judged, n_judged, sizeof *judged, compare_grades);
    m.ndcg_10 = gain(ranked, n_ranked) / gain(judged, n_judged);
    for (size_t i = 0; i < n_ranked && i < AT && m.mrr_10 == 0; i++)
        m.mrr_10 = ranked[i] > 0 ? 1 / (double)(i + 1) : 0;
    m.recall_10 = (double)count_relevant(ranked, n_ranked < AT ? n_ranked : AT) / (double)n_relevant;
    m.recall_100 = (double)count_relevant(ranked, n_ranked < FAR_AT ? n_ranked : FAR_AT) / (double)n_relevant;
    return m;
}
