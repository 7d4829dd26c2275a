/* modernbert.c - ModernBERT (Warner et al. 2024): gte-modernbert, modernbert-embed, gte-reranker-modernbert. Pre-norm,
 * rotary positions, gated feed-forward; two layers of three see a window only, with angles of their own:
 *
 *   x = norm(word[id])
 *   for each layer:
 *     x = x + Wo attention(split(Wqkv norm(x))), queries and keys turned; the first layer without the norm
 *     x = x + Wo (gelu(input) * gate), input and gate the halves of Wi norm(x)
 *   heads(norm(x))
 *
 * Classifier: norm(gelu(W x)) of the first token or the mean, then a linear layer. Masked-language head: the same, then the
 * table of words.
 */
#include "encoder/block.h"
#include "encoder/head.h"

static const hd_embedding_names embedding_names = {
    .words = "embeddings.tok_embeddings",
    .norm = "embeddings.norm",
    .no_norm_bias = true,
};

static const hd_layer_names layer_names = {
    .layers = "layers.",
    .qkv = "attn.Wqkv",
    .attention_out = "attn.Wo",
    .attention_norm = "attn_norm",
    .gate_up = "mlp.Wi",
    .down = "mlp.Wo",
    .output_norm = "mlp_norm",
    .no_qkv_bias = true,
    .no_out_bias = true,
    .no_up_bias = true,
    .no_down_bias = true,
    .no_norm_bias = true,
    .begins_without_norm = true,
};

static const hd_score_head_names score_names = {
    .dense = "head.dense", .norm = "head.norm", .out = "classifier", .no_dense_bias = true, .no_norm_bias = true};

static const hd_vocab_head_names vocab_names = {
    .dense = "head.dense",
    .norm = "head.norm",
    .decoder = "decoder",
    .decoder_bias = "decoder.bias",
    .words = "model.embeddings.tok_embeddings.weight",
    .no_dense_bias = true,
    .no_norm_bias = true,
};

static hd_status modernbert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "model.", "0.auto_model.", NULL};
    const hd_settings *set = e->settings;
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.tok_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    HD_TRY(hd__bind_final_norm(e, w, prefix, "final_norm", &layer_names, err));
    HD_TRY(hd__bind_windows(e, w, err));
    return hd__bind_scores(e, w, &score_names, set->score_activation, err);
}

const hd_architecture hd__modernbert = {
    .model_type = "modernbert",
    .pre_norm = true,
    .bind = modernbert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__pre_norm_forward,
};
