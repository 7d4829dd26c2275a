/* heddle.h - text in, vectors out: the public C API of Heddle.
 *
 * The shape of it:
 *
 *   hd_engine   worker threads, memory limit, vector cache. One per process is enough.
 *   hd_model    one model, registered in microseconds, loaded at its first use, unloaded when idle.
 *   hd_job      texts on their way through a model. hd_encode() is start + wait in one call.
 *
 * and of what comes out: hd_encode() gives dense vectors, hd_encode_outputs() any mix of a model's heads for texts and
 * pairs of texts, hd_rerank() the scores of documents for a query.
 *
 * Threads: every function may be called from any thread at any time, on the same engine and the same
 * model, except that the *_close functions must be the last use of what they close.
 * Fork: an engine does not survive fork(); open it in the child.
 *
 * Errors: fallible functions return hd_status. When `err` is not NULL it receives the status and one line
 * of text naming what failed, the value and the limit. On failure output arguments are left untouched
 * unless a function says otherwise. Nothing here prints, exits or aborts on bad input. Pointers are to be valid: NULL is
 * taken where a function says so, for options and stats that are not wanted, and for arrays of no elements; anywhere else
 * it is the caller's bug.
 *
 * Text is UTF-8 with a length; bytes that are not UTF-8 count as U+FFFD, one per maximal invalid prefix
 * (Unicode 15, section 3.9, "substitution of maximal subparts"), unless `strict` is set.
 */
#ifndef HEDDLE_HEDDLE_H
#define HEDDLE_HEDDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HD_API __attribute__((visibility("default")))
#define HD_MUST_USE __attribute__((warn_unused_result))
#else
#define HD_API
#define HD_MUST_USE
#endif

#define HD_VERSION_MAJOR 0
#define HD_VERSION_MINOR 1
#define HD_VERSION_PATCH 0

/* ---- errors ------------------------------------------------------------------------------------- */

typedef enum hd_status {
    HD_OK = 0,
    HD_ERR_ARG,         /* the caller's argument is out of its documented range */
    HD_ERR_LIMIT,       /* a named limit would be exceeded */
    HD_ERR_FORMAT,      /* a file or message is malformed */
    HD_ERR_NOT_FOUND,   /* no such model, file or prompt */
    HD_ERR_IO,          /* the operating system refused to read or write */
    HD_ERR_PEER,        /* another machine answered wrongly or not at all */
    HD_ERR_MEMORY,      /* not enough memory, also after trying with half the batch */
    HD_ERR_BUSY,        /* somebody else holds what is needed */
    HD_ERR_CANCELLED,   /* hd_job_cancel was called, or a callback wanted no more */
    HD_ERR_UNSUPPORTED, /* valid, but not something Heddle can do */
    HD_ERR_NUMERIC,     /* the model produced a NaN or an infinity */
} hd_status;

#define HD_ERROR_TEXT_BYTES 512

typedef struct hd_error {
    hd_status status;
    char text[HD_ERROR_TEXT_BYTES]; /* NUL-terminated, cut with "..." when too long */
} hd_error;

/* A short constant name: "ok", "argument", "limit", ... */
HD_API const char *hd_status_name(hd_status status);

/* "0.1.0" */
HD_API const char *hd_version(void);

/* What computes, in words: "cpu (AMD EPYC 9454P 48-Core Processor), 4 cores, avx512-bf16". Static text. */
HD_API const char *hd_device_text(void);

/* ---- engine ------------------------------------------------------------------------------------- */

typedef struct hd_engine hd_engine;

