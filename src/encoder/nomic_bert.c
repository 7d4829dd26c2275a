/* nomic_bert.c - NomicBERT (Nussbaum et al. 2024, "Nomic Embed"): nomic-embed-text-v1 and v1.5. BERT, post-norm, with
 * rotary positions in place of a table, a SwiGLU feed-forward and no biases:
 *
 *   x = norm(word[id] + type[t])
 *   for each layer:
 *     q, k, v = split(Wqkv x), q and k turned by their positions
 *     x = norm(x + Wo attention(q, k, v))
 *     x = norm(x + Wfc2 (silu(Wfc12 x) * Wfc11 x))
 */
#include "encoder/block.h"
#include "encoder/head.h"

static const hd_embedding_names embedding_names = {
    .words = "embeddings.word_embeddings",
    .types = "embeddings.token_type_embeddings",
    .norm = "emb_ln",
};

static const hd_layer_names layer_names = {
    .layers = "encoder.layers.",
    .qkv = "attn.Wqkv",
    .attention_out = "attn.out_proj",
    .attention_norm = "norm1",
    .up = "mlp.fc11",
    .gate = "mlp.fc12",
    .down = "mlp.fc2",
    .output_norm = "norm2",
    .no_qkv_bias = true,
    .no_out_bias = true,
    .no_up_bias = true,
    .no_down_bias = true,
};

static hd_status nomic_bert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "bert.", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    return hd__bind_rotary(e, w, "rotary", e->settings->rotary_theta, &e->rules[0], err);
}

const hd_architecture hd__nomic_bert = {
    .model_type = "nomic_bert",
    .bind = nomic_bert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
