/* jina_bert.c - JinaBERT (Günther et al. 2023, "Jina Embeddings 2"): jina-embeddings-v2. BERT, post-norm, with a linear
 * bias by distance in place of a table of positions (Press et al. 2022, "ALiBi", both ways) and a gated feed-forward:
 *
 *   x = norm(word[id] + type[t])
 *   for each layer:
 *     s[p, j] = q[p] . k[j] / sqrt(d) - slope[head] |p - j|
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + Wo (gelu(gate) * up) + b), gate and up the halves of W x
 *
 * jina-embeddings-v2-base-code ("jina-bert-v2-qk-post-norm") has three more norms in each layer, other names, and up above
 * gate:
 *
 *     q = norm(q), k = norm(k), of all heads together
 *     x = norm(x + norm(x + Wo attention(q, k, v) + b))
 *
 * config.json calls both "bert", with "position_embedding_type": "alibi" and a "feed_forward_type"; which of them it is the
 * tensors say. Source: jinaai/jina-bert-implementation and jinaai/jina-bert-v2-qk-post-norm on the Hub.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "encoder/block.h"
#include "encoder/head.h"

static const hd_embedding_names embedding_names = {
    .words = "embeddings.word_embeddings",
    .types = "embeddings.token_type_embeddings",
    .norm = "embeddings.LayerNorm",
};

static const hd_layer_names layer_names = {
    .layers = "encoder.layer.",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .attention_out = "attention.output.dense",
    .attention_norm = "attention.output.LayerNorm",
    .gate_up = "mlp.gated_layers",
    .down = "mlp.wo",
    .output_norm = "mlp.layernorm",
    .no_up_bias = true,
};

static const hd_layer_names qk_norm_names = {
    .layers = "encoder.layer.",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .query_norm = "attention.self.layer_norm_q",
    .key_norm = "attention.self.layer_norm_k",
    .attention_out = "attention.output.dense",
    .inner_norm = "attention.output.LayerNorm",
    .attention_norm = "layer_norm_1",
    .gate_up = "mlp.up_gated_layer",
    .gate_below = true,
    .down = "mlp.down_layer",
    .output_norm = "layer_norm_2",
    .no_up_bias = true,
};

static const hd_score_head_names score_names = {.dense = "bert.pooler.dense", .out = "classifier"};

/* 2^(-8 i / n) for i = 1, …, n when n is a power of two; otherwise those of the power of two below, then every second
 * one of the power above. */
static double slope_of(uint32_t head, uint32_t n_heads)
{
    uint32_t power = 1;
    while (power * 2 <= n_heads)
        power *= 2;
    if (head < power)
        return exp2(-8.0 * (double)(head + 1) / (double)power);
    return exp2(-8.0 * (double)(2 * (head - power) + 1) / (double)(2 * power));
}

static bool has_qk_norms(hd_weights *w, const char *prefix)
{
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%sencoder.layer.0.attention.self.layer_norm_q.weight", prefix);
    return hd__weights_have(w, tensor, "layer.0.query_norm.gamma");
}

static hd_status bind_bias(hd_encoder *e, hd_weights *w, hd_error *err)
{
    const uint32_t n_heads = e->settings->n_heads;
    const int reach = (int)e->settings->n_positions - 1;
    const size_t stride = (size_t)(2 * reach + 1);
    float *fill;
    HD_TRY(hd__bind_distance_bias(e, w, &e->rules[0], &fill, err));
    for (uint32_t head = 0; head < n_heads && fill != NULL; head++) {
        const float slope = (float)slope_of(head, n_heads);
        for (int distance = -reach; distance <= reach; distance++)
            fill[head * stride + (size_t)(distance + reach)] = -slope * (float)abs(distance);
    }
    return HD_OK;
}

static hd_status jina_bert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "bert.", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, has_qk_norms(w, prefix) ? &qk_norm_names : &layer_names, err));
    HD_TRY(bind_bias(e, w, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

const hd_architecture hd__jina_bert = {
    .model_type = "jina_bert",
    .bind = jina_bert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
