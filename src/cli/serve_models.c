/* serve_models.c - see serve_models.h. */
#include "cli/serve_models.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/start_line.h"
#include "remote/hub.h"

static bool flag_allow_pull;
static const char *flag_pooling;
static const char *notice; /* about the start line */

const cli_option cli_serve_source_options[] = {
    {.name = "allow-pull",
     .flag = &flag_allow_pull,
     .help = "get a model given by name that is not on this machine, at its first use, at --preload, or for --index at the "
             "start"},
    {.name = "pooling",
     .value = "KIND",
     .text = &flag_pooling,
     .help = "cls, mean, max, last, mean_sqrt_len or weighted_mean, against what the models' files say"},
    {0},
};

/* ---- the start line ---- */

hd_status cli_serve_prepare(int *n_args, char ***args, hd_error *err)
{
    static hd_arena arena; /* arguments live as long as the process */
    cli_start_line line;
    hd__arena_init(&arena);
    HD_TRY(cli_start_line_translate((size_t)*n_args, *args, environ, &arena, &line, err));
    for (size_t i = 0; i < line.n_variables; i++) {
        const size_t len = strcspn(line.variables[i], "=");
        const char *name = hd__arena_strndup(&arena, line.variables[i], len);
        if (name == NULL || setenv(name, line.variables[i] + len + 1, 0) != 0)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for the start line");
    }
    notice = line.notice;
    *n_args = (int)line.n_args;
    *args = line.args;
    return HD_OK;
}

/* ---- pulling ---- */

typedef struct pull_watch {
    const atomic_bool *stop;
} pull_watch;

static bool go_on(const hd_pull_progress *progress, void *data)
{
    (void)progress;
    const pull_watch *watch = data;
    return !atomic_load(watch->stop);
}

static hd_status pull_model(const char *name, const atomic_bool *stop, void *data, hd_error *err)
{
    const cli_config *config = data;
    pull_watch watch = {stop};
    char *path = NULL;
    const hd_pull_options options = {
        .cache_dir = config->cache_dir, .token = cli_config_hub_token(), .on_progress = go_on, .progress_data = &watch};
    hd_status status = hd__hub_pull(name, &options, &path, err);
    hd__free(path);
    return status;
}

/* ---- registering ---- */

static hd_status add(const cli_serve_config *config, hd_models *models, hd_span what, hd_error *err)
{
    const hd_model_options options = {
        .dtype = config->base.dtype,
        .max_length = config->base.max_length,
        .max_length_is_a_wish = config->base.max_length_is_a_wish,
        .pooling = cli_setting(flag_pooling, "HEDDLE_POOLING"),
    };
    char text[HD_LIMIT_PATH_BYTES];
    if (what.len == 0 || what.len >= sizeof text)
        return hd__fail(err, HD_ERR_ARG, "--model: a name of %zu bytes, allowed are 1 to %zu", what.len, sizeof text - 1);
    memcpy(text, what.ptr, what.len);
    text[what.len] = '\0';
    char *equals = hd__dir_exists(text) ? NULL : strchr(text, '=');
    const bool is_named = equals != NULL && equals != text && equals[1] != '\0';
    if (is_named)
        *equals = '\0';
    const char *name_or_dir = is_named ? equals + 1 : text;
    HD_TRY(cli_serve_models_check(name_or_dir, err));
    return hd__models_add(models, name_or_dir, is_named ? text : NULL, &options, err);
}

/* Separated by commas. */
static hd_status add_list(const cli_serve_config *config, hd_models *models, const char *list, hd_error *err)
{
    while (*list != '\0') {
        const size_t n = strcspn(list, ",");
        if (n > 0)
            HD_TRY(add(config, models, hd__span(list, n), err));
        list += n + (list[n] == ',');
    }
    return HD_OK;
}

hd_status cli_serve_models_check(const char *name_or_dir, hd_error *err)
{
    if (!hd__path_is_meant(name_or_dir) || hd__file_exists(name_or_dir) || hd__dir_exists(name_or_dir))
        return HD_OK;
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such folder or file", name_or_dir);
}

void cli_serve_models_allow_pull(const cli_serve_config *config, hd_models *models)
{
    if (flag_allow_pull || cli_is_switched_on("HEDDLE_ALLOW_PULL"))
        hd__models_allow_pull(models, pull_model, (void *)(uintptr_t)&config->base);
}

hd_status cli_serve_models_add(const cli_serve_config *config, hd_models *models, hd_error *err)
{
    const char *list = cli_setting(NULL, "HEDDLE_MODELS");
    if (notice != NULL)
        cli_notice("%s", notice);
    cli_serve_models_allow_pull(config, models);
    if (cli_given_models.n == 0 && !config->base.model_is_given && list != NULL)
        return add_list(config, models, list, err);
    for (size_t i = 0; i < config->models.n; i++)
        HD_TRY(add(config, models, hd__span_of(config->models.items[i]), err));
    return HD_OK;
}