/* All zero means defaults. */
typedef struct hd_engine_options {
    uint32_t n_threads;           /* worker threads; 0: one for each core this process may use */
    uint32_t idle_unload_s;       /* unload a model unused for so many seconds; 0: never */
    uint64_t memory_limit_bytes;  /* all models' weights and batches, and the cache; 0: 0.8 of the machine's (or cgroup's) */
    uint64_t cache_bytes;         /* vectors kept by (model, prompt, text), least recently used go; 0: off */
    const char *cache_dir;        /* packed weights and pulled models; NULL: $HEDDLE_CACHE, else $XDG_CACHE_HOME/heddle, else
                                   * ~/.cache/heddle. Without any of them models are folders, and are packed at each start */
    bool no_packed_cache;         /* neither read nor write packed weights on disk */
    uint64_t max_queue_tokens;    /* hd_job_submit says HD_ERR_BUSY rather than queue more; 0: no limit */
    const char *device;           /* "cpu"; "cuda", every GPU; "cuda:N", one; NULL or "auto": GPUs if there are any */
    double device_memory_share;   /* of what is free on a GPU when it is opened; 0: 0.8 */
    uint64_t device_memory_bytes; /* of each GPU, in place of a share; 0: by share */
} hd_engine_options;

/* Starts no thread and allocates almost nothing: workers start with the first job.
 * HD_ERR_ARG for impossible options, HD_ERR_MEMORY. *engine is closed by hd_engine_close. */
HD_API HD_MUST_USE hd_status hd_engine_open(const hd_engine_options *options, hd_engine **engine, hd_error *err);

/* Closes every model still open and frees all; every job must have been waited for. NULL is allowed. */
HD_API void hd_engine_close(hd_engine *engine);

typedef struct hd_engine_stats {
    uint64_t n_texts, n_tokens;        /* encoded since the engine opened, cache hits not counted */
    uint64_t cache_hits, cache_misses; /* lookups in the vector cache */
    uint64_t cache_entries, cache_used_bytes;
    uint64_t weights_bytes; /* packed weights of the loaded models (mapped or allocated) */
    uint64_t scratch_bytes; /* planned activations of all workers */
    uint32_t n_threads, n_models_loaded;
    uint64_t queue_texts, queue_tokens; /* waiting for a worker now */
    uint64_t n_shared;                  /* texts that got the vector of an equal one computed at the same time */
    uint64_t n_batches, n_batch_texts, n_batch_tokens; /* passes through a model, and what they held in all */
    uint64_t n_batch_capacity;              /* tokens that those passes could have held: fill is n_batch_tokens / this */
    uint64_t store_hits, store_misses;      /* of the cache misses, by the shared store's answer; 0 without it */
    uint64_t store_puts, store_dropped;     /* vectors that it took, and those that it did not */
    uint64_t store_invalid, store_failures; /* values of it that were no vectors; lost connections, late answers, errors */
    bool has_store, store_connected;
} hd_engine_stats;

HD_API void hd_engine_get_stats(hd_engine *engine, hd_engine_stats *stats);

/* A GPU. Jobs run there when it works and the model is one for it, and on the CPU otherwise: no job fails because of a GPU.
 * GPUs are used through a plugin, heddle-cuda.so, which is looked for in $HEDDLE_PLUGIN_DIR, or else beside the program or
 * library that Heddle is in, in heddle/ beside it, and in ../lib/heddle from there. */
typedef struct hd_device_info {
    char name[16];                                         /* "cuda:0" */
    char hardware[64], driver[64];                         /* what the plugin says of them */
    bool is_up;                                            /* it takes jobs; else it is opened again from time to time */
    uint64_t memory_bytes, free_bytes;                     /* 0: not known now */
    uint64_t used_bytes;                                   /* by this engine */
    uint64_t n_batches, n_texts;                           /* computed there */
    uint64_t n_replayed;                                   /* batches whose operations were called all at once */
    uint64_t n_out_of_memory, n_failures;                  /* batches that had too little memory; that failed otherwise */
    uint64_t n_returned;                                   /* texts of those that went back to the queue */
    int32_t utilisation_percent, temperature_c, clock_mhz; /* below 0: not known */
} hd_device_info;

/* Opens the GPUs now, which is otherwise done when the first model is loaded, and says how many there are. It may take as
 * long as a driver to start. Never fails: what is missing is logged, and the CPU takes its place. */
