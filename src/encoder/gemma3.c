/* gemma3.c - Gemma 3 (Gemma Team 2025) as an encoder: EmbeddingGemma (Schechter Vera et al. 2025). Tokens see both ways;
 * RMS norms before each half of a layer and of what it adds; several query heads to one head of keys and values, heads of
 * queries and keys normalised before they are turned; five layers of six see a window only, with angles of their own;
 * GeGLU:
 *
 *   x = word[id] sqrt(hidden)
 *   for each layer:
 *     q, k, v = split(Wqkv norm(x)), q = turn(norm(q)), k = turn(norm(k)) for each head
 *     x = x + norm(Wo attention(q, k, v))
 *     x = x + norm(Wdown (gelu(Wgate norm(x)) * Wup norm(x)))
 *   heads(norm(x))
 *
 * A norm's weights are stored less one.
 */
#include "encoder/block.h"

static const hd_embedding_names embedding_names = {.words = "embed_tokens", .times_root = true};

static const hd_layer_names layer_names = {
    .layers = "layers.",
    .query = "self_attn.q_proj",
    .key = "self_attn.k_proj",
    .value = "self_attn.v_proj",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .attention_out = "self_attn.o_proj",
    .attention_norm = "input_layernorm",
    .attention_post_norm = "post_attention_layernorm",
    .up = "mlp.up_proj",
    .gate = "mlp.gate_proj",
    .down = "mlp.down_proj",
    .output_norm = "pre_feedforward_layernorm",
    .ffn_post_norm = "post_feedforward_layernorm",
    .no_qkv_bias = true,
    .no_out_bias = true,
    .no_up_bias = true,
    .no_down_bias = true,
    .no_norm_bias = true,
    .rms = true,
    .norms_from_one = true,
};

static hd_status gemma3_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embed_tokens.weight", &prefix, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    HD_TRY(hd__bind_final_norm(e, w, prefix, "norm", &layer_names, err));
    return hd__bind_windows(e, w, err);
}

const hd_architecture hd__gemma3 = {
    .model_type = "gemma3_text",
    .pre_norm = true,
    .bind = gemma3_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__pre_norm_forward,
};
