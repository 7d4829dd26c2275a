/* encoder.h - an architecture: from token ids to what its heads make of them.
 *
 * An encoder is read-only once open; any number of passes run on it at once, each with its own scratch.
 * The registry (registry.c) chooses an architecture by config.json's model_type.
 */
#ifndef HD_ENCODER_ENCODER_H
#define HD_ENCODER_ENCODER_H

#include "encoder/weights.h"

/* Sequences one after the other, and where the results go: only those of the wanted heads are written. */
typedef struct hd_batch {
    int n_sequences, n_tokens;
    const int32_t *begin;      /* [n_sequences + 1], begin[0] = 0, each sequence at least one token */
    const int32_t *ids;        /* [n_tokens], below the vocabulary's size */
    const int32_t *positions;  /* [n_tokens]: place in the sequence */
    const int32_t *types;      /* [n_tokens]: token types, or NULL for all 0 */
    const int32_t *pool_begin; /* [n_sequences]: first token of each sequence that is pooled (prompts left out) */
    int n_spans;               /* 0: a vector for each sequence; else out is [n_spans, n_out], one for each of these */
    const int32_t *span_begin, *span_end; /* [n_spans] mean pooling: over the tokens [begin, end) of the batch */
    const int32_t *n_seen;                /* [n_sequences]: how many tokens of each others see, the first; NULL: all */
    uint32_t heads;                       /* HD_HEAD_* bits, all of them of encoder->heads */
    uint32_t task;                        /* 1 + that of settings->tasks whose adapters change the weights; 0: none */
    bool of_queries;                      /* DENSE: by query_dense, of settings->queries */
    float *out;                           /* HD_HEAD_DENSE: [n_sequences, n_out] */
    float *token_states;                  /* HD_HEAD_TOKENS: [n_tokens, hidden], as pooling reads them */
    float *token_vectors;                 /* HD_HEAD_MULTI: [n_tokens, n_token_out], the row of every token */
    float *token_weights;                 /* HD_HEAD_SPARSE by token: [n_tokens], none below 0 */
    float *vocab_weights;                 /* HD_HEAD_SPARSE by vocabulary: [n_sequences, vocab_size], none below 0 */
    float *scores;                        /* HD_HEAD_SCORES: [n_sequences, n_labels], logits */
} hd_batch;

typedef struct hd_encoder hd_encoder;

/* What scratch is for: passes of up to so many tokens, in so many sequences or spans, by so many members. */
typedef struct hd_room {
    int n_tokens, n_rows, n_members;
} hd_room;

/* What an architecture implements. */
typedef struct hd_architecture {
    const char *model_type; /* "bert" */
    bool no_device;         /* runs on the CPU alone: there is no product in it */
    bool pre_norm;          /* norms stand before the blocks and leave the residual stream as it is */

    /* Binds weights. Called again on the same settings when a packed file takes the place of heap blobs. */
    hd_status (*bind)(hd_encoder *encoder, hd_weights *weights, hd_error *err);

    size_t (*scratch_bytes)(const hd_encoder *encoder, const hd_room *room);

    /* One member's part in a pass; scratch is shared by the team, zeroed once when allocated, and always of
     * scratch_bytes(encoder, room). */
    void (*forward)(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch);
} hd_architecture;

/* Which keys a query sees, and how places in the sequence take part in that. One for all layers, or a few. */
typedef struct hd_attention_rule {
    int reach_back, reach_ahead; /* K_REACH_ALL, or that many places */
    const float *cos, *sin;      /* rotary positions: [n_positions, head_dim / 2], or NULL */
    const float *bias;           /* by distance, of the first head, bias_stride to the next; or NULL */
    size_t bias_stride;
} hd_attention_rule;

/* A layer of a transformer. */
typedef struct hd_layer {
    k_weights qkv, attention_out, up, down;
    k_weights gate;                      /* n 0: the feed-forward is not gated */
    hd_norm attention_norm, output_norm; /* behind attention and feed-forward; pre-norm: before them, n 0: none */
    const float *q_gamma, *k_gamma;      /* [head_dim]: RMS norm of each head of queries and keys, or NULL */
    hd_norm query_norm, key_norm;        /* of all heads of queries and keys together, or n 0 */
    hd_norm inner_norm;                  /* behind attention once more, before it is added to the residual stream; or n 0 */
    hd_norm attention_post_norm, ffn_post_norm; /* of what attention and feed-forward add to the stream; or n 0 */
    hd_adapter qkv_adapter, out_adapter, up_adapter, down_adapter; /* rank 0: none */
    const hd_attention_rule *rule;
} hd_layer;

