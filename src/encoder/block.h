/* block.h - the parts that layers of a transformer are made of. An architecture's forward calls them in its paper's order:
 *
 *   post-norm: x = norm(x + attention(x)), x = norm(x + ffn(x))
 *
 * and binds its weights by a table of its own names. Each call is a whole operation of the device; all members of a team
 * make it.
 */
#ifndef HD_ENCODER_BLOCK_H
#define HD_ENCODER_BLOCK_H

#include "encoder/states.h"

/* What an architecture calls the tensors of its embedding sum, behind "<prefix>" and before ".weight"; positions and types
 * may be NULL. */
typedef struct hd_embedding_names {
    const char *words, *positions, *types, *norm;
} hd_embedding_names;

/* Binds the tables and the norm behind them. */
HD_MUST_USE hd_status hd__bind_embedding(hd_encoder *encoder, hd_weights *weights, const char *prefix,
                                         const hd_embedding_names *names, hd_error *err);

/* What an architecture calls the tensors of a layer: each name stands behind "<prefix><layers><number>." and before
 * ".weight" and ".bias". */
typedef struct hd_layer_names {
    const char *layers; /* "encoder.layer." */
    const char *query, *key, *value, *attention_out, *attention_norm;
    const char *up, *down, *output_norm;
} hd_layer_names;

/* Binds settings->n_layers layers. */
HD_MUST_USE hd_status hd__bind_layers(hd_encoder *encoder, hd_weights *weights, const char *prefix,
                                      const hd_layer_names *names, hd_error *err);

/* The epilogue of a matrix product that applies an activation. */
k_epilogue hd__epilogue_of(hd_activation activation);

/* x = sum of the tables' rows of each token. */
void hd__embed(hd_states *states);

/* x = norm(x), act = convert(x). */
void hd__norm(hd_states *states, const hd_norm *norm);

/* x += Wo attention(split(Wqkv act)). With `pick`, keys and values are of all tokens, and queries and all that follows of
 * the rows that the heads read (hd__states_pick). */
void hd__attention_block(hd_states *states, const hd_layer *layer, bool pick);

/* x += Wdown activation(Wup act). */
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
void hd__post_norm_forward(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, int max_tokens, int n_members,
                           char *scratch);

#endif
