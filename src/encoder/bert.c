/* bert.c - BERT (Devlin et al. 2018) and all that shares its graph: MiniLM, bge, e5, gte, all-*.
 *
 *   x = norm(word[id] + position[i] + type[t])
 *   for each layer:
 *     q, k, v = split(Wqkv x + b)                 one product, three sections
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + Wdown gelu(Wup x + b) + b)
 *   heads(x)
 *
 * When the heads need one row of each sequence (CLS, last token), the last layer computes keys and values for all tokens
 * and everything else for those rows only.
 */
#include <stdio.h>

#include "encoder/block.h"
#include "encoder/head.h"

static const hd_layer_names layer_names = {
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

static hd_status bert_bind(hd_encoder *e, hd_weights *w, hd_error *err)
{
    static const char *const prefixes[] = {"", "bert.", "model.", "0.auto_model.", NULL};
    const hd_settings *set = e->settings;
    const char *prefix;
    char path[128];
    if (!set->absolute_positions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: position_embedding_type must be \"absolute\"", set->dir);
    HD_TRY(hd__weights_prefix(w, prefixes, "embeddings.word_embeddings.weight", &prefix, err));
    snprintf(path, sizeof path, "%sembeddings.", prefix);
    HD_TRY(hd__weights_embedding(w, path, (int)set->vocab_size, (int)set->n_positions, (int)set->hidden,
                                 set->n_token_types > 0, &e->embedding, err));
    snprintf(path, sizeof path, "%sembeddings.LayerNorm", prefix);
    HD_TRY(hd__weights_norm(w, "embedding_norm", path, (int)set->hidden, set->norm_eps, &e->embedding_norm, err));
    return hd__bind_layers(e, w, prefix, &layer_names, err);
}

static void bert_forward(const hd_encoder *e, hd_run *run, const hd_batch *batch, int max_tokens, int n_members,
                         char *scratch)
{
    hd_states s;
    hd__states_begin(e, run, batch, max_tokens, n_members, scratch, &s);
    const uint32_t n_layers = e->settings->n_layers, picked_layer = hd__picks_rows(e, batch) ? n_layers - 1 : n_layers;
    hd__embed(&s);
    hd__norm(&s, &e->embedding_norm);
    for (uint32_t i = 0; i < n_layers; i++) {
        const hd_layer *layer = &e->layers[i];
        hd__attention_block(&s, layer, i == picked_layer);
        hd__norm(&s, &layer->attention_norm);
        hd__ffn_block(&s, layer);
        hd__norm(&s, &layer->output_norm);
    }
    hd__heads_forward(&s);
}

const hd_architecture hd__bert = {
    .model_type = "bert",
    .bind = bert_bind,
    .scratch_bytes = hd__states_bytes,
    .forward = bert_forward,
};
