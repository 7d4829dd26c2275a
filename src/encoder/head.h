/* head.h - what is made of the last hidden states: any mix of heads from one pass.
 *
 *   DENSE    pooling and Dense modules, one vector for each sequence (pooling.h)
 *   SCORES   the same machinery with a classifier behind it; or (w_yes - w_no) . x, what the logit of the answer "yes" is
 *            above that of "no" (Qwen3-Reranker), of a head that predicts tokens
 *   SPARSE   by token: relu(w . x + b) for each token (bge-m3); by vocabulary: for each id the greatest, or the sum, over
 *            the tokens of log(1 + relu(the masked-language head's logit)) (SPLADE, Formal et al. 2021)
 *   MULTI    W x + b for each token, of unit length (ColBERT, Khattab and Zaharia 2020; bge-m3); or several such layers with
 *            activations
 *   TOKENS   the hidden states as they are
 */
#ifndef HD_ENCODER_HEAD_H
#define HD_ENCODER_HEAD_H

#include "encoder/states.h"

/* What an architecture calls its classifier: out(norm(activation(dense(x)))); norm may be NULL, and
 * dense, when there is nothing before out. */
typedef struct hd_score_head_names {
    const char *dense, *norm, *out;
    bool no_dense_bias, no_norm_bias, no_out_bias;
} hd_score_head_names;

/* What an architecture calls its masked-language head, or that which predicts the next token (no dense, no norm). The
 * decoder may be the table of words. */
typedef struct hd_vocab_head_names {
    const char *dense, *norm, *decoder, *decoder_bias, *words;
    bool no_dense_bias, no_norm_bias;
} hd_vocab_head_names;

/* Bind a head when the settings ask for it. */
HD_MUST_USE hd_status hd__bind_scores(hd_encoder *encoder, hd_weights *weights, const hd_score_head_names *names,
                                      hd_activation activation, hd_error *err);
HD_MUST_USE hd_status hd__bind_answers(hd_encoder *encoder, hd_weights *weights, const hd_vocab_head_names *names,
                                       hd_error *err);
HD_MUST_USE hd_status hd__bind_vocab(hd_encoder *encoder, hd_weights *weights, const hd_vocab_head_names *names,
                                     hd_error *err);

/* Binds the heads that are the same for all architectures, and sets what the encoder says of its heads.
 * HD_ERR_UNSUPPORTED when the architecture lacks a head that the settings ask for. */
HD_MUST_USE hd_status hd__bind_heads(hd_encoder *encoder, hd_weights *weights, hd_error *err);

/* The pooling whose one row of each sequence is all that the batch's heads read, so that the last layer need compute no
 * other; 0 when they read more. */
uint32_t hd__picked_pooling(const hd_encoder *encoder, const hd_batch *batch);

/* Values of the widest f32 row that attention or a head leaves in states->context. */
int hd__context_width(const hd_encoder *encoder);

/* Bytes of scratch the heads need for n_tokens, and n_rows sequences or spans. */
size_t hd__head_scratch_bytes(const hd_encoder *encoder, int n_tokens, int n_rows);

/* Writes the wanted outputs of the batch. The states are not what they were afterwards. */
void hd__heads_forward(hd_states *states);

#endif