HD_API uint32_t hd_engine_open_devices(hd_engine *engine);

/* The i-th GPU that the engine has opened; false when there are not so many, or while they are being opened. */
HD_API bool hd_engine_get_device(hd_engine *engine, uint32_t i, hd_device_info *info);

/* ---- models ------------------------------------------------------------------------------------- */

typedef struct hd_model hd_model;

/* What a model makes of a text, or of a pair of texts. Bits: which ones a model has, which ones a call wants; any mix
 * comes out of one pass. */
typedef enum hd_head {
    HD_HEAD_DENSE = 1,  /* one vector */
    HD_HEAD_SPARSE = 2, /* weights by token id: bge-m3, SPLADE */
    HD_HEAD_MULTI = 4,  /* one vector for each token, to be compared by hd_maxsim: bge-m3, ColBERT */
    HD_HEAD_SCORES = 8, /* one score for each label: classifiers, rerankers */
    HD_HEAD_TOKENS = 16 /* the last hidden state of every token, specials too, as it is before pooling */
} hd_head;

/* "dense", "sparse", "colbert", "scores", "tokens", the names that options and protocols use; NULL for no single head. */
HD_API const char *hd_head_name(uint32_t head);

typedef enum hd_dtype {
    /* The fastest type that keeps a mean cosine of 0.9999 here: f16 where a device has it, else bf16 where the CPU has it,
     * else f32. */
    HD_DTYPE_AUTO = 0,
    HD_DTYPE_F32,
    HD_DTYPE_BF16,
    HD_DTYPE_INT8, /* weights and activations of the matrix products in 8 bits; mean cosine about 0.995 */
    /* On devices; cosine above 0.9999. Values past its range make devices go over to bf16. The CPU, which has no
     * arithmetic for it, computes such a model in f32: in a device's place, and where there is none. */
    HD_DTYPE_F16,
    /* f16 but for the layers' products that read a norm, for queries, keys and values and for the feed-forward's middle:
     * devices that have it compute those in E4M3, floats of 8 bits. Mean cosine about 0.998. Elsewhere it is f16. */
    HD_DTYPE_FP8,
} hd_dtype;

typedef struct hd_model_options {
    hd_dtype dtype;
    uint32_t max_length;       /* tokens with specials; 0: what the model's own files say */
    bool max_length_is_a_wish; /* more than the model's own counts as that */
    const char *pooling;       /* "cls", "mean", "max", "last", …, against what the model's files say; NULL: as they say */
} hd_model_options;

/* Registers a model: a folder in the Hub's layout, or a name ("sentence-transformers/all-MiniLM-L6-v2",
 * optionally "@revision") found among pulled models or in the Hugging Face cache. Nothing is downloaded.
 * Reads the settings files only; weights are loaded at first use.
 * HD_ERR_NOT_FOUND when there is no such folder; HD_ERR_IO when it may not be read; HD_ERR_FORMAT, HD_ERR_UNSUPPORTED for
 * its contents; HD_ERR_ARG for options that do not go with it. */
HD_API HD_MUST_USE hd_status hd_model_open(hd_engine *engine, const char *name_or_dir, const hd_model_options *options,
                                           hd_model **model, hd_error *err);

/* Jobs on the model must have been waited for. NULL is allowed. */
HD_API void hd_model_close(hd_model *model);

/* Loads tokenizer and weights now, once, whatever the number of threads asking; when that fails, all of them get the
 * same error. Models that nobody uses are unloaded when the memory limit leaves no room beside them, longest unused
 * first; HD_ERR_MEMORY when that is not enough. Of a model with an encoder for queries and one for documents, both. */
HD_API HD_MUST_USE hd_status hd_model_load(hd_model *model, hd_error *err);

