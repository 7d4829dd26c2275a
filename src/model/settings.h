/* settings.h - what a model folder in the Hub's layout says about itself, checked and in one place.
 *
 * Files: config.json (architecture), modules.json with router_config.json and the module folders they name (pooling, Dense,
 * Normalize), sentence_bert_config.json, config_sentence_transformers.json, tokenizer_config.json, and whether bge-m3's
 * sparse_linear.pt and colbert_linear.pt are beside config.json. A folder without modules.json is ColBERT's own when its
 * architecture is HF_ColBERT (late_config.h), else a plain transformer: mean pooling (last token for causal language
 * models), vectors left as pooled, and neither of the two sentence-transformers files is read, as sentence-transformers
 * does.
 *
 * A folder may hold an adapter of PEFT's (peft.h): beside config.json and the weights that it changes, or without them, when
 * they are those of the model that it names. Everything but config.json is read in the adapter's folder, and the tokenizer
 * is taken from there if there is one, as sentence-transformers does.
 *
 * Source of the rules: sentence-transformers 6.2, transformers 5 (what is read, in which order, and what holds
 * when a field or a file is absent).
 */
#ifndef HD_MODEL_SETTINGS_H
#define HD_MODEL_SETTINGS_H

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"
#include "model/tensors.h"

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
    HD_POOLING_MEAN_SQRT = 8,      /* sum / sqrt(length) */
    HD_POOLING_WEIGHTED_MEAN = 16, /* token i weighs i + 1 */
    HD_POOLING_LAST = 32,
} hd_pooling;

typedef struct hd_prompt {
    const char *name, *text;
} hd_prompt;

#define HD_LIMIT_DENSE_MODULES 8

typedef struct hd_dense_settings {
    const char *dir; /* folder with model.safetensors holding linear.weight and perhaps linear.bias and residual.weight */
    uint32_t n_in, n_out;
    bool has_bias;
    bool has_residual; /* its input is added to what it gives, or where they are not as wide, R times its input */
    hd_activation activation;
} hd_dense_settings;

/* How a late-interaction model reads queries and documents, where it tells them apart (late_config.h). */
typedef struct hd_late_settings {
    const char *query_prefix, *document_prefix; /* the token behind the first one; "": none */
    uint32_t query_length, document_length;     /* tokens at most, prefix and specials included */
    uint32_t expanded_length;                   /* queries are filled up to so many with the token `expansion`, 0: not */
    bool attends;                               /* which all tokens see; else none does */
    const char *expansion;
    uint32_t n_skipped;
    const char *const *skipped; /* [n_skipped] tokens that give a document no vector; what the vocabulary lacks: */
    bool skips_unknown;         /* the unknown token, else none */
    bool has_prompts;           /* prefixes are the model's prompts "query" and "document": those of a rerank, too */
} hd_late_settings;

