/* engine_int.h - what the files of this folder share, and nobody else sees.
 *
 * One lock, engine->lock, guards everything here that is not marked otherwise: models, jobs, queue and team
 * offers. It is never held while tokenising, computing, loading or allocating anything large.
 */
#ifndef HD_ENGINE_ENGINE_INT_H
#define HD_ENGINE_ENGINE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/vector_store.h"
#include "device/accelerator.h"
#include "encoder/encoder.h"
#include "engine/cache.h"
#include "token/tokenizer.h"

#define HD_GROUP_TOKENS 512          /* tokens a worker takes at once: weights pass through the caches once for so many */
#define HD_DEVICE_GROUP_TOKENS 16384 /* and most that one on a device takes, where its memory lets it */
#define HD_DEVICE_ROW_TOKENS 8       /* of a group there, for each of its texts or spans: shorter ones are fewer tokens */
#define HD_DEVICE_SHARE_TOKENS 2048  /* so many are not shared among a device's workers: it is no faster with fewer */
#define HD_DEVICE_REPLAY_TOKENS 512  /* with more the calls of a pass cost nothing beside what they call */
#define HD_VOCABULARY_GROUP 32       /* sequences at once that have a weight for each id of the vocabulary */

typedef enum hd_sequence_state {
    HD_QUEUED,  /* waits for a worker; in the table of flights */
    HD_FOLLOWS, /* waits for an equal sequence that is in flight: in its list of followers */
    HD_TAKEN,   /* a worker's */
    HD_DROPPED, /* its job was cancelled or failed */
    HD_FOUND    /* in the store, or in the cache at last: it has its vector */
} hd_sequence_state;

/* One text on its way, or a pair, or a window of a text. Owned by its job; all but the last four fields are constant once
 * it is queued. */
typedef struct hd_sequence {
    size_t ids_at; /* in job->ids, and in job->types */
    int32_t n_tokens;
    int32_t pool_begin;
    int32_t n_seen;   /* the tokens after so many are seen by none; 0: all are seen */
    bool is_query;    /* of late interaction: each token has a vector */
    uint32_t row;     /* of job->out, job->scores or job->options.outputs; with job->parts the first of its parts */
    uint32_t n_parts; /* late chunking: how many of job->parts it makes, each a span of its tokens; 0: one vector */
    hd_hash128 key;   /* in the vector cache, and of the flight */
    hd_sequence_state state;
    hd_job *job;
    struct hd_sequence *chain;     /* next in the bucket of flights */
    struct hd_sequence *followers; /* of a flight: the first; of a follower: the next */
} hd_sequence;

/* A vector that is one of those whose mean a row is: of a window, or of what a window has of a piece of a document. */
typedef struct hd_part {
    uint32_t row;
    uint32_t weight;    /* tokens it stands for */
    int32_t begin, end; /* late chunking: in its sequence */
} hd_part;

/* A rerank by late interaction: the query is row 0, document i is row i + 1. */
typedef struct hd_interaction {
    const float *query; /* [n_query, n_token_out] */
    size_t n_query;
    void *query_memory;
    atomic_bool ready;   /* query is there */
    hd_output waiting[]; /* [n] documents that were there before it */
} hd_interaction;

/* What a pass made of one sequence, of the heads of its job. */
typedef struct hd_rows {
    const float *vectors;                                      /* [1 or n_parts, n_out] */
    const float *token_states, *token_vectors, *token_weights; /* of its tokens */
    const float *vocab_weights, *scores;
} hd_rows;

typedef struct hd_crew hd_crew;
typedef struct hd_device hd_device;

/* A caller with jobs in the queue. Lanes take turns, of as many tokens each; so do the jobs of a lane. */
typedef struct hd_lane {
    uint64_t caller;
    struct hd_lane *next;
    hd_job *head, *tail;
    int64_t credit; /* tokens it may still take in this turn */
} hd_lane;

