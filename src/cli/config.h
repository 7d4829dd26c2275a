/* config.h - what was chosen, and where: a flag wins over the environment, the environment over a `.env` file
 * in the current folder, that over the default.
 *
 * Heddle's own names begin with HEDDLE_. Names that other retrieval servers use for the same thing are
 * understood as well (see config.c's table and README.md); those with no meaning here get one notice.
 */
#ifndef HD_CLI_CONFIG_H
#define HD_CLI_CONFIG_H

#include "cli/args.h"

#define CLI_DEFAULT_MODEL "sentence-transformers/all-MiniLM-L6-v2"
#define CLI_DEFAULT_RERANKER "cross-encoder/ms-marco-MiniLM-L6-v2"

typedef struct cli_config {
    const char *model; /* the last one asked for */
    bool model_is_given;
    hd_dtype dtype;
    uint32_t n_threads;        /* 0: all */
    uint32_t max_length;       /* 0: the model's */
    bool max_length_is_a_wish; /* from the environment: more than the model takes is not an error */
    uint32_t batch;            /* texts handed to the engine at once */
    uint32_t idle_unload_s;
    uint64_t memory_limit_bytes; /* 0: the engine's default */
    uint64_t cache_bytes;
    bool cache_is_given;
    const char *cache_dir;        /* NULL: hd__cache_dir's */
    const char *device;           /* NULL: GPUs if there are any */
    double device_memory_share;   /* 0: the engine's default */
    uint64_t device_memory_bytes; /* 0: by share */
} cli_config;

/* --model, --dtype, --threads, …: for commands that compute, with the default model that each has; --max-length and --batch
 * for those whose texts come as they are; and the store's alone. */
extern const cli_option cli_model_options[], cli_rerank_model_options[], cli_index_model_options[],
    cli_search_model_options[];
extern const cli_option cli_length_options[];
extern const cli_option cli_batch_options[];
extern const cli_option cli_store_options[];

/* The same as the first, but --model may be given several times; they are in cli_given_models. */
extern const cli_option cli_serve_model_options[];
extern cli_texts cli_given_models;

/* After cli_args_parse. Errors name the flag, the variable or the line of `.env`. */
HD_MUST_USE hd_status cli_config_load(cli_config *config, hd_error *err);

/* `.env` alone, into the environment: for commands that take none of these settings but HEDDLE_DB. */
HD_MUST_USE hd_status cli_config_load_env(hd_error *err);

/* The token of a pull, after either: NULL, the user's own; "", none, where `.env` alone names the hub, which may then be
 * anybody's, and no token of its own. */
const char *cli_config_hub_token(void);

/* The engine and the model that the config asks for. model may be NULL: the engine alone. */
HD_MUST_USE hd_status cli_config_open(const cli_config *config, hd_engine **engine, hd_model **model, hd_error *err);

/* max_length for a model: the wish cut to what it takes, or HD_ERR_ARG. */
HD_MUST_USE hd_status cli_config_max_length(const cli_config *config, hd_model *model, uint32_t *max_length, hd_error *err);

const char *cli_dtype_name(hd_dtype dtype);

#define CLI_DEVICE_TEXT_BYTES 96

/* What has computed: "cuda:0 (NVIDIA H200)", the first GPU that has, or "4 threads". */
const char *cli_device_text(hd_engine *engine, char text[CLI_DEVICE_TEXT_BYTES]);

HD_MUST_USE hd_status cli_dtype_parse(const char *text, const char *source, hd_dtype *dtype, hd_error *err);

/* "4G", "512M", "65536", "1.5G". HD_ERR_ARG names the source. */
HD_MUST_USE hd_status cli_bytes_parse(const char *text, const char *source, uint64_t *bytes, hd_error *err);

/* One line on standard error that is neither an error nor a result; not with --quiet. */
void cli_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