/* Loads the model if need be and keeps it loaded until hd_model_end. Errors as hd_model_load. */
HD_API HD_MUST_USE hd_status hd_model_begin(hd_model *model, hd_error *err);
HD_API void hd_model_end(hd_model *model);

/* Frees what a load took; the next use loads again. HD_ERR_BUSY while jobs run. */
HD_API HD_MUST_USE hd_status hd_model_unload(hd_model *model, hd_error *err);

typedef struct hd_model_info {
    const char *name;         /* as given to hd_model_open; these strings live as long as the model */
    const char *path;         /* the folder it was found in */
    const char *base_path;    /* of an adapter (PEFT's) that is there alone, the folder of what it changes; else NULL */
    const char *architecture; /* "bert" */
    const char *pooling;      /* "mean", "cls", "max", "last", "mean_sqrt_len", "weighted_mean"; several: "cls+mean" */
    const char *similarity;   /* "cosine", "dot", "euclidean", "manhattan" */
    const char *default_prompt_name; /* "" for none */
    hd_dtype dtype;                  /* as resolved, never AUTO; by what devices have once it is loaded */
    uint32_t heads;                  /* hd_head bits that it has */
    uint32_t n_dimensions;           /* DENSE: length of a vector without the `dimensions` option; 0: it gives none */
    uint32_t n_token_dimensions;     /* MULTI: length of a token's vector */
    uint32_t n_labels;               /* SCORES */
    const char *const *labels;       /* [n_labels] their names */
    bool reranks;                    /* hd_rerank works: SCORES of one label, or MULTI */
    uint32_t max_length;             /* tokens, specials included */
    uint32_t n_layers, hidden_size, n_heads;
    uint32_t n_prompts;
    uint32_t n_tasks;         /* jina-embeddings-v3: low-rank adapters, one for each task */
    const char *const *tasks; /* [n_tasks] their names */
    bool has_sides;           /* queries and documents have encoders of their own: the prompts' names "query" and "document"
                               * tell which; most of this is about that of documents */
    uint32_t n_query_tasks;   /* the tasks of queries: of their own encoder, else the same */
    const char *const *query_tasks;
    bool normalizes; /* the model's own files ask for unit vectors */
    bool loaded;
    bool loading;             /* or being unloaded: whoever needs it waits */
    bool load_failed;         /* the last load did; the next use tries again */
    uint64_t flops_per_token; /* matrix products of one token, attention left out: 2 * weights */
    uint32_t vocab_size;
    uint64_t weights_bytes; /* packed weights while loaded; 0 otherwise */
    uint64_t device_bytes;  /* weights on GPUs, beside those */
    uint64_t unload_in_ns;  /* while loaded: when idle_unload_s is over if nobody uses it from now on; UINT64_MAX: never */
} hd_model_info;

HD_API void hd_model_get_info(hd_model *model, hd_model_info *info);

/* The i-th prompt: its name and text; false when there is none. */
HD_API bool hd_model_get_prompt(hd_model *model, uint32_t i, const char **name, const char **text);

/* ---- encode ------------------------------------------------------------------------------------- */

typedef struct hd_text {
    const char *ptr; /* UTF-8, need not be NUL-terminated; may be NULL when len is 0 */
    size_t len;      /* bytes */
} hd_text;

/* What becomes of a text of more than max_length tokens. */
typedef enum hd_long_text {
    HD_LONG_CUT = 0, /* its end goes (cut_front: its beginning), or it is refused (refuse_longer) */
    HD_LONG_WINDOWS, /* DENSE alone: windows of max_length tokens, one after the other, each with prompt and specials as a
                      * text of its own; the vector is the mean of theirs, weighted by their tokens less prompt and
                      * specials, of unit length again if the model's are */
    HD_LONG_LATE,    /* DENSE alone, models with mean pooling: late chunking (Günther et al. 2024). The texts of the call
                      * are pieces of one document, in its order; each gets the mean over its own tokens, which have seen
                      * those of all pieces. The first piece has the prompt and the specials before it, the last one those
                      * after it. A document of more than max_length tokens is seen in windows of max_length; each but the
                      * first begins with max_length / 8 tokens of the one before, which count there alone. A piece
                      * without tokens is HD_ERR_ARG */
} hd_long_text;