typedef struct hd_settings {
    const char *dir;           /* of config.json and the weights: the model's own, or its 0_Transformer, or that of the model
                                * that it is an adapter to; a GGUF file is all of them */
    const char *tokenizer_dir; /* of the tokenizer: the same, but for an adapter with one of its own */
    const char *adapter_dir;   /* of an adapter for the whole model (peft.h), which is merged into the weights; NULL: none */
    const struct hd_peft_config *adapter; /* what its settings say */
    const char *model_type;               /* config.json's, e.g. "bert" */
    const char *architecture;             /* first of config.json's architectures, e.g. "BertModel"; "" when absent */

    /* the transformer */
    uint32_t n_layers, hidden, n_heads, intermediate; /* a missing field has its class's default, or 0 for a stranger */
    uint32_t n_kv_heads, head_dim;                    /* heads of keys and values; values of a head */
    uint32_t vocab_size, n_positions, n_token_types;
    double norm_eps;
    hd_activation activation;
    bool absolute_positions;  /* position_embedding_type; others are HD_ERR_UNSUPPORTED for bert */
    uint32_t position_offset; /* rows of the position table before that of the first token; n_positions counts from there */
    double rotary_theta, rotary_theta_local; /* base of the angles, in layers that see a window only; 0: not turned */
    double rotary_factor;                    /* angles are stretched for texts so many times as long (NTK); 1: not */
    uint32_t local_window;                   /* such layers see so many places each way; */
    uint32_t global_every, global_first;     /* every so many-th sees all, from that one on */
    bool gated;                              /* the feed-forward has a gate */
    int32_t pad_id;                          /* -1: none */
    uint32_t n_tasks, adapter_rank;          /* low-rank adapters, one for each task; 0: none */
    double adapter_scale;                    /* what their products are multiplied by */
    bool no_specials;                        /* texts are read without what the tokenizer's template adds */
    bool counts_unknown;                     /* static models: the unknown token counts, too */
    int32_t unknown_id; /* static models: the token that does not count; -1: none, or the tokenizer was not asked yet */

    /* what happens to its output */
    uint32_t heads;            /* HD_HEAD_* bits of what the files ask for */
    bool sparse_by_vocabulary; /* SPARSE: a masked-language head, SPLADE; else a weight for each token */
    bool sparse_log_twice;     /* SPLADE: log(1 + log(1 + relu)), else log(1 + relu) */
    bool sparse_sums;          /* SPLADE: of that the sum over the tokens, else the greatest */
    const char *query_table;   /* SPLADE: the folder of the weights that a query's tokens have, without the transformer;
                                * NULL: queries are read as documents are */
    uint32_t query_length;     /* tokens of such a query, without specials */
    bool has_sides;            /* queries and documents have encoders of their own; this is one of them */
    const struct hd_settings *queries; /* of documents: those of queries, which share the transformer and have other modules
                                        * behind it; NULL: none do */
    const char *sparse_linear;         /* SPARSE by token: the file of bge-m3's linear layer, or NULL */
    const char *colbert_linear;        /* MULTI: the same */
    uint32_t n_token_out;              /* MULTI: values of a token's vector */
    hd_late_settings *late;            /* MULTI: its Dense modules are for tokens; NULL: colbert_linear, or none */
    uint32_t n_labels;                 /* SCORES */
    const char *const *labels;         /* [n_labels] */
    bool labels_are_independent;       /* problem_type "multi_label_classification": a text may have several of them */
    bool judges;                       /* SCORES: logit of the answer "yes" less that of "no", as Qwen3-Reranker's */
    int32_t answers[2];                /* ids of "no" and "yes"; -1 until the tokenizer was asked */
    bool answers_alone;                /* the head has the rows of "yes" and "no" alone, in this order, as GGUF's */
    hd_activation score_activation;    /* where the architecture leaves it to config.json */
    uint32_t score_pooling;            /* one of hd_pooling */
    uint32_t pooling;                  /* hd_pooling bits, at least one */
    bool include_prompt;               /* pooled together with the prompt's tokens; false leaves them out */
    uint32_t n_dense;
    hd_dense_settings dense[HD_LIMIT_DENSE_MODULES];
    bool normalize;
    uint32_t truncate_dim; /* vectors are cut to so many values when nobody asks otherwise; 0: not */

    /* text side */
    uint32_t max_length; /* tokens with specials: sentence_bert_config, else tokenizer_config, else positions; of
                          * sentence-transformers' static models the truncation of tokenizer.json, else none */
    bool cuts_front;     /* of a longer text the end is read: what such a truncation may say */
    bool lower_case;     /* sentence_bert_config's do_lower_case: before the tokenizer */
    uint32_t n_prompts;
    const hd_prompt *prompts;        /* [n_prompts] */
    const char *default_prompt_name; /* "" for none */
    bool query_is_default;    /* where queries are read otherwise: what has no prompt's name is one, without a prompt */
    const char *const *tasks; /* [n_tasks] their names */
    const char *const *task_prompts; /* [n_tasks] what is put before texts of a task; "" for nothing */
    const char *const *task_dirs; /* [n_tasks] folders of their adapters (peft.h); NULL: tensors of the weights have them */
    const char *similarity;       /* "cosine" unless config_sentence_transformers.json says otherwise */
} hd_settings;

/* Where settings files come from. read gives the parsed file of a path relative to the model's folder, to be
 * freed by json_decref, or HD_ERR_NOT_FOUND. */
typedef struct hd_settings_source {
    hd_status (*read)(void *data, const char *path, json_t **root, hd_error *err);
    void *data;

    /* Where the model is whose weights an adapter changes (locate.h), and the cache it is looked for in (NULL: the default
     * one). NULL: an adapter must be beside its weights. */
    hd_status (*locate)(const char *name, const char *cache_dir, hd_arena *arena, const char **dir, hd_error *err);
    const char *cache_dir;
    bool of_queries; /* where a Router has encoders for both, that of queries is read; else that of documents */
} hd_settings_source;

/* Files of a folder; both must live as long. */
hd_settings_source hd__settings_source_folder(const char *dir, const char *cache_dir);

/* Reads and checks the folder's files, or what a GGUF file says (gguf_settings.h) when `dir` is one; texts live in the
 * arena. Errors name file, field and limit. Unknown architectures are left to the encoder registry: model_type is passed on
 * as it is, and the fields of the transformer are read by config.json's BERT names (transformer_config.h). */
HD_MUST_USE hd_status hd__settings_read(const char *dir, const char *cache_dir, hd_arena *arena, hd_settings *settings,
                                        hd_error *err);

/* The same for queries, of a folder that has_sides. */
HD_MUST_USE hd_status hd__settings_read_queries(const char *dir, const char *cache_dir, hd_arena *arena,
                                                hd_settings *settings, hd_error *err);

/* Whether a folder has the files of a tokenizer. */
bool hd__settings_have_tokenizer(const char *dir);

/* The same from anywhere; dir only goes into paths and error texts. */
HD_MUST_USE hd_status hd__settings_read_from(const hd_settings_source *source, const char *dir, hd_arena *arena,
                                             hd_settings *settings, hd_error *err);

/* The table of a static model, by model2vec's name or by sentence-transformers'; NULL: there is none. */
const hd_tensor *hd__static_table(const hd_tensors *tensors);

/* "mean", "cls", "cls+mean", … into the arena. */
const char *hd__pooling_name(uint32_t pooling, hd_arena *arena);

/* One kind, by the name that hd__pooling_name gives it, or "last-token". False for a stranger. */
bool hd__pooling_parse(const char *name, uint32_t *pooling);

#endif
