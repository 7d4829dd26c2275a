/* config.c - see config.h.
 *
 * A `.env` file holds lines NAME=VALUE; "export " before, quotes around the value, blank lines and comments
 * are fine. Only names known here are taken from it: the file usually belongs to something larger.
 */
#include "cli/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/limits.h"
#include "cpu/machine.h"

#define MAX_NAMES 4
#define ENV_FILE ".env"
#define ENV_FILE_BYTES (1u << 20)

/* ---- the settings and their names ---- */

enum setting {
    SET_MODEL,
    SET_DTYPE,
    SET_THREADS,
    SET_MAX_LENGTH,
    SET_BATCH,
    SET_MEMORY_LIMIT,
    SET_CACHE_BYTES,
    SET_CACHE_DIR,
    SET_IDLE_UNLOAD,
    SET_DEVICE,
    SET_GPU_MEMORY,
    SET_CPU,
    SET_HUB,
    SET_HUB_TOKEN,
    SET_HUB_HOME,
    SET_HUB_CACHE,
    SET_HUB_OFFLINE,
    SET_DB,
    SET_API_KEY,
    SET_RERANK_MODEL,
    SET_RERANK_ENABLE,
    SET_RERANK_K,
    SET_RERANK_FINAL_N,
    SET_RERANK_DEVICE,
    N_SETTINGS
};

/* The first name is Heddle's; the others are what the same thing is called elsewhere. */
static const char *const names[N_SETTINGS][MAX_NAMES] = {
    [SET_MODEL] = {"HEDDLE_MODEL"},
    [SET_DTYPE] = {"HEDDLE_DTYPE", "EMBEDDING_FP16"},
    [SET_THREADS] = {"HEDDLE_THREADS", "RAG_CPU_THREADS"},
    [SET_MAX_LENGTH] = {"HEDDLE_MAX_LENGTH", "RAG_EMBED_MAX_LENGTH", "EMBEDDING_MAX_LEN"},
    [SET_BATCH] = {"HEDDLE_BATCH", "RAG_EMBED_BATCH_SIZE", "EMBEDDING_BATCH"},
    [SET_MEMORY_LIMIT] = {"HEDDLE_MEMORY_LIMIT"},
    [SET_CACHE_BYTES] = {"HEDDLE_CACHE_BYTES", "EMBEDDING_CACHE_SIZE"},
    [SET_CACHE_DIR] = {"HEDDLE_CACHE"},
    [SET_IDLE_UNLOAD] = {"HEDDLE_IDLE_UNLOAD"},
    [SET_DEVICE] = {"HEDDLE_DEVICE", "EMBEDDING_DEVICE"},
    [SET_GPU_MEMORY] = {"HEDDLE_GPU_MEMORY_LIMIT"},
    [SET_CPU] = {"HEDDLE_CPU"},
    [SET_HUB] = {"HF_ENDPOINT"},
    [SET_HUB_TOKEN] = {"HF_TOKEN"},
    [SET_HUB_HOME] = {"HF_HOME"},
    [SET_HUB_CACHE] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"},
    [SET_HUB_OFFLINE] = {"HF_HUB_OFFLINE"},
    [SET_DB] = {"HEDDLE_DB"},
    [SET_API_KEY] = {"HEDDLE_API_KEY", "BEARER_TOKEN"},
    [SET_RERANK_MODEL] = {"HEDDLE_RERANK_MODEL", "RERANK_MODEL"},
    [SET_RERANK_ENABLE] = {"RERANK_ENABLE"},
    [SET_RERANK_K] = {"RERANK_K"},
    [SET_RERANK_FINAL_N] = {"RERANK_FINAL_N"},
    [SET_RERANK_DEVICE] = {"RERANK_DEVICE"},
};

static const char *given[N_SETTINGS]; /* by flags */
static bool from_file[N_SETTINGS];    /* the environment's value came from `.env` */

cli_texts cli_given_models;

