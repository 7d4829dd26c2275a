/* head.c - see head.h. */
#include "encoder/head.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "encoder/block.h"
#include "encoder/pooling.h"

enum { VOCAB_ROWS = 64 }; /* tokens whose logits are there at a time: as many as the product needs to be fast */

/* ---- binding ---- */

static hd_status bind_scores_dense(hd_encoder *e, hd_weights *w, const hd_score_head_names *names, hd_activation activation,
                                   hd_head_step *step, hd_error *err)
{
    const int hidden = (int)e->settings->hidden;
    const hd_linear_part part = {.prefix = names->dense, .n = hidden, .no_bias = names->no_dense_bias};
    step->activation = hd__epilogue_of(activation);
    HD_TRY(hd__weights_linear(w, "scores.dense", K_F32, &part, 1, hidden, &step->linear, err));
    if (names->norm == NULL)
        return HD_OK;
    return hd__weights_norm(w, "scores.norm", names->norm, hidden, !names->no_norm_bias, e->settings->norm_eps, &step->norm,
                            err);
}

hd_status hd__bind_scores(hd_encoder *e, hd_weights *w, const hd_score_head_names *names, hd_activation activation,
                          hd_error *err)
{
    const int hidden = (int)e->settings->hidden, n_labels = (int)e->settings->n_labels;
    const hd_linear_part out = {.prefix = names->out, .n = n_labels, .no_bias = names->no_out_bias};
    hd_row_head *head = &e->scores;
    if ((e->settings->heads & HD_HEAD_SCORES) == 0 || e->settings->judges)
        return HD_OK;
    if (names->dense != NULL)
        HD_TRY(bind_scores_dense(e, w, names, activation, &head->steps[head->n_steps++], err));
    hd_head_step *last = &head->steps[head->n_steps++];
    last->activation = K_STORE;
    head->pooling = e->settings->score_pooling;
    head->n_pooled = hidden;
    head->n_out = n_labels;
    return hd__weights_linear(w, "scores.out", K_F32, &out, 1, hidden, &last->linear, err);
}

hd_status hd__bind_answers(hd_encoder *e, hd_weights *w, const hd_vocab_head_names *names, hd_error *err)
{
    const hd_settings *set = e->settings;
    const hd_linear_part all = {.prefix = names->decoder, .n = (int)set->vocab_size, .tied = names->words};
    const hd_linear_part alone = {.prefix = "score", .n = 2};
    if (!set->judges)
        return HD_OK;
    hd_row_head *head = &e->scores;
    hd_head_step *step = &head->steps[head->n_steps++];
    step->activation = K_STORE;
    head->pooling = set->score_pooling;
    head->n_pooled = (int)set->hidden;
    head->n_out = 1;
    return set->answers_alone
               ? hd__weights_difference(w, "scores.answers", &alone, 0, 1, (int)set->hidden, &step->linear, err)
               : hd__weights_difference(w, "scores.answers", &all, set->answers[1], set->answers[0], (int)set->hidden,
                                        &step->linear, err);
}

hd_status hd__bind_vocab(hd_encoder *e, hd_weights *w, const hd_vocab_head_names *names, hd_error *err)
{
    const hd_settings *set = e->settings;
    const int hidden = (int)set->hidden;
    bool tied;
    if (!set->sparse_by_vocabulary)
        return HD_OK;
    const hd_linear_part dense = {.prefix = names->dense, .n = hidden, .no_bias = names->no_dense_bias};
    const hd_linear_part decoder = {
        .prefix = names->decoder, .n = (int)set->vocab_size, .bias = names->decoder_bias, .tied = names->words};
    HD_TRY(hd__weights_linear(w, "vocab.dense", e->type, &dense, 1, hidden, &e->vocab.dense, err));
    HD_TRY(hd__weights_norm(w, "vocab.norm", names->norm, hidden, !names->no_norm_bias, set->norm_eps, &e->vocab.norm, err));
    HD_TRY(hd__weights_linear(w, "vocab.decoder", e->type, &decoder, 1, hidden, &e->vocab.decoder, err));
    e->vocab.activation = hd__epilogue_of(set->activation);
    HD_TRY(hd__weights_tied(w, &decoder, &tied, err));
    e->embedding.tied = tied ? &e->vocab.decoder : NULL;
    return HD_OK;
}