struct hd_job {
    hd_model *model;
    hd_crew *crew; /* who computes it */
    hd_job *next;  /* in its lane, or in the crew's list of those whose `done` is to be called */
    hd_lane *lane; /* NULL: not queued */
    hd_job_options options;
    size_t n_texts;
    size_t first_text; /* what errors call the first */
    uint32_t heads;    /* hd_head bits */
    uint32_t task;     /* 1 + that of settings.tasks; 0: none */
    float *out;        /* [n_texts, n_dimensions], the caller's; with parts [n_parts, n_dimensions] */
    uint32_t n_dimensions;
    bool normalize, raw_scores, is_late; /* late chunking: parts are means over tokens, and of no unit length */
    hd_ids ids;
    hd_ids types;   /* as ids; none when all are 0 */
    hd_part *parts; /* NULL: sequences are rows */
    size_t n_parts, parts_capacity, sequences_capacity;
    float *rows;                 /* with parts: [n_texts, n_dimensions], the caller's */
    float *scores;               /* rerank: [n_texts], of late interaction less the query, the caller's; else NULL */
    hd_interaction *interaction; /* NULL: none */
    hd_sequence *sequences;      /* [n_sequences] */
    size_t n_sequences, n_done;
    size_t next_sequence;         /* all before it are taken, follow or were dropped */
    uint32_t n_device_failures;   /* of groups with sequences of it, */
    uint64_t last_device_failure; /* and the last one's number */
    float *cached;                /* [n_out] room for a vector of the cache; NULL: it is not asked */
    uint64_t n_landed;            /* the engine's when it was asked */
    uint64_t queued_ns, taken_ns;
    hd_error error;             /* the first failure */
    bool asks_store, cancelled; /* cancelled: while the store was asked */
    hd_store_key *store_keys;   /* [n_sequences] NULL: not shared */
    hd_encode_stats stats;
    pthread_cond_t finished; /* n_done == n_sequences */
};

/* A worker's place to run a model, whichever has its turn: one block, laid out as scratch for so many tokens and the
 * arrays of a batch. Touched by its worker, by those who join its team, and by anybody with the lock while nobody uses the
 * model. */
typedef struct hd_slot {
    const hd_model *model;    /* it is laid out for; NULL: none. Changes with the lock */
    hd_device_stream *stream; /* that copies from and to it; NULL: the CPU's */
    bool is_emptied;          /* by another thread than its worker, which takes nothing meanwhile */
    char *block;
    uint64_t block_bytes; /* an entry of the account of memory.c */
    hd_room room;         /* n_tokens 0: not laid out */
    uint32_t heads;       /* hd_head bits that there is room for */
    int32_t *ids, *positions, *types, *begin, *pool_begin, *n_seen, *span_begin, *span_end;
    int32_t *vector_begin;                               /* of each sequence, in out */
    float *out, *scores;                                 /* [room.n_rows, …] */
    float *token_states, *token_vectors, *token_weights; /* [room.n_tokens, …] */
    float *vocab_weights; /* [the lesser of room.n_rows and HD_VOCABULARY_GROUP, vocabulary] */
    char *scratch;        /* on a device: where x is in its block, and rows of words before they are sent there */
} hd_slot;

#define HD_UNWEIGHTED_TOKENS 4 /* cls, eos, pad, unk */

/* The ids of what hd_late_settings names. */
typedef struct hd_late_ids {
    int32_t document_prefix, query_prefix, expansion; /* -1: none */
    int32_t *skipped;                                 /* [settings.late->n_skipped] ascending */
} hd_late_ids;

typedef enum hd_crew_kind { HD_CREW_FOREGROUND, HD_CREW_BACKGROUND, HD_N_CREWS } hd_crew_kind;

/* A model on a device. */
typedef struct hd_device_copy {
    hd_encoder *encoder; /* NULL: it is not there */
    hd_device_memory memory;
    hd_encoder *before; /* in another type: a worker is still in it; NULL: none */
    hd_device_memory before_memory;
    uint64_t refused_until_ns; /* it did not fit */
} hd_device_copy;

