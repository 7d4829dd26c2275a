/* settings.h - what a model folder in the Hub's layout says about itself, checked and in one place.
 *
 * Files: config.json (architecture), modules.json and the module folders it names (pooling, Dense,
 * Normalize), sentence_bert_config.json, config_sentence_transformers.json, tokenizer_config.json. A folder
 * without modules.json is a plain transformer: mean pooling and unit vectors, as sentence-transformers does.
 */
#ifndef HD_MODEL_SETTINGS_H
#define HD_MODEL_SETTINGS_H

#include "base/arena.h"
#include "base/limits.h"

typedef enum hd_activation {
    HD_ACTIVATION_GELU,      /* x * Phi(x), by erf */
    HD_ACTIVATION_GELU_TANH, /* gelu_new, gelu_pytorch_tanh */
    HD_ACTIVATION_RELU,
    HD_ACTIVATION_SILU,
    HD_ACTIVATION_TANH,
    HD_ACTIVATION_IDENTITY,
} hd_activation;

/* Bits; several are concatenated in this order, as sentence-transformers does. */
typedef enum hd_pooling {
    HD_POOLING_CLS = 1,
    HD_POOLING_MAX = 2,
    HD_POOLING_MEAN = 4,
    HD_POOLING_MEAN_SQRT = 8,    /* sum / sqrt(length) */
    HD_POOLING_WEIGHTED_MEAN = 16, /* token i weighs i + 1 */
    HD_POOLING_LAST = 32,
} hd_pooling;

typedef struct hd_prompt {
    const char *name, *text;
} hd_prompt;

#define HD_LIMIT_DENSE_MODULES 8

typedef struct hd_dense_settings {
    const char *dir; /* folder with model.safetensors holding linear.weight and perhaps linear.bias */
    uint32_t n_in, n_out;
    bool has_bias;
    hd_activation activation;
} hd_dense_settings;

typedef struct hd_settings {
    const char *dir;
    const char *model_type; /* config.json's, e.g. "bert" */
    const char *architecture; /* first of config.json's architectures, e.g. "BertModel"; "" when absent */

    /* the transformer */
    uint32_t n_layers, hidden, n_heads, intermediate;
    uint32_t vocab_size, n_positions, n_token_types;
    double norm_eps;
    hd_activation activation;
    bool absolute_positions; /* position_embedding_type; others are HD_ERR_UNSUPPORTED for bert */
    int32_t pad_id;

    /* what happens to its output */
    uint32_t pooling; /* hd_pooling bits, at least one */
    bool include_prompt; /* pooled together with the prompt's tokens; false leaves them out */
    uint32_t n_dense;
    hd_dense_settings dense[HD_LIMIT_DENSE_MODULES];
    bool normalize;

    /* text side */
    uint32_t max_length; /* tokens with specials: sentence_bert_config, else tokenizer_config, else positions */
    bool lower_case;     /* sentence_bert_config's do_lower_case: before the tokenizer */
    uint32_t n_prompts;
    const hd_prompt *prompts; /* [n_prompts] */
    const char *default_prompt_name; /* "" for none */
    const char *similarity; /* "cosine" unless config_sentence_transformers.json says otherwise */
} hd_settings;

/* Reads and checks the folder's files; texts live in the arena. Errors name file, field and limit.
 * Unknown architectures are left to the encoder registry: model_type is passed on as it is, and the fields
 * of the transformer are read by config.json's BERT names. */
HD_MUST_USE hd_status hd__settings_read(const char *dir, hd_arena *arena, hd_settings *settings, hd_error *err);

/* "mean", "cls", "cls+mean", … into the arena. */
const char *hd__pooling_name(uint32_t pooling, hd_arena *arena);

#endif