static hd_status bind_dense(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const hd_settings *set = e->settings;
    hd_row_head *head = &e->dense;
    head->pooling = set->pooling;
    head->n_pooled = head->n_out = (int)set->hidden * __builtin_popcount(set->pooling);
    head->n_steps = set->n_dense;
    for (uint32_t i = 0; i < set->n_dense; i++) {
        const hd_dense_settings *dense = &set->dense[i];
        if ((int)dense->n_in != head->n_out)
            return hd__fail(err, HD_ERR_FORMAT, "%s/config.json: in_features %u, but %d values arrive", dense->dir,
                            dense->n_in, head->n_out);
        HD_TRY(hd__weights_dense(w, dense, i, K_F32, &head->steps[i].linear, err));
        head->steps[i].activation = hd__epilogue_of(dense->activation);
        head->n_out = (int)dense->n_out;
    }
    return HD_OK;
}

/* Of each token: bge-m3's file, or the Dense modules of late interaction. */
static hd_status bind_token_steps(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const hd_settings *set = e->settings;
    if (set->colbert_linear != NULL) {
        e->n_token_steps = 1;
        e->token_steps[0].activation = K_STORE;
        return hd__weights_file_linear(w, set->colbert_linear, "colbert", e->type, (int)set->n_token_out, (int)set->hidden,
                                       &e->token_steps[0].linear, err);
    }
    e->n_token_steps = set->n_dense;
    for (uint32_t i = 0; i < set->n_dense; i++) {
        HD_TRY(hd__weights_dense(w, &set->dense[i], i, e->type, &e->token_steps[i].linear, err));
        e->token_steps[i].activation = hd__epilogue_of(set->dense[i].activation);
    }
    return HD_OK;
}

hd_status hd__bind_heads(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const hd_settings *set = e->settings;
    const int hidden = (int)set->hidden;
    if (((set->heads & HD_HEAD_SCORES) != 0 && e->scores.n_steps == 0) ||
        (set->sparse_by_vocabulary && e->vocab.decoder.n == 0))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: Heddle does not run the head of \"%s\"", set->dir,
                        set->architecture);
    if ((set->heads & HD_HEAD_DENSE) != 0)
        HD_TRY(bind_dense(e, w, err));
    if (set->sparse_linear != NULL)
        HD_TRY(hd__weights_file_linear(w, set->sparse_linear, "sparse", K_F32, 1, hidden, &e->token_weight, err));
    if ((set->heads & HD_HEAD_MULTI) != 0)
        HD_TRY(bind_token_steps(e, w, err));
    e->heads = set->heads | HD_HEAD_TOKENS;
    e->n_out = e->dense.n_out;
    e->n_token_out = (int)set->n_token_out;
    e->n_labels = e->scores.n_out;
    e->sparse_by_vocabulary = set->sparse_by_vocabulary;
    e->skip_first_token = set->colbert_linear != NULL;
    return HD_OK;
}

/* ---- planning ---- */

uint32_t hd__picked_pooling(const hd_encoder *e, uint32_t heads)
{
    const uint32_t pooling = heads == HD_HEAD_DENSE ? e->dense.pooling : heads == HD_HEAD_SCORES ? e->scores.pooling : 0;
    return hd__pools_one_row(pooling) ? pooling : 0;
}