typedef enum hd_load_state { HD_UNLOADED, HD_LOADING, HD_LOADED } hd_load_state;

struct hd_model {
    hd_engine *engine;
    hd_model *next; /* in the engine's list */
    char *name;
    uint64_t id;           /* unlike that of any other model of this process, and of other weights of this one */
    uint64_t weights_hash; /* of the weights loaded last; 0: none */
    hd_arena arena;        /* settings and their texts; constant after open */
    hd_settings settings;  /* but for answers and unknown_id: the tokenizer's, once loaded */
    hd_model *queries;     /* the encoder of queries, where they have one of their own; else NULL */
    hd_model *documents;   /* of such an encoder, the model that it belongs to; else NULL */
    hd_model *base;     /* itself; or, of an encoder of queries that shares the transformer of documents, their model: it is
                         * loaded with it, is in its state, and computed by its encoder */
    hd_dtype dtype;     /* constant once loaded */
    bool is_auto;       /* AUTO was asked for, and devices have not been asked */
    bool is_past_f16;   /* with the lock: its values were, and devices have it in another type */
    hd_model_info info; /* constant but for `dtype`, `loaded` and `load_failed` */
    const char *packed_path, *tokenizer_path; /* of the files of the cache; NULL: no cache */

    hd_load_state state;
    pthread_cond_t loaded;               /* state left HD_LOADING */
    char shared_id[HD_SHA256_HEX_BYTES]; /* what keys of the store begin with; constant while loaded; "": not shared */
    uint64_t n_failed;                   /* loads that failed, */
    hd_error load_error;                 /* the last of them */
    uint32_t n_users;                    /* jobs and calls that need it loaded */
    uint64_t last_used_ns;

    /* Constant while loaded. */
    hd_tokenizer *tokenizer;
    hd_weights *weights;
    hd_encoder *encoder;
    int32_t unweighted_ids[HD_UNWEIGHTED_TOKENS]; /* SPARSE by token: these have no weight; -1: none */
    hd_late_ids late;                             /* of settings.late */
    float *query_weights;                         /* [n_query_weights] of settings.query_table; NULL: none */
    uint32_t n_query_weights;

    hd_device_copy on[HD_LIMIT_DEVICES]; /* by the device's number */

    int group_tokens;                    /* most that a worker takes at once, but for one longer sequence */
    uint64_t pending_tokens[HD_N_CREWS]; /* queued and not taken, of each crew */
    uint64_t weights_bytes;              /* an entry of the account of memory.c */
};

/* A pass that idle workers may join. */
typedef struct hd_offer {
    hd_team team;
    const hd_model *model;
    const hd_batch *batch;
    const hd_slot *slot;
    uint32_t n_joined;         /* ranks given out, the leader's included */
    _Atomic uint32_t n_inside; /* joined and not gone */
} hd_offer;

typedef struct hd_worker {
    hd_crew *crew;     /* of a device's: of the group in hand */
    hd_device *device; /* NULL: the CPU */
    pthread_t thread;
    hd_slot slot;        /* on a device: the host's side of it, without scratch */
    hd_sequence **taken; /* [taken_capacity] the group in hand */
    size_t taken_capacity;
    /* on a device: */
    uint32_t number;          /* among its workers, and that of its stream */
    bool is_busy;             /* it is on the device */
    uint64_t failure;         /* the device's last when it took its group */
    hd_device_memory block;   /* the slot there, and scratch; the worker's while it is busy */
    const hd_encoder *inside; /* with the lock: what it computes with; NULL: nothing */
} hd_worker;

/* A device that is not the CPU, and its workers, which take from every crew's lanes, those in a hurry first: the first that
 * is idle takes. Each has a stream and room of its own; weights are for all of them. */
