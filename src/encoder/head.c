/* head.c - see head.h. */
#include "encoder/head.h"

#include <stdio.h>

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
    HD_TRY(hd__weights_linear(w, "scores.dense", K_F32, HD_OF_OTHERS, &part, 1, hidden, &step->linear, err));
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
    return hd__weights_linear(w, "scores.out", K_F32, HD_OF_OTHERS, &out, 1, hidden, &last->linear, err);
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
    HD_TRY(hd__weights_linear(w, "vocab.dense", e->type, HD_OF_NORM, &dense, 1, hidden, &e->vocab.dense, err));
    HD_TRY(hd__weights_norm(w, "vocab.norm", names->norm, hidden, !names->no_norm_bias, set->norm_eps, &e->vocab.norm, err));
    HD_TRY(hd__weights_linear(w, "vocab.decoder", e->type, HD_OF_OTHERS, &decoder, 1, hidden, &e->vocab.decoder, err));
    e->vocab.activation = hd__epilogue_of(set->activation);
    HD_TRY(hd__weights_tied(w, &decoder, &tied, err));
    e->embedding.tied = tied ? &e->vocab.decoder : NULL;
    return HD_OK;
}

/* Modules are called by numbers from `first` on. */
static hd_status bind_dense(hd_row_head *head, const hd_settings *set, uint32_t first, hd_weights *w, hd_error *err)
{
    head->pooling = set->pooling;
    head->n_pooled = head->n_out = (int)set->hidden * __builtin_popcount(set->pooling);
    head->n_steps = set->n_dense;
    for (uint32_t i = 0; i < set->n_dense; i++) {
        const hd_dense_settings *dense = &set->dense[i];
        if ((int)dense->n_in != head->n_out)
            return hd__fail(err, HD_ERR_FORMAT, "%s/config.json: in_features %u, but %d values arrive", dense->dir,
                            dense->n_in, head->n_out);
        HD_TRY(hd__weights_dense(w, dense, first + i, K_F32, HD_OF_OTHERS, &head->steps[i].linear, &head->steps[i].residual,
                                 err));
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
        return hd__weights_file_linear(w, set->colbert_linear, "colbert", e->type, HD_OF_NORM, (int)set->n_token_out,
                                       (int)set->hidden, &e->token_steps[0].linear, err);
    }
    e->n_token_steps = set->n_dense;
    for (uint32_t i = 0; i < set->n_dense; i++) {
        hd_head_step *step = &e->token_steps[i];
        HD_TRY(hd__weights_dense(w, &set->dense[i], i, e->type, i == 0 ? HD_OF_NORM : HD_OF_OTHERS, &step->linear,
                                 &step->residual, err));
        step->activation = hd__epilogue_of(set->dense[i].activation);
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
        HD_TRY(bind_dense(&e->dense, set, 0, w, err));
    if ((set->heads & HD_HEAD_DENSE) != 0 && set->queries != NULL)
        HD_TRY(bind_dense(&e->query_dense, set->queries, HD_LIMIT_DENSE_MODULES, w, err));
    if (set->sparse_linear != NULL)
        HD_TRY(
            hd__weights_file_linear(w, set->sparse_linear, "sparse", K_F32, HD_OF_OTHERS, 1, hidden, &e->token_weight, err));
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

static const hd_row_head *dense_of(const hd_encoder *e, const hd_batch *batch)
{
    return batch->of_queries ? &e->query_dense : &e->dense;
}

uint32_t hd__picked_pooling(const hd_encoder *e, const hd_batch *batch)
{
    const uint32_t pooling = batch->heads == HD_HEAD_DENSE    ? dense_of(e, batch)->pooling
                             : batch->heads == HD_HEAD_SCORES ? e->scores.pooling
                                                              : 0;
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

size_t hd__head_scratch_bytes(const hd_encoder *e, int n_tokens, int n_rows)
{
    const int vocab_rows = n_tokens < VOCAB_ROWS ? n_tokens : VOCAB_ROWS;
    const int token_rows = e->n_token_steps > 1 ? n_tokens : 0;
    const size_t dense =
        most(hd__row_head_scratch_bytes(&e->dense, n_rows), hd__row_head_scratch_bytes(&e->query_dense, n_rows));
    const size_t rows = most(dense, hd__row_head_scratch_bytes(&e->scores, n_rows));
    const size_t tokens = (size_t)token_rows * k_row_stride(hd__context_width(e), K_F32) * sizeof(float);
    const size_t vocab = (size_t)vocab_rows * k_row_stride(e->vocab.decoder.n, K_F32) * sizeof(float);
    return most(rows, most(tokens, vocab));
}

/* ---- forward ---- */

static void copy_rows(const hd_states *s, const float *from, size_t from_stride, float *to, int n)
{
    const hd_encoder *e = s->encoder;
    e->device->copy(&e->kernels, s->run,
                    &(hd_copy){
                        .from = from,
                        .from_stride = from_stride,
                        .to = to,
                        .to_stride = (size_t)n,
                        .n_rows = s->n_rows,
                        .n = n,
                    });
}

static void weigh_tokens(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_act in = {.type = K_F32, .data = s->x, .stride = s->x_stride};
    e->device->linear(&e->kernels, s->run, &e->token_weight, NULL, &in, s->n_rows, 0, K_PANEL_STEP, K_RELU, K_F32,
                      s->context, s->context_stride);
    copy_rows(s, s->context, s->context_stride, s->batch->token_weights, 1);
}

/* The last norm's rows as products of heads read them. */
static hd_act token_rows(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_act wide = {.type = K_F32, .data = s->x, .stride = s->x_stride};
    if (e->normed_type == e->act_type)
        return s->in;
    e->device->convert(&e->kernels, s->run, &wide, s->n_rows, (int)e->settings->hidden, &s->act);
    return s->act;
}

/* A step reads its input's rows while it writes its own: they take turns in two places. */
static void project_tokens(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const size_t n = (size_t)e->n_token_out;
    float *rows = (float *)(void *)s->head, *other = s->context;
    hd_act in = token_rows(s);
    for (uint32_t k = 0; k < e->n_token_steps; k++) {
        const hd_head_step *step = &e->token_steps[k];
        float *before = rows;
        rows = other;
        other = before;
        if (k > 0) {
            const hd_act wide = {.type = K_F32, .data = before, .stride = s->context_stride};
            in = hd__states_input(&s->act, before, s->context_stride);
            e->device->convert(&e->kernels, s->run, &wide, s->n_rows, step->linear.k, &in);
        }
        hd__step_forward(e, s->run, step, &in, s->n_rows, rows, s->context_stride);
    }
    e->device->unit(&e->kernels, s->run, rows, s->context_stride, s->n_rows, (int)n, s->batch->token_vectors, n);
}

/* The masked-language head, some tokens at a time. Its rows take the place of context, their conversion that of act. */
static void weigh_vocabulary(const hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_vocab_head *head = &e->vocab;
    hd_vocab_pool pool = {
        .logits = (const float *)(void *)s->head,
        .stride = k_row_stride(head->decoder.n, K_F32),
        .begin = s->batch->begin,
        .n_sequences = s->batch->n_sequences,
        .vocab = head->decoder.n,
        .sums = e->settings->sparse_sums,
        .log_twice = e->settings->sparse_log_twice,
        .weights = s->batch->vocab_weights,
    };
    const hd_act tokens = token_rows(s);
    e->device->linear(&e->kernels, s->run, &head->dense, NULL, &tokens, s->n_rows, 0, head->dense.n_pad / K_PANEL,
                      head->activation, K_F32, s->context, s->context_stride);
    const hd_act in = hd__states_input(&s->act, s->context, s->context_stride);
    e->device->norm(&e->kernels, s->run, &head->norm, s->context, s->context_stride, s->n_rows, false, &in);
    for (; pool.first < s->n_rows; pool.first += VOCAB_ROWS) {
        pool.n_rows = s->n_rows - pool.first < VOCAB_ROWS ? s->n_rows - pool.first : VOCAB_ROWS;
        const hd_act rows = hd__act_from(&in, (size_t)pool.first);
        e->device->linear(&e->kernels, s->run, &head->decoder, NULL, &rows, pool.n_rows, 0, head->decoder.n_pad / K_PANEL,
                          K_STORE, K_F32, s->head, pool.stride);
        e->device->collect(&e->kernels, s->run, &pool);
    }
    e->device->weigh(&e->kernels, s->run, &pool);
}

void hd__heads_forward(hd_states *s)
{
    const hd_encoder *e = s->encoder;
    const hd_batch *batch = s->batch;
    const uint32_t heads = batch->heads;
    if ((heads & HD_HEAD_DENSE) != 0)
        hd__row_head_forward(e, dense_of(e, batch), s->run, batch, s->x, s->x_stride, s->picked, s->head, batch->out);
    if ((heads & HD_HEAD_SCORES) != 0)
        hd__row_head_forward(e, &e->scores, s->run, batch, s->x, s->x_stride, s->picked, s->head, batch->scores);
    if ((heads & HD_HEAD_TOKENS) != 0)
        copy_rows(s, s->x, s->x_stride, s->batch->token_states, (int)e->settings->hidden);
    if ((heads & HD_HEAD_MULTI) != 0)
        project_tokens(s);
    if ((heads & HD_HEAD_SPARSE) != 0) {
        if (e->sparse_by_vocabulary)
            weigh_vocabulary(s);
        else
            weigh_tokens(s);
    }
}