typedef struct hd_encode_options {
    uint32_t heads;          /* hd_head bits wanted; 0: HD_HEAD_DENSE. hd_encode and hd_job_start: that one alone */
    const char *prompt_name; /* one of the model's prompts; NULL: its default prompt, if it names one. Models that read
                              * queries and documents differently (ColBERT, sparse encoders with a table for queries) take a
                              * text for a query when this is "query", else for a document; of hd_rerank both are what they
                              * are */
    const char *task;        /* one of the model's tasks: its adapters take part, and where neither prompt_name nor prompt is
                              * given, its prompt is put before each text; NULL: the weights as they are */
    const char *prompt;      /* put before each text, of a pair before the first, or in place of Qwen3-Reranker's own
                              * instruction; wins over prompt_name; "" for none at all */
    uint32_t dimensions;     /* keep the first so many values (Matryoshka), unit length again if the model is so; 0: all */
    uint32_t max_length;     /* tokens with specials, at most the model's; 0: the model's */
    bool no_normalize;       /* leave vectors as pooled even where the model's files ask for unit length */
    bool strict;             /* invalid UTF-8 is HD_ERR_FORMAT */
    bool refuse_longer;      /* a text of more than max_length tokens is HD_ERR_LIMIT, nothing is cut */
    bool cut_front;          /* of a text that is too long the end is kept, not the beginning */
    hd_long_text long_text;
    bool cut_second; /* of a pair that is too long only the second text is cut, after the first was cut to 3/4 of max_length,
                      * as FlagEmbedding does; else the longer one, then both, as sentence-transformers does */
    bool raw_scores; /* SCORES as the model's last layer gives them; else by sigmoid, or by softmax over several labels of
                      * which one holds. hd_rerank by MULTI: the sum over the query's vectors, not the mean */
    bool no_specials; /* hd_tokenize: without what the model's template adds; hd_detokenize: without special tokens */
} hd_encode_options;

typedef struct hd_encode_stats {
    uint64_t n_tokens;     /* computed, specials included */
    uint64_t n_truncated;  /* texts that were longer than max_length */
    uint64_t n_cached;     /* texts answered from the vector cache */
    uint64_t tokenize_ns;  /* in start: loading, if need be, tokenising, asking the cache */
    uint64_t queue_ns;     /* from there, the shared store being asked, to the first worker that took some of it; 0 when
                            * nothing was computed */
    uint64_t compute_ns;   /* from there to the last vector */
    uint64_t n_on_devices; /* texts, or their windows, that a GPU computed */
} hd_encode_stats;

/* Encodes n texts. out is [n, dimensions] f32, rows in input order; every value is finite.
 * Empty text is valid. The same text gives the same bits alone or among others, on any number of threads.
 * HD_ERR_ARG (unknown option values), HD_ERR_NOT_FOUND (prompt_name, task), HD_ERR_FORMAT (strict),
 * HD_ERR_UNSUPPORTED (a model without dense vectors, long_text that does not go with it), HD_ERR_NUMERIC, HD_ERR_MEMORY,
 * and whatever hd_model_load reports. On failure out is unspecified. */
HD_API HD_MUST_USE hd_status hd_encode(hd_model *model, const hd_text *texts, size_t n, const hd_encode_options *options,
                                       float *out, hd_encode_stats *stats, hd_error *err);

/* ---- other heads ----------------------------------------------------------------------------------- */

typedef struct hd_sparse_vector {
    const uint32_t *ids;  /* [n] token ids, ascending */
    const float *weights; /* [n] all above 0 */
    size_t n;
} hd_sparse_vector;

