/* start_line.c - see start_line.h.
 *
 * Sources: router/src/main.rs of text-embeddings-inference 1.9 (variables are the options' names in capitals);
 * tools/server/README.md and common/arg.cpp of llama.cpp.
 */
#include "cli/start_line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/limits.h"

/* ---- the table ---- */

/* What becomes of an option. Those with a value come first. */
typedef enum action {
    VALUE,        /* our option `own`, with the value as it is */
    VALUE_DTYPE,  /* the same, with the type's name as we write it */
    VALUE_HOST,   /* a path ending in ".sock" is a Unix socket */
    VALUE_KEYS,   /* several, separated by commas */
    VALUE_DEVICE, /* a GPU's name, "none" for no GPU */
    VARIABLE,     /* the variable `own`, with the value as it is */
    MODEL,        /* a name or a folder */
    MODEL_FILE,   /* a file of a model */
    MODEL_REPO,   /* a name on the hub, to be pulled when it is not there */
    REVISION,
    SERVED_NAME,
    LENGTH,       /* tokens of one input; 0: the model's */
    NORM,         /* 2 is what the model's files ask for; nothing else is to be had for all requests */
    UNKNOWN_HERE, /* without meaning here */
    REFUSED,      /* would change the answers, and is not to be had */
    /* with a value or without */
    SWITCH_OFF, /* our flag `own` when the value is false */
    MAYBE,      /* without meaning here */
    /* without a value */
    LOG_FORMAT,   /* "json" */
    GIVEN,        /* what we do anyway */
    OFFLINE,      /* nothing is pulled */
    UNKNOWN_FLAG, /* without meaning here */
} action;

typedef enum family { TEI, LLAMA } family;

typedef struct foreign {
    family family;
    action action;
    const char *flags;    /* separated by blanks */
    const char *variable; /* NULL: none */
    const char *own;
} foreign;