/* All but the model, which some commands take several times. */
#define COMPUTE_OPTIONS                                                                                                     \
    {.name = "dtype",                                                                                                       \
     .value = "TYPE",                                                                                                       \
     .text = &given[SET_DTYPE],                                                                                             \
     .help = "auto, f32, bf16, int8, f16 or fp8 (default: auto, the fastest that keeps a cosine of 0.9999)"},               \
        {.name = "threads", .value = "N", .text = &given[SET_THREADS], .help = "worker threads (default: one a core)"},     \
        {.name = "memory-limit",                                                                                            \
         .value = "SIZE",                                                                                                   \
         .text = &given[SET_MEMORY_LIMIT],                                                                                  \
         .help = "stay within so much memory: 2G, 512M or a share such as 0.5 (default: 0.8)"},                             \
        {.name = "cache-bytes",                                                                                             \
         .value = "SIZE",                                                                                                   \
         .text = &given[SET_CACHE_BYTES],                                                                                   \
         .help = "keep the vectors of texts seen before, up to this size (default: 0, off; index and serve: 64M)"},         \
        {.name = "cache-dir",                                                                                               \
         .value = "DIR",                                                                                                    \
         .text = &given[SET_CACHE_DIR],                                                                                     \
         .help = "where pulled models and packed weights are (default: ~/.cache/heddle)"},                                  \
        {.name = "device",                                                                                                  \
         .value = "NAME",                                                                                                   \
         .text = &given[SET_DEVICE],                                                                                        \
         .help = "auto, cpu, cuda or cuda:N (default: auto, GPUs if there are any)"},

#define MODEL_OPTION(default_text)                                                                                          \
    {                                                                                                                       \
        .letter = 'm', .name = "model", .value = "NAME|DIR", .text = &given[SET_MODEL],                                     \
        .help =                                                                                                             \
            "a folder, a GGUF file, or the name of a pulled model, with @revision if wanted (default: " default_text ")"    \
    }

const cli_option cli_model_options[] = {MODEL_OPTION(CLI_DEFAULT_MODEL), COMPUTE_OPTIONS{0}};
const cli_option cli_rerank_model_options[] = {MODEL_OPTION(CLI_DEFAULT_RERANKER), COMPUTE_OPTIONS{0}};
const cli_option cli_index_model_options[] = {MODEL_OPTION("the index's own, of a new one " CLI_DEFAULT_MODEL),
                                              COMPUTE_OPTIONS{0}};
const cli_option cli_search_model_options[] = {MODEL_OPTION("the index's own"), COMPUTE_OPTIONS{0}};

const cli_option cli_length_options[] = {
    {.name = "max-length",
     .value = "N",
     .text = &given[SET_MAX_LENGTH],
     .help = "cut texts to so many tokens, specials included (default: the model's own)"},
    {0},
};

const cli_option cli_batch_options[] = {
    {.name = "batch",
     .value = "N",
     .text = &given[SET_BATCH],
     .help = "texts handed over at once (default: 512); memory use follows --memory-limit, not this"},
    {0},
};

const cli_option cli_serve_model_options[] = {
    {.letter = 'm',
     .name = "model",
     .value = "NAME|DIR",
     .texts = &cli_given_models,
     .help = "a model to serve, as a folder or by name, called ALIAS by ALIAS=NAME|DIR; may be given several times "
             "(default: " CLI_DEFAULT_MODEL ")"},
    COMPUTE_OPTIONS{0},
};

const cli_option cli_store_options[] = {
    {.name = "cache-dir",
     .value = "DIR",
     .text = &given[SET_CACHE_DIR],
     .help = "where pulled models and packed weights are (default: ~/.cache/heddle)"},
    {0},
};