struct hd_device {
    char name[16];   /* "cuda:0" */
    uint32_t number; /* among the engine's */
    hd_accelerator *accelerator;
    pthread_mutex_t upload_lock; /* while weights are uploaded; taken before the engine's */
    hd_worker workers[HD_DEVICE_STREAMS];
    uint32_t n_started, n_working; /* threads; those, the first, that take groups */
    bool is_up;                    /* it works */
    uint32_t pause_ms;             /* down: between two attempts to open it; 0: it has not failed since */
    uint64_t retry_ns;             /* when the next one is due */
    uint64_t failure;              /* the number of its last */
    uint32_t n_halved;             /* groups are halved so many times, */
    uint32_t n_passed;             /* and so many went well since */
    uint64_t n_batches, n_replayed, n_texts, n_out_of_memory, n_failures, n_returned;
};

/* The workers of one priority and the jobs they take. Those in the background are threads of their own, because the kernel
 * can take a core away from them in the middle of a pass, and gives it back when nobody else wants it. */
struct hd_crew {
    hd_engine *engine;
    hd_crew_kind kind;
    pthread_cond_t work;        /* a job, an offer, or stop */
    hd_lane *lanes, *last_lane; /* whose turn it is, and after it the others */
    hd_job *finished;           /* `done` is to be called */
    hd_offer *offer;            /* NULL: none */
    uint32_t n_idle;
    hd_worker *workers; /* [engine->n_threads] a part of the engine's */
    uint32_t n_started; /* 0: nobody needed them yet */
};

struct hd_engine {
    pthread_mutex_t lock;
    uint32_t n_threads, idle_unload_s;
    uint64_t next_idle_check_ns;
    uint64_t memory_limit, cache_bytes; /* cache_bytes: most that the vector cache takes */
    char *cache_dir;                    /* NULL: the default */
    bool use_packed;
    hd_cache *cache;              /* NULL: off; has its own lock */
    const hd_vector_store *store; /* NULL: none; constant once models are loaded */

    hd_model *models;
    hd_crew crews[HD_N_CREWS];
    hd_worker *workers; /* [n_workers] of all crews */
    uint32_t n_workers;
    hd_sequence **flights; /* [n_flight_buckets] what is queued or computed, by key; a power of two */
    size_t n_flight_buckets, n_flights;
    uint64_t n_landed; /* flights that have come to their end */
    uint64_t queue_texts, queue_tokens, max_queue_tokens;
    bool stop;

    pthread_cond_t device_work;   /* a job of any crew, or stop */
    pthread_mutex_t devices_lock; /* while devices are opened; taken before the other */
    bool devices_are_open;
    int device_choice;            /* as hd__devices_parse gives it */
    double device_memory_share;   /* 0: the default */
    uint64_t device_memory_bytes; /* 0: by share */
    uint32_t n_devices;
    hd_device devices[HD_LIMIT_DEVICES]; /* [n_devices], constant once a model is loaded but for what is in them */

    uint64_t n_device_failures; /* of groups on devices */
    uint64_t n_texts, n_tokens, n_shared, n_store_hits, n_store_misses;
    uint64_t n_batches, n_batch_texts, n_batch_tokens, n_batch_capacity;
};

/* ---- model.c ---- */

/* The model that a call is for: of two encoders that of queries or that of documents, by the name of the prompt. */
hd_model *hd__model_of_side(hd_model *model, const hd_encode_options *options);

/* Loads if need be and keeps the model loaded until hd__model_release. */
HD_MUST_USE hd_status hd__model_acquire(hd_model *model, hd_error *err);
void hd__model_release(hd_model *model);

/* Once a second unloads models unused for longer than idle_unload_s; call with the lock, which is let go meanwhile. */
void hd__models_unload_idle(hd_engine *engine);

/* Unloads a loaded model without users to make room; call with the lock, which is let go meanwhile. */
void hd__model_unload_unused(hd_model *model);

/* ---- memory.c: all with the lock ---- */

/* Bytes of the vector cache at its greatest and of weights: of all models, or only of those that somebody uses or loads. */
uint64_t hd__memory_of_weights(const hd_engine *engine, bool also_unused);