static const foreign table[] = {
    {TEI, MODEL, "--model-id", "MODEL_ID", "model"},
    {TEI, REVISION, "--revision", "REVISION", NULL},
    {TEI, SERVED_NAME, "--served-model-name", "SERVED_MODEL_NAME", NULL},
    {TEI, VALUE_DTYPE, "--dtype", "DTYPE", "dtype"},
    {TEI, VALUE, "--pooling", "POOLING", "pooling"},
    {TEI, VALUE, "--max-client-batch-size", "MAX_CLIENT_BATCH_SIZE", "max-inputs"},
    {TEI, VALUE, "--payload-limit", "PAYLOAD_LIMIT", "max-body"},
    {TEI, SWITCH_OFF, "--auto-truncate", "AUTO_TRUNCATE", "no-auto-truncate"},
    {TEI, VALUE, "--hostname", "HOSTNAME", "host"},
    {TEI, VALUE, "-p --port", "PORT", "port"},
    {TEI, VALUE, "--api-key", "API_KEY", "api-key"},
    {TEI, VALUE, "--cors-allow-origin", "CORS_ALLOW_ORIGIN", "cors-origin"},
    {TEI, LOG_FORMAT, "--json-output", "JSON_OUTPUT", "log-format"},
    {TEI, VARIABLE, "--hf-token --hf-api-token", "HF_API_TOKEN", "HF_TOKEN"},
    {TEI, VARIABLE, "--huggingface-hub-cache", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"},
    {TEI, REFUSED, "--default-prompt", "DEFAULT_PROMPT", NULL},
    {TEI, REFUSED, "--default-prompt-name", "DEFAULT_PROMPT_NAME", NULL},
    {TEI, REFUSED, "--dense-path", "DENSE_PATH", NULL},
    {TEI, UNKNOWN_HERE, "--max-concurrent-requests", "MAX_CONCURRENT_REQUESTS", NULL},
    {TEI, UNKNOWN_HERE, "--tokenization-workers", "TOKENIZATION_WORKERS", NULL},
    {TEI, UNKNOWN_HERE, "--max-batch-tokens", "MAX_BATCH_TOKENS", NULL},
    {TEI, UNKNOWN_HERE, "--max-batch-requests", "MAX_BATCH_REQUESTS", NULL},
    {TEI, UNKNOWN_HERE, "--uds-path", "UDS_PATH", NULL},
    {TEI, UNKNOWN_FLAG, "--disable-spans", "DISABLE_SPANS", NULL},
    {TEI, UNKNOWN_HERE, "--otlp-endpoint", "OTLP_ENDPOINT", NULL}, /* by gRPC there */
    {TEI, UNKNOWN_HERE, "--otlp-service-name", "OTLP_SERVICE_NAME", NULL},
    {TEI, UNKNOWN_HERE, "--prometheus-port", "PROMETHEUS_PORT", NULL},

    {LLAMA, MODEL_FILE, "-m --model", "LLAMA_ARG_MODEL", "model"},
    {LLAMA, MODEL_REPO, "-hf -hfr --hf-repo", "LLAMA_ARG_HF_REPO", "model"},
    {LLAMA, REFUSED, "-mu --model-url", "LLAMA_ARG_MODEL_URL", NULL},
    {LLAMA, REFUSED, "-hff --hf-file", "LLAMA_ARG_HF_FILE", NULL},
    {LLAMA, VARIABLE, "-hft", NULL, "HF_TOKEN"},
    {LLAMA, SERVED_NAME, "-a --alias", "LLAMA_ARG_ALIAS", NULL},
    {LLAMA, VALUE_HOST, "--host", "LLAMA_ARG_HOST", "host"},
    {LLAMA, VALUE, NULL, "LLAMA_ARG_PORT", "port"},
    {LLAMA, VALUE_KEYS, NULL, "LLAMA_API_KEY", "api-key"},
    {LLAMA, VALUE, "--ssl-key-file", "LLAMA_ARG_SSL_KEY_FILE", "tls-key"},
    {LLAMA, VALUE, "--ssl-cert-file", "LLAMA_ARG_SSL_CERT_FILE", "tls-cert"},
    {LLAMA, VALUE, "-t --threads", "LLAMA_ARG_THREADS", "threads"},
    {LLAMA, VALUE, "-to", "LLAMA_ARG_TIMEOUT", "timeout"},
    {LLAMA, LENGTH, "-c --ctx-size", "LLAMA_ARG_CTX_SIZE", "max-length"},
    {LLAMA, VALUE, NULL, "LLAMA_ARG_POOLING", "pooling"},
    {LLAMA, NORM, "--embd-normalize", "LLAMA_ARG_EMBD_NORMALIZE", NULL},
    {LLAMA, VALUE_DEVICE, "-dev", "LLAMA_ARG_DEVICE", "device"},
    {LLAMA, GIVEN, "--embedding --embeddings", "LLAMA_ARG_EMBEDDINGS", NULL},
    {LLAMA, GIVEN, "-cb --cont-batching", "LLAMA_ARG_CONT_BATCHING", NULL},
    {LLAMA, GIVEN, "--metrics", "LLAMA_ARG_ENDPOINT_METRICS", NULL},
    {LLAMA, OFFLINE, "--offline", "LLAMA_ARG_OFFLINE", NULL},
    {LLAMA, GIVEN, "--slots", "LLAMA_ARG_ENDPOINT_SLOTS", NULL},
    {LLAMA, UNKNOWN_FLAG, "--rerank --reranking", "LLAMA_ARG_RERANKING", NULL},
    {LLAMA, UNKNOWN_FLAG, "--no-slots --props --no-webui --webui --no-warmup --warmup --log-disable", NULL, NULL},
    {LLAMA, UNKNOWN_FLAG, "-nocb --no-cont-batching --mlock --no-mmap --mmap --check-tensors --verbose-prompt", NULL, NULL},
    {LLAMA, UNKNOWN_FLAG, "-nkvo --no-kv-offload -kvu --kv-unified --reuse-port --swa-full --no-perf --jinja", NULL, NULL},
    {LLAMA, UNKNOWN_FLAG, "--log-verbose --context-shift --no-context-shift --cache-prompt --no-cache-prompt", NULL, NULL},
    {LLAMA, UNKNOWN_FLAG, "--log-timestamps --log-prefix --no-models-autoload --models-autoload", NULL, NULL},
    {LLAMA, MAYBE, "-fa --flash-attn", "LLAMA_ARG_FLASH_ATTN", NULL},
    {LLAMA, MAYBE, "--log-colors", NULL, NULL},
    {LLAMA, UNKNOWN_HERE, "-b --batch-size", "LLAMA_ARG_BATCH", NULL},
    {LLAMA, UNKNOWN_HERE, "-ub --ubatch-size", "LLAMA_ARG_UBATCH", NULL},
    {LLAMA, UNKNOWN_HERE, "-np --parallel", "LLAMA_ARG_N_PARALLEL", NULL},
    {LLAMA, UNKNOWN_HERE, "-ngl --gpu-layers --n-gpu-layers", "LLAMA_ARG_N_GPU_LAYERS", NULL},
    {LLAMA, UNKNOWN_HERE, "-tb --threads-batch --threads-http --prio --poll --numa -C --cpu-mask", NULL, NULL},
    {LLAMA, UNKNOWN_HERE, "-sm --split-mode -mg --main-gpu -ts --tensor-split -ctk --cache-type-k -ctv --cache-type-v", NULL,
     NULL},
    {LLAMA, UNKNOWN_HERE, "--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx", NULL, NULL},
    {LLAMA, UNKNOWN_HERE, "--yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast", NULL, NULL},
    {LLAMA, UNKNOWN_HERE,
     "--slot-save-path --path --api-prefix --log-file -lv --verbosity --log-verbosity -n --predict --models-max", NULL,
     NULL},
    {LLAMA, UNKNOWN_HERE, "--cache-reuse --cache-ram --slot-prompt-similarity --chat-template -s --seed --temp --keep", NULL,
     NULL},
    {LLAMA, REFUSED, "--lora --lora-scaled --control-vector --override-kv --models-dir --models-preset", NULL, NULL},
};

#define N_TABLE (sizeof table / sizeof table[0])

/* text-embeddings-router's own address, which its clients look for. */
#define TEI_HOST "0.0.0.0"
#define TEI_PORT "3000"

#define MAX_LENGTH "HEDDLE_MAX_LENGTH"

/* ---- what is gathered ---- */

typedef struct translation {
    hd_arena *arena;
    cli_start_line *line;
    size_t capacity;     /* of line->args and line->variables */
    const char **models; /* [n_models] */
    size_t n_models;
    const char *revision, *served_name;
    bool is_tei, may_pull, offline;
    const char *unknown; /* names without meaning, separated by ", " */
    bool no_memory;
    hd_error *err;
} translation;

/* A value and who said it. */
typedef struct value {
    const char *text; /* NULL: none */
    const char *source;
} value;

static void add_text(translation *t, char *text)
{
    if (text == NULL)
        t->no_memory = true;
    else
        t->line->args[t->line->n_args++] = text;
}

static void add(translation *t, const char *own, const char *text)
{
    add_text(t, hd__arena_printf(t->arena, "--%s=%s", own, text));
}

static void add_variable(translation *t, const char *name, const char *text)
{
    const char *pair = hd__arena_printf(t->arena, "%s=%s", name, text);
    if (pair == NULL)
        t->no_memory = true;
    else
        t->line->variables[t->line->n_variables++] = pair;
}

static void add_unknown(translation *t, const char *name)
{
    t->unknown = t->unknown == NULL ? name : hd__arena_printf(t->arena, "%s, %s", t->unknown, name);
    t->no_memory |= t->unknown == NULL;
}

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_false(const char *text)
{
    static const char *const words[] = {"0", "false", "no", "off"};
    return is_one_of(text, words, sizeof words / sizeof words[0]);
}

static bool is_switch(const char *text)
{
    static const char *const words[] = {"1", "true", "yes", "on", "auto"};
    return is_false(text) || is_one_of(text, words, sizeof words / sizeof words[0]);
}

/* ---- values ---- */

static const char *dtype_name(const char *text)
{
    static const char *const names[][2] = {{"float32", "f32"}, {"float16", "auto"}, {"bfloat16", "bf16"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(text, names[i][0]) == 0)
            return names[i][1];
    return text;
}

static void add_host(translation *t, const char *own, const char *text)
{
    const size_t n = strlen(text);
    add(t, n > 5 && strcmp(text + n - 5, ".sock") == 0 ? "uds" : own, text);
}

static hd_status add_keys(translation *t, value v)
{
    const size_t n_before = t->line->n_args;
    for (const char *at = v.text; *at != '\0';) {
        const size_t n = strcspn(at, ",");
        if (t->line->n_args + 1 >= t->capacity)
            return hd__fail(t->err, HD_ERR_LIMIT, "%s: more keys than the limit of %u", v.source, HD_LIMIT_API_KEYS);
        if (n > 0)
            add_text(t, hd__arena_printf(t->arena, "--api-key=%.*s", (int)n, at));
        at += n + (at[n] == ',');
    }
    if (v.text[0] != '\0' && t->line->n_args == n_before) /* open to all is not what somebody who gives a key wants */
        return hd__fail(t->err, HD_ERR_ARG, "%s: no key in it", v.source);
    return HD_OK;
}

/* A safetensors file inside a model's folder stands for the folder; a GGUF file is a model. */
static void add_model_file(translation *t, value v)
{
    static const char ending[] = ".safetensors";
    const size_t n = strlen(v.text), n_ending = sizeof ending - 1;
    const char *slash = strrchr(v.text, '/'), *model = v.text;
    if (n > n_ending && strcasecmp(v.text + n - n_ending, ending) == 0) {
        const char *dir =
            hd__arena_strndup(t->arena, slash != NULL ? v.text : ".", slash != NULL ? (size_t)(slash - v.text) : 1);
        const char *config = dir != NULL ? hd__arena_printf(t->arena, "%s/config.json", dir) : NULL;
        if (config == NULL)
            t->no_memory = true;
        else if (hd__file_exists(config))
            model = dir;
    }
    t->models[t->n_models++] = model;
}

/* "user/repo:quant": what is pulled are the repository's own weights. */
static void add_model_repo(translation *t, value v)
{
    const char *model = hd__arena_strndup(t->arena, v.text, strcspn(v.text, ":"));
    t->no_memory |= model == NULL;
    t->models[t->n_models++] = model;
    t->may_pull = true;
}

static hd_status take_valued(translation *t, const foreign *row, value v)
{
    switch (row->action) {
    case VALUE_DTYPE: add(t, row->own, dtype_name(v.text)); return HD_OK;
    case VALUE_HOST: add_host(t, row->own, v.text); return HD_OK;
    case VALUE_KEYS: return add_keys(t, v);
    case VALUE_DEVICE: add(t, row->own, strcasecmp(v.text, "none") == 0 ? "cpu" : v.text); return HD_OK;
    case VARIABLE: add_variable(t, row->own, v.text); return HD_OK;
    case MODEL:
        t->models[t->n_models++] = v.text;
        t->is_tei = t->may_pull = true;
        return HD_OK;
    case MODEL_FILE: add_model_file(t, v); return HD_OK;
    case MODEL_REPO: add_model_repo(t, v); return HD_OK;
    case REVISION: t->revision = v.text; return HD_OK;
    case SERVED_NAME: t->served_name = v.text; return HD_OK;
    case LENGTH:
        if (strcmp(v.text, "0") != 0) /* a variable's length is a wish: a model that takes less keeps its own */
            add_variable(t, MAX_LENGTH, v.text);
        return HD_OK;
    case NORM:
        if (strcmp(v.text, "2") == 0)
            return HD_OK;
        return hd__fail(t->err, HD_ERR_ARG, "%s: '%s' is not 2; requests can ask for another norm", v.source, v.text);
    case UNKNOWN_HERE: add_unknown(t, v.source); return HD_OK;
    case REFUSED:
        return hd__fail(t->err, HD_ERR_ARG, "%s: Heddle has no such thing, and answers would differ without it", v.source);
    default: /* VALUE; -1 is llama-server's way to say "by default" */
        if (row->family == TEI || strcmp(v.text, "-1") != 0)
            add(t, row->own, v.text);
        return HD_OK;
    }
}

static hd_status take(translation *t, const foreign *row, value v)
{
    const bool off = v.text != NULL && is_false(v.text);
    switch (row->action) {
    case SWITCH_OFF:
        if (off)
            add_text(t, hd__arena_printf(t->arena, "--%s", row->own));
        return HD_OK;
    case LOG_FORMAT:
        if (!off)
            add(t, row->own, "json");
        return HD_OK;
    case MAYBE:
    case UNKNOWN_FLAG:
        if (!off)
            add_unknown(t, v.source);
        return HD_OK;
    case OFFLINE: t->offline |= !off; return HD_OK;
    case GIVEN: return HD_OK;
    default: return take_valued(t, row, v);
    }
}

/* ---- flags ---- */

static bool has_word(const char *words, const char *word, size_t len)
{
    for (const char *at = words; at != NULL && *at != '\0';) {
        const size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, n) == 0)
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

static const foreign *find_flag(const char *arg, size_t len)
{
    for (size_t i = 0; i < N_TABLE; i++)
        if (has_word(table[i].flags, arg, len))
            return &table[i];
    return NULL;
}

static bool takes_value(action a)
{
    return a < SWITCH_OFF;
}

/* An argument as a row of the table with, perhaps, a value. */
typedef struct flag {
    const foreign *row; /* NULL: none of ours */
    const char *name;   /* [name_len], in the argument or a word of the table */
    size_t name_len;
    const char *attached; /* NULL: no value in the argument */
} flag;

/* "-p80", "-qp80" and "-qp", as args.h has them; the letters before are added as they are. */
static flag find_joined(translation *t, const char *arg)
{
    const char *letter = arg[0] == '-' && arg[1] != '-' ? arg + 1 + strspn(arg + 1, "qvh") : "";
    const char *const name = *letter == 'm' ? "-m" : *letter == 'p' ? "-p" : NULL;
    if (name == NULL)
        return (flag){0};
    if (letter > arg + 1)
        add_text(t, hd__arena_strndup(t->arena, arg, (size_t)(letter - arg)));
    return (flag){find_flag(name, 2), name, 2, letter[1] != '\0' ? letter + 1 : NULL};
}

static flag find_argument(translation *t, const char *arg)
{
    const char *equals = arg[0] == '-' && arg[1] == '-' ? strchr(arg, '=') : NULL;
    const size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    const foreign *row = arg[0] == '-' ? find_flag(arg, len) : NULL;
    return row != NULL ? (flag){row, arg, len, equals != NULL ? equals + 1 : NULL} : find_joined(t, arg);
}

static hd_status take_flags(translation *t, size_t n, char *const *args)
{
    for (size_t i = 0; i < n; i++) {
        const flag f = find_argument(t, args[i]);
        const foreign *row = f.row;
        if (row == NULL) {
            add_text(t, args[i]);
            continue;
        }
        value v = {.text = f.attached, .source = hd__arena_strndup(t->arena, f.name, f.name_len)};
        if (v.source == NULL)
            return hd__fail(t->err, HD_ERR_MEMORY, "no memory for the start line");
        if (v.text == NULL && takes_value(row->action)) {
            if (i + 1 == n)
                return hd__fail(t->err, HD_ERR_ARG, "serve: '%s' needs a value", v.source);
            v.text = args[++i];
        } else if (v.text == NULL && (row->action == MAYBE || row->action == SWITCH_OFF) && i + 1 < n &&
                   is_switch(args[i + 1])) {
            v.text = args[++i];
        }
        HD_TRY(take(t, row, v));
    }
    return HD_OK;
}

/* ---- environment ---- */

static const char *look_up(char *const *environment, const char *name)
{
    const size_t n = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}

/* Set and not empty. */
static bool is_set(char *const *environment, const char *name)
{
    const char *text = look_up(environment, name);
    return text != NULL && text[0] != '\0';
}

/* HEDDLE_MAX_INPUTS for "max-inputs". */
static bool own_is_set(char *const *environment, const char *own)
{
    char name[64];
    snprintf(name, sizeof name, "HEDDLE_%s", own);
    for (char *at = name; *at != '\0'; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    return is_set(environment, name);
}

static bool is_given(const cli_start_line *line, const char *own)
{
    const size_t n = strlen(own);
    for (size_t i = 0; i < line->n_args; i++) {
        const char *arg = line->args[i];
        if (strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, own, n) == 0 && (arg[2 + n] == '=' || arg[2 + n] == '\0'))
            return true;
    }
    return false;
}

static bool has_variable(const cli_start_line *line, const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < line->n_variables; i++)
        if (strncmp(line->variables[i], name, n) == 0 && line->variables[i][n] == '=')
            return true;
    return false;
}

static bool is_decided(const translation *t, const foreign *row, char *const *environment)
{
    switch (row->action) {
    case MODEL:
    case MODEL_FILE:
    case MODEL_REPO: return t->n_models > 0 || own_is_set(environment, "model");
    case REVISION: return t->revision != NULL;
    case SERVED_NAME: return t->served_name != NULL;
    case LENGTH: return is_given(t->line, row->own) || has_variable(t->line, MAX_LENGTH);
    case VARIABLE: return has_variable(t->line, row->own);
    default:
        if (row->own == NULL)
            return false;
        return is_given(t->line, row->own) || own_is_set(environment, row->own) ||
               (strcmp(row->own, "host") == 0 && (is_given(t->line, "uds") || own_is_set(environment, "uds")));
    }
}

/* Containers and shells set HOSTNAME to the machine's name; an address to listen on it is only when it looks like one. */
static bool is_address(const char *text)
{
    return text[strspn(text, "0123456789.")] == '\0' || strchr(text, ':') != NULL;
}

static hd_status take_environment(translation *t, char *const *environment)
{
    for (size_t i = 0; i < N_TABLE; i++) {
        const foreign *row = &table[i];
        const value v = {.text = row->variable != NULL ? look_up(environment, row->variable) : NULL,
                         .source = row->variable};
        if (v.text == NULL || v.text[0] == '\0' || (row->family == TEI && !t->is_tei) || is_decided(t, row, environment))
            continue;
        if (strcmp(row->variable, "HOSTNAME") == 0 && !is_address(v.text))
            continue;
        HD_TRY(take(t, row, v));
    }
    return HD_OK;
}

/* The rest of llama-server's many variables. */
static void name_unknown_variables(translation *t, char *const *environment)
{
    static const char prefix[] = "LLAMA_ARG_";
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, prefix, sizeof prefix - 1) != 0)
            continue;
        const size_t n = strcspn(*environment, "=");
        bool known = false;
        for (size_t i = 0; i < N_TABLE && !known; i++)
            known = has_word(table[i].variable, *environment, n);
        const char *name = known ? NULL : hd__arena_strndup(t->arena, *environment, n);
        if (name != NULL)
            add_unknown(t, name);
        t->no_memory |= !known && name == NULL;
    }
}