/* What the wanted heads but DENSE made of one text or pair; zero where a head was not wanted. All arrays are in `memory`. */
typedef struct hd_output {
    hd_sparse_vector sparse;    /* SPARSE. Of a token id that comes several times the greatest weight; bge-m3: without
                                 * its special tokens */
    const float *token_vectors; /* MULTI: [n_token_vectors, n_token_dimensions]; bge-m3: without the first token's; ColBERT:
                                 * of a document without those of punctuation, of a query with its mask tokens' */
    size_t n_token_vectors;
    const float *token_states; /* TOKENS: [n_token_states, hidden_size] */
    size_t n_token_states;
    const float *scores; /* SCORES: [n_labels], in the order of the model's labels */
    void *memory;
} hd_output;

/* Frees what n outputs hold, and leaves them zero. */
HD_API void hd_outputs_free(hd_output *outputs, size_t n);

/* Encodes n texts, or pairs of texts (pairs [n], ptr NULL: that text alone; NULL: no pairs), by the heads in
 * options->heads. out is as in hd_encode, NULL without DENSE; outputs is [n], overwritten, to be freed by hd_outputs_free
 * after success, NULL when no other head is wanted. The same text gives the same bits whatever heads are wanted.
 * Errors as hd_encode; HD_ERR_UNSUPPORTED for a head that the model lacks, and for pairs when its tokenizer has no place
 * for a second text. On failure all outputs are zero. */
HD_API HD_MUST_USE hd_status hd_encode_outputs(hd_model *model, const hd_text *texts, const hd_text *pairs, size_t n,
                                               const hd_encode_options *options, float *out, hd_output *outputs,
                                               hd_encode_stats *stats, hd_error *err);

/* Scores of n documents for a query, more is better. Models with SCORES of one label read each pair of query and document
 * and give their logit by sigmoid. Models with MULTI read the query and each document
 * alone; the score is hd_maxsim over the number of the query's vectors. options->heads and ->dimensions are not looked at.
 * HD_ERR_UNSUPPORTED for all other models; otherwise errors as hd_encode. On failure scores is unspecified. */
HD_API HD_MUST_USE hd_status hd_rerank(hd_model *model, hd_text query, const hd_text *documents, size_t n,
                                       const hd_encode_options *options, float *scores, hd_encode_stats *stats,
                                       hd_error *err);

/* Late interaction (Khattab and Zaharia 2020): for each of the n_q vectors of q the greatest product with one of the n_d
 * vectors of d, summed. q is [n_q, n], d is [n_d, n]; 0 when either has none. */
HD_API float hd_maxsim(const float *q, size_t n_q, const float *d, size_t n_d, size_t n);

/* ---- jobs ------------------------------------------------------------------------------------------ */

typedef struct hd_job hd_job;

/* hd_encode in two steps. start tokenises on the caller's thread and returns while workers compute.
 * texts may go once start returns; out must stay until hd_job_wait returns, which frees the job also on
 * failure. Every started job must be waited for. */
HD_API HD_MUST_USE hd_status hd_job_start(hd_model *model, const hd_text *texts, size_t n, const hd_encode_options *options,
                                          float *out, hd_job **job, hd_error *err);
HD_API HD_MUST_USE hd_status hd_job_wait(hd_job *job, hd_encode_stats *stats, hd_error *err);

/* Asks a job to stop; hd_job_wait must still be called and then says HD_ERR_CANCELLED or HD_OK. What no worker has
 * taken leaves the queue at once. */
HD_API void hd_job_cancel(hd_job *job);

/* Token ids in place of a text, specials included: they are taken as they are, but for the cut to max_length. Text may
 * stand among them: id -1 - k stands for the tokens of texts[k], which come with specials of their own where they come
 * first, and without anywhere else. */
typedef struct hd_token_ids {
    const int32_t *ids; /* NULL: none, the text counts */
    size_t n;
    const hd_text *texts; /* [n_texts], or NULL: ids alone */
    size_t n_texts;
} hd_token_ids;