int hd__context_width(const hd_encoder *e)
{
    const int hidden = (int)e->settings->hidden, q_width = hd__q_width(e->settings);
    int width = q_width > hidden ? q_width : hidden;
    for (uint32_t i = 0; i < e->n_token_steps; i++)
        width = e->token_steps[i].linear.n > width ? e->token_steps[i].linear.n : width;
    return width;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t hd__head_scratch_bytes(const hd_encoder *e, int n_tokens)
{
    const int vocab_rows = n_tokens < VOCAB_ROWS ? n_tokens : VOCAB_ROWS;
    const int token_rows = e->n_token_steps > 1 ? n_tokens : 0;
    const size_t rows =
        most(hd__row_head_scratch_bytes(&e->dense, n_tokens), hd__row_head_scratch_bytes(&e->scores, n_tokens));
    const size_t tokens = (size_t)token_rows * k_row_stride(hd__context_width(e), K_F32) * sizeof(float);
    const size_t vocab = (size_t)vocab_rows * k_row_stride(e->vocab.decoder.n, K_F32) * sizeof(float);
    return most(rows, most(tokens, vocab));
}

/* ---- forward ---- */

static void give_states(const hd_states *s)
{
    const size_t n = s->encoder->settings->hidden;
    for (hd_phase p = hd__phase_begin(s->run, (uint32_t)s->n_rows); hd__phase_take(s->run, &p);) {
        for (size_t i = p.begin; i < p.end; i++)
            memcpy(s->batch->token_states + i * n, s->x + i * s->x_stride, n * sizeof(float));
    }
}

static void weigh_tokens(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_act in = {.type = K_F32, .data = s->x, .stride = s->x_stride};
    e->device->linear(&e->kernels, s->run, &e->token_weight, NULL, &in, s->n_rows, 0, K_PANEL_STEP, K_RELU, K_F32,
                      s->context, s->context_stride);
    for (hd_phase p = hd__phase_begin(s->run, (uint32_t)s->n_rows); hd__phase_take(s->run, &p);) {
        for (size_t i = p.begin; i < p.end; i++)
            s->batch->token_weights[i] = s->context[i * s->context_stride];
    }
}

/* A step reads its input's rows while it writes its own: they take turns in two places. */
static void project_tokens(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const size_t n = (size_t)e->n_token_out;
    float *rows = (float *)(void *)s->head, *other = s->context;
    hd_act in = s->in;
    for (uint32_t k = 0; k < e->n_token_steps; k++) {
        const hd_head_step *step = &e->token_steps[k];
        float *before = rows;
        rows = other;
        other = before;
        if (k > 0) {
            in = hd__states_input(&s->act, before, s->context_stride);
            e->device->convert(&e->kernels, s->run, before, s->context_stride, s->n_rows, step->linear.k, &in);
        }
        e->device->linear(&e->kernels, s->run, &step->linear, NULL, &in, s->n_rows, 0, step->linear.n_pad / K_PANEL,
                          step->activation, K_F32, rows, s->context_stride);
    }
    for (hd_phase p = hd__phase_begin(s->run, (uint32_t)s->n_rows); hd__phase_take(s->run, &p);) {
        for (size_t i = p.begin; i < p.end; i++) {
            const float *row = rows + i * s->context_stride;
            const float length = sqrtf(e->kernels.dot(row, row, n)), scale = 1.0f / fmaxf(length, 1e-12f);
            for (size_t j = 0; j < n; j++)
                s->batch->token_vectors[i * n + j] = row[j] * scale;
        }
    }
}

/* What a logit that is not below 0 weighs. */
static float weight_of(const hd_settings *set, float logit)
{
    const float once = log1pf(logit);
    return set->sparse_log_twice ? log1pf(once) : once;
}

/* weights[id] += what the token's logit weighs, for ids [first, end). A NaN stays. */
static void add_weights(const hd_settings *set, const float *logit, size_t first, size_t end, float *weights)
{
    for (size_t id = first; id < end; id++)
        if (!(logit[id] <= 0.0f))
            weights[id] += weight_of(set, logit[id]);
}

/* Logits to weights[id], for ids [first, end), over n_rows tokens from row `at` on: the sum of what they weigh, or until all
 * are known the greatest of them. The first token of a sequence finds zeros. A NaN stays. */
static void gather(const hd_settings *set, const hd_batch *batch, const float *logits, size_t stride, int at, int n_rows,
                   size_t first, size_t end)
{
    const size_t vocab = set->vocab_size;
    int sequence = 0;
    for (int row = at; row < at + n_rows; row++) {
        while (batch->begin[sequence + 1] <= row)
            sequence++;
        float *weights = batch->vocab_weights + (size_t)sequence * vocab;
        const float *logit = logits + (size_t)(row - at) * stride;
        if (row == batch->begin[sequence])
            memset(weights + first, 0, (end - first) * sizeof *weights);
        if (set->sparse_sums)
            add_weights(set, logit, first, end, weights);
        for (size_t id = first; id < end && !set->sparse_sums; id++)
            weights[id] = logit[id] > weights[id] || logit[id] != logit[id] ? logit[id] : weights[id];
    }
}

/* The masked-language head, some tokens at a time. Its rows take the place of context, their conversion that of act. */
static void weigh_vocabulary(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_vocab_head *head = &e->vocab;
    const size_t vocab = (size_t)head->decoder.n, stride = k_row_stride(head->decoder.n, K_F32);
    float *logits = (float *)(void *)s->head, *all = s->batch->vocab_weights;
    e->device->linear(&e->kernels, s->run, &head->dense, NULL, &s->in, s->n_rows, 0, head->dense.n_pad / K_PANEL,
                      head->activation, K_F32, s->context, s->context_stride);
    const hd_act in = hd__states_input(&s->act, s->context, s->context_stride);
    e->device->norm(&e->kernels, s->run, &head->norm, s->context, s->context_stride, s->n_rows, false, &in);
    for (int at = 0; at < s->n_rows; at += VOCAB_ROWS) {
        const int n_rows = s->n_rows - at < VOCAB_ROWS ? s->n_rows - at : VOCAB_ROWS;
        const hd_act rows = hd__act_from(&in, (size_t)at);
        e->device->linear(&e->kernels, s->run, &head->decoder, NULL, &rows, n_rows, 0, head->decoder.n_pad / K_PANEL,
                          K_STORE, K_F32, logits, stride);
        for (hd_phase p = hd__phase_begin(s->run, (uint32_t)vocab); hd__phase_take(s->run, &p);)
            gather(e->settings, s->batch, logits, stride, at, n_rows, p.begin, p.end);
    }
    const uint32_t n_greatest = e->settings->sparse_sums ? 0 : (uint32_t)s->batch->n_sequences;
    for (hd_phase p = hd__phase_begin(s->run, n_greatest); hd__phase_take(s->run, &p);) {
        for (size_t i = p.begin * vocab; i < p.end * vocab; i++) {
            if (all[i] != 0.0f)
                all[i] = weight_of(e->settings, all[i]);
        }
    }
}

void hd__heads_forward(hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_batch *batch = s->batch;
    const uint32_t heads = batch->heads;
    if ((heads & HD_HEAD_DENSE) != 0)
        hd__row_head_forward(e, &e->dense, s->run, batch, s->x, s->x_stride, s->picked, s->head, batch->out);
    if ((heads & HD_HEAD_SCORES) != 0)
        hd__row_head_forward(e, &e->scores, s->run, batch, s->x, s->x_stride, s->picked, s->head, batch->scores);
    if ((heads & HD_HEAD_TOKENS) != 0)
        give_states(s);
    if ((heads & HD_HEAD_MULTI) != 0)
        project_tokens(s);
    if ((heads & HD_HEAD_SPARSE) != 0) {
        if (e->sparse_by_vocabulary)
            weigh_vocabulary(s);
        else
            weigh_tokens(s);
    }
}
