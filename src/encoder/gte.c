/* gte.c - the encoder of GTE v1.5 (Zhang et al. 2024, "mGTE"), whose model_type is "new": gte-base-en-v1.5,
 * gte-large-en-v1.5, gte-multilingual-base and its reranker, snowflake-arctic-embed-m-v2. BERT, post-norm, with rotary
 * positions in place of a table and a GLU feed-forward:
 *
 *   x = norm(word[id] + type[t]), some without types
 *   for each layer:
 *     q, k, v = split(Wqkv x + b), q and k turned by their positions
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + Wdown (gelu(gate) * up) + b), up and gate the halves of W x
 *
 * Angles may be stretched to longer texts ("rope_scaling": {"type": "ntk"}): base times the factor, all angles divided by
 * factor^(2 / head_dim). Classifier: as BERT's; masked-language head: as RoBERTa's.
 */
#include "encoder/block.h"
#include "encoder/head.h"

static const hd_layer_names layer_names = {
    .layers = "encoder.layer.",
    .qkv = "attention.qkv_proj",
    .attention_out = "attention.o_proj",
    .attention_norm = "attn_ln",
    .gate_up = "mlp.up_gate_proj",
    .gate_below = true,
    .down = "mlp.down_proj",
    .output_norm = "mlp_ln",
    .no_up_bias = true,
};

static const hd_score_head_names score_names = {.dense = "new.pooler.dense", .out = "classifier"};

static const hd_vocab_head_names vocab_names = {
    .dense = "lm_head.dense",
    .norm = "lm_head.norm",
    .decoder = "lm_head.decoder",
    .decoder_bias = "lm_head.decoder.bias",
    .words = "new.embeddings.word_embeddings.weight",
};

static hd_status gte_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "new.", "model.", "0.auto_model.", NULL};
    const hd_embedding_names embedding_names = {
        .words = "embeddings.word_embeddings",
        .types = e->settings->n_token_types > 0 ? "embeddings.token_type_embeddings" : NULL,
        .norm = "embeddings.LayerNorm",
    };
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    HD_TRY(hd__bind_rotary(e, w, "rotary", e->settings->rotary_theta, &e->rules[0], err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

const hd_architecture hd__gte = {
    .model_type = "new",
    .bind = gte_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