/* One step behind pooling: norm(activation(W x + b) + R x). */
typedef struct hd_head_step {
    k_weights linear, residual; /* residual n 0: none */
    k_epilogue activation;
    hd_norm norm; /* n 0: none */
} hd_head_step;

/* From hidden states to one row for each sequence: pooling, then steps. */
typedef struct hd_row_head {
    uint32_t pooling; /* hd_pooling bits */
    uint32_t n_steps;
    hd_head_step steps[HD_LIMIT_DENSE_MODULES];
    int n_pooled; /* values after pooling, before the steps */
    int n_out;
} hd_row_head;

/* What a masked-language head makes of a token: decoder(norm(activation(W x + b))). */
typedef struct hd_vocab_head {
    k_weights dense, decoder;
    k_epilogue activation;
    hd_norm norm;
} hd_vocab_head;

struct hd_encoder {
    const hd_architecture *architecture;
    const hd_settings *settings;
    const hd_device_ops *device;
    hd_kernels kernels;
    k_type type;         /* of the matrix products' weights */
    k_type act_type;     /* of the rows they read: type, or K_F32 where bf16 is only stored (kernel/gemm.h) */
    k_type normed_type;  /* of those behind a layer's norm: act_type, or on devices K_F8 beside K_F16 */
    k_type qkv_type;     /* of queries, keys and values: what attention is fastest on here */
    k_type context_type; /* of what attention writes */
    k_type middle_type;  /* of the feed-forward's wide middle, as products write it */
    int block_rows;      /* rows of the feed-forward's wide middle at a time */

    hd_embedding embedding;
    hd_table_adapter word_adapter, type_adapter;
    hd_norm embedding_norm, final_norm; /* n 0: none */
    hd_attention_rule rules[2];         /* [0] sees everything unless the architecture says otherwise */
    hd_layer *layers;                   /* [n_layers], on the arena */

    uint32_t heads;            /* HD_HEAD_* bits: what it can give */
    int n_out;                 /* DENSE: values of a vector */
    int n_token_out;           /* MULTI: values of a token's vector */
    int n_labels;              /* SCORES */
    bool sparse_by_vocabulary; /* SPARSE: weights for each id of the vocabulary, not for each token */
    bool skip_first_token;     /* MULTI: the first token's vector does not count (bge-m3's CLS) */

    hd_row_head dense, query_dense, scores;
    hd_vocab_head vocab;
    k_weights token_weight; /* SPARSE by token: f32, one channel */
    uint32_t n_token_steps; /* MULTI */
    hd_head_step token_steps[HD_LIMIT_DENSE_MODULES];
    hd_arena arena;
};

/* Opens an encoder over weights, which must outlive it. HD_ERR_UNSUPPORTED for an unknown model_type;
 * HD_ERR_FORMAT for tensors that do not fit the settings. */
HD_MUST_USE hd_status hd__encoder_open(const hd_settings *settings, hd_weights *weights, const hd_device_ops *device,
                                       k_type type, hd_encoder **encoder, hd_error *err);
void hd__encoder_close(hd_encoder *encoder); /* NULL allowed */

/* Bytes that opening an encoder over these weights would take or map. Nothing is packed. */
HD_MUST_USE hd_status hd__encoder_measure(const hd_settings *settings, hd_weights *weights, const hd_device_ops *device,
                                          k_type type, uint64_t *bytes, hd_error *err);

/* Whether model_type has an architecture, for an early answer. */
HD_MUST_USE hd_status hd__encoder_check(const hd_settings *settings, hd_error *err);

/* Whether a device that is not the CPU can have anything to do with it. */
bool hd__encoder_runs_on_devices(const hd_settings *settings);

/* Multiply-adds of one token's matrix products, times two. */
uint64_t hd__encoder_flops_per_token(const hd_settings *settings);

extern const hd_architecture hd__bert, hd__roberta, hd__xlm_roberta, hd__camembert, hd__distilbert, hd__mpnet,
    hd__nomic_bert, hd__modernbert, hd__qwen3, hd__gemma3, hd__gte, hd__jina_bert, hd__xlm_roberta_flash, hd__static;

#endif
