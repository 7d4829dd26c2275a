/* distilbert.c - DistilBERT (Sanh et al. 2019): BERT's graph with half the layers, without token types and without pooler.
 *
 *   x = norm(word[id] + position[i])
 *   layers: post-norm, activation gelu (block.h)
 *
 * Classifier: relu(W x[CLS] + b), then a linear layer. Masked-language head: as BERT's; SPLADE models are such.
 */
#include "encoder/block.h"
#include "encoder/head.h"

static const hd_embedding_names embedding_names = {
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
};

static const hd_layer_names layer_names = {
    .layers = "transformer.layer.",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .attention_out = "attention.out_lin",
    .attention_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .output_norm = "output_layer_norm",
};

static const hd_score_head_names score_names = {.dense = "pre_classifier", .out = "classifier"};

static const hd_vocab_head_names vocab_names = {
    .dense = "vocab_transform",
    .norm = "vocab_layer_norm",
    .decoder = "vocab_projector",
    .decoder_bias = "vocab_projector.bias",
    .words = "distilbert.embeddings.word_embeddings.weight",
};

static hd_status distilbert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "distilbert.", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_RELU, err);
}

const hd_architecture hd__distilbert = {
    .model_type = "distilbert",
    .bind = distilbert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