void cli_notice(const char *format, ...)
{
    if (cli_quiet)
        return;
    va_list args;
    va_start(args, format);
    fputs("heddle: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- .env ---- */

static hd_span trimmed(hd_span text)
{
    while (text.len > 0 && isspace((unsigned char)text.ptr[0]))
        text = hd__span(text.ptr + 1, text.len - 1);
    while (text.len > 0 && isspace((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Which setting a name belongs to; N_SETTINGS for a stranger. */
static size_t find_setting(hd_span name, const char **found)
{
    size_t i = 0;
    for (; i < N_SETTINGS; i++)
        for (size_t j = 0; j < MAX_NAMES && names[i][j] != NULL; j++)
            if (hd__span_is(name, names[i][j])) {
                *found = names[i][j];
                return i;
            }
    return i;
}

static const char *first_in_environment(size_t setting)
{
    for (size_t j = 0; j < MAX_NAMES && names[setting][j] != NULL; j++)
        if (getenv(names[setting][j]) != NULL)
            return names[setting][j];
    return NULL;
}

/* One line of `.env` into the environment, unless that has the setting already, under whatever name. */
static hd_status take_env_line(hd_span line, const bool in_environment[N_SETTINGS], hd_error *err)
{
    line = trimmed(line);
    if (hd__span_begins(line, "export "))
        line = trimmed(hd__span(line.ptr + 7, line.len - 7));
    const char *equals = line.len > 0 ? memchr(line.ptr, '=', line.len) : NULL;
    if (equals == NULL || line.ptr[0] == '#')
        return HD_OK;
    const char *name;
    size_t setting = find_setting(trimmed(hd__span(line.ptr, (size_t)(equals - line.ptr))), &name);
    if (setting == N_SETTINGS || in_environment[setting])
        return HD_OK;
    hd_span value = trimmed(hd__span(equals + 1, (size_t)(line.ptr + line.len - equals - 1)));
    const char *quote_end = value.len > 1 && (value.ptr[0] == '"' || value.ptr[0] == '\'')
                                ? memchr(value.ptr + 1, value.ptr[0], value.len - 1)
                                : NULL;
    if (quote_end != NULL) {
        value = hd__span(value.ptr + 1, (size_t)(quote_end - value.ptr - 1));
    } else {
        for (size_t i = 1; i < value.len; i++) /* a comment begins at a blank and a number sign */
            if (value.ptr[i] == '#' && isspace((unsigned char)value.ptr[i - 1]))
                value = trimmed(hd__span(value.ptr, i));
    }
    char text[HD_LIMIT_PATH_BYTES];
    if (value.len >= sizeof text)
        return hd__fail(err, HD_ERR_LIMIT, ENV_FILE ": %s is longer than %zu bytes", name, sizeof text - 1);
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    from_file[setting] = true;
    return setenv(name, text, 1) == 0 ? HD_OK : hd__fail_errno(err, errno, ENV_FILE ": %s", name);
}

hd_status cli_config_load_env(hd_error *err)
{
    bool in_environment[N_SETTINGS];
    for (size_t i = 0; i < N_SETTINGS; i++)
        in_environment[i] = first_in_environment(i) != NULL;
    if (!hd__file_exists(ENV_FILE))
        return HD_OK;
    hd_arena arena;
    hd__arena_init(&arena);
    hd_span text;
    hd_status status = hd__file_read(ENV_FILE, ENV_FILE_BYTES, &arena, &text, err);
    for (size_t at = 0; status == HD_OK && at < text.len;) {
        size_t len = strcspn(text.ptr + at, "\n");
        status = take_env_line(hd__span(text.ptr + at, len), in_environment, err);
        at += len + 1;
    }
    hd__arena_clear(&arena);
    return status;
}

const char *cli_config_hub_token(void)
{
    if (!from_file[SET_HUB] || from_file[SET_HUB_TOKEN])
        return NULL;
    if (first_in_environment(SET_HUB_TOKEN) != NULL)
        cli_notice(ENV_FILE " names the hub: HF_TOKEN is not sent there, unless it is in " ENV_FILE
                            " as well or HF_ENDPOINT in the environment");
    return "";
}

/* ---- values ---- */

/* What was chosen for one setting. */
typedef struct found {
    const char *text; /* NULL: not set anywhere; an empty variable counts as not set */
    const char *name; /* of the variable; NULL for a flag */
    char source[64];  /* for messages */
} found;

static found find(size_t setting, const char *flag)
{
    found value = {.text = given[setting]};
    if (value.text != NULL) {
        snprintf(value.source, sizeof value.source, "--%s", flag);
        return value;
    }
    value.name = first_in_environment(setting);
    value.text = value.name != NULL ? getenv(value.name) : NULL;
    if (value.text != NULL && value.text[0] == '\0')
        value.text = NULL;
    snprintf(value.source, sizeof value.source, "%s%s", from_file[setting] ? ENV_FILE ": " : "",
             value.name != NULL ? value.name : "");
    return value;
}

static bool is_alias(const found *value, const char *name)
{
    return value->name != NULL && strcmp(value->name, name) == 0;
}

static hd_status parse_uint(const found *value, uint32_t min, uint32_t max, uint32_t *number, hd_error *err)
{
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(value->text, &end, 10);
    if (!isdigit((unsigned char)value->text[0]) || *end != '\0' || errno != 0 || parsed < min || parsed > max)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a number from %u to %u", value->source, value->text, min, max);
    *number = (uint32_t)parsed;
    return HD_OK;
}

static hd_status parse_bool(const found *value, bool *answer, hd_error *err)
{
    static const char *const words[] = {"0", "false", "no", "off", "1", "true", "yes", "on"};
    for (size_t i = 0; i < 8; i++)
        if (strcasecmp(value->text, words[i]) == 0) {
            *answer = i >= 4;
            return HD_OK;
        }
    return hd__fail(err, HD_ERR_ARG, "%s: '%s' is neither true nor false", value->source, value->text);
}

const char *cli_dtype_name(hd_dtype dtype)
{
    static const char *const dtype_names[] = {"auto", "f32", "bf16", "int8", "f16", "fp8"};
    return (unsigned)dtype < sizeof dtype_names / sizeof dtype_names[0] ? dtype_names[dtype] : "";
}

const char *cli_device_text(hd_engine *engine, char text[CLI_DEVICE_TEXT_BYTES])
{
    hd_device_info d;
    hd_engine_stats stats;
    for (uint32_t i = 0; hd_engine_get_device(engine, i, &d); i++) {
        if (d.n_batches == 0)
            continue;
        snprintf(text, CLI_DEVICE_TEXT_BYTES, "%s (%s)", d.name, d.hardware);
        return text;
    }
    hd_engine_get_stats(engine, &stats);
    snprintf(text, CLI_DEVICE_TEXT_BYTES, "%u thread%s", stats.n_threads, stats.n_threads == 1 ? "" : "s");
    return text;
}

hd_status cli_dtype_parse(const char *text, const char *source, hd_dtype *dtype, hd_error *err)
{
    for (hd_dtype i = HD_DTYPE_AUTO; i <= HD_DTYPE_FP8; i++)
        if (strcasecmp(text, cli_dtype_name(i)) == 0) {
            *dtype = i;
            return HD_OK;
        }
    return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not one of auto, f32, bf16, int8, f16, fp8", source, text);
}

hd_status cli_bytes_parse(const char *text, const char *source, uint64_t *bytes, hd_error *err)
{
    char *end;
    errno = 0;
    double value = isdigit((unsigned char)text[0]) ? strtod(text, &end) : -1;
    if (value >= 0) {
        static const char units[] = "KMGT";
        const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
        if (unit != NULL) {
            value *= (double)(1ull << (10 * (unit - units + 1)));
            end += end[1] == 'i' ? 2 : 1;
        }
        end += *end == 'B';
    }
    if (value < 0 || *end != '\0' || value > 1e18)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a size such as 512M or 2G", source, text);
    *bytes = (uint64_t)value;
    return HD_OK;
}

/* A share of this machine's memory up to 1, or bytes. */
static hd_status parse_memory_limit(const found *value, uint64_t *bytes, hd_error *err)
{
    char *end;
    double share = strtod(value->text, &end);
    if (end != value->text && *end == '\0' && share > 0 && share <= 1) {
        hd_machine machine;
        hd__machine_get(&machine);
        *bytes = (uint64_t)(share * (double)machine.memory_bytes);
        return HD_OK;
    }
    HD_TRY(cli_bytes_parse(value->text, value->source, bytes, err));
    if (*bytes < 1u << 20)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is less than 1M; give a share up to 1 or a size", value->source,
                        value->text);
    return HD_OK;
}

static hd_status parse_dtype(const found *value, hd_dtype *dtype, hd_error *err)
{
    if (!is_alias(value, "EMBEDDING_FP16"))
        return cli_dtype_parse(value->text, value->source, dtype, err);
    bool half = false;
    HD_TRY(parse_bool(value, &half, err));
    *dtype = half ? HD_DTYPE_AUTO : HD_DTYPE_F32; /* auto: 16 bits where they are faster, as was meant */
    return HD_OK;
}

/* EMBEDDING_CACHE_SIZE counts vectors; one is taken for 1,024 values with its key. */
static hd_status parse_cache_bytes(const found *value, uint64_t *bytes, hd_error *err)
{
    if (!is_alias(value, "EMBEDDING_CACHE_SIZE"))
        return cli_bytes_parse(value->text, value->source, bytes, err);
    uint32_t n_entries;
    HD_TRY(parse_uint(value, 0, 100000000, &n_entries, err));
    *bytes = (uint64_t)n_entries * (1024 * sizeof(float) + 128);
    return HD_OK;
}

/* "gpu" is any GPU. What asks for a device that nobody has a plugin for is told so once and gets the CPU. */
static hd_status parse_device(const found *value, const char **device, hd_error *err)
{
    static const char *const known[] = {"auto", "cpu", "cuda"}, *const absent[] = {"mps", "rocm", "xpu"};
    *device = strcasecmp(value->text, "gpu") == 0 ? "cuda" : NULL;
    for (size_t i = 0; *device == NULL && i < sizeof known / sizeof known[0]; i++)
        *device = strcasecmp(value->text, known[i]) == 0 ? known[i] : NULL;
    if (*device != NULL)
        return HD_OK;
    if (strncasecmp(value->text, "cuda:", 5) == 0) { /* the engine reads the number */
        *device = value->text;
        return HD_OK;
    }
    *device = "cpu";
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (strncasecmp(value->text, absent[i], strlen(absent[i])) == 0) {
            cli_notice("%s=%s: this build computes on the CPU", value->source, value->text);
            return HD_OK;
        }
    return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not one of auto, cpu, cuda, cuda:N", value->source, value->text);
}

/* A share of what is free on a GPU, up to 1, or bytes. */
static hd_status parse_gpu_memory(const found *value, cli_config *config, hd_error *err)
{
    char *end;
    const double share = strtod(value->text, &end);
    if (end != value->text && *end == '\0' && share > 0 && share <= 1) {
        config->device_memory_share = share;
        return HD_OK;
    }
    HD_TRY(cli_bytes_parse(value->text, value->source, &config->device_memory_bytes, err));
    if (config->device_memory_bytes < 1u << 20)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is less than 1M; give a share up to 1 or a size", value->source,
                        value->text);
    return HD_OK;
}

static hd_status load_numbers(cli_config *config, hd_error *err)
{
    found value = find(SET_THREADS, "threads");
    if (value.text != NULL)
        HD_TRY(parse_uint(&value, 0, HD_LIMIT_THREADS, &config->n_threads, err));
    value = find(SET_MAX_LENGTH, "max-length");
    if (value.text != NULL)
        HD_TRY(parse_uint(&value, 1, HD_LIMIT_SEQUENCE, &config->max_length, err));
    config->max_length_is_a_wish = value.name != NULL;
    value = find(SET_BATCH, "batch");
    if (value.text != NULL)
        HD_TRY(parse_uint(&value, 1, 1u << 20, &config->batch, err));
    value = find(SET_IDLE_UNLOAD, "");
    if (value.text != NULL)
        HD_TRY(parse_uint(&value, 0, UINT32_MAX, &config->idle_unload_s, err));
    return HD_OK;
}

hd_status cli_config_load(cli_config *config, hd_error *err)
{
    *config = (cli_config){.model = CLI_DEFAULT_MODEL, .batch = 512};
    HD_TRY(cli_config_load_env(err));
    found value = find(SET_MODEL, "model");
    if (value.text != NULL)
        config->model = value.text;
    config->model_is_given = value.text != NULL;
    value = find(SET_DTYPE, "dtype");
    if (value.text != NULL)
        HD_TRY(parse_dtype(&value, &config->dtype, err));
    HD_TRY(load_numbers(config, err));
    value = find(SET_MEMORY_LIMIT, "memory-limit");
    if (value.text != NULL)
        HD_TRY(parse_memory_limit(&value, &config->memory_limit_bytes, err));
    value = find(SET_CACHE_BYTES, "cache-bytes");
    config->cache_is_given = value.text != NULL;
    if (value.text != NULL)
        HD_TRY(parse_cache_bytes(&value, &config->cache_bytes, err));
    config->cache_dir = find(SET_CACHE_DIR, "cache-dir").text;
    value = find(SET_DEVICE, "device");
    if (value.text != NULL)
        HD_TRY(parse_device(&value, &config->device, err));
    const char *device; /* of rerankers: all models of an engine share its devices */
    value = find(SET_RERANK_DEVICE, "");
    if (value.text != NULL)
        HD_TRY(parse_device(&value, &device, err));
    value = find(SET_GPU_MEMORY, "");
    if (value.text != NULL)
        HD_TRY(parse_gpu_memory(&value, config, err));
    return HD_OK;
}

/* ---- opening ---- */

hd_status cli_config_open(const cli_config *config, hd_engine **engine, hd_model **model, hd_error *err)
{
    const hd_engine_options options = {
        .n_threads = config->n_threads,
        .idle_unload_s = config->idle_unload_s,
        .memory_limit_bytes = config->memory_limit_bytes,
        .cache_bytes = config->cache_bytes,
        .cache_dir = config->cache_dir,
        .device = config->device,
        .device_memory_share = config->device_memory_share,
        .device_memory_bytes = config->device_memory_bytes,
    };
    HD_TRY(hd_engine_open(&options, engine, err));
    if (model == NULL)
        return HD_OK;
    hd_status status = hd_model_open(*engine, config->model, &(hd_model_options){.dtype = config->dtype}, model, err);
    if (status != HD_OK) {
        hd_engine_close(*engine);
        *engine = NULL;
    }
    return status;
}

hd_status cli_config_max_length(const cli_config *config, hd_model *model, uint32_t *max_length, hd_error *err)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    *max_length = config->max_length;
    if (config->max_length <= info.max_length)
        return HD_OK;
    if (!config->max_length_is_a_wish)
        return hd__fail(err, HD_ERR_ARG, "--max-length: %u, but %s takes at most %u tokens", config->max_length, info.name,
                        info.max_length);
    *max_length = info.max_length;
    return HD_OK;
}
