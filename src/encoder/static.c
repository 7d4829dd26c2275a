/* static.c - model2vec (Tulkens and van Dongen 2024): a vector for each token, learned once, and no graph at all:
 *
 *   dense = mean over the tokens of weight[id] table[mapping[id]]
 *
 * The unknown token does not count, unless the files are sentence-transformers' own; what has no other is the zero vector.
 * Weights and mapping, which files may lack, are worked into the table when it is packed. Its last row is zero: the token
 * that stands for an empty text.
 */
#include <string.h>

#include "encoder/block.h"

static hd_status static_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const hd_settings *set = e->settings;
    if (set->pooling != HD_POOLING_MEAN)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: static models are pooled by the mean", set->dir);
    return hd__weights_static_words(w, (int)set->vocab_size, (int)set->hidden, &e->embedding, err);
}

static size_t static_scratch_bytes(const hd_encoder *e, const hd_room *room)
{
    return (size_t)room->n_tokens * k_row_stride((int)e->settings->hidden, K_F32) * sizeof(float);
}

/* out [n] = the mean of the tokens [begin, end) that count; the rows of others become zero. */
static void average(const hd_encoder *e, const hd_batch *batch, float *x, size_t stride, int begin, int end, float *out)
{
    const int n = (int)e->settings->hidden;
    int count = 0;
    for (int i = begin; i < end; i++) {
        if (batch->ids[i] != e->settings->unknown_id && batch->ids[i] != e->settings->pad_id)
            count++;
        else
            memset(x + (size_t)i * stride, 0, (size_t)n * sizeof *x);
    }
    e->kernels.pool_sum(x + (size_t)begin * stride, stride, end - begin, n, false, out);
    for (int j = 0; j < n && count > 0; j++)
        out[j] /= (float)count;
}

static void static_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch)
{
    (void)room;
    const size_t n = e->settings->hidden, stride = k_row_stride((int)n, K_F32);
    const bool spans = batch->n_spans > 0;
    const uint32_t n_tokens = (uint32_t)batch->n_tokens, n_rows = (uint32_t)(spans ? batch->n_spans : batch->n_sequences);
    float *x = (float *)(void *)scratch;
    e->device->embed(&e->kernels, run, &e->embedding, batch->ids, batch->positions, NULL, batch->n_tokens, x, stride);
    for (hd_phase p = hd__phase_begin(run, (batch->heads & HD_HEAD_TOKENS) != 0 ? n_tokens : 0); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++)
            memcpy(batch->token_states + i * n, x + i * stride, n * sizeof *x);
    }
    for (hd_phase p = hd__phase_begin(run, (batch->heads & HD_HEAD_DENSE) != 0 ? n_rows : 0); hd__phase_take(run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const int begin = spans ? batch->span_begin[i] : batch->begin[i] + batch->pool_begin[i];
            average(e, batch, x, stride, begin, spans ? batch->span_end[i] : batch->begin[i + 1], batch->out + i * n);
        }
    }
}

const hd_architecture hd__static = {
    .model_type = "model2vec",
    .no_device = true,
    .bind = static_bind,
    .scratch_bytes = static_scratch_bytes,
    .forward = static_forward,
};