typedef struct hd_job_options {
    /* Called once when the job is finished, on a worker thread, or on the caller's before hd_job_submit returns when
     * nothing had to be computed; no lock is held. hd_job_wait, in it or later, does not wait then. NULL: none. */
    void (*done)(hd_job *job, void *data);
    void *data;
    uint64_t caller;         /* jobs of one caller share its turns: callers get the same number of tokens each */
    bool background;         /* computed by threads that any other takes the core from: what nobody waits for */
    const hd_token_ids *ids; /* [n] NULL: texts alone */
    const hd_text *pairs;    /* [n] second texts; ptr NULL: none. NULL: no pairs. May go once submit returns */
    hd_output *outputs;      /* [n] as hd_encode_outputs; NULL: no head but DENSE is wanted */
    uint32_t *n_tokens;      /* [n] receives the tokens of each text, cached ones too; NULL: not wanted. A text that
                              * refuse_longer refused has its whole length there */
} hd_job_options;

/* hd_job_start for servers: nobody has to wait. *job is set before `done` can be called, and unspecified after a
 * failure, which `done` is not told about. HD_ERR_BUSY when tokens are
 * queued and these would pass the engine's max_queue_tokens; HD_ERR_FORMAT for ids outside of the vocabulary. */
HD_API HD_MUST_USE hd_status hd_job_submit(hd_model *model, const hd_text *texts, size_t n, const hd_encode_options *options,
                                           const hd_job_options *job_options, float *out, hd_job **job, hd_error *err);

/* hd_rerank for servers: as hd_job_submit, with job_options->n_tokens those of each pair, and without ids, pairs and
 * outputs. scores is [n] and must stay until hd_job_wait returns, which writes the last of them. */
HD_API HD_MUST_USE hd_status hd_rerank_submit(hd_model *model, hd_text query, const hd_text *documents, size_t n,
                                              const hd_encode_options *options, const hd_job_options *job_options,
                                              float *scores, hd_job **job, hd_error *err);

/* ---- tokens ------------------------------------------------------------------------------------- */

typedef struct hd_token {
    int32_t id;
    uint32_t byte_begin, byte_end; /* where in the text; both 0 for tokens not in it (specials) */
    uint32_t char_begin, char_end; /* the same counted in code points */
    bool special;                  /* added by the template */
} hd_token;

typedef struct hd_tokens {
    hd_token *tokens; /* [n] */
    size_t n;
    bool truncated;
} hd_tokens;

/* The tokens the model sees, specials included. *tokens is freed by hd_tokens_free. */
HD_API HD_MUST_USE hd_status hd_tokenize(hd_model *model, hd_text text, const hd_encode_options *options, hd_tokens *tokens,
                                         hd_error *err);
HD_API void hd_tokens_free(hd_tokens *tokens);

/* The vocabulary entry of an id; "" for an id out of range, and while the model is not loaded. Lives as long as the model is
 * loaded. Where queries and documents have tokenizers of their own, options are those that hd_tokenize had: their
 * prompt_name tells which. */
HD_API const char *hd_token_text(hd_model *model, const hd_encode_options *options, int32_t id);

/* The text of token ids, as the tokenizer's own decoder makes it: ids out of the vocabulary are left out, as are special
 * tokens with no_specials. Of the options that and prompt_name count, as in hd_token_text. text->ptr is freed by
 * hd_text_free. HD_ERR_UNSUPPORTED for a decoder that Heddle does not know. */
HD_API HD_MUST_USE hd_status hd_detokenize(hd_model *model, const int32_t *ids, size_t n, const hd_encode_options *options,
                                           hd_text *text, hd_error *err);
HD_API void hd_text_free(hd_text *text);

/* ---- vectors ------------------------------------------------------------------------------------ */

/* Cosine of two vectors of n values; 0 when either has no length. */
HD_API float hd_cosine(const float *a, const float *b, size_t n);

#ifdef __cplusplus
}
#endif
#endif