/* Bytes of the workers' slots: of all, or only of those whose model somebody uses. */
uint64_t hd__memory_of_slots(const hd_engine *engine, bool also_unused);

/* Enters bytes in a model's weights_bytes or a slot's block_bytes; false when they do not fit beside all that is held. */
HD_MUST_USE bool hd__memory_take(hd_engine *engine, uint64_t *entry, uint64_t bytes);

/* Frees slots and unloads models that nobody uses, the longest unused first, until so many bytes fit; none, and false, when
 * that would not be enough. Lets the lock go meanwhile. */
HD_MUST_USE bool hd__memory_make_room(hd_engine *engine, uint64_t bytes);

/* Among how many workers' slots the memory is shared, and what weights and cache leave to each. */
uint32_t hd__memory_n_shares(const hd_engine *engine);
uint64_t hd__memory_share(const hd_engine *engine);

/* Plans the groups of every loaded model anew: call when a model was loaded or unloaded, or a crew started. */
void hd__memory_plan(hd_engine *engine);

/* ---- worker.c ---- */

/* Tokens a worker takes at once, so that its slot keeps within its share of the memory; call with the lock. */
int hd__plan_group_tokens(const hd_model *model);

/* Frees the blocks of slots whose model nobody uses; whether there were any. Call with the lock, which is let go
 * meanwhile. */
bool hd__slots_clear_unused(hd_engine *engine);

/* The heads that the memory is planned for: dense vectors where the model has them. */
uint32_t hd__usual_heads(const hd_model *model);

/* How many sequences a pass for these heads may have. */
size_t hd__most_sequences(const hd_model *model, uint32_t heads);

/* How many rows of results a sequence has: itself, or spans of it. */
size_t hd__rows_of_sequence(const hd_sequence *sequence);

HD_MUST_USE hd_status hd__workers_start(hd_crew *crew, hd_error *err); /* idempotent */
void hd__workers_stop(hd_engine *engine);                              /* of all crews */

/* What workers on devices do like others. slot: a worker's; `plan`, bytes of its arrays without scratch, laid out at base
 * unless that is NULL; `claim` and `clear`, with the lock, make it another model's and empty, when no stream copies from it
 * any more. batch: `fill` makes one of the
 * sequences taken, `count`, with the lock, counts it, `deliver` stores its results. call_back, with the lock, which is let
 * go meanwhile, tells those whose jobs are finished. */
size_t hd__slot_plan(const hd_model *model, const hd_room *room, uint32_t heads, char *base, hd_slot *slot);
void hd__slot_claim(hd_worker *worker, const hd_model *model);
void hd__slot_clear(hd_slot *slot);

/* Gives an empty slot a block of so many bytes, if the memory has room, and, when asked, the worker's share of it. Takes the
 * lock. */
bool hd__slot_map(hd_engine *engine, hd_slot *slot, size_t bytes, bool within_share);

void hd__batch_fill(const hd_worker *worker, size_t first, size_t n, hd_slot *slot, hd_batch *batch);
bool hd__batch_is_finite(const hd_batch *batch, const hd_encoder *encoder);
void hd__batch_count(hd_engine *engine, size_t n_texts, uint64_t n_tokens, uint64_t capacity);
void hd__batch_deliver(hd_worker *worker, const hd_model *model, size_t first, size_t n, const hd_slot *slot);
void hd__crew_call_back(hd_crew *crew);

/* The end of a sequence that could not be computed, and of those that followed it; with the lock. */
void hd__sequence_fail(hd_engine *engine, hd_sequence *sequence, const hd_error *error);

/* ---- devices.c ---- */

#define HD_DEVICES_AUTO (-1) /* all that are there */
#define HD_DEVICES_CUDA (-2) /* the same, and it is said when there is none */
#define HD_DEVICES_CPU (-3)

/* One of these, or the number N of "cuda:N". */
HD_MUST_USE hd_status hd__devices_parse(const char *text, int *choice, hd_error *err);

