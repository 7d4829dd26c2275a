/* qwen3.c - Qwen3 (Yang et al. 2025) as an embedder and reranker: Qwen3-Embedding, Qwen3-Reranker. A causal decoder,
 * pre-norm with RMS norms, several query heads to one head of keys and values, heads of queries and keys normalised before
 * they are turned, SwiGLU:
 *
 *   x = word[id]
 *   for each layer:
 *     q, k, v = split(Wqkv norm(x)), q = turn(norm(q)), k = turn(norm(k)) for each head
 *     x = x + Wo attention(q, k, v), no query seeing a key ahead
 *     x = x + Wdown (silu(Wgate norm(x)) * Wup norm(x))
 *   heads(norm(x))
 *
 * Classifier: a linear layer on the last token. Reranker: two rows of the layer that predicts what comes after it, "yes"
 * less "no".
 */
#include <stdio.h>

#include "encoder/block.h"
#include "encoder/head.h"

static const hd_embedding_names embedding_names = {.words = "embed_tokens"};

static const hd_layer_names layer_names = {
    .layers = "layers.",
    .query = "self_attn.q_proj",
    .key = "self_attn.k_proj",
    .value = "self_attn.v_proj",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .attention_out = "self_attn.o_proj",
    .attention_norm = "input_layernorm",
    .up = "mlp.up_proj",
    .gate = "mlp.gate_proj",
    .down = "mlp.down_proj",
    .output_norm = "post_attention_layernorm",
    .no_qkv_bias = true,
    .no_out_bias = true,
    .no_up_bias = true,
    .no_down_bias = true,
    .no_norm_bias = true,
    .rms = true,
};

static const hd_score_head_names score_names = {.out = "score", .no_out_bias = true};

static hd_status qwen3_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "model.", "0.auto_model.", NULL};
    const hd_settings *set = e->settings;
    const char *prefix;
    char words[128];
    HD_TRY(hd__weights_prefix(w, prefixes, "embed_tokens.weight", &prefix, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    HD_TRY(hd__bind_final_norm(e, w, prefix, "norm", &layer_names, err));
    e->rules[0].reach_ahead = 0;
    HD_TRY(hd__bind_rotary(e, w, "rotary", set->rotary_theta, &e->rules[0], err));
    snprintf(words, sizeof words, "%sembed_tokens.weight", prefix);
    HD_TRY(hd__bind_answers(e, w, &(hd_vocab_head_names){.decoder = "lm_head", .words = words}, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_IDENTITY, err);
}

const hd_architecture hd__qwen3 = {
    .model_type = "qwen3",
    .pre_norm = true,
    .bind = qwen3_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__pre_norm_forward,
};