/* ---- the whole ---- */

static hd_status finish_models(translation *t)
{
    if (t->served_name != NULL && t->n_models > 1)
        return hd__fail(t->err, HD_ERR_ARG, "'%s' is a name for one model, and %zu are given: say --model NAME=DIR",
                        t->served_name, t->n_models);
    for (size_t i = 0; i < t->n_models && !t->no_memory; i++) {
        const char *model = t->models[i];
        if (t->revision != NULL && !hd__dir_exists(model))
            model = hd__arena_printf(t->arena, "%s@%s", model, t->revision);
        if (model != NULL && t->served_name != NULL)
            model = hd__arena_printf(t->arena, "%s=%s", t->served_name, model);
        if (model != NULL)
            add(t, "model", model);
        t->no_memory |= model == NULL;
    }
    if (t->may_pull && !t->offline)
        add_text(t, hd__arena_printf(t->arena, "--allow-pull"));
    return HD_OK;
}

static hd_status translate(translation *t, size_t n_args, char *const *args, char *const *environment)
{
    HD_TRY(take_flags(t, n_args, args));
    t->is_tei |= is_set(environment, "MODEL_ID") && t->n_models == 0;
    HD_TRY(take_environment(t, environment));
    name_unknown_variables(t, environment);
    HD_TRY(finish_models(t));
    const bool has_address = is_given(t->line, "host") || is_given(t->line, "uds") || own_is_set(environment, "host") ||
                             own_is_set(environment, "uds") || is_set(environment, "LISTEN_FDS");
    if (t->is_tei && !has_address)
        add(t, "host", TEI_HOST);
    if (t->is_tei && !is_given(t->line, "port") && !own_is_set(environment, "port"))
        add(t, "port", TEI_PORT);
    return HD_OK;
}

hd_status cli_start_line_translate(size_t n_args, char *const *args, char *const *environment, hd_arena *arena,
                                   cli_start_line *line, hd_error *err)
{
    const size_t capacity = 2 * n_args + N_TABLE + HD_LIMIT_API_KEYS; /* "-qp80" makes two of one */
    cli_start_line made = {
        .args = hd__arena_calloc(arena, capacity + 4, sizeof *made.args),
        .variables = hd__arena_calloc(arena, capacity, sizeof *made.variables),
    };
    translation t = {.arena = arena,
                     .line = &made,
                     .capacity = capacity,
                     .models = hd__arena_calloc(arena, capacity, sizeof *t.models),
                     .err = err};
    if (made.args == NULL || made.variables == NULL || t.models == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the start line");
    HD_TRY(translate(&t, n_args, args, environment));
    if (t.unknown != NULL)
        made.notice = hd__arena_printf(arena, "without meaning here, and not used: %s", t.unknown);
    if (t.no_memory || (t.unknown != NULL && made.notice == NULL))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the start line");
    *line = made;
    return HD_OK;
}
