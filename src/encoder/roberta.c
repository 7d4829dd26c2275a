/* roberta.c - RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020), CamemBERT: BERT's graph with other names,
 * positions that count from pad_token_id + 1 (settings->position_offset), and a classifier of its own. bge-m3 and its
 * rerankers, multilingual-e5, paraphrase-multilingual.
 *
 * Classifier: tanh(W x[<s>] + b), then a linear layer; there is no pooler before it. Masked-language head: as BERT's.
 */
#include "encoder/block.h"
#include "encoder/head.h"

static const hd_score_head_names score_names = {.dense = "classifier.dense", .out = "classifier.out_proj"};

static const hd_vocab_head_names vocab_names = {
    .dense = "lm_head.dense",
    .norm = "lm_head.layer_norm",
    .decoder = "lm_head.decoder",
    .decoder_bias = "lm_head.bias",
    .words = "roberta.embeddings.word_embeddings.weight",
};

static hd_status roberta_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "roberta.", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &hd__bert_embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &hd__bert_layer_names, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

#define ROBERTA(name)                                                                                                       \
    {                                                                                                                       \
        .model_type = name, .bind = roberta_bind, .scratch_bytes = hd__states_bytes, .forward = hd__post_norm_forward,      \
    }

const hd_architecture hd__roberta = ROBERTA("roberta");
const hd_architecture hd__xlm_roberta = ROBERTA("xlm-roberta");
const hd_architecture hd__camembert = ROBERTA("camembert");