/* Opens those that were chosen, once. Never fails: what is missing is logged. */
void hd__devices_open(hd_engine *engine);
void hd__devices_close(hd_engine *engine);

/* Whether one that is open has products of a type. */
bool hd__devices_have(hd_engine *engine, k_type type);

/* Their workers. start, with the lock, is idempotent; a device without a worker leaves its jobs to the CPU. */
void hd__devices_start(hd_engine *engine);
void hd__devices_stop(hd_engine *engine);

/* Wakes whoever may take a crew's jobs. */
void hd__crew_wake(hd_crew *crew);

/* Whether a job is one for a worker, and how many tokens at once, and rows of so many; with the lock. */
bool hd__worker_may_take(const hd_worker *worker, const hd_job *job);
uint64_t hd__worker_budget(const hd_worker *worker, const hd_job *job);
size_t hd__worker_rows(const hd_worker *worker, uint64_t n_tokens);

/* Frees what a model has on devices; nobody uses it. */
void hd__devices_forget(hd_model *model);

/* Frees a worker's slot, and the device's side of it, when nobody uses its model; whether there was any. With the lock,
 * which is let go meanwhile. */
bool hd__device_clear_unused(hd_worker *worker);

/* ---- queue.c: all with the lock ---- */

/* Puts a job in its caller's lane, unless others compute all of its sequences, or have by now. HD_ERR_BUSY past the limit.
 */
HD_MUST_USE hd_status hd__queue_push(hd_engine *engine, hd_job *job, hd_error *err);

/* Whole sequences of one model, up to the worker's budget; how many. *n_tokens: of all of them. */
size_t hd__queue_take(hd_worker *worker, int *n_tokens);

/* Gives the first n of those that a worker has taken back. With the lock, which is kept. */
void hd__queue_return(hd_worker *worker, size_t n);

/* Takes what no worker has out of the queue, but for what others wait for. */
void hd__queue_drop(hd_job *job);

/* A computed sequence is no flight any more: its followers, each in the next one's `followers`. */
hd_sequence *hd__queue_land(hd_engine *engine, hd_sequence *sequence);

/* n sequences of a job have come to their end. A worker finds it when it looks for work: others than workers wake one. */
void hd__job_count(hd_job *job, size_t n, const hd_error *error);

/* Room for so many more taken sequences. */
bool hd__taken_grow(hd_worker *worker);

/* ---- lookup.c ---- */

/* A model's identity in the store, from its files; `files` receives which they were. After the weights were opened, end
 * makes sure that they are still the same. Nothing to do without a store. */
HD_MUST_USE hd_status hd__identity_begin(hd_model *model, hd_buffer *files, hd_error *err);
HD_MUST_USE hd_status hd__identity_end(hd_model *model, const hd_buffer *files, hd_error *err);

/* The key of a text. */
HD_MUST_USE hd_status hd__store_key_make(const char *identity, uint32_t task, int32_t pool_begin, const int32_t *ids,
                                         size_t n, hd_store_key *key, hd_error *err);

/* Asks the store for a prepared job, which goes to the queue afterwards; false when there is nobody to ask. */
HD_MUST_USE bool hd__lookup_begin(hd_job *job);

/* Gives a computed vector to the store, if the job asked it. */
void hd__lookup_put(const hd_job *job, const hd_sequence *sequence, const float *vector);

/* ---- plan.c ---- */

/* What a call's options come to for this model. */
typedef struct hd_plan {
    const char *prompt;
    const char *query_prompt, *document_prompt; /* of a rerank by late interaction */
    uint32_t prompt_tokens;                     /* left out of pooling; 0: none */
    uint32_t heads, n_dimensions;
    uint32_t task; /* 1 + that of settings.tasks; 0: none */
    hd_tokenize_options tokenize;
    bool normalize, refuse_longer, raw_scores, cut_second;
    bool is_query; /* of late interaction */
    bool looks_up; /* a query of a model with a table for them: nothing is computed */
    hd_long_text long_text;
} hd_plan;

