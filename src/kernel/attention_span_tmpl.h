/* attention_span_tmpl.h - bias and reach on a block of scores, keys down, queries across; include a vec_*.h first. */
#include "kernel/attention_span.h"

/* So far below any score that its weight is zero, and finite: differences of two of them are no NaN. */
#define SPAN_HIDDEN (-0x1p100f)

/* Scores of the keys at hand, [n_keys][stride]: x * factor + bias in base-2 units, hidden where a query does not see the
 * key. bias is that of the head, or NULL. */
static void k_span_scores(const k_span *s, const float *bias, float factor, float *scores, int stride)
{
    const vf scale = vf_set1(factor), hidden = vf_set1(SPAN_HIDDEN), log2_e = vf_set1(1.44269504f);
    const bool cuts = k_span_cuts(s);
    const int begin = s->key, end = begin + s->n_keys, back = s->back, ahead = s->ahead;
    for (int v = 0; v < s->n; v += VF_LANES) {
        const int lanes = s->n - v < VF_LANES ? s->n - v : VF_LANES, first = s->first + v;
        float *p = scores + v;
        for (int key = begin; key < end; key++, p += stride) {
            vf x = vf_mul(vf_load(p), scale);
            if (bias != NULL)
                x = vf_fma(vf_load_n(bias + (first - key), lanes), log2_e, x);
            /* Lanes [low, high) see the key. */
            const int low = key - ahead - first, high = key + back - first + 1;
            if (cuts && low > 0)
                x = vf_select_n(hidden, x, low < VF_LANES ? low : VF_LANES);
            if (cuts && high < lanes)
                x = vf_select_n(x, hidden, high > 0 ? high : 0);
            vf_store(p, x);
        }
    }
}
