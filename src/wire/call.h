/* call.h - the one normal form between protocols and the engine: what is asked (a call), what comes back (a result).
 *
 * A protocol's `read` makes a call of a request, its `write` makes a response of call and result. Neither waits,
 * starts a thread, or asks which protocol is talking: differences that matter are fields here.
 */
#ifndef HD_WIRE_CALL_H
#define HD_WIRE_CALL_H

#include "base/http.h"
#include "heddle/index.h"

typedef enum hd_task {
    HD_TASK_REPLY,      /* nothing to compute: write is called at once, result holds the list of models alone */
    HD_TASK_MODEL,      /* facts of one model, which need not be loaded */
    HD_TASK_EMBED,      /* inputs → vectors */
    HD_TASK_EMBED_ALL,  /* inputs → the state of each token */
    HD_TASK_SPARSE,     /* inputs → weights by token id */
    HD_TASK_RERANK,     /* pairs (query, input) → scores */
    HD_TASK_CLASSIFY,   /* inputs, or pairs → scores by label */
    HD_TASK_TOKENIZE,   /* inputs → tokens */
    HD_TASK_DETOKENIZE, /* token ids → text */
    /* of the index: call->index says what, result->index what came of it */
    HD_TASK_SEARCH, /* searches → hits */
    HD_TASK_PUT,    /* documents → ids */
    HD_TASK_REMOVE, /* ids, or a filter → how many */
    HD_TASK_LIST,   /* a filter → documents */
    HD_TASK_GET,    /* an id → a document and its chunks */
    HD_TASK_STATS,  /* how large the index is */
} hd_task;

const char *hd__task_name(hd_task task); /* "embed", … */

typedef enum hd_truncate {
    HD_TRUNCATE_DEFAULT, /* as the server is set: cut at the end, unless --no-auto-truncate */
    HD_TRUNCATE_NONE,    /* an input that is too long is a fault (HD_FAULT_TOKENS) */
    HD_TRUNCATE_END,
    HD_TRUNCATE_START
} hd_truncate;

/* How vectors are written. */
typedef enum hd_vector_type {
    HD_VECTOR_F32,
    HD_VECTOR_F16,
    HD_VECTOR_INT8,
    HD_VECTOR_UINT8,
    HD_VECTOR_BINARY,
    HD_VECTOR_UBINARY
} hd_vector_type;

/* Text, or token ids in its place (ids.ids not NULL). */
typedef struct hd_input {
    hd_text text;
    hd_token_ids ids; /* specials included: taken as they are */
    hd_text pair;     /* CLASSIFY of pairs: the second text; ptr NULL: none */
} hd_input;

/* What is asked of the index. */
typedef struct hd_index_call {
    const hd_search *searches; /* SEARCH: [n_searches] */
    size_t n_searches;
    const hd_document *documents; /* PUT: [n_documents] */
    size_t n_documents;
    const char *const *ids; /* REMOVE: [n_ids]; GET: one */
    size_t n_ids;
    const char *filter;     /* REMOVE, LIST; NULL: none */
    uint32_t offset, limit; /* LIST */
} hd_index_call;

typedef struct hd_call {
    hd_task task;
    const char *model;      /* as asked for; NULL: none named */
    const hd_input *inputs; /* [n_inputs] */
    size_t n_inputs;
    bool is_single; /* the input was not inside an array: some protocols answer in another shape */
    hd_text query;  /* RERANK */

    const char *prompt_name, *prompt; /* as hd_encode_options */
    const char *const *prompt_names;  /* else the first of these that the model has, if any; ends with NULL. The model's task
                                       * is the first of them that it has adapters for */
    uint32_t heads;                   /* EMBED: hd_head bits beside the vector; 0: none */
    hd_long_text long_text;           /* EMBED */
    uint32_t dimensions;              /* 0: all */
    uint32_t max_length;              /* tokens; 0: the model's; more than the model's counts as the model's */
    hd_truncate truncate;
    bool no_normalize;
    bool no_specials;    /* TOKENIZE, DETOKENIZE: without what the template adds */
    bool raw_scores;     /* RERANK, CLASSIFY: without sigmoid or softmax */
    uint32_t timeout_ms; /* of the whole; 0: the server's */

    hd_vector_type vector_type;
    bool base64;                /* vectors as base64 of their little-endian bytes */
    uint32_t top_n;             /* RERANK; 0: all */
    bool return_text;           /* RERANK: the texts with their scores */
    const hd_index_call *index; /* of the index's tasks, on the arena */
    void *own;                  /* what a protocol's read keeps for its write, on the arena */
} hd_call;

typedef struct hd_score {
    uint32_t index; /* RERANK: the input. CLASSIFY: the label */
    float score;
} hd_score;

typedef enum hd_model_state { HD_MODEL_UNLOADED, HD_MODEL_LOADING, HD_MODEL_LOADED, HD_MODEL_FAILED } hd_model_state;

/* One model of this server, as protocols show it. Strings live as long as the server. */
typedef struct hd_model_card {
    const char *name; /* what requests call it and responses echo */
    hd_model_info info;
    hd_model_state state;
    uint64_t created_s;     /* Unix time of registration */
    uint64_t unload_s;      /* of when it is unloaded unless somebody uses it before; 0: never, or it is not loaded */
    uint64_t weights_bytes; /* 0 while it is not loaded */
    uint32_t vocab_size;
} hd_model_card;

typedef struct hd_index_result {
    hd_results *searches; /* SEARCH: [n_searches] */
    hd_text *ids;         /* PUT: [n_documents]; ptr NULL: no text in it */
    uint64_t n_removed;
    hd_listing listing; /* LIST, GET: of one document or none */
    hd_index_stats stats;
} hd_index_result;

typedef struct hd_result {
    const hd_model_card *model;  /* whom the call went to; NULL for REPLY */
    const char *echo;            /* the model's name as the response says it: the request's, else the card's */
    const hd_model_card *models; /* [n_models] all, for REPLY and MODEL */
    size_t n_models;

    const float *vectors; /* EMBED: [n_inputs, n_dimensions] */
    uint32_t n_dimensions;
    const hd_output *outputs; /* [n_inputs] EMBED_ALL: token_states; SPARSE: sparse; EMBED: what call->heads adds */
    const hd_score *scores;   /* descending. RERANK: [n_scores], cut to top_n. CLASSIFY: [n_inputs, n_labels] */
    size_t n_scores;
    const char *const *labels; /* CLASSIFY: [n_labels] */
    size_t n_labels;
    const hd_tokens *tokens;        /* TOKENIZE: [n_inputs] */
    const char *const *token_texts; /* TOKENIZE: texts of all tokens of all inputs, one after the other */
    const char *prompt;             /* TOKENIZE: what was put before each text, which offsets count in; NULL: nothing */
    const hd_text *texts;           /* DETOKENIZE: [n_inputs] */

    const uint32_t *n_tokens; /* [n_inputs] specials included, cached ones too; RERANK: of the pair */
    uint64_t n_tokens_total, n_truncated;
    bool on_gpu; /* some of it was computed there */

    struct { /* in nanoseconds, for protocols that report them */
        uint64_t total, read, load, tokenize, queue, compute;
    } times;
    const hd_index_result *index; /* of the index's tasks */
    bool ready;                   /* what /ready says */
    uint32_t n_in_flight;         /* calls on their way, this one too */
} hd_result;

#endif
