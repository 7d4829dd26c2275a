/* cmd_models.c - `heddle models`: the models on this machine, and whether they are whole. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/progress.h"
#include "engine/model_tokenizer.h"
#include "model/locate.h"
#include "model/peft.h"
#include "model/settings.h"
#include "model/tensors.h"

static bool flag_verify, flag_json;

static const cli_option models_options[] = {
    {.name = "verify", .flag = &flag_verify, .help = "read every file: formats, shapes, no NaN or infinity in the weights"},
    {.name = "json", .flag = &flag_json, .help = "for programs"},
    {0},
};

/* Every value of one tensor, a piece at a time; integers have nothing to check. */
static hd_status verify_tensor(const hd_tensor *tensor, float *piece, size_t piece_len, hd_error *err)
{
    const bool is_read = hd__tensor_type_is_read(tensor->type);
    for (uint64_t at = 0; is_read && at < tensor->n_elements; at += piece_len) {
        uint64_t left = tensor->n_elements - at;
        HD_TRY(hd__tensor_read_f32(tensor, at, left < piece_len ? left : piece_len, piece, err));
    }
    hd__tensor_forget(tensor);
    return HD_OK;
}

/* They are closed. */
static hd_status verify_tensors(hd_tensors *tensors, const char *dir, hd_error *err)
{
    enum { PIECE = 16384 };
    float *piece = hd__malloc(PIECE * sizeof *piece);
    hd_status status = piece != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory to read %s", dir);
    for (size_t i = 0; status == HD_OK && i < hd__tensors_count(tensors); i++)
        status = verify_tensor(hd__tensors_at(tensors, i), piece, PIECE, err);
    hd__free(piece);
    hd__tensors_close(tensors);
    return status;
}

static hd_status verify_side(const hd_settings *settings, hd_error *err)
{
    hd_tokenizer *tokenizer;
    hd_tensors *tensors;
    HD_TRY(hd__model_tokenizer_open(settings->tokenizer_dir, NULL, &tokenizer, err));
    hd__tokenizer_close(tokenizer);
    HD_TRY(hd__tensors_open(settings->dir, &tensors, err));
    HD_TRY(verify_tensors(tensors, settings->dir, err));
    if (settings->adapter_dir == NULL)
        return HD_OK;
    HD_TRY(hd__peft_tensors(settings->adapter_dir, &tensors, err));
    return verify_tensors(tensors, settings->adapter_dir, err);
}

static hd_status verify_model(const char *dir, const char *cache_dir, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    hd_settings settings;
    hd_status status = hd__settings_read(dir, cache_dir, &arena, &settings, err);
    if (status == HD_OK)
        status = verify_side(&settings, err);
    if (status == HD_OK && settings.has_sides)
        status = hd__settings_read_queries(dir, cache_dir, &arena, &settings, err);
    if (status == HD_OK && settings.has_sides)
        status = verify_side(&settings, err);
    hd__arena_clear(&arena);
    return status;
}

static json_t *model_to_json(const hd_located_model *model, const char *verdict)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", model->name, "revision", model->revision, "source",
                               model->source, "path", model->path, "bytes", (json_int_t)model->bytes);
    if (flag_verify)
        json_object_set_new(object, "verified", json_string(verdict));
    return object;
}

static void print_model(const hd_located_model *model, int width, const char *verdict)
{
    char name[256], size[32];
    snprintf(name, sizeof name, "%s%s%s", model->name, model->revision[0] != '\0' ? "@" : "", model->revision);
    printf("%-*s  %10s  %-11s  %s\n", width, name, cli_bytes_text(model->bytes, size), model->source,
           flag_verify ? verdict : model->path);
}

/* Lists, and verifies when asked; HD_ERR_FORMAT when a model is not whole (already printed). */
static hd_status list_models(const char *cache_dir, hd_arena *arena, json_t *array, hd_error *err)
{
    hd_located_model *models;
    size_t n = 0, n_damaged = 0;
    HD_TRY(hd__model_list(cache_dir, arena, &models, &n, err));
    int width = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(models[i].name) + (models[i].revision[0] != '\0' ? strlen(models[i].revision) + 1 : 0);
        width = len > (size_t)width ? (int)len : width;
    }
    for (size_t i = 0; i < n; i++) {
        hd_error found = {.text = "ok"};
        if (flag_verify && verify_model(models[i].path, cache_dir, &found) != HD_OK)
            n_damaged++;
        if (flag_json)
            json_array_append_new(array, model_to_json(&models[i], found.text));
        else
            print_model(&models[i], width, found.text);
    }
    if (n == 0 && !flag_json)
        printf("no models yet: 'heddle pull " CLI_DEFAULT_MODEL "' gets one\n");
    return n_damaged == 0 ? HD_OK
                          : hd__fail(err, HD_ERR_FORMAT, "%zu of %zu models cannot be used as they are", n_damaged, n);
}

static int models(int n_args, char **args)
{
    hd_error err = {0};
    cli_config config;
    hd_arena arena;
    hd__arena_init(&arena);
    json_t *array = json_array();
    hd_status status = n_args > 0 ? hd__fail(&err, HD_ERR_ARG, "models: unexpected argument '%s'", args[0])
                                  : cli_config_load(&config, &err);
    if (status == HD_OK)
        status = list_models(config.cache_dir, &arena, array, &err);
    if (flag_json && status != HD_ERR_ARG) {
        json_dumpf(array, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(array);
    hd__arena_clear(&arena);
    return cli_exit_code(status, &err);
}

const cli_command cli_models = {
    .name = "models",
    .arguments = "",
    .summary = "Lists the models on this machine",
    .notes = "Models pulled by Heddle and those in the Hugging Face cache can be used by name.",
    .tables = {models_options, cli_store_options},
    .run = models,
};
