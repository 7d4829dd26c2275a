/* bert.c - BERT (Devlin et al. 2018) and all that shares its graph: MiniLM, bge, e5, gte, all-*, ms-marco-MiniLM.
 *
 *   x = norm(word[id] + position[i] + type[t])
 *   layers: post-norm, activation gelu (block.h)
 *
 * Classifier: tanh(pooler(x[CLS])), then a linear layer. Masked-language head: decoder(norm(gelu(W x + b))), the decoder
 * being the table of words.
 */
#include <stdio.h>

#include "encoder/block.h"
#include "encoder/head.h"

const hd_embedding_names hd__bert_embedding_names = {
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .types = "embeddings.token_type_embeddings",
    .norm = "embeddings.LayerNorm",
};

const hd_layer_names hd__bert_layer_names = {
    .layers = "encoder.layer.",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .attention_out = "attention.output.dense",
    .attention_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .output_norm = "output.LayerNorm",
};

static const hd_score_head_names score_names = {.dense = "bert.pooler.dense", .out = "classifier"};

static const hd_vocab_head_names vocab_names = {
    .dense = "cls.predictions.transform.dense",
    .norm = "cls.predictions.transform.LayerNorm",
    .decoder = "cls.predictions.decoder",
    .decoder_bias = "cls.predictions.bias",
    .words = "bert.embeddings.word_embeddings.weight",
};

static hd_status bert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "bert.", "model.", "0.auto_model.", NULL};
    const hd_settings *set = e->settings;
    const char *prefix;
    if (!set->absolute_positions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: position_embedding_type must be \"absolute\"", set->dir);
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &hd__bert_embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &hd__bert_layer_names, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

const hd_architecture hd__bert = {
    .model_type = "bert",
    .bind = bert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