HD_MUST_USE hd_status hd__plan_make(const hd_model *model, const hd_encode_options *options, hd_plan *plan, hd_error *err);

/* Whether the model has what is to be computed. */
HD_MUST_USE hd_status hd__plan_check(const hd_model *model, const hd_plan *plan, hd_error *err);

/* ---- prepare.c ---- */

/* From texts to sequences, less what the vector cache has. The model is loaded. */
HD_MUST_USE hd_status hd__job_prepare(hd_job *job, const hd_text *texts, hd_plan *plan, hd_error *err);

/* ---- results.c: no lock needed ---- */

/* The finished vector of row s->row of job->out: checked, cut, normalised. */
HD_MUST_USE hd_status hd__job_store_vector(hd_job *job, uint32_t row, const float *vector, hd_error *err);

/* What a pass made of a sequence by the heads but DENSE; freed by hd_outputs_free. */
HD_MUST_USE hd_status hd__job_output(const hd_job *job, const hd_sequence *sequence, const hd_rows *rows, hd_output *output,
                                     hd_error *err);

/* All that a pass made of a sequence, where the job's caller wants it. */
HD_MUST_USE hd_status hd__job_store(hd_job *job, const hd_sequence *sequence, const hd_rows *rows, hd_error *err);

/* After the last sequence, on the thread that waited: parts become rows. */
void hd__job_join_parts(hd_job *job);

/* ---- relevance.c ---- */

/* Token vectors of a rerank by late interaction. */
HD_MUST_USE hd_status hd__interaction_store(hd_job *job, const hd_sequence *sequence, const hd_rows *rows, hd_error *err);

/* After the last sequence: scores those that waited for the query. */
void hd__interaction_end(hd_job *job);
void hd__interaction_free(hd_interaction *interaction, size_t n);

/* Appends ids and types of a pair as the model's kind of reranker reads it. */
HD_MUST_USE hd_status hd__pair_encode(hd_job *job, const hd_plan *plan, const hd_tokenize_options *options, hd_span first,
                                      hd_span second, bool *truncated, hd_error *err);

/* ---- query_table.c ---- */

/* Reads settings.query_table; nothing to do without one. */
HD_MUST_USE hd_status hd__query_table_open(hd_model *model, hd_error *err);
void hd__query_table_close(hd_model *model);

/* The weights of a query's tokens; freed by hd_outputs_free. */
HD_MUST_USE hd_status hd__query_table_look_up(const hd_model *model, const int32_t *ids, size_t n, hd_output *output,
                                              hd_error *err);

/* ---- late.c ---- */

/* Finds the ids that the settings of late interaction name by their texts; nothing to do without such. */
HD_MUST_USE hd_status hd__late_find_ids(hd_model *model, hd_error *err);

/* Tokens that a text may come to before it is framed, of a limit for all of it. */
uint32_t hd__late_limit(const hd_model *model, bool is_query, uint32_t max_length);

/* Makes a query or a document of the ids from `first` on: prefix and expansion. */
HD_MUST_USE hd_status hd__late_frame(hd_job *job, size_t first, bool is_query, uint32_t max_length, hd_sequence *sequence,
                                     hd_error *err);

/* Whether token i of a sequence gives a vector. */
bool hd__late_keeps(const hd_job *job, const hd_sequence *sequence, size_t i);

/* ---- job.c ---- */

/* What the public functions that start a job have in common. */
typedef struct hd_job_request {
    const hd_text *texts; /* [n] */
    size_t n;
    size_t first; /* what to call the first text in errors */
    const hd_encode_options *options;
    const hd_job_options *job_options;
    uint32_t heads; /* 0: as the options say */
    float *out, *scores;
    hd_interaction *interaction; /* the job's after success */
} hd_job_request;

HD_MUST_USE hd_status hd__job_start(hd_model *model, const hd_job_request *request, hd_job **job, hd_error *err);

#endif
