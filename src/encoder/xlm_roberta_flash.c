/* xlm_roberta_flash.c - XLM-RoBERTa as Jina AI's xlm-roberta-flash-implementation has it: jina-embeddings-v3 (Sturua et al.
 * 2024), with rotary positions in place of a table, and jina-reranker-v2-base-multilingual, with the table. RoBERTa's graph
 * under other names:
 *
 *   x = norm(word[id] + type[t] (+ position[p]))
 *   for each layer:
 *     q, k, v = split(Wqkv x + b), q and k turned by their positions
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + W2 gelu(W1 x + b) + b)
 *
 * Classifier: as RoBERTa's. Source: jinaai/xlm-roberta-flash-implementation on the Hub (modeling_xlm_roberta.py).
 * transformers has the first of them as a class of its own, JinaEmbeddingsV3Model, with names like Llama's.
 */
#include <stdio.h>

#include "encoder/block.h"
#include "encoder/head.h"

static const hd_layer_names class_names = {
    .layers = "layers.",
    .query = "self_attn.q_proj",
    .key = "self_attn.k_proj",
    .value = "self_attn.v_proj",
    .attention_out = "self_attn.o_proj",
    .attention_norm = "post_attention_layernorm",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
    .output_norm = "post_mlp_layernorm",
    .peft = &class_names,
};

static const hd_layer_names layer_names = {
    .layers = "encoder.layers.",
    .qkv = "mixer.Wqkv",
    .attention_out = "mixer.out_proj",
    .attention_norm = "norm1",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
    .output_norm = "norm2",
    .peft = &class_names,
};

static const hd_score_head_names score_names = {.dense = "classifier.dense", .out = "classifier.out_proj"};

/* Whether tensors have the names of transformers' class. */
static bool has_class_names(hd_weights *w, const char *const *prefixes)
{
    char tensor[64];
    for (size_t i = 0; prefixes[i] != NULL; i++) {
        snprintf(tensor, sizeof tensor, "%sembeddings.LayerNorm.weight", prefixes[i]);
        if (hd__weights_have(w, tensor, "")) /* a cache file has names of our own: either will do */
            return true;
    }
    return false;
}

static hd_status xlm_roberta_flash_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"roberta.", "", "model.", "0.auto_model.", NULL};
    const bool rotary = e->settings->rotary_theta > 0, of_class = has_class_names(w, prefixes);
    const hd_embedding_names embedding_names = {
        .words = "embeddings.word_embeddings",
        .positions = rotary ? NULL : "embeddings.position_embeddings",
        .types = e->settings->n_token_types > 0 ? "embeddings.token_type_embeddings" : NULL,
        .norm = of_class ? "embeddings.LayerNorm" : "emb_ln",
    };
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, of_class ? "embeddings.LayerNorm.weight" : "emb_ln.weight", &prefix, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, of_class ? &class_names : &layer_names, err));
    if (rotary)
        HD_TRY(hd__bind_rotary(e, w, "rotary", e->settings->rotary_theta, &e->rules[0], err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

const hd_architecture hd__xlm_roberta_flash = {
    .model_type = "xlm_roberta_flash",
    .bind = xlm_roberta_flash_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
