/* block.h - the parts that layers of a transformer are made of. An architecture's forward calls them in its paper's order:
 *
 *   post-norm: x = norm(x + attention(x)), x = norm(x + ffn(x))
 *   pre-norm:  x = x + attention(norm(x)), x = x + ffn(norm(x))
 *
 * and binds its weights by a table of its own names. Each call is a whole operation of the device; all members of a team
 * make it.
 */
#ifndef HD_ENCODER_BLOCK_H
#define HD_ENCODER_BLOCK_H

#include "encoder/states.h"

/* What an architecture calls the tensors of its embedding sum, behind "<prefix>" and before ".weight"; positions, types
 * and norm may be NULL. */
typedef struct hd_embedding_names {
    const char *words, *positions, *types, *norm;
    bool no_norm_bias;
    bool times_root; /* words are multiplied by the root of their width */
} hd_embedding_names;

/* Binds the tables and the norm behind them. A masked-language head that may share the words is bound before. */
HD_MUST_USE hd_status hd__bind_embedding(hd_encoder *encoder, hd_weights *weights, const char *prefix,
                                         const hd_embedding_names *names, hd_error *err);

/* What an architecture calls the tensors of a layer: each name stands behind "<prefix><layers><number>." and before
 * ".weight" and ".bias". */
typedef struct hd_layer_names {
    const char *layers;                    /* "encoder.layer." */
    const char *query, *key, *value, *qkv; /* three tensors, or all in one, one below the other */
    const char *q_norm, *k_norm;           /* RMS norms of heads, or NULL */
    const char *query_norm, *key_norm;     /* norms of all heads together, or NULL */
    const char *inner_norm;                /* or NULL */
    const char *attention_out, *attention_norm;
    const char *up, *gate, *gate_up; /* gate NULL: not gated; or both in one, the gate above */
    const char *down, *output_norm;
    const char *attention_post_norm, *ffn_post_norm; /* of what is added to the stream, or NULL */
    const struct hd_layer_names *peft; /* the same in transformers' class, after which PEFT's adapters are called; or NULL */
    bool gate_below;                   /* in gate_up, that is */
    bool no_qkv_bias, no_out_bias, no_up_bias, no_down_bias, no_norm_bias;
    bool rms;                 /* norms are RMS norms */
    bool norms_from_one;      /* and their weights are stored less one */
    bool begins_without_norm; /* the first layer has no attention_norm */
} hd_layer_names;

/* BERT's, which its descendants keep. */
extern const hd_embedding_names hd__bert_embedding_names;
extern const hd_layer_names hd__bert_layer_names;

/* Binds settings->n_layers layers. */
HD_MUST_USE hd_status hd__bind_layers(hd_encoder *encoder, hd_weights *weights, const char *prefix,
                                      const hd_layer_names *names, hd_error *err);

/* Binds the norm behind the last layer of a pre-norm encoder, of the kind that the layers have. */
HD_MUST_USE hd_status hd__bind_final_norm(hd_encoder *encoder, hd_weights *weights, const char *prefix, const char *tensor,
                                          const hd_layer_names *names, hd_error *err);

/* The epilogue of a matrix product that applies an activation. */
k_epilogue hd__epilogue_of(hd_activation activation);

/* x = sum of the tables' rows of each token. */
void hd__embed(hd_states *states);

/* Binds `name` as tables of rotary positions (Su et al. 2021): cos and sin of position * theta^(-2 j / head_dim),
 * stretched by the settings' rotary_factor f (NTK-aware): (theta f)^(-2 j / head_dim) / f^(2 / head_dim). */
HD_MUST_USE hd_status hd__bind_rotary(hd_encoder *encoder, hd_weights *weights, const char *name, double theta,
                                      hd_attention_rule *rule, hd_error *err);

/* Rotary positions in all layers, after hd__bind_layers: those that see a window only have angles of their own, the others
 * are every settings->global_every-th from settings->global_first on. */
HD_MUST_USE hd_status hd__bind_windows(hd_encoder *encoder, hd_weights *weights, hd_error *err);

/* Binds "bias", [n_heads, 2 reach + 1] with reach = n_positions - 1: what attention adds by the distance from query to key,
 * -reach to reach. *fill is where the values go, NULL when they are there already. */
HD_MUST_USE hd_status hd__bind_distance_bias(hd_encoder *encoder, hd_weights *weights, hd_attention_rule *rule, float **fill,
                                             hd_error *err);

/* x = norm(x); the next product reads it. */
void hd__norm(hd_states *states, const hd_norm *norm);

/* The next product reads norm(x), or x when norm->n is 0; x stays. */
void hd__pre_norm(hd_states *states, const hd_norm *norm);

/* x += Wo attention(split(Wqkv in)), heads of queries and keys normalised and turned as the layer says; where it has an
 * inner norm, x += inner_norm(x + Wo attention(split(Wqkv in))); where it has a post norm, x += post_norm(Wo …). With
 * `pick`, keys and values are of all tokens, and queries and all that follows of the rows that the heads read
 * (hd__states_pick). */
void hd__attention_block(hd_states *states, const hd_layer *layer, bool pick);

/* x += Wdown activation(Wup in), or gated, x += Wdown (activation(Wgate in) * Wup in); where the layer has a post norm, that
 * of what is added. */
void hd__ffn_block(hd_states *states, const hd_layer *layer);

/* The whole forward of the post-norm encoders that differ in names only:
 *
 *   x = norm(sum of tables)
 *   for each layer:
 *     q, k, v = split(Wqkv x + b)                 one product, three sections
 *     x = norm(x + Wo attention(q, k, v) + b)
 *     x = norm(x + Wdown activation(Wup x + b) + b)
 *   heads(x)
 *
 * When the heads need one row of each sequence (CLS, last token), the last layer computes keys and values for all tokens
 * and everything else for those rows only. */
void hd__post_norm_forward(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const hd_room *room,
                           char *scratch);

/* The same for pre-norm:
 *
 *   x = sum of tables, through a norm where there is one
 *   for each layer:
 *     x = x + Wo attention(split(Wqkv norm(x)))
 *     x = x + feed-forward(norm(x))
 *   heads(norm(x)) */
void hd__pre_norm_forward(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch);

#endif
