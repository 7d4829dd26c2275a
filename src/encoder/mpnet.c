/* mpnet.c - MPNet (Song et al. 2020): all-mpnet-base-v2, multi-qa-mpnet. RoBERTa's graph without token types, and a bias
 * on every score by the distance of query and key, the same in all layers:
 *
 *   s[p, j] = q[p] . k[j] / sqrt(d) + table[bucket(p - j), head]
 *
 * Buckets are T5's (Raffel et al. 2020, section 2.1): 16 for keys behind the query and 16 for those ahead; of each 16,
 * 8 are single distances and 8 grow by powers up to 128, beyond which all distances share the last.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "encoder/block.h"
#include "encoder/head.h"

enum { N_BUCKETS = 32, N_EACH_WAY = N_BUCKETS / 2, N_EXACT = N_EACH_WAY / 2, FARTHEST = 128 };

static const hd_embedding_names embedding_names = {
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
};

static const hd_layer_names layer_names = {
    .layers = "encoder.layer.",
    .query = "attention.attn.q",
    .key = "attention.attn.k",
    .value = "attention.attn.v",
    .attention_out = "attention.attn.o",
    .attention_norm = "attention.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .output_norm = "output.LayerNorm",
};

static const hd_score_head_names score_names = {.dense = "classifier.dense", .out = "classifier.out_proj"};

static const hd_vocab_head_names vocab_names = {
    .dense = "lm_head.dense",
    .norm = "lm_head.layer_norm",
    .decoder = "lm_head.decoder",
    .decoder_bias = "lm_head.bias",
    .words = "mpnet.embeddings.word_embeddings.weight",
};

/* distance: query's place less key's. */
static int bucket_of(int distance)
{
    const int far = abs(distance), side = distance < 0 ? N_EACH_WAY : 0;
    if (far < N_EXACT)
        return side + far;
    const float power = logf((float)far / (float)N_EXACT) / logf((float)FARTHEST / (float)N_EXACT);
    const int bucket = N_EXACT + (int)(power * (float)(N_EACH_WAY - N_EXACT));
    return side + (bucket < N_EACH_WAY ? bucket : N_EACH_WAY - 1);
}

/* The table spread over all distances, one row for each head. */
static hd_status bind_bias(hd_encoder *e, hd_weights *w, const char *prefix, hd_error *err)
{
    const int n_heads = (int)e->settings->n_heads, reach = (int)e->settings->n_positions - 1;
    const size_t stride = (size_t)(2 * reach + 1);
    const float *table;
    float *fill;
    char path[128];
    snprintf(path, sizeof path, "%sencoder.relative_attention_bias.weight", prefix);
    HD_TRY(hd__weights_table(w, "relative_bias", &(hd_table){path, 0, N_BUCKETS, n_heads}, &table, err));
    HD_TRY(hd__bind_distance_bias(e, w, &e->rules[0], &fill, err));
    for (int distance = -reach; distance <= reach && fill != NULL; distance++) {
        for (int head = 0; head < n_heads; head++)
            fill[(size_t)head * stride + (size_t)(distance + reach)] = table[bucket_of(distance) * n_heads + head];
    }
    return HD_OK;
}

static hd_status mpnet_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "mpnet.", "model.", "0.auto_model.", NULL};
    const char *prefix;
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    HD_TRY(hd__bind_vocab(e, w, &vocab_names, err));
    HD_TRY(hd__bind_embedding(e, w, prefix, &embedding_names, err));
    HD_TRY(hd__bind_layers(e, w, prefix, &layer_names, err));
    HD_TRY(bind_bias(e, w, prefix, err));
    return hd__bind_scores(e, w, &score_names, HD_ACTIVATION_TANH, err);
}

const hd_architecture hd__mpnet = {
    .model_type = "mpnet",
    .bind = mpnet_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = hd__post_norm_forward,
};
